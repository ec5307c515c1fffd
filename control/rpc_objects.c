/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that change one object of a tenant: a change (change.h) of a copy of that tenant. */
#include "rpc_methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "daemon.h"
#include "rpc_build.h"

/* Puts an object at the place of its namesake or behind the last; takes it. */
#define LIST_PUT(change, array, count, position, object, failed)                              \
	do {                                                                                  \
		if ((position) == (count)) {                                                  \
			void *bigger_ = reallocarray((array), (count) + 1, sizeof(*(array))); \
			(failed) = bigger_ == NULL;                                           \
			if (!(failed)) {                                                      \
				(array) = bigger_;                                            \
				(array)[(count)++] = (object);                                \
			}                                                                     \
		} else {                                                                      \
			(array)[position] = (object);                                         \
		}                                                                             \
	} while (0)

#define LIST_REMOVE_AT(array, count, position)                          \
	do {                                                            \
		(count)--;                                              \
		memmove((array) + (position), (array) + (position) + 1, \
			((count) - (position)) * sizeof(*(array)));     \
	} while (0)

/* -- attachments -- */

static size_t attachment_position(const struct tenant *tenant, const char *name)
{
	size_t i = 0;

	while (i < tenant->n_attachments && strcmp(tenant->attachments[i]->name, name) != 0)
		i++;
	return i;
}

static int attachment_set_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	json_t *object = tenant == NULL ? NULL : build_object_need(change, "attachment");
	struct attachment *attachment;
	bool failed = false;
	size_t mark, i;

	if (object == NULL)
		return -1;
	mark = reader_enter(&change->reader, "attachment");
	attachment = config_parse_attachment(&change->context, object, false);
	reader_leave(&change->reader, mark);
	if (attachment == NULL)
		return build_out_of_memory(change);
	i = attachment_position(tenant, attachment->name);
	if (i < tenant->n_attachments) {
		attachment_release(tenant->attachments[i]);
		LIST_REMOVE_AT(tenant->attachments, tenant->n_attachments, i);
	}
	i = tenant->n_attachments;
	build_focus_set(change, "attachments", i, "attachment");
	LIST_PUT(change, tenant->attachments, tenant->n_attachments, i, attachment, failed);
	if (failed) {
		attachment_release(attachment);
		return build_out_of_memory(change);
	}
	snprintf(change->summary, sizeof(change->summary), "attachment %s of tenant %s",
		 attachment->name, tenant->name);
	return 0;
}

void rpc_attachment_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "attachment", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, attachment_set_build);
}

static int attachment_delete_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	const char *name = tenant == NULL ? NULL : build_name_need(change, "name");
	size_t i;

	if (name == NULL)
		return -1;
	i = attachment_position(tenant, name);
	if (i == tenant->n_attachments)
		return build_fail(change, RPC_NOT_FOUND, "tenant '%s' has no attachment '%.64s'",
				  tenant->name, name);
	attachment_release(tenant->attachments[i]);
	LIST_REMOVE_AT(tenant->attachments, tenant->n_attachments, i);
	snprintf(change->summary, sizeof(change->summary), "attachment %.31s of tenant %s", name,
		 tenant->name);
	return 0;
}

void rpc_attachment_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "name", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, attachment_delete_build);
}

/* -- tunnels -- */

static size_t tunnel_position(const struct tenant *tenant, const char *name)
{
	size_t i = 0;

	while (i < tenant->n_tunnels && strcmp(tenant->tunnels[i]->name, name) != 0)
		i++;
	return i;
}

/* Behind the others, so that it is the one which is told of a conflict; the model sorts them. */
static int tunnel_put(struct change *change, struct tenant *tenant, struct tunnel *tunnel)
{
	size_t i = tunnel_position(tenant, tunnel->name);
	bool failed = false;

	if (i < tenant->n_tunnels) {
		tunnel_release(tenant->tunnels[i]);
		LIST_REMOVE_AT(tenant->tunnels, tenant->n_tunnels, i);
	}
	i = tenant->n_tunnels;
	build_focus_set(change, "tunnels", i, "tunnel");
	LIST_PUT(change, tenant->tunnels, tenant->n_tunnels, i, tunnel, failed);
	if (!failed)
		return 0;
	tunnel_release(tunnel);
	return build_out_of_memory(change);
}

