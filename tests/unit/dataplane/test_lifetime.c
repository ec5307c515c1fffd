/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "deadline.h"
#include "lifetime.h"
#include "peer_bed.h"
#include "replay.h"

static const struct abi_lifetime none;

static uint64_t expired(const struct peer_bed *p)
{
	return testbed_drops(p->bed, 1, DROP_sa_expired);
}

static const struct counters_sa *row(const struct peer_bed *p, uint32_t sa)
{
	return &p->bed->worker->stats.sa[sa];
}

static void check_event(const struct peer_bed *p, uint32_t i, enum abi_event_kind kind,
			enum abi_limit limit, uint32_t sa)
{
	assert_int_equal(p->event[i].kind, kind);
	assert_int_equal(p->event[i].value, limit);
	assert_int_equal(p->event[i].sa, sa);
	assert_int_equal(p->event[i].tunnel, 1);
	assert_int_equal(p->event[i].tenant, 1);
	assert_int_equal(p->event[i].spi, __builtin_bswap32(0x1001));
}

/* n packets of an SA, in the direction that it has, as often as it takes. */
static uint32_t sends(struct peer_bed *p, uint32_t sa, uint64_t *next, uint32_t n, uint16_t length)
{
	uint32_t passed = 0;

	for (uint32_t done = 0; done < n;) {
		uint32_t burst = n - done < BURST_MAX ? n - done : BURST_MAX;

		passed += sa == PEER_OUT ? tenant_sends(p, burst, length)
					 : peer_sends(p, *next, burst, length);
		*next += burst;
		done += burst;
	}
	return passed;
}

static void packets_end_an_sa(void **state)
{
	const struct abi_lifetime soft = { .packets = 40 }, hard = { .packets = 100 };

	for (uint32_t sa = PEER_OUT; sa <= PEER_IN; sa++) {
		struct peer_bed *p = peer_bed_create(SA_ESN, 64);
		uint64_t next = 1;

		peer_lifetime(p, sa, &soft, &hard);
		assert_int_equal(sends(p, sa, &next, 39, 100), 39);
		assert_int_equal(peer_events(p, 1), 0);
		assert_int_equal(lifetime_state(&p->gw, sa), ABI_SA_LIVE);
		assert_int_equal(sends(p, sa, &next, 1, 100), 1);
		assert_int_equal(lifetime_state(&p->gw, sa), ABI_SA_SOFT); /* before the note */
		assert_int_equal(peer_events(p, 1), 1);
		check_event(p, 0, ABI_EVENT_SA_SOFT, ABI_LIMIT_PACKETS, sa);
		assert_int_equal(sends(p, sa, &next, 59, 100), 59);
		assert_int_equal(peer_events(p, 1), 1);
		assert_int_equal(sends(p, sa, &next, 20, 100), 1);
		assert_int_equal(lifetime_state(&p->gw, sa), ABI_SA_HARD);
		assert_int_equal(expired(p), 19);
		assert_int_equal(sends(p, sa, &next, 5, 100), 0); /* the main lcore is late */
		assert_int_equal(peer_events(p, 1), 2);
		check_event(p, 1, ABI_EVENT_SA_HARD, ABI_LIMIT_PACKETS, sa);
		assert_int_equal(sends(p, sa, &next, 5, 100), 0);
		assert_int_equal(expired(p), 29);
		assert_int_equal(row(p, sa)->packets, 100);
		assert_int_equal(peer_events(p, 1000000), 2);
		testbed_conserved(p->bed, 1, 100);
		peer_bed_destroy(p);
	}
}

