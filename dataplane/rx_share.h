/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A receive queue that idle workers poll, too, when its own worker has more than it can do: so one
 * queue, and the one tunnel that may fill it, is not bound to the speed of one core.
 *
 * Whoever takes a burst from the queue takes a ticket with it, under the queue's lock, and carries
 * the burst through the whole walk itself. Three things are done in the order of the tickets, each
 * when its turn has come to this ticket:
 *
 *     commit    settles sequence numbers in replay windows
 *     sequence  takes numbers of outbound SAs
 *     send      hands packets to ports, always to the send queues of the queue's own worker
 *
 * So replay windows, peers' too, and the packets of a flow see the order in which the frames came,
 * as with one worker, and there is no buffer in which packets wait. Everything between is parallel.
 *
 * Who holds a ticket waits for earlier ones only, and each burst passes all of its turns before its
 * worker does anything else (see worker_run()): nobody waits for ever.
 */
#ifndef KAIDO_RX_SHARE_H
#define KAIDO_RX_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "worker.h"

/* Bits of one cache line. What queues there are beyond stay their workers' own. */
#define RX_SHARES_MAX 512

enum rx_turn { RX_TURN_COMMIT, RX_TURN_SEQUENCE, RX_TURN_SEND, RX_TURNS };

struct rx_turn_line {
	uint32_t ticket; /* whose turn it is */
} __attribute__((aligned(64)));

struct rx_share {
	/* Constant. */
	const struct worker_rx *rx;
	const struct worker_tx *tx;    /* by port index: the own worker's */
	struct reassembly *reassembly; /* the own worker's */
	uint32_t worker;               /* its id */
	uint64_t *wanted;              /* the word with its bit in rx_shares.wanted */
	uint64_t bit;
	/* Whoever polls; all but the lock are under the lock. */
	uint32_t lock __attribute__((aligned(64)));
	uint32_t next; /* ticket */
	uint32_t full; /* bursts in a row that say that there is more to do than is done */
	uint32_t calm; /* others in a row */
	struct rx_turn_line turn[RX_TURNS];
};

struct rx_shares {
	uint64_t wanted[RX_SHARES_MAX / 64]
		__attribute__((aligned(64))); /* where to help; atomic */
	uint32_t n;
	struct rx_share share[]; /* [max] */
};

/* For at most `max` queues, or RX_SHARES_MAX. NULL: no memory. */
struct rx_shares *rx_shares_create(uint32_t max);
void rx_shares_destroy(struct rx_shares *s);
/* Lets others poll w->rx[i]. Before any worker runs. */
void rx_shares_add(struct rx_shares *s, struct worker *w, uint32_t i);

/* A burst and its ticket; 0: nothing came, or somebody else is at it. */
uint16_t rx_share_take(struct worker *w, struct rx_share *s, struct rte_mbuf **mbufs);
/* A queue that wants help; *from: where to begin to look, moved on for the next time. NULL: none. */
const struct worker_rx *rx_shares_find(const struct rx_shares *s, uint32_t *from);

/* Of a burst with a ticket; see rx_turn_enter(). */
void rx_share_enter(struct worker *w, enum rx_turn turn);
void rx_share_leave(struct worker *w, enum rx_turn turn);

/*
 * Around what is done in order. Waits for the ticket's turn; turns before it that the burst had no
 * use for are passed. Each turn comes once for a burst: what a burst does again later (errors and
 * pieces that go into a tunnel) is done without. Leaving RX_TURN_SEND ends the burst.
 */
static inline void rx_turn_enter(struct worker *w, enum rx_turn turn)
{
	if (unlikely(w->share != NULL))
		rx_share_enter(w, turn);
}

static inline void rx_turn_leave(struct worker *w, enum rx_turn turn)
{
	if (unlikely(w->share != NULL))
		rx_share_leave(w, turn);
}

#endif /* KAIDO_RX_SHARE_H */
