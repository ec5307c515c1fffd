/* SPDX-License-Identifier: BSD-3-Clause */
/* The SA table against an array. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "random.h"

/* The table itself: that an emptied one is as it was can only be seen inside. */
#include "sad.c"

enum spi_kind { SEQUENTIAL, STEPPED, RANDOM, KINDS };

/* Different for every i. */
static uint32_t spi_of(enum spi_kind kind, uint32_t i)
{
	uint64_t seed = i;

	switch (kind) {
	case SEQUENTIAL:
		return htonl(0x1000 + i);
	case STEPPED:
		return htonl((i + 1) << 12);
	default:
		return (uint32_t)(random_next(&seed) & ~0xfffffull) | i; /* i < 2^20 */
	}
}

static void check_all(const struct sad *sad, enum spi_kind kind, const uint32_t *index, uint32_t n)
{
	uint32_t spi[64], found[64], burst;

	for (uint32_t i = 0; i < n; i += burst) {
		burst = n - i < 64 ? n - i : 64;
		for (uint32_t k = 0; k < burst; k++)
			spi[k] = spi_of(kind, i + k);
		sad_lookup_burst(sad, spi, found, burst);
		for (uint32_t k = 0; k < burst; k++) {
			assert_int_equal(found[k], index[i + k]);
			assert_int_equal(sad_lookup(sad, spi[k]), index[i + k]);
		}
	}
	assert_int_equal(sad_lookup(sad, 0), 0);
}

/* Not one deleted pair is left, which would make look-ups longer. */
static void check_is_clean(const struct sad *sad)
{
	assert_int_equal(sad->count, 0);
	for (uint32_t at = 0; at <= sad->mask; at++) {
		assert_int_equal(sad->passed[at], 0);
		for (uint32_t i = 0; i < LINE_PAIRS; i++)
			assert_int_equal(sad->lines[at].pairs[i], PAIR_FREE);
	}
}

/* More names than room, so that it runs full and lines overflow again and again. */
static void storm(enum spi_kind kind, uint32_t max, uint32_t names, uint32_t steps)
{
	struct sad *sad = sad_create(max);
	uint32_t *index = calloc(names, sizeof(*index));
	uint32_t count = 0, bias = 50;
	uint64_t seed = max;

	assert_non_null(sad);
	assert_non_null(index);
	for (uint32_t n = 0; n < steps; n++) {
		uint32_t i = random_below(&seed, names), spi = spi_of(kind, i);

		if (n % 1024 == 0)
			bias = random_below(&seed, 101);
		if (random_below(&seed, 100) < bias) {
			uint32_t value = 1 + random_below(&seed, UINT32_MAX);
			int expected = index[i] != 0 ? -EEXIST : count == max ? -ENOSPC : 0;

			assert_int_equal(sad_add(sad, spi, value), expected);
			if (expected == 0) {
				index[i] = value;
				count++;
			}
		} else {
			assert_int_equal(sad_delete(sad, spi), index[i] != 0 ? 0 : -ENOENT);
			count -= index[i] != 0;
			index[i] = 0;
		}
		assert_int_equal(sad_lookup(sad, spi), index[i]);
		if (n % (4 * names) == 0)
			check_all(sad, kind, index, names);
	}
	check_all(sad, kind, index, names);
	for (uint32_t i = 0; i < names; i++) {
		assert_int_equal(sad_delete(sad, spi_of(kind, i)), index[i] != 0 ? 0 : -ENOENT);
		index[i] = 0;
	}
	check_all(sad, kind, index, names);
	check_is_clean(sad);
	free(index);
	sad_destroy(sad);
}

static void test_storm(void **state)
{
	for (enum spi_kind kind = SEQUENTIAL; kind < KINDS; kind++) {
		storm(kind, 1, 5, 20000);
		storm(kind, 8, 12, 20000);
		storm(kind, 64, 80, 400000);
		storm(kind, 1000, 1500, 400000);
	}
}

