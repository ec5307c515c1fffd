/* SPDX-License-Identifier: BSD-3-Clause */
/* Tunnels. What a change does to packets under way: tunnel_renew.h. */
#include "apply_internal.h"

#include <string.h>

#include "acquire.h"
#include "reclaim.h"
#include "tunnel_renew.h"
#include "tables.h"
#include "tunnel_timer.h"
#include "underlay.h"

/* The newest outbound SA from `sa` on that isn't of the open transaction; 0: none. */
static uint32_t published(const struct apply *a, uint32_t sa)
{
	while (sa != 0 && a->added[sa] == a->transaction)
		sa = a->gw->sa[sa].next;
	return sa;
}

/* Each worker sends with the newest SA of its own, else with `common`. */
static void workers_publish(struct apply *a, uint32_t id, uint32_t common)
{
	const struct gateway *gw = a->gw;
	uint32_t workers = gw->tables->workers;

	for (uint32_t w = 0; w < workers; w++) {
		uint32_t sa = published(a, gw->tunnel[id].newest_out);

		while (sa != 0 && (gw->sa[sa].cpu == 0 || (gw->sa[sa].cpu - 1u) % workers != w))
			sa = published(a, gw->sa[sa].next);
		__atomic_store_n(tables_worker_sa(gw->tables, id, w), sa != 0 ? sa : common,
				 __ATOMIC_RELEASE);
	}
}

void tunnel_publish(struct apply *a, uint32_t id)
{
	const struct gateway *gw = a->gw;
	uint32_t newest = published(a, gw->tunnel[id].newest_out), common = 0;
	struct sa_out *out;
	bool spread = false;

	for (uint32_t sa = newest; sa != 0; sa = published(a, gw->sa[sa].next)) {
		spread |= gw->sa[sa].cpu != 0;
		if (common == 0 && gw->sa[sa].cpu == 0)
			common = sa;
	}
	if (common == 0)
		common = newest;
	out = &gw->tables->sa[common].out;
	if (spread)
		workers_publish(a, id, common);
	if (out->spread != spread)
		__atomic_store_n(&out->spread, spread, __ATOMIC_RELEASE);
	__atomic_store_n(&gw->tables->tunnel[id].sa_out, common, __ATOMIC_RELEASE);
}

/* The path between them is the same one. */
static bool same_ends(const struct abi_tunnel *x, const struct abi_tunnel *y)
{
	return memcmp(&x->local, &y->local, sizeof(x->local)) == 0 &&
	       memcmp(&x->remote, &y->remote, sizeof(x->remote)) == 0 &&
	       (x->flags & ABI_TUNNEL_UDP) == (y->flags & ABI_TUNNEL_UDP) &&
	       x->local_port == y->local_port && x->remote_port == y->remote_port;
}

void tunnel_policy(const struct object_tunnel *o, union sa *slot, uint8_t direction)
{
	uint32_t wants = o->record.flags;
	uint8_t flags = wants & ABI_TUNNEL_SELECTORS ? SA_SELECTORS : 0;
	uint8_t *to = direction == ABI_SA_IN ? &slot->in.flags : &slot->out.flags;

	if (direction == ABI_SA_IN) {
		flags |= wants & ABI_TUNNEL_UDP ? SA_UDP : 0;
		flags |= wants & ABI_TUNNEL_DSCP_IN ? SA_DSCP_IN : 0;
		flags |= wants & ABI_TUNNEL_FOLLOW ? SA_FOLLOW : 0;
		peer_tell(&o->peer, &slot->in);
	} else {
		flags |= wants & ABI_TUNNEL_MSS_OFF ? SA_MSS_OFF : 0;
		__atomic_store_n(&slot->out.mss, o->record.mss, __ATOMIC_RELAXED);
		__atomic_store_n(&slot->out.pad_to, o->record.pad_to, __ATOMIC_RELAXED);
	}
	__atomic_store_n(to, (uint8_t)((*to & ~SA_POLICIES) | flags), __ATOMIC_RELAXED);
}

static void policy_update(struct gateway *gw, const struct object_tunnel *o)
{
	for (uint32_t sa = o->newest_in; sa != 0; sa = gw->sa[sa].next)
		tunnel_policy(o, &gw->tables->sa[sa], ABI_SA_IN);
	for (uint32_t sa = o->newest_out; sa != 0; sa = gw->sa[sa].next)
		tunnel_policy(o, &gw->tables->sa[sa], ABI_SA_OUT);
}

static void tunnel_put(struct apply *a, const struct abi_tunnel *record,
		       const struct tunnel_peer *peer)
{
	struct object_tunnel *o = &a->gw->tunnel[record->id];
	struct abi_tunnel from = peer_tunnel(o), to;

	o->record = *record;
	o->peer = *peer;
	to = peer_tunnel(o);
	if (!same_ends(&from, &to))
		path_mtu_forget(a->gw, record->id);
	policy_update(a->gw, o);
	tunnel_timer_update(a->gw, record->id);
	acquire_update(a->gw, record->id);
	tunnel_renew(a->gw, record->id);
}

