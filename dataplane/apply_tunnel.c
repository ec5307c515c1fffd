/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tunnels. Changing the ends of one that is in use: workers copy the header template of the
 * outbound SA without a lock, so it can't be rewritten under them, and the SA can't be doubled,
 * for its sequence number must exist once. So each SA has two templates: the idle one is filled and
 * becomes the active one by a single store, and no packet is lost. The one that was active is idle when
 * a grace period has passed. A change that comes before that waits for it; of several the last counts.
 */
#include "apply_internal.h"

#include <string.h>

#include "reclaim.h"
#include "sa_template.h"
#include "tables.h"
#include "tunnel_timer.h"
#include "underlay.h"

void tunnel_publish(struct apply *a, uint32_t id)
{
	uint32_t sa = a->gw->tunnel[id].newest_out;

	while (sa != 0 && a->added[sa] == a->transaction)
		sa = a->gw->sa[sa].next;
	__atomic_store_n(&a->gw->tables->tunnel[id].sa_out, sa, __ATOMIC_RELEASE);
}

/* The path between them is the same one. */
static bool same_ends(const struct abi_tunnel *x, const struct abi_tunnel *y)
{
	return memcmp(&x->local, &y->local, sizeof(x->local)) == 0 &&
	       memcmp(&x->remote, &y->remote, sizeof(x->remote)) == 0 &&
	       (x->flags & ABI_TUNNEL_UDP) == (y->flags & ABI_TUNNEL_UDP) &&
	       x->local_port == y->local_port && x->remote_port == y->remote_port;
}

void tunnel_policy(const struct abi_tunnel *tunnel, union sa *slot, uint8_t direction)
{
	uint32_t wants = tunnel->flags;
	uint8_t flags = wants & ABI_TUNNEL_SELECTORS ? SA_SELECTORS : 0;
	uint8_t *to = direction == ABI_SA_IN ? &slot->in.flags : &slot->out.flags;

	if (direction == ABI_SA_IN) {
		flags |= wants & ABI_TUNNEL_UDP ? SA_UDP : 0;
		flags |= wants & ABI_TUNNEL_DSCP_IN ? SA_DSCP_IN : 0;
	} else {
		flags |= wants & ABI_TUNNEL_MSS_OFF ? SA_MSS_OFF : 0;
		__atomic_store_n(&slot->out.mss, tunnel->mss, __ATOMIC_RELAXED);
		__atomic_store_n(&slot->out.pad_to, tunnel->pad_to, __ATOMIC_RELAXED);
	}
	__atomic_store_n(to, (uint8_t)((*to & ~SA_POLICIES) | flags), __ATOMIC_RELAXED);
}

/* Only the writer changes `active`. What was idle has been so for a grace period, or was never used. */
static void sa_renew(struct gateway *gw, uint32_t id, const struct abi_tunnel *tunnel)
{
	struct sa_out *sa = &gw->tables->sa[id].out;
	uint8_t idle = !sa->active;

	sa_template_build(sa, idle, tunnel);
	underlay_resolve_template(gw, id, idle);
	__atomic_store_n(&sa->active, idle, __ATOMIC_RELEASE);
}

static void renewed(void *owner, uint64_t id, uint64_t unused);

static void tunnel_renew(struct apply *a, uint32_t id)
{
	struct gateway *gw = a->gw;

	if (a->renewal[id] != RENEWAL_NONE) {
		a->renewal[id] = RENEWAL_AGAIN;
		return;
	}
	for (uint32_t sa = gw->tunnel[id].newest_out; sa != 0; sa = gw->sa[sa].next)
		sa_renew(gw, sa, &gw->tunnel[id].record);
	a->renewal[id] = RENEWAL_GRACE;
	reclaim_defer(gw->tables->reclaim, renewed, a, id, 0);
}

static void renewed(void *owner, uint64_t id, uint64_t unused)
{
	struct apply *a = owner;
	bool again = a->renewal[id] == RENEWAL_AGAIN;

	a->renewal[id] = RENEWAL_NONE;
	if (again)
		tunnel_renew(a, (uint32_t)id);
}

static void policy_update(struct gateway *gw, const struct object_tunnel *o)
{
	for (uint32_t sa = o->newest_in; sa != 0; sa = gw->sa[sa].next)
		tunnel_policy(&o->record, &gw->tables->sa[sa], ABI_SA_IN);
	for (uint32_t sa = o->newest_out; sa != 0; sa = gw->sa[sa].next)
		tunnel_policy(&o->record, &gw->tables->sa[sa], ABI_SA_OUT);
}

static void tunnel_switch(struct apply *a, const struct abi_tunnel *to)
{
	struct object_tunnel *o = &a->gw->tunnel[to->id];
	struct abi_tunnel from = o->record;

	o->record = *to;
	from.cookie = to->cookie;
	if (memcmp(&from, to, sizeof(from)) == 0)
		return;
	if (!same_ends(&from, to))
		path_mtu_forget(a->gw, to->id);
	policy_update(a->gw, o);
	tunnel_timer_update(a->gw, to->id);
	tunnel_renew(a, to->id);
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
	tenant->tunnels++;
	gw->tables->tunnel[r->id].tenant = r->tenant;
	tunnel_timer_update(gw, r->id);
	return 0;
}

static void tunnel_remove(struct apply *a, uint32_t id)
{
	struct object_tunnel *o = &a->gw->tunnel[id];

	a->gw->tenant[o->record.tenant].tunnels--;
	o->record = (struct abi_tunnel){ 0 };
	tunnel_timer_update(a->gw, id);
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
		tunnel_switch(a, &undo->tunnel);
		break;
	case DID_REMOVE:
		gw->tunnel[undo->id].record = undo->tunnel;
		gw->tenant[undo->tunnel.tenant].tunnels++;
		gw->tables->tunnel[undo->id].tenant = undo->tunnel.tenant;
		selectors_undo(a, undo);
		tunnel_timer_update(gw, undo->id);
		break;
	}
}

/* Of a deleted one. */
void tunnel_commit(struct apply *a, struct undo *undo)
{
	selectors_commit(a, undo);
}
