/* SPDX-License-Identifier: BSD-3-Clause */
/* Lifetimes over restarts: what is left, and that the dead stay dead. */
#include "control_bed.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "counters_map.h"
#include "life.h"
#include "model.h"

#define SAS 8

/* A dataplane's counters: one writer with a table of SAs. */
struct counted {
	struct counters_map map;
	struct counters_sa sa[SAS];
};

static void counted_init(struct counted *counted, uint64_t boot)
{
	memset(counted, 0, sizeof(*counted));
	counted->map.base = (const uint8_t *)counted->sa;
	counted->map.size = sizeof(counted->sa);
	counted->map.header.writers = 1;
	counted->map.header.boot = boot;
	counted->map.header.region_size = sizeof(counted->sa);
	counted->map.header.sa = (struct counters_table){ 0, SAS, sizeof(struct counters_sa) };
}

static struct sa sa_make(uint32_t id, uint8_t key)
{
	struct sa sa = { .id = id, .direction = ABI_SA_IN, .spi = 0x1000 + id };

	memset(sa.digest, key, sizeof(sa.digest));
	return sa;
}

static void lives_start(struct bed *bed, struct lives *lives, uint64_t boot)
{
	lives_open(lives, bed->store);
	lives->boot = boot;
}

static int install(struct bed *bed, struct lives *lives, const struct sa *sa,
		   const struct lifetime *lifetime, struct abi_sa *record,
		   enum abi_sa_state *became)
{
	int ret, kept = store_begin(bed->store);

	memset(record, 0, sizeof(*record));
	record->id = sa->id;
	ret = life_install(lives, sa, lifetime, true, record, became);
	if (kept == 0 && (ret == 0 || ret == -ETIME))
		kept = store_commit(bed->store);
	else
		store_abort(bed->store);
	assert_int_equal(kept, 0);
	return ret;
}

static void adopt(struct bed *bed, struct lives *lives, const struct sa *sa,
		  const struct lifetime *lifetime, enum abi_sa_state state)
{
	struct abi_sa record = { .id = sa->id, .state = (uint8_t)state };

	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(life_adopt(lives, sa, lifetime, &record), 0);
	assert_int_equal(store_commit(bed->store), 0);
}

/* It was born so long ago. */
static void age(struct bed *bed, const struct sa *sa, int64_t seconds)
{
	struct store_life life;

	assert_int_equal(store_life_get(bed->store, sa->digest, &life), 1);
	life.born = time(NULL) - seconds;
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(store_life_set(bed->store, sa->digest, &life), 0);
	assert_int_equal(store_commit(bed->store), 0);
}

static void seconds_go_on_over_restarts(void **state)
{
	struct bed *bed = *state;
	struct lifetime lifetime = { .soft = { .seconds = 3000 }, .hard = { .seconds = 100000 } };
	const struct lifetime later = { .soft = { .seconds = 60000 } };
	struct sa sa = sa_make(3, 7), other_id = sa_make(5, 7);
	enum abi_sa_state became;
	struct abi_sa record;
	struct lives lives;

	lives_start(bed, &lives, 1);
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), 0);
	assert_int_equal(record.soft.seconds, 3000);
	assert_int_equal(record.hard.seconds, 100000);
	assert_int_equal(record.hard.bytes, 0);
	assert_int_equal(became, ABI_SA_LIVE);
	age(bed, &sa, 1000);
	lives_close(&lives);
	bed_close(bed);
	bed_open(bed);
	lives_start(bed, &lives, 2);
	assert_int_equal(install(bed, &lives, &other_id, &lifetime, &record, &became), 0);
	assert_in_range(record.soft.seconds, 1900, 2000);
	assert_in_range(record.hard.seconds, 98900, 99000);
	age(bed, &sa, 50000);
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), 0);
	assert_int_equal(became, ABI_SA_SOFT);
	assert_int_equal(record.soft.seconds, 0);
	/* Told once, and taken back where the limit is put later. */
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), 0);
	assert_int_equal(became, ABI_SA_LIVE);
	assert_int_equal(life_find(&lives, sa.id)->record.state, ABI_SA_SOFT);
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(life_repeat(&lives, &later, NULL, true, &record), 0);
	assert_int_equal(store_commit(bed->store), 0);
	assert_int_equal(life_find(&lives, sa.id)->record.state, ABI_SA_LIVE);
	age(bed, &sa, 100000);
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), -ETIME);
	assert_int_equal(became, ABI_SA_HARD);
	/* A clock that goes back, or a longer life, brings nobody back. */
	age(bed, &sa, 10);
	lifetime.hard.seconds = 0;
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), -ETIME);
	assert_int_equal(became, ABI_SA_LIVE);
	assert_true(life_is_over(bed->store, &other_id));
	lives_close(&lives);
}

