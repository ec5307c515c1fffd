/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes that were set. Each counts at its tenant and its target, and one by a gateway holds a
 * reference to its neighbour, which it gives back a grace period after it has left the VRF.
 */
#include "apply_internal.h"

#include "address.h"
#include "log.h"
#include "neighbour.h"
#include "reclaim.h"
#include "route_record.h"
#include "route_table.h"
#include "tables.h"
#include "underlay.h"
#include "vrf.h"

int vrf_set(struct apply *a, uint32_t tenant, enum ip_family family, struct ip_addr prefix,
	    uint8_t len, uint32_t value)
{
	struct tables *t = a->gw->tables;
	uint32_t old;
	int error = route_set(t->routes, &t->vrf[tenant], family, prefix, len, value, &old);

	if (error != -ENOSPC)
		return error;
	reclaim_wait(t->reclaim);
	return route_set(t->routes, &t->vrf[tenant], family, prefix, len, value, &old);
}

int vrf_delete(struct apply *a, uint32_t tenant, enum ip_family family, struct ip_addr prefix,
	       uint8_t len)
{
	struct tables *t = a->gw->tables;
	uint32_t old;
	int error = route_delete(t->routes, &t->vrf[tenant], family, prefix, len, &old);

	if (error != -ENOSPC)
		return error;
	reclaim_wait(t->reclaim);
	return route_delete(t->routes, &t->vrf[tenant], family, prefix, len, &old);
}

static uint32_t value_now(const struct apply *a, const struct abi_route *r)
{
	const struct tables *t = a->gw->tables;

	return route_get(t->routes, &t->vrf[r->tenant], address_family(&r->prefix),
			 address_ip(&r->prefix), r->prefix.prefix_len);
}

static bool record_now(const struct apply *a, const struct abi_route *r, uint32_t value,
		       struct abi_route *record)
{
	return route_record(a->gw, r->tenant, address_family(&r->prefix), address_ip(&r->prefix),
			    r->prefix.prefix_len, value, record);
}

static void count(struct gateway *gw, const struct abi_route *r, int32_t by)
{
	gw->tenant[r->tenant].routes += (uint32_t)by;
	if (r->kind == ABI_ROUTE_TUNNEL)
		gw->tunnel[r->target].routes += (uint32_t)by;
	if (r->kind == ABI_ROUTE_GATEWAY)
		gw->attachment[r->target].routes += (uint32_t)by;
}

static void neighbour_put_deferred(void *owner, uint64_t adjacency, uint64_t unused)
{
	struct apply *a = owner;

	neighbour_put(a->gw->neighbours, (uint32_t)adjacency);
}

/* `r`, which had `value`, is no longer in the VRF. */
static void route_release(struct apply *a, const struct abi_route *r, uint32_t value)
{
	count(a->gw, r, -1);
	if (r->kind == ABI_ROUTE_GATEWAY)
		reclaim_defer(a->gw->tables->reclaim, neighbour_put_deferred, a, route_index(value),
			      0);
}

static int target_gateway(struct apply *a, const struct abi_route *r, uint32_t *value,
			  struct answer *answer)
{
	struct gateway *gw = a->gw;
	const struct abi_attachment *attachment = &gw->attachment[r->target].record;
	uint32_t adjacency;

	if (attachment->id == 0 || attachment->tenant != r->tenant)
		return refuse(answer, -ENOENT, "route %s: tenant %u has no attachment %u",
			      address_text(&r->prefix).s, r->tenant, r->target);
	if (attachment->netdev[0] != '\0')
		return refuse(answer, -EINVAL,
			      "route %s: routes by %s are the host's: set them there",
			      address_text(&r->prefix).s, attachment->netdev);
	if (!attachment_onlink(attachment, address_family(&r->via), address_ip(&r->via)))
		return refuse(answer, -EINVAL,
			      "route %s: next hop %s is not in a network of attachment %u",
			      address_text(&r->prefix).s, address_text(&r->via).s, r->target);
	adjacency = neighbour_get(gw->neighbours, r->target, address_family(&r->via),
				  address_ip(&r->via));
	if (adjacency == 0)
		return refuse(answer, -ENOSPC, "route %s: the table of neighbours is full",
			      address_text(&r->prefix).s);
	*value = route_value(ROUTE_KIND_ADJACENCY, adjacency);
	return 0;
}

/* Finds what a route leads to; with a reference to the neighbour of a gateway route. */
static int target_find(struct apply *a, const struct abi_route *r, uint32_t *value,
		       struct answer *answer)
{
	const struct abi_tunnel *tunnel;

	switch (r->kind) {
	case ABI_ROUTE_TUNNEL:
		tunnel = &a->gw->tunnel[r->target].record;
		if (tunnel->id == 0 || tunnel->tenant != r->tenant)
			return refuse(answer, -ENOENT, "route %s: tenant %u has no tunnel %u",
				      address_text(&r->prefix).s, r->tenant, r->target);
		*value = route_value(ROUTE_KIND_TUNNEL, r->target);
		return 0;
	case ABI_ROUTE_GATEWAY:
		return target_gateway(a, r, value, answer);
	default:
		*value = route_value(ROUTE_KIND_BLACKHOLE, 0);
		return 0;
	}
}

