/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that list what the dataplane shall have, with what it counts of it. */
#include "rpc_methods.h"

#include <stdlib.h>

#include <sodium.h>

#include "address.h"
#include "config.h"
#include "counters_map.h"
#include "daemon.h"
#include "rpc_render.h"
#include "store.h"

/* Tenant and tunnel of the params, and whether an object is asked for. */
struct filter {
	const struct daemon *daemon;
	const struct tenant *tenant; /* NULL: all */
	const struct tunnel *tunnel;
};

static bool filter_read(struct filter *filter, void *context, struct rpc_request *request,
			bool tunnels)
{
	static const char *const with[] = { "tenant", "tunnel", NULL };
	static const char *const without[] = { "tenant", NULL };

	filter->daemon = context;
	filter->tunnel = NULL;
	return rpc_params_check(request, tunnels ? with : without) &&
	       rpc_params_tenant(request, filter->daemon->effective, &filter->tenant) &&
	       (!tunnels || rpc_params_tunnel(request, filter->tenant, &filter->tunnel));
}

static bool filter_takes(const struct filter *filter, const struct tenant *tenant)
{
	return filter->tenant == NULL || filter->tenant == tenant;
}

static json_int_t tenant_sas(const struct tenant *tenant)
{
	json_int_t sas = 0;

	for (size_t i = 0; i < tenant->n_tunnels; i++)
		sas += (json_int_t)tenant->tunnels[i]->n_sas;
	return sas;
}

void rpc_tenant_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { NULL };
	const struct daemon *daemon = context;
	json_t *list = json_array();

	if (!rpc_params_check(request, known)) {
		json_decref(list);
		return;
	}
	for (size_t i = 0; i < daemon->effective->n_tenants; i++) {
		const struct tenant *tenant = daemon->effective->tenants[i];

		json_array_append_new(
			list,
			json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I}", "name", tenant->name,
				  "id", (json_int_t)tenant->id, "label",
				  tenant->label == NULL ? "" : tenant->label, "service",
				  tenant->service == NULL ? "" : tenant->service, "service-code",
				  tenant->service_code == NULL ? "" : tenant->service_code,
				  "attachments", (json_int_t)tenant->n_attachments, "tunnels",
				  (json_int_t)tenant->n_tunnels, "sas", tenant_sas(tenant)));
	}
	rpc_reply(request, json_pack("{s:o}", "tenants", list));
}

/* How far its life has come; nothing is said of an SA that was never installed. */
static void life_render(json_t *json, const struct daemon *daemon, const struct tunnel *tunnel,
			const struct sa *sa)
{
	static const char *const states[] = { "live", "soft", "hard" };
	const struct reconcile *reconcile = &daemon->reconcile;
	const struct lifetime *lifetime = sa_lifetime(tunnel, sa);
	struct store_life life;

	if (!lifetime_is_none(lifetime))
		json_object_set_new(json, "lifetime", config_render_lifetime(lifetime));
	if (life_look(&reconcile->lives, reconcile->map, sa, &life) != 1 ||
	    life.state > ABI_SA_HARD)
		return;
	json_object_set_new(json, "state", json_string(states[life.state]));
	json_object_set_new(json, "born", json_integer((json_int_t)life.born));
	json_object_set_new(json, "used",
			    json_pack("{s:I, s:I}", "packets", (json_int_t)life.used.packets,
				      "bytes", (json_int_t)life.used.bytes));
}