static void uses_are_added_over_dataplanes(void **state)
{
	struct bed *bed = *state;
	const struct lifetime lifetime = { .soft = { .packets = 500 },
					   .hard = { .bytes = 100000, .packets = 1000 } };
	struct sa sa = sa_make(3, 7);
	enum abi_sa_state became;
	struct counted counted;
	struct store_life look;
	struct abi_sa record;
	struct lives lives;

	lives_start(bed, &lives, 1);
	counted_init(&counted, 1);
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), 0);
	assert_int_equal(record.hard.bytes, 100000);
	counted.sa[3] = (struct counters_sa){ .packets = 300, .bytes = 40000 };
	assert_int_equal(lives_save(&lives, &counted.map), 0);
	/* kaidod goes and comes, the dataplane stays. */
	lives_close(&lives);
	bed_close(bed);
	bed_open(bed);
	lives_start(bed, &lives, 1);
	adopt(bed, &lives, &sa, &lifetime, ABI_SA_LIVE);
	counted.sa[3] = (struct counters_sa){ .packets = 450, .bytes = 60000 };
	assert_int_equal(life_look(&lives, &counted.map, &sa, &look), 1);
	assert_int_equal(look.used.packets, 450);
	/* It is told the same again: the dataplane counts from the beginning. */
	record = (struct abi_sa){ .id = sa.id };
	assert_int_equal(life_repeat(&lives, &lifetime, NULL, true, &record), 0);
	assert_int_equal(record.hard.bytes, 100000);
	/* The dataplane dies; what it counted last is known. */
	lives_lost(&lives);
	assert_int_equal(lives_save(&lives, &counted.map), 0);
	lives.boot = 2;
	counted_init(&counted, 2);
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), 0);
	assert_int_equal(record.soft.packets, 50);
	assert_int_equal(record.hard.packets, 550);
	assert_int_equal(record.hard.bytes, 40000);
	counted.sa[3] = (struct counters_sa){ .packets = 100, .bytes = 40000 };
	assert_int_equal(lives_save(&lives, &counted.map), 0);
	assert_int_equal(life_look(&lives, NULL, &sa, &look), 1);
	assert_int_equal(look.used.packets, 550);
	assert_int_equal(look.used.bytes, 100000);
	lives.boot = 3;
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), -ETIME);
	assert_int_equal(became, ABI_SA_HARD);
	lives_close(&lives);
}

static int repeat(struct bed *bed, struct lives *lives, const struct lifetime *lifetime,
		  const struct abi_sa *told, struct abi_sa *record)
{
	int ret;

	assert_int_equal(store_begin(bed->store), 0);
	ret = life_repeat(lives, lifetime, told, true, record);
	assert_int_equal(store_commit(bed->store), 0);
	return ret;
}

/* Seconds begin anew with each SET; packets and bytes go on. */
static void another_lifetime_counts_what_was_before(void **state)
{
	struct bed *bed = *state;
	const struct lifetime none = { 0 }, day = { .hard = { .seconds = 86400, .bytes = 10 } };
	struct sa sa = sa_make(3, 7);
	enum abi_sa_state became;
	struct abi_sa record, told = { 0 };
	struct lives lives;

	lives_start(bed, &lives, 1);
	assert_int_equal(install(bed, &lives, &sa, &none, &record, &became), 0);
	assert_int_equal(record.hard.seconds, 0);
	age(bed, &sa, 1000);
	adopt(bed, &lives, &sa, &none, ABI_SA_LIVE);
	assert_int_equal(repeat(bed, &lives, &day, &told, &record), 0);
	assert_in_range(record.hard.seconds, 85300, 85400);
	assert_int_equal(record.hard.bytes, 10);
	told = record;
	/* After a restart of kaidod the dump shows what was told, however long ago. */
	age(bed, &sa, 5000);
	lives_close(&lives);
	lives_start(bed, &lives, 1);
	adopt(bed, &lives, &sa, &day, ABI_SA_LIVE);
	assert_int_equal(repeat(bed, &lives, &day, &told, &record), -EALREADY);
	assert_int_equal(repeat(bed, &lives, &none, &told, &record), 0);
	assert_int_equal(record.hard.seconds, 0);
	lives_close(&lives);
}

