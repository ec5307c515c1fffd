/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attachments. Adding, changing, removing and undoing any of it are one movement from a record to
 * another, either of which may be none: attachment_switch().
 */
#include "apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "log.h"
#include "neighbour.h"
#include "reclaim.h"
#include "route_record.h"
#include "tables.h"
#include "underlay.h"

static bool same_place(const struct abi_attachment *x, const struct abi_attachment *y)
{
	return memcmp(x->port, y->port, sizeof(x->port)) == 0 && x->vlan == y->vlan;
}

static bool same_addresses(const struct abi_attachment *x, const struct abi_attachment *y)
{
	return memcmp(x->address, y->address, sizeof(x->address)) == 0;
}

static bool same_netdev(const struct abi_attachment *x, const struct abi_attachment *y)
{
	return memcmp(x->netdev, y->netdev, sizeof(x->netdev)) == 0;
}

/* Does going from one to the other make it forget its neighbours? */
static bool forgets(const struct abi_attachment *from, const struct abi_attachment *to)
{
	return to == NULL || (from != NULL && (!same_place(from, to) || !same_addresses(from, to) ||
					       !same_netdev(from, to)));
}

static uint16_t mtu_of(const struct gateway *gw, const struct abi_attachment *record)
{
	return record->mtu != 0 ? record->mtu : gw->port[port_find(gw, record->port)].mtu;
}

static void vlan_store(struct gateway *gw, const struct abi_attachment *record, uint32_t id)
{
	uint32_t *vlan = gw->tables->port[port_find(gw, record->port)].vlan;

	__atomic_store_n(&vlan[record->vlan], id, __ATOMIC_RELEASE);
}

/*
 * Tenant, port and VLAN are one store, so that a worker never joins the port of one place with the
 * VLAN of another.
 */
static void entry_store(struct gateway *gw, const struct abi_attachment *record)
{
	struct attachment *entry = &gw->tables->attachment[record->id];
	struct attachment next = {
		.tenant = record->tenant,
		.port = (uint16_t)port_find(gw, record->port),
		.vlan = record->vlan,
	};
	uint64_t place;

	static_assert(offsetof(struct attachment, mtu) == 8, "the place is the first word");
	memcpy(&place, &next, sizeof(place));
	if (memcmp(entry, &place, sizeof(place)) != 0)
		__atomic_store_n((uint64_t *)entry, place, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->mtu, mtu_of(gw, record), __ATOMIC_RELAXED);
	/* What ICMP errors are sent from: a torn read would only spoil one of them. */
	memset(entry->ipv4, 0, sizeof(entry->ipv4));
	memset(entry->ipv6, 0, sizeof(entry->ipv6));
	for (uint32_t i = ABI_ATTACHMENT_ADDRESSES; i-- > 0;) {
		if (record->address[i].family == ABI_IPV4)
			memcpy(entry->ipv4, record->address[i].addr, sizeof(entry->ipv4));
		else if (record->address[i].family == ABI_IPV6)
			memcpy(entry->ipv6, record->address[i].addr, sizeof(entry->ipv6));
	}
}

static void adjacencies_resize(struct gateway *gw, uint32_t attachment, uint16_t mtu)
{
	struct tables *t = gw->tables;

	for (uint32_t i = 1; i < t->max_adjacencies; i++)
		if (t->adjacency[i].state != ADJACENCY_FREE &&
		    t->adjacency[i].attachment == attachment)
			__atomic_store_n(&t->adjacency[i].mtu, mtu, __ATOMIC_RELAXED);
}

/* SAs that send by an underlay attachment let go of its adjacencies; they are resolved anew soon. */
static void sas_release(struct gateway *gw, uint32_t attachment)
{
	struct tables *t = gw->tables;

	for (uint32_t id = 1; id < gw->size.max_sas; id++) {
		uint32_t adjacency = gw->sa[id].adjacency;

		if (adjacency == 0 || t->adjacency[adjacency].attachment != attachment)
			continue;
		for (uint32_t i = 0; i < 2; i++)
			__atomic_store_n(&t->sa[id].out.outer[i].adjacency, 0, __ATOMIC_RELEASE);
		underlay_release_sa(gw, id);
	}
}

