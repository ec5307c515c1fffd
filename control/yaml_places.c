/* SPDX-License-Identifier: BSD-3-Clause */
#include "yaml_places.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ssize_t yaml_places_add(struct yaml_places *places, size_t line, size_t column, char *key)
{
	struct yaml_place *grown;
	size_t room;

	if (places->n == places->room) {
		room = places->room == 0 ? 256 : places->room * 2;
		grown = realloc(places->place, room * sizeof(*grown));
		if (grown == NULL) {
			free(key);
			return -ENOMEM;
		}
		places->place = grown;
		places->room = room;
	}
	places->place[places->n] = (struct yaml_place){
		.line = (uint32_t)line, .column = (uint32_t)column, .end = UINT32_MAX, .key = key
	};
	return (ssize_t)places->n++;
}

void yaml_places_close(struct yaml_places *places, size_t index)
{
	places->place[index].end = (uint32_t)places->n;
}

ssize_t yaml_places_member(const struct yaml_places *places, size_t parent, const char *key)
{
	size_t end = places->place[parent].end, i;

	for (i = parent + 1; i < places->n && i < end; i = places->place[i].end)
		if (places->place[i].key != NULL && strcmp(places->place[i].key, key) == 0)
			return (ssize_t)i;
	return -1;
}

static ssize_t element_find(const struct yaml_places *places, size_t parent, const char *token)
{
	size_t end = places->place[parent].end, i;
	char *rest;
	unsigned long index = strtoul(token, &rest, 10);

	if (*token == '\0' || *rest != '\0')
		return -1;
	for (i = parent + 1; i < places->n && i < end; i = places->place[i].end)
		if (index-- == 0)
			return places->place[i].key == NULL ? (ssize_t)i : -1;
	return -1;
}

/* One token of a pointer, with ~1 and ~0 undone. Returns what follows it. */
static const char *token_read(const char *pointer, char *token, size_t len)
{
	size_t n = 0;

	for (; *pointer != '\0' && *pointer != '/'; pointer++) {
		char c = *pointer;

		if (c == '~' && (pointer[1] == '0' || pointer[1] == '1')) {
			c = pointer[1] == '0' ? '~' : '/';
			pointer++;
		}
		if (n + 1 < len)
			token[n++] = c;
	}
	token[n] = '\0';
	return pointer;
}

/* What came from a file stands where that is named: `psk` at `psk-file`, `salt` at `key-file`. */
static ssize_t file_find(const struct yaml_places *places, size_t parent, const char *token)
{
	char name[sizeof("certificate-file")];

	if (strlen(token) > strlen("certificate"))
		return -1;
	snprintf(name, sizeof(name), "%s-file", strcmp(token, "salt") == 0 ? "key" : token);
	return yaml_places_member(places, parent, name);
}

const struct yaml_place *yaml_places_find(const struct yaml_places *places, const char *pointer)
{
	size_t at = 0;
	ssize_t next = 0;
	char token[256];

	if (places->n == 0)
		return NULL;
	while (*pointer == '/' && next >= 0) {
		pointer = token_read(pointer + 1, token, sizeof(token));
		next = yaml_places_member(places, at, token);
		if (next < 0)
			next = element_find(places, at, token);
		if (next < 0)
			next = file_find(places, at, token);
		if (next >= 0)
			at = (size_t)next;
	}
	return &places->place[at];
}

void yaml_places_free(struct yaml_places *places)
{
	size_t i;

	for (i = 0; i < places->n; i++)
		free(places->place[i].key);
	free(places->place);
}
