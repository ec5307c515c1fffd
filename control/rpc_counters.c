/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that read the counters: totals of tenants and tunnels, drops. */
#include "rpc_methods.h"

#include <time.h>

#include "counters_map.h"
#include "daemon.h"
#include "rpc_render.h"

static double time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Only reasons that happened. */
static json_t *drops_render(const struct reconcile *reconcile, const struct totals_tenant *row)
{
	json_t *json = json_object();
	char buffer[24];

	for (uint32_t i = 0; row != NULL && i < COUNTERS_REASONS; i++) {
		if (row->drops[i] > 0)
			json_object_set_new(json, rpc_reason_name(reconcile, i, buffer),
					    json_integer((json_int_t)row->drops[i]));
	}
	return json;
}

static json_t *tenant_render(const struct daemon *daemon, const char *name, uint32_t id)
{
	const struct totals_tenant *row = totals_tenant(&daemon->totals, id);
	json_t *json = rpc_render_tenant(row);

	json_object_set_new(json, "name", json_string(name));
	json_object_set_new(json, "drops", drops_render(&daemon->reconcile, row));
	return json;
}

static void tunnels_append(json_t *list, const struct daemon *daemon, const struct tenant *tenant,
			   const struct tunnel *only)
{
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		const struct tunnel *tunnel = tenant->tunnels[i];
		json_t *json;

		if (only != NULL && only != tunnel)
			continue;
		json = rpc_render_tunnel(totals_tunnel(&daemon->totals, tunnel->id));
		json_object_set_new(json, "tenant", json_string(tenant->name));
		json_object_set_new(json, "name", json_string(tunnel->name));
		json_array_append_new(list, json);
	}
}

void rpc_counters_get(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "tunnel", NULL };
	struct daemon *daemon = context;
	const struct tenant *only;
	const struct tunnel *tunnel;
	json_t *tenants, *tunnels;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->effective, &only) ||
	    !rpc_params_tunnel(request, only, &tunnel))
		return;
	totals_update(&daemon->totals, daemon->reconcile.map, daemon->effective);
	tenants = json_array();
	tunnels = json_array();
	for (size_t i = 0; i < daemon->effective->n_tenants; i++) {
		const struct tenant *tenant = daemon->effective->tenants[i];

		if (only != NULL && only != tenant)
			continue;
		json_array_append_new(tenants, tenant_render(daemon, tenant->name, tenant->id));
		tunnels_append(tunnels, daemon, tenant, tunnel);
	}
	rpc_reply(request, json_pack("{s:f, s:o, s:o}", "time", time_now(), "tenants", tenants,
				     "tunnels", tunnels));
}

/* -- drops -- */

static void reasons_append(json_t *list, const struct reconcile *reconcile, const uint64_t *drops,
			   const char *tenant)
{
	char buffer[24];
	json_t *json;

	for (uint32_t i = 0; i < COUNTERS_REASONS; i++) {
		if (drops[i] == 0)
			continue;
		json = json_pack("{s:s, s:s, s:I}", "name", rpc_reason_name(reconcile, i, buffer),
				 "text", rpc_reason_text(reconcile, i), "packets",
				 (json_int_t)drops[i]);
		if (tenant != NULL)
			json_object_set_new(json, "tenant", json_string(tenant));
		json_array_append_new(list, json);
	}
}

/* What was dropped before any tenant was known: at the ports, and of the underlay. */
static void nobodys_append(json_t *list, const struct daemon *daemon)
{
	const struct reconcile *reconcile = &daemon->reconcile;
	const struct totals_tenant *underlay = totals_tenant(&daemon->totals, 0);
	uint64_t drops[COUNTERS_REASONS] = { 0 }, row[COUNTERS_REASONS];

	for (uint32_t i = 0; underlay != NULL && i < COUNTERS_REASONS; i++)
		drops[i] = underlay->drops[i];
	for (uint32_t port = 0;
	     reconcile->map != NULL && port < reconcile->map->header.port_drops.rows; port++) {
		counters_sum(reconcile->map, &reconcile->map->header.port_drops, port, row,
			     COUNTERS_REASONS);
		for (uint32_t i = 0; i < COUNTERS_REASONS; i++)
			drops[i] += row[i];
	}
	reasons_append(list, reconcile, drops, NULL);
}

void rpc_drop_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", NULL };
	struct daemon *daemon = context;
	const struct tenant *only;
	json_t *list;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->effective, &only))
		return;
	totals_update(&daemon->totals, daemon->reconcile.map, daemon->effective);
	list = json_array();
	if (only == NULL)
		nobodys_append(list, daemon);
	for (size_t i = 0; i < daemon->effective->n_tenants; i++) {
		const struct tenant *tenant = daemon->effective->tenants[i];
		const struct totals_tenant *row = totals_tenant(&daemon->totals, tenant->id);

		if (row != NULL && (only == NULL || only == tenant))
			reasons_append(list, &daemon->reconcile, row->drops, tenant->name);
	}
	rpc_reply(request, json_pack("{s:o}", "reasons", list));
}