/* What lies behind already ends at once, and not never. */
static void a_shorter_life_ends_one_that_is_there(void **state)
{
	struct bed *bed = *state;
	const struct lifetime none = { 0 }, shorter = { .hard = { .seconds = 60, .bytes = 10 } };
	struct sa sa = sa_make(3, 7);
	enum abi_sa_state became;
	struct abi_sa record;
	struct lives lives;

	lives_start(bed, &lives, 1);
	assert_int_equal(install(bed, &lives, &sa, &none, &record, &became), 0);
	age(bed, &sa, 1000);
	adopt(bed, &lives, &sa, &none, ABI_SA_LIVE);
	assert_int_equal(repeat(bed, &lives, &shorter, NULL, &record), 0);
	assert_int_equal(record.hard.seconds, 1);
	assert_int_equal(record.hard.bytes, 10);
	lives_close(&lives);
}

static void what_the_dataplane_ended_stays_dead(void **state)
{
	struct bed *bed = *state;
	const struct lifetime lifetime = { .hard = { .seconds = 1000 } };
	struct sa told = sa_make(3, 7), seen = sa_make(4, 8);
	enum abi_sa_state became;
	struct abi_sa record;
	struct lives lives;

	lives_start(bed, &lives, 1);
	assert_int_equal(install(bed, &lives, &told, &lifetime, &record, &became), 0);
	assert_int_equal(install(bed, &lives, &seen, &lifetime, &record, &became), 0);
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(life_mark(&lives, told.id, ABI_SA_HARD), 0);
	assert_int_equal(store_commit(bed->store), 0);
	adopt(bed, &lives, &seen, &lifetime, ABI_SA_HARD);
	record.id = told.id;
	assert_int_equal(life_repeat(&lives, &lifetime, NULL, true, &record), -ETIME);
	lives_close(&lives);
	bed_close(bed);
	bed_open(bed);
	lives_start(bed, &lives, 2);
	assert_int_equal(install(bed, &lives, &told, &lifetime, &record, &became), -ETIME);
	assert_int_equal(install(bed, &lives, &seen, &lifetime, &record, &became), -ETIME);
	assert_null(life_find(&lives, told.id));
	lives_close(&lives);
}

/* Where the disk can't be written, what has ended is not installed all the same. */
static void a_disk_that_is_full_revives_nobody(void **state)
{
	struct bed *bed = *state;
	const struct lifetime lifetime = { .hard = { .seconds = 1000 } };
	struct sa sa = sa_make(3, 7);
	enum abi_sa_state became;
	struct abi_sa record;
	struct lives lives;

	lives_start(bed, &lives, 1);
	assert_int_equal(install(bed, &lives, &sa, &lifetime, &record, &became), 0);
	age(bed, &sa, 400);
	assert_int_equal(life_install(&lives, &sa, &lifetime, false, &record, &became), 0);
	assert_in_range(record.hard.seconds, 500, 600);
	age(bed, &sa, 1000);
	assert_int_equal(life_install(&lives, &sa, &lifetime, false, &record, &became), -ETIME);
	lives_close(&lives);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(seconds_go_on_over_restarts),
		TEST(uses_are_added_over_dataplanes),
		TEST(another_lifetime_counts_what_was_before),
		TEST(a_shorter_life_ends_one_that_is_there),
		TEST(what_the_dataplane_ended_stays_dead),
		TEST(a_disk_that_is_full_revives_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
