/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_methods.h"

#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "daemon.h"
#include "ike_config.h"
#include "store.h"

bool rpc_params_check(struct rpc_request *request, const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach (rpc_request_params(request), key, value) {
		const char *const *name = known;

		while (*name != NULL && strcmp(*name, key) != 0)
			name++;
		if (*name != NULL)
			continue;
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "%s knows no param '%.64s'",
			 rpc_request_method(request), key);
		return false;
	}
	return true;
}

/* 1: there, 0: absent, -1: failed. */
static int name_get(struct rpc_request *request, const char *member, const char **name)
{
	json_t *value = json_object_get(rpc_request_params(request), member);

	*name = json_string_value(value);
	if (value == NULL || json_is_null(value))
		return 0;
	if (*name != NULL)
		return 1;
	rpc_fail(request, RPC_INVALID_PARAMS, NULL, "%s is a name", member);
	return -1;
}

bool rpc_params_tenant(struct rpc_request *request, const struct model *model,
		       const struct tenant **tenant)
{
	const char *name;
	int ret = name_get(request, "tenant", &name);

	*tenant = NULL;
	if (ret <= 0)
		return ret == 0;
	*tenant = model_tenant(model, name);
	if (*tenant == NULL)
		rpc_fail(request, RPC_NOT_FOUND, NULL, "there is no tenant '%.64s'", name);
	return *tenant != NULL;
}

bool rpc_params_tunnel(struct rpc_request *request, const struct tenant *tenant,
		       const struct tunnel **tunnel)
{
	const char *name;
	int ret = name_get(request, "tunnel", &name);

	*tunnel = NULL;
	if (ret <= 0)
		return ret == 0;
	if (tenant == NULL) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "a tunnel needs its tenant: give both");
		return false;
	}
	*tunnel = tenant_tunnel(tenant, name);
	if (*tunnel == NULL)
		rpc_fail(request, RPC_NOT_FOUND, NULL, "tenant '%s' has no tunnel '%.64s'",
			 tenant->name, name);
	return *tunnel != NULL;
}

static json_t *dataplane_render(const struct reconcile *reconcile)
{
	json_t *json = json_pack("{s:b, s:b}", "connected", reconcile->connected, "converged",
				 reconcile_converged(reconcile));

	if (!reconcile->connected)
		return json;
	json_object_set_new(json, "boot",
			    json_sprintf("%016llx", (unsigned long long)reconcile->hello.boot));
	json_object_set_new(json, "version", json_string(reconcile->hello.version));
	json_object_set_new(json, "generation",
			    json_integer(reconcile->installed == NULL
						 ? (json_int_t)reconcile->hello.generation
						 : (json_int_t)reconcile->installed->generation));
	json_object_set_new(json, "workers", json_integer(reconcile->hello.workers));
	json_object_set_new(json, "ports", json_integer(reconcile->hello.ports));
	if (reconcile->n_held > 0)
		json_object_set_new(json, "held_back", json_integer((json_int_t)reconcile->n_held));
	return json;
}

/* Graphs, the audit log and lifetimes in seconds go by it. */
static json_t *clock_render(void)
{
	struct timex clock = { .modes = 0 };
	int state = clock_adjtime(CLOCK_REALTIME, &clock);
	json_t *json = json_object();

	if (state < 0)
		return json; /* a host that doesn't tell */
	json_object_set_new(json, "synchronised",
			    json_boolean(state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0));
	json_object_set_new(json, "error_ms", json_real((double)clock.maxerror / 1e3));
	return json;
}

/* May outbound SAs go on sending, and for how long does what they have last? */
static json_t *leases_render(const struct reconcile *reconcile)
{
	struct leases_health health;
	json_t *json;

	leases_look(&reconcile->leases, reconcile->map, &health);
	json = json_pack("{s:b, s:I, s:I}", "extended",
			 reconcile->connected && reconcile->map != NULL &&
				 !reconcile->lease_trouble && !reconcile->unsent,
			 "sas", (json_int_t)health.live, "ending", (json_int_t)health.ending);
	if (health.live > 0 && health.seconds < LEASES_LONG)
		json_object_set_new(json, "seconds_left", json_real(health.seconds));
	return json;
}

/* What strongSwan has of the configuration. */
static json_t *charon_render(const struct daemon *daemon)
{
	struct ike_config_state state;

	ike_config_state(daemon->ike_config, &state);
	return json_pack("{s:I, s:b, s:s, s:b, s:b, s:I}", "wanted", (json_int_t)state.wanted,
			 "connected", state.connected, "socket", rpc_server_path(daemon->rpc_ike),
			 "plugin", state.plugin, "settled", state.settled, "refused",
			 (json_int_t)state.refused);
}

