/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the values of a YAML text stood, to be found again by JSON pointer (RFC 6901). */
#ifndef KAIDO_CONTROL_YAML_PLACES_H
#define KAIDO_CONTROL_YAML_PLACES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order of the text; the places within a value follow it, up to `end`. */
struct yaml_place {
	uint32_t line; /* from 1 */
	uint32_t column;
	uint32_t end;
	char *key; /* of a member; NULL: of an array, or the root */
};

struct yaml_places {
	struct yaml_place *place;
	size_t n;
	size_t room;
};

/* Takes `key`. Returns its index, to be closed when the value has been read; -ENOMEM. */
ssize_t yaml_places_add(struct yaml_places *places, size_t line, size_t column, char *key);
void yaml_places_close(struct yaml_places *places, size_t index);

/* The first member of that name in the mapping at `parent`, or -1. */
ssize_t yaml_places_member(const struct yaml_places *places, size_t parent, const char *key);

/* The place that the pointer names, or the innermost around it that there is. NULL: no places. */
const struct yaml_place *yaml_places_find(const struct yaml_places *places, const char *pointer);

void yaml_places_free(struct yaml_places *places);

#endif /* KAIDO_CONTROL_YAML_PLACES_H */
