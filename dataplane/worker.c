/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <time.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "dummy.h"
#include "early.h"
#include "reassembly.h"
#include "reclaim.h"
#include "rx_share.h"
#include "segments.h"
#include "trace.h"
#include "vrf.h"

/* Empty polls in a row before the first sleep, and the sleep to start with. */
#define IDLE_POLLS        256
#define IDLE_SLEEP_MIN_US 4

static void stage_charge(struct worker *w, enum counters_stage stage, uint32_t packets,
			 uint64_t now)
{
	w->stats.worker->stage_cycles[stage] += now - w->stage_start;
	w->stats.worker->stage_packets[stage] += packets;
	w->stage_start = now;
}

void worker_stage_charge(struct worker *w, enum counters_stage stage, uint32_t packets)
{
	stage_charge(w, stage, packets, rte_rdtsc());
}

static void sample_end(struct worker *w, uint32_t packets, uint64_t now)
{
	struct counters_worker *row = w->stats.worker;

	stage_charge(w, STAGE_LOOP, packets, now);
	row->sampled_polls++;
	row->sampled_packets += packets;
	row->sampled_cycles += now - w->poll_start;
	w->sample_in = w->sample_every;
}

void worker_account(struct worker *w, uint32_t packets, uint64_t now)
{
	struct counters_worker *row = w->stats.worker;

	row->polls++;
	if (packets == 0) {
		row->idle_cycles += now - w->poll_start;
	} else {
		row->busy_polls++;
		row->packets += packets;
		row->busy_cycles += now - w->poll_start;
		if (unlikely(w->sampling))
			sample_end(w, packets, now);
		w->sampling = --w->sample_in == 0;
	}
	w->poll_start = w->stage_start = now;
}

static inline void burst_count(struct worker *w, uint32_t packets)
{
	w->stats.worker->bursts[31 - __builtin_clz(packets)]++;
}

void worker_send(struct worker *w)
{
	if (w->encap.n != 0)
		outbound_burst(w);
	if (w->adjacent.n != 0)
		adjacent_burst(w);
}

/* Senders are told why; what tells them goes by the tenant's routes like any packet. */
static void worker_errors(struct worker *w)
{
	if (likely(w->dropped.n == 0))
		return;
	icmp_error_burst(w);
	if (w->forward.n != 0) {
		forward_burst(w);
		worker_send(w);
	}
}

static __attribute__((always_inline)) inline void worker_stages(struct worker *w)
{
	if (w->inbound.n != 0)
		inbound_burst(w);
	if (w->forward.n != 0)
		forward_burst(w);
	if (unlikely(w->local.n != 0))
		local_burst(w);
	worker_send(w);
	worker_errors(w);
}

void worker_walk(struct worker *w, uint8_t port, struct rte_mbuf **mbufs, uint32_t n)
{
	classify_burst(w, port, mbufs, n);
	worker_stage(w, STAGE_RX, n);
	worker_stages(w);
}

static void worker_transmit(struct worker *w)
{
	tx_burst(w);
	worker_stage(w, STAGE_TX, 0);
	if (unlikely(w->host.n != 0))
		host_burst(w);
}

static void worker_drop(struct worker *w)
{
	uint32_t dropped = w->dropped.n;

	drop_burst(w);
	worker_stage(w, STAGE_OTHER, dropped);
}

void worker_finish(struct worker *w)
{
	rx_turn_enter(w, RX_TURN_SEND);
	worker_transmit(w);
	while (unlikely(w->sealed.n != 0 || w->oversize.n != 0)) {
		worker_drop(w);
		fragment_next(w);
		worker_send(w);
		worker_transmit(w);
	}
	rx_turn_leave(w, RX_TURN_SEND);
	worker_drop(w);
}

void worker_go_on(struct worker *w, uint32_t n)
{
	worker_stages(w);
	worker_finish(w);
	burst_count(w, n);
}

/* A whole frame of the main lcore's. */
static void inbox_frame(struct worker *w, struct packet *p)
{
	if (unlikely(p->mbuf->nb_segs != 1 && !w->tx[p->rx_port].segments &&
		     !segments_linearize(p)))
		packet_drop(w, p, DROP_multi_segment);
	else
		packet_out(w, p, p->rx_port);
}

/* Few: one by one. Descriptors of the burst that they were found in are not needed any more. */
static void inbox_receive(struct worker *w, struct rte_mbuf **mbufs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		worker_walk(w, mbuf_packet(mbufs[i])->rx_port, &mbufs[i], 1);
		worker_finish(w);
	}
}

