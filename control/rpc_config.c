/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that change the desired state: each turns its params into a change (change.h). */
#include "rpc_methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "daemon.h"
#include "store.h"

#define CONFIRM_MOST 86400 /* seconds */

/* -- helpers of the builders -- */

__attribute__((format(printf, 3, 4))) static int build_fail(struct change *change, int code,
							    const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	rpc_fail(change->request, code, NULL, "%s", text);
	return -1;
}

static int out_of_memory(struct change *change)
{
	return build_fail(change, RPC_INTERNAL, "out of memory: try again later");
}

/* A name in the params; NULL: the request has been failed. */
static const char *name_need(struct change *change, const char *member)
{
	const char *name =
		json_string_value(json_object_get(rpc_request_params(change->request), member));

	if (name == NULL)
		build_fail(change, RPC_INVALID_PARAMS, "%s is missing: give a name", member);
	return name;
}

static json_t *object_need(struct change *change, const char *member)
{
	json_t *object = json_object_get(rpc_request_params(change->request), member);

	if (json_is_object(object))
		return object;
	build_fail(change, RPC_INVALID_PARAMS, "%s is missing: give the object", member);
	return NULL;
}

/* The config shall hold this one tenant; takes it. */
static int config_one_tenant(struct change *change, struct tenant *tenant)
{
	struct config *config = change->config;

	config->tenants = calloc(1, sizeof(*config->tenants));
	if (config->tenants == NULL) {
		tenant_release(tenant);
		return out_of_memory(change);
	}
	config->tenants[config->n_tenants++] = tenant;
	return 0;
}

/* A copy of the tenant that the params name, as the config's only one. */
static struct tenant *tenant_edit(struct change *change)
{
	const char *name = name_need(change, "tenant");
	const struct tenant *now = name == NULL ? NULL : model_tenant(change->now, name);
	struct tenant *copy;

	if (name == NULL)
		return NULL;
	if (now == NULL) {
		build_fail(change, RPC_NOT_FOUND, "there is no tenant '%.64s'", name);
		return NULL;
	}
	copy = tenant_copy(now);
	if (copy == NULL) {
		out_of_memory(change);
		return NULL;
	}
	return config_one_tenant(change, copy) < 0 ? NULL : copy;
}

static void focus_set(struct change *change, const char *list, size_t index, const char *name)
{
	snprintf(change->focus, sizeof(change->focus), "/tenants/0/%s/%zu", list, index);
	snprintf(change->focus_name, sizeof(change->focus_name), "/%s", name);
}

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

/* -- whole configurations -- */

static int apply_build(struct change *change, json_t *params)
{
	json_t *config = object_need(change, "config");
	json_t *confirm = json_object_get(params, "confirm_within");
	json_t *expected = json_object_get(params, "if_generation");
	json_int_t seconds = json_integer_value(confirm);
	struct config *parsed;

	if (config == NULL)
		return -1;
	if (confirm != NULL && (!json_is_integer(confirm) || seconds < 1 || seconds > CONFIRM_MOST))
		return build_fail(change, RPC_INVALID_PARAMS, "confirm_within is 1 .. %d seconds",
				  CONFIRM_MOST);
	if (expected != NULL && (json_int_t)change->now->generation != json_integer_value(expected))
		return build_fail(change, RPC_CONFLICT,
				  "the state has changed since: it is at generation %llu; look at "
				  "the difference again",
				  (unsigned long long)change->now->generation);
	change->confirm_within = (unsigned int)seconds;
	change->prune = json_is_true(json_object_get(params, "prune"));
	change->dry_run = json_is_true(json_object_get(params, "dry_run"));
	change->whole_config = true;
	parsed = config_parse(&change->context, config);
	if (parsed == NULL)
		return out_of_memory(change);
	free(change->config);
	change->config = parsed;
	snprintf(change->summary, sizeof(change->summary), "%zu tenants, %zu underlay entries%s%s",
		 parsed->n_tenants, parsed->n_underlay, change->prune ? ", others removed" : "",
		 change->confirm_within > 0 ? ", to be confirmed" : "");
	return 0;
}

void rpc_config_apply(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "config",         "prune",         "dry_run",
					     "confirm_within", "if_generation", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, apply_build);
}

void rpc_config_confirm(void *context, struct rpc_request *request)
{
	struct daemon *daemon = context;
	int ret = changes_confirm(daemon, rpc_request_caller(request));

	if (ret == -ENOENT)
		rpc_fail(request, RPC_NOT_FOUND, NULL, "no apply waits for its confirmation");
	else if (ret < 0)
		rpc_fail(request, RPC_READ_ONLY, NULL, "the state can't be written: %s",
			 store_error(daemon->store));
	else
		rpc_reply(request, json_pack("{s:I}", "generation",
					     (json_int_t)daemon->desired->generation));
}

void rpc_config_get(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", NULL };
	const struct daemon *daemon = context;
	const struct tenant *tenant;

	if (rpc_params_check(request, known) &&
	    rpc_params_tenant(request, daemon->desired, &tenant))
		rpc_reply(request,
			  json_pack("{s:o}", "config", config_render(daemon->desired, tenant)));
}

/* -- tenants and underlay -- */

static int tenant_set_build(struct change *change, json_t *params)
{
	json_t *object = object_need(change, "tenant");
	struct tenant *tenant;
	size_t mark;

	if (object == NULL)
		return -1;
	snprintf(change->focus, sizeof(change->focus), "/tenants/0");
	snprintf(change->focus_name, sizeof(change->focus_name), "/tenant");
	mark = reader_enter(&change->reader, "tenant");
	tenant = config_parse_tenant(&change->context, object);
	reader_leave(&change->reader, mark);
	if (tenant == NULL)
		return out_of_memory(change);
	snprintf(change->summary, sizeof(change->summary), "tenant %s", tenant->name);
	return config_one_tenant(change, tenant);
}

