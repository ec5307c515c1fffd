/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one thread on one core, its queues and its scratch. Everything that the stages of the
 * walks need is reached from here, so a test makes one on its own, without ports.
 */
#ifndef KAIDO_WORKER_H
#define KAIDO_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "aead.h"
#include "esn_recovery.h"
#include "icv_failure.h"
#include "packet.h"
#include "route_table.h"
#include "stats.h"
#include "tables.h"
#include "vrf.h"

struct early;
struct event_ring;
struct reassembly;
struct rte_mbuf;
struct rte_ring;
struct rx_share;
struct rx_shares;
struct trace;

struct worker_rx {
	uint16_t dpdk_id;
	uint16_t queue;
	uint8_t port;           /* index */
	struct rx_share *share; /* others may poll it, too; NULL: none does */
};

struct worker_tx {
	uint16_t dpdk_id;
	uint16_t queue;
	uint32_t *
		lock; /* where others send on it, too: too few queues, or see rx_share.h; or NULL */
	bool segments; /* takes packets in several buffers */
};

struct worker {
	const struct tables *tables;
	struct stats_writer stats;
	struct trace *trace;
	struct rte_ring
		*to_main; /* shared by all workers: mbufs with a packet in their private area */
	struct rte_ring *inbox;    /* from the main lcore */
	struct event_ring *events; /* to the main lcore; see event.h */
	uint32_t id;               /* 0 ..; RCU thread id; writer id + 1 of the counters */
	uint32_t lcore;
	uint32_t idle_sleep_us; /* longest sleep of the idle back-off; 0: never sleeps */
	uint32_t rx_n;
	const uint8_t *go;   /* set: poll the ports (start may wait for the first commit) */
	const uint8_t *stop; /* set: leave */
	uint32_t
		sample_every; /* of polls that find packets, one in so many is measured by stages */
	uint64_t tsc_hz;
	uint32_t *fragment_id; /* all workers': id of the next sealed packet that is cut */
	struct icv_told icv_told;
	uint64_t acquire_ready; /* of the rate of acquires over all tunnels */
	struct esn_recovery esn;
	uint64_t *error_refill; /* [max_tenants] TSC: when the bucket of ICMP errors was empty */
	struct reassembly *reassembly; /* of what comes by the underlay; NULL: none */
	struct early *early;           /* ESP that is ahead of its SA; NULL: none is kept */
	uint32_t early_held;           /* packets in it */
	struct worker_rx rx[PORTS_MAX];
	struct worker_tx tx[PORTS_MAX]; /* by port index */
	bool alone; /* there is no other: nobody else takes numbers or commits to windows */
	struct rx_shares *shares; /* what to do when idle; NULL: nothing */
	uint32_t share_from;      /* where to look next */

	/* The burst in work, if it is of a queue that is shared. */
	struct rx_share *share; /* NULL: it is not */
	uint32_t ticket;
	uint32_t turn; /* enum rx_turn: the next one */

	/* Scratch of one burst. */
	bool tracing;
	bool sampling; /* this poll is measured, if it finds packets */
	uint32_t sample_in;
	uint64_t poll_start; /* TSC */
	uint64_t stage_start;
	struct packet_list inbound;  /* ESP, to be decrypted */
	struct packet_list forward;  /* to be routed in their tenant's VRF */
	struct packet_list encap;    /* into a tunnel */
	struct packet_list adjacent; /* a next hop is known */
	struct packet_list local;    /* to our own addresses */
	struct packet_list host;     /* for the main lcore: ARP, ND, unresolved next hops, punts */
	struct packet_list oversize; /* to be cut; see fragment.c */
	struct packet_list sealed;   /* encrypted, to be cut for the path; the same */
	struct packet_list dropped;
	bool ageing;         /* some of `inbound` have an SA whose bytes are limited or watched */
	uint32_t cut_sealed; /* packets of `encap` with PACKET_CUT_SEALED */
	uint32_t out_ports;  /* bit set of ports with something in `out` */
	struct packet packet[BURST_MAX] __attribute__((aligned(64)));
	struct packet fragment[BURST_MAX];
	struct packet piece[BURST_MAX]; /* of a sealed one, which may be in `fragment` */
	struct aead_op op[BURST_MAX] __attribute__((aligned(64)));
	struct route_query query[BURST_MAX];
	struct packet_list out[PORTS_MAX];
};
static_assert(PORTS_MAX <= 32, "out_ports has a bit per port");

/* The poll loop; runs until *stop. Registers with the tables' reclaim. Returns 0. */
int worker_run(void *worker);

/* One burst through both walks, from frames to the lists in `out`, `host` and `dropped`. */
void worker_walk(struct worker *w, uint8_t port, struct rte_mbuf **mbufs, uint32_t n);
/* Sends, hands over, frees and counts what worker_walk() left. */
void worker_finish(struct worker *w);
/* A burst of n that was classified before and is in `inbound` now (or `dropped`): both, to the end. */
void worker_go_on(struct worker *w, uint32_t n);
/* What the main lcore sends: frames of its own, and packets whose next hop was found. */
uint32_t worker_inbox(struct worker *w);

