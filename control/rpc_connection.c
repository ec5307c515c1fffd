/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <sodium.h>

#include "log.h"

#define INPUT_STEP      (64u << 10)
#define OUTPUT_PAUSE    (1u << 20) /* bytes waiting: no further request is started */
#define SUBSCRIBER_MAX  (4u << 20) /* bytes waiting: a subscriber that doesn't read is dropped */
#define FINISH_S        2          /* without a byte from the client */
#define REQUESTS_A_TURN 32         /* then other connections get theirs */
#define DETACHED_MOST   1024       /* requests that wait at a time: no further one is started */

struct rpc_request {
	LIST_ENTRY(rpc_request) link;      /* while it is detached */
	struct rpc_connection *connection; /* NULL: it went away meanwhile */
	bool detached;
	struct rpc_caller caller;
	json_t *message;
	json_t *params;
	json_t *id; /* NULL: a notification, which gets no answer */
	const char *method;
};

/* -- input -- */

static void input_wipe(struct rpc_input *input)
{
	if (input->data != NULL)
		sodium_memzero(input->data, input->end);
	free(input->data);
	memset(input, 0, sizeof(*input));
}

/* Room for INPUT_STEP more bytes. Not realloc(): that would leave a copy behind. */
static int input_reserve(struct rpc_input *input)
{
	size_t used = input->end - input->start;
	size_t size = input->size;
	char *data;

	if (input->size - input->end >= INPUT_STEP)
		return 0;
	while (size < used + INPUT_STEP)
		size = size == 0 ? 2 * INPUT_STEP : 2 * size;
	data = malloc(size);
	if (data == NULL)
		return -ENOMEM;
	if (used > 0)
		memcpy(data, input->data + input->start, used);
	if (input->data != NULL)
		sodium_memzero(input->data, input->end);
	free(input->data);
	input->data = data;
	input->size = size;
	input->scanned -= input->start;
	input->end = used;
	input->start = 0;
	return 0;
}

/* The next whole line, or NULL. It stays valid until input_consume(). */
static char *input_line(struct rpc_input *input, size_t *length)
{
	char *feed;

	if (input->end == input->scanned)
		return NULL;
	feed = memchr(input->data + input->scanned, '\n', input->end - input->scanned);
	if (feed == NULL) {
		input->scanned = input->end;
		return NULL;
	}
	*length = (size_t)(feed - input->data) - input->start;
	return input->data + input->start;
}

static void input_consume(struct rpc_input *input, size_t length)
{
	sodium_memzero(input->data + input->start, length + 1);
	input->start += length + 1;
	input->scanned = input->start;
	if (input->start != input->end)
		return;
	if (input->size > 4 * INPUT_STEP)
		input_wipe(input);
	else
		input->start = input->end = input->scanned = 0;
}

/* -- output -- */

static int output_write(const char *data, size_t size, void *context)
{
	return evbuffer_add(context, data, size);
}

static void connection_send(struct rpc_connection *connection, const json_t *message)
{
	if (json_dump_callback(message, output_write, connection->output, JSON_COMPACT) < 0 ||
	    evbuffer_add(connection->output, "\n", 1) < 0) {
		log_error("an answer was lost: out of memory");
		connection->closing = true;
	}
	event_add(connection->writable, NULL);
}

/* Reads on and forgets, until the client has hung up too or time is up. */
static void connection_drain(evutil_socket_t fd, short what, void *context)
{
	struct rpc_connection *connection = context;
	char rest[4096];

	if ((what & EV_TIMEOUT) == 0) {
		ssize_t got = recv(fd, rest, sizeof(rest), 0);

		sodium_memzero(rest, sizeof(rest));
		if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
			return;
	}
	rpc_connection_close(connection);
}

/* Closing over unread input would reset the connection, and the last answer would be lost. */
static void connection_finish(struct rpc_connection *connection)
{
	struct timeval patience = { .tv_sec = FINISH_S };

	shutdown(connection->fd, SHUT_WR);
	event_del(connection->readable);
	event_assign(connection->readable, event_get_base(connection->readable), connection->fd,
		     EV_READ | EV_PERSIST, connection_drain, connection);
	if (connection->end_of_input || event_add(connection->readable, &patience) < 0)
		rpc_connection_close(connection);
}

