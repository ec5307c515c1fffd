/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC 2.0 over a Unix stream socket, one message a line (docs/rpc.md).
 *
 * The caller's role comes from the socket and the credentials of its process. Requests of one connection are
 * answered in order: the next one starts when the one before has been answered, be that at once or
 * later. Everything runs on the thread of the event base.
 */
#ifndef KAIDO_CONTROL_RPC_SERVER_H
#define KAIDO_CONTROL_RPC_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

struct event_base;
struct rpc_connection;
struct rpc_request;
struct rpc_server;

enum rpc_role {
	RPC_ROLE_NONE,    /* refused before anything is read */
	RPC_ROLE_AUDITOR, /* what only reads */
	RPC_ROLE_OPERATOR,
	RPC_ROLE_IKE, /* charon's plugin: what is made for it, and nothing of the others' */
};

enum rpc_error {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_NO_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL = -32603,
	RPC_REFUSED = 1, /* for this role */
	RPC_NOT_FOUND = 2,
	RPC_CONFLICT = 3,
	RPC_READ_ONLY = 4, /* the state can't be written */
	RPC_DATAPLANE_AWAY = 5,
	RPC_DATAPLANE_REFUSED = 6,
};

struct rpc_caller {
	uid_t uid;
	enum rpc_role role;
	char user[33];
};

struct rpc_method {
	const char *name;
	enum rpc_role role; /* the least one that may call it; of RPC_ROLE_IKE the only one */
	/* Answers `request` once, before it returns or later. */
	void (*handle)(void *context, struct rpc_request *request);
};

struct rpc_server_options {
	const char *path;
	enum rpc_role own_role;     /* of root and of kaidod's own user */
	const char *operator_group; /* NULL: none */
	const char *auditor_group;
	const char *ike_group;
	unsigned int most;                /* connections at a time */
	const struct rpc_method *methods; /* ends with a NULL name */
	void *context;                    /* handed to the methods */
	/* A call that was refused for its role; may be NULL. */
	void (*refused)(void *context, const struct rpc_caller *caller, const char *method);
};

/* Errors: negative errno, -ENOENT for an unknown group; -EADDRINUSE when another one listens. */
int rpc_server_create(struct event_base *base, const struct rpc_server_options *options,
		      struct rpc_server **server);
/* Drops every connection and unlinks the socket. Requests still open become orphans. NULL is
 * allowed. */
void rpc_server_destroy(struct rpc_server *server);

const char *rpc_server_path(const struct rpc_server *server);

/* Sends a notification to every connection that has subscribed; takes `params`. */
void rpc_server_notify(struct rpc_server *server, json_t *params);

/* Valid until the request is answered. `params` is an object, never NULL. */
const struct rpc_caller *rpc_request_caller(const struct rpc_request *request);
const char *rpc_request_method(const struct rpc_request *request);
json_t *rpc_request_params(const struct rpc_request *request);
/* Leaves a number (not 0) with the caller's connection. Returns whether another one was there. */
bool rpc_request_mark(struct rpc_request *request, uint64_t mark);
/* From now on the caller's connection gets notifications. */
void rpc_request_subscribe(struct rpc_request *request);

/* The request is answered later, and the connection's next one may be served before that. */
void rpc_request_detach(struct rpc_request *request);

/*
 * A connection that is told of something else than events. One that reads too slowly is dropped: all
 * that was told must be found out anew by who comes again.
 */
struct rpc_listener {
	struct rpc_connection *connection; /* NULL: none */
	void (*gone)(void *context);       /* it has hung up */
	void *context;
};
/* Those of the caller's connection from now on, and of no other. */
void rpc_request_listen(struct rpc_request *request, struct rpc_listener *listener);
bool rpc_request_is_of(const struct rpc_request *request, const struct rpc_listener *listener);
/* Takes `params`. What is not needed is left out while too much waits. Returns whether it was sent. */
bool rpc_listener_tell(struct rpc_listener *listener, const char *method, json_t *params,
		       bool needed);
/* `gone` is not called any more. */
void rpc_listener_release(struct rpc_listener *listener);

/* Each ends the request. `result` and `data` are taken; `data` may be NULL. */
void rpc_reply(struct rpc_request *request, json_t *result);
__attribute__((format(printf, 4, 5))) void rpc_fail(struct rpc_request *request, int code,
						    json_t *data, const char *format, ...);

const char *rpc_role_name(enum rpc_role role);

#endif /* KAIDO_CONTROL_RPC_SERVER_H */