void rpc_tenant_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, tenant_set_build);
}

static int tenant_delete_build(struct change *change, json_t *params)
{
	change->gone_tenant = name_need(change, "name");
	if (change->gone_tenant == NULL)
		return -1;
	if (model_tenant(change->now, change->gone_tenant) == NULL)
		return build_fail(change, RPC_NOT_FOUND, "there is no tenant '%.64s'",
				  change->gone_tenant);
	snprintf(change->summary, sizeof(change->summary), "tenant %s", change->gone_tenant);
	return 0;
}

void rpc_tenant_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "name", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, tenant_delete_build);
}

static int underlay_set_build(struct change *change, json_t *params)
{
	json_t *object = object_need(change, "underlay");
	struct config *config = change->config;
	struct attachment *underlay;
	size_t mark;

	if (object == NULL)
		return -1;
	snprintf(change->focus, sizeof(change->focus), "/underlay/0");
	snprintf(change->focus_name, sizeof(change->focus_name), "/underlay");
	mark = reader_enter(&change->reader, "underlay");
	underlay = config_parse_attachment(&change->context, object, true);
	reader_leave(&change->reader, mark);
	config->underlay = calloc(1, sizeof(*config->underlay));
	if (underlay == NULL || config->underlay == NULL) {
		attachment_release(underlay);
		return out_of_memory(change);
	}
	config->underlay[config->n_underlay++] = underlay;
	snprintf(change->summary, sizeof(change->summary), "underlay %s", underlay->name);
	return 0;
}

void rpc_underlay_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "underlay", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, underlay_set_build);
}

static int underlay_delete_build(struct change *change, json_t *params)
{
	change->gone_underlay = name_need(change, "name");
	if (change->gone_underlay == NULL)
		return -1;
	if (model_underlay(change->now, change->gone_underlay) == NULL)
		return build_fail(change, RPC_NOT_FOUND, "there is no underlay '%.64s'",
				  change->gone_underlay);
	snprintf(change->summary, sizeof(change->summary), "underlay %s", change->gone_underlay);
	return 0;
}

void rpc_underlay_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "name", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, underlay_delete_build);
}

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
	struct tenant *tenant = tenant_edit(change);
	json_t *object = tenant == NULL ? NULL : object_need(change, "attachment");
	struct attachment *attachment;
	bool failed = false;
	size_t mark, i;

	if (object == NULL)
		return -1;
	mark = reader_enter(&change->reader, "attachment");
	attachment = config_parse_attachment(&change->context, object, false);
	reader_leave(&change->reader, mark);
	if (attachment == NULL)
		return out_of_memory(change);
	i = attachment_position(tenant, attachment->name);
	if (i < tenant->n_attachments) {
		attachment_release(tenant->attachments[i]);
		LIST_REMOVE_AT(tenant->attachments, tenant->n_attachments, i);
	}
	i = tenant->n_attachments;
	focus_set(change, "attachments", i, "attachment");
	LIST_PUT(change, tenant->attachments, tenant->n_attachments, i, attachment, failed);
	if (failed) {
		attachment_release(attachment);
		return out_of_memory(change);
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
	struct tenant *tenant = tenant_edit(change);
	const char *name = tenant == NULL ? NULL : name_need(change, "name");
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
	focus_set(change, "tunnels", i, "tunnel");
	LIST_PUT(change, tenant->tunnels, tenant->n_tunnels, i, tunnel, failed);
	if (!failed)
		return 0;
	tunnel_release(tunnel);
	return out_of_memory(change);
}

static int tunnel_set_build(struct change *change, json_t *params)
{
	struct tenant *tenant = tenant_edit(change);
	json_t *object = tenant == NULL ? NULL : object_need(change, "tunnel");
	struct tunnel *tunnel;
	size_t mark;

	if (object == NULL)
		return -1;
	mark = reader_enter(&change->reader, "tunnel");
	tunnel = config_parse_tunnel(&change->context, tenant->name, object);
	reader_leave(&change->reader, mark);
	if (tunnel == NULL)
		return out_of_memory(change);
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
	struct tenant *tenant = tenant_edit(change);
	const char *name = tenant == NULL ? NULL : name_need(change, "name");
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
	const char *name = name_need(change, "tunnel");
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
		out_of_memory(change);
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
	struct tenant *tenant = tenant_edit(change);
	struct tunnel *tunnel = tenant == NULL ? NULL : tunnel_edit(change, tenant);
	json_t *object = tunnel == NULL ? NULL : object_need(change, "sa");
	struct sa *bigger;
	size_t mark;

	if (object == NULL)
		return -1;
	bigger = reallocarray(tunnel->sas, tunnel->n_sas + 1, sizeof(*bigger));
	if (bigger == NULL)
		return out_of_memory(change);
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
	tenant = tenant_edit(change);
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
	struct tenant *tenant = tenant_edit(change);
	json_t *object = tenant == NULL ? NULL : object_need(change, "route");
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
	focus_set(change, "routes", i, "route");
	LIST_PUT(change, tenant->routes, tenant->n_routes, i, route, failed);
	if (failed)
		return out_of_memory(change);
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
	struct tenant *tenant = tenant_edit(change);
	const char *text = tenant == NULL ? NULL : name_need(change, "prefix");
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
