/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES (256u << 20)
#define ANSWER_MS      300000 /* a huge configuration on a slow machine */

struct rpc_client {
	int socket;
	json_int_t id;
	char *buffer;
	size_t used;
	size_t searched; /* bytes at the front without a line end */
	size_t room;
	json_t *events; /* that came before the answer that was waited for */
};

__attribute__((format(printf, 2, 3))) static void failure_set(struct rpc_failure *failure,
							      const char *format, ...)
{
	va_list ap;

	failure->code = 0;
	failure->data = NULL;
	va_start(ap, format);
	vsnprintf(failure->message, sizeof(failure->message), format, ap);
	va_end(ap);
}

void rpc_failure_clear(struct rpc_failure *failure)
{
	json_decref(failure->data);
	failure->data = NULL;
}

int rpc_client_open(const char *path, struct rpc_client **out)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct rpc_client *client;
	int rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;
	client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->socket < 0) {
		rc = -errno;
		goto free_client;
	}
	if (connect(client->socket, (struct sockaddr *)&address, sizeof(address)) < 0) {
		rc = -errno;
		goto close_socket;
	}
	client->events = json_array();
	*out = client;
	return 0;
close_socket:
	close(client->socket);
free_client:
	free(client);
	return rc;
}

void rpc_client_close(struct rpc_client *client)
{
	if (client == NULL)
		return;
	close(client->socket);
	json_decref(client->events);
	free(client->buffer);
	free(client);
}

static int line_send(struct rpc_client *client, const char *text, size_t len,
		     struct rpc_failure *failure)
{
	ssize_t n;

	while (len > 0) {
		n = send(client->socket, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			failure_set(failure, "kaidod closed the connection: %s", strerror(errno));
			return -errno;
		}
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int buffer_grow(struct rpc_client *client)
{
	size_t room = client->room == 0 ? 65536 : client->room * 2;
	char *grown;

	if (room > LINE_MAX_BYTES)
		return -EFBIG;
	grown = realloc(client->buffer, room);
	if (grown == NULL)
		return -ENOMEM;
	client->buffer = grown;
	client->room = room;
	return 0;
}

/* More bytes into the buffer. */
static int buffer_fill(struct rpc_client *client, int timeout_ms, struct rpc_failure *failure)
{
	struct pollfd ready = { .fd = client->socket, .events = POLLIN };
	ssize_t n;
	int rc;

	if (client->used == client->room) {
		rc = buffer_grow(client);
		if (rc < 0) {
			failure_set(failure, "an answer is too long: %s", strerror(-rc));
			return rc;
		}
	}
	rc = poll(&ready, 1, timeout_ms);
	if (rc == 0 || (rc < 0 && errno == EINTR)) {
		failure_set(failure, rc == 0 ? "kaidod does not answer" : "interrupted");
		failure->code = rc == 0 ? RPC_FAILURE_TIMEOUT : 0;
		return rc == 0 ? -ETIMEDOUT : -EINTR;
	}
	n = recv(client->socket, client->buffer + client->used, client->room - client->used, 0);
	if (n <= 0) {
		failure_set(failure, "kaidod closed the connection%s%s", n < 0 ? ": " : "",
			    n < 0 ? strerror(errno) : "");
		return -ECONNRESET;
	}
	client->used += (size_t)n;
	return 0;
}

/* The next message. NULL: `failure` says why. */
static json_t *message_receive(struct rpc_client *client, int timeout_ms,
			       struct rpc_failure *failure)
{
	json_error_t error;
	json_t *message;
	size_t len;
	char *end;

	while (1) {
		end = client->buffer == NULL ? NULL
					     : memchr(client->buffer + client->searched, '\n',
						      client->used - client->searched);
		if (end != NULL)
			break;
		client->searched = client->used;
		if (buffer_fill(client, timeout_ms, failure) < 0)
			return NULL;
	}
	len = (size_t)(end - client->buffer);
	message = json_loadb(client->buffer, len, 0, &error);
	client->used -= len + 1;
	client->searched = 0;
	memmove(client->buffer, end + 1, client->used);
	if (message == NULL || !json_is_object(message)) {
		failure_set(failure, "what answers is not kaidod: %s", error.text);
		json_decref(message);
		return NULL;
	}
	return message;
}

static int request_send(struct rpc_client *client, const char *method, json_t *params,
			struct rpc_failure *failure)
{
	json_t *request;
	char *text = NULL;
	size_t len;
	int rc = -ENOMEM;

	request = json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", ++client->id, "method",
			    method, "params", params);
	if (request != NULL)
		text = json_dumps(request, JSON_COMPACT);
	if (text != NULL) {
		len = strlen(text);
		text[len] = '\n'; /* in the place of its end; it is sent by length */
		rc = line_send(client, text, len + 1, failure);
		explicit_bzero(text, len + 1);
		free(text);
	} else {
		failure_set(failure, "out of memory");
	}
	json_decref(request);
	return rc;
}

static void failure_take(struct rpc_failure *failure, const json_t *error)
{
	const char *message = json_string_value(json_object_get(error, "message"));

	failure_set(failure, "%s", message != NULL ? message : "refused, without a reason");
	failure->code = (int)json_integer_value(json_object_get(error, "code"));
	failure->data = json_incref(json_object_get(error, "data"));
}

json_t *rpc_client_call(struct rpc_client *client, const char *method, json_t *params,
			struct rpc_failure *failure)
{
	json_t *message, *result = NULL, *error, *id;

	failure->data = NULL;
	if (request_send(client, method, params, failure) < 0)
		return NULL;
	while (1) {
		message = message_receive(client, ANSWER_MS, failure);
		if (message == NULL)
			return NULL;
		id = json_object_get(message, "id");
		if (json_is_string(json_object_get(message, "method"))) {
			json_array_append(client->events, json_object_get(message, "params"));
		} else if (json_is_null(id) || json_integer_value(id) == client->id) {
			break;
		}
		json_decref(message);
	}
	error = json_object_get(message, "error");
	if (json_is_object(error))
		failure_take(failure, error);
	else
		result = json_incref(json_object_get(message, "result"));
	if (result == NULL && error == NULL)
		failure_set(failure, "an answer without a result");
	json_decref(message);
	return result;
}

json_t *rpc_client_event(struct rpc_client *client, int timeout_ms, struct rpc_failure *failure)
{
	json_t *message, *event = NULL;

	failure->data = NULL;
	if (json_array_size(client->events) > 0) {
		event = json_incref(json_array_get(client->events, 0));
		json_array_remove(client->events, 0);
		return event;
	}
	while (event == NULL) {
		message = message_receive(client, timeout_ms, failure);
		if (message == NULL)
			return NULL;
		if (json_is_string(json_object_get(message, "method")))
			event = json_incref(json_object_get(message, "params"));
		json_decref(message);
	}
	return event;
}
