/* SPDX-License-Identifier: BSD-3-Clause */
#include "replay.h"

#include <string.h>

/*
 * A window that starts in the middle of a word touches one word more than it fills, and a word is
 * emptied whole when the window enters it: the ring has room for window + 63 numbers.
 */
static uint32_t ring_words(uint32_t window)
{
	uint32_t words = 1;

	while (words * 64 < window + 63)
		words *= 2;
	return words;
}

size_t replay_size(uint32_t window)
{
	return sizeof(struct replay) + ring_words(window) * sizeof(uint64_t);
}

void replay_init(struct replay *r, uint32_t window)
{
	assert(window <= REPLAY_WINDOW_MAX);
	memset(r, 0, replay_size(window));
	r->window = window;
	r->mask = ring_words(window) - 1;
}

/* How many of first..last, all of them in the window, were not seen. */
static uint64_t count_unseen(const struct replay *r, uint64_t first, uint64_t last)
{
	uint64_t unseen, n = 0;

	for (uint64_t word = first / 64; word <= last / 64; word++) {
		unseen = ~r->bits[word & r->mask];
		if (word == first / 64)
			unseen &= ~0ull << first % 64;
		if (word == last / 64)
			unseen &= ~0ull >> (63 - last % 64);
		n += (uint64_t)__builtin_popcountll(unseen);
	}
	return n;
}

/* The numbers top - window + 1 .. seq - window leave the window, and top + 1 .. enter it. */
void replay_slide(struct replay *r, uint64_t seq)
{
	uint64_t left = seq > r->window ? seq - r->window : 0; /* the last that leaves */
	uint64_t lost = r->lost, steps = seq / 64 - r->top / 64;

	if (r->top != 0 && left != 0) {
		uint64_t first = r->top > r->window ? r->top - r->window + 1 : 1;

		if (left > r->top) {
			lost += left - r->top;
			left = r->top;
		}
		if (first <= left)
			lost += count_unseen(r, first, left);
		__atomic_store_n(&r->lost, lost, __ATOMIC_RELAXED);
	}
	if (steps > (uint64_t)r->mask + 1)
		steps = (uint64_t)r->mask + 1;
	for (uint64_t word = seq / 64; steps != 0; steps--, word--)
		__atomic_store_n(&r->bits[word & r->mask], 0, __ATOMIC_RELAXED);
}