static json_t *sa_render(const struct daemon *daemon, const struct tenant *tenant,
			 const struct tunnel *tunnel, const struct sa *sa)
{
	const struct counters_map *map = daemon->reconcile.map;
	const struct lease *lease = lease_find(&daemon->reconcile.leases, sa->id);
	char fingerprint[CONFIG_FINGERPRINT_LEN];
	json_t *json = json_pack("{s:s, s:s, s:I, s:s, s:I, s:i, s:b, s:s, s:s, s:o}", "tenant",
				 tenant->name, "tunnel", tunnel->name, "id", (json_int_t)sa->id,
				 "direction", sa->direction == ABI_SA_IN ? "in" : "out", "spi",
				 (json_int_t)sa->spi, "key_bits", sa->key_len * 8, "esn", sa->esn,
				 "key", "set", "fingerprint", config_fingerprint(sa, fingerprint),
				 "counters", rpc_render_sa(map, sa->id));

	if (sa->direction == ABI_SA_IN) {
		json_object_set_new(json, "window", json_integer(sa->window));
		json_object_set_new(json, "sequence",
				    json_integer((json_int_t)counters_sequence(map, sa->id)));
	} else if (lease != NULL && lease->live) {
		json_object_set_new(json, "sequence",
				    json_integer((json_int_t)lease_next(lease, map)));
		json_object_set_new(json, "lease", json_integer((json_int_t)lease->limit));
	}
	life_render(json, daemon, tunnel, sa);
	return json;
}

void rpc_sa_list(void *context, struct rpc_request *request)
{
	json_t *list = json_array();
	struct filter filter;

	if (!filter_read(&filter, context, request, true)) {
		json_decref(list);
		return;
	}
	for (size_t i = 0; i < filter.daemon->effective->n_tenants; i++) {
		const struct tenant *tenant = filter.daemon->effective->tenants[i];

		for (size_t k = 0; filter_takes(&filter, tenant) && k < tenant->n_tunnels; k++) {
			const struct tunnel *tunnel = tenant->tunnels[k];

			if (filter.tunnel != NULL && filter.tunnel != tunnel)
				continue;
			for (size_t n = 0; n < tunnel->n_sas; n++)
				json_array_append_new(list, sa_render(filter.daemon, tenant, tunnel,
								      &tunnel->sas[n]));
		}
	}
	rpc_reply(request, json_pack("{s:o}", "sas", list));
}

static void attachment_append(json_t *list, const struct daemon *daemon,
			      const struct tenant *tenant, const struct attachment *attachment)
{
	json_t *json = config_render_attachment(attachment, CONFIG_SHOWN);

	json_object_del(json, "routes");
	json_object_del(json, "neighbours");
	if (tenant != NULL)
		json_object_set_new(json, "tenant", json_string(tenant->name));
	json_object_set_new(json, "id", json_integer(attachment->id));
	json_object_set_new(json, "vlan", json_integer(attachment->vlan));
	json_object_set_new(json, "mtu", json_integer(attachment->mtu));
	if (json_object_get(json, "addresses") == NULL)
		json_object_set_new(json, "addresses", json_array());
	json_object_set_new(json, "counters",
			    rpc_render_attachment(daemon->reconcile.map, attachment->id));
	json_array_append_new(list, json);
}

void rpc_attachment_list(void *context, struct rpc_request *request)
{
	json_t *list = json_array();
	const struct model *model;
	struct filter filter;

	if (!filter_read(&filter, context, request, false)) {
		json_decref(list);
		return;
	}
	model = filter.daemon->effective;
	for (size_t i = 0; filter.tenant == NULL && i < model->n_underlay; i++)
		attachment_append(list, filter.daemon, NULL, model->underlay[i]);
	for (size_t i = 0; i < model->n_tenants; i++) {
		const struct tenant *tenant = model->tenants[i];

		for (size_t k = 0; filter_takes(&filter, tenant) && k < tenant->n_attachments; k++)
			attachment_append(list, filter.daemon, tenant, tenant->attachments[k]);
	}
	rpc_reply(request, json_pack("{s:o}", "attachments", list));
}

