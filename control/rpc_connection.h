/* SPDX-License-Identifier: BSD-3-Clause */
/* One client of the RPC server: its lines in, its answers out. Only rpc_server.c includes this. */
#ifndef KAIDO_CONTROL_RPC_CONNECTION_H
#define KAIDO_CONTROL_RPC_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "rpc_server.h"

#define RPC_LINE_MAX (64u << 20) /* bytes of a message, line feed not counted */

struct event;
struct evbuffer;

/* Bytes that came and are not yet a whole line. They may hold keys: wiped when consumed. */
struct rpc_input {
	char *data;
	size_t size;
	size_t start;   /* of the line being gathered */
	size_t end;     /* behind the last byte */
	size_t scanned; /* no line feed before this */
};

struct rpc_connection {
	LIST_ENTRY(rpc_connection) link;
	struct rpc_server *server;
	struct rpc_caller caller;
	int fd;
	struct event *readable;
	struct event *writable;
	struct event *resume;
	struct rpc_input input;
	struct evbuffer *output;
	struct rpc_request *current; /* the one being served */
	LIST_HEAD(, rpc_request) detached;
	unsigned int n_detached;
	struct rpc_listener *listener; /* NULL: none */
	bool subscribed;
	uint64_t marked;   /* rpc_request_mark() */
	bool closing;      /* once the output is sent; nothing more is read */
	bool end_of_input; /* the client has shut down its side; answers still go out */
	bool dispatching;
	bool dead; /* to be closed as soon as nothing of it runs */
};

/* Takes `fd`. NULL: out of memory. */
struct rpc_connection *rpc_connection_create(struct rpc_server *server, struct event_base *base,
					     int fd, const struct rpc_caller *caller);
void rpc_connection_close(struct rpc_connection *connection);
/* Says that the caller has no role, and how to get one, then hangs up. */
void rpc_connection_refuse(struct rpc_connection *connection, const char *how);
/* To a subscriber; one that doesn't read is dropped. */
void rpc_connection_notify(struct rpc_connection *connection, const json_t *message);

/* Of rpc_server.c, for rpc_connection.c. */
void rpc_server_call(struct rpc_server *server, struct rpc_request *request);
void rpc_server_forget(struct rpc_server *server, struct rpc_connection *connection);

#endif /* KAIDO_CONTROL_RPC_CONNECTION_H */
