/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "icv_failure.h"
#include "peer_bed.h"

#define SECOND 1000u

static uint64_t failed(const struct peer_bed *p, uint32_t sa)
{
	return p->bed->worker->stats.sa[sa].icv_failed;
}

static void the_first_is_told_with_its_origin(void **state)
{
	for (uint32_t flags = 0; flags < 8; flags++) {
		struct peer_bed *p = peer_bed_create(flags, 64);
		const struct abi_event *e = &p->event[0];

		assert_int_equal(peer_forges(p, 7, 1, 100), 0);
		assert_int_equal(peer_events(p, 50 * SECOND), 1);
		assert_int_equal(e->kind, ABI_EVENT_ICV_FAILED);
		assert_int_equal(e->tenant, 1);
		assert_int_equal(e->tunnel, 1);
		assert_int_equal(e->sa, PEER_IN);
		assert_int_equal(e->spi, __builtin_bswap32(0x1001));
		assert_int_equal(e->count, 1);
		assert_int_equal(e->value, 7);
		assert_int_equal(e->port, flags & SA_UDP ? 31337 : 0);
		if (flags & SA_OUTER_V6) {
			assert_int_equal(e->address.family, ABI_IPV6);
			assert_int_equal(e->address.addr[0], 0x20);
			assert_int_equal(e->address.addr[15], 2);
		} else {
			assert_int_equal(e->address.family, ABI_IPV4);
			assert_memory_equal(e->address.addr, "\xc0\0\x02\x02", 4);
		}
		/* What is authentic tells nothing. */
		assert_int_equal(peer_sends(p, 8, 3, 100), 3);
		assert_int_equal(peer_events(p, 90 * SECOND), 1);
		peer_bed_destroy(p);
	}
}

static void an_sa_is_told_of_every_ten_seconds(void **state)
{
	struct peer_bed *p = peer_bed_create(0, 64);

	peer_forges(p, 1, 5, 100);
	assert_int_equal(peer_events(p, 100 * SECOND), 1);
	/* At once: the worker left a note for each, and the first spoke for all. */
	assert_int_equal(p->event[0].count, 5);
	for (uint32_t i = 0; i < 20; i++) {
		peer_forges(p, 1, 50, 100);
		assert_int_equal(peer_events(p, 100 * SECOND + i * 499), 1);
	}
	peer_forges(p, 9, 1, 100);
	assert_int_equal(peer_events(p, 110 * SECOND), 2);
	assert_int_equal(p->event[1].count, 1001);
	assert_int_equal(p->event[1].value, 9);
	assert_int_equal(failed(p, PEER_IN), 1006);
	peer_bed_destroy(p);
}

static void a_worker_notes_few(void **state)
{
	struct peer_bed *p = peer_bed_create(0, 64);
	struct event_note note;
	uint32_t notes = 0;

	p->bed->worker->tsc_hz = 1ull << 50; /* a second is longer than this test */
	for (uint32_t i = 0; i < 100; i++)
		peer_forges(p, 1, 64, 100);
	while (event_note_take(p->bed->worker->events, &note))
		notes++;
	assert_int_equal(notes, 1);
	assert_int_equal(failed(p, PEER_IN), 6400);
	peer_bed_destroy(p);
}

/* Failures of SAs 2 .. n + 1, made without packets. */
static void many_fail(struct peer_bed *p, uint32_t sas, uint32_t times)
{
	static const uint8_t l3[20] = { 0x45 };

	for (uint32_t i = 0; i < sas * times; i++) {
		struct packet packet = {
			.l3 = (uint8_t *)(uintptr_t)l3,
			.sa_id = 2 + i % sas,
			.sa = &p->bed->tables->sa[2 + i % sas],
			.family = IP_V4,
		};

		icv_failure_count(p->bed->worker, &packet);
	}
}

static void many_spis_do_not_flood(void **state)
{
	struct peer_bed *p = peer_bed_create(0, 64);
	struct event_note note;
	uint32_t notes = 0, events;

	p->bed->worker->tsc_hz = 1ull << 50;
	/* SAs that share a slot: each makes the worker forget the other; still so many at most. */
	for (uint32_t i = 0; i < 10000; i++) {
		struct packet packet = {
			.l3 = (uint8_t[20]){ 0x45 },
			.sa_id = i % 2 == 0 ? 2 : 2 + ICV_SLOTS,
			.sa = &p->bed->tables->sa[2],
			.family = IP_V4,
		};

		/* There are no counters for that many SAs. */
		p->bed->worker->stats.sa = (struct counters_sa[2 + ICV_SLOTS + 1]){ 0 };
		icv_failure_count(p->bed->worker, &packet);
	}
	p->bed->worker->stats = stats_writer(p->bed->stats, 1);
	while (event_note_take(p->bed->worker->events, &note))
		notes++;
	assert_int_equal(notes, 64);
	peer_bed_destroy(p);

	/* The main lcore tells of 32 at once and of four a second, whatever it hears of. */
	p = peer_bed_create(0, 64);
	for (uint32_t id = 3; id < 16; id++)
		p->gw.sa[id] = p->gw.sa[2];
	for (uint32_t i = 0; i < 4; i++) { /* 14 SAs every 10 s */
		many_fail(p, 14, 10);
		for (uint32_t id = 2; id < 16; id++)
			p->gw.life[id].icv.ready = 0; /* as if they were others */
		events = peer_events(p, 1000 * SECOND);
	}
	assert_int_equal(events, 32);
	many_fail(p, 14, 10);
	for (uint32_t id = 2; id < 16; id++)
		p->gw.life[id].icv.ready = 0;
	assert_int_equal(peer_events(p, 1001 * SECOND), 36);
	peer_bed_destroy(p);
}

static void nothing_is_lost_by_silence(void **state)
{
	struct peer_bed *p = peer_bed_create(0, 64);

	p->gw.icv_ready = 1000 * SECOND; /* the rate is used up */
	peer_forges(p, 1, 9, 100);
	assert_int_equal(peer_events(p, 1 * SECOND), 0);
	peer_forges(p, 2, 1, 100);
	assert_int_equal(peer_events(p, 1001 * SECOND), 1);
	assert_int_equal(p->event[0].count, 10);
	peer_bed_destroy(p);
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_told_with_its_origin),
		cmocka_unit_test(an_sa_is_told_of_every_ten_seconds),
		cmocka_unit_test(a_worker_notes_few),
		cmocka_unit_test(many_spis_do_not_flood),
		cmocka_unit_test(nothing_is_lost_by_silence),
	};

	return cmocka_run_group_tests_name("icv_failure", tests, setup, NULL);
}
