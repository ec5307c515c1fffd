/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of many objects is due next: a heap of (time, id), so that a look costs nothing while none is,
 * and a change the logarithm of their number. An id has one time at most. Of one thread.
 */
#ifndef KAIDO_DEADLINE_H
#define KAIDO_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct deadlines;

/* For ids below `max`; memory is taken as it is used. NULL: no memory. */
struct deadlines *deadlines_create(uint32_t max);
void deadlines_destroy(struct deadlines *d); /* NULL is allowed */

/* Replaces the one it has. */
void deadline_set(struct deadlines *d, uint32_t id, uint64_t at);
void deadline_clear(struct deadlines *d, uint32_t id); /* it may have none */
/* Takes out the earliest that is not after `now`. False: there is none. */
bool deadline_due(struct deadlines *d, uint64_t now, uint32_t *id);
uint32_t deadline_count(const struct deadlines *d);

#endif /* KAIDO_DEADLINE_H */
