/* SPDX-License-Identifier: BSD-3-Clause */
/* Seeded numbers, the same in every run (splitmix64). */
#ifndef KAIDO_TEST_RANDOM_H
#define KAIDO_TEST_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((random_next(state) >> 32) * limit >> 32);
}

#endif /* KAIDO_TEST_RANDOM_H */