static int tunnel_set_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	json_t *object = tenant == NULL ? NULL : build_object_need(change, "tunnel");
	struct tunnel *tunnel;
	size_t mark;

	if (object == NULL)
		return -1;
	mark = reader_enter(&change->reader, "tunnel");
	tunnel = config_parse_tunnel(&change->context, tenant->name, object);
	reader_leave(&change->reader, mark);
	if (tunnel == NULL)
		return build_out_of_memory(change);
	snprintf(change->summary, sizeof(change->summary), "tunnel %s of tenant %s", tunnel->name,
		 tenant->name);
	return tunnel_put(change, tenant, tunnel);
}

void rpc_tunnel_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "tunnel", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, tunnel_set_build);
}

static int tunnel_delete_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	const char *name = tenant == NULL ? NULL : build_name_need(change, "name");
	size_t i;

	if (name == NULL)
		return -1;
	i = tunnel_position(tenant, name);
	if (i == tenant->n_tunnels)
		return build_fail(change, RPC_NOT_FOUND, "tenant '%s' has no tunnel '%.64s'",
				  tenant->name, name);
	tunnel_release(tenant->tunnels[i]);
	LIST_REMOVE_AT(tenant->tunnels, tenant->n_tunnels, i);
	snprintf(change->summary, sizeof(change->summary), "tunnel %.31s of tenant %s", name,
		 tenant->name);
	return 0;
}

void rpc_tunnel_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "name", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, tunnel_delete_build);
}

/* -- SAs -- */

/* A copy of the tunnel that the params name, in its place in the tenant. */
static struct tunnel *tunnel_edit(struct change *change, struct tenant *tenant)
{
	const char *name = build_name_need(change, "tunnel");
	struct tunnel *now, *copy;

	if (name == NULL)
		return NULL;
	now = tenant_tunnel(tenant, name);
	if (now == NULL) {
		build_fail(change, RPC_NOT_FOUND, "tenant '%s' has no tunnel '%.64s'", tenant->name,
			   name);
		return NULL;
	}
	copy = tunnel_copy(now);
	if (copy == NULL) {
		build_out_of_memory(change);
		return NULL;
	}
	return tunnel_put(change, tenant, copy) < 0 ? NULL : copy;
}

static void sa_summary(struct change *change, const struct tenant *tenant,
		       const struct tunnel *tunnel, enum abi_sa_direction direction, uint32_t spi)
{
	snprintf(change->summary, sizeof(change->summary), "SA %s 0x%08x of tunnel %s, tenant %s",
		 direction == ABI_SA_IN ? "in" : "out", spi, tunnel->name, tenant->name);
}

static int sa_add_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	struct tunnel *tunnel = tenant == NULL ? NULL : tunnel_edit(change, tenant);
	json_t *object = tunnel == NULL ? NULL : build_object_need(change, "sa");
	struct sa *bigger;
	size_t mark;

	if (object == NULL)
		return -1;
	bigger = reallocarray(tunnel->sas, tunnel->n_sas + 1, sizeof(*bigger));
	if (bigger == NULL)
		return build_out_of_memory(change);
	tunnel->sas = bigger;
	mark = reader_enter(&change->reader, "sa");
	config_parse_sa(&change->context, tenant->name, tunnel->name, object,
			&bigger[tunnel->n_sas]);
	reader_leave(&change->reader, mark);
	snprintf(change->focus, sizeof(change->focus), "/tenants/0/tunnels/%zu/sas/%zu",
		 tunnel_position(tenant, tunnel->name), tunnel->n_sas);
	snprintf(change->focus_name, sizeof(change->focus_name), "/sa");
	sa_summary(change, tenant, tunnel, bigger[tunnel->n_sas].direction,
		   bigger[tunnel->n_sas].spi);
	tunnel->n_sas++;
	return 0;
}

