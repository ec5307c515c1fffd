/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_harness.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "testbed.h"

#define BURSTS 64 /* in a pass */

struct esp_harness {
	struct testbed *bed;
	uint32_t clear_len, sealed_len;
	uint8_t clear[2048], sealed[2048];
};

void esp_harness_begin(void)
{
	testbed_eal();
}

struct esp_harness *esp_harness_create(uint32_t size)
{
	struct esp_harness *h = calloc(1, sizeof(*h));

	if (h == NULL)
		abort();
	/* Without a window, so that a packet may come again. */
	h->bed = testbed_create(0, 16, 0);
	h->clear_len = testbed_frame(h->clear, IP_V4, (uint16_t)size, true);
	h->sealed_len = testbed_seal(h->bed, h->clear, h->clear_len, h->sealed);
	return h;
}

void esp_harness_destroy(struct esp_harness *h)
{
	testbed_destroy(h->bed);
	free(h);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct esp_pass pass(struct esp_harness *h, uint8_t port, const uint8_t *frame, uint32_t len)
{
	struct worker *w = h->bed->worker;
	const uint64_t *counted = w->stats.worker->stage_cycles;
	uint8_t out_port = port == BED_PORT_TENANT ? BED_PORT_UNDERLAY : BED_PORT_TENANT;
	uint64_t before[COUNTERS_STAGES];
	struct rte_mbuf *mbufs[BURST_MAX];
	struct esp_pass result = { .packets = BURSTS * BURST_MAX };

	memcpy(before, counted, sizeof(before));
	result.seconds = now();
	w->sampling = true;
	for (uint32_t burst = 0; burst < BURSTS; burst++) {
		h->bed->tables->sa[1].out.sequence = 1;
		for (uint32_t i = 0; i < BURST_MAX; i++)
			mbufs[i] = testbed_mbuf(h->bed, frame, len);
		w->stage_start = rte_rdtsc();
		worker_walk(w, port, mbufs, BURST_MAX);
		if (testbed_out(h->bed, out_port, mbufs) != BURST_MAX)
			abort();
		rte_pktmbuf_free_bulk(mbufs, BURST_MAX);
	}
	result.seconds = now() - result.seconds;
	for (uint32_t i = 0; i < COUNTERS_STAGES; i++)
		result.stage[i] = counted[i] - before[i];
	return result;
}

struct esp_pass esp_harness_outbound(struct esp_harness *h)
{
	return pass(h, BED_PORT_TENANT, h->clear, h->clear_len);
}

struct esp_pass esp_harness_inbound(struct esp_harness *h)
{
	struct esp_pass result;

	testbed_swap(h->bed);
	result = pass(h, BED_PORT_UNDERLAY, h->sealed, h->sealed_len);
	testbed_swap_back(h->bed);
	return result;
}
