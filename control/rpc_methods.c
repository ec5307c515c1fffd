/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_methods.h"

#include "daemon.h"

static void system_status(void *context, struct rpc_request *request)
{
	rpc_reply(request,
		  json_pack("{s:s, s:I}", "version", KAIDO_VERSION, "generation", (json_int_t)0));
}

const struct rpc_method rpc_methods[] = {
	{ "system.status", RPC_ROLE_AUDITOR, system_status },
	{ NULL, RPC_ROLE_NONE, NULL },
};
