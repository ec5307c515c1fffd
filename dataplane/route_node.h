/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a route table, shared by route_pool.c, route_table.c and route_lookup.c only.
 *
 * The key is the address with a zero bit before it, cut into strides of six bits; a node's level
 * is the number of its stride. A prefix of length L ends (L + 1) % 6 bits into the stride of level
 * (L + 1) / 6. See docs/routes.md.
 */
#ifndef KAIDO_ROUTE_NODE_H
#define KAIDO_ROUTE_NODE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

#define ROUTE_STRIDE       6u
#define ROUTE_LEVELS       22u /* (128 + 1) / 6 + 1 */
#define ROUTE_SKIP_STRIDES 9u  /* at most, so that a skip and the stride behind it fit 64 bits */
#define ROUTE_UNIT         32u /* bytes */
#define ROUTE_UNIT_VALUES  8u
#define ROUTE_BLOCK_UNITS  72u /* 64 children and 63 values */

struct route_node {
	/*
	 * The prefixes that end in this stride, in heap order: bit 1 << r | (the first r bits of the
	 * stride), r = 0 .. 5. The longer prefix is the higher bit.
	 */
	uint64_t prefixes;
	uint64_t children; /* by stride */
	uint64_t skip;     /* left-aligned, else zero: what the key has before this stride */
	/*
	 * The unit in the middle of the node's block: from here up its children, from here down
	 * its values, both by rank of their bit.
	 */
	uint32_t base;
	/*
	 * 58 - the bits of the skip: (key ^ skip) >> shift is the stride, or above 63 where the key
	 * does not have what is skipped.
	 */
	uint8_t shift;
	uint8_t reserved[3];
};
static_assert(sizeof(struct route_node) == ROUTE_UNIT, "two nodes to a cache line");

struct route_block {
	uint32_t first; /* unit */
	uint32_t units;
};

struct route_pool {
	uint8_t *memory;
	struct reclaim *reclaim;
	uint32_t units; /* of address space, the reserve for deletions included */
	uint32_t next;  /* units from here on were never used; unit 0 never is */
	uint32_t used;  /* units */
	/* By size in units: the first free block, 0: none. A free block begins with the next. */
	uint32_t free[ROUTE_BLOCK_UNITS + 1];
};

/* 0: full. `reserve`: also from what is kept back for deletions. */
uint32_t route_block_alloc(struct route_pool *pool, uint32_t units, bool reserve);
void route_block_free(struct route_pool *pool, uint32_t block, uint32_t units);

static inline uint32_t route_skip_strides(const struct route_node *node)
{
	return (64 - ROUTE_STRIDE - node->shift) / ROUTE_STRIDE;
}

static inline void *route_unit(const struct route_pool *pool, uint32_t unit)
{
	return pool->memory + (uint64_t)unit * ROUTE_UNIT;
}

/* How many bits of `map` stand below bit `at` and at it. */
static inline uint32_t route_rank(uint64_t map, uint32_t at)
{
	return (uint32_t)__builtin_popcountll(map << (63 - at));
}

/* Where the child of a stride, the value of a prefix, stands: both bits must be set. */
static inline struct route_node *route_child(const struct route_pool *pool,
					     const struct route_node *node, uint32_t stride)
{
	struct route_node *children = route_unit(pool, node->base);

	return &children[route_rank(node->children, stride) - 1];
}

static inline uint32_t *route_value(const struct route_pool *pool, const struct route_node *node,
				    uint32_t bit)
{
	uint32_t *end = route_unit(pool, node->base);

	return end - route_rank(node->prefixes, bit);
}

static inline struct route_block route_node_block(const struct route_node *node)
{
	uint32_t values = (uint32_t)__builtin_popcountll(node->prefixes);
	uint32_t below = (values + ROUTE_UNIT_VALUES - 1) / ROUTE_UNIT_VALUES;

	return (struct route_block){
		.first = node->base - below,
		.units = below + (uint32_t)__builtin_popcountll(node->children),
	};
}

/* The key from a level on, 64 bits of it. */
static inline uint64_t route_key(struct ip_addr addr, uint32_t level)
{
	uint32_t at = level * ROUTE_STRIDE - 1; /* in the address */

	if (level == 0)
		return addr.hi >> 1;
	if (at < 64)
		return addr.hi << at | addr.lo >> 1 >> (63 - at);
	return addr.lo << (at - 64);
}

#endif /* KAIDO_ROUTE_NODE_H */
