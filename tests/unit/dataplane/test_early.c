/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP that is ahead of its SA: it waits, goes on in order when the SA has come, and is spi_unknown when it
 * has not come in time; floods take their share and no more; every packet is in one counter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "early.h"
#include "ip_header.h"
#include "random.h"
#include "testbed.h"

#define CYCLES (1ull << 60) /* never, unless a test says so */
#define ROOM   64
#define FRAMES 100

struct esp_frame {
	uint8_t bytes[1400];
	uint32_t len;
};

struct world {
	struct testbed *bed;
	struct worker *w;
	struct wire lan, wan;
	struct esp_frame frame[FRAMES]; /* sealed, in order; the inner IP id is the index */
	struct esp_frame large;         /* sealed behind them; its id is 0 */
	uint64_t now;
	uint64_t forwarded;
	uint32_t generation; /* of the newest SA */
};

static void seal(struct world *o, const uint8_t *frame, uint32_t len, struct esp_frame *f)
{
	f->len = testbed_seal(o->bed, frame, len, f->bytes);
	assert_true(f->len <= sizeof(f->bytes));
}

/* The outbound side has sealed all; the inbound SA is not there. */
static struct world *world_create(uint32_t flags, uint32_t room, uint64_t pause)
{
	struct world *o = calloc(1, sizeof(*o));
	uint8_t frame[2048];

	assert_non_null(o);
	o->bed = testbed_create(flags, 16, 1024);
	/* Which sources have one share is the same in each run. */
	o->bed->tables->flow_key[0] = 1;
	o->bed->tables->flow_key[1] = 2;
	o->w = o->bed->worker;
	o->w->tx[1].dpdk_id = 1;
	o->w->tx[0].segments = true;
	for (uint32_t i = 0; i < FRAMES; i++)
		seal(o, frame, testbed_numbered(frame, (uint16_t)i), &o->frame[i]);
	seal(o, frame, testbed_frame(frame, IP_V4, 1200, true), &o->large);
	testbed_swap(o->bed);
	memset(&o->w->stats.tenant[1], 0, sizeof(o->w->stats.tenant[1]));
	wire_attach(&o->lan, 0, WIRE_MAX);
	wire_attach(&o->wan, 1, WIRE_MAX);
	assert_int_equal(sad_delete(o->bed->tables->sad, o->bed->tables->sa[2].in.spi), 0);
	assert_int_equal(early_create(room, CYCLES, pause, 0, &o->w->early), 0);
	o->now = rte_rdtsc();
	return o;
}

/* It is found, and its transaction is not over. */
static void sa_is_added(struct world *o)
{
	o->bed->tables->sa[2].in.generation = ++o->generation;
	assert_int_equal(sad_add(o->bed->tables->sad, o->bed->tables->sa[2].in.spi, 2), 0);
}

static void announce(struct world *o)
{
	sad_announce(o->bed->tables->sad, o->generation);
}

static void sa_comes(struct world *o)
{
	sa_is_added(o);
	announce(o);
}

/* Another one, that nobody waits for. */
static void other_comes(struct world *o)
{
	o->generation++;
	announce(o);
}

static void world_destroy(struct world *o)
{
	early_destroy(o->w->early);
	o->w->early = NULL;
	wire_free(&o->lan);
	wire_free(&o->wan);
	testbed_destroy(o->bed); /* looks whether all buffers came back */
	free(o);
}

/* All that is left has waited for too long; then nothing is in flight. */
static void world_ends(struct world *o)
{
	early_end(o->w);
	assert_int_equal(o->w->early_held, 0);
	testbed_conserved(o->bed, 0, 0);
	testbed_conserved(o->bed, 1, o->forwarded);
	world_destroy(o);
}

/* They go on the wire as one burst, from `source` where that is not 0 (IPv4). */
static void arrive_from(struct world *o, uint32_t from, uint32_t n, uint32_t source)
{
	struct rte_mbuf *m[BURST_MAX];

	assert_true(n <= BURST_MAX);
	for (uint32_t i = 0; i < n; i++) {
		struct esp_frame f = o->frame[from + i];
		uint8_t *ip = f.bytes + 14;

		if (source != 0) {
			store32(ip + 12, source);
			store16(ip + 10, 0);
			store16(ip + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(ip, 20)));
		}
		m[i] = testbed_mbuf(o->bed, f.bytes, f.len);
	}
	worker_walk(o->w, BED_PORT_UNDERLAY, m, n);
	worker_finish(o->w);
}

