/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what a caller asks for to the next model: what is the same as before is shared with the
 * present model, what goes on under its name keeps its id, and every difference is listed.
 */
#ifndef KAIDO_CONTROL_MERGE_H
#define KAIDO_CONTROL_MERGE_H

#include <jansson.h>

#include "config.h"
#include "model.h"

struct ids;

/*
 * `next` is a model in which parsed objects (mutable still, not shared with anybody but their
 * config) stand beside those of `now`. Gives them ids and returns the list of changes
 * ({op, kind, tenant?, name, detail?}), or NULL when out of memory. *error: 0, or -ENOSPC when a
 * kind of id is used up.
 */
json_t *merge_model(const struct model *now, struct model *next, struct ids *ids, int *error);

/* Ids given out: one counter a kind, going round, so that an id is not used again soon. */
enum id_kind { ID_TENANT, ID_ATTACHMENT, ID_TUNNEL, ID_SA, ID_KINDS };

struct ids {
	uint32_t last[ID_KINDS];
	uint32_t capacity[ID_KINDS]; /* ids 1 .. capacity - 1 */
	uint8_t *used[ID_KINDS];     /* bits; while merging only */
};

#endif /* KAIDO_CONTROL_MERGE_H */