static void bytes_end_an_sa(void **state)
{
	const struct abi_lifetime soft = { .bytes = 500 }, hard = { .bytes = 1000 };

	for (uint32_t sa = PEER_OUT; sa <= PEER_IN; sa++) {
		struct peer_bed *p = peer_bed_create(0, 64);
		uint64_t next = 1;

		/* To the byte. */
		peer_lifetime(p, sa, &soft, &hard);
		assert_int_equal(sends(p, sa, &next, 10, 100), 10);
		assert_int_equal(peer_events(p, 1), 2);
		check_event(p, 0, ABI_EVENT_SA_SOFT, ABI_LIMIT_BYTES, sa);
		check_event(p, 1, ABI_EVENT_SA_HARD, ABI_LIMIT_BYTES, sa);
		assert_int_equal(row(p, sa)->bytes, 1000);
		assert_int_equal(sends(p, sa, &next, 1, 60), 0);
		peer_bed_destroy(p);

		/* What does not fit isn't carried, and ends it. */
		p = peer_bed_create(0, 64);
		next = 1;
		peer_lifetime(p, sa, &soft, &hard);
		assert_int_equal(sends(p, sa, &next, 9, 100), 9);
		assert_int_equal(sends(p, sa, &next, 1, 101), 0);
		assert_int_equal(sends(p, sa, &next, 1, 60), 0);
		assert_int_equal(expired(p), 2);
		assert_int_equal(row(p, sa)->bytes, 900);
		assert_int_equal(lifetime_state(&p->gw, sa), ABI_SA_HARD);
		assert_int_equal(peer_events(p, 1), 2);
		peer_bed_destroy(p);
	}
}

static void forged_and_replayed_packets_age_nothing(void **state)
{
	const struct abi_lifetime soft = { .packets = 11, .bytes = 1001 };
	const struct abi_lifetime hard = { .packets = 12, .bytes = 1200 };

	for (uint32_t flags = 0; flags <= SA_ESN; flags += SA_ESN) {
		struct peer_bed *p = peer_bed_create(flags, 64);
		const struct lifetime *l = &p->bed->tables->lifetime[PEER_IN];

		peer_lifetime(p, PEER_IN, &soft, &hard);
		assert_int_equal(peer_sends(p, 1, 10, 100), 10);
		for (uint32_t i = 0; i < 50; i++) {
			assert_int_equal(peer_forges(p, 11, 64, 100), 0);
			assert_int_equal(peer_sends(p, 1, 10, 100), 0); /* seen */
		}
		assert_int_equal(l->packets, 10);
		assert_int_equal(l->bytes, 1000);
		assert_int_equal(lifetime_state(&p->gw, PEER_IN), ABI_SA_LIVE);
		assert_int_equal(expired(p), 0);
		/* Far left of the window, too. */
		assert_int_equal(peer_sends(p, 1000, 1, 60), 1);
		assert_int_equal(peer_sends(p, 20, 64, 100), 0);
		assert_int_equal(l->packets, 11);
		assert_int_equal(l->bytes, 1060);
		peer_bed_destroy(p);
	}
}

static void seconds_end_an_sa(void **state)
{
	const struct abi_lifetime soft = { .seconds = 60 }, hard = { .seconds = 100 };

	for (uint32_t sa = PEER_OUT; sa <= PEER_IN; sa++) {
		struct peer_bed *p = peer_bed_create(0, 64);
		uint64_t next = 1;

		p->gw.now_ms = p->gw.life[sa].since = 5000;
		peer_lifetime(p, sa, &soft, &hard);
		/* Nothing to count: the walks know nothing of it. */
		assert_false(p->bed->tables->sa[sa].in.flags & SA_LIFETIME && sa == PEER_IN);
		assert_int_equal(peer_events(p, 64999), 0);
		assert_int_equal(peer_events(p, 65000), 1);
		check_event(p, 0, ABI_EVENT_SA_SOFT, ABI_LIMIT_SECONDS, sa);
		assert_int_equal(sends(p, sa, &next, 5, 100), 5);
		assert_int_equal(peer_events(p, 104999), 1);
		assert_int_equal(peer_events(p, 105000), 2);
		check_event(p, 1, ABI_EVENT_SA_HARD, ABI_LIMIT_SECONDS, sa);
		assert_int_equal(sends(p, sa, &next, 5, 100), 0);
		assert_int_equal(expired(p), 5);
		peer_bed_destroy(p);
	}
	/* Both at once, after a long sleep; and more than a clock holds. */
	struct peer_bed *p = peer_bed_create(0, 64);
	const struct abi_lifetime ever = { .seconds = UINT64_MAX };

	peer_lifetime(p, PEER_IN, &soft, &hard);
	peer_lifetime(p, PEER_OUT, &ever, &ever);
	assert_int_equal(peer_events(p, UINT64_MAX / 2), 2);
	assert_int_equal(lifetime_state(&p->gw, PEER_OUT), ABI_SA_LIVE);
	peer_bed_destroy(p);
}