void rpc_sa_add(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "tunnel", "sa", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, sa_add_build);
}

static int sa_delete_build(struct change *change, json_t *params)
{
	const char *way = json_string_value(json_object_get(params, "direction"));
	int64_t spi = field_integer(&change->reader, params, "spi", 1, UINT32_MAX, 0);
	enum abi_sa_direction direction;
	struct tenant *tenant;
	struct tunnel *tunnel;
	struct sa *sa;

	if (way == NULL || (strcmp(way, "in") != 0 && strcmp(way, "out") != 0) || spi == 0)
		return build_fail(change, RPC_INVALID_PARAMS,
				  "give direction (in or out) and spi of the SA");
	direction = strcmp(way, "in") == 0 ? ABI_SA_IN : ABI_SA_OUT;
	tenant = build_tenant_edit(change);
	tunnel = tenant == NULL ? NULL : tunnel_edit(change, tenant);
	if (tunnel == NULL)
		return -1;
	sa = tunnel_sa(tunnel, direction, (uint32_t)spi);
	if (sa == NULL)
		return build_fail(change, RPC_NOT_FOUND, "tunnel '%s' has no SA %s 0x%x",
				  tunnel->name, way, (unsigned int)spi);
	LIST_REMOVE_AT(tunnel->sas, tunnel->n_sas, (size_t)(sa - tunnel->sas));
	sa_summary(change, tenant, tunnel, direction, (uint32_t)spi);
	return 0;
}

void rpc_sa_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "tunnel", "direction", "spi", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, sa_delete_build);
}

/* -- routes -- */

static size_t route_position(const struct tenant *tenant, const struct abi_address *prefix)
{
	size_t i = 0;

	while (i < tenant->n_routes && prefix_compare(&tenant->routes[i].prefix, prefix) != 0)
		i++;
	return i;
}

static int route_set_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	json_t *object = tenant == NULL ? NULL : build_object_need(change, "route");
	char text[ADDRESS_TEXT_LEN];
	struct route route;
	bool failed = false;
	size_t mark, i;

	if (object == NULL)
		return -1;
	mark = reader_enter(&change->reader, "route");
	config_parse_route(&change->context, object, false, &route);
	reader_leave(&change->reader, mark);
	i = route_position(tenant, &route.prefix);
	build_focus_set(change, "routes", i, "route");
	LIST_PUT(change, tenant->routes, tenant->n_routes, i, route, failed);
	if (failed)
		return build_out_of_memory(change);
	snprintf(change->summary, sizeof(change->summary), "route %s of tenant %s",
		 route.prefix.family == 0 ? "?" : prefix_format(&route.prefix, text), tenant->name);
	return 0;
}

void rpc_route_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "route", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, route_set_build);
}

static int route_delete_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	const char *text = tenant == NULL ? NULL : build_name_need(change, "prefix");
	struct abi_address prefix;
	size_t i;

	if (text == NULL)
		return -1;
	if (prefix_parse(text, &prefix) < 0)
		return build_fail(change, RPC_INVALID_PARAMS,
				  "prefix is not a prefix such as 10.1.0.0/24");
	i = route_position(tenant, &prefix);
	if (i == tenant->n_routes)
		return build_fail(change, RPC_NOT_FOUND,
				  "tenant '%s' has no route %.48s (networks of tunnels are changed "
				  "with the tunnel)",
				  tenant->name, text);
	LIST_REMOVE_AT(tenant->routes, tenant->n_routes, i);
	snprintf(change->summary, sizeof(change->summary), "route %.48s of tenant %s", text,
		 tenant->name);
	return 0;
}

void rpc_route_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "prefix", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, route_delete_build);
}
