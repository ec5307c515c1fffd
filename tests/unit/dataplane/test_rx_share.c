/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several workers, each on a thread of its own, on one receive queue: more threads than there are
 * cores on small machines, with delays in the middle of their work. What leaves is in the order in
 * which it came, by the send queue of the queue's own worker; sequence numbers rise by one outbound,
 * and inbound pass a window narrower than a burst; nothing is lost, nothing comes twice.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "early.h"
#include "ip_header.h"
#include "random.h"
#include "reassembly.h"
#include "rx_share.h"
#include "testbed.h"
#include "trace.h"

#define WORKERS 4
#define FRAMES  60000 /* of a test that makes them as they are taken */
#define SEALED  4096
#define QUEUES  2
#define ESP     (14 + 20)

struct frame {
	uint32_t len;
	uint8_t bytes[200];
};

/* A device that is a receive queue: frame after frame, in bursts of any length. */
struct source {
	struct testbed *bed;
	uint32_t (*make)(struct source *s, uint8_t *frame, uint32_t number);
	const struct frame *frames; /* of make_stored() */
	uint32_t total;
	uint32_t next;      /* atomic */
	uint32_t least;     /* frames of a burst */
	uint32_t all_polls; /* bit per worker that must have had a burst before it ends */
	uint32_t polled;
	uint64_t random;
	uint32_t inside; /* threads that poll at this moment */
	uint32_t errors;
};

/* A device that is a send queue: what it takes must be what is due. */
struct sink {
	bool (*check)(struct sink *s, const struct rte_mbuf *m);
	uint32_t n;
	uint64_t last;
	uint32_t inside;
	uint32_t errors;
};

struct place {
	struct testbed *bed;
	struct rx_shares *shares;
	struct source source[QUEUES];
	struct sink sink[WORKERS][2]; /* by send queue and port */
	void *source_queue[QUEUES];
	void *sink_queue[2][WORKERS];
	void *callback[WORKERS];
	struct worker *worker[WORKERS];
	uint32_t lock[WORKERS][2];
	uint8_t go, stop;
};

struct thread {
	struct place *place;
	struct worker *worker;
	pthread_t thread;
	uint32_t bursts;
};

static __thread uint32_t this_worker;

static uint16_t source_poll(void *queue, struct rte_mbuf **mbufs, uint16_t max)
{
	struct source *s = queue;
	uint32_t n = s->least + random_below(&s->random, max - s->least + 1), left;

	if (__atomic_exchange_n(&s->inside, 1, __ATOMIC_SEQ_CST) != 0)
		s->errors++;
	s->polled |= 1u << this_worker;
	left = (s->polled & s->all_polls) == s->all_polls ? s->total - RTE_MIN(s->next, s->total)
							  : UINT32_MAX;
	n = RTE_MIN(n, left);
	if (n != 0 && rte_pktmbuf_alloc_bulk(s->bed->pool, mbufs, n) != 0)
		n = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *frame = rte_pktmbuf_mtod(mbufs[i], uint8_t *);

		mbufs[i]->pkt_len = s->make(s, frame, s->next + i);
		mbufs[i]->data_len = (uint16_t)mbufs[i]->pkt_len;
	}
	__atomic_store_n(&s->next, s->next + n, __ATOMIC_RELEASE);
	__atomic_store_n(&s->inside, 0, __ATOMIC_SEQ_CST);
	return (uint16_t)n;
}

static uint16_t sink_take(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct sink *s = queue;

	if (__atomic_exchange_n(&s->inside, 1, __ATOMIC_SEQ_CST) != 0)
		s->errors++;
	for (uint16_t i = 0; i < n; i++, s->n++) {
		s->errors += !s->check(s, mbufs[i]);
		rte_pktmbuf_free(mbufs[i]);
	}
	__atomic_store_n(&s->inside, 0, __ATOMIC_SEQ_CST);
	return n;
}

static bool check_nothing(struct sink *s, const struct rte_mbuf *m)
{
	return true;
}

/* ---- outbound: a length that goes up and down shows the place of a packet behind ESP, too ---- */

static uint16_t length_of(uint32_t number)
{
	return (uint16_t)(64 + 4 * (number % 61));
}

