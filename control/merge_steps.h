/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files that merge: merge.c, merge_access.c. */
#ifndef KAIDO_CONTROL_MERGE_STEPS_H
#define KAIDO_CONTROL_MERGE_STEPS_H

#include "merge.h"

struct merge {
	struct ids *ids;
	json_t *changes;
	const char *tenant; /* NULL: the underlay */
	int error;
};

/* The next free one behind the last given out; 0 when there is none. */
uint32_t merge_id_take(struct merge *merge, enum id_kind kind);
void merge_change(struct merge *merge, const char *op, const char *kind, const char *name,
		  const char *detail);
/* Takes both. Returns whether they are equal; notes the change where not. */
bool merge_compare(struct merge *merge, const char *kind, const char *name, json_t *now,
		   json_t *next);

/* Returns whether nothing differs. `now` may be NULL. */
bool merge_remote_access(struct merge *merge, const struct tenant *now, struct tenant *next);

#endif /* KAIDO_CONTROL_MERGE_STEPS_H */
