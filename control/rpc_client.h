/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC 2.0 towards kaidod (docs/rpc.md): one connection, one call at a time. */
#ifndef KAIDO_CONTROL_RPC_CLIENT_H
#define KAIDO_CONTROL_RPC_CLIENT_H

#include <jansson.h>

struct rpc_client;

#define RPC_FAILURE_TIMEOUT (-1) /* nothing came; the connection may be used further */

/* An error object that kaidod answered with, or what went wrong on the way (code 0, or above). */
struct rpc_failure {
	int code;
	char message[512];
	json_t *data; /* error.data, owned; NULL: none */
};

/* Negative errno of connecting. */
int rpc_client_open(const char *path, struct rpc_client **client);
void rpc_client_close(struct rpc_client *client);

/*
 * Calls and waits. Takes `params` (NULL: none). Returns the result, the caller's; NULL: `failure`
 * is filled and to be given to rpc_failure_clear().
 */
json_t *rpc_client_call(struct rpc_client *client, const char *method, json_t *params,
			struct rpc_failure *failure);

/*
 * The next notification's params, the caller's. NULL: the connection ended, or with `timeout_ms`
 * not negative none came in that time; `failure` says which.
 */
json_t *rpc_client_event(struct rpc_client *client, int timeout_ms, struct rpc_failure *failure);

void rpc_failure_clear(struct rpc_failure *failure);

#endif /* KAIDO_CONTROL_RPC_CLIENT_H */
