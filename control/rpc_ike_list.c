/* SPDX-License-Identifier: BSD-3-Clause */
/* What operators see of IKE, and how they end it. */
#include "rpc_methods.h"

#include <stdio.h>
#include <string.h>

#include "address.h"
#include "audit.h"
#include "daemon.h"
#include "session_batch.h"

/* Whose an IKE SA is; of one that was not told of, by its SAs. */
static const char *ike_tenant(const struct session_ike *ike)
{
	const struct session_sa *sa = LIST_FIRST(&ike->sas);

	return ike->tenant[0] != '\0' || sa == NULL ? ike->tenant : sa->session->tenant->name;
}

static const char *ike_owner(const struct session_ike *ike)
{
	const struct session_sa *sa = LIST_FIRST(&ike->sas);

	return ike->owner[0] != '\0' || sa == NULL ? ike->owner : sa->session->owner;
}

/* -- ike.list -- */

static json_t *child_render(const struct daemon *daemon, const struct session_sa *in,
			    const struct session_sa *out)
{
	const struct session_sa *sa = in != NULL ? in : out;
	const struct life *life = life_find(&daemon->reconcile.lives, sa->sa.id);
	json_t *json =
		json_pack("{s:s, s:I, s:I, s:i, s:b, s:b}", "tunnel", sa->session->name,
			  "tunnel_id", (json_int_t)sa->session->tunnel_id, "reqid",
			  (json_int_t)sa->reqid, "bits", sa->sa.key_len * 8, "esn", sa->sa.esn,
			  "installed", daemon->reconcile.connected && life != NULL && life->live);

	if (in != NULL)
		json_object_set_new(json, "spi_in", json_integer(in->sa.spi));
	if (out != NULL)
		json_object_set_new(json, "spi_out", json_integer(out->sa.spi));
	if (sa->cpu >= 0)
		json_object_set_new(json, "cpu", json_integer(sa->cpu));
	json_object_set_new(json, "udp", json_boolean(sa->place.udp));
	return json;
}

/* The next SA of a list in that direction; NULL: there is none. */
static const struct session_sa *next_of(const struct session_sa *sa, enum abi_sa_direction way)
{
	while (sa != NULL && sa->sa.direction != way)
		sa = LIST_NEXT(sa, ike_link);
	return sa;
}

/* SAs of both directions in pairs, the newest first. */
static json_t *children_render(const struct daemon *daemon, const struct session_ike *ike)
{
	const struct session_sa *in = next_of(LIST_FIRST(&ike->sas), ABI_SA_IN);
	const struct session_sa *out = next_of(LIST_FIRST(&ike->sas), ABI_SA_OUT);
	json_t *list = json_array();

	while (in != NULL || out != NULL) {
		json_array_append_new(list, child_render(daemon, in, out));
		in = in == NULL ? NULL : next_of(LIST_NEXT(in, ike_link), ABI_SA_IN);
		out = out == NULL ? NULL : next_of(LIST_NEXT(out, ike_link), ABI_SA_OUT);
	}
	return list;
}

static void groups_set(json_t *json, const struct daemon *daemon, const struct session_ike *ike)
{
	const struct tenant *tenant = model_tenant(daemon->desired, ike->tenant);
	const struct remote_access *access =
		tenant == NULL ? NULL : tenant_remote_access(tenant, ike->owner);
	const char *who = session_ike_who(ike);
	const struct user *user =
		access == NULL || who == NULL ? NULL : remote_access_user(access, who);
	json_t *groups = json_array();

	for (size_t i = 0; user != NULL && i < user->n_groups; i++)
		json_array_append_new(groups, json_string(user->groups[i]));
	if (json_array_size(groups) > 0)
		json_object_set(json, "groups", groups);
	json_decref(groups);
}

static const char *ike_state(const struct daemon *daemon, const struct session_ike *ike)
{
	return ike->instance != daemon->sessions.instance ? "orphaned"
	       : ike->told != NULL                        ? "established"
	       : ike->over                                ? "ending"
							  : "unknown";
}

static json_t *ike_render(struct daemon *daemon, const struct session_ike *ike)
{
	static const char *const members[] = { "local",    "remote",    "local_port", "remote_port",
					       "local_id", "remote_id", "user",       "addresses",
					       "nat",      "initiator", "version" };
	struct totals_bytes bytes = session_ike_bytes(&daemon->sessions, ike);
	json_t *json =
		json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:o}", "tenant", ike_tenant(ike), "name",
			  ike_owner(ike), "id", (json_int_t)ike->id, "state",
			  ike_state(daemon, ike), "bytes_in", (json_int_t)bytes.in, "bytes_out",
			  (json_int_t)bytes.out, "children", children_render(daemon, ike));

	if (ike->since != 0)
		json_object_set_new(json, "since", json_integer((json_int_t)ike->since));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		json_t *value = json_object_get(ike->told, members[i]);

		if (value != NULL)
			json_object_set(json, members[i], value);
	}
	groups_set(json, daemon, ike);
	return json;
}