uint32_t worker_inbox(struct worker *w)
{
	struct rte_mbuf *received[BURST_MAX];
	void *mbufs[BURST_MAX];
	uint32_t n = rte_ring_dequeue_burst(w->inbox, mbufs, BURST_MAX, NULL), n_received = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = &w->packet[i];

		*p = *mbuf_packet(mbufs[i]);
		p->mbuf = mbufs[i];
		if (unlikely(p->generation != handoff_generation(w->tables, p)))
			packet_drop(w, p, DROP_detached);
		else if (p->route == HANDOFF_FRAME)
			inbox_frame(w, p);
		else if (unlikely(p->route == HANDOFF_RECEIVED))
			received[n_received++] = mbufs[i];
		else if (p->route == HANDOFF_UNREACHABLE)
			packet_drop(w, p, DROP_neighbour_failed);
		else if (unlikely((p->route & ~ROUTE_INDEX_MAX) == HANDOFF_DUMMY))
			dummy_take(w, p);
		else
			packet_push(&w->adjacent, p);
	}
	worker_send(w);
	worker_errors(w);
	if (n != 0) {
		worker_finish(w);
		burst_count(w, n);
	}
	inbox_receive(w, received, n_received);
	return n;
}

static uint32_t worker_poll_queue(struct worker *w, const struct worker_rx *rx)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n;

	n = rx->share == NULL ? rte_eth_rx_burst(rx->dpdk_id, rx->queue, mbufs, BURST_MAX)
			      : rx_share_take(w, rx->share, mbufs);
	if (n == 0)
		return 0;
	worker_walk(w, rx->port, mbufs, n);
	worker_finish(w);
	burst_count(w, n);
	return n;
}

/* A burst of somebody who has too many. */
static uint32_t worker_help(struct worker *w)
{
	const struct worker_rx *rx = rx_shares_find(w->shares, &w->share_from);

	return rx != NULL ? worker_poll_queue(w, rx) : 0;
}

static uint32_t worker_poll(struct worker *w)
{
	uint32_t total = 0;

	w->tracing = trace_active(w->trace);
	if (unlikely(!rte_ring_empty(w->inbox)))
		total += worker_inbox(w);
	if (unlikely(!__atomic_load_n(w->go, __ATOMIC_RELAXED)))
		return total;
	if (unlikely(w->reassembly != NULL && reassembly_held(w->reassembly) != 0))
		reassembly_expire(w, rte_rdtsc());
	if (unlikely(w->early_held != 0))
		total += early_poll(w, rte_rdtsc());
	for (uint32_t i = 0; i < w->rx_n; i++)
		total += worker_poll_queue(w, &w->rx[i]);
	if (total == 0 && w->shares != NULL)
		total = worker_help(w);
	return total;
}

/* Sleeps longer the longer nothing comes; offline meanwhile, so that no change has to wait. */
static void worker_idle(struct worker *w, struct rte_rcu_qsbr *qsbr, uint32_t *idle)
{
	uint32_t us = IDLE_SLEEP_MIN_US;
	struct timespec ts;

	if (++*idle < IDLE_POLLS || w->idle_sleep_us == 0) {
		rte_pause();
		return;
	}
	us <<= RTE_MIN((*idle - IDLE_POLLS) / 8, 16u);
	ts = (struct timespec){ .tv_nsec = 1000l * RTE_MIN(us, w->idle_sleep_us) };
	rte_rcu_qsbr_thread_offline(qsbr, w->id);
	nanosleep(&ts, NULL);
	rte_rcu_qsbr_thread_online(qsbr, w->id);
	w->stats.worker->sleeps++;
}

int worker_run(void *arg)
{
	struct worker *w = arg;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(w->tables->reclaim);
	uint32_t idle = 0, n;

	w->stats.worker->lcore = w->lcore;
	w->sampling = true;
	rte_rcu_qsbr_thread_register(qsbr, w->id);
	rte_rcu_qsbr_thread_online(qsbr, w->id);
	w->poll_start = w->stage_start = rte_rdtsc();
	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		n = worker_poll(w);
		rte_rcu_qsbr_quiescent(qsbr, w->id);
		if (n == 0)
			worker_idle(w, qsbr, &idle);
		else
			idle = 0;
		worker_account(w, n, rte_rdtsc());
	}
	early_end(w);
	rte_rcu_qsbr_thread_offline(qsbr, w->id);
	rte_rcu_qsbr_thread_unregister(qsbr, w->id);
	return 0;
}
