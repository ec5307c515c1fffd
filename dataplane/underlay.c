/* SPDX-License-Identifier: BSD-3-Clause */
#include "underlay.h"

#include <errno.h>

#include "gateway.h"
#include "host_mirror.h"
#include "log.h"
#include "neighbour.h"
#include "reclaim.h"
#include "sa_template.h"
#include "vrf.h"

#define ESP_OVERHEAD 16 /* ICV; SPI, sequence number and IV are in the template */

static void adjacency_put(void *owner, uint64_t adjacency, uint64_t unused)
{
	neighbour_put(owner, (uint32_t)adjacency);
}

/* The next hop towards an address of the underlay, with a reference; 0: there is none. */
static uint32_t underlay_next_hop(struct gateway *gw, enum ip_family family, struct ip_addr remote)
{
	struct tables *t = gw->tables;
	uint32_t value = route_lookup(t->routes, &t->vrf[VRF_UNDERLAY], family, remote);

	switch (route_kind(value)) {
	case ROUTE_KIND_ADJACENCY:
		neighbour_hold(gw->neighbours, route_index(value));
		return route_index(value);
	case ROUTE_KIND_ONLINK:
		return neighbour_get(gw->neighbours, route_index(value), family, remote);
	default:
		return 0;
	}
}

/* The largest outer packet: of the link, of the operator, of the path as it is known. */
static uint16_t underlay_outer_mtu(const struct gateway *gw, const struct object_tunnel *tunnel,
				   uint32_t adjacency)
{
	uint16_t mtu = adjacency != 0 ? gw->tables->adjacency[adjacency].mtu : 0;

	if (tunnel->record.mtu != 0 && tunnel->record.mtu < mtu)
		mtu = tunnel->record.mtu;
	if (tunnel->path.mtu != 0 && tunnel->path.mtu < mtu)
		mtu = tunnel->path.mtu;
	return mtu;
}

/* The largest inner packet: header, packet, trailer rounded up to 4 bytes, ICV. */
static uint16_t underlay_inner_mtu(const struct sa_outer *outer, uint32_t mtu)
{
	uint32_t overhead = outer->header_len + ESP_OVERHEAD;

	if (mtu < overhead + 8)
		return 0;
	return (uint16_t)(((mtu - overhead) & ~3u) - 2);
}

uint32_t underlay_resolve_template(struct gateway *gw, uint32_t sa_id, uint8_t n)
{
	struct object_sa *object = &gw->sa[sa_id];
	const struct object_tunnel *tunnel = &gw->tunnel[object->tunnel];
	struct sa_out *sa = &gw->tables->sa[sa_id].out;
	struct sa_outer *outer = &sa->outer[n];
	enum ip_family family;
	struct ip_addr remote = sa_template_remote(sa, n, &family);
	uint32_t adjacency = underlay_next_hop(gw, family, remote), old = object->adjacency;
	uint16_t mtu = underlay_outer_mtu(gw, tunnel, adjacency);

	__atomic_store_n(&outer->outer_mtu, mtu, __ATOMIC_RELAXED);
	__atomic_store_n(&outer->inner_mtu, underlay_inner_mtu(outer, mtu), __ATOMIC_RELAXED);
	__atomic_store_n(&outer->adjacency, adjacency, __ATOMIC_RELEASE);
	object->adjacency = adjacency;
	if (old != adjacency || old == 0)
		return old;
	neighbour_put(gw->neighbours, old);
	return 0;
}

void underlay_release(struct gateway *gw, uint32_t adjacency)
{
	if (adjacency != 0)
		reclaim_defer(gw->tables->reclaim, adjacency_put, gw->neighbours, adjacency, 0);
}

void underlay_resolve_sa(struct gateway *gw, uint32_t sa_id)
{
	uint8_t active = gw->tables->sa[sa_id].out.active;

	underlay_release(gw, underlay_resolve_template(gw, sa_id, active));
}

void underlay_release_sa(struct gateway *gw, uint32_t sa_id)
{
	uint32_t old = gw->sa[sa_id].adjacency;

	gw->sa[sa_id].adjacency = 0;
	underlay_release(gw, old);
}

void underlay_changed(struct gateway *gw)
{
	gw->underlay_dirty = true;
}

void underlay_poll(struct gateway *gw)
{
	if (!gw->underlay_dirty)
		return;
	gw->underlay_dirty = false;
	for (uint32_t id = 1; id < gw->size.max_sas; id++)
		if (gw->sa[id].id != 0 && gw->sa[id].direction == ABI_SA_OUT)
			underlay_resolve_sa(gw, id);
}