static void test_full_size(void **state)
{
	enum { MAX = 400000 };

	for (enum spi_kind kind = SEQUENTIAL; kind < KINDS; kind++) {
		struct sad *sad = sad_create(MAX);

		assert_non_null(sad);
		for (uint32_t i = 0; i < MAX; i++)
			assert_int_equal(sad_add(sad, spi_of(kind, i), i + 1), 0);
		assert_int_equal(sad_add(sad, spi_of(kind, MAX), 1), -ENOSPC);
		for (uint32_t i = 0; i < MAX; i++)
			assert_int_equal(sad_lookup(sad, spi_of(kind, i)), i + 1);
		assert_int_equal(sad_lookup(sad, spi_of(kind, MAX)), 0);
		sad_destroy(sad);
	}
}

static void test_refusals(void **state)
{
	struct sad *sad;

	assert_null(sad_create(0));
	assert_null(sad_create((1u << 30) + 1));
	sad_destroy(NULL);
	sad = sad_create(10);
	assert_non_null(sad);
	assert_int_equal(sad_add(sad, 0, 1), -EINVAL);
	assert_int_equal(sad_add(sad, 1, 0), -EINVAL);
	assert_int_equal(sad_delete(sad, 0), -ENOENT);
	assert_int_equal(sad_delete(sad, 1), -ENOENT);
	assert_int_equal(sad_add(sad, UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(sad_add(sad, UINT32_MAX, 1), -EEXIST);
	assert_int_equal(sad_lookup(sad, UINT32_MAX), UINT32_MAX);
	sad_destroy(sad);
}

/*
 * The upper half of the names stands still and must be found always; the lower half comes and goes
 * and is found with an index that it has had or not at all. An index has the name below and one of
 * 16 bits above, so that no mixture of two passes for one.
 */
enum { NAMES = 128, FIXED = 64, READERS = 2, CHANGES = 1000000 };

static uint32_t index_of(uint32_t name, uint32_t bit)
{
	return 1u << (16 + bit) | name;
}

static bool is_index_of(uint32_t index, uint32_t name)
{
	return (index & 0xffff) == name && __builtin_popcount(index >> 16) == 1;
}

struct reader {
	const struct sad *sad;
	const bool *stop;
	uint64_t rounds;
	uint64_t wrong;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	uint32_t spi[NAMES], found[NAMES];

	for (uint32_t i = 0; i < NAMES; i++)
		spi[i] = spi_of(RANDOM, i);
	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		sad_lookup_burst(r->sad, spi, found, 64);
		sad_lookup_burst(r->sad, spi + 64, found + 64, 64);
		for (uint32_t i = 0; i < NAMES; i++)
			r->wrong += !is_index_of(found[i], i) && (i >= FIXED || found[i] != 0);
		__atomic_add_fetch(&r->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_concurrent(void **state)
{
	struct sad *sad = sad_create(NAMES);
	struct reader readers[READERS];
	pthread_t threads[READERS];
	bool stop = false, there[FIXED] = { false };
	uint64_t seed = 1;

	assert_non_null(sad);
	/* Among the coming and going, so that some of the fixed ones stand behind full lines. */
	for (uint32_t i = 0; i < NAMES; i++)
		assert_int_equal(sad_add(sad, spi_of(RANDOM, i), index_of(i, 0)), 0);
	for (uint32_t i = 0; i < FIXED; i++)
		assert_int_equal(sad_delete(sad, spi_of(RANDOM, i)), 0);
	for (uint32_t i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .sad = sad, .stop = &stop };
		assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &readers[i]), 0);
	}
	for (uint32_t i = 0; i < READERS; i++) {
		while (__atomic_load_n(&readers[i].rounds, __ATOMIC_RELAXED) == 0)
			sched_yield();
	}
	for (uint32_t n = 0; n < CHANGES; n++) {
		uint32_t i = random_below(&seed, FIXED);

		if (there[i])
			assert_int_equal(sad_delete(sad, spi_of(RANDOM, i)), 0);
		else
			assert_int_equal(sad_add(sad, spi_of(RANDOM, i), index_of(i, n % 16)), 0);
		there[i] = !there[i];
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
	sad_destroy(sad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_full_size),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_concurrent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
