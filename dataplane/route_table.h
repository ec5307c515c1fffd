/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Longest-prefix match, one structure for both families: a tree bitmap with strides of six bits and
 * path compression. A node is 32 bytes and holds the prefixes that end within its stride and a
 * bitmap of its children; the children of a node, and then the values of its prefixes, stand side by
 * side in one block. Published blocks are immutable: a change copies the blocks from the root to the
 * changed node (a few KB) and swaps the root, so a reader sees a table of before or after and never
 * takes a lock.
 *
 * The tree starts one bit early (every key has a zero bit put before it), so that the prefix
 * lengths that networks like (8, 16, 24, 32, 48, 56, 64, 128) end inside a node instead of costing one
 * of their own.
 *
 * One pool serves all tables. A table of 16 routes takes about a kilobyte; see docs/routes.md.
 *
 * Threads: changes by the main lcore alone; look-ups by any worker registered with the pool's
 * reclaim. Errors: -ENOSPC (the pool is full), -ENOENT, -EINVAL (the value
 * is ROUTE_NONE, the length too large). On an error the table is as it was. A deletion has memory
 * kept for it, and of a full pool a change first waits for the readers to free what it can.
 */
#ifndef KAIDO_ROUTE_TABLE_H
#define KAIDO_ROUTE_TABLE_H

#include <assert.h>
#include <stdint.h>

#include "ip.h"

struct reclaim;
struct route_pool;

#define ROUTE_NONE 0u /* the value of no match; never stored */

/* Per VRF. All zero is an empty table. Owned by who embeds it. */
struct route_table {
	uint32_t root[2]; /* by family: the block of the root node, 0: empty; atomic */
	uint32_t routes[2];
};
static_assert(sizeof(struct route_table) == 16, "four tables to a cache line");

/* `max_bytes` is address space: memory is taken as it is used. */
struct route_pool *route_pool_create(uint64_t max_bytes, struct reclaim *reclaim);
void route_pool_destroy(struct route_pool *pool);
uint64_t route_pool_used(const struct route_pool *pool); /* bytes in live and waiting blocks */

/* Adds a route or replaces its value. *old: what it had, or ROUTE_NONE. prefix is masked by len. */
int route_set(struct route_pool *pool, struct route_table *table, enum ip_family family,
	      struct ip_addr prefix, uint8_t len, uint32_t value, uint32_t *old);
int route_delete(struct route_pool *pool, struct route_table *table, enum ip_family family,
		 struct ip_addr prefix, uint8_t len, uint32_t *old);
/* The value of exactly this prefix, or ROUTE_NONE. */
uint32_t route_get(const struct route_pool *pool, const struct route_table *table,
		   enum ip_family family, struct ip_addr prefix, uint8_t len);
/*
 * Leaves the table empty at once and frees its blocks after a grace period: the reclaim_poll() that
 * does so takes about 20 ns a route. Needs no memory.
 */
void route_table_clear(struct route_pool *pool, struct route_table *table);

/*
 * In the order of the prefixes, IPv4 first. A non-zero return of fn ends the walk and is returned.
 * fn must not change the table.
 */
typedef int (*route_walk_fn)(void *arg, enum ip_family family, struct ip_addr prefix, uint8_t len,
			     uint32_t value);
int route_walk(const struct route_pool *pool, const struct route_table *table, route_walk_fn fn,
	       void *arg);

uint32_t route_lookup(const struct route_pool *pool, const struct route_table *table,
		      enum ip_family family, struct ip_addr addr);

/* One look-up of a burst. */
struct route_query {
	const struct route_table *table;
	struct ip_addr addr;
	uint32_t value; /* out */
	uint8_t family; /* enum ip_family */
};

/* Looks up to 64 addresses up side by side, so that their cache misses overlap. */
void route_lookup_burst(const struct route_pool *pool, struct route_query *queries, uint32_t n);

#endif /* KAIDO_ROUTE_TABLE_H */