static void arrive(struct world *o, uint32_t from, uint32_t n)
{
	arrive_from(o, from, n, 0);
}

static uint32_t polled(struct world *o)
{
	return o->w->early_held != 0 ? early_poll(o->w, o->now) : 0;
}

/* The next on the LAN is number `from`, and so on, and there are no others. */
static void came_out(struct world *o, uint32_t from, uint32_t n)
{
	assert_int_equal(o->lan.n, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(load_be16(rte_pktmbuf_mtod_offset(o->lan.frame[i], const uint8_t *,
								   14 + 4)),
				 from + i);
	o->forwarded += n;
	wire_free(&o->lan);
}

static uint64_t unknown(const struct world *o)
{
	return testbed_drops(o->bed, 0, DROP_spi_unknown);
}

/* Another SPI from anywhere; packets of the SA that comes, from its peer. */
static void flood(struct world *o, uint32_t packets, bool forged)
{
	uint64_t random = 5;

	for (uint32_t i = 0; i < packets; i++) {
		struct esp_frame keep = o->frame[FRAMES - 1];

		store32(o->frame[FRAMES - 1].bytes + 14 + 20, 0x77000000u + i);
		arrive_from(o, FRAMES - 1, 1,
			    forged ? random_below(&random, UINT32_MAX) | 1 : 0x0a0b0c0du);
		o->frame[FRAMES - 1] = keep;
	}
}

static void check_waits_and_goes_on(uint32_t flags)
{
	struct world *o = world_create(flags, ROOM, 0);
	uint64_t rx = o->w->stats.port[1].rx_packets;

	arrive(o, 0, 20);
	arrive(o, 20, 10);
	assert_int_equal(o->w->early_held, 30);
	/* Nobody's yet, but the port's and the attachment's. */
	assert_int_equal(o->w->stats.tenant[0].in_packets + o->w->stats.tenant[1].in_packets, 0);
	assert_int_equal(o->w->stats.port[1].rx_packets - rx, 30);
	assert_int_equal(polled(o), 0);

	sa_comes(o);
	assert_int_equal(polled(o), 30);
	assert_int_equal(o->w->early_held, 0);
	arrive(o, 30, 5);
	came_out(o, 0, 35);
	assert_int_equal(o->w->stats.worker->early_packets, 30);
	assert_int_equal(o->w->stats.tenant[1].in_packets, 35);
	assert_int_equal(o->w->stats.sa[2].packets, 35);
	assert_int_equal(o->w->stats.sa[2].lost, 0);
	assert_int_equal(unknown(o), 0);
	assert_int_equal(o->w->stats.port[1].rx_packets - rx, 35);
	world_ends(o);
}

static void test_waits_and_goes_on(void **state)
{
	static const uint32_t forms[] = { 0, SA_UDP, SA_OUTER_V6, SA_OUTER_V6 | SA_UDP, SA_ESN };

	for (uint32_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		check_waits_and_goes_on(forms[i]);
}

/* Before it is announced, what its packets need may be missing, and others must not overtake. */
static void test_order(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	other_comes(o);
	o->generation += 2;
	arrive(o, 0, 10);
	sa_is_added(o);
	arrive(o, 10, 5);
	assert_int_equal(o->w->early_held, 15);
	assert_int_equal(polled(o), 0);
	/* A transaction before its own. */
	sad_announce(o->bed->tables->sad, o->generation - 1);
	assert_int_equal(polled(o), 0);
	arrive(o, 15, 5);
	announce(o);
	arrive(o, 20, 5);
	assert_int_equal(o->w->early_held, 25);
	assert_int_equal(polled(o), 25);
	arrive(o, 25, 5);
	came_out(o, 0, 30);
	assert_int_equal(o->w->stats.sa[2].packets, 30);
	world_ends(o);
}

/* While others' packets wait an SA that is not new is none the slower; a new one only if there is room. */
static void test_others_pass(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	sa_comes(o);
	flood(o, ROOM / 2, false);
	assert_int_equal(polled(o), 0);
	arrive(o, 0, 5);
	came_out(o, 0, 5);
	assert_int_equal(sad_delete(o->bed->tables->sad, o->bed->tables->sa[2].in.spi), 0);
	sa_is_added(o);
	arrive(o, 5, 5);
	came_out(o, 5, 0);
	assert_int_equal(o->w->early_held, ROOM / 2 + 5);
	flood(o, ROOM / 2 - 5, false);
	arrive(o, 10, 5);
	came_out(o, 10, 5);
	announce(o);
	assert_int_equal(polled(o), 5);
	came_out(o, 5, 5);
	early_end(o->w);
	assert_int_equal(unknown(o), ROOM - 5);
	world_ends(o);
}

/* More than a burst. */
static void test_many_go_on(void **state)
{
	struct world *o = world_create(0, 1024, 0);

	arrive(o, 0, 64);
	arrive(o, 64, 36);
	sa_comes(o);
	assert_int_equal(polled(o), 100);
	came_out(o, 0, 100);
	world_ends(o);
}

/* The large one, in a first buffer and `more` others. */
static void arrive_large(struct world *o, uint32_t more)
{
	uint32_t part = o->large.len / (1 + more) + 1, at = part;
	struct rte_mbuf *m = testbed_mbuf(o->bed, o->large.bytes, part);

	for (; at < o->large.len; at += part)
		assert_int_equal(
			rte_pktmbuf_chain(m, testbed_mbuf(o->bed, o->large.bytes + at,
							  RTE_MIN(part, o->large.len - at))),
			0);
	assert_int_equal(m->nb_segs, 1 + more);
	worker_walk(o->w, BED_PORT_UNDERLAY, &m, 1);
	worker_finish(o->w);
}

static void test_in_several_buffers(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	arrive_large(o, 1);
	assert_int_equal(o->w->early_held, 1);
	arrive(o, 1, 1);
	sa_comes(o);
	assert_int_equal(polled(o), 2);
	came_out(o, 0, 2);
	world_ends(o);
}

/* Room is counted in buffers; what could never fit does not push out others. */
static void test_room_is_buffers(void **state)
{
	struct world *o = world_create(0, 2, 0);

	arrive(o, 0, 1);
	arrive_large(o, 1);
	assert_int_equal(o->w->early_held, 1);
	assert_int_equal(unknown(o), 1);
	arrive(o, 1, 1);
	assert_int_equal(o->w->early_held, 1);
	assert_int_equal(unknown(o), 2);
	arrive_large(o, 2);
	assert_int_equal(o->w->early_held, 1);
	assert_int_equal(unknown(o), 3);
	sa_comes(o);
	assert_int_equal(polled(o), 1);
	came_out(o, 1, 1);
	world_ends(o);
}

static void test_expires(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	arrive(o, 0, 10);
	o->now = rte_rdtsc() + CYCLES / 2;
	assert_int_equal(polled(o), 0);
	o->now = rte_rdtsc() + CYCLES;
	assert_int_equal(polled(o), 10);
	assert_int_equal(unknown(o), 10);
	assert_int_equal(o->w->stats.tenant[0].in_packets, 10);
	testbed_conserved(o->bed, 0, 0);
	/* Too late for those. */
	sa_comes(o);
	arrive(o, 10, 1);
	came_out(o, 10, 1);
	assert_int_equal(o->w->stats.worker->early_packets, 0);
	world_ends(o);
}

/* Others' SAs come and go; those that wait are looked for no more often than their number allows. */
static void test_looks_seldom(void **state)
{
	struct world *o = world_create(0, ROOM, 1000);

	arrive(o, 0, 10);
	other_comes(o);
	assert_int_equal(polled(o), 0);
	sa_comes(o);
	o->now += 10 * 1000 - 1;
	assert_int_equal(polled(o), 0);
	o->now++;
	assert_int_equal(polled(o), 10);
	came_out(o, 0, 10);
	world_ends(o);
}

static void test_replay_holds(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	arrive(o, 0, 5);
	arrive(o, 0, 5);
	sa_comes(o);
	assert_int_equal(polled(o), 10);
	came_out(o, 0, 5);
	assert_int_equal(testbed_drops(o->bed, 1, DROP_replay_seen), 5);
	arrive(o, 0, 5);
	assert_int_equal(testbed_drops(o->bed, 1, DROP_replay_seen), 10);
	world_ends(o);
}

/* Nothing is believed of it because it has waited. */
static void test_forged(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	o->frame[1].bytes[o->frame[1].len - 1] ^= 1;
	arrive(o, 0, 2);
	sa_comes(o);
	assert_int_equal(polled(o), 2);
	came_out(o, 0, 1);
	assert_int_equal(testbed_drops(o->bed, 1, DROP_icv_failed), 1);
	world_ends(o);
}

/* Its share is what others leave. */
static void test_flood_of_one_source(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	flood(o, 1000, false);
	assert_int_equal(o->w->early_held, ROOM);
	assert_int_equal(unknown(o), 1000 - ROOM);
	arrive(o, 0, ROOM / 2);
	flood(o, 1000, false);
	assert_int_equal(o->w->early_held, ROOM);
	assert_int_equal(unknown(o), 2000 - ROOM / 2);
	sa_comes(o);
	assert_int_equal(polled(o), ROOM / 2);
	came_out(o, 0, ROOM / 2);
	testbed_conserved(o->bed, 1, o->forwarded);
	early_end(o->w);
	assert_int_equal(unknown(o), 2000);
	world_ends(o);
}

/* What waited gives way in the end, and the rest goes on as ever. */
static void test_flood_of_forged_sources(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	arrive(o, 0, 20);
	flood(o, 10000, true);
	assert_int_equal(o->w->early_held, ROOM);
	assert_int_equal(unknown(o), 10020 - ROOM);
	sa_comes(o);
	o->forwarded = polled(o);
	assert_int_equal(o->lan.n, o->forwarded);
	assert_true(o->forwarded < 20);
	early_end(o->w);
	assert_int_equal(unknown(o), 10020 - o->forwarded);
	world_ends(o);
}

/* Its attachment went while it waited, and the id may be another's. */
static void test_detached(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	arrive(o, 0, 3);
	o->bed->tables->attachment[2].generation++;
	arrive(o, 3, 1);
	sa_comes(o);
	assert_int_equal(polled(o), 4);
	came_out(o, 3, 1);
	assert_int_equal(testbed_drops(o->bed, 0, DROP_detached), 3);
	world_ends(o);
}

/* What has no SPI never waits, and without room for any, none does. */
static void test_not_held(void **state)
{
	struct world *o = world_create(0, ROOM, 0);
	struct early *early = o->w->early;

	o->frame[0].len = 14 + 20 + 12;
	store_be16(o->frame[0].bytes + 14 + 2, 20 + 12);
	arrive_from(o, 0, 1, 0x01020304u);
	assert_int_equal(testbed_drops(o->bed, 0, DROP_frame_short), 1);
	o->w->early = NULL;
	arrive(o, 1, 1);
	assert_int_equal(unknown(o), 1);
	assert_int_equal(o->w->early_held, 0);
	o->w->early = early;
	world_ends(o);
}

/* A process that ends with packets that wait: testbed_destroy() counts the buffers. */
static void test_destroyed_with_packets(void **state)
{
	struct world *o = world_create(0, ROOM, 0);

	arrive(o, 0, 10);
	assert_int_equal(o->w->early_held, 10);
	world_destroy(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_and_goes_on),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_others_pass),
		cmocka_unit_test(test_many_go_on),
		cmocka_unit_test(test_in_several_buffers),
		cmocka_unit_test(test_room_is_buffers),
		cmocka_unit_test(test_expires),
		cmocka_unit_test(test_looks_seldom),
		cmocka_unit_test(test_replay_holds),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_flood_of_one_source),
		cmocka_unit_test(test_flood_of_forged_sources),
		cmocka_unit_test(test_detached),
		cmocka_unit_test(test_not_held),
		cmocka_unit_test(test_destroyed_with_packets),
	};

	testbed_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