/* Tunnels for which nothing is negotiated. */
static json_t *down_render(const struct daemon *daemon, const struct tenant *only)
{
	json_t *list = json_array();

	for (size_t i = 0; i < daemon->desired->n_tenants; i++) {
		const struct tenant *tenant = daemon->desired->tenants[i];

		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			const struct tunnel *tunnel = tenant->tunnels[k];

			if ((only == NULL || only == tenant) && tunnel->ike != NULL &&
			    sessions_by_tunnel(&daemon->sessions, tunnel->id) == NULL)
				json_array_append_new(list, json_pack("{s:s, s:s}", "tenant",
								      tenant->name, "name",
								      tunnel->name));
		}
	}
	return list;
}

void rpc_ike_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", NULL };
	struct daemon *daemon = context;
	const struct session_ike *ike;
	const struct tenant *tenant;
	json_t *list, *plugin;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->desired, &tenant))
		return;
	list = json_array();
	TAILQ_FOREACH (ike, &daemon->sessions.ikes, link) {
		if (tenant == NULL || strcmp(ike_tenant(ike), tenant->name) == 0)
			json_array_append_new(list, ike_render(daemon, ike));
	}
	plugin = json_pack("{s:b}", "connected", daemon->sessions.plugin.connection != NULL);
	if (daemon->sessions.version[0] != '\0')
		json_object_set_new(plugin, "version", json_string(daemon->sessions.version));
	rpc_reply(request, json_pack("{s:o, s:o, s:o}", "ike", list, "down",
				     down_render(daemon, tenant), "strongswan", plugin));
}

/* -- ike.disconnect -- */

/* Whom to disconnect; one of the members that follow the tenant. */
struct whom {
	const char *tenant;
	const char *name;
	const char *user;
	json_int_t id; /* 0: not by it */
	bool all;
};

static bool whom_read(struct rpc_request *request, struct whom *whom)
{
	const json_t *params = rpc_request_params(request);
	const json_t *id = json_object_get(params, "id");

	whom->name = json_string_value(json_object_get(params, "name"));
	whom->user = json_string_value(json_object_get(params, "user"));
	whom->id = json_integer_value(id);
	whom->all = json_is_true(json_object_get(params, "all"));
	if ((whom->name != NULL) + (whom->user != NULL) + (whom->id > 0) + whom->all == 1)
		return true;
	rpc_fail(request, RPC_INVALID_PARAMS, NULL,
		 "give one of name (a tunnel, a remote access or a client), user, id (of the IKE "
		 "SA), or all");
	return false;
}

static bool is_meant(const struct session_ike *ike, const struct whom *whom)
{
	const char *who = session_ike_who(ike);
	const struct session_sa *sa;

	if (strcmp(ike_tenant(ike), whom->tenant) != 0)
		return false;
	if (whom->all)
		return true;
	if (whom->id > 0)
		return ike->id == (uint64_t)whom->id;
	if (whom->user != NULL)
		return who != NULL && strcmp(who, whom->user) == 0;
	if (strcmp(ike_owner(ike), whom->name) == 0)
		return true;
	LIST_FOREACH (sa, &ike->sas, ike_link) {
		if (strcmp(sa->session->name, whom->name) == 0)
			return true;
	}
	return false;
}

/* charon ends what is its own. What nobody is there for kaidod ends; a charon that comes back hears of it. */
static void ike_end(struct sessions *sessions, struct session_ike *ike)
{
	const struct session_sa *sa;

	if (ike->instance == sessions->instance && sessions->plugin.connection != NULL) {
		session_ike_close(sessions, ike, "disconnected");
		return;
	}
	LIST_FOREACH (sa, &ike->sas, ike_link)
		session_submit_remove(sessions, sa);
}

void rpc_ike_disconnect(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "name", "user", "id", "all", NULL };
	struct daemon *daemon = context;
	struct sessions *sessions = &daemon->sessions;
	const struct tenant *tenant;
	struct session_ike *ike;
	unsigned int ended = 0;
	struct whom whom;
	char text[200];

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->desired, &tenant) || !whom_read(request, &whom))
		return;
	if (tenant == NULL) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "tenant is missing: give a name");
		return;
	}
	whom.tenant = tenant->name;
	TAILQ_FOREACH (ike, &sessions->ikes, link) {
		if (!is_meant(ike, &whom))
			continue;
		ike_end(sessions, ike);
		ended++;
	}
	if (ended == 0) {
		rpc_fail(request, RPC_NOT_FOUND, NULL,
			 "nobody of that name is connected; kaidoctl show ike lists who is");
		return;
	}
	snprintf(text, sizeof(text), "%.30s: %.100s, %u", whom.tenant,
		 whom.name != NULL   ? whom.name
		 : whom.user != NULL ? whom.user
		 : whom.all          ? "all"
				     : "by id",
		 ended);
	audit_write(daemon->store, rpc_request_caller(request), "ike.disconnect", text, "ok");
	rpc_reply(request, json_pack("{s:i}", "closed", (int)ended));
}
