/* SPDX-License-Identifier: BSD-3-Clause */
#include "rx_share.h"

#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "spin.h"

/* A burst that says that the queue fills faster than it is emptied, or nearly so. */
#define BURST_FULL (BURST_MAX / 2)
/* So many in a row ask for help: far less than a queue holds. So many others in a row end it. */
#define FULL_ASK   2
#define CALM_END   256

struct rx_shares *rx_shares_create(uint32_t max)
{
	size_t n = RTE_MIN(max, (uint32_t)RX_SHARES_MAX);

	return rte_zmalloc("rx_shares", sizeof(struct rx_shares) + n * sizeof(struct rx_share), 64);
}

void rx_shares_destroy(struct rx_shares *s)
{
	rte_free(s);
}

void rx_shares_add(struct rx_shares *s, struct worker *w, uint32_t i)
{
	struct rx_share *share = &s->share[s->n];

	if (s->n == RX_SHARES_MAX)
		return;
	share->rx = &w->rx[i];
	share->tx = w->tx;
	share->reassembly = w->reassembly;
	share->worker = w->id;
	share->wanted = &s->wanted[s->n / 64];
	share->bit = 1ull << s->n % 64;
	w->rx[i].share = share;
	s->n++;
}

/* Under the lock. The word is shared by all who look for work: it is written on changes only. */
static void share_watch(struct rx_share *s, uint16_t n)
{
	bool wanted = __atomic_load_n(s->wanted, __ATOMIC_RELAXED) & s->bit;

	if (n >= BURST_FULL) {
		s->calm = 0;
		if (++s->full >= FULL_ASK && !wanted)
			__atomic_fetch_or(s->wanted, s->bit, __ATOMIC_RELAXED);
	} else {
		s->full = 0;
		if (++s->calm >= CALM_END && wanted)
			__atomic_fetch_and(s->wanted, ~s->bit, __ATOMIC_RELAXED);
	}
}

uint16_t rx_share_take(struct worker *w, struct rx_share *s, struct rte_mbuf **mbufs)
{
	uint16_t n;

	if (__atomic_load_n(&s->lock, __ATOMIC_RELAXED) != 0 ||
	    __atomic_exchange_n(&s->lock, 1, __ATOMIC_ACQUIRE) != 0)
		return 0;
	n = rte_eth_rx_burst(s->rx->dpdk_id, s->rx->queue, mbufs, BURST_MAX);
	share_watch(s, n);
	if (n != 0) {
		w->share = s;
		w->ticket = s->next++;
		w->turn = 0;
	}
	spin_unlock(&s->lock);
	return n;
}

const struct worker_rx *rx_shares_find(const struct rx_shares *s, uint32_t *from)
{
	uint32_t words = (s->n + 63) / 64;

	for (uint32_t i = 0; i <= words && s->n != 0; i++) {
		uint32_t word = (*from / 64 + i) % words;
		uint64_t bits = __atomic_load_n(&s->wanted[word], __ATOMIC_RELAXED);

		/* The first word is looked at last, too: for what stands before *from. */
		if (i == 0)
			bits &= ~0ull << *from % 64;
		if (likely(bits == 0))
			continue;
		word = word * 64 + (uint32_t)__builtin_ctzll(bits);
		*from = (word + 1) % s->n;
		return s->share[word].rx;
	}
	return NULL;
}

void rx_share_enter(struct worker *w, enum rx_turn turn)
{
	struct rx_share *s = w->share;
	uint32_t spins = 0;

	while (w->turn <= turn) {
		uint32_t *ticket = &s->turn[w->turn].ticket;

		while (__atomic_load_n(ticket, __ATOMIC_ACQUIRE) != w->ticket)
			spin_once(&spins);
		if (w->turn == turn)
			return;
		__atomic_store_n(ticket, w->ticket + 1, __ATOMIC_RELEASE);
		w->turn++;
	}
}

void rx_share_leave(struct worker *w, enum rx_turn turn)
{
	struct rx_share *s = w->share;

	if (w->turn != turn)
		return;
	__atomic_store_n(&s->turn[turn].ticket, w->ticket + 1, __ATOMIC_RELEASE);
	w->turn++;
	if (w->turn == RX_TURNS)
		w->share = NULL;
}