/* The stages, in the order of the walk. Each takes its list from the worker and empties it. */
void classify_burst(struct worker *w, uint8_t port, struct rte_mbuf **mbufs, uint32_t n);
void inbound_burst(struct worker *w);
void forward_burst(struct worker *w);
void local_burst(struct worker *w);
void outbound_burst(struct worker *w);
void adjacent_burst(struct worker *w);
void icmp_error_burst(struct worker *w);
/* Cuts one packet and leaves its pieces for worker_send(); false: there is none to cut. */
bool fragment_next(struct worker *w);
/* Takes those that are to be cut for the path out of `adjacent`. */
void fragment_sealed(struct worker *w);
void tx_burst(struct worker *w);
void host_burst(struct worker *w);
/* One packet of the underlay's host whose descriptor is in its mbuf already. False: the ring is full. */
bool host_punt(struct worker *w, struct packet *p);
void drop_burst(struct worker *w);

/* From the tunnels' and next hops' lists to `out`. */
void worker_send(struct worker *w);

/* What p, which is too big, would have to fit: its tunnel or its next hop's link. Never below what its
 * family promises to carry. */
uint32_t packet_mtu(const struct worker *w, const struct packet *p);
/* May it be cut? */
bool fragment_allowed(const struct packet *p);

/* Counts one drop in a writer's rows; p->reason says why. */
void drop_count(struct stats_writer *stats, const struct packet *p);

static inline void packet_drop(struct worker *w, struct packet *p, enum drop_reason reason)
{
	p->reason = (uint8_t)reason;
	packet_push(&w->dropped, p);
}

/* Too big for where it goes: to be cut where that is allowed, else dropped. */
static inline void packet_oversize(struct worker *w, struct packet *p)
{
	if (fragment_allowed(p))
		packet_push(&w->oversize, p);
	else
		packet_drop(w, p, DROP_too_big);
}

/* A whole frame to a port. */
void packet_out(struct worker *w, struct packet *p, uint16_t port);

/*
 * The descriptor that travels with an mbuf between a worker and the main lcore, in the mbuf's
 * private area. `route` says what for.
 */
struct packet *mbuf_packet(struct rte_mbuf *m);

/* `route` of a packet on its way to the main lcore: a route value (ADJACENCY, ONLINK) to wait for, or */
#define HANDOFF_NEIGHBOUR   (6u << 28) /* an ARP or ND frame for neighbour_receive() */
#define HANDOFF_PUNT        (7u << 28) /* a frame for the exception interface of p->rx_port */
#define HANDOFF_PATH_MTU    (8u << 28) /* ICMP for path_mtu_packet() */
/* `route` of a packet from the main lcore: ADJACENCY: send it there, or */
#define HANDOFF_FRAME       (9u << 28) /* a whole frame for port p->rx_port, or */
#define HANDOFF_RECEIVED    (12u << 28) /* a whole frame, as if port p->rx_port had received it, or */
#define HANDOFF_DUMMY       (11u << 28) /* or-ed with a tunnel: a dummy packet for it, or */
#define HANDOFF_UNREACHABLE (10u << 28) /* a packet whose next hop does not answer, to be dropped */

/*
 * A packet waits in a ring for longer than a grace period, and what its `route` names may have been
 * removed and its id given to another tenant's object when it is taken out. So it carries the
 * generation of the adjacency or attachment, and whoever takes it out drops it when that has passed.
 */
static inline uint16_t handoff_generation(const struct tables *t, const struct packet *p)
{
	const uint16_t *generation;

	switch (route_kind(p->route)) {
	case ROUTE_KIND_ADJACENCY:
		generation = &t->adjacency[route_index(p->route)].generation;
		break;
	case ROUTE_KIND_ONLINK:
		generation = &t->attachment[route_index(p->route)].generation;
		break;
	default: /* a frame */
		generation = &t->attachment[p->attachment].generation;
	}
	return __atomic_load_n(generation, __ATOMIC_RELAXED);
}

/*
 * A prime, so that what comes in a rhythm (of a power of two, most likely) is not always met at the
 * same beat. A dozen time stamps in so many bursts don't show.
 */
#define SAMPLE_EVERY 61

void worker_stage_charge(struct worker *w, enum counters_stage stage, uint32_t packets);

/* In a poll that is measured: charges the cycles since the last call to a stage. */
static inline void worker_stage(struct worker *w, enum counters_stage stage, uint32_t packets)
{
	if (unlikely(w->sampling))
		worker_stage_charge(w, stage, packets);
}

/* Counts what a poll that began at w->poll_start has found; the next one begins `now`. */
void worker_account(struct worker *w, uint32_t packets, uint64_t now);

#endif /* KAIDO_WORKER_H */
