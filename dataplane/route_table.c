/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of route tables: the main lcore's side. */
#include "route_table.h"

#include <errno.h>
#include <string.h>

#include "reclaim.h"
#include "route_node.h"

/* A change makes a block a level, one for the root and a few for what it splits or joins. */
#define CHANGE_BLOCKS (3 * ROUTE_LEVELS)

/* A prefix and where in the tree it ends. */
struct target {
	struct ip_addr prefix;
	uint32_t level;
	uint32_t bit; /* of the node's prefixes */
	uint32_t value;
	uint32_t old; /* out */
};

struct change {
	struct route_pool *pool;
	bool deletes;
	struct route_block fresh[CHANGE_BLOCKS]; /* freed when the change fails */
	struct route_block stale[CHANGE_BLOCKS]; /* freed when it is published */
	uint32_t fresh_count;
	uint32_t stale_count;
};

static struct target target_of(struct ip_addr prefix, uint8_t len, uint32_t value)
{
	struct target t = { .prefix = ip_prefix(prefix, len), .value = value };
	uint32_t rest = (len + 1u) % ROUTE_STRIDE;

	t.level = (len + 1u) / ROUTE_STRIDE;
	t.bit = 1u << rest |
		(uint32_t)(route_key(t.prefix, t.level) >> 58 >> (ROUTE_STRIDE - rest));
	return t;
}

static bool has(uint64_t map, uint32_t bit)
{
	return map >> bit & 1;
}

static bool node_is_empty(const struct route_node *node)
{
	return (node->prefixes | node->children) == 0;
}

static void mark_stale(struct change *c, struct route_block b)
{
	assert(c->stale_count < CHANGE_BLOCKS);
	if (b.units != 0)
		c->stale[c->stale_count++] = b;
}

static uint32_t block_new(struct change *c, uint32_t units)
{
	uint32_t first = route_block_alloc(c->pool, units, c->deletes);

	assert(c->fresh_count < CHANGE_BLOCKS);
	if (first != 0)
		c->fresh[c->fresh_count++] = (struct route_block){ first, units };
	return first;
}

/* Copies the children of `from` but for the one that only one of the two has. */
static void copy_children(const struct route_pool *pool, const struct route_node *to,
			  const struct route_node *from)
{
	uint64_t differs = from->children ^ to->children; /* at most one bit */
	uint32_t count = (uint32_t)__builtin_popcountll(from->children);
	uint32_t below = (uint32_t)__builtin_popcountll(from->children & (differs - 1));
	uint32_t had = (from->children & differs) != 0;
	uint32_t gets = (to->children & differs) != 0;
	const struct route_node *src = route_unit(pool, from->base);
	struct route_node *dst = route_unit(pool, to->base);

	memcpy(dst, src, below * sizeof(*dst));
	memcpy(dst + below + gets, src + below + had, (count - below - had) * sizeof(*dst));
}

static void copy_values(const struct route_pool *pool, const struct route_node *to,
			const struct route_node *from)
{
	for (uint64_t both = from->prefixes & to->prefixes; both != 0; both &= both - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(both);

		*route_value(pool, to, bit) = *route_value(pool, from, bit);
	}
}

/*
 * Gives the node (a private copy) a block of its own for these prefixes and children, which differ
 * from what it has in at most one bit. What is new is for the caller to fill in.
 */
static int node_rebuild(struct change *c, struct route_node *node, uint64_t prefixes,
			uint64_t children)
{
	struct route_node old = *node;
	struct route_block b;

	mark_stale(c, route_node_block(&old));
	node->prefixes = prefixes;
	node->children = children;
	node->base = 0;
	b = route_node_block(node);
	if (b.units == 0)
		return 0;
	b.first = block_new(c, b.units);
	if (b.first == 0)
		return -ENOSPC;
	node->base = b.first + b.units - (uint32_t)__builtin_popcountll(children);
	copy_children(c->pool, node, &old);
	copy_values(c->pool, node, &old);
	return 0;
}

static int node_put_child(struct change *c, struct route_node *node, uint32_t stride,
			  const struct route_node *child)
{
	int err = node_rebuild(c, node, node->prefixes, node->children | 1ull << stride);

	if (err == 0)
		*route_child(c->pool, node, stride) = *child;
	return err;
}

static void node_set_skip(struct route_node *node, uint64_t key, uint32_t strides)
{
	node->shift = (uint8_t)(64 - ROUTE_STRIDE - strides * ROUTE_STRIDE);
	node->skip = key & ~0ull << node->shift << ROUTE_STRIDE;
}

