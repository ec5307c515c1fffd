/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two workers on threads of their own share an SA: outbound no sequence number, which is the nonce,
 * is used twice; inbound every packet is accepted exactly once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "ip_header.h"
#include "random.h"
#include "testbed.h"

#define WORKERS 2
#define BURSTS  1500
#define PACKETS 4096 /* inbound: as many as the window is wide */

/* Where IP starts in an ESP frame of the testbed; SPI and sequence number, then the IV. */
#define ESP_IV (14 + 20 + 8)

struct esp_frame {
	uint32_t len;
	uint8_t bytes[160];
};

struct shared {
	struct testbed *bed;
	uint8_t *times; /* by sequence number, or by packet */
	uint64_t limit;
	struct esp_frame *esp;
	pthread_barrier_t start;
};

struct thread {
	struct shared *shared;
	struct worker *worker;
	pthread_t thread;
	uint64_t passed;
	uint64_t out_of_range;
};

/* What left on a port is looked at and freed, and so are the drops. */
static void thread_take(struct thread *t, uint8_t port,
			uint64_t (*number)(const struct rte_mbuf *m))
{
	struct packet_list *out = &t->worker->out[port];

	for (uint32_t i = 0; i < out->n; i++) {
		uint64_t n = number(out->p[i]->mbuf);

		if (n < t->shared->limit)
			__atomic_fetch_add(&t->shared->times[n], 1, __ATOMIC_RELAXED);
		else
			t->out_of_range++;
		t->passed++;
		rte_pktmbuf_free(out->p[i]->mbuf);
	}
	out->n = 0;
	t->worker->out_ports = 0;
	drop_burst(t->worker);
}

static uint64_t iv_of(const struct rte_mbuf *m)
{
	return __builtin_bswap64(load64(rte_pktmbuf_mtod_offset(m, const uint8_t *, ESP_IV)));
}

static uint64_t id_of(const struct rte_mbuf *m)
{
	return load_be16(rte_pktmbuf_mtod_offset(m, const uint8_t *, 14 + 4));
}

static void *run_outbound(void *arg)
{
	struct thread *t = arg;
	uint64_t random = 11 + t->worker->id;
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 64, true);
	struct rte_mbuf *in[BURST_MAX];

	pthread_barrier_wait(&t->shared->start);
	for (uint32_t burst = 0; burst < BURSTS; burst++) {
		uint32_t n = 1 + random_below(&random, BURST_MAX);

		if (rte_pktmbuf_alloc_bulk(t->shared->bed->pool, in, n) != 0)
			break; /* the pool is larger than two bursts */
		for (uint32_t i = 0; i < n; i++)
			memcpy(rte_pktmbuf_append(in[i], (uint16_t)len), frame, len);
		worker_walk(t->worker, BED_PORT_TENANT, in, n);
		thread_take(t, BED_PORT_UNDERLAY, iv_of);
	}
	return NULL;
}

/* All packets, which the other worker has at the same time. */
static void *run_inbound(void *arg)
{
	struct thread *t = arg;
	uint64_t random = 17 + t->worker->id;
	struct rte_mbuf *in[BURST_MAX];
	uint32_t at = 0;

	pthread_barrier_wait(&t->shared->start);
	while (at < PACKETS) {
		uint32_t n = 1 + random_below(&random, BURST_MAX);

		if (n > PACKETS - at)
			n = PACKETS - at;
		if (rte_pktmbuf_alloc_bulk(t->shared->bed->pool, in, n) != 0)
			break;
		for (uint32_t i = 0; i < n; i++, at++) {
			/* Neighbours change places in the second worker's order. */
			const struct esp_frame *f = &t->shared->esp[at ^ t->worker->id];

			memcpy(rte_pktmbuf_append(in[i], (uint16_t)f->len), f->bytes, f->len);
		}
		worker_walk(t->worker, BED_PORT_UNDERLAY, in, n);
		thread_take(t, BED_PORT_TENANT, id_of);
	}
	return NULL;
}

static void run_threads(struct shared *s, struct thread t[WORKERS], void *(*run)(void *))
{
	assert_int_equal(pthread_barrier_init(&s->start, NULL, WORKERS), 0);
	for (uint32_t i = 0; i < WORKERS; i++) {
		t[i] = (struct thread){ .shared = s };
		t[i].worker = i == 0 ? s->bed->worker : testbed_worker(s->bed, 1);
		assert_int_equal(pthread_create(&t[i].thread, NULL, run, &t[i]), 0);
	}
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(t[i].thread, NULL), 0);
	pthread_barrier_destroy(&s->start);
}

