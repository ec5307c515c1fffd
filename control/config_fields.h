/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading the fields of a JSON object, one call a field. A mistake is noted with its JSON pointer
 * and reading goes on, so that one look finds every mistake of a file. What could not be read is
 * left zero or as it is when absent.
 */
#ifndef KAIDO_CONTROL_CONFIG_FIELDS_H
#define KAIDO_CONTROL_CONFIG_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "message.h"

#define CONFIG_ERRORS_MAX 1000 /* noted; more are only counted */

struct config_reader {
	char pointer[768]; /* where we are, RFC 6901 */
	json_t *errors;    /* array of {pointer, message} */
	size_t n_errors;
	bool stored; /* reads what the store wrote: with ids and sealed keys */
	bool failed; /* out of memory */
};

int reader_open(struct config_reader *reader);
void reader_close(struct config_reader *reader);

/* Down to a member or an element; the result is what reader_leave() needs to come back. */
size_t reader_enter(struct config_reader *reader, const char *member);
size_t reader_enter_index(struct config_reader *reader, size_t index);
void reader_leave(struct config_reader *reader, size_t mark);
/* A mistake where we are, and of a member of it. */
__attribute__((format(printf, 2, 3))) void reader_error(struct config_reader *reader,
							const char *format, ...);
__attribute__((format(printf, 3, 4))) void
reader_error_of(struct config_reader *reader, const char *member, const char *format, ...);

/* Is it an object, and has it no other members than these? `also`: allowed in a stored one. */
bool fields_check(struct config_reader *reader, const json_t *object, const char *const *names,
		  const char *const *also);
/* What a user typed, as far as it may be repeated: at most 60 printable characters. */
const char *text_shown(const char *text, char shown[64]);
/* The text of that member, without a zero byte; NULL when it is absent or a mistake. */
const char *field_string(struct config_reader *reader, const json_t *object, const char *member,
			 bool required);
/* The array of that member; NULL when it is absent, empty or no array. */
json_t *field_array(struct config_reader *reader, const json_t *object, const char *member);

/* A name: [a-z0-9][a-z0-9-]{0,30}. */
bool field_name(struct config_reader *reader, const json_t *object, const char *member,
		char name[ABI_NAME_LEN]);
/* A port or device name of at most size - 1 printable characters. */
bool field_word(struct config_reader *reader, const json_t *object, const char *member,
		bool required, char *word, size_t size);
/* Free text of one line; *text is allocated, NULL when it is absent or empty. */
bool field_text(struct config_reader *reader, const json_t *object, const char *member,
		size_t max_characters, char **text);
int64_t field_integer(struct config_reader *reader, const json_t *object, const char *member,
		      int64_t least, int64_t most, int64_t absent);
/* A number, or as text in decimal or with 0x. */
bool value_integer(const json_t *value, int64_t *number);
bool field_bool(struct config_reader *reader, const json_t *object, const char *member,
		bool absent);
/* The index in `choices`; `absent` where there is none, -1 on a mistake. */
int field_choice(struct config_reader *reader, const json_t *object, const char *member,
		 const char *const *choices, int absent);
/* An address that a host may have. */
bool field_address(struct config_reader *reader, const json_t *object, const char *member,
		   struct abi_address *address);
/* A prefix without host bits. */
bool field_prefix(struct config_reader *reader, const json_t *object, const char *member,
		  struct abi_address *prefix);
/* As above for a string where we are. */
bool value_prefix(struct config_reader *reader, const json_t *value, struct abi_address *prefix);
bool field_mac(struct config_reader *reader, const json_t *object, const char *member,
	       uint8_t mac[6]);
/* Hexadecimal digits into at most `size` bytes; returns the bytes, 0 when absent, -1. */
int field_hex(struct config_reader *reader, const json_t *object, const char *member,
	      uint8_t *bytes, size_t size);

#endif /* KAIDO_CONTROL_CONFIG_FIELDS_H */
