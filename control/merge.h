/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what a caller asks for to the next model: what is the same as before is shared with the
 * present model, what goes on under its name keeps its id, and every difference is listed.
 */
#ifndef KAIDO_CONTROL_MERGE_H
#define KAIDO_CONTROL_MERGE_H

#include <jansson.h>

#include "config.h"
#include "ids.h"
#include "model.h"

/*
 * `next` is a model in which parsed objects (mutable still, not shared with anybody but their
 * config) stand beside those of `now`. Gives them ids and returns the list of changes
 * ({op, kind, tenant?, name, detail?}), or NULL when out of memory. *error: 0, or -ENOSPC when a
 * kind of id is used up. What else is in use was marked before.
 */
json_t *merge_model(const struct model *now, struct model *next, struct ids *ids, int *error);

#endif /* KAIDO_CONTROL_MERGE_H */