static uint32_t make_plain(struct source *s, uint8_t *frame, uint32_t number)
{
	return testbed_frame(frame, IP_V4, length_of(number), true);
}

static uint32_t sealed_length(uint16_t length)
{
	return ESP + 16u + ((length + 2u + 3u) & ~3u) + 16u;
}

static uint32_t esp_sequence(const struct rte_mbuf *m)
{
	return __builtin_bswap32(load32(rte_pktmbuf_mtod_offset(m, const uint8_t *, ESP + 4)));
}

static bool check_sealed(struct sink *s, const struct rte_mbuf *m)
{
	return esp_sequence(m) == s->n + 1 && m->pkt_len == sealed_length(length_of(s->n));
}

/* Of two queues into one SA: others' numbers are between. */
static bool check_rising(struct sink *s, const struct rte_mbuf *m)
{
	uint64_t last = s->last;

	s->last = esp_sequence(m);
	return s->last > last && m->pkt_len == sealed_length(length_of(s->n));
}

/* ---- inbound: packets that were sealed before, with their number as IP id ---- */

static uint32_t make_stored(struct source *s, uint8_t *frame, uint32_t number)
{
	memcpy(frame, s->frames[number].bytes, s->frames[number].len);
	return s->frames[number].len;
}

static bool check_number(struct sink *s, const struct rte_mbuf *m)
{
	return load_be16(rte_pktmbuf_mtod_offset(m, const uint8_t *, 14 + 4)) == s->n;
}

static void seal_all(struct testbed *bed, struct frame *sealed)
{
	uint8_t frame[2048];

	for (uint32_t i = 0; i < SEALED; i++) {
		uint32_t len = testbed_numbered(frame, (uint16_t)i);

		sealed[i].len = testbed_seal(bed, frame, len, sealed[i].bytes);
		assert_true(sealed[i].len <= sizeof(sealed[i].bytes));
	}
}

/* ---- the place ---- */

static void place_worker(struct place *p, uint32_t id)
{
	struct worker *w = id == 0 ? p->bed->worker : testbed_worker(p->bed, id);
	char name[24];

	p->worker[id] = w;
	snprintf(name, sizeof(name), "share_%u_%lx", id, (unsigned long)(uintptr_t)p & 0xffffff);
	w->inbox = rte_ring_create(name, 64, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert_non_null(w->inbox);
	assert_int_equal(trace_create(&w->trace), 0);
	assert_int_equal(reassembly_create(1ull << 60, 100, 0, &w->reassembly), 0);
	w->go = &p->go;
	w->stop = &p->stop;
	w->idle_sleep_us = id % 2 * 50;
	w->shares = p->shares;
	for (uint16_t port = 0; port < 2; port++) {
		p->sink[id][port].check = check_nothing;
		p->sink_queue[port][id] = &p->sink[id][port];
		w->tx[port] = (struct worker_tx){ port, id, &p->lock[id][port], true };
	}
}

/* Queue i is that of worker i; both are `port`'s. */
static struct place *place_create(uint8_t port, uint32_t queues, uint32_t window)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->bed = testbed_create(0, 16, window);
	p->go = 1;
	p->shares = rx_shares_create(queues);
	assert_non_null(p->shares);
	for (uint32_t i = 0; i < WORKERS; i++)
		place_worker(p, i);
	for (uint32_t i = 0; i < queues; i++) {
		struct worker *w = p->worker[i];

		p->source[i] = (struct source){ .bed = p->bed, .random = i, .total = FRAMES };
		p->source_queue[i] = &p->source[i];
		w->rx[w->rx_n++] = (struct worker_rx){ port, (uint16_t)i, port, NULL };
		rx_shares_add(p->shares, w, 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		rte_eth_fp_ops[i].rx_pkt_burst = source_poll;
		rte_eth_fp_ops[i].rxq.data = p->source_queue;
		rte_eth_fp_ops[i].rxq.clbk = p->callback;
		rte_eth_fp_ops[i].tx_pkt_burst = sink_take;
		rte_eth_fp_ops[i].txq.data = p->sink_queue[i];
		rte_eth_fp_ops[i].txq.clbk = p->callback;
	}
	return p;
}

static void place_destroy(struct place *p)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct worker *w = p->worker[i];

		reassembly_expire(w, UINT64_MAX);
		drop_burst(w);
		reassembly_destroy(w->reassembly);
		trace_destroy(w->trace);
		rte_ring_free(w->inbox);
		if (i != 0)
			testbed_worker_free(w);
	}
	rx_shares_destroy(p->shares);
	testbed_destroy(p->bed); /* looks whether all buffers came back */
	free(p);
}