static bool moves(const struct abi_attachment *from, const struct abi_attachment *to)
{
	return from != NULL && to != NULL && !same_place(from, to);
}

/*
 * An attachment goes from its place. First everything by which a next hop could be found there again,
 * then who holds one already; so that the last reference to each adjacency, with the old place in
 * its header, is gone after a grace period.
 */
static void attachment_leave(struct apply *a, const struct abi_attachment *from)
{
	struct gateway *gw = a->gw;

	vlan_store(gw, from, 0);
	if (from->netdev[0] != '\0')
		underlay_unwatch(gw, from->id);
	(void)attachment_routes_switch(a, from, NULL);
	neighbour_flush(gw->neighbours, from->id);
	if (from->tenant == 0) {
		sa_bury(a);
		sas_release(gw, from->id);
	}
}

static int attachment_enter(struct apply *a, const struct abi_attachment *from,
			    const struct abi_attachment *to, struct answer *answer)
{
	struct gateway *gw = a->gw;
	int error;

	/* Before any route leads to it. */
	gw->attachment[to->id].record = *to;
	entry_store(gw, to);
	error = attachment_routes_switch(a, from, to);
	if (error != 0)
		return refuse(answer, error, "attachment %u: the table of routes is full", to->id);
	if (from != NULL && mtu_of(gw, from) != mtu_of(gw, to))
		adjacencies_resize(gw, to->id, mtu_of(gw, to));
	if (to->netdev[0] != '\0' && (from == NULL || !same_netdev(from, to))) {
		error = underlay_watch(gw, to);
		if (error != 0)
			return refuse(answer, error,
				      "attachment %u: the network device %s can't be watched: "
				      "does it exist?",
				      to->id, to->netdev);
	}
	vlan_store(gw, to, to->id);
	return 0;
}

/*
 * Attachment `id` of the tenant was linked, changed or unlinked. Another one is looked for only when
 * it speaks for the tenant itself, or nobody does.
 */
static void speakers_follow(struct gateway *gw, uint32_t tenant, uint32_t id)
{
	static const uint8_t none[16];

	for (uint32_t family = 0; family < 2; family++) {
		uint32_t *speaker = &gw->tables->speaker[tenant].attachment[family];
		uint32_t next = gw->tenant[tenant].first_attachment;

		if (*speaker != 0 && *speaker != id)
			continue;
		for (; next != 0; next = gw->attachment[next].next) {
			const struct attachment *at = &gw->tables->attachment[next];

			if (family == 0 ? memcmp(at->ipv4, none, sizeof(at->ipv4)) != 0
					: memcmp(at->ipv6, none, sizeof(at->ipv6)) != 0)
				break;
		}
		__atomic_store_n(speaker, next, __ATOMIC_RELAXED);
	}
}

static int attachment_switch(struct apply *a, const struct abi_attachment *from,
			     const struct abi_attachment *to, struct answer *answer)
{
	struct gateway *gw = a->gw;
	uint32_t tenant = to != NULL ? to->tenant : from->tenant;
	int error = 0;

	if (to == NULL) {
		attachment_leave(a, from);
	} else if (moves(from, to)) {
		attachment_leave(a, from);
		reclaim_wait(gw->tables->reclaim);
		from = NULL;
	} else if (from != NULL && forgets(from, to)) {
		if (from->netdev[0] != '\0' && !same_netdev(from, to))
			underlay_unwatch(gw, from->id);
		neighbour_flush(gw->neighbours, from->id);
	}
	if (to != NULL) {
		error = attachment_enter(a, from, to, answer);
		speakers_follow(gw, tenant, to->id);
	}
	if (tenant == 0)
		underlay_changed(gw);
	return error;
}

static void attachment_link(struct gateway *gw, uint32_t id, uint32_t tenant)
{
	struct object_tenant *t = &gw->tenant[tenant];

	gw->attachment[id].next = t->first_attachment;
	t->first_attachment = id;
	t->attachments++;
}

