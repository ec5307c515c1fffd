/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deferred freeing: what a worker may still be reading is freed once every worker has passed a
 * quiescent state since (QSBR, rte_rcu). Owner and only caller: the main lcore. Workers only report
 * their quiescent states on reclaim_qsbr().
 */
#ifndef KAIDO_RECLAIM_H
#define KAIDO_RECLAIM_H

#include <stdint.h>

struct rte_rcu_qsbr;
struct reclaim;

typedef void (*reclaim_fn)(void *owner, uint64_t a, uint64_t b);

/* `threads`: how many readers may register (thread ids 0 .. threads - 1). NULL: no memory. */
struct reclaim *reclaim_create(uint32_t threads);
/* Frees everything that is still waiting; no reader may be running any more. NULL is allowed. */
void reclaim_destroy(struct reclaim *r);
struct rte_rcu_qsbr *reclaim_qsbr(struct reclaim *r);

/*
 * Calls fn(owner, a, b) after a grace period, in the order of the calls. Never fails: without
 * memory to queue it, it waits for the readers and calls fn at once. Before its queue grows it frees
 * what is due: be ready for any deferred fn to be called here.
 */
void reclaim_defer(struct reclaim *r, reclaim_fn fn, void *owner, uint64_t a, uint64_t b);
/* Frees what is due, without waiting. Returns how many entries still wait. */
uint32_t reclaim_poll(struct reclaim *r);
/* Waits for all readers and frees everything. */
void reclaim_wait(struct reclaim *r);

#endif /* KAIDO_RECLAIM_H */
