/* SPDX-License-Identifier: BSD-3-Clause */
/* tunnel.list: what is configured, what was carried, and if asked for where each tunnel stands now. */
#include "rpc_methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "config.h"
#include "daemon.h"
#include "dataplane_client.h"
#include "rpc_render.h"

/* A call under way. By the time of the answer what it named may be gone. */
struct tunnel_question {
	struct daemon *daemon;
	struct rpc_request *request;
	char tenant[ABI_NAME_LEN]; /* empty: all */
	char tunnel[ABI_NAME_LEN];
	struct abi_tunnel_state *states;
	size_t n_states;
};

static int state_order(const void *a, const void *b)
{
	const struct abi_tunnel_state *first = a, *second = b;

	return (first->id > second->id) - (first->id < second->id);
}

static void states_take(void *context, const void *records, uint32_t count)
{
	struct tunnel_question *question = context;
	struct abi_tunnel_state *bigger =
		reallocarray(question->states, question->n_states + count, sizeof(*bigger));

	if (bigger == NULL || count == 0)
		return;
	question->states = bigger;
	memcpy(bigger + question->n_states, records, count * sizeof(*bigger));
	question->n_states += count;
}

static json_t *state_render(const struct abi_tunnel_state *state)
{
	json_t *json = json_pack("{s:I}", "moves", (json_int_t)state->moves);
	char text[ADDRESS_TEXT_LEN];

	if (state->remote.family != 0)
		json_object_set_new(json, "remote",
				    json_string(address_format(&state->remote, text)));
	if (state->remote_port != 0)
		json_object_set_new(json, "remote_port", json_integer(state->remote_port));
	if (state->path_mtu != 0)
		json_object_set_new(json, "path_mtu", json_integer(state->path_mtu));
	if (state->inner_mtu != 0)
		json_object_set_new(json, "inner_mtu", json_integer(state->inner_mtu));
	return json;
}

/* What a row of a list can't hold goes; what IKE found out is told as if it were configured. */
static void ike_shorten(json_t *json, const struct tunnel *tunnel)
{
	static const char *const long_members[] = { "psk", "password", "certificate", "key",
						    "ca",  "crl",      NULL };
	json_t *ike = json_object_get(json, "ike");

	if (tunnel->ike == NULL)
		return;
	for (const char *const *member = long_members; *member != NULL; member++)
		json_object_del(ike, *member);
	if (tunnel->ike->peer[0] == '\0')
		json_object_set_new(ike, "auth",
				    json_string(config_access_auths[tunnel->ike->auth]));
	if (tunnel->remote.family == 0)
		json_object_set_new(json, "remote", json_string("any"));
	else
		json_object_set_new(json, "encapsulation",
				    json_string(tunnel->udp ? "udp" : "esp"));
}

/* Of a client: whose it is, and who. */
static void client_set(const struct sessions *sessions, const struct tunnel *tunnel, json_t *json)
{
	const struct session *session = sessions_by_tunnel(sessions, tunnel->id);
	const char *user;

	if (session == NULL || !session_is_client(session))
		return;
	json_object_set_new(json, "client-of", json_string(session->owner));
	user = session_ike_text(session_sender(session)->ike, "user");
	if (user != NULL)
		json_object_set_new(json, "user", json_string(user));
}

static json_t *tunnel_render(const struct tunnel_question *question, const struct tenant *tenant,
			     const struct tunnel *tunnel)
{
	const struct abi_tunnel_state wanted = { .id = tunnel->id }, *state = NULL;
	json_t *json = config_render_tunnel(tunnel, CONFIG_SHOWN);

	ike_shorten(json, tunnel);
	json_object_set_new(json, "tenant", json_string(tenant->name));
	json_object_set_new(json, "id", json_integer(tunnel->id));
	json_object_set_new(json, "sas", json_integer((json_int_t)tunnel->n_sas));
	client_set(&question->daemon->sessions, tunnel, json);
	if (question->n_states > 0)
		state = bsearch(&wanted, question->states, question->n_states, sizeof(wanted),
				state_order);
	if (state != NULL)
		json_object_set_new(json, "state", state_render(state));
	json_object_set_new(
		json, "counters",
		rpc_render_tunnel(totals_tunnel(&question->daemon->totals, tunnel->id)));
	return json;
}

static void list_reply(struct tunnel_question *question)
{
	struct daemon *daemon = question->daemon;
	json_t *list = json_array();

	totals_update(&daemon->totals, daemon->reconcile.map, daemon->effective);
	if (question->n_states > 0)
		qsort(question->states, question->n_states, sizeof(*question->states), state_order);
	for (size_t i = 0; i < daemon->effective->n_tenants; i++) {
		const struct tenant *tenant = daemon->effective->tenants[i];

		if (question->tenant[0] != '\0' && strcmp(question->tenant, tenant->name) != 0)
			continue;
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			const struct tunnel *tunnel = tenant->tunnels[k];

			if (question->tunnel[0] == '\0' ||
			    strcmp(question->tunnel, tunnel->name) == 0)
				json_array_append_new(list,
						      tunnel_render(question, tenant, tunnel));
		}
	}
	rpc_reply(question->request, json_pack("{s:o}", "tunnels", list));
	free(question->states);
	free(question);
}

/* Without a dataplane nothing is said of where tunnels stand. */
static void states_done(void *context, int error, const char *text)
{
	list_reply(context);
}

void rpc_tunnel_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "tunnel", "state", NULL };
	const json_t *state = json_object_get(rpc_request_params(request), "state");
	struct tunnel_question *question;
	struct daemon *daemon = context;
	const struct tenant *tenant;
	const struct tunnel *tunnel;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->effective, &tenant) ||
	    !rpc_params_tunnel(request, tenant, &tunnel))
		return;
	question = calloc(1, sizeof(*question));
	if (question == NULL) {
		rpc_fail(request, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	question->daemon = daemon;
	question->request = request;
	snprintf(question->tenant, ABI_NAME_LEN, "%s", tenant == NULL ? "" : tenant->name);
	snprintf(question->tunnel, ABI_NAME_LEN, "%s", tunnel == NULL ? "" : tunnel->name);
	if (!json_is_true(state) ||
	    dataplane_dump(daemon->reconcile.client, ABI_DUMP_TUNNEL_STATE, UINT32_MAX, states_take,
			   states_done, question) < 0)
		list_reply(question);
}
