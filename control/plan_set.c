/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "plan_order.h"
#include "vault.h"

static struct plan_object *object_add(struct plan_set *set, enum plan_kind kind, uint32_t tenant)
{
	struct plan_object *object;

	if (set->n == set->size) {
		size_t size = set->size == 0 ? 64 : 2 * set->size;

		object = reallocarray(set->objects, size, sizeof(*object));
		if (object == NULL) {
			set->failed = true;
			return NULL;
		}
		set->objects = object;
		set->size = size;
	}
	object = &set->objects[set->n];
	memset(object, 0, sizeof(*object));
	object->kind = kind;
	object->order = (uint32_t)set->n++;
	object->tenant = tenant;
	return object;
}

void plan_set_free(struct plan_set *set)
{
	free(set->objects);
	memset(set, 0, sizeof(*set));
}

/* A cookie is a digest of the whole record as it is wanted: any difference shows in it. */
static uint64_t cookie_of(const struct vault *vault, const void *record, size_t size)
{
	uint8_t digest[VAULT_DIGEST_LEN];
	uint64_t cookie;

	vault_digest(vault, VAULT_COOKIE, record, size, digest);
	memcpy(&cookie, digest, sizeof(cookie));
	return cookie;
}

/* -- what is wanted -- */

static void route_add(struct plan_set *set, uint32_t tenant, const char *tenant_name,
		      const struct abi_address *prefix, enum abi_route_kind kind, uint32_t target,
		      const struct abi_address *via)
{
	struct plan_object *object = object_add(set, PLAN_ROUTE, tenant);
	struct abi_route *route;

	if (object == NULL)
		return;
	object->tenant_name = tenant_name;
	route = &object->as.route;
	route->tenant = tenant;
	route->kind = kind;
	route->target = target;
	route->prefix = *prefix;
	if (kind == ABI_ROUTE_GATEWAY)
		route->via = *via;
}

static void attachment_add(struct plan_set *set, const struct vault *vault, uint32_t tenant,
			   const char *tenant_name, const struct attachment *attachment)
{
	struct plan_object *object = object_add(set, PLAN_ATTACHMENT, tenant);
	struct abi_attachment *record;

	if (object == NULL)
		return;
	object->tenant_name = tenant_name;
	record = &object->as.attachment;
	record->id = attachment->id;
	record->tenant = tenant;
	memcpy(record->port, attachment->port, sizeof(record->port));
	memcpy(record->netdev, attachment->netdev, sizeof(record->netdev));
	record->vlan = attachment->vlan;
	record->mtu = attachment->mtu;
	memcpy(record->address, attachment->address, sizeof(record->address));
	record->cookie = cookie_of(vault, record, sizeof(*record));
	for (size_t i = 0; i < attachment->n_neighbours; i++) {
		const struct neighbour *neighbour = &attachment->neighbours[i];

		object = object_add(set, PLAN_NEIGHBOUR, tenant);
		if (object == NULL)
			return;
		object->tenant_name = tenant_name;
		object->as.neighbour.attachment = attachment->id;
		object->as.neighbour.address = neighbour->address;
		memcpy(object->as.neighbour.mac, neighbour->mac, sizeof(neighbour->mac));
	}
}

static void sa_add(struct plan_set *set, const struct vault *vault, const struct tenant *tenant,
		   const struct tunnel *tunnel, const struct sa *sa)
{
	struct plan_object *object = object_add(set, PLAN_SA, tenant->id);
	struct {
		struct abi_sa record;
		uint8_t digest[VAULT_DIGEST_LEN];
	} whole;
	struct abi_sa *record;

	if (object == NULL)
		return;
	object->sa = sa;
	object->tunnel = tunnel;
	object->tenant_name = tenant->name;
	record = &object->as.sa;
	record->id = sa->id;
	record->tunnel = tunnel->id;
	record->spi = htonl(sa->spi);
	record->direction = (uint8_t)sa->direction;
	record->flags = sa->esn ? ABI_SA_ESN : 0;
	record->key_len = sa->key_len;
	record->window = (uint16_t)sa->window;
	record->cpu = sa->cpu;
	whole.record = *record;
	memcpy(whole.digest, sa->digest, sizeof(whole.digest));
	record->cookie = cookie_of(vault, &whole, sizeof(whole));
	/* Not in the cookie: another lifetime doesn't make it another SA. */
	record->soft = sa_lifetime(tunnel, sa)->soft;
	record->hard = sa_lifetime(tunnel, sa)->hard;
}