static void whichever_comes_first(void **state)
{
	const struct abi_lifetime soft = { .packets = 3, .bytes = 5000, .seconds = 10 };
	const struct abi_lifetime hard = { .packets = 1000, .bytes = 100000, .seconds = 20 };
	struct peer_bed *p = peer_bed_create(0, 64);
	uint64_t next = 1;

	peer_lifetime(p, PEER_OUT, &soft, &hard);
	assert_int_equal(sends(p, PEER_OUT, &next, 60, 100), 60);
	assert_int_equal(peer_events(p, 12000), 1); /* three soft limits: one event */
	assert_int_equal(peer_events(p, 20000), 2);
	check_event(p, 1, ABI_EVENT_SA_HARD, ABI_LIMIT_SECONDS, PEER_OUT);
	assert_int_equal(sends(p, PEER_OUT, &next, 60, 100), 0);
	peer_bed_destroy(p);
}

static void limits_change_in_use(void **state)
{
	const struct abi_lifetime ten = { .packets = 10 }, twenty = { .packets = 20 };
	struct peer_bed *p = peer_bed_create(0, 64);
	uint64_t next = 1;

	/* What was carried before there was a limit counts. */
	assert_int_equal(sends(p, PEER_OUT, &next, 8, 100), 8);
	peer_lifetime(p, PEER_OUT, &ten, &none);
	assert_int_equal(peer_events(p, 1), 0);
	assert_int_equal(sends(p, PEER_OUT, &next, 3, 100), 3);
	assert_int_equal(peer_events(p, 1), 1);
	/* Longer: live again, and told of again. */
	peer_lifetime(p, PEER_OUT, &twenty, &none);
	assert_int_equal(peer_events(p, 1), 1);
	assert_int_equal(lifetime_state(&p->gw, PEER_OUT), ABI_SA_LIVE);
	assert_int_equal(sends(p, PEER_OUT, &next, 10, 100), 10);
	assert_int_equal(peer_events(p, 1), 2);
	/* A hard one that is over already. */
	peer_lifetime(p, PEER_OUT, &none, &ten);
	assert_int_equal(peer_events(p, 1), 3);
	check_event(p, 2, ABI_EVENT_SA_HARD, ABI_LIMIT_PACKETS, PEER_OUT);
	/* That is for ever. */
	peer_lifetime(p, PEER_OUT, &none, &none);
	assert_int_equal(peer_events(p, 1), 3);
	assert_int_equal(sends(p, PEER_OUT, &next, 10, 100), 0);
	assert_int_equal(lifetime_state(&p->gw, PEER_OUT), ABI_SA_HARD);
	peer_bed_destroy(p);
}

/* The newest outbound SA is the tunnel's, expired or not: nothing else sends in its place. */
static void an_older_sa_does_not_step_in(void **state)
{
	const struct abi_lifetime one = { .packets = 1 };
	struct peer_bed *p = peer_bed_create(0, 64);
	uint64_t next = 1, number;

	p->bed->tables->sa[3] = p->bed->tables->sa[PEER_OUT];
	number = p->bed->tables->sa[3].out.sequence;
	p->gw.sa[3] = p->gw.sa[PEER_OUT];
	peer_lifetime(p, PEER_OUT, &none, &one);
	assert_int_equal(sends(p, PEER_OUT, &next, 3, 100), 1);
	assert_int_equal(peer_events(p, 1), 1);
	assert_int_equal(sends(p, PEER_OUT, &next, 3, 100), 0);
	assert_int_equal(p->bed->tables->tunnel[1].sa_out, PEER_OUT);
	assert_int_equal(p->bed->tables->sa[3].out.sequence, number);
	/* An SA that has expired takes no numbers. */
	number = p->bed->tables->sa[PEER_OUT].out.sequence;
	assert_int_equal(sends(p, PEER_OUT, &next, 30, 100), 0);
	assert_int_equal(p->bed->tables->sa[PEER_OUT].out.sequence, number);
	peer_bed_destroy(p);
}