static uint64_t both(const struct thread t[WORKERS], size_t offset)
{
	uint64_t sum = 0, one;

	for (uint32_t i = 0; i < WORKERS; i++) {
		memcpy(&one, (const uint8_t *)t[i].worker->stats.sa + offset, sizeof(one));
		sum += one;
	}
	return sum;
}

#define SA_ROW(id, field) ((id) * sizeof(struct counters_sa) + offsetof(struct counters_sa, field))

static uint64_t drops(const struct thread t[WORKERS], enum drop_reason reason)
{
	return t[0].worker->stats.tenant_drops[1].reason[reason] +
	       t[1].worker->stats.tenant_drops[1].reason[reason];
}

static uint64_t came_in(const struct thread t[WORKERS])
{
	return t[0].worker->stats.tenant[1].in_packets + t[1].worker->stats.tenant[1].in_packets;
}

/* With a lease that is enough, and with one that both reach at once. */
static void test_no_number_twice(void **state)
{
	static const uint64_t limits[] = { 1000000, 40001 };

	for (int k = 0; k < 2; k++) {
		struct shared s = { .bed = testbed_create(SA_ESN, 16, 64), .limit = limits[k] };
		struct thread t[WORKERS];
		uint64_t used = 0, twice = 0;

		s.times = calloc(s.limit, 1);
		assert_non_null(s.times);
		s.bed->tables->sa[1].out.sequence_limit = s.limit;
		run_threads(&s, t, run_outbound);
		for (uint64_t n = 0; n < s.limit; n++) {
			twice += s.times[n] > 1;
			used += s.times[n];
		}
		assert_int_equal(twice, 0);
		assert_int_equal(s.times[0], 0);
		assert_int_equal(t[0].out_of_range + t[1].out_of_range, 0);
		assert_int_equal(t[0].passed + t[1].passed, used);
		assert_int_equal(both(t, SA_ROW(1, packets)), used);
		assert_int_equal(both(t, SA_ROW(1, lease_stops)), drops(t, DROP_lease_used_up));
		assert_int_equal(came_in(t), used + drops(t, DROP_lease_used_up));
		/* None is skipped, either: the lease is used to its end. */
		if (k == 1)
			assert_int_equal(used, s.limit - 1);
		else
			assert_int_equal(drops(t, DROP_lease_used_up), 0);
		testbed_worker_free(t[1].worker);
		free(s.times);
		testbed_destroy(s.bed);
	}
}

static void encrypt_all(struct testbed *bed, struct esp_frame *esp)
{
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048];

	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t len = testbed_numbered(frame, (uint16_t)i);

		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
		esp[i].len = out[0]->data_len;
		assert_true(esp[i].len <= sizeof(esp[i].bytes));
		memcpy(esp[i].bytes, rte_pktmbuf_mtod(out[0], void *), esp[i].len);
		memcpy(esp[i].bytes, "\x02\0\0\0\0\x20", 6);
		rte_pktmbuf_free(out[0]);
	}
}

static void route_v4(struct testbed *bed, uint8_t second, uint32_t value)
{
	uint32_t old;

	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
				   ip_load(IP_V4, (uint8_t[]){ 10, second, 0, 0 }), 16, value,
				   &old),
			 0);
}

static void test_accepted_once(void **state)
{
	for (uint32_t flags = 0; flags <= SA_ESN; flags += SA_ESN) {
		struct shared s = { .bed = testbed_create(flags, 16, PACKETS), .limit = PACKETS };
		struct thread t[WORKERS];
		uint64_t before, others = 0;

		s.times = calloc(PACKETS, 1);
		s.esp = calloc(PACKETS, sizeof(*s.esp));
		assert_true(s.times != NULL && s.esp != NULL);
		encrypt_all(s.bed, s.esp);
		before = s.bed->worker->stats.tenant[1].in_packets;
		route_v4(s.bed, 0, route_value(ROUTE_KIND_TUNNEL, 1));
		route_v4(s.bed, 1, route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT));
		run_threads(&s, t, run_inbound);
		for (uint32_t i = 0; i < PACKETS; i++)
			others += s.times[i] != 1;
		assert_int_equal(others, 0);
		assert_int_equal(t[0].passed + t[1].passed, PACKETS);
		assert_int_equal(came_in(t) - before, WORKERS * PACKETS);
		assert_int_equal(drops(t, DROP_replay_seen), PACKETS);
		assert_int_equal(both(t, SA_ROW(2, packets)), PACKETS);
		assert_int_equal(both(t, SA_ROW(2, replayed)), PACKETS);
		assert_int_equal(both(t, SA_ROW(2, lost)), 0);
		testbed_worker_free(t[1].worker);
		free(s.times);
		free(s.esp);
		testbed_destroy(s.bed);
	}
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_number_twice),
		cmocka_unit_test(test_accepted_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