static void attachment_unlink(struct gateway *gw, uint32_t id, uint32_t tenant)
{
	struct object_tenant *t = &gw->tenant[tenant];
	uint32_t *link = &t->first_attachment;

	while (*link != id)
		link = &gw->attachment[*link].next;
	*link = gw->attachment[id].next;
	t->attachments--;
	gw->attachment[id] = (struct object_attachment){ 0 };
	speakers_follow(gw, tenant, id);
}

static int attachment_add(struct apply *a, const struct abi_attachment *r, struct undo *undo,
			  struct answer *answer)
{
	struct gateway *gw = a->gw;
	int error;

	undo->did = DID_ADD;
	if (id_take(a, STATS_ATTACHMENT, r->id, undo) != 0)
		return refuse(answer, -ENOMEM, "no memory for attachment %u", r->id);
	__atomic_add_fetch(&gw->tables->attachment[r->id].generation, 1, __ATOMIC_RELAXED);
	gw->attachment[r->id].record = *r;
	attachment_link(gw, r->id, r->tenant);
	error = attachment_switch(a, NULL, r, answer);
	if (error == 0)
		return 0;
	(void)attachment_switch(a, r, NULL, &(struct answer){ NULL, 0 });
	attachment_unlink(gw, r->id, r->tenant);
	id_give_back(a, STATS_ATTACHMENT, r->id, undo);
	free(undo->rows);
	return error;
}

struct orphan_search {
	const struct apply *a;
	const struct abi_attachment *record;
	struct abi_route found;
};

static int orphan_test(void *arg, enum ip_family family, struct ip_addr prefix, uint8_t len,
		       uint32_t value)
{
	struct orphan_search *s = arg;

	if (!route_record(s->a->gw, s->record->tenant, family, prefix, len, value, &s->found))
		return 0;
	return s->found.kind == ABI_ROUTE_GATEWAY && s->found.target == s->record->id &&
	       !attachment_onlink(s->record, address_family(&s->found.via),
				  address_ip(&s->found.via));
}

/* The routes by it must still make sense: their next hops on-link, their adjacencies right. */
static int routes_follow(struct apply *a, const struct abi_attachment *from,
			 const struct abi_attachment *to, struct answer *answer)
{
	const struct tables *t = a->gw->tables;
	struct orphan_search search = { .a = a, .record = to };

	if (a->gw->attachment[to->id].routes == 0)
		return 0;
	if (!same_place(from, to) || !same_netdev(from, to))
		return refuse(answer, -EBUSY,
			      "attachment %u can't be moved while %u routes go by it: delete them "
			      "first",
			      to->id, a->gw->attachment[to->id].routes);
	if (same_addresses(from, to) ||
	    route_walk(t->routes, &t->vrf[to->tenant], orphan_test, &search) == 0)
		return 0;
	return refuse(answer, -EBUSY, "attachment %u: route %s goes via %s: delete it first",
		      to->id, address_text(&search.found.prefix).s,
		      address_text(&search.found.via).s);
}

static int attachment_change(struct apply *a, const struct abi_attachment *r, struct undo *undo,
			     struct answer *answer)
{
	const struct abi_attachment *from = &a->gw->attachment[r->id].record;
	struct permanents *stay = NULL;
	struct attachment_undo *old;
	int error = routes_follow(a, from, r, answer);

	if (error != 0)
		return error;
	old = calloc(1, sizeof(*old));
	if (old == NULL)
		return refuse(answer, -ENOMEM, "no memory for attachment %u", r->id);
	old->record = *from;
	old->flushed = forgets(from, r);
	if (old->flushed) {
		stay = permanents_filter(a->permanent[r->id], r);
		if (stay == NULL) {
			free(old);
			return refuse(answer, -ENOMEM, "no memory for attachment %u", r->id);
		}
	}
	undo->did = DID_CHANGE;
	error = attachment_switch(a, &old->record, r, answer);
	if (error != 0) {
		(void)attachment_switch(a, r, &old->record, &(struct answer){ NULL, 0 });
		if (old->flushed)
			permanents_restore(a, a->permanent[r->id]);
		free(stay);
		free(old);
		return error;
	}
	if (old->flushed) {
		old->permanents = a->permanent[r->id];
		a->permanent[r->id] = stay;
		permanents_restore(a, stay);
	}
	undo->attachment = old;
	return 0;
}

