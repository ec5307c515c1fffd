/* SPDX-License-Identifier: BSD-3-Clause */
/* What a worker counts of its own time: the stages add up to what the sampled polls took. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "random.h"
#include "testbed.h"
#include "trace.h"

#define POLLS 2000

static uint64_t stages_sum(const struct counters_worker *row)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < COUNTERS_STAGES; i++)
		sum += row->stage_cycles[i];
	return sum;
}

static void accounting_begin(struct worker *w, uint32_t every, uint64_t now)
{
	w->sample_every = every;
	w->sampling = true;
	w->poll_start = w->stage_start = now;
}

/* Into the tunnel, out of it, or dropped; with whatever frames there are of that. */
static void poll_walk(struct testbed *bed, struct wire wire[2], uint64_t *random, uint32_t n)
{
	struct rte_mbuf *in[BURST_MAX];
	uint8_t frame[2048];

	for (uint32_t i = 0; i < n; i++) {
		bool odd = random_below(random, 8) == 0;
		uint32_t len = testbed_frame(frame, random_below(random, 2) ? IP_V6 : IP_V4,
					     (uint16_t)(48 + random_below(random, 1000)), true);

		if (odd)
			frame[12] = 0x12; /* no such EtherType */
		in[i] = testbed_mbuf(bed, frame, len);
	}
	worker_walk(bed->worker, BED_PORT_TENANT, in, n);
	worker_finish(bed->worker);
	wire_free(&wire[0]);
	wire_free(&wire[1]);
}

static struct testbed *bed_with_wires(struct wire wire[2])
{
	struct testbed *bed = testbed_create(0, 16, 64);

	for (uint16_t i = 0; i < 2; i++) {
		wire_attach(&wire[i], i, BURST_MAX);
		bed->worker->tx[i] = (struct worker_tx){ .dpdk_id = i };
	}
	return bed;
}

/* Every cycle of a sampled poll is a stage's; those of the others are nobody's. */
static void check_sum(uint32_t every)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire);
	const struct counters_worker *row = bed->worker->stats.worker;
	uint64_t random = every, packets = 0, busy_polls = 0, start = rte_rdtsc(), now = start;

	accounting_begin(bed->worker, every, start);
	for (uint32_t poll = 0; poll < POLLS; poll++) {
		uint32_t n = random_below(&random, 3) == 0
				     ? 0
				     : 1 + (uint32_t)random_below(&random, BURST_MAX);

		if (n != 0)
			poll_walk(bed, wire, &random, n);
		packets += n;
		busy_polls += n != 0;
		now = rte_rdtsc();
		worker_account(bed->worker, n, now);
		assert_int_equal(stages_sum(row), row->sampled_cycles);
	}
	assert_int_equal(row->polls, POLLS);
	assert_int_equal(row->busy_polls, busy_polls);
	assert_int_equal(row->packets, packets);
	assert_int_equal(row->busy_cycles + row->idle_cycles, now - start);
	assert_int_equal(row->sampled_polls, (busy_polls + every - 1) / every);
	if (every == 1) {
		assert_int_equal(row->sampled_cycles, row->busy_cycles);
		assert_int_equal(row->sampled_packets, packets);
		assert_int_equal(row->stage_packets[STAGE_RX], packets);
	}
	assert_true(row->sampled_cycles <= row->busy_cycles);
	assert_int_equal(row->stage_packets[STAGE_RX], row->sampled_packets);
	for (uint32_t i = 0; i < COUNTERS_STAGES; i++)
		assert_true(row->stage_packets[i] == 0 || row->stage_cycles[i] > 0);
	testbed_destroy(bed);
}

static void test_every_poll(void **state)
{
	check_sum(1);
}

static void test_some_polls(void **state)
{
	check_sum(2);
	check_sum(SAMPLE_EVERY);
}