/* Sums over the workers. */
static uint64_t sum_drops(const struct place *p, uint32_t tenant)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WORKERS; i++)
		for (uint32_t r = 0; r < COUNTERS_REASONS; r++)
			sum += p->worker[i]->stats.tenant_drops[tenant].reason[r];
	return sum;
}

static uint64_t sum_sa(const struct place *p, uint32_t sa, size_t field)
{
	uint64_t sum = 0, one;

	for (uint32_t i = 0; i < WORKERS; i++) {
		memcpy(&one, (const uint8_t *)&p->worker[i]->stats.sa[sa] + field, sizeof(one));
		sum += one;
	}
	return sum;
}

#define SUM_SA(p, sa, field) sum_sa(p, sa, offsetof(struct counters_sa, field))

static void no_errors(const struct place *p)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		assert_int_equal(p->source[i].errors, 0);
	for (uint32_t i = 0; i < WORKERS; i++)
		for (uint32_t port = 0; port < 2; port++)
			assert_int_equal(p->sink[i][port].errors, 0);
}

/* ---- threads ---- */

static void dawdle(uint64_t *random)
{
	switch (random_below(random, 8)) {
	case 0:
		usleep(random_below(random, 200));
		break;
	case 1:
	case 2:
		sched_yield();
		break;
	case 3:
		rte_delay_us_block(random_below(random, 20));
		break;
	default:
		break;
	}
}

static bool sources_done(const struct place *p)
{
	for (uint32_t i = 0; i < p->shares->n; i++)
		if (__atomic_load_n(&p->source[i].next, __ATOMIC_ACQUIRE) < p->source[i].total)
			return false;
	return true;
}

/* Polls whatever queue there is, and loses time at the worst moments. */
static void *run_dawdling(void *arg)
{
	struct thread *t = arg;
	struct worker *w = t->worker;
	struct rte_mbuf *mbufs[BURST_MAX];
	uint64_t random = 31 + w->id;

	this_worker = w->id;
	while (!sources_done(t->place)) {
		struct rx_share *s =
			&t->place->shares->share[random_below(&random, t->place->shares->n)];
		uint16_t n = rx_share_take(w, s, mbufs);

		if (n == 0) {
			sched_yield();
			continue;
		}
		t->bursts++;
		dawdle(&random);
		worker_walk(w, s->rx->port, mbufs, n);
		dawdle(&random);
		worker_finish(w);
	}
	return NULL;
}

static void *run_worker(void *arg)
{
	struct thread *t = arg;

	this_worker = t->worker->id;
	worker_run(t->worker);
	return NULL;
}

static void threads_start(struct place *p, struct thread t[WORKERS], void *(*run)(void *))
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		t[i] = (struct thread){ .place = p, .worker = p->worker[i] };
		assert_int_equal(pthread_create(&t[i].thread, NULL, run, &t[i]), 0);
	}
}

static void threads_end(struct thread t[WORKERS])
{
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(t[i].thread, NULL), 0);
}

static void run_all(struct place *p)
{
	struct thread t[WORKERS];

	threads_start(p, t, run_dawdling);
	threads_end(t);
	no_errors(p);
}

/* ---- tests ---- */

static void test_outbound_in_order(void **state)
{
	struct place *p = place_create(BED_PORT_TENANT, 1, 64);

	p->source[0].make = make_plain;
	p->sink[0][BED_PORT_UNDERLAY].check = check_sealed;
	run_all(p);
	assert_int_equal(p->sink[0][BED_PORT_UNDERLAY].n, FRAMES);
	assert_int_equal(SUM_SA(p, 1, packets), FRAMES);
	assert_int_equal(sum_drops(p, 1), 0);
	place_destroy(p);
}

