/* SPDX-License-Identifier: BSD-3-Clause */
#include "reclaim.h"

#include <stdbool.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_rcu_qsbr.h>

#define FIRST_SLOTS 256u

struct waiting {
	uint64_t token; /* due once all readers have passed it */
	reclaim_fn fn;
	void *owner;
	uint64_t a;
	uint64_t b;
};

struct reclaim {
	struct rte_rcu_qsbr *qsbr;
	struct waiting *ring;
	uint32_t slots; /* a power of two, or 0 before the first entry */
	uint32_t head;  /* next to free; head and tail run freely */
	uint32_t tail;
};

struct reclaim *reclaim_create(uint32_t threads)
{
	struct reclaim *r = calloc(1, sizeof(*r));
	size_t size = rte_rcu_qsbr_get_memsize(threads);

	if (r == NULL)
		return NULL;
	if (threads == 0 || size == 1) /* 1: its way to say that it can't */
		goto free_reclaim;
	/* Not from DPDK's heap: a test has none. aligned_alloc() wants a multiple. */
	size = (size + RTE_CACHE_LINE_SIZE - 1) & ~((size_t)RTE_CACHE_LINE_SIZE - 1);
	r->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (r->qsbr == NULL)
		goto free_reclaim;
	if (rte_rcu_qsbr_init(r->qsbr, threads) != 0)
		goto free_qsbr;
	return r;

free_qsbr:
	free(r->qsbr);
free_reclaim:
	free(r);
	return NULL;
}

static void run_first(struct reclaim *r)
{
	/* A copy: fn may defer more, and so move the ring. */
	struct waiting w = r->ring[r->head++ & (r->slots - 1)];

	w.fn(w.owner, w.a, w.b);
}

void reclaim_destroy(struct reclaim *r)
{
	if (r == NULL)
		return;
	while (r->head != r->tail)
		run_first(r);
	free(r->ring);
	free(r->qsbr);
	free(r);
}

struct rte_rcu_qsbr *reclaim_qsbr(struct reclaim *r)
{
	return r->qsbr;
}

static bool ring_is_full(const struct reclaim *r)
{
	return r->tail - r->head == r->slots;
}

static bool ring_grow(struct reclaim *r)
{
	uint32_t slots = r->slots ? r->slots * 2 : FIRST_SLOTS;
	struct waiting *ring;
	uint32_t n = r->tail - r->head;

	if (slots > UINT32_MAX / 2)
		return false;
	ring = malloc(slots * sizeof(*ring));
	if (ring == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++)
		ring[i] = r->ring[(r->head + i) & (r->slots - 1)];
	free(r->ring);
	r->ring = ring;
	r->slots = slots;
	r->head = 0;
	r->tail = n;
	return true;
}

void reclaim_defer(struct reclaim *r, reclaim_fn fn, void *owner, uint64_t a, uint64_t b)
{
	uint64_t token = rte_rcu_qsbr_start(r->qsbr);

	/* Free what is due before growing, so that a long transaction doesn't grow it. */
	if (ring_is_full(r))
		reclaim_poll(r);
	if (ring_is_full(r) && !ring_grow(r)) {
		reclaim_wait(r);
		rte_rcu_qsbr_check(r->qsbr, token, true);
		fn(owner, a, b);
		return;
	}
	r->ring[r->tail++ & (r->slots - 1)] = (struct waiting){ token, fn, owner, a, b };
}

uint32_t reclaim_poll(struct reclaim *r)
{
	while (r->head != r->tail) {
		uint64_t token = r->ring[r->head & (r->slots - 1)].token;

		if (!rte_rcu_qsbr_check(r->qsbr, token, false))
			break;
		run_first(r);
	}
	return r->tail - r->head;
}

void reclaim_wait(struct reclaim *r)
{
	while (r->head != r->tail) {
		/* The youngest: the others are due before it. */
		rte_rcu_qsbr_check(r->qsbr, r->ring[(r->tail - 1) & (r->slots - 1)].token, true);
		reclaim_poll(r);
	}
}
