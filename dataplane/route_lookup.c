/* SPDX-License-Identifier: BSD-3-Clause */
/* Look-ups: the readers' side of the route tables. */
#include "route_table.h"

#include "route_node.h"

#define BURST 64u

/* By stride: itself cut to 0 .. 5 bits, as bits of a node's prefixes. */
#define UP(s)                                                                       \
	(1ull << (64 | (s)) / 2 | 1ull << (64 | (s)) / 4 | 1ull << (64 | (s)) / 8 | \
	 1ull << (64 | (s)) / 16 | 1ull << (64 | (s)) / 32 | 1ull << (64 | (s)) / 64)
#define UP4(s)  UP(s), UP((s) + 1), UP((s) + 2), UP((s) + 3)
#define UP16(s) UP4(s), UP4((s) + 4), UP4((s) + 8), UP4((s) + 12)

static const uint64_t prefixes_of[64] = { UP16(0), UP16(16), UP16(32), UP16(48) };

/* A look-up under way. */
struct descent {
	const struct route_node *node;
	uint64_t hi; /* the rest of the key */
	uint64_t lo;
	/*
	 * The last node with a matching prefix, and the stride there, 0: none yet. Nodes are aligned
	 * to 32 bytes: twice the address has room for six bits.
	 */
	uint64_t best;
};

/*
 * One node down; false: this was the last. Without a branch, for what the next node of a packet
 * looks like can't be predicted. `lead` is 1 at the root, where the key has its zero bit before it.
 */
static inline bool descend(const struct route_pool *pool, struct descent *d, uint32_t lead)
{
	const struct route_node *node = d->node;
	uint32_t shift = node->shift;
	uint64_t stride = ((d->hi >> lead) ^ node->skip) >> shift;
	uint64_t here = stride < 64;
	uint64_t match = node->prefixes & prefixes_of[stride % 64] & -here;
	uint64_t upto = node->children << (~stride & 63);
	uint64_t found = ((uint64_t)(uintptr_t)node << 1) + stride;

	d->best ^= (d->best ^ found) & -(uint64_t)(match != 0);
	d->hi = d->hi << (64 - shift - lead) | d->lo >> (shift + lead);
	d->lo <<= 64 - shift - lead;
	/* Where there is no such child, some place that nothing reads. */
	d->node = (const struct route_node *)route_unit(pool, node->base) +
		  __builtin_popcountll(upto) - 1;
	return here & upto >> 63;
}

static inline bool start(const struct route_pool *pool, struct descent *d,
			 const struct route_table *table, enum ip_family family,
			 struct ip_addr addr)
{
	uint32_t root = __atomic_load_n(&table->root[family], __ATOMIC_ACQUIRE);

	d->node = route_unit(pool, root);
	d->hi = addr.hi;
	d->lo = addr.lo;
	d->best = 0;
	return root != 0;
}

static inline uint32_t result(const struct route_pool *pool, const struct descent *d)
{
	const struct route_node *node = (const void *)(uintptr_t)(d->best >> 1 & ~31ull);
	uint64_t match;

	if (d->best == 0)
		return ROUTE_NONE;
	match = node->prefixes & prefixes_of[d->best % 64];
	return *route_value(pool, node, 63 - (uint32_t)__builtin_clzll(match));
}

uint32_t route_lookup(const struct route_pool *pool, const struct route_table *table,
		      enum ip_family family, struct ip_addr addr)
{
	struct descent d;

	if (!start(pool, &d, table, family, addr))
		return ROUTE_NONE;
	if (descend(pool, &d, 1)) {
		while (descend(pool, &d, 0))
			;
	}
	return result(pool, &d);
}

/* Takes each look-up one node down and keeps those together that go on. Returns how many do. */
static inline uint32_t descend_all(const struct route_pool *pool, struct descent **going,
				   uint32_t n, uint32_t lead)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct descent *d = going[i];

		going[left] = d;
		left += descend(pool, d, lead);
		__builtin_prefetch(d->node);
	}
	return left;
}

/* All of them one node at a time: while one waits for its next node, the others go on. */
void route_lookup_burst(const struct route_pool *pool, struct route_query *queries, uint32_t n)
{
	struct descent all[BURST], *going[BURST];
	uint32_t left = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct route_query *q = &queries[i];

		going[left] = &all[i];
		left += start(pool, &all[i], q->table, q->family, q->addr);
		__builtin_prefetch(all[i].node);
	}
	left = descend_all(pool, going, left, 1);
	while (left != 0)
		left = descend_all(pool, going, left, 0);
	for (uint32_t i = 0; i < n; i++)
		queries[i].value = result(pool, &all[i]);
}
