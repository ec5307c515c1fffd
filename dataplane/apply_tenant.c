/* SPDX-License-Identifier: BSD-3-Clause */
#include "apply_internal.h"

#include "log.h"
#include "route_table.h"

struct object_tenant *tenant_find(struct gateway *gw, uint32_t id, struct answer *answer)
{
	if (id >= gw->size.max_tenants || (id != 0 && gw->tenant[id].record.id == 0)) {
		refuse(answer, -ENOENT, "there is no tenant %u", id);
		return NULL;
	}
	return &gw->tenant[id];
}

int tenant_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_tenant *r = record;
	struct object_tenant *o = &a->gw->tenant[r->id];

	undo->id = r->id;
	undo->did = o->record.id != 0 ? DID_CHANGE : DID_ADD;
	undo->tenant = o->record;
	if (undo->did == DID_ADD && id_take(a, STATS_TENANT, r->id, undo) != 0)
		return refuse(answer, -ENOMEM, "no memory for tenant %u", r->id);
	o->record = *r;
	return 0;
}

int tenant_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	uint32_t id = ((const struct abi_id *)record)->id;
	struct object_tenant *o = tenant_find(a->gw, id, answer);
	struct route_table *vrf;

	if (o == NULL)
		return -ENOENT;
	if (o->attachments != 0 || o->tunnels != 0 || o->routes != 0)
		return refuse(answer, -EBUSY,
			      "tenant %u still has %u attachments, %u tunnels and %u routes: "
			      "delete them first",
			      id, o->attachments, o->tunnels, o->routes);
	undo->id = id;
	undo->did = DID_REMOVE;
	undo->tenant = o->record;
	/* Nobody is left who could own a route in it; the next tenant must find it empty. */
	vrf = &a->gw->tables->vrf[id];
	if (vrf->routes[IP_V4] != 0 || vrf->routes[IP_V6] != 0) {
		log_error("tenant %u: routes were left behind in its VRF; cleared", id);
		route_table_clear(a->gw->tables->routes, vrf);
	}
	o->record = (struct abi_tenant){ 0 };
	id_release(a, STATS_TENANT, id);
	return 0;
}

void tenant_undo(struct apply *a, struct undo *undo)
{
	a->gw->tenant[undo->id].record = undo->tenant;
	if (undo->did == DID_ADD)
		id_give_back(a, STATS_TENANT, undo->id, undo);
}