static void test_inbound_in_order(void **state)
{
	struct frame *sealed = calloc(SEALED, sizeof(*sealed));
	struct place *p = place_create(BED_PORT_UNDERLAY, 1, 32);

	assert_non_null(sealed);
	seal_all(p->bed, sealed);
	testbed_swap(p->bed);
	p->source[0].make = make_stored;
	p->source[0].frames = sealed;
	p->source[0].total = SEALED;
	p->sink[0][BED_PORT_TENANT].check = check_number;
	run_all(p);
	assert_int_equal(p->sink[0][BED_PORT_TENANT].n, SEALED);
	assert_int_equal(SUM_SA(p, 2, packets), SEALED);
	assert_int_equal(SUM_SA(p, 2, lost), 0);
	assert_int_equal(SUM_SA(p, 2, replayed), 0);
	assert_int_equal(sum_drops(p, 1), 0);
	free(sealed);
	place_destroy(p);
}

/* The same SA from the queues of two workers, which all help with. */
static void test_two_queues(void **state)
{
	struct place *p = place_create(BED_PORT_TENANT, 2, 64);

	for (uint32_t i = 0; i < 2; i++) {
		p->source[i].make = make_plain;
		p->sink[i][BED_PORT_UNDERLAY].check = check_rising;
	}
	run_all(p);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(p->sink[i][BED_PORT_UNDERLAY].n, FRAMES);
	assert_int_equal(SUM_SA(p, 1, packets), 2 * FRAMES);
	assert_int_equal(p->bed->tables->sa[1].out.sequence, 2 * FRAMES + 1);
	place_destroy(p);
}

/* Into the tunnel, cut before it, too big for it, to nowhere, ARP: all that a burst may leave. */
static uint32_t make_anything(struct source *s, uint8_t *frame, uint32_t number)
{
	uint16_t length = number % 5 == 1 ? 1480 : 100;
	uint32_t len = testbed_frame(frame, IP_V4, length, true);

	if (number % 5 == 4) {
		store_be16(frame + 12, 0x0806);
		return len;
	}
	if (number % 10 == 6) /* don't fragment */
		frame[14 + 6] = 0x40;
	if (number % 5 == 3) /* no route */
		frame[14 + 16] = 99;
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	return len;
}

static void test_all_accounted_for(void **state)
{
	struct place *p = place_create(BED_PORT_TENANT, 1, 64);
	uint64_t in = 0, out = 0, local = 0, drops;
	void *m;

	p->source[0].make = make_anything;
	run_all(p);
	for (uint32_t i = 0; i < WORKERS; i++) {
		const struct counters_tenant *t = &p->worker[i]->stats.tenant[1];

		in += t->in_packets + t->fragments;
		out += t->out_packets;
		local += t->local_packets;
	}
	drops = sum_drops(p, 1);
	assert_int_equal(in, out + local + drops);
	assert_true(in > FRAMES && drops != 0);
	assert_int_equal(p->sink[0][BED_PORT_UNDERLAY].n, out);
	while (rte_ring_dequeue(p->bed->to_main, &m) == 0)
		rte_pktmbuf_free(m);
	place_destroy(p);
}

/* Both halves of each outer packet, which then come to different workers now and then. */
static uint32_t make_halves(struct source *s, uint8_t *frame, uint32_t number)
{
	const struct frame *whole = &s->frames[number / 2];
	uint32_t payload = whole->len - ESP, half = payload / 2 & ~7u;
	uint32_t from = number % 2 * half, n = number % 2 == 0 ? half : payload - half;

	memcpy(frame, whole->bytes, ESP);
	memcpy(frame + ESP, whole->bytes + ESP + from, n);
	store_be16(frame + 14 + 2, (uint16_t)(20 + n));
	store_be16(frame + 14 + 4, (uint16_t)(number / 2));
	store_be16(frame + 14 + 6, (uint16_t)(number % 2 == 0 ? 0x2000 : half / 8));
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	return ESP + n;
}