/* Padding that hides a packet's length is no part of it. */
static void tfc_padding_does_not_count(void **state)
{
	const struct abi_lifetime hard = { .bytes = 1000 };
	struct peer_bed *p = peer_bed_create(0, 64);
	uint64_t next = 1;

	p->bed->tables->sa[PEER_OUT].out.pad_to = 400;
	peer_lifetime(p, PEER_OUT, &none, &hard);
	assert_int_equal(sends(p, PEER_OUT, &next, 20, 100), 10);
	assert_int_equal(expired(p), 10);
	assert_int_equal(row(p, PEER_OUT)->bytes, 1000);
	peer_bed_destroy(p);
}

/* A lease that has ended lets nothing age. */
static void what_has_no_number_does_not_count(void **state)
{
	const struct abi_lifetime hard = { .packets = 10, .bytes = 1000 };
	struct peer_bed *p = peer_bed_create(0, 64);
	uint64_t next = 1;

	peer_lifetime(p, PEER_OUT, &none, &hard);
	p->bed->tables->sa[PEER_OUT].out.sequence_limit = 5;
	assert_int_equal(sends(p, PEER_OUT, &next, 40, 100), 4);
	assert_int_equal(testbed_drops(p->bed, 1, DROP_lease_used_up), 36);
	p->bed->tables->sa[PEER_OUT].out.sequence_limit = 1000;
	assert_int_equal(sends(p, PEER_OUT, &next, 40, 100), 6);
	assert_int_equal(expired(p), 34);
	peer_bed_destroy(p);
}

/* ---- two workers ---- */

#define WORKERS 2
#define PACKETS 20000u
#define LENGTH  60

struct side {
	struct peer_bed *bed;
	struct worker *worker;
	pthread_barrier_t *start;
	pthread_t thread;
	uint32_t sa;
	uint64_t passed;
};

static struct worker *second_worker(struct peer_bed *p)
{
	struct worker *w = aligned_alloc(64, sizeof(*w));

	assert_non_null(w);
	memset(w, 0, sizeof(*w));
	w->tables = p->bed->tables;
	w->stats = stats_writer(p->bed->stats, 2);
	w->to_main = p->bed->to_main;
	w->events = event_ring_create();
	assert_non_null(w->events);
	w->tsc_hz = 1000;
	w->id = 1;
	p->workers[1] = w;
	p->gw.workers = 2;
	return w;
}

static void *carry(void *arg)
{
	struct side *s = arg;
	bool out = s->sa == PEER_OUT;
	struct rte_mbuf *in[BURST_MAX];
	uint8_t frame[PEER_FRAME_MAX];
	uint32_t len = testbed_frame(frame, IP_V4, LENGTH, true);

	pthread_barrier_wait(s->start);
	for (uint32_t at = 1; at + 20 < PACKETS; at += 20) {
		struct packet_list *left =
			&s->worker->out[out ? BED_PORT_UNDERLAY : BED_PORT_TENANT];

		if (rte_pktmbuf_alloc_bulk(s->bed->bed->pool, in, 20) != 0)
			break;
		for (uint32_t i = 0; i < 20; i++) {
			/* The second worker has the odd numbers. */
			if (!out)
				len = peer_seal(s->bed, 2 * (at + i) + s->worker->id, LENGTH,
						frame);
			memcpy(rte_pktmbuf_append(in[i], (uint16_t)len), frame, len);
		}
		worker_walk(s->worker, out ? BED_PORT_TENANT : BED_PORT_UNDERLAY, in, 20);
		for (uint32_t i = 0; i < left->n; i++)
			rte_pktmbuf_free(left->p[i]->mbuf);
		s->passed += left->n;
		left->n = 0;
		s->worker->out_ports = 0;
		drop_burst(s->worker);
	}
	return NULL;
}

