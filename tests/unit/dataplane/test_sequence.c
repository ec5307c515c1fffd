/* SPDX-License-Identifier: BSD-3-Clause */
/* Outbound SAs end before their numbers go round: RFC 4303 section 3.3.3. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "peer_bed.h"
#include "replay.h"
#include "sequence.h"

static struct sa_out *out_of(struct peer_bed *p)
{
	return &p->bed->tables->sa[PEER_OUT].out;
}

static uint64_t lease_stops(const struct peer_bed *p)
{
	return p->bed->worker->stats.sa[PEER_OUT].lease_stops;
}

static void the_last_number_is_sent_and_told_of(void **state)
{
	for (uint32_t flags = 0; flags <= SA_ESN; flags += SA_ESN) {
		struct peer_bed *p = peer_bed_create(flags, 64);
		uint64_t end = flags & SA_ESN ? UINT64_MAX : 1ull << 32;

		out_of(p)->sequence = end - 10;
		out_of(p)->sequence_limit = end;
		assert_int_equal(tenant_sends(p, 4, 100), 4);
		assert_int_equal(peer_events(p, 1), 0);
		assert_int_equal(tenant_sends(p, 8, 100), 6);
		assert_int_equal(p->bed->worker->stats.sa[PEER_OUT].sequence, end - 1);
		assert_int_equal(peer_events(p, 1), 1);
		assert_int_equal(p->event[0].kind, ABI_EVENT_SA_SEQUENCE);
		assert_int_equal(p->event[0].sa, PEER_OUT);
		assert_int_equal(p->event[0].value, end - 1);
		/* It stays where it is, however often it is tried. */
		for (uint32_t i = 0; i < 100; i++)
			assert_int_equal(tenant_sends(p, 64, 100), 0);
		assert_int_equal(out_of(p)->sequence, end);
		assert_int_equal(peer_events(p, 1), 1);
		assert_int_equal(testbed_drops(p->bed, 1, DROP_sequence_used_up), 6402);
		assert_int_equal(testbed_drops(p->bed, 1, DROP_lease_used_up), 0);
		assert_int_equal(lease_stops(p), 0);
		testbed_conserved(p->bed, 1, 10);
		peer_bed_destroy(p);
	}
}

static void a_lease_is_not_the_end(void **state)
{
	struct peer_bed *p = peer_bed_create(0, 64);

	out_of(p)->sequence = (1ull << 32) - 20;
	out_of(p)->sequence_limit = (1ull << 32) - 10;
	assert_int_equal(tenant_sends(p, 64, 100), 10);
	assert_int_equal(testbed_drops(p->bed, 1, DROP_lease_used_up), 54);
	assert_int_equal(lease_stops(p), 54);
	assert_int_equal(peer_events(p, 1), 0);
	/* What was refused took no number: all that the next lease gives is there. */
	out_of(p)->sequence_limit = 1ull << 32;
	assert_int_equal(tenant_sends(p, 64, 100), 10);
	assert_int_equal(testbed_drops(p->bed, 1, DROP_sequence_used_up), 54);
	assert_int_equal(peer_events(p, 1), 1);
	peer_bed_destroy(p);
}

#define THREADS 4
#define BLOCKS  20000

struct taker {
	struct peer_bed *bed;
	pthread_barrier_t *start;
	pthread_t thread;
	uint64_t granted;
	uint64_t sum; /* of the numbers */
	uint64_t highest;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	struct packet packet = { .sa = &t->bed->bed->tables->sa[PEER_OUT], .sa_id = PEER_OUT };
	struct worker *w = aligned_alloc(64, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->events = NULL;
	pthread_barrier_wait(t->start);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		uint64_t first = 0;
		uint32_t n = sequence_take(w, &packet, 1 + i % BURST_MAX, &first);

		t->granted += n;
		for (uint32_t k = 0; k < n; k++)
			t->sum += first + k;
		if (n != 0 && first + n - 1 > t->highest)
			t->highest = first + n - 1;
	}
	free(w);
	return NULL;
}

/* Several workers at the end at once: each number once, none skipped, none behind. */
static void no_number_goes_round(void **state)
{
	const uint64_t ends[] = { 1ull << 32, UINT64_MAX, 1ull << 63, (1ull << 63) + 1 };

	for (uint32_t k = 0; k < 4; k++) {
		struct peer_bed *p = peer_bed_create(k == 0 ? 0 : SA_ESN, 64);
		struct taker t[THREADS];
		pthread_barrier_t start;
		uint64_t left = 300007, granted = 0, sum = 0, expected = 0;

		out_of(p)->sequence = ends[k] - left;
		out_of(p)->sequence_limit = ends[k];
		assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
		for (uint32_t i = 0; i < THREADS; i++) {
			t[i] = (struct taker){ .bed = p, .start = &start };
			assert_int_equal(pthread_create(&t[i].thread, NULL, take, &t[i]), 0);
		}
		for (uint32_t i = 0; i < THREADS; i++) {
			assert_int_equal(pthread_join(t[i].thread, NULL), 0);
			granted += t[i].granted;
			sum += t[i].sum;
			assert_true(t[i].highest < ends[k]);
		}
		for (uint64_t n = ends[k] - left; n != ends[k]; n++)
			expected += n;
		assert_int_equal(granted, left);
		assert_int_equal(sum, expected);
		assert_int_equal(out_of(p)->sequence, ends[k]);
		pthread_barrier_destroy(&start);
		peer_bed_destroy(p);
	}
}

/* The window takes the last numbers and nothing that would follow them. */
static void inbound_does_not_go_round(void **state)
{
	struct peer_bed *p = peer_bed_create(SA_ESN, 64);

	p->bed->tables->sa[PEER_IN].in.replay->top = UINT64_MAX - 40;
	assert_int_equal(peer_sends(p, UINT64_MAX - 10, 11, 100), 11);
	for (uint64_t n = 0; n < 64; n++) /* a peer that goes round */
		assert_int_equal(peer_sends(p, n, 1, 100), 0);
	assert_int_equal(p->bed->tables->sa[PEER_IN].in.replay->top, UINT64_MAX);
	assert_int_equal(testbed_drops(p->bed, 1, DROP_replay_zero) +
				 testbed_drops(p->bed, 1, DROP_replay_late) +
				 testbed_drops(p->bed, 1, DROP_replay_seen),
			 64);
	peer_bed_destroy(p);

	p = peer_bed_create(0, 64);
	p->bed->tables->sa[PEER_IN].in.replay->top = UINT32_MAX - 40;
	assert_int_equal(peer_sends(p, UINT32_MAX - 9, 10, 100), 10);
	assert_int_equal(peer_sends(p, 1ull << 32, 64, 100), 0);
	assert_int_equal(p->bed->tables->sa[PEER_IN].in.replay->top, UINT32_MAX);
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
		cmocka_unit_test(the_last_number_is_sent_and_told_of),
		cmocka_unit_test(a_lease_is_not_the_end),
		cmocka_unit_test(no_number_goes_round),
		cmocka_unit_test(inbound_does_not_go_round),
	};

	return cmocka_run_group_tests_name("sequence", tests, setup, NULL);
}
