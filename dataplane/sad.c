/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LINE_PAIRS 8u

/* A pair: the SPI in the low half, the index in the high half. */
#define PAIR_FREE    0ull         /* a look-up ends in a line that has one */
#define PAIR_DELETED (1ull << 32) /* SPI 0: matches nothing, free for an addition */

struct line {
	uint64_t pairs[LINE_PAIRS]; /* atomic */
};
static_assert(sizeof(struct line) == 64, "one cache line");

struct sad {
	struct line *lines;
	uint32_t mask;  /* lines - 1 */
	uint32_t shift; /* 64 - log2(pairs) */
	/*
	 * By line: how many SPIs stand in a later line because this one was full. While there is
	 * one, the line must not show a free pair.
	 */
	uint32_t *passed;
	uint32_t count;
	uint32_t max;
	uint32_t announced; /* generation; atomic */
};

static void *map_zero(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

struct sad *sad_create(uint32_t max)
{
	uint32_t bits = 1;
	struct sad *sad;
	size_t lines;

	if (max == 0 || max > 1u << 30)
		return NULL;
	while ((uint64_t)LINE_PAIRS << bits < 2ull * max)
		bits++;
	lines = (size_t)1 << bits;
	sad = calloc(1, sizeof(*sad));
	if (sad == NULL)
		return NULL;
	sad->lines = map_zero(lines * sizeof(*sad->lines));
	if (sad->lines == NULL)
		goto free_sad;
	sad->passed = map_zero(lines * sizeof(*sad->passed));
	if (sad->passed == NULL)
		goto unmap_lines;
	sad->mask = (uint32_t)lines - 1;
	sad->shift = 64 - bits - 3;
	sad->max = max;
	return sad;

unmap_lines:
	munmap(sad->lines, lines * sizeof(*sad->lines));
free_sad:
	free(sad);
	return NULL;
}

void sad_destroy(struct sad *sad)
{
	if (sad == NULL)
		return;
	munmap(sad->passed, ((size_t)sad->mask + 1) * sizeof(*sad->passed));
	munmap(sad->lines, ((size_t)sad->mask + 1) * sizeof(*sad->lines));
	free(sad);
}

/*
 * Fibonacci hashing spreads the neighbouring numbers that SPIs like to be. Of the result, the upper
 * bits are the line and the last three the place in it that is tried first.
 */
static inline uint32_t place(const struct sad *sad, uint32_t spi)
{
	return (uint32_t)(__builtin_bswap32(spi) * 0x9e3779b97f4a7c15ull >> sad->shift);
}

static inline uint32_t home(const struct sad *sad, uint32_t spi)
{
	return place(sad, spi) / LINE_PAIRS;
}

static inline uint64_t pair_load(const uint64_t *pair)
{
	return __atomic_load_n(pair, __ATOMIC_ACQUIRE);
}

static inline void pair_store(uint64_t *pair, uint64_t value)
{
	__atomic_store_n(pair, value, __ATOMIC_RELEASE);
}

static uint64_t *line_find(struct line *line, uint32_t spi)
{
	for (uint32_t i = 0; i < LINE_PAIRS; i++) {
		if ((uint32_t)line->pairs[i] == spi)
			return &line->pairs[i];
	}
	return NULL;
}

static uint64_t *find(struct sad *sad, uint32_t spi, uint32_t *at)
{
	uint64_t *pair;

	*at = home(sad, spi);
	for (uint32_t n = 0; n <= sad->mask; n++, *at = (*at + 1) & sad->mask) {
		pair = line_find(&sad->lines[*at], spi);
		if (pair != NULL)
			return pair;
		if (sad->passed[*at] == 0)
			return NULL;
	}
	return NULL;
}

static bool is_unused(uint64_t pair)
{
	return pair == PAIR_FREE || pair == PAIR_DELETED;
}

/* An unused pair of the line, the preferred one if it can be. */
static uint64_t *line_unused(struct line *line, uint32_t preferred)
{
	for (uint32_t i = 0; i < LINE_PAIRS; i++) {
		uint64_t *pair = &line->pairs[(preferred + i) % LINE_PAIRS];

		if (is_unused(*pair))
			return pair;
	}
	return NULL;
}

int sad_add(struct sad *sad, uint32_t spi, uint32_t index)
{
	uint64_t *pair;
	uint32_t at;

	if (spi == 0 || index == 0)
		return -EINVAL;
	if (find(sad, spi, &at) != NULL)
		return -EEXIST;
	if (sad->count == sad->max)
		return -ENOSPC;
	at = home(sad, spi);
	while ((pair = line_unused(&sad->lines[at], place(sad, spi))) == NULL) {
		sad->passed[at]++;
		at = (at + 1) & sad->mask;
	}
	pair_store(pair, (uint64_t)index << 32 | spi);
	sad->count++;
	return 0;
}

static void line_sweep(struct line *line)
{
	for (uint32_t i = 0; i < LINE_PAIRS; i++) {
		if (line->pairs[i] == PAIR_DELETED)
			pair_store(&line->pairs[i], PAIR_FREE);
	}
}

int sad_delete(struct sad *sad, uint32_t spi)
{
	uint64_t *pair;
	uint32_t at;

	if (spi == 0)
		return -ENOENT;
	pair = find(sad, spi, &at);
	if (pair == NULL)
		return -ENOENT;
	pair_store(pair, sad->passed[at] != 0 ? PAIR_DELETED : PAIR_FREE);
	for (uint32_t i = home(sad, spi); i != at; i = (i + 1) & sad->mask) {
		if (--sad->passed[i] == 0)
			line_sweep(&sad->lines[i]);
	}
	sad->count--;
	return 0;
}

void sad_announce(struct sad *sad, uint32_t generation)
{
	__atomic_store_n(&sad->announced, generation, __ATOMIC_RELEASE);
}

uint32_t sad_announced(const struct sad *sad)
{
	return __atomic_load_n(&sad->announced, __ATOMIC_ACQUIRE);
}

/*
 * All eight pairs without a branch, for where in its line an SPI stands can't be predicted. False:
 * the search goes on in the next line. Of an SPI that is just being moved by a deletion and an
 * addition, it gives one index or the other.
 */
static inline bool line_search(const struct line *line, uint32_t spi, uint32_t *index)
{
	uint64_t pair, found = 0;
	bool free = false;

	for (uint32_t i = 0; i < LINE_PAIRS; i++) {
		pair = pair_load(&line->pairs[i]);
		found = (uint32_t)pair == spi ? pair : found;
		free |= pair == PAIR_FREE;
	}
	*index = (uint32_t)(found >> 32);
	return free || found != 0;
}

static uint32_t search(const struct sad *sad, uint32_t spi)
{
	uint32_t at = home(sad, spi), index;

	for (uint32_t n = 0; n <= sad->mask; n++, at = (at + 1) & sad->mask) {
		if (line_search(&sad->lines[at], spi, &index))
			return index;
	}
	return 0;
}

uint32_t sad_lookup(const struct sad *sad, uint32_t spi)
{
	uint32_t at = place(sad, spi);
	uint64_t pair = pair_load(&sad->lines[at / LINE_PAIRS].pairs[at % LINE_PAIRS]);

	if (spi == 0)
		return 0;
	if ((uint32_t)pair == spi)
		return (uint32_t)(pair >> 32);
	return search(sad, spi);
}

void sad_prefetch(const struct sad *sad, uint32_t spi)
{
	__builtin_prefetch(&sad->lines[home(sad, spi)]);
}

void sad_lookup_burst(const struct sad *sad, const uint32_t *spi, uint32_t *index, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sad_prefetch(sad, spi[i]);
	for (uint32_t i = 0; i < n; i++)
		index[i] = sad_lookup(sad, spi[i]);
}