/* With time stamps of our own: which polls are sampled, and what they are charged. */
static void test_which_polls(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct worker *w = bed->worker;
	const struct counters_worker *row = w->stats.worker;
	uint64_t now = 1000;

	accounting_begin(w, 3, now);
	for (uint32_t i = 1; i <= 30; i++) {
		now += 7; /* an idle poll */
		worker_account(w, 0, now);
		now += 100 + i;
		worker_account(w, i, now);
		assert_int_equal(row->sampled_polls, (i + 2) / 3);
	}
	assert_int_equal(row->idle_cycles, 30 * 7);
	assert_int_equal(row->busy_cycles, 30 * 100 + 30 * 31 / 2);
	/* 1, 4, ... 28 */
	assert_int_equal(row->sampled_packets, 145);
	assert_int_equal(row->sampled_cycles, 10 * 100 + 145);
	/* No stage was passed, so all of it is the loop's. */
	assert_int_equal(row->stage_cycles[STAGE_LOOP], row->sampled_cycles);
	testbed_destroy(bed);
}

/* A device that gives bursts of 1, 2, ... 64, an empty poll before each, and then says stop. */
struct feeder {
	struct testbed *bed;
	struct wire wire[2];
	uint8_t go, stop;
	uint32_t polls;
	void *queue[1], *callback[1];
};

static uint16_t feeder_rx(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct feeder *f = queue;
	uint16_t burst = (uint16_t)(++f->polls / 2);
	uint8_t frame[2048];
	uint32_t len;

	wire_free(&f->wire[0]);
	wire_free(&f->wire[1]);
	if (f->polls % 2 != 0)
		return 0;
	assert_true(burst <= n);
	for (uint32_t i = 0; i < burst; i++) {
		len = testbed_frame(frame, IP_V4, 100, true);
		mbufs[i] = testbed_mbuf(f->bed, frame, len);
	}
	f->stop = burst == BURST_MAX;
	return burst;
}

static void run_feeder(uint32_t every)
{
	struct feeder f = { .go = 1 };
	const struct counters_worker *row;

	f.bed = bed_with_wires(f.wire);
	f.queue[0] = &f;
	rte_eth_fp_ops[0].rx_pkt_burst = feeder_rx;
	rte_eth_fp_ops[0].rxq.data = f.queue;
	rte_eth_fp_ops[0].rxq.clbk = f.callback;
	f.bed->worker->inbox = rte_ring_create("inbox", 64, 0, 0);
	assert_non_null(f.bed->worker->inbox);
	assert_int_equal(trace_create(&f.bed->worker->trace), 0);
	f.bed->worker->rx_n = 1;
	f.bed->worker->go = &f.go;
	f.bed->worker->stop = &f.stop;
	f.bed->worker->id = 0;
	f.bed->worker->sample_every = every;
	assert_int_equal(worker_run(f.bed->worker), 0);

	row = f.bed->worker->stats.worker;
	for (uint32_t i = 0; i < COUNTERS_BURSTS; i++)
		assert_int_equal(row->bursts[i], i < 6 ? 1u << i : i == 6 ? 1 : 0);
	assert_int_equal(row->polls, 2 * BURST_MAX);
	assert_int_equal(row->busy_polls, BURST_MAX);
	assert_int_equal(row->packets, BURST_MAX * (BURST_MAX + 1) / 2);
	assert_int_equal(row->sampled_polls, (BURST_MAX + every - 1) / every);
	assert_int_equal(stages_sum(row), row->sampled_cycles);
	assert_int_equal(row->stage_packets[STAGE_ENCRYPT], row->sampled_packets);
	if (every == 1)
		assert_int_equal(row->sampled_cycles, row->busy_cycles);
	wire_free(&f.wire[0]);
	wire_free(&f.wire[1]);
	rte_ring_free(f.bed->worker->inbox);
	trace_destroy(f.bed->worker->trace);
	testbed_destroy(f.bed);
}

static void test_poll_loop(void **state)
{
	run_feeder(1);
	run_feeder(SAMPLE_EVERY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_poll),
		cmocka_unit_test(test_some_polls),
		cmocka_unit_test(test_which_polls),
		cmocka_unit_test(test_poll_loop),
	};

	testbed_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