static void connection_write(evutil_socket_t fd, short what, void *context)
{
	struct rpc_connection *connection = context;
	size_t waiting;

	if (evbuffer_get_length(connection->output) > 0 &&
	    evbuffer_write(connection->output, fd) < 0 && errno != EAGAIN && errno != EINTR) {
		rpc_connection_close(connection);
		return;
	}
	waiting = evbuffer_get_length(connection->output);
	if (waiting == 0 && connection->closing) {
		connection_finish(connection);
		return;
	}
	if (waiting > 0)
		event_add(connection->writable, NULL);
	if (waiting < OUTPUT_PAUSE && !connection->closing)
		event_active(connection->resume, EV_TIMEOUT, 0);
}

/* -- requests -- */

static void request_end(struct rpc_request *request, json_t *key, const char *name)
{
	struct rpc_connection *connection = request->connection;
	json_t *message;

	if (connection != NULL && request->id != NULL) {
		message = json_pack("{s:s, s:O, s:O}", "jsonrpc", "2.0", "id", request->id, name,
				    key);
		if (message != NULL)
			connection_send(connection, message);
		else
			connection->closing = true;
		json_decref(message);
	}
	json_decref(key);
	if (connection != NULL) {
		if (request->detached) {
			LIST_REMOVE(request, link);
			connection->n_detached--;
		} else {
			connection->current = NULL;
		}
		if (!connection->dispatching)
			event_active(connection->resume, EV_TIMEOUT, 0);
	}
	json_decref(request->message);
	json_decref(request->params);
	free(request);
}