static void route_append(json_t *list, const struct tenant *tenant, const struct route *route)
{
	static const char *const kinds[] = { [ABI_ROUTE_TUNNEL] = "tunnel",
					     [ABI_ROUTE_GATEWAY] = "via",
					     [ABI_ROUTE_BLACKHOLE] = "blackhole" };
	json_t *json = config_render_route(route);

	json_object_del(json, "blackhole");
	json_object_set_new(json, "kind", json_string(kinds[route->kind]));
	if (tenant != NULL)
		json_object_set_new(json, "tenant", json_string(tenant->name));
	json_array_append_new(list, json);
}

static void tunnel_routes_append(json_t *list, const struct tenant *tenant,
				 const struct tunnel *tunnel)
{
	char text[ADDRESS_TEXT_LEN];

	for (size_t i = 0; i < tunnel->n_networks; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s}", "tenant", tenant->name,
						"prefix", prefix_format(&tunnel->networks[i], text),
						"kind", "tunnel", "tunnel", tunnel->name));
}

void rpc_route_list(void *context, struct rpc_request *request)
{
	json_t *list = json_array();
	const struct model *model;
	struct filter filter;

	if (!filter_read(&filter, context, request, false)) {
		json_decref(list);
		return;
	}
	model = filter.daemon->effective;
	for (size_t i = 0; filter.tenant == NULL && i < model->n_underlay; i++) {
		for (size_t k = 0; k < model->underlay[i]->n_routes; k++)
			route_append(list, NULL, &model->underlay[i]->routes[k]);
	}
	for (size_t i = 0; i < model->n_tenants; i++) {
		const struct tenant *tenant = model->tenants[i];

		if (!filter_takes(&filter, tenant))
			continue;
		for (size_t k = 0; k < tenant->n_tunnels; k++)
			tunnel_routes_append(list, tenant, tenant->tunnels[k]);
		for (size_t k = 0; k < tenant->n_routes; k++)
			route_append(list, tenant, &tenant->routes[k]);
	}
	rpc_reply(request, json_pack("{s:o}", "routes", list));
}

/* -- audit -- */

static void entry_append(void *context, const struct audit_entry *entry)
{
	char hash[2 * VAULT_DIGEST_LEN + 1];

	json_array_append_new(
		context,
		json_pack("{s:I, s:f, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "id",
			  (json_int_t)entry->id, "time", (double)entry->time / 1e9, "who",
			  entry->user, "uid", (json_int_t)entry->uid, "role", entry->role, "method",
			  entry->method, "summary", entry->summary, "result", entry->result, "hash",
			  sodium_bin2hex(hash, sizeof(hash), entry->hash, sizeof(entry->hash))));
}

void rpc_audit_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "limit", NULL };
	json_t *limit = json_object_get(rpc_request_params(request), "limit");
	json_int_t most = limit == NULL ? 100 : json_integer_value(limit);
	const struct daemon *daemon = context;
	json_t *list;

	if (!rpc_params_check(request, known))
		return;
	if (most < 1 || most > 10000) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "limit is 1 .. 10000");
		return;
	}
	list = json_array();
	if (store_audit_list(daemon->store, (unsigned int)most, entry_append, list) < 0) {
		json_decref(list);
		rpc_fail(request, RPC_INTERNAL, NULL, "the audit log can't be read: %s",
			 store_error(daemon->store));
		return;
	}
	rpc_reply(request, json_pack("{s:o}", "entries", list));
}

void rpc_audit_verify(void *context, struct rpc_request *request)
{
	const struct daemon *daemon = context;
	int64_t broken = 0;
	uint64_t entries;
	int ret = store_audit_verify(daemon->store, &broken, &entries);
	json_t *result;

	if (ret < 0) {
		rpc_fail(request, RPC_INTERNAL, NULL, "the audit log can't be read: %s",
			 store_error(daemon->store));
		return;
	}
	result = json_pack("{s:b, s:I}", "whole", ret == 0, "entries", (json_int_t)entries);
	if (ret == 1)
		json_object_set_new(result, "broken_at", json_integer((json_int_t)broken));
	rpc_reply(request, result);
}
