/* SPDX-License-Identifier: BSD-3-Clause */
#include "sa_harness.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include "replay.h"
#include "sad.h"

#define BURST    64u
#define SAD_ROOM 400000u

struct sa_harness {
	struct sad *sad;
	uint32_t sas;
	size_t stride; /* bytes from one window to the next */
	uint8_t *windows;
	uint64_t *next; /* number, by SA */
	uint32_t sa[SA_HARNESS_PACKETS];
	uint32_t spi[SA_HARNESS_PACKETS];
	uint32_t unknown[SA_HARNESS_PACKETS];
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* No two alike: multiplying by an odd number is one to one. Never 0 for i > 0. */
static uint32_t spi_of(uint32_t i)
{
	return i * 0x9e3779b1u;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct replay *window_of(struct sa_harness *h, uint32_t sa)
{
	return (struct replay *)(void *)(h->windows + sa * h->stride);
}

struct sa_harness *sa_harness_create(uint32_t sas, uint32_t window)
{
	struct sa_harness *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->sas = sas;
	h->stride = (replay_size(window) + 63) & ~(size_t)63;
	h->sad = sad_create(SAD_ROOM);
	h->windows = aligned_alloc(64, sas * h->stride);
	h->next = calloc(sas, sizeof(*h->next));
	if (h->sad == NULL || h->windows == NULL || h->next == NULL)
		goto destroy;
	for (uint32_t i = 0; i < sas; i++) {
		replay_init(window_of(h, i), window);
		if (sad_add(h->sad, spi_of(i + 1), i + 1) != 0)
			goto destroy;
	}
	for (uint32_t i = 0; i < SA_HARNESS_PACKETS; i++) {
		h->sa[i] = (uint32_t)(mix(i + 1) % sas);
		h->spi[i] = spi_of(h->sa[i] + 1);
		h->unknown[i] = spi_of(SAD_ROOM + 1 + (uint32_t)(mix(i + 1) % SAD_ROOM));
	}
	return h;

destroy:
	sa_harness_destroy(h);
	return NULL;
}

void sa_harness_destroy(struct sa_harness *h)
{
	if (h == NULL)
		return;
	sad_destroy(h->sad);
	free(h->windows);
	free(h->next);
	free(h);
}

struct sa_pass sa_harness_lookup(struct sa_harness *h, int miss)
{
	const uint32_t *spi = miss ? h->unknown : h->spi;
	struct sa_pass pass = { 0 };
	uint32_t index[BURST];
	double start = now();
	uint64_t began;

	for (uint32_t i = 0; i < SA_HARNESS_PACKETS; i += BURST) {
		_mm_lfence();
		began = __rdtsc();
		sad_lookup_burst(h->sad, &spi[i], index, BURST);
		_mm_lfence();
		pass.cycles += __rdtsc() - began;
		for (uint32_t k = 0; k < BURST; k++) {
			if (index[k] != (miss ? 0 : h->sa[i + k] + 1))
				abort();
		}
	}
	pass.seconds = now() - start;
	return pass;
}

/* All the packets of a burst belong to one SA: they are settled under one lock. */
static uint32_t settle_run(struct replay *r, const uint64_t *seq)
{
	uint32_t good = 0;

	for (uint32_t k = 0; k < BURST; k++)
		good += replay_check(r, replay_guess(r, (uint32_t)seq[k])) == REPLAY_NEW;
	replay_lock(r);
	for (uint32_t k = 0; k < BURST; k++)
		good += replay_commit(r, seq[k]) == REPLAY_NEW;
	replay_unlock(r);
	return good;
}

static uint32_t settle_each(struct sa_harness *h, const uint32_t *sa, const uint64_t *seq)
{
	uint32_t good = 0;

	for (uint32_t k = 0; k < BURST; k++)
		__builtin_prefetch(window_of(h, sa[k]), 1);
	for (uint32_t k = 0; k < BURST; k++) {
		struct replay *r = window_of(h, sa[k]);

		good += replay_check(r, replay_guess(r, (uint32_t)seq[k])) == REPLAY_NEW;
	}
	for (uint32_t k = 0; k < BURST; k++) {
		struct replay *r = window_of(h, sa[k]);

		replay_lock(r);
		good += replay_commit(r, seq[k]) == REPLAY_NEW;
		replay_unlock(r);
	}
	return good;
}

struct sa_pass sa_harness_replay(struct sa_harness *h)
{
	struct sa_pass pass = { 0 };
	uint64_t seq[BURST], began;
	double start = now();
	uint32_t good;

	for (uint32_t i = 0; i < SA_HARNESS_PACKETS; i += BURST) {
		for (uint32_t k = 0; k < BURST; k++)
			seq[k] = ++h->next[h->sa[i + k]];
		_mm_lfence();
		began = __rdtsc();
		if (h->sas == 1)
			good = settle_run(window_of(h, 0), seq);
		else
			good = settle_each(h, &h->sa[i], seq);
		_mm_lfence();
		pass.cycles += __rdtsc() - began;
		if (good != 2 * BURST)
			abort();
	}
	pass.seconds = now() - start;
	return pass;
}
