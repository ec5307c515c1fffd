/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that change the desired state: each turns its params into a change (change.h). */
#include "rpc_methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "rpc_build.h"
#include "store.h"

#define CONFIRM_MOST 86400 /* seconds */

/* -- whole configurations -- */

static int apply_build(struct change *change, json_t *params)
{
	json_t *config = build_object_need(change, "config");
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
		return build_out_of_memory(change);
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
	json_t *object = build_object_need(change, "tenant");
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
		return build_out_of_memory(change);
	snprintf(change->summary, sizeof(change->summary), "tenant %s", tenant->name);
	return build_config_one_tenant(change, tenant);
}

void rpc_tenant_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, tenant_set_build);
}

static int tenant_delete_build(struct change *change, json_t *params)
{
	change->gone_tenant = build_name_need(change, "name");
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
	json_t *object = build_object_need(change, "underlay");
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
		return build_out_of_memory(change);
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
	change->gone_underlay = build_name_need(change, "name");
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
