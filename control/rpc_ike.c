/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods of charon's plugin: it opens, and then tells what IKE negotiates. */
#include "rpc_methods.h"

#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "ike_config.h"
#include "session_batch.h"

#define PROTOCOL 1

/* 16 hexadecimal digits, not all zero; 0: they are not. */
static uint64_t instance_parse(const char *text)
{
	uint64_t instance = 0;

	if (text == NULL || strlen(text) != 16)
		return 0;
	for (unsigned int i = 0; i < 16; i++) {
		char c = text[i];
		unsigned int digit = c >= '0' && c <= '9'   ? (unsigned int)(c - '0')
				     : c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10
							    : 16;

		if (digit > 15)
			return 0;
		instance = instance << 4 | digit;
	}
	return instance & INT64_MAX; /* as the store keeps numbers */
}

static void plugin_gone(void *context)
{
	struct daemon *daemon = context;

	ike_config_plugin(daemon->ike_config, NULL);
	daemon_event(daemon, "ike-away",
		     "strongSwan is away: tunnels go on, nothing new is negotiated", NULL, NULL);
}

void rpc_ike_open(void *context, struct rpc_request *request)
{
	const json_t *params = rpc_request_params(request);
	const char *version = json_string_value(json_object_get(params, "version"));
	uint64_t instance = instance_parse(json_string_value(json_object_get(params, "instance")));
	struct daemon *daemon = context;
	struct sessions *sessions = &daemon->sessions;
	char text[160];

	if (json_integer_value(json_object_get(params, "protocol")) != PROTOCOL) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL,
			 "this kaidod speaks protocol %d: install the plugin that came with it",
			 PROTOCOL);
		return;
	}
	if (instance == 0) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL,
			 "instance is a random number of 16 hexadecimal digits");
		return;
	}
	snprintf(sessions->version, sizeof(sessions->version), "%s",
		 version == NULL ? "strongSwan" : version);
	snprintf(text, sizeof(text), "%s is there%s", sessions->version,
		 instance == sessions->instance ? " again" : ", started anew");
	sessions->instance = instance;
	sessions->plugin.gone = plugin_gone;
	sessions->plugin.context = daemon;
	rpc_request_listen(request, &sessions->plugin);
	daemon_event(daemon, "ike-there", text, NULL, NULL);
	session_submit(sessions, SESSION_OPEN, request);
}

/* Of the connection that opened last only. */
static void op_submit(void *context, struct rpc_request *request, enum session_op_kind kind)
{
	struct daemon *daemon = context;

	if (rpc_request_is_of(request, &daemon->sessions.plugin))
		session_submit(&daemon->sessions, kind, request);
	else
		rpc_fail(request, RPC_CONFLICT, NULL,
			 "this is for charon's plugin, which calls ike.open first");
}

void rpc_ike_sa_set(void *context, struct rpc_request *request)
{
	op_submit(context, request, SESSION_SA_SET);
}

void rpc_ike_sa_update(void *context, struct rpc_request *request)
{
	op_submit(context, request, SESSION_SA_UPDATE);
}

void rpc_ike_sa_delete(void *context, struct rpc_request *request)
{
	op_submit(context, request, SESSION_SA_DELETE);
}

void rpc_ike_sync(void *context, struct rpc_request *request)
{
	op_submit(context, request, SESSION_SYNC);
}

void rpc_ike_event(void *context, struct rpc_request *request)
{
	op_submit(context, request, SESSION_IKE_EVENT);
}