/* Adds a route, or replaces the one that was set for its prefix. On an error nothing changed. */
static int route_put(struct apply *a, const struct abi_route *r, struct answer *answer)
{
	uint32_t old_value = value_now(a, r);
	uint32_t value = ROUTE_NONE;
	struct abi_route old;
	int error = target_find(a, r, &value, answer);

	if (error != 0)
		return error;
	/* Asked before the change, for it looks at the neighbour. */
	if (!record_now(a, r, old_value, &old))
		old.kind = 0;
	error = vrf_set(a, r->tenant, address_family(&r->prefix), address_ip(&r->prefix),
			r->prefix.prefix_len, value);
	if (error != 0) {
		if (r->kind == ABI_ROUTE_GATEWAY)
			neighbour_put(a->gw->neighbours, route_index(value));
		return refuse(answer, error, "route %s: the table of routes is full",
			      address_text(&r->prefix).s);
	}
	count(a->gw, r, 1);
	if (old.kind != 0)
		route_release(a, &old, old_value);
	if (r->tenant == VRF_UNDERLAY)
		underlay_changed(a->gw);
	return 0;
}

/* A permanent neighbour's own host route, which a route that was set had taken the place of. */
static void host_route_restore(struct apply *a, const struct abi_route *r)
{
	struct gateway *gw = a->gw;
	enum ip_family family = address_family(&r->prefix);
	struct ip_addr addr = address_ip(&r->prefix);
	uint32_t id;

	if (r->prefix.prefix_len != ip_bits(family))
		return;
	id = permanent_owner(a, r->tenant, family, addr);
	if (id != 0)
		neighbour_set_permanent(gw->neighbours, id, family, addr,
					permanent_find(a->permanent[id], family, addr)->mac);
}

static int route_take(struct apply *a, const struct abi_route *r, uint32_t value)
{
	int error = vrf_delete(a, r->tenant, address_family(&r->prefix), address_ip(&r->prefix),
			       r->prefix.prefix_len);

	if (error != 0)
		return error;
	route_release(a, r, value);
	host_route_restore(a, r);
	if (r->tenant == VRF_UNDERLAY)
		underlay_changed(a->gw);
	return 0;
}

/* Whose prefix it is, when it isn't one that may be set. `learnt`: by a neighbour's host route. */
static int prefix_claimed(struct apply *a, const struct abi_route *r, uint32_t value, bool *learnt,
			  struct answer *answer)
{
	enum ip_family family;
	uint32_t attachment;
	struct ip_addr addr;

	*learnt = false;
	switch (route_kind(value)) {
	case ROUTE_KIND_LOCAL:
	case ROUTE_KIND_ONLINK:
		return refuse(answer, -EEXIST, "%s belongs to attachment %u itself",
			      address_text(&r->prefix).s, route_index(value));
	case ROUTE_KIND_ADJACENCY:
		if (neighbour_of(a->gw->neighbours, route_index(value), &attachment, &family,
				 &addr) != 0)
			return 0;
		*learnt = r->prefix.prefix_len == ip_bits(family) &&
			  ip_equal(addr, address_ip(&r->prefix));
		if (!*learnt && a->gw->attachment[attachment].record.netdev[0] != '\0')
			return refuse(answer, -EEXIST, "%s is mirrored from %s",
				      address_text(&r->prefix).s,
				      a->gw->attachment[attachment].record.netdev);
		return 0;
	default:
		return 0;
	}
}

int route_set_record(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_route *r = record;
	uint32_t value;
	bool learnt;
	int error;

	if (tenant_find(a->gw, r->tenant, answer) == NULL)
		return -ENOENT;
	value = value_now(a, r);
	error = prefix_claimed(a, r, value, &learnt, answer);
	if (error != 0)
		return error;
	if (record_now(a, r, value, &undo->route.record)) {
		undo->did = DID_CHANGE;
	} else {
		undo->did = DID_ADD;
		undo->route.record = *r;
		undo->route.learnt = learnt ? value : ROUTE_NONE;
	}
	return route_put(a, r, answer);
}

int route_delete_record(struct apply *a, const void *record, struct undo *undo,
			struct answer *answer)
{
	const struct abi_route *r = record;
	uint32_t value;

	if (tenant_find(a->gw, r->tenant, answer) == NULL)
		return -ENOENT;
	value = value_now(a, r);
	if (!record_now(a, r, value, &undo->route.record))
		return refuse(answer, -ENOENT, "tenant %u has no route %s", r->tenant,
			      address_text(&r->prefix).s);
	undo->did = DID_REMOVE;
	if (route_take(a, &undo->route.record, value) != 0)
		return refuse(answer, -ENOSPC, "route %s: no room to change the table",
			      address_text(&r->prefix).s);
	return 0;
}

/* A learnt host route comes back if its adjacency still is that neighbour's. */
static void learnt_restore(struct apply *a, const struct abi_route *r, uint32_t value)
{
	enum ip_family family;
	uint32_t attachment;
	struct ip_addr addr;

	if (value == ROUTE_NONE || value_now(a, r) != ROUTE_NONE ||
	    neighbour_of(a->gw->neighbours, route_index(value), &attachment, &family, &addr) != 0)
		return;
	if (family != address_family(&r->prefix) || !ip_equal(addr, address_ip(&r->prefix)) ||
	    a->gw->attachment[attachment].record.id == 0 ||
	    a->gw->attachment[attachment].record.tenant != r->tenant)
		return;
	/* Where there is no room, the neighbour is resolved again. */
	(void)vrf_set(a, r->tenant, family, addr, r->prefix.prefix_len, value);
}

void route_undo(struct apply *a, struct undo *undo)
{
	const struct abi_route *r = &undo->route.record;
	struct answer answer = { NULL, 0 };
	int error;

	if (undo->did == DID_ADD) {
		error = route_take(a, r, value_now(a, r));
		learnt_restore(a, r, undo->route.learnt);
	} else {
		error = route_put(a, r, &answer);
	}
	if (error != 0)
		log_error("tenant %u: route %s can't be put back (%d); restart the dataplane",
			  r->tenant, address_text(&r->prefix).s, error);
}
