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
	const struct route_node *best; /* that had a matching prefix last */
	uint64_t match;                /* its matching prefixes */
};

/*
 * One node down; false: this was the last. Without a branch, for what a packet's next node looks
 * like can't be predicted. `lead` is 1 at the root, where the key has its zero bit before it.
 */
static inline bool descend(const struct route_pool *pool, struct descent *d, uint32_t lead)
{
	const struct route_node *node = d->node;
	uint64_t key = d->hi >> lead;
	bool here = (key ^ node->skip) >> 1 >> (63 - node->skip_bits) == 0;
	uint32_t stride = (uint32_t)(key << node->skip_bits >> 58);
	uint64_t match = here ? node->prefixes & prefixes_of[stride] : 0;
	uint64_t upto = node->children << (63 - stride);
	uint32_t shift = node->skip_bits + ROUTE_STRIDE - lead;

	d->best = match != 0 ? node : d->best;
	d->match = match != 0 ? match : d->match;
	d->hi = d->hi << shift | d->lo >> (64 - shift);
	d->lo <<= shift;
	/* Somewhere in the pool where there is no such child. */
	d->node = (const struct route_node *)route_unit(pool, node->base) +
		  __builtin_popcountll(upto) - 1;
	return here & (upto >> 63);
}

static inline bool start(const struct route_pool *pool, struct descent *d,
			 const struct route_table *table, enum ip_family family,
			 struct ip_addr addr)
{
	uint32_t root = __atomic_load_n(&table->root[family], __ATOMIC_ACQUIRE);

	*d = (struct descent){
		.node = route_unit(pool, root),
		.hi = addr.hi,
		.lo = addr.lo,
	};
	return root != 0;
}

static inline uint32_t result(const struct route_pool *pool, const struct descent *d)
{
	if (d->match == 0)
		return ROUTE_NONE;
	return *route_value(pool, d->best, 63 - (uint32_t)__builtin_clzll(d->match));
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

/* All of them one level at a time: while one waits for its next node, the others go on. */
void route_lookup_burst(const struct route_pool *pool, struct route_query *queries, uint32_t n)
{
	struct descent all[BURST];
	uint8_t going[BURST];
	uint32_t left = 0, still;

	for (uint32_t i = 0; i < n; i++) {
		struct route_query *q = &queries[i];

		going[left] = (uint8_t)i;
		left += start(pool, &all[i], q->table, q->family, q->addr);
		__builtin_prefetch(all[i].node);
	}
	for (uint32_t lead = 1; left != 0; left = still, lead = 0) {
		still = 0;
		for (uint32_t i = 0; i < left; i++) {
			struct descent *d = &all[going[i]];

			going[still] = going[i];
			still += descend(pool, d, lead);
			__builtin_prefetch(d->node);
		}
	}
	for (uint32_t i = 0; i < n; i++)
		queries[i].value = result(pool, &all[i]);
}
