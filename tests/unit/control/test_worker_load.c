/* SPDX-License-Identifier: BSD-3-Clause */
/* What the workers did lately: over the right seconds, and of the right dataplane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "counters_map.h"
#include "worker_load.h"

#define WRITERS 3

struct bed {
	struct counters_worker row[WRITERS]; /* each is a whole region */
	struct counters_map map;
	struct worker_load load;
};

static struct bed *bed_create(uint64_t boot)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	bed->map.base = (const uint8_t *)bed->row;
	bed->map.size = sizeof(bed->row);
	bed->map.header = (struct counters_header){
		.writers = WRITERS,
		.boot = boot,
		.region_size = sizeof(bed->row[0]),
		.worker = { .rows = 1, .row_size = sizeof(bed->row[0]) },
	};
	return bed;
}

static void bed_destroy(struct bed *bed)
{
	worker_load_close(&bed->load);
	free(bed);
}

/* A second of so many packets. */
static void second(struct bed *bed, uint64_t packets)
{
	bed->row[2].packets += packets;
	bed->row[2].bursts[6] += packets / 64;
	bed->row[2].stage_cycles[STAGE_LOOP] += packets * 3;
	assert_int_equal(worker_load_look(&bed->load, &bed->map), 0);
}

static void check(const struct bed *bed, uint64_t all, uint64_t recent)
{
	struct counters_worker row, part;

	worker_load_read(&bed->load, &bed->map, 2, &row, &part);
	assert_int_equal(row.packets, all);
	assert_int_equal(part.packets, recent);
	assert_int_equal(part.bursts[6], recent / 64);
	assert_int_equal(part.stage_cycles[STAGE_LOOP], recent * 3);
	worker_load_read(&bed->load, &bed->map, 1, &row, &part);
	assert_int_equal(row.packets + part.packets, 0);
}

static void test_recent(void **state)
{
	struct bed *bed = bed_create(7);

	check(bed, 0, 0);
	second(bed, 6400); /* what was before the first look is not recent */
	check(bed, 6400, 0);
	for (uint64_t i = 1; i <= 10; i++) {
		second(bed, 64);
		/* All of it, until the first look is forgotten: at the tenth second five are left. */
		check(bed, 6400 + 64 * i, i < 10 ? 64 * i : 64 * 5);
	}
	for (uint64_t i = 1; i <= 5; i++)
		second(bed, 128);
	check(bed, 6400 + 64 * 10 + 128 * 5, 128 * 5);
	for (uint64_t i = 1; i <= 4; i++)
		second(bed, 0);
	check(bed, 6400 + 64 * 10 + 128 * 5, 128 * 5);
	second(bed, 0);
	check(bed, 6400 + 64 * 10 + 128 * 5, 0);
	bed_destroy(bed);
}

/* A new dataplane counts from zero: nothing is subtracted from it that another one counted. */
static void test_other_dataplane(void **state)
{
	struct bed *bed = bed_create(7);

	second(bed, 6400);
	second(bed, 6400);
	check(bed, 12800, 6400);
	bed->map.header.boot = 8;
	bed->row[2] = (struct counters_worker){ .packets = 64 };
	check(bed, 64, 0);
	second(bed, 0);
	bed->row[2] = (struct counters_worker){ 0 };
	assert_int_equal(worker_load_look(&bed->load, NULL), 0); /* away for a while */
	bed->map.header.boot = 9;
	assert_int_equal(worker_load_look(&bed->load, &bed->map), 0);
	second(bed, 640);
	check(bed, 640, 640);
	bed_destroy(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recent),
		cmocka_unit_test(test_other_dataplane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
