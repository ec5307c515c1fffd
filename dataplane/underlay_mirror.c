/* SPDX-License-Identifier: BSD-3-Clause */
/* What the host stack has on its underlay devices, carried over into VRF 0 and the neighbours. */
#include <errno.h>
#include <string.h>

#include "gateway.h"
#include "host_mirror.h"
#include "log.h"
#include "neighbour.h"
#include "reclaim.h"
#include "route_record.h"
#include "underlay.h"
#include "vrf.h"

static void put_deferred(void *owner, uint64_t adjacency, uint64_t unused)
{
	neighbour_put(owner, (uint32_t)adjacency);
}

/* A route that is replaced or goes gives its next hop back, if it had one of its own. */
static void mirror_put(struct gateway *gw, uint32_t value, enum ip_family family,
		       struct ip_addr prefix, uint8_t len)
{
	enum ip_family next_family;
	struct ip_addr next;
	uint32_t attachment;

	if (route_kind(value) != ROUTE_KIND_ADJACENCY)
		return;
	/* The host route of a neighbour: neighbour.c's, without a reference. */
	if (len == ip_bits(family) &&
	    neighbour_of(gw->neighbours, route_index(value), &attachment, &next_family, &next) ==
		    0 &&
	    next_family == family && ip_equal(next, prefix))
		return;
	reclaim_defer(gw->tables->reclaim, put_deferred, gw->neighbours, route_index(value), 0);
}

/* What the control plane set is not the host's to replace or to take away. */
static bool prefix_is_set(const struct gateway *gw, enum ip_family family, struct ip_addr prefix,
			  uint8_t len)
{
	const struct tables *t = gw->tables;
	uint32_t now = route_get(t->routes, &t->vrf[VRF_UNDERLAY], family, prefix, len);
	struct abi_route record;

	if (route_kind(now) == ROUTE_KIND_LOCAL || route_kind(now) == ROUTE_KIND_ONLINK)
		return gw->attachment[route_index(now)].record.netdev[0] == '\0';
	return route_record(gw, VRF_UNDERLAY, family, prefix, len, now, &record);
}

static void mirror_set(struct gateway *gw, enum ip_family family, struct ip_addr prefix,
		       uint8_t len, uint32_t value)
{
	struct tables *t = gw->tables;
	uint32_t old = ROUTE_NONE;
	int err;

	if (prefix_is_set(gw, family, prefix, len)) {
		if (value != ROUTE_NONE)
			log_warn("underlay: a route of the host has the prefix of one that was "
				 "set, which stays");
		mirror_put(gw, value, family, prefix, len);
		return;
	}
	if (value == ROUTE_NONE)
		err = route_delete(t->routes, &t->vrf[VRF_UNDERLAY], family, prefix, len, &old);
	else
		err = route_set(t->routes, &t->vrf[VRF_UNDERLAY], family, prefix, len, value, &old);
	mirror_put(gw, err == 0 ? old : value, family, prefix, len);
	if (err != 0 && value != ROUTE_NONE)
		log_error("underlay: a route of the host can't be taken over: %s; raise "
			  "--route-memory",
			  strerror(-err));
	underlay_changed(gw);
}

static void mirror_link(void *ctx, uint32_t device, const uint8_t mac[6], uint32_t mtu, bool up)
{
	const struct gateway *gw = ctx;
	const struct abi_attachment *at = &gw->attachment[device].record;
	const struct port *port = &gw->port[gw->tables->attachment[device].port];

	log_info("underlay: %s is %s, MTU %u", at->netdev, up ? "up" : "down", mtu);
	if (memcmp(mac, port->mac, sizeof(port->mac)) != 0)
		log_warn("underlay: %s has another MAC address than port %s: is it the host's "
			 "side of this port?",
			 at->netdev, port->name);
}

static void mirror_address(void *ctx, uint32_t device, enum ip_family family, struct ip_addr addr,
			   uint8_t prefix_len, bool present)
{
	mirror_set(ctx, family, addr, ip_bits(family),
		   present ? route_value(ROUTE_KIND_LOCAL, device) : ROUTE_NONE);
}

static void mirror_route(void *ctx, uint32_t device, const struct host_mirror_route *route,
			 bool present)
{
	struct gateway *gw = ctx;
	struct tables *t = gw->tables;
	uint32_t value = ROUTE_NONE, adjacency;
	uint32_t now = route_get(t->routes, &t->vrf[VRF_UNDERLAY], route->family, route->prefix,
				 route->len);

	/* An address of our own with a full-length prefix has a route of its own, which stays. */
	if (route_kind(now) == ROUTE_KIND_LOCAL)
		return;
	if (present && route->has_gateway) {
		adjacency = neighbour_get(gw->neighbours, device, route->gateway_family,
					  route->gateway);
		if (adjacency != 0)
			value = route_value(ROUTE_KIND_ADJACENCY, adjacency);
		else
			log_error("underlay: the neighbour table is full; raise --max-neighbours");
	} else if (present) {
		value = route_value(ROUTE_KIND_ONLINK, device);
	}
	mirror_set(gw, route->family, route->prefix, route->len, value);
}

static void mirror_neighbour(void *ctx, uint32_t device, enum ip_family family, struct ip_addr addr,
			     const uint8_t mac[6])
{
	struct gateway *gw = ctx;

	neighbour_learn(gw->neighbours, device, family, addr, mac);
	underlay_changed(gw);
}

static const struct host_mirror_events mirror_events = {
	.link = mirror_link,
	.address = mirror_address,
	.route = mirror_route,
	.neighbour = mirror_neighbour,
};

int underlay_start(struct gateway *gw)
{
	int err = host_mirror_create(&mirror_events, gw, &gw->mirror);

	if (err != 0)
		log_error("underlay: no netlink: %s", strerror(-err));
	return err;
}

int underlay_watch(struct gateway *gw, const struct abi_attachment *attachment)
{
	return gw->mirror != NULL
		       ? host_mirror_watch(gw->mirror, attachment->netdev, attachment->id)
		       : -ENOTSUP;
}

void underlay_unwatch(struct gateway *gw, uint32_t attachment)
{
	if (gw->mirror != NULL)
		host_mirror_unwatch(gw->mirror, attachment);
}