static void system_status(void *context, struct rpc_request *request)
{
	static const char *const known[] = { NULL };
	const struct daemon *daemon = context;
	json_int_t tunnels = 0, sas = 0;
	json_t *status;

	if (!rpc_params_check(request, known))
		return;
	for (size_t i = 0; i < daemon->effective->n_tenants; i++) {
		const struct tenant *tenant = daemon->effective->tenants[i];

		tunnels += (json_int_t)tenant->n_tunnels;
		for (size_t k = 0; k < tenant->n_tunnels; k++)
			sas += (json_int_t)tenant->tunnels[k]->n_sas;
	}
	status = json_pack("{s:s, s:I, s:o, s:{s:s, s:b}, s:I, s:I, s:I}", "version", KAIDO_VERSION,
			   "generation", (json_int_t)daemon->desired->generation, "dataplane",
			   dataplane_render(&daemon->reconcile), "store", "path",
			   store_path(daemon->store), "writable", store_writable(daemon->store),
			   "tenants", (json_int_t)daemon->desired->n_tenants, "tunnels", tunnels,
			   "sas", sas);
	json_object_set_new(status, "clock", clock_render());
	json_object_set_new(status, "leases", leases_render(&daemon->reconcile));
	if (daemon->ike_config != NULL)
		json_object_set_new(status, "charon", charon_render(daemon));
	if (daemon->changes.confirming)
		json_object_set_new(status, "confirm_within",
				    json_integer((json_int_t)daemon->changes.deadline -
						 (json_int_t)time(NULL)));
	rpc_reply(request, status);
}

const struct rpc_method rpc_methods[] = {
	{ "system.status", RPC_ROLE_AUDITOR, system_status },
	{ "event.list", RPC_ROLE_AUDITOR, rpc_event_list },
	{ "event.subscribe", RPC_ROLE_AUDITOR, rpc_event_subscribe },
	{ "config.apply", RPC_ROLE_OPERATOR, rpc_config_apply },
	{ "config.confirm", RPC_ROLE_OPERATOR, rpc_config_confirm },
	{ "config.get", RPC_ROLE_AUDITOR, rpc_config_get },
	{ "tenant.list", RPC_ROLE_AUDITOR, rpc_tenant_list },
	{ "tenant.set", RPC_ROLE_OPERATOR, rpc_tenant_set },
	{ "tenant.delete", RPC_ROLE_OPERATOR, rpc_tenant_delete },
	{ "attachment.list", RPC_ROLE_AUDITOR, rpc_attachment_list },
	{ "attachment.set", RPC_ROLE_OPERATOR, rpc_attachment_set },
	{ "attachment.delete", RPC_ROLE_OPERATOR, rpc_attachment_delete },
	{ "tunnel.list", RPC_ROLE_AUDITOR, rpc_tunnel_list },
	{ "tunnel.set", RPC_ROLE_OPERATOR, rpc_tunnel_set },
	{ "tunnel.delete", RPC_ROLE_OPERATOR, rpc_tunnel_delete },
	{ "remote-access.list", RPC_ROLE_AUDITOR, rpc_remote_access_list },
	{ "remote-access.set", RPC_ROLE_OPERATOR, rpc_remote_access_set },
	{ "remote-access.delete", RPC_ROLE_OPERATOR, rpc_remote_access_delete },
	{ "user.set", RPC_ROLE_OPERATOR, rpc_user_set },
	{ "user.delete", RPC_ROLE_OPERATOR, rpc_user_delete },
	{ "route.list", RPC_ROLE_AUDITOR, rpc_route_list },
	{ "route.set", RPC_ROLE_OPERATOR, rpc_route_set },
	{ "route.delete", RPC_ROLE_OPERATOR, rpc_route_delete },
	{ "underlay.set", RPC_ROLE_OPERATOR, rpc_underlay_set },
	{ "underlay.delete", RPC_ROLE_OPERATOR, rpc_underlay_delete },
	{ "sa.list", RPC_ROLE_AUDITOR, rpc_sa_list },
	{ "sa.add", RPC_ROLE_OPERATOR, rpc_sa_add },
	{ "sa.delete", RPC_ROLE_OPERATOR, rpc_sa_delete },
	{ "neighbour.list", RPC_ROLE_AUDITOR, rpc_neighbour_list },
	{ "counters.get", RPC_ROLE_AUDITOR, rpc_counters_get },
	{ "drop.list", RPC_ROLE_AUDITOR, rpc_drop_list },
	{ "port.list", RPC_ROLE_AUDITOR, rpc_port_list },
	{ "worker.list", RPC_ROLE_AUDITOR, rpc_worker_list },
	{ "graph.render", RPC_ROLE_AUDITOR, rpc_graph_render },
	{ "trace.start", RPC_ROLE_OPERATOR, rpc_trace_start },
	{ "trace.stop", RPC_ROLE_OPERATOR, rpc_trace_stop },
	{ "trace.read", RPC_ROLE_OPERATOR, rpc_trace_read },
	{ "ike.list", RPC_ROLE_AUDITOR, rpc_ike_list },
	{ "ike.disconnect", RPC_ROLE_OPERATOR, rpc_ike_disconnect },
	{ "ike.open", RPC_ROLE_IKE, rpc_ike_open },
	{ "ike.sa.set", RPC_ROLE_IKE, rpc_ike_sa_set },
	{ "ike.sa.update", RPC_ROLE_IKE, rpc_ike_sa_update },
	{ "ike.sa.delete", RPC_ROLE_IKE, rpc_ike_sa_delete },
	{ "ike.sync", RPC_ROLE_IKE, rpc_ike_sync },
	{ "ike.event", RPC_ROLE_IKE, rpc_ike_event },
	{ "audit.list", RPC_ROLE_AUDITOR, rpc_audit_list },
	{ "audit.verify", RPC_ROLE_AUDITOR, rpc_audit_verify },
	{ NULL, RPC_ROLE_NONE, NULL },
};