void rpc_reply(struct rpc_request *request, json_t *result)
{
	if (result == NULL) {
		rpc_fail(request, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	request_end(request, result, "result");
}

void rpc_fail(struct rpc_request *request, int code, json_t *data, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	json_t *error;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	error = json_object();
	json_object_set_new(error, "code", json_integer(code));
	json_object_set_new(error, "message", json_string(text));
	if (data != NULL)
		json_object_set_new(error, "data", data);
	request_end(request, error, "error");
}

const struct rpc_caller *rpc_request_caller(const struct rpc_request *request)
{
	return &request->caller;
}

const char *rpc_request_method(const struct rpc_request *request)
{
	return request->method;
}

json_t *rpc_request_params(const struct rpc_request *request)
{
	return request->params;
}

bool rpc_request_mark(struct rpc_request *request, uint64_t mark)
{
	bool news = request->connection == NULL || request->connection->marked != mark;

	if (request->connection != NULL)
		request->connection->marked = mark;
	return news;
}

void rpc_request_subscribe(struct rpc_request *request)
{
	if (request->connection != NULL)
		request->connection->subscribed = true;
}

void rpc_request_detach(struct rpc_request *request)
{
	struct rpc_connection *connection = request->connection;

	if (connection == NULL || request->detached)
		return;
	request->detached = true;
	LIST_INSERT_HEAD(&connection->detached, request, link);
	connection->n_detached++;
	connection->current = NULL;
}

void rpc_request_listen(struct rpc_request *request, struct rpc_listener *listener)
{
	rpc_listener_release(listener);
	if (request->connection == NULL)
		return;
	listener->connection = request->connection;
	request->connection->listener = listener;
}

bool rpc_request_is_of(const struct rpc_request *request, const struct rpc_listener *listener)
{
	return request->connection != NULL && request->connection == listener->connection;
}

static struct rpc_request *request_create(struct rpc_connection *connection, json_t *message)
{
	struct rpc_request *request = calloc(1, sizeof(*request));

	if (request == NULL) {
		json_decref(message);
		connection->closing = true;
		return NULL;
	}
	request->connection = connection;
	request->caller = connection->caller;
	request->message = message;
	request->id = json_null();
	connection->current = request;
	return request;
}

/* The id of a request that can't be understood is answered as null (section 5). */
static void request_start(struct rpc_connection *connection, json_t *message)
{
	struct rpc_request *request = request_create(connection, message);
	json_t *version, *params, *id;

	if (request == NULL)
		return;
	if (!json_is_object(message)) {
		rpc_fail(request, RPC_INVALID_REQUEST, NULL,
			 "a message is one JSON object on a line; send several, not an array");
		return;
	}
	id = json_object_get(message, "id");
	if (id != NULL && !json_is_string(id) && !json_is_number(id) && !json_is_null(id)) {
		rpc_fail(request, RPC_INVALID_REQUEST, NULL, "id is a string or a number");
		return;
	}
	request->id = id;
	version = json_object_get(message, "jsonrpc");
	request->method = json_string_value(json_object_get(message, "method"));
	if (request->method == NULL || !json_is_string(version) ||
	    strcmp(json_string_value(version), "2.0") != 0) {
		request->id = id == NULL ? json_null() : id;
		rpc_fail(request, RPC_INVALID_REQUEST, NULL,
			 "a request has \"jsonrpc\": \"2.0\" and a \"method\"");
		return;
	}
	params = json_object_get(message, "params");
	if (params != NULL && !json_is_object(params)) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "params is an object of named values");
		return;
	}
	request->params = params == NULL ? json_object() : json_incref(params);
	if (request->params == NULL) {
		rpc_fail(request, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	rpc_server_call(connection->server, request);
}

static void line_take(struct rpc_connection *connection, char *line, size_t length)
{
	struct rpc_request *request;
	json_error_t error;
	json_t *message;

	message = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	input_consume(&connection->input, length);
	if (message != NULL) {
		request_start(connection, message);
		return;
	}
	request = request_create(connection, NULL);
	if (request != NULL) /* jansson's text may quote the input, and with it a key */
		rpc_fail(request, RPC_PARSE_ERROR, NULL, "this line is not JSON: byte %d: %s",
			 error.position,
			 json_error_code(&error) == json_error_duplicate_key
				 ? "a name stands twice in one object"
				 : "syntax error");
}

static void connection_pump(evutil_socket_t fd, short what, void *context)
{
	struct rpc_connection *connection = context;
	unsigned int served = 0;
	size_t length;
	char *line;

	if (connection->dead) {
		rpc_connection_close(connection);
		return;
	}
	connection->dispatching = true;
	while (connection->current == NULL && !connection->closing &&
	       connection->n_detached < DETACHED_MOST) {
		if (evbuffer_get_length(connection->output) >= OUTPUT_PAUSE)
			break;
		line = input_line(&connection->input, &length);
		if (line == NULL)
			break;
		if (++served > REQUESTS_A_TURN) {
			event_active(connection->resume, EV_TIMEOUT, 0);
			break;
		}
		line_take(connection, line, length);
	}
	connection->dispatching = false;
	/* All that was sent before the client shut down its side has been answered. */
	if (connection->end_of_input && connection->current == NULL &&
	    connection->n_detached == 0 && input_line(&connection->input, &length) == NULL)
		connection->closing = true;
	if (connection->closing)
		event_add(connection->writable, NULL);
	else if (!connection->end_of_input && connection->current == NULL &&
		 connection->n_detached < DETACHED_MOST &&
		 evbuffer_get_length(connection->output) < OUTPUT_PAUSE)
		event_add(connection->readable, NULL);
	else
		event_del(connection->readable);
}

static void line_too_long(struct rpc_connection *connection)
{
	struct rpc_request *request = request_create(connection, NULL);

	input_wipe(&connection->input);
	if (request != NULL)
		rpc_fail(request, RPC_INVALID_REQUEST, NULL,
			 "a line has at most %u MiB: split the configuration", RPC_LINE_MAX >> 20);
	connection->closing = true;
}

static void connection_read(evutil_socket_t fd, short what, void *context)
{
	struct rpc_connection *connection = context;
	struct rpc_input *input = &connection->input;
	ssize_t got;

	if (input_reserve(input) < 0) {
		rpc_connection_close(connection);
		return;
	}
	got = recv(fd, input->data + input->end, input->size - input->end, 0);
	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR)
			rpc_connection_close(connection);
		return;
	}
	if (got == 0)
		connection->end_of_input = true;
	input->end += (size_t)got;
	connection_pump(fd, 0, connection);
	if (input->end - input->start > RPC_LINE_MAX && !connection->closing &&
	    connection->current == NULL && input->scanned == input->end) {
		line_too_long(connection);
		connection_pump(fd, 0, connection);
	}
}

