/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_server.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "log.h"
#include "rpc_connection.h"
#include "rpc_credentials.h"

#define BACKLOG 64

struct rpc_server {
	struct event_base *base;
	struct rpc_server_options options;
	struct rpc_groups groups;
	struct event *accept_event;
	int fd;
	char *path;
	unsigned int count;
	LIST_HEAD(, rpc_connection) connections;
};

/* Another kaidod that answers on the path must not lose its socket to us. */
static int path_is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int served;

	if (fd < 0)
		return 0;
	served = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
	close(fd);
	return served;
}

/* With an auditor group two groups must reach the socket: the credentials decide then. */
static int socket_permit(const struct rpc_server *server)
{
	gid_t group = server->groups.own_role == RPC_ROLE_IKE ? server->groups.ike_gid
							      : server->groups.operator_gid;
	mode_t mode = 0600;

	if (group != RPC_NO_GROUP) {
		if (chown(server->path, (uid_t)-1, group) < 0)
			return -errno;
		mode = 0660;
	}
	if (server->groups.auditor_gid != RPC_NO_GROUP)
		mode = 0666;
	return chmod(server->path, mode) < 0 ? -errno : 0;
}

static int socket_listen(struct rpc_server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int ret;

	if (strlen(server->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
	if (path_is_served(&address))
		return -EADDRINUSE;
	if (unlink(server->path) < 0 && errno != ENOENT)
		return -errno;
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd < 0)
		return -errno;
	mask = umask(0177);
	ret = bind(server->fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (ret < 0)
		return -errno;
	ret = socket_permit(server);
	if (ret < 0)
		return ret;
	return listen(server->fd, BACKLOG) < 0 ? -errno : 0;
}

static void server_accept(evutil_socket_t fd, short what, void *context)
{
	struct rpc_server *server = context;
	struct rpc_connection *connection;
	struct rpc_caller caller;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0)
		return;
	if (server->count >= server->options.most) {
		log_warning("too many RPC connections to %s (%u): one was refused", server->path,
			    server->count);
		close(client);
		return;
	}
	rpc_credentials_read(client, &server->groups, &caller);
	connection = rpc_connection_create(server, server->base, client, &caller);
	if (connection == NULL) {
		close(client);
		return;
	}
	LIST_INSERT_HEAD(&server->connections, connection, link);
	server->count++;
	if (caller.role == RPC_ROLE_NONE)
		rpc_connection_refuse(connection,
				      server->options.own_role == RPC_ROLE_IKE
					      ? "join kaidod's --ike-group"
					      : "join the operator or the auditor group");
}

int rpc_server_create(struct event_base *base, const struct rpc_server_options *options,
		      struct rpc_server **out)
{
	struct rpc_server *server = calloc(1, sizeof(*server));
	int ret;

	if (server == NULL)
		return -ENOMEM;
	server->base = base;
	server->options = *options;
	server->fd = -1;
	LIST_INIT(&server->connections);
	server->path = strdup(options->path);
	ret = server->path == NULL ? -ENOMEM : rpc_groups_find(options, &server->groups);
	if (ret < 0)
		goto fail;
	ret = socket_listen(server);
	if (ret < 0)
		goto fail;
	server->accept_event =
		event_new(base, server->fd, EV_READ | EV_PERSIST, server_accept, server);
	ret = -ENOMEM;
	if (server->accept_event == NULL || event_add(server->accept_event, NULL) < 0)
		goto fail;
	*out = server;
	return 0;
fail:
	if (server->accept_event != NULL)
		event_free(server->accept_event);
	if (server->fd >= 0)
		close(server->fd);
	free(server->path);
	free(server);
	return ret;
}

void rpc_server_destroy(struct rpc_server *server)
{
	if (server == NULL)
		return;
	while (!LIST_EMPTY(&server->connections))
		rpc_connection_close(LIST_FIRST(&server->connections));
	event_free(server->accept_event);
	close(server->fd);
	unlink(server->path);
	free(server->path);
	free(server);
}

const char *rpc_server_path(const struct rpc_server *server)
{
	return server->path;
}

void rpc_server_forget(struct rpc_server *server, struct rpc_connection *connection)
{
	LIST_REMOVE(connection, link);
	server->count--;
}

void rpc_server_notify(struct rpc_server *server, json_t *params)
{
	json_t *message =
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", "event", "params", params);
	struct rpc_connection *connection, *next;

	if (message == NULL)
		return;
	for (connection = LIST_FIRST(&server->connections); connection != NULL; connection = next) {
		next = LIST_NEXT(connection, link);
		rpc_connection_notify(connection, message);
	}
	json_decref(message);
}

/* Which way a caller has to go who may not call a method. */
static void call_refuse(struct rpc_request *request, const struct rpc_method *method)
{
	const struct rpc_caller *caller = rpc_request_caller(request);

	if (method->role == RPC_ROLE_IKE)
		rpc_fail(request, RPC_REFUSED, NULL,
			 "%s is for charon's plugin alone, on the socket of its own (--ike-socket)",
			 method->name);
	else if (caller->role == RPC_ROLE_IKE)
		rpc_fail(
			request, RPC_REFUSED, NULL,
			"%s is not for charon's plugin: call it on kaidod's other socket (--socket)",
			method->name);
	else
		rpc_fail(request, RPC_REFUSED, NULL,
			 "%s needs the role %s; %s has the role %s: join the operator group",
			 method->name, rpc_role_name(method->role), caller->user,
			 rpc_role_name(caller->role));
}

static bool role_may(enum rpc_role role, enum rpc_role needed)
{
	if (role == RPC_ROLE_IKE || needed == RPC_ROLE_IKE)
		return role == needed;
	return role >= needed;
}

void rpc_server_call(struct rpc_server *server, struct rpc_request *request)
{
	const char *name = rpc_request_method(request);
	const struct rpc_caller *caller = rpc_request_caller(request);
	const struct rpc_method *method;

	for (method = server->options.methods; method->name != NULL; method++) {
		if (strcmp(method->name, name) == 0)
			break;
	}
	if (method->name == NULL) {
		rpc_fail(request, RPC_NO_METHOD, NULL, "there is no method '%.64s'", name);
		return;
	}
	if (!role_may(caller->role, method->role)) {
		if (server->options.refused != NULL)
			server->options.refused(server->options.context, caller, name);
		call_refuse(request, method);
		return;
	}
	method->handle(server->options.context, request);
}

const char *rpc_role_name(enum rpc_role role)
{
	switch (role) {
	case RPC_ROLE_OPERATOR:
		return "operator";
	case RPC_ROLE_AUDITOR:
		return "auditor";
	case RPC_ROLE_IKE:
		return "ike";
	default:
		return "none";
	}
}