static void test_pieces_meet(void **state)
{
	struct frame *sealed = calloc(SEALED, sizeof(*sealed));
	struct place *p = place_create(BED_PORT_UNDERLAY, 1, 32);
	const uint8_t us[4] = { 192, 0, 2, 2 };
	uint32_t old;

	assert_non_null(sealed);
	assert_int_equal(route_set(p->bed->tables->routes, &p->bed->tables->vrf[0], IP_V4,
				   ip_load(IP_V4, us), 32, route_value(ROUTE_KIND_LOCAL, 2), &old),
			 0);
	seal_all(p->bed, sealed);
	testbed_swap(p->bed);
	p->source[0].make = make_halves;
	p->source[0].frames = sealed;
	p->source[0].total = 2 * SEALED;
	p->sink[0][BED_PORT_TENANT].check = check_number;
	run_all(p);
	assert_int_equal(p->sink[0][BED_PORT_TENANT].n, SEALED);
	assert_int_equal(sum_drops(p, 0) + sum_drops(p, 1), 0);
	assert_int_equal(reassembly_held(p->worker[0]->reassembly), 0);
	free(sealed);
	place_destroy(p);
}

static bool is_wanted(const struct place *p)
{
	uint32_t from = 0;

	return rx_shares_find(p->shares, &from) != NULL;
}

/* One worker alone: when it asks for help, and when no more. */
static void test_help_is_asked_for(void **state)
{
	struct place *p = place_create(BED_PORT_TENANT, 1, 64);
	struct rte_mbuf *mbufs[BURST_MAX];
	struct worker *w = p->worker[0];
	uint32_t polls = 0, asked = 0;

	p->source[0].make = make_plain;
	p->source[0].least = BURST_MAX;
	p->sink[0][BED_PORT_UNDERLAY].check = check_sealed;
	assert_false(is_wanted(p));
	for (uint32_t n; (n = rx_share_take(w, &p->shares->share[0], mbufs)) != 0; polls++) {
		worker_walk(w, 0, mbufs, n);
		worker_finish(w);
		asked += is_wanted(p);
	}
	assert_true(asked + 2 > polls && asked < polls); /* not by the first full burst */
	polls = 0;
	for (; is_wanted(p); polls++)
		assert_int_equal(rx_share_take(w, &p->shares->share[0], mbufs), 0);
	assert_in_range(polls, 2, 10000);
	no_errors(p);
	place_destroy(p);
}

/* All queues that ask for help are found, each as often as the others. */
static void test_all_are_found(void **state)
{
	struct rx_shares *s = rx_shares_create(130);
	static struct worker_rx rx[130];
	uint32_t from = 0, found[130] = { 0 };

	assert_non_null(s);
	assert_null(rx_shares_find(s, &from));
	s->n = 130;
	for (uint32_t i = 0; i < s->n; i++)
		s->share[i].rx = &rx[i];
	assert_null(rx_shares_find(s, &from));
	s->wanted[0] = 1ull << 63 | 1ull << 7;
	s->wanted[2] = 1ull << 1;
	for (uint32_t i = 0; i < 30; i++)
		found[rx_shares_find(s, &from) - rx]++;
	assert_int_equal(found[7], 10);
	assert_int_equal(found[63], 10);
	assert_int_equal(found[129], 10);
	s->wanted[0] = s->wanted[2] = 0;
	assert_null(rx_shares_find(s, &from));
	rx_shares_destroy(s);
}

/* The real loop: all workers come to help, they leave when there is no more, and stop when told. */
static void test_workers_help(void **state)
{
	struct place *p = place_create(BED_PORT_TENANT, 1, 64);
	struct thread t[WORKERS];
	uint64_t packets = 0;

	p->source[0].make = make_plain;
	p->source[0].least = BURST_MAX;
	p->source[0].all_polls = (1u << WORKERS) - 1;
	p->bed->tables->sa[1].out.sequence_limit = 1ull << 32;
	p->sink[0][BED_PORT_UNDERLAY].check = check_sealed;
	threads_start(p, t, run_worker);
	while (!sources_done(p) || is_wanted(p))
		usleep(1000);
	__atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
	threads_end(t);
	no_errors(p);
	for (uint32_t i = 0; i < WORKERS; i++)
		packets += p->worker[i]->stats.worker->packets;
	assert_true(packets >= FRAMES);
	assert_int_equal(packets, p->source[0].next);
	assert_int_equal(p->sink[0][BED_PORT_UNDERLAY].n, packets);
	place_destroy(p);
}