static void policy_put(const struct tunnel *tunnel, struct abi_tunnel *record)
{
	const struct tunnel_policy *policy = &tunnel->policy;

	record->flags = policy->flags | (tunnel->udp ? ABI_TUNNEL_UDP : 0);
	record->mss = policy->mss;
	record->pad_to = policy->pad_to;
	record->keepalive = tunnel->udp ? policy->keepalive : 0; /* IKE may find no NAT */
	record->dummy_ms = policy->dummy_ms;
	record->dscp = policy->dscp;
	record->df = policy->df;
	record->flow_label = policy->flow_label;
	record->ttl = policy->ttl;
}

/* Nobody knows yet where its peer is: what is meant for it goes nowhere, and no other way. */
static void tunnel_add_unplaced(struct plan_set *set, const struct tenant *tenant,
				const struct tunnel *tunnel)
{
	for (size_t i = 0; i < tunnel->n_networks; i++)
		route_add(set, tenant->id, tenant->name, &tunnel->networks[i], ABI_ROUTE_BLACKHOLE,
			  0, NULL);
}

void plan_set_tunnel(struct plan_set *set, const struct vault *vault, const struct tenant *tenant,
		     const struct tunnel *tunnel)
{
	struct plan_object *object;
	struct {
		struct abi_tunnel record;
		uint8_t selectors[VAULT_DIGEST_LEN];
	} whole = { 0 };
	struct abi_tunnel *record;

	if (tunnel->remote.family == 0) {
		tunnel_add_unplaced(set, tenant, tunnel);
		return;
	}
	object = object_add(set, PLAN_TUNNEL, tenant->id);
	if (object == NULL)
		return;
	object->tenant_name = tenant->name;
	object->tunnel = tunnel;
	record = &object->as.tunnel;
	record->id = tunnel->id;
	record->tenant = tenant->id;
	record->local = tunnel->local;
	record->remote = tunnel->remote;
	record->local_port = tunnel->local_port;
	record->remote_port = tunnel->remote_port;
	record->mtu = tunnel->mtu;
	policy_put(tunnel, record);
	if (tunnel->ike != NULL && tunnel->ike->start == IKE_TRAP)
		record->flags |= ABI_TUNNEL_ACQUIRE;
	whole.record = *record;
	if (tunnel->n_selectors > 0)
		vault_digest(vault, VAULT_COOKIE, tunnel->selectors,
			     tunnel->n_selectors * sizeof(*tunnel->selectors), whole.selectors);
	record->cookie = cookie_of(vault, &whole, sizeof(whole));
	for (size_t i = 0; i < tunnel->n_sas; i++)
		sa_add(set, vault, tenant, tunnel, &tunnel->sas[i]);
	for (size_t i = 0; i < tunnel->n_networks; i++)
		route_add(set, tenant->id, tenant->name, &tunnel->networks[i], ABI_ROUTE_TUNNEL,
			  tunnel->id, NULL);
}

/* What is meant for a client that is not there goes nowhere; those that are there have longer prefixes. */
static void pools_add(struct plan_set *set, const struct tenant *tenant,
		      const struct remote_access *access)
{
	for (size_t i = 0; i < access->n_pools; i++) {
		/* One address is the client's route, or nobody's. */
		if (access->pools[i].prefix_len == address_bits(&access->pools[i]))
			continue;
		route_add(set, tenant->id, tenant->name, &access->pools[i], ABI_ROUTE_BLACKHOLE, 0,
			  NULL);
	}
}

/* A route of the tenant's own: where it leads by id. */
static void tenant_route_add(struct plan_set *set, const struct tenant *tenant,
			     const struct route *route)
{
	enum abi_route_kind kind = route->kind;
	const struct attachment *link;
	const struct tunnel *tunnel;
	uint32_t target = 0;

	if (kind == ABI_ROUTE_TUNNEL) {
		tunnel = tenant_tunnel(tenant, route->tunnel);
		target = tunnel == NULL ? 0 : tunnel->id;
		if (tunnel != NULL && tunnel->remote.family == 0)
			kind = ABI_ROUTE_BLACKHOLE;
	} else if (kind == ABI_ROUTE_GATEWAY) {
		link = tenant_on_link(tenant, &route->via);
		target = link == NULL ? 0 : link->id;
	}
	route_add(set, tenant->id, tenant->name, &route->prefix, kind,
		  kind == ABI_ROUTE_BLACKHOLE ? 0 : target, &route->via);
}

