/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The routes that an attachment's own addresses make in its tenant's VRF: LOCAL for each address and
 * for the link-local one of an attachment with IPv6, ONLINK for each prefix.
 *
 * Several attachments of a tenant on one port (as VLANs) have one link-local address, for it comes
 * from the port's MAC address. Its route is that of the lowest attachment id.
 */
#include "apply_internal.h"

#include <string.h>

#include "address.h"
#include "log.h"
#include "neighbour.h"
#include "route_record.h"
#include "route_table.h"
#include "tables.h"
#include "vrf.h"

#define OWN_ROUTES_MAX (2 * ABI_ATTACHMENT_ADDRESSES + 1)

struct own_route {
	enum ip_family family;
	struct ip_addr prefix;
	uint8_t len;
	bool shared; /* link-local */
	uint32_t value;
};

int port_find(const struct gateway *gw, const char *name)
{
	for (uint32_t i = 0; i < gw->ports; i++)
		if (strncmp(gw->port[i].name, name, ABI_NAME_LEN) == 0)
			return (int)i;
	return -ENOENT;
}

/* fe80::/64 with the modified EUI-64 of the MAC address, RFC 4291 appendix A. */
static struct ip_addr link_local(const uint8_t mac[6])
{
	uint64_t eui = (uint64_t)(mac[0] ^ 2) << 56 | (uint64_t)mac[1] << 48 |
		       (uint64_t)mac[2] << 40 | 0xfffeull << 24 | (uint64_t)mac[3] << 16 |
		       (uint64_t)mac[4] << 8 | mac[5];

	return (struct ip_addr){ .hi = 0xfe80ull << 48, .lo = eui };
}

/* False when the attachment has no IPv6. */
static bool link_local_of(const struct gateway *gw, const struct abi_attachment *record,
			  struct ip_addr *addr)
{
	int port = port_find(gw, record->port);

	for (uint32_t i = 0; port >= 0 && i < ABI_ATTACHMENT_ADDRESSES; i++)
		if (record->address[i].family == ABI_IPV6) {
			*addr = link_local(gw->port[port].mac);
			return true;
		}
	return false;
}

static uint32_t own_routes(const struct gateway *gw, const struct abi_attachment *record,
			   struct own_route *out)
{
	struct ip_addr ll;
	uint32_t n = 0;

	if (record == NULL)
		return 0;
	for (uint32_t i = 0; i < ABI_ATTACHMENT_ADDRESSES; i++) {
		const struct abi_address *address = &record->address[i];
		enum ip_family family = address_family(address);
		struct ip_addr ip = address_ip(address);

		if (address->family == 0)
			continue;
		out[n++] = (struct own_route){
			.family = family,
			.prefix = ip,
			.len = ip_bits(family),
			.value = route_value(ROUTE_KIND_LOCAL, record->id),
		};
		if (address->prefix_len == ip_bits(family))
			continue;
		out[n++] = (struct own_route){
			.family = family,
			.prefix = ip_prefix(ip, address->prefix_len),
			.len = address->prefix_len,
			.value = route_value(ROUTE_KIND_ONLINK, record->id),
		};
	}
	if (link_local_of(gw, record, &ll))
		out[n++] = (struct own_route){
			.family = IP_V6,
			.prefix = ll,
			.len = 128,
			.shared = true,
			.value = route_value(ROUTE_KIND_LOCAL, record->id),
		};
	return n;
}

static bool own_route_in(const struct own_route *routes, uint32_t n, const struct own_route *r)
{
	for (uint32_t i = 0; i < n; i++)
		if (routes[i].family == r->family && routes[i].len == r->len &&
		    ip_equal(routes[i].prefix, r->prefix) && routes[i].value == r->value)
			return true;
	return false;
}

static uint32_t value_now(const struct apply *a, uint32_t tenant, const struct own_route *r)
{
	const struct tables *t = a->gw->tables;

	return route_get(t->routes, &t->vrf[tenant], r->family, r->prefix, r->len);
}

static int own_route_add(struct apply *a, uint32_t tenant, const struct own_route *r)
{
	uint32_t now = value_now(a, tenant, r);

	if (r->shared && route_kind(now) == ROUTE_KIND_LOCAL &&
	    route_index(now) < route_index(r->value))
		return 0;
	return vrf_set(a, tenant, r->family, r->prefix, r->len, r->value);
}

/* Another attachment of the tenant with this link-local address, the one of the lowest id. */
static uint32_t link_local_heir(const struct gateway *gw, uint32_t tenant, uint32_t but,
				struct ip_addr addr)
{
	uint32_t heir = 0;
	struct ip_addr ll;

	for (uint32_t id = gw->tenant[tenant].first_attachment; id != 0;
	     id = gw->attachment[id].next)
		if (id != but && link_local_of(gw, &gw->attachment[id].record, &ll) &&
		    ip_equal(ll, addr) && (heir == 0 || id < heir))
			heir = id;
	return heir;
}

static void own_route_remove(struct apply *a, uint32_t tenant, const struct own_route *r)
{
	uint32_t heir = 0;
	int error;

	if (value_now(a, tenant, r) != r->value)
		return;
	if (r->shared)
		heir = link_local_heir(a->gw, tenant, route_index(r->value), r->prefix);
	if (heir != 0)
		error = vrf_set(a, tenant, r->family, r->prefix, r->len,
				route_value(ROUTE_KIND_LOCAL, heir));
	else
		error = vrf_delete(a, tenant, r->family, r->prefix, r->len);
	if (error != 0)
		log_error("attachment %u: a route of its own can't be removed (%d)",
			  route_index(r->value), error);
}

