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
	uint32_t shift = node->shift, rest = shift + lead;
	uint64_t stride = ((d->hi >> lead) ^ node->skip) >> shift;
	uint64_t here = -(uint64_t)(stride < 64);
	uint64_t match = node->prefixes & prefixes_of[stride % 64] & here;
	uint64_t upto = (node->children & here) << (~stride & 63);
	uint64_t found = ((uint64_t)(uintptr_t)node << 1) + stride, best = d->best;

	d->best = __builtin_expect_with_probability(match != 0, 1, 0.5) ? found : best;
	d->hi = d->hi << (-rest & 63) | d->lo >> rest;
	d->lo <<= -rest & 63;
	/* Where there is no such child, some place that nothing reads. */
	d->node = (const struct route_node *)route_unit(pool, node->base) +
		  __builtin_popcountll(upto) - 1;
	return upto >> 63;
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

static inline const struct route_node *
root_of(const struct route_pool *pool, const struct route_table *table, enum ip_family family)
{
	return route_unit(pool, __atomic_load_n(&table->root[family], __ATOMIC_ACQUIRE));
}

/* From the root. An empty table has none: unit 0, which is never used, is all zero and goes for it. */
static inline bool start(const struct route_pool *pool, struct descent *d,
			 const struct route_table *table, enum ip_family family,
			 struct ip_addr addr)
{
	*d = (struct descent){
		.node = root_of(pool, table, family),
		.hi = addr.hi,
		.lo = addr.lo,
	};
	return descend(pool, d, 1);
}

uint32_t route_lookup(const struct route_pool *pool, const struct route_table *table,
		      enum ip_family family, struct ip_addr addr)
{
	struct descent d;
	bool more = start(pool, &d, table, family, addr);

	while (more)
		more = descend(pool, &d, 0);
	return result(pool, &d);
}

/* All of them one node at a time: while one waits for its next node, the others go on. */
void route_lookup_burst(const struct route_pool *pool, struct route_query *queries, uint32_t n)
{
	struct descent all[BURST], *going[BURST];
	uint32_t left = 0, still;

	assert(n <= BURST);
	for (uint32_t i = 0; i < n; i++)
		__builtin_prefetch(root_of(pool, queries[i].table, queries[i].family));
	for (uint32_t i = 0; i < n; i++) {
		const struct route_query *q = &queries[i];

		going[left] = &all[i];
		left += start(pool, &all[i], q->table, q->family, q->addr);
		__builtin_prefetch(all[i].node);
	}
	for (; left != 0; left = still) {
		still = 0;
		for (uint32_t i = 0; i < left; i++) {
			struct descent *d = going[i];

			going[still] = d;
			still += descend(pool, d, 0);
			__builtin_prefetch(d->node);
		}
	}
	for (uint32_t i = 0; i < n; i++)
		queries[i].value = result(pool, &all[i]);
}
