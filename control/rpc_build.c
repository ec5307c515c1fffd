/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon.h"

int build_fail(struct change *change, int code, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	rpc_fail(change->request, code, NULL, "%s", text);
	return -1;
}

int build_out_of_memory(struct change *change)
{
	return build_fail(change, RPC_INTERNAL, "out of memory: try again later");
}

/* A name in the params; NULL: the request has been failed. */
const char *build_name_need(struct change *change, const char *member)
{
	const char *name =
		json_string_value(json_object_get(rpc_request_params(change->request), member));

	if (name == NULL)
		build_fail(change, RPC_INVALID_PARAMS, "%s is missing: give a name", member);
	return name;
}

json_t *build_object_need(struct change *change, const char *member)
{
	json_t *object = json_object_get(rpc_request_params(change->request), member);

	if (json_is_object(object))
		return object;
	build_fail(change, RPC_INVALID_PARAMS, "%s is missing: give the object", member);
	return NULL;
}

/* The config shall hold this one tenant; takes it. */
int build_config_one_tenant(struct change *change, struct tenant *tenant)
{
	struct config *config = change->config;

	config->tenants = calloc(1, sizeof(*config->tenants));
	if (config->tenants == NULL) {
		tenant_release(tenant);
		return build_out_of_memory(change);
	}
	config->tenants[config->n_tenants++] = tenant;
	return 0;
}

/* A copy of the tenant that the params name, as the config's only one. */
struct tenant *build_tenant_edit(struct change *change)
{
	const char *name = build_name_need(change, "tenant");
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
		build_out_of_memory(change);
		return NULL;
	}
	return build_config_one_tenant(change, copy) < 0 ? NULL : copy;
}

void build_focus_set(struct change *change, const char *list, size_t index, const char *name)
{
	snprintf(change->focus, sizeof(change->focus), "/tenants/0/%s/%zu", list, index);
	snprintf(change->focus_name, sizeof(change->focus_name), "/%s", name);
}