static void exact_with_two_workers(void **state)
{
	static const struct abi_lifetime limits[] = {
		{ .packets = 10007 },
		{ .bytes = 10007ull * LENGTH },
		{ .bytes = 10007 * LENGTH + 7 },
		{ .packets = 10007, .bytes = 1ull << 40 },
	};

	for (uint32_t k = 0; k < 8; k++) {
		struct peer_bed *p = peer_bed_create(SA_ESN, 4096);
		struct side side[WORKERS];
		const struct abi_lifetime soft = { .packets = 5003 };
		pthread_barrier_t start;
		uint32_t sa = k % 2 == 0 ? PEER_OUT : PEER_IN;

		/* The workers are not in step: no number may be late. */
		p->bed->tables->sa[PEER_IN].in.replay->window = k % 2 == 1 ? 0 : 4096;
		peer_lifetime(p, sa, &soft, &limits[k / 2]);
		assert_int_equal(pthread_barrier_init(&start, NULL, WORKERS), 0);
		for (uint32_t i = 0; i < WORKERS; i++)
			side[i] = (struct side){ .bed = p,
						 .start = &start,
						 .sa = sa,
						 .worker = i == 0 ? p->bed->worker
								  : second_worker(p) };
		for (uint32_t i = 0; i < WORKERS; i++)
			assert_int_equal(pthread_create(&side[i].thread, NULL, carry, &side[i]), 0);
		for (uint32_t i = 0; i < WORKERS; i++)
			assert_int_equal(pthread_join(side[i].thread, NULL), 0);
		assert_int_equal(side[0].passed + side[1].passed, 10007);
		assert_int_equal(peer_events(p, 1), 2);
		assert_int_equal(p->event[0].kind, ABI_EVENT_SA_SOFT);
		assert_int_equal(p->event[1].kind, ABI_EVENT_SA_HARD);
		pthread_barrier_destroy(&start);
		event_ring_destroy(p->workers[1]->events);
		free(p->workers[1]);
		p->gw.workers = 1;
		peer_bed_destroy(p);
	}
}

/* A look at the clock costs nothing for those that are not due. */
static void many_sas_with_seconds(void **state)
{
	enum { SAS = 100000 };
	static const struct tables_size size = { 16, 16, 16, SAS + 1, 16, 64 << 20 };
	struct peer_bed *p = peer_bed_create(0, 64);
	struct abi_event *event = calloc(ABI_EVENTS_KEPT, sizeof(*event));
	struct tables *small = p->gw.tables;

	assert_non_null(event);
	/* Objects only; no packet goes by them. */
	assert_int_equal(tables_create(&size, p->bed->aead, 1, &p->gw.tables), 0);
	free(p->gw.sa);
	free(p->gw.life);
	p->gw.sa = calloc(SAS + 1, sizeof(*p->gw.sa));
	p->gw.life = calloc(SAS + 1, sizeof(*p->gw.life));
	deadlines_destroy(p->gw.deadlines);
	p->gw.deadlines = deadlines_create(SAS + 1);
	assert_true(p->gw.sa != NULL && p->gw.life != NULL && p->gw.deadlines != NULL);
	for (uint32_t id = 1; id <= SAS; id++) {
		p->gw.sa[id] = (struct object_sa){ .id = id, .tunnel = 1, .direction = ABI_SA_IN };
		p->gw.life[id] = (struct object_life){ .soft.seconds = 3600 + id % 100,
						       .hard.seconds = 7200 };
		lifetime_start(&p->gw, id);
	}
	for (uint64_t now = 0; now < 3600000; now += 10)
		assert_int_equal(peer_events(p, now), 0);
	peer_events(p, 3600000);
	assert_int_equal(event_read(p->gw.events, 0, event, ABI_EVENTS_KEPT), SAS / 100);
	peer_events(p, 7200000);
	assert_int_equal(event_read(p->gw.events, 0, event, ABI_EVENTS_KEPT), ABI_EVENTS_KEPT);
	assert_int_equal(event[ABI_EVENTS_KEPT - 1].number, 2 * SAS);
	assert_int_equal(deadline_count(p->gw.deadlines), 0);
	tables_destroy(p->gw.tables);
	p->gw.tables = small;
	free(event);
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
		cmocka_unit_test(packets_end_an_sa),
		cmocka_unit_test(bytes_end_an_sa),
		cmocka_unit_test(forged_and_replayed_packets_age_nothing),
		cmocka_unit_test(seconds_end_an_sa),
		cmocka_unit_test(whichever_comes_first),
		cmocka_unit_test(limits_change_in_use),
		cmocka_unit_test(an_older_sa_does_not_step_in),
		cmocka_unit_test(tfc_padding_does_not_count),
		cmocka_unit_test(what_has_no_number_does_not_count),
		cmocka_unit_test(exact_with_two_workers),
		cmocka_unit_test(many_sas_with_seconds),
	};

	return cmocka_run_group_tests_name("lifetime", tests, setup, NULL);
}
