/* SPDX-License-Identifier: BSD-3-Clause */
/* How the objects of a plan are told apart. Only the plan's own files include this. */
#ifndef KAIDO_CONTROL_PLAN_ORDER_H
#define KAIDO_CONTROL_PLAN_ORDER_H

#include "plan.h"

/* For qsort() and bsearch(): by kind, then by what identifies an object of that kind. */
int plan_object_order(const void *a, const void *b);
size_t plan_record_size(enum plan_kind kind);
/* Of those that have one: not neighbours and routes. */
uint32_t *plan_object_id(struct plan_object *object);
static inline uint32_t plan_id_of(const struct plan_object *object)
{
	return *plan_object_id((struct plan_object *)(uintptr_t)object);
}

#endif /* KAIDO_CONTROL_PLAN_ORDER_H */