void plan_set_tenant(struct plan_set *set, const struct vault *vault, const struct tenant *tenant)
{
	struct plan_object *object = object_add(set, PLAN_TENANT, tenant->id);

	if (object == NULL)
		return;
	object->tenant_name = tenant->name;
	object->as.tenant.id = tenant->id;
	object->as.tenant.cookie = cookie_of(vault, tenant->name, strlen(tenant->name));
	for (size_t i = 0; i < tenant->n_attachments; i++)
		attachment_add(set, vault, tenant->id, tenant->name, tenant->attachments[i]);
	for (size_t i = 0; i < tenant->n_tunnels; i++)
		plan_set_tunnel(set, vault, tenant, tenant->tunnels[i]);
	for (size_t i = 0; i < tenant->n_remote_access; i++)
		pools_add(set, tenant, tenant->remote_access[i]);
	for (size_t i = 0; i < tenant->n_routes; i++)
		tenant_route_add(set, tenant, &tenant->routes[i]);
}

void plan_set_underlay(struct plan_set *set, const struct vault *vault,
		       const struct attachment *underlay)
{
	attachment_add(set, vault, 0, "", underlay);
	for (size_t i = 0; i < underlay->n_routes; i++) {
		const struct route *route = &underlay->routes[i];

		route_add(set, 0, "", &route->prefix, route->kind,
			  route->kind == ABI_ROUTE_GATEWAY ? underlay->id : 0, &route->via);
	}
}

/* -- what there is -- */

void plan_set_dump(struct plan_set *set, enum abi_dump_kind kind, const void *records,
		   uint32_t count)
{
	static const enum plan_kind kinds[] = {
		[ABI_DUMP_TENANT] = PLAN_TENANT,       [ABI_DUMP_ATTACHMENT] = PLAN_ATTACHMENT,
		[ABI_DUMP_TUNNEL] = PLAN_TUNNEL,       [ABI_DUMP_SA] = PLAN_SA,
		[ABI_DUMP_NEIGHBOUR] = PLAN_NEIGHBOUR, [ABI_DUMP_ROUTE] = PLAN_ROUTE,
	};
	size_t size = plan_record_size(kinds[kind]);

	for (uint32_t i = 0; i < count; i++) {
		struct plan_object *object = object_add(set, kinds[kind], UINT32_MAX);

		if (object == NULL)
			return;
		memcpy(&object->as, (const uint8_t *)records + i * size, size);
		switch (object->kind) {
		case PLAN_TENANT:
			object->tenant = object->as.tenant.id;
			break;
		case PLAN_ATTACHMENT:
			object->tenant = object->as.attachment.tenant;
			break;
		case PLAN_TUNNEL:
			object->tenant = object->as.tunnel.tenant;
			break;
		case PLAN_ROUTE:
			object->tenant = object->as.route.tenant;
			break;
		case PLAN_NEIGHBOUR: /* what was learnt is the dataplane's own */
			if (object->as.neighbour.state != ABI_NEIGHBOUR_PERMANENT)
				set->n--;
			break;
		case PLAN_SA:
			break;
		}
	}
}

void plan_set_sort(struct plan_set *set)
{
	if (set->n > 1)
		qsort(set->objects, set->n, sizeof(*set->objects), plan_object_order);
}

struct plan_object *plan_set_find(const struct plan_set *set, enum plan_kind kind, uint32_t id)
{
	struct plan_object wanted = { .kind = kind };

	*plan_object_id(&wanted) = id;
	if (set->n == 0)
		return NULL;
	return bsearch(&wanted, set->objects, set->n, sizeof(wanted), plan_object_order);
}

void plan_set_owners(struct plan_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct plan_object *object = &set->objects[i];
		const struct plan_object *owner = NULL;

		if (object->kind == PLAN_SA)
			owner = plan_set_find(set, PLAN_TUNNEL, object->as.sa.tunnel);
		else if (object->kind == PLAN_NEIGHBOUR)
			owner = plan_set_find(set, PLAN_ATTACHMENT,
					      object->as.neighbour.attachment);
		if (owner != NULL)
			object->tenant = owner->tenant;
	}
}

void plan_set_without(struct plan_set *set, uint32_t tenant)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->n; i++) {
		if (set->objects[i].tenant != tenant)
			set->objects[kept++] = set->objects[i];
	}
	set->n = kept;
}
