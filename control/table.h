/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of JSON objects as aligned columns, and numbers as people read them. */
#ifndef KAIDO_CONTROL_TABLE_H
#define KAIDO_CONTROL_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum table_format {
	TABLE_TEXT,  /* strings; lists are joined with commas; true and false are yes and no */
	TABLE_COUNT, /* 12345 -> 12.3k; a list counts its elements */
	TABLE_BYTES, /* 12345 -> 12.3 kB */
	TABLE_PLAIN, /* a whole number as it is */
	TABLE_TENTH, /* 12.345 -> 12.3 */
	TABLE_HEX,   /* 4097 -> 0x1001 */
	TABLE_TIME,  /* seconds since 1970, in local time */
};

struct table_column {
	const char *title;
	const char *path; /* members from the object on, joined with dots */
	enum table_format format;
};

/* Writes a heading and a line per object. Columns end with a NULL title; "-" is what isn't there. */
void table_write(FILE *out, const struct table_column *columns, const json_t *rows);

/* One value. Characters that would steer a terminal become '?'. */
void table_value(char *text, size_t len, const json_t *value, enum table_format format);

/* 12345678 -> "12.3M"; what is below 100,000 stays whole. */
void table_number(char *text, size_t len, double number);

/* Replaces in place what would steer a terminal. */
void table_tame(char *text);

/* Value of a member named by a path with dots; NULL: not there. */
json_t *table_member(const json_t *object, const char *path);

#endif /* KAIDO_CONTROL_TABLE_H */