struct rpc_connection *rpc_connection_create(struct rpc_server *server, struct event_base *base,
					     int fd, const struct rpc_caller *caller)
{
	struct rpc_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL)
		return NULL;
	connection->server = server;
	connection->caller = *caller;
	connection->fd = fd;
	LIST_INIT(&connection->detached);
	connection->output = evbuffer_new();
	connection->readable =
		event_new(base, fd, EV_READ | EV_PERSIST, connection_read, connection);
	connection->writable = event_new(base, fd, EV_WRITE, connection_write, connection);
	connection->resume = event_new(base, -1, 0, connection_pump, connection);
	if (connection->output != NULL && connection->readable != NULL &&
	    connection->writable != NULL && connection->resume != NULL &&
	    input_reserve(&connection->input) == 0 && event_add(connection->readable, NULL) == 0)
		return connection;
	if (connection->output != NULL)
		evbuffer_free(connection->output);
	if (connection->readable != NULL)
		event_free(connection->readable);
	if (connection->writable != NULL)
		event_free(connection->writable);
	if (connection->resume != NULL)
		event_free(connection->resume);
	input_wipe(&connection->input);
	free(connection);
	return NULL;
}

void rpc_connection_close(struct rpc_connection *connection)
{
	struct rpc_request *request;

	if (connection->current != NULL)
		connection->current->connection = NULL;
	while ((request = LIST_FIRST(&connection->detached)) != NULL) {
		LIST_REMOVE(request, link);
		request->connection = NULL;
	}
	if (connection->listener != NULL) {
		connection->listener->connection = NULL;
		connection->listener->gone(connection->listener->context);
	}
	rpc_server_forget(connection->server, connection);
	event_free(connection->readable);
	event_free(connection->writable);
	event_free(connection->resume);
	evbuffer_free(connection->output);
	close(connection->fd);
	input_wipe(&connection->input);
	free(connection);
}

void rpc_connection_refuse(struct rpc_connection *connection, const char *how)
{
	struct rpc_request *request;

	event_del(connection->readable);
	log_warning("RPC refused to %s (uid %u), who has no role there: %s",
		    connection->caller.user, connection->caller.uid, how);
	request = request_create(connection, NULL);
	if (request != NULL)
		rpc_fail(request, RPC_REFUSED, NULL, "%s has no role here: %s",
			 connection->caller.user, how);
	connection->closing = true;
	event_add(connection->writable, NULL);
}

/* Who does not read what he asked to be told. */
static bool hung_up_as_slow(struct rpc_connection *connection)
{
	if (evbuffer_get_length(connection->output) <= SUBSCRIBER_MAX)
		return false;
	log_warning("%s does not read its events: hung up", connection->caller.user);
	/* Not here: a request of this very connection may have raised the event. */
	connection->dead = connection->closing = true;
	event_active(connection->resume, EV_TIMEOUT, 0);
	return true;
}

void rpc_connection_notify(struct rpc_connection *connection, const json_t *message)
{
	if (connection->subscribed && !connection->closing && !hung_up_as_slow(connection))
		connection_send(connection, message);
}

bool rpc_listener_tell(struct rpc_listener *listener, const char *method, json_t *params,
		       bool needed)
{
	struct rpc_connection *connection = listener->connection;
	json_t *message;
	bool told;

	if (connection == NULL || connection->closing || hung_up_as_slow(connection) ||
	    (!needed && evbuffer_get_length(connection->output) >= OUTPUT_PAUSE)) {
		json_decref(params);
		return false;
	}
	message =
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
	told = message != NULL;
	if (told)
		connection_send(connection, message);
	json_decref(message);
	return told;
}

void rpc_listener_release(struct rpc_listener *listener)
{
	if (listener->connection != NULL)
		listener->connection->listener = NULL;
	listener->connection = NULL;
}