/*
 * A peer that has moved stays where it is, unless the operator says something else than before of
 * where it is, or that it is not to be followed.
 */
static bool peer_stays(const struct abi_tunnel *from, const struct abi_tunnel *to)
{
	return (to->flags & ABI_TUNNEL_FOLLOW) &&
	       !((from->flags ^ to->flags) & (ABI_TUNNEL_FOLLOW | ABI_TUNNEL_UDP)) &&
	       memcmp(&from->remote, &to->remote, sizeof(from->remote)) == 0 &&
	       from->remote_port == to->remote_port;
}

/* What says so has only heard of it now: IKE, after it was told. */
static bool peer_is_there(const struct tunnel_peer *peer, const struct abi_tunnel *to)
{
	return (to->flags & ABI_TUNNEL_FOLLOW) && peer->port == to->remote_port &&
	       memcmp(&peer->remote, &to->remote, sizeof(peer->remote)) == 0;
}

static void tunnel_switch(struct apply *a, const struct abi_tunnel *to)
{
	struct object_tunnel *o = &a->gw->tunnel[to->id];
	struct tunnel_peer peer = o->peer;
	struct abi_tunnel from = o->record;

	from.cookie = to->cookie;
	if (memcmp(&from, to, sizeof(from)) == 0) {
		o->record = *to;
		return;
	}
	if (!peer_stays(&from, to) && !peer_is_there(&peer, to))
		peer_set(&peer, to);
	tunnel_put(a, to, &peer);
}

int tunnel_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_tunnel *r = record;
	struct gateway *gw = a->gw;
	struct object_tunnel *o = &gw->tunnel[r->id];
	struct object_tenant *tenant = tenant_find(gw, r->tenant, answer);

	if (tenant == NULL)
		return -ENOENT;
	undo->id = r->id;
	undo->tunnel = o->record;
	undo->peer = o->peer;
	if (o->record.id != 0) {
		if (o->record.tenant != r->tenant)
			return refuse(answer, -EEXIST,
				      "tunnel %u belongs to tenant %u: take another id", r->id,
				      o->record.tenant);
		undo->did = DID_CHANGE;
		tunnel_switch(a, r);
		return 0;
	}
	undo->did = DID_ADD;
	if (id_take(a, STATS_TUNNEL, r->id, undo) != 0)
		return refuse(answer, -ENOMEM, "no memory for tunnel %u", r->id);
	path_mtu_forget(gw, r->id); /* of who had the id before */
	o->record = *r;
	o->peer = (struct tunnel_peer){ 0 };
	peer_set(&o->peer, r);
	tenant->tunnels++;
	gw->tables->tunnel[r->id].tenant = r->tenant;
	tunnel_timer_update(gw, r->id);
	acquire_update(gw, r->id);
	return 0;
}

static void tunnel_remove(struct apply *a, uint32_t id)
{
	struct object_tunnel *o = &a->gw->tunnel[id];

	a->gw->tenant[o->record.tenant].tunnels--;
	o->record = (struct abi_tunnel){ 0 };
	tunnel_timer_update(a->gw, id);
	acquire_update(a->gw, id);
	/* An SA deleted just now may still be sending here: not for whoever has the id next. */
	tunnel_publish(a, id);
}

int tunnel_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	uint32_t id = ((const struct abi_id *)record)->id;
	struct gateway *gw = a->gw;
	struct object_tunnel *o = id < gw->size.max_tunnels ? &gw->tunnel[id] : NULL;

	if (o == NULL || o->record.id == 0)
		return refuse(answer, -ENOENT, "there is no tunnel %u", id);
	if (o->sas_in != 0 || o->sas_out != 0 || o->routes != 0)
		return refuse(answer, -EBUSY,
			      "tunnel %u still has %u SAs and %u routes: delete them first", id,
			      o->sas_in + o->sas_out, o->routes);
	undo->id = id;
	undo->did = DID_REMOVE;
	undo->tunnel = o->record;
	undo->peer = o->peer;
	tunnel_remove(a, id);
	selectors_take(a, undo);
	id_release(a, STATS_TUNNEL, id);
	return 0;
}

void tunnel_undo(struct apply *a, struct undo *undo)
{
	struct gateway *gw = a->gw;

	switch (undo->did) {
	case DID_ADD:
		tunnel_remove(a, undo->id);
		id_give_back(a, STATS_TUNNEL, undo->id, undo);
		break;
	case DID_CHANGE:
		tunnel_put(a, &undo->tunnel, &undo->peer);
		break;
	case DID_REMOVE:
		gw->tunnel[undo->id].record = undo->tunnel;
		gw->tunnel[undo->id].peer = undo->peer;
		gw->tenant[undo->tunnel.tenant].tunnels++;
		gw->tables->tunnel[undo->id].tenant = undo->tunnel.tenant;
		selectors_undo(a, undo);
		tunnel_timer_update(gw, undo->id);
		acquire_update(gw, undo->id);
		break;
	}
}

/* Of a deleted one. */
void tunnel_commit(struct apply *a, struct undo *undo)
{
	selectors_commit(a, undo);
}
