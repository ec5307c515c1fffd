/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An entry per neighbour, at the index of its adjacency. Life of one that we resolve ourselves:
 *
 *   INCOMPLETE --answer--> REACHABLE --REACHABLE_MS--> STALE (asked again by unicast) --answer--> ...
 *        | PROBES unanswered: FAILED for HOLD_MS, then asked again (a route points here) or freed
 *
 * Those of a mirrored underlay are the host stack's business: it ages them, and we ask it to
 * resolve.
 */
#include "neighbour_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ip_header.h"
#include "reclaim.h"
#include "underlay.h"
#include "vrf.h"
#include "worker.h"

/*
 * Entries of an attachment that packets make: one in so many of the table, and a few where it is
 * small. Who scans or floods runs out of his own.
 */
#define ENTRIES_SHARE 8
#define ENTRIES_LEAST 16

#define PROBES       3
#define REACHABLE_MS 60000
#define HOLD_MS      5000

/* ---- the table ---- */

static uint32_t *neighbour_bucket(const struct neighbours *n, uint32_t attachment,
				  struct ip_addr addr)
{
	uint64_t h =
		(addr.hi ^ (addr.lo * 0x9e3779b97f4a7c15ull) ^ attachment) * 0xff51afd7ed558ccdull;

	return &n->bucket[(h >> 32) & n->mask];
}

uint32_t neighbour_find(const struct neighbours *n, uint32_t attachment, enum ip_family family,
			struct ip_addr addr)
{
	uint32_t i = *neighbour_bucket(n, attachment, addr);

	while (i != 0 && (n->entry[i].attachment != attachment || n->entry[i].family != family ||
			  !ip_equal(n->entry[i].addr, addr)))
		i = n->entry[i].next;
	return i;
}

/* The adjacency as the workers see it; everything but MAC and state stays for its life. */
static void adjacency_init(struct neighbours *n, uint32_t i, uint32_t attachment)
{
	const struct attachment *at = &n->gw->tables->attachment[attachment];
	struct adjacency *a = &n->gw->tables->adjacency[i];
	uint16_t generation = (uint16_t)(a->generation + 1);

	memset(a, 0, sizeof(*a));
	__atomic_store_n(&a->generation, generation, __ATOMIC_RELAXED);
	memcpy(a->header + 6, n->gw->port[at->port].mac, 6);
	a->header_len = 14;
	if (at->vlan != 0) {
		a->header[12] = 0x81;
		a->header[14] = (uint8_t)(at->vlan >> 8);
		a->header[15] = (uint8_t)at->vlan;
		a->header_len = 18;
	}
	a->port = at->port;
	a->mtu = at->mtu;
	a->attachment = attachment;
	a->tenant = at->tenant;
	__atomic_store_n(&a->state, ADJACENCY_INCOMPLETE, __ATOMIC_RELEASE);
}

uint32_t neighbour_new(struct neighbours *n, uint32_t attachment, enum ip_family family,
		       struct ip_addr addr)
{
	uint32_t *bucket = neighbour_bucket(n, attachment, addr), i = n->free;

	if (i != 0)
		n->free = n->entry[i].next;
	else if (n->used < n->gw->size.max_adjacencies)
		i = n->used++;
	else
		return 0;
	n->entry[i] = (struct neighbour){
		.addr = addr,
		.attachment = attachment,
		.next = *bucket,
		.family = (uint8_t)family,
		.state = ABI_NEIGHBOUR_INCOMPLETE,
		.due = n->now,
	};
	*bucket = i;
	n->share[attachment].unresolved++;
	n->share[attachment].entries++;
	adjacency_init(n, i, attachment);
	return i;
}

static void neighbour_freed(void *owner, uint64_t i, uint64_t unused)
{
	struct neighbours *n = owner;

	n->entry[i].next = n->free;
	n->free = (uint32_t)i;
}

/* ---- states ---- */

static void neighbour_unroute(struct neighbours *n, struct neighbour *e)
{
	struct tables *t = n->gw->tables;
	uint32_t tenant = t->attachment[e->attachment].tenant, old;

	if (!e->routed)
		return;
	e->routed = false;
	if (route_get(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family)) ==
	    route_value(ROUTE_KIND_ADJACENCY, (uint32_t)(e - n->entry)))
		route_delete(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family),
			     &old);
	if (tenant == 0)
		underlay_changed(n->gw);
}

/* A host route spares the workers a look-up; a route that the operator set is never touched. */
static void neighbour_route(struct neighbours *n, struct neighbour *e)
{
	struct tables *t = n->gw->tables;
	uint32_t tenant = t->attachment[e->attachment].tenant, old;
	uint32_t value = route_value(ROUTE_KIND_ADJACENCY, (uint32_t)(e - n->entry));

	/* It may have been taken away since: an operator's route in its place came and went. */
	if ((e->family == IP_V6 && ipv6_is_link_local(e->addr)) ||
	    route_get(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family)) !=
		    ROUTE_NONE)
		return;
	if (route_set(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family), value,
		      &old) == 0)
		e->routed = true;
	if (tenant == 0)
		underlay_changed(n->gw);
}

