/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes over a whole route table: the walk, and freeing it. */
#include "route_table.h"

#include "reclaim.h"
#include "route_node.h"

struct walk {
	const struct route_pool *pool;
	route_walk_fn fn;
	void *arg;
	enum ip_family family;
};

/* Puts bits (left-aligned) into the key from a level on. */
static struct ip_addr key_put(struct ip_addr key, uint32_t level, uint64_t bits)
{
	uint32_t at = level * ROUTE_STRIDE - 1; /* in the address */

	if (level == 0) {
		key.hi |= bits << 1;
	} else if (at < 64) {
		key.hi |= bits >> at;
		key.lo |= bits << 1 << (63 - at);
	} else {
		key.lo |= bits >> (at - 64);
	}
	return key;
}

/* The prefixes of the node that begin with this stride, the shortest first. */
static int walk_prefixes(const struct walk *w, const struct route_node *node, struct ip_addr key,
			 uint32_t level, uint32_t stride)
{
	for (uint32_t rest = 0; rest < ROUTE_STRIDE; rest++) {
		uint32_t bit = 1u << rest | stride >> (ROUTE_STRIDE - rest);
		int err;

		/* Of the strides that a prefix covers, it goes before the first. */
		if ((stride & ((1u << (ROUTE_STRIDE - rest)) - 1)) != 0 ||
		    (node->prefixes >> bit & 1) == 0)
			continue;
		err = w->fn(w->arg, w->family, key_put(key, level, (uint64_t)stride << 58),
			    (uint8_t)(level * ROUTE_STRIDE + rest - 1),
			    *route_value(w->pool, node, bit));
		if (err != 0)
			return err;
	}
	return 0;
}

static int walk_node(const struct walk *w, const struct route_node *node, struct ip_addr key,
		     uint32_t level)
{
	int err = 0;

	key = key_put(key, level, node->skip);
	level += route_skip_strides(node);
	for (uint32_t stride = 0; stride < 1u << ROUTE_STRIDE && err == 0; stride++) {
		err = walk_prefixes(w, node, key, level, stride);
		if (err == 0 && (node->children >> stride & 1) != 0)
			err = walk_node(w, route_child(w->pool, node, stride),
					key_put(key, level, (uint64_t)stride << 58), level + 1);
	}
	return err;
}

int route_walk(const struct route_pool *pool, const struct route_table *table, route_walk_fn fn,
	       void *arg)
{
	int err = 0;

	for (uint32_t family = IP_V4; family <= IP_V6 && err == 0; family++) {
		struct walk w = { pool, fn, arg, (enum ip_family)family };

		if (table->root[family] != 0)
			err = walk_node(&w, route_unit(pool, table->root[family]),
					(struct ip_addr){ 0, 0 }, 0);
	}
	return err;
}

static void free_below(struct route_pool *pool, const struct route_node *node)
{
	const struct route_node *children = route_unit(pool, node->base);
	struct route_block b = route_node_block(node);

	for (uint32_t n = (uint32_t)__builtin_popcountll(node->children); n != 0; n--)
		free_below(pool, &children[n - 1]);
	if (b.units != 0)
		route_block_free(pool, b.first, b.units);
}

static void free_tree(void *owner, uint64_t root, uint64_t unused)
{
	free_below(owner, route_unit(owner, (uint32_t)root));
	route_block_free(owner, (uint32_t)root, 1);
}

void route_table_clear(struct route_pool *pool, struct route_table *table)
{
	for (uint32_t family = IP_V4; family <= IP_V6; family++) {
		uint32_t root = table->root[family];

		if (root == 0)
			continue;
		__atomic_store_n(&table->root[family], 0, __ATOMIC_RELEASE);
		table->routes[family] = 0;
		reclaim_defer(pool->reclaim, free_tree, pool, root, 0);
	}
}
