/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes of the mirror: all that the kernel has to a prefix over watched devices, of which the caller
 * is told the best.
 */
#include "host_mirror_state.h"

#include <errno.h>

static void route_tell(const struct mirror_state *s, const struct mirror_entry *e, bool present)
{
	const struct host_mirror_route route = {
		.prefix = e->key.addr,
		.gateway = e->gateway,
		.metric = e->metric,
		.family = (uint8_t)e->key.family,
		.len = e->key.len,
		.gateway_family = e->gateway_family,
		.has_gateway = e->has_gateway,
	};

	s->events->route(s->ctx, e->watch->device, &route, present);
}

static bool told_same(const struct mirror_entry *a, const struct mirror_entry *b)
{
	return a->watch == b->watch && a->metric == b->metric && a->has_gateway == b->has_gateway &&
	       ip_equal(a->gateway, b->gateway) && a->gateway_family == b->gateway_family;
}

/*
 * Tells of the best route to a prefix if that is another one than before. `before` is a copy of what
 * was told and is gone or changed; its member shown is false if nothing was.
 */
static void route_settle(struct mirror_state *s, const struct mirror_key *key,
			 const struct mirror_entry *before)
{
	struct mirror_entry *best = NULL, *told = NULL;
	struct mirror_entry *e = mirror_table_first(&s->table[MIRROR_ROUTE], key);

	for (; e; e = mirror_entry_next(e)) {
		if (e->shown)
			told = e;
		if (!best || e->metric < best->metric ||
		    (e->metric == best->metric && e->order < best->order))
			best = e;
	}
	if (best && best == told)
		return;
	if (told)
		told->shown = false;
	if (best) {
		best->shown = true;
		if (!before->shown || !told_same(before, best))
			route_tell(s, best, true);
	} else if (before->shown) {
		route_tell(s, before, false);
	}
}

static void route_remove(struct mirror_state *s, struct mirror_entry *e,
			 struct mirror_entry *before)
{
	if (e->shown)
		*before = *e;
	mirror_table_remove(&s->table[MIRROR_ROUTE], e);
}

/* The first next hop that this gateway can send to. */
static const struct mirror_hop *route_hop(const struct mirror_state *s,
					  const struct mirror_route *route,
					  struct mirror_watch **watch)
{
	for (uint32_t i = 0; i < route->hops; i++) {
		*watch = mirror_watch_by_index(s, route->hop[i].ifindex);
		if (*watch && (*watch)->up && route->hop[i].usable)
			return &route->hop[i];
	}
	*watch = NULL;
	return NULL;
}

static bool route_same(const struct mirror_entry *e, const struct mirror_hop *hop)
{
	return e->has_gateway == hop->has_gateway && ip_equal(e->gateway, hop->gateway) &&
	       (!e->has_gateway || e->gateway_family == hop->gateway_family);
}

static void route_fill(struct mirror_entry *e, const struct mirror_route *route,
		       const struct mirror_hop *hop)
{
	e->metric = route->metric;
	e->gateway = hop->gateway;
	e->gateway_family = (uint8_t)hop->gateway_family;
	e->has_gateway = hop->has_gateway;
	e->ambiguous = route->multipath;
}

/* What a removal, or a replacement, takes away. Returns whether it is known what is left. */
static bool route_take_away(struct mirror_state *s, const struct mirror_key *key,
			    const struct mirror_route *route, struct mirror_entry *before)
{
	struct mirror_entry *e, *next;
	uint32_t taken = 0;
	bool known = true;

	for (e = mirror_table_first(&s->table[MIRROR_ROUTE], key); e; e = next) {
		bool named = route->present; /* a replacement: whatever its next hop was */

		next = mirror_entry_next(e);
		if (e->metric != route->metric)
			continue;
		for (uint32_t i = 0; i < route->hops; i++)
			named |= route->hop[i].ifindex == e->watch->ifindex;
		if (!named)
			continue;
		if (e->ambiguous)
			known = false;
		if (e->ambiguous && !route->present)
			continue;
		route_remove(s, e, before);
		taken++;
	}
	return known && taken <= 1;
}

/*
 * Adds a route, or refreshes it. The kernel uses the first one of a prefix and metric, which a dump
 * has in order and events have not.
 */
static int route_put(struct mirror_state *s, const struct mirror_key *key,
		     const struct mirror_route *route, bool dump, struct mirror_entry *before)
{
	const uint32_t generation = s->generation[MIRROR_ROUTE];
	struct mirror_watch *w;
	const struct mirror_hop *hop = route_hop(s, route, &w);
	struct mirror_entry *e = mirror_table_first(&s->table[MIRROR_ROUTE], key), *same = NULL;

	if (!hop)
		return 0;
	for (; e; e = mirror_entry_next(e)) {
		if (e->metric != route->metric)
			continue;
		if (!dump && (e->watch != w || !route_same(e, hop)))
			s->dirty |= 1u << MIRROR_ROUTE;
		if (e->watch == w)
			same = e;
	}
	if (!same) {
		same = mirror_table_add(&s->table[MIRROR_ROUTE], key);
		if (!same)
			return -ENOMEM;
		same->watch = w;
		route_fill(same, route, hop);
		same->order = s->order++;
	} else if (dump && same->generation != generation) {
		if (same->shown && !route_same(same, hop)) {
			*before = *same;
			same->shown = false;
		}
		route_fill(same, route, hop);
		same->order = s->order++;
	} else if (route_same(same, hop)) {
		same->ambiguous |= route->multipath;
	} else {
		same->ambiguous = true;
	}
	same->generation = generation;
	return 0;
}

int mirror_state_route(struct mirror_state *s, const struct mirror_route *route, bool dump)
{
	const struct mirror_key key = { route->prefix, route->family, route->len };
	struct mirror_entry before = { .shown = false };
	int ret = 0;

	if ((!route->present || route->replace) && !dump) {
		if (!route_take_away(s, &key, route, &before))
			s->dirty |= 1u << MIRROR_ROUTE;
	}
	if (route->present)
		ret = route_put(s, &key, route, dump, &before);
	route_settle(s, &key, &before);
	return ret;
}

void mirror_route_remove(struct mirror_state *s, struct mirror_entry *e)
{
	const struct mirror_key key = e->key;
	struct mirror_entry before = { .shown = false };

	route_remove(s, e, &before);
	route_settle(s, &key, &before);
}