static void neighbour_resolved(struct neighbours *n, uint32_t i, const uint8_t mac[6],
			       bool permanent)
{
	struct adjacency *a = &n->gw->tables->adjacency[i];
	struct neighbour *e = &n->entry[i];
	uint64_t first = a->destination;

	if (e->state == ABI_NEIGHBOUR_INCOMPLETE)
		n->share[e->attachment].unresolved--;
	memcpy(e->mac, mac, 6);
	memcpy(&first, mac, 6);
	__atomic_store_n(&a->destination, first, __ATOMIC_RELAXED);
	__atomic_store_n(&a->state, ADJACENCY_COMPLETE, __ATOMIC_RELEASE);
	e->state = permanent ? ABI_NEIGHBOUR_PERMANENT : ABI_NEIGHBOUR_REACHABLE;
	e->probes = 0;
	e->failed = false;
	e->due = n->now + REACHABLE_MS;
	neighbour_route(n, e);
	neighbour_release(n, i, DROP_NONE);
}

static void neighbour_unresolved(struct neighbours *n, struct neighbour *e)
{
	uint32_t i = (uint32_t)(e - n->entry);

	if (e->state != ABI_NEIGHBOUR_INCOMPLETE)
		n->share[e->attachment].unresolved++;
	e->state = ABI_NEIGHBOUR_INCOMPLETE;
	e->probes = 0;
	__atomic_store_n(&n->gw->tables->adjacency[i].state, ADJACENCY_INCOMPLETE,
			 __ATOMIC_RELEASE);
	neighbour_unroute(n, e);
}

static void neighbour_free(struct neighbours *n, uint32_t i)
{
	struct neighbour *e = &n->entry[i];
	uint32_t *link = neighbour_bucket(n, e->attachment, e->addr);

	neighbour_unroute(n, e);
	neighbour_release(n, i, DROP_neighbour_failed);
	while (*link != i)
		link = &n->entry[*link].next;
	*link = e->next;
	if (e->state == ABI_NEIGHBOUR_INCOMPLETE)
		n->share[e->attachment].unresolved--;
	n->share[e->attachment].entries--;
	e->attachment = 0;
	__atomic_store_n(&n->gw->tables->adjacency[i].state, ADJACENCY_FREE, __ATOMIC_RELEASE);
	reclaim_defer(n->gw->tables->reclaim, neighbour_freed, n, i, 0);
}

/* ---- the doors ---- */

uint32_t neighbour_get(struct neighbours *n, uint32_t attachment, enum ip_family family,
		       struct ip_addr addr)
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (i == 0)
		i = neighbour_new(n, attachment, family, addr);
	if (i != 0)
		n->entry[i].references++;
	return i;
}

void neighbour_hold(struct neighbours *n, uint32_t adjacency)
{
	n->entry[adjacency].references++;
}

void neighbour_put(struct neighbours *n, uint32_t adjacency)
{
	struct neighbour *e = &n->entry[adjacency];

	if (--e->references == 0 && e->state == ABI_NEIGHBOUR_INCOMPLETE)
		neighbour_free(n, adjacency);
}

int neighbour_of(const struct neighbours *n, uint32_t adjacency, uint32_t *attachment,
		 enum ip_family *family, struct ip_addr *addr)
{
	const struct neighbour *e;

	if (adjacency == 0 || adjacency >= n->used || n->entry[adjacency].attachment == 0)
		return -ENOENT;
	e = &n->entry[adjacency];
	*attachment = e->attachment;
	*family = e->family;
	*addr = e->addr;
	return 0;
}

int neighbour_set_permanent(struct neighbours *n, uint32_t attachment, enum ip_family family,
			    struct ip_addr addr, const uint8_t mac[6])
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (n->gw->attachment[attachment].record.id == 0)
		return -ENOENT;
	if (i == 0)
		i = neighbour_new(n, attachment, family, addr);
	if (i == 0)
		return -ENOSPC;
	neighbour_resolved(n, i, mac, true);
	return 0;
}

int neighbour_delete_permanent(struct neighbours *n, uint32_t attachment, enum ip_family family,
			       struct ip_addr addr)
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (i == 0 || n->entry[i].state != ABI_NEIGHBOUR_PERMANENT)
		return -ENOENT;
	neighbour_unresolved(n, &n->entry[i]);
	n->entry[i].due = n->now;
	if (n->entry[i].references == 0)
		neighbour_free(n, i);
	return 0;
}