/* In the middle of the work. */
static void test_stop_under_load(void **state)
{
	for (uint32_t i = 0; i < 20; i++) {
		struct place *p = place_create(BED_PORT_TENANT, 2, 64);
		struct thread t[WORKERS];

		for (uint32_t q = 0; q < 2; q++) {
			p->source[q].make = make_plain;
			p->source[q].total = UINT32_MAX;
			p->sink[q][BED_PORT_UNDERLAY].check = check_rising;
		}
		p->bed->tables->sa[1].out.sequence_limit = 1ull << 32;
		threads_start(p, t, run_worker);
		while (__atomic_load_n(&p->source[0].next, __ATOMIC_RELAXED) < 1000)
			usleep(100);
		__atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
		threads_end(t);
		no_errors(p);
		assert_int_equal(p->sink[0][1].n + p->sink[1][1].n,
				 p->source[0].next + p->source[1].next);
		place_destroy(p);
	}
}

static uint8_t times_seen[SEALED]; /* atomic */

static bool check_once(struct sink *s, const struct rte_mbuf *m)
{
	uint16_t number = load_be16(rte_pktmbuf_mtod_offset(m, const uint8_t *, 14 + 4));

	return number < SEALED && __atomic_fetch_add(&times_seen[number], 1, __ATOMIC_RELAXED) == 0;
}

static uint32_t sum_sinks(const struct place *p, uint32_t port)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < WORKERS; i++)
		sum += p->sink[i][port].n;
	return sum;
}

/* The SA comes in the middle of its packets: each passes once, or had to make room for others. */
static void test_early(void **state)
{
	struct frame *sealed = calloc(SEALED, sizeof(*sealed));
	struct place *p = place_create(BED_PORT_UNDERLAY, 1, SEALED);
	struct sad *sad = p->bed->tables->sad;
	uint32_t spi = p->bed->tables->sa[2].in.spi;
	uint64_t early = 0, unknown = 0;
	struct thread t[WORKERS];

	assert_non_null(sealed);
	seal_all(p->bed, sealed);
	testbed_swap(p->bed);
	p->source[0].make = make_stored;
	p->source[0].frames = sealed;
	p->source[0].total = SEALED;
	memset(times_seen, 0, sizeof(times_seen));
	for (uint32_t i = 0; i < WORKERS; i++) {
		p->sink[i][BED_PORT_TENANT].check = check_once;
		assert_int_equal(early_create(32, 1ull << 60, 100, 0, &p->worker[i]->early), 0);
	}
	assert_int_equal(sad_delete(sad, spi), 0);
	threads_start(p, t, run_worker);
	/* More than the bursts of all workers, so some of them are waiting. */
	while (__atomic_load_n(&p->source[0].next, __ATOMIC_ACQUIRE) <= WORKERS * BURST_MAX)
		usleep(100);
	p->bed->tables->sa[2].in.generation = 1;
	assert_int_equal(sad_add(sad, spi, 2), 0);
	usleep(1000);
	sad_announce(sad, 1);
	while (!sources_done(p))
		usleep(1000);
	__atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
	threads_end(t);
	no_errors(p);
	for (uint32_t i = 0; i < WORKERS; i++) {
		const struct stats_writer *stats = &p->worker[i]->stats;

		early += stats->worker->early_packets;
		unknown += stats->tenant_drops[0].reason[DROP_spi_unknown];
		assert_int_equal(p->worker[i]->early_held, 0);
		early_destroy(p->worker[i]->early);
	}
	assert_int_equal(sum_sinks(p, BED_PORT_TENANT) + unknown, SEALED);
	assert_int_equal(SUM_SA(p, 2, packets) + unknown, SEALED);
	assert_int_equal(sum_drops(p, 0), unknown);
	assert_int_equal(sum_drops(p, 1), 0);
	assert_true(early != 0 || unknown != 0);
	free(sealed);
	place_destroy(p);
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outbound_in_order), cmocka_unit_test(test_inbound_in_order),
		cmocka_unit_test(test_two_queues),        cmocka_unit_test(test_all_accounted_for),
		cmocka_unit_test(test_pieces_meet),       cmocka_unit_test(test_help_is_asked_for),
		cmocka_unit_test(test_all_are_found),     cmocka_unit_test(test_workers_help),
		cmocka_unit_test(test_stop_under_load),   cmocka_unit_test(test_early),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