int attachment_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_attachment *r = record;
	struct gateway *gw = a->gw;
	const struct abi_attachment *now = &gw->attachment[r->id].record;
	int port = port_find(gw, r->port);
	int error;

	if (port < 0 || gw->tables->port[port].vlan == NULL)
		return refuse(answer, -ENOENT,
			      "attachment %u: the dataplane has no port %s: start it with "
			      "--port %s=...",
			      r->id, r->port, r->port);
	if (r->mtu > gw->port[port].mtu)
		return refuse(answer, -EINVAL, "attachment %u: port %s has an MTU of %u", r->id,
			      r->port, gw->port[port].mtu);
	if (tenant_find(gw, r->tenant, answer) == NULL)
		return -ENOENT;
	if (now->id != 0 && now->tenant != r->tenant)
		return refuse(answer, -EEXIST,
			      "attachment %u belongs to tenant %u: take another id", r->id,
			      now->tenant);
	error = attachment_routes_check(a, r, (uint16_t)port, answer);
	if (error != 0)
		return error;
	undo->id = r->id;
	return now->id == 0 ? attachment_add(a, r, undo, answer)
			    : attachment_change(a, r, undo, answer);
}

/* Leaves the counters of the id alone; the caller gives the id back or releases it. */
static void attachment_remove(struct apply *a, uint32_t id)
{
	struct abi_attachment record = a->gw->attachment[id].record;

	(void)attachment_switch(a, &record, NULL, &(struct answer){ NULL, 0 });
	attachment_unlink(a->gw, id, record.tenant);
}

int attachment_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	uint32_t id = ((const struct abi_id *)record)->id;
	struct gateway *gw = a->gw;
	struct attachment_undo *old;

	if (id >= gw->size.max_attachments || gw->attachment[id].record.id == 0)
		return refuse(answer, -ENOENT, "there is no attachment %u", id);
	if (gw->attachment[id].routes != 0)
		return refuse(answer, -EBUSY,
			      "%u routes still go by attachment %u: delete them first",
			      gw->attachment[id].routes, id);
	old = calloc(1, sizeof(*old));
	if (old == NULL)
		return refuse(answer, -ENOMEM, "no memory to record the change");
	old->record = gw->attachment[id].record;
	old->permanents = a->permanent[id];
	old->flushed = true;
	a->permanent[id] = NULL;
	undo->id = id;
	undo->did = DID_REMOVE;
	undo->attachment = old;
	attachment_remove(a, id);
	id_release(a, STATS_ATTACHMENT, id);
	return 0;
}

static void permanents_put_back(struct apply *a, uint32_t id, struct attachment_undo *old)
{
	if (!old->flushed)
		return;
	free(a->permanent[id]);
	a->permanent[id] = old->permanents;
	permanents_restore(a, old->permanents);
}

void attachment_undo(struct apply *a, struct undo *undo)
{
	struct gateway *gw = a->gw;
	struct attachment_undo *old = undo->attachment;
	char text[ABI_TEXT_LEN];
	struct answer answer = { text, sizeof(text) };
	struct abi_attachment from;
	int error = 0;

	switch (undo->did) {
	case DID_ADD:
		attachment_remove(a, undo->id);
		id_give_back(a, STATS_ATTACHMENT, undo->id, undo);
		return;
	case DID_CHANGE:
		from = gw->attachment[undo->id].record;
		error = attachment_switch(a, &from, &old->record, &answer);
		break;
	case DID_REMOVE:
		gw->attachment[undo->id].record = old->record;
		attachment_link(gw, undo->id, old->record.tenant);
		error = attachment_switch(a, NULL, &old->record, &answer);
		break;
	}
	if (error != 0)
		log_error("can't be put back: %s; restart the dataplane", text);
	permanents_put_back(a, undo->id, old);
	free(old);
}

void attachment_commit(struct apply *a, struct undo *undo)
{
	if (undo->did == DID_ADD)
		return;
	if (undo->attachment->flushed)
		free(undo->attachment->permanents);
	free(undo->attachment);
}