int attachment_routes_switch(struct apply *a, const struct abi_attachment *from,
			     const struct abi_attachment *to)
{
	struct own_route before[OWN_ROUTES_MAX], after[OWN_ROUTES_MAX];
	uint32_t n_before = own_routes(a->gw, from, before);
	uint32_t n_after = own_routes(a->gw, to, after);
	uint32_t tenant = to != NULL ? to->tenant : from->tenant;
	int error;

	/* First those that come: what stays reachable stays so all the time. */
	for (uint32_t i = 0; i < n_after; i++) {
		if (own_route_in(before, n_before, &after[i]) &&
		    value_now(a, tenant, &after[i]) == after[i].value)
			continue;
		error = own_route_add(a, tenant, &after[i]);
		if (error != 0)
			return error;
	}
	for (uint32_t i = 0; i < n_before; i++)
		if (!own_route_in(after, n_after, &before[i]))
			own_route_remove(a, tenant, &before[i]);
	return 0;
}

bool attachment_onlink(const struct abi_attachment *record, enum ip_family family,
		       struct ip_addr addr)
{
	bool covered = false;

	for (uint32_t i = 0; i < ABI_ATTACHMENT_ADDRESSES; i++) {
		const struct abi_address *address = &record->address[i];

		if (address->family == 0 || address_family(address) != family)
			continue;
		if (ip_equal(address_ip(address), addr))
			return false;
		covered |= address_covers(address, addr);
	}
	return covered;
}

static bool overlap(const struct abi_address *x, const struct abi_address *y)
{
	if (x->family != y->family)
		return false;
	return x->prefix_len < y->prefix_len ? address_covers(x, address_ip(y))
					     : address_covers(y, address_ip(x));
}

/* Two attachments of a tenant can't lead to the same network. */
static int overlap_check(struct apply *a, const struct abi_attachment *record,
			 const struct abi_attachment *other, struct answer *answer)
{
	for (uint32_t i = 0; i < ABI_ATTACHMENT_ADDRESSES; i++)
		for (uint32_t k = 0; k < ABI_ATTACHMENT_ADDRESSES; k++)
			if (record->address[i].family != 0 &&
			    overlap(&record->address[i], &other->address[k]))
				return refuse(answer, -EEXIST,
					      "attachment %u: %s overlaps %s of attachment %u",
					      record->id, address_text(&record->address[i]).s,
					      address_text(&other->address[k]).s, other->id);
	return 0;
}

/* What stands at one of its prefixes already may only be its own, or a neighbour's host route. */
static int prefix_check(struct apply *a, const struct abi_attachment *record,
			const struct own_route *r, struct answer *answer)
{
	struct abi_address prefix = address_make(r->family, r->prefix, r->len);
	uint32_t now = value_now(a, record->tenant, r);
	uint32_t attachment, other = 0;
	struct abi_route set;
	enum ip_family family;
	struct ip_addr addr;

	if (route_record(a->gw, record->tenant, r->family, r->prefix, r->len, now, &set))
		return refuse(answer, -EEXIST,
			      "attachment %u: tenant %u has a route for %s: delete it first",
			      record->id, record->tenant, address_text(&prefix).s);
	/* A tenant's neighbours of a network that goes are forgotten; the underlay's stay. */
	if (record->tenant == VRF_UNDERLAY && r->len == ip_bits(r->family) && !r->shared)
		other = permanent_owner(a, record->tenant, r->family, r->prefix);
	if (other != 0)
		return refuse(answer, -EEXIST, "attachment %u: %s is a neighbour of attachment %u",
			      record->id, address_text(&prefix).s, other);
	switch (route_kind(now)) {
	case ROUTE_KIND_LOCAL:
	case ROUTE_KIND_ONLINK:
		if (r->shared || route_index(now) == record->id)
			return 0;
		return refuse(answer, -EEXIST, "attachment %u: %s belongs to attachment %u",
			      record->id, address_text(&prefix).s, route_index(now));
	case ROUTE_KIND_ADJACENCY:
		if (neighbour_of(a->gw->neighbours, route_index(now), &attachment, &family,
				 &addr) != 0 ||
		    (r->len == ip_bits(family) && ip_equal(addr, r->prefix)))
			return 0;
		return refuse(answer, -EEXIST, "attachment %u: %s is mirrored from %s", record->id,
			      address_text(&prefix).s, a->gw->attachment[attachment].record.netdev);
	default:
		return 0;
	}
}

int attachment_routes_check(struct apply *a, const struct abi_attachment *record, uint16_t port,
			    struct answer *answer)
{
	struct gateway *gw = a->gw;
	uint32_t other = gw->tables->port[port].vlan[record->vlan];
	struct own_route routes[OWN_ROUTES_MAX];
	uint32_t n = own_routes(gw, record, routes);
	int error = 0;

	if (other != 0 && other != record->id)
		return refuse(answer, -EEXIST,
			      "attachment %u: port %s VLAN %u belongs to attachment %u of tenant "
			      "%u",
			      record->id, record->port, record->vlan, other,
			      gw->attachment[other].record.tenant);
	for (uint32_t id = gw->tenant[record->tenant].first_attachment; id != 0 && error == 0;
	     id = gw->attachment[id].next)
		if (id != record->id)
			error = overlap_check(a, record, &gw->attachment[id].record, answer);
	for (uint32_t i = 0; i < n && error == 0; i++)
		error = prefix_check(a, record, &routes[i], answer);
	return error;
}