/* A node on the way to the target, still empty. Its skip ends at the target at the latest. */
static struct route_node node_toward(const struct target *t, uint32_t level)
{
	uint32_t strides = t->level - level;
	struct route_node node = { 0 };

	if (strides > ROUTE_SKIP_STRIDES)
		strides = ROUTE_SKIP_STRIDES;
	node_set_skip(&node, route_key(t->prefix, level), strides);
	return node;
}

/* How much of the node's skip leads to the target, in strides; `level` is that of the skip. */
static uint32_t skip_shared(const struct route_node *node, const struct target *t, uint32_t level)
{
	uint64_t differs = node->skip ^ route_key(t->prefix, level);
	uint32_t strides = route_skip_strides(node);

	if (differs != 0 && (uint32_t)__builtin_clzll(differs) / ROUTE_STRIDE < strides)
		strides = (uint32_t)__builtin_clzll(differs) / ROUTE_STRIDE;
	return strides < t->level - level ? strides : t->level - level;
}

/*
 * A node without prefixes and with one child is only there where a skip can't be long enough: it
 * becomes a part of its child's skip, or takes of it what it can. So the shape of the tree depends
 * on its routes alone, not on their history.
 */
static int node_settle(struct change *c, struct route_node *node)
{
	uint32_t own = route_skip_strides(node), take = ROUTE_SKIP_STRIDES - own;
	uint32_t stride, strides;
	struct route_node child;
	uint64_t key;
	int err;

	if (take == 0 || node->prefixes != 0 || __builtin_popcountll(node->children) != 1)
		return 0;
	stride = (uint32_t)__builtin_ctzll(node->children);
	child = *route_child(c->pool, node, stride);
	strides = route_skip_strides(&child);
	key = node->skip | (uint64_t)stride << node->shift | child.skip >> (own + 1) * ROUTE_STRIDE;
	mark_stale(c, route_node_block(node));
	if (strides < take) {
		node_set_skip(&child, key, own + 1 + strides);
		*node = child;
		return 0;
	}
	node_set_skip(&child, child.skip << take * ROUTE_STRIDE, strides - take);
	err = node_settle(c, &child);
	if (err != 0)
		return err;
	*node = (struct route_node){ 0 };
	node_set_skip(node, key, ROUTE_SKIP_STRIDES);
	stride = (uint32_t)(key << ROUTE_SKIP_STRIDES * ROUTE_STRIDE >> 58);
	return node_put_child(c, node, stride, &child);
}

/* Puts a node into the middle of this one's skip, which becomes its child. */
static int node_split(struct change *c, struct route_node *node, uint32_t strides)
{
	uint32_t bits = strides * ROUTE_STRIDE;
	uint32_t stride = (uint32_t)(node->skip << bits >> 58);
	struct route_node upper = { 0 }, lower = *node;
	int err;

	node_set_skip(&upper, node->skip, strides);
	node_set_skip(&lower, node->skip << (bits + ROUTE_STRIDE),
		      route_skip_strides(node) - strides - 1);
	err = node_settle(c, &lower);
	if (err != 0)
		return err;
	*node = upper;
	return node_put_child(c, node, stride, &lower);
}

static int node_set(struct change *c, struct route_node *node, struct target *t, uint32_t level)
{
	uint32_t shared = skip_shared(node, t, level);
	struct route_node child;
	uint32_t stride;
	int err;

	if (shared < route_skip_strides(node)) {
		err = node_split(c, node, shared);
		if (err != 0)
			return err;
	}
	level += shared;
	if (level == t->level) {
		if (has(node->prefixes, t->bit))
			t->old = *route_value(c->pool, node, t->bit);
		err = node_rebuild(c, node, node->prefixes | 1ull << t->bit, node->children);
		if (err == 0)
			*route_value(c->pool, node, t->bit) = t->value;
		return err;
	}
	stride = (uint32_t)(route_key(t->prefix, level) >> 58);
	if (has(node->children, stride))
		child = *route_child(c->pool, node, stride);
	else
		child = node_toward(t, level + 1);
	err = node_set(c, &child, t, level + 1);
	if (err != 0)
		return err;
	return node_put_child(c, node, stride, &child);
}

