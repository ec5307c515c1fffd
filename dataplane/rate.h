/* SPDX-License-Identifier: BSD-3-Clause */
/* How often something may happen; a bucket of tokens in one word. Of one thread. */
#ifndef KAIDO_RATE_H
#define KAIDO_RATE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One more, now? `each` units of time apart on average, `burst` of them at once. *ready is when the
 * bucket is full again, 0 at first.
 */
static inline bool rate_allows(uint64_t *ready, uint64_t now, uint64_t each, uint64_t burst)
{
	uint64_t from = *ready > now ? *ready : now;

	if (from - now > (burst - 1) * each)
		return false;
	*ready = from + each;
	return true;
}

#endif /* KAIDO_RATE_H */