void neighbour_learn(struct neighbours *n, uint32_t attachment, enum ip_family family,
		     struct ip_addr addr, const uint8_t *mac)
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (i != 0 && n->entry[i].state == ABI_NEIGHBOUR_PERMANENT)
		return;
	if (mac == NULL) {
		if (i == 0)
			return;
		neighbour_unresolved(n, &n->entry[i]);
		n->entry[i].due = n->now;
		if (n->entry[i].references == 0)
			neighbour_free(n, i);
		return;
	}
	if (i == 0)
		i = neighbour_new(n, attachment, family, addr);
	if (i != 0)
		neighbour_resolved(n, i, mac, false);
}

void neighbour_flush(struct neighbours *n, uint32_t attachment)
{
	for (uint32_t i = 1; i < n->used; i++) {
		struct neighbour *e = &n->entry[i];

		if (e->attachment != attachment)
			continue;
		neighbour_release(n, i, DROP_detached);
		neighbour_unresolved(n, e);
		e->due = n->now;
		if (e->references == 0)
			neighbour_free(n, i);
	}
}

int neighbour_walk(const struct neighbours *n, neighbour_walk_fn fn, void *arg)
{
	for (uint32_t i = 1; i < n->used; i++) {
		const struct neighbour *e = &n->entry[i];
		struct abi_neighbour record;
		int err;

		if (e->attachment == 0)
			continue;
		memset(&record, 0, sizeof(record));
		record.attachment = e->attachment;
		memcpy(record.mac, e->mac, 6);
		record.state = e->state;
		record.address.family = e->family == IP_V4 ? ABI_IPV4 : ABI_IPV6;
		record.address.prefix_len = ip_bits(e->family);
		ip_store(e->family, e->addr, record.address.addr);
		err = fn(arg, &record);
		if (err != 0)
			return err;
	}
	return 0;
}

static void neighbour_due(struct neighbours *n, uint32_t i)
{
	struct neighbour *e = &n->entry[i];

	if (e->state == ABI_NEIGHBOUR_PERMANENT ||
	    (e->state != ABI_NEIGHBOUR_INCOMPLETE && neighbour_is_hosts(n, e->attachment)))
		return;
	if (e->state == ABI_NEIGHBOUR_REACHABLE)
		e->state = ABI_NEIGHBOUR_STALE;
	if (e->failed) { /* the hold is over */
		e->failed = false;
		e->probes = 0;
		if (e->references == 0) {
			neighbour_free(n, i);
			return;
		}
	}
	if (e->probes < PROBES) {
		e->probes++;
		neighbour_probe(n, i);
		return;
	}
	if (e->state != ABI_NEIGHBOUR_INCOMPLETE)
		neighbour_unresolved(n, e);
	neighbour_release(n, i, DROP_neighbour_failed);
	e->failed = true;
	e->due = n->now + HOLD_MS;
	__atomic_store_n(&n->gw->tables->adjacency[i].state, ADJACENCY_FAILED, __ATOMIC_RELEASE);
}

void neighbour_tick(struct neighbours *n, uint64_t now)
{
	n->now = now;
	for (uint32_t budget = 4096; budget != 0 && n->used > 1; budget--) {
		if (++n->cursor >= n->used) {
			n->cursor = 0;
			return;
		}
		if (n->entry[n->cursor].attachment != 0 && n->entry[n->cursor].due <= now)
			neighbour_due(n, n->cursor);
	}
}

int neighbours_create(struct gateway *gw, struct neighbours **out)
{
	struct neighbours *n = calloc(1, sizeof(*n));
	uint32_t buckets = 1024;

	if (n == NULL)
		return -ENOMEM;
	while (buckets < gw->size.max_adjacencies)
		buckets *= 2;
	n->gw = gw;
	n->used = 1;
	n->mask = buckets - 1;
	n->entries_max = gw->size.max_adjacencies / ENTRIES_SHARE + ENTRIES_LEAST;
	n->entry = calloc(gw->size.max_adjacencies, sizeof(*n->entry));
	n->bucket = calloc(buckets, sizeof(*n->bucket));
	n->share = calloc(gw->size.max_attachments, sizeof(*n->share));
	if (n->entry == NULL || n->bucket == NULL || n->share == NULL) {
		neighbours_destroy(n);
		return -ENOMEM;
	}
	*out = n;
	return 0;
}

void neighbours_destroy(struct neighbours *n)
{
	if (n == NULL)
		return;
	if (n->entry != NULL)
		for (uint32_t i = 1; i < n->used; i++)
			for (uint32_t k = 0; k < n->entry[i].waiting; k++)
				rte_pktmbuf_free(n->entry[i].packet[k]);
	free(n->entry);
	free(n->bucket);
	free(n->share);
	free(n);
}