static int node_delete(struct change *c, struct route_node *node, struct target *t, uint32_t level)
{
	struct route_node child;
	uint32_t stride;
	int err;

	if (skip_shared(node, t, level) < route_skip_strides(node))
		return -ENOENT;
	level += route_skip_strides(node);
	if (level == t->level) {
		if (!has(node->prefixes, t->bit))
			return -ENOENT;
		t->old = *route_value(c->pool, node, t->bit);
		err = node_rebuild(c, node, node->prefixes & ~(1ull << t->bit), node->children);
	} else {
		stride = (uint32_t)(route_key(t->prefix, level) >> 58);
		if (!has(node->children, stride))
			return -ENOENT;
		child = *route_child(c->pool, node, stride);
		err = node_delete(c, &child, t, level + 1);
		if (err != 0)
			return err;
		if (node_is_empty(&child))
			err = node_rebuild(c, node, node->prefixes,
					   node->children & ~(1ull << stride));
		else
			err = node_put_child(c, node, stride, &child);
	}
	return err != 0 ? err : node_settle(c, node);
}

static void block_free(void *pool, uint64_t first, uint64_t units)
{
	route_block_free(pool, (uint32_t)first, (uint32_t)units);
}

/* Makes the change in copies of the nodes on its way and, when that went well, publishes it. */
static int change_try(struct change *c, uint32_t *root, struct target *t)
{
	struct route_node node;
	uint32_t first = 0;
	int err;

	if (*root != 0)
		node = *(struct route_node *)route_unit(c->pool, *root);
	else
		node = node_toward(t, 0);
	err = (c->deletes ? node_delete : node_set)(c, &node, t, 0);
	if (err == 0 && !node_is_empty(&node)) {
		first = block_new(c, 1);
		if (first == 0)
			err = -ENOSPC;
		else
			*(struct route_node *)route_unit(c->pool, first) = node;
	}
	if (err != 0) {
		for (uint32_t i = 0; i < c->fresh_count; i++)
			route_block_free(c->pool, c->fresh[i].first, c->fresh[i].units);
		return err;
	}
	if (*root != 0)
		mark_stale(c, (struct route_block){ *root, 1 });
	__atomic_store_n(root, first, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < c->stale_count; i++)
		reclaim_defer(c->pool->reclaim, block_free, c->pool, c->stale[i].first,
			      c->stale[i].units);
	return 0;
}

static int change(struct route_pool *pool, uint32_t *root, bool deletes, struct target *t)
{
	struct change c = { .pool = pool, .deletes = deletes };
	int err = change_try(&c, root, t);

	if (err != -ENOSPC)
		return err;
	/* What earlier changes left behind may be enough. */
	reclaim_wait(pool->reclaim);
	c.fresh_count = 0;
	c.stale_count = 0;
	t->old = ROUTE_NONE;
	return change_try(&c, root, t);
}

int route_set(struct route_pool *pool, struct route_table *table, enum ip_family family,
	      struct ip_addr prefix, uint8_t len, uint32_t value, uint32_t *old)
{
	struct target t;
	int err;

	if (value == ROUTE_NONE || len > ip_bits(family))
		return -EINVAL;
	t = target_of(prefix, len, value);
	err = change(pool, &table->root[family], false, &t);
	if (err != 0)
		return err;
	table->routes[family] += t.old == ROUTE_NONE;
	if (old != NULL)
		*old = t.old;
	return 0;
}

int route_delete(struct route_pool *pool, struct route_table *table, enum ip_family family,
		 struct ip_addr prefix, uint8_t len, uint32_t *old)
{
	struct target t;
	int err;

	if (table->root[family] == 0 || len > ip_bits(family))
		return -ENOENT;
	t = target_of(prefix, len, ROUTE_NONE);
	err = change(pool, &table->root[family], true, &t);
	if (err != 0)
		return err;
	table->routes[family]--;
	if (old != NULL)
		*old = t.old;
	return 0;
}

uint32_t route_get(const struct route_pool *pool, const struct route_table *table,
		   enum ip_family family, struct ip_addr prefix, uint8_t len)
{
	const struct route_node *node = route_unit(pool, table->root[family]);
	uint32_t level = 0, stride;
	struct target t;

	if (table->root[family] == 0 || len > ip_bits(family))
		return ROUTE_NONE;
	t = target_of(prefix, len, ROUTE_NONE);
	while (skip_shared(node, &t, level) == route_skip_strides(node)) {
		level += route_skip_strides(node);
		if (level == t.level)
			return has(node->prefixes, t.bit) ? *route_value(pool, node, t.bit)
							  : ROUTE_NONE;
		stride = (uint32_t)(route_key(t.prefix, level) >> 58);
		if (!has(node->children, stride))
			break;
		node = route_child(pool, node, stride);
		level++;
	}
	return ROUTE_NONE;
}
