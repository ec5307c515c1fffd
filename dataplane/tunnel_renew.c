/* SPDX-License-Identifier: BSD-3-Clause */
#include "tunnel_renew.h"

#include <stdbool.h>

#include "gateway.h"
#include "reclaim.h"
#include "sa_template.h"
#include "tables.h"
#include "underlay.h"

/* Only the writer changes `active`. What was idle has been so for a grace period, or was never used. */
static void sa_renew(struct gateway *gw, uint32_t id, const struct abi_tunnel *tunnel)
{
	struct sa_out *sa = &gw->tables->sa[id].out;
	uint8_t idle = !sa->active;
	uint32_t before;

	sa_template_build(sa, idle, tunnel);
	before = underlay_resolve_template(gw, id, idle);
	__atomic_store_n(&sa->active, idle, __ATOMIC_RELEASE);
	/* Its grace period begins when no packet takes the former template any more. */
	underlay_release(gw, before);
}

static void renewed(void *owner, uint64_t id, uint64_t unused)
{
	struct gateway *gw = owner;
	bool again = gw->tunnel[id].renewal == RENEWAL_AGAIN;

	gw->tunnel[id].renewal = RENEWAL_NONE;
	if (again)
		tunnel_renew(gw, (uint32_t)id);
}

void tunnel_renew(struct gateway *gw, uint32_t tunnel)
{
	struct object_tunnel *o = &gw->tunnel[tunnel];
	struct abi_tunnel present = peer_tunnel(o);

	if (o->renewal != RENEWAL_NONE) {
		o->renewal = RENEWAL_AGAIN;
		return;
	}
	for (uint32_t sa = o->newest_out; sa != 0; sa = gw->sa[sa].next)
		sa_renew(gw, sa, &present);
	o->renewal = RENEWAL_GRACE;
	reclaim_defer(gw->tables->reclaim, renewed, gw, tunnel, 0);
}
