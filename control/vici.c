/* SPDX-License-Identifier: BSD-3-Clause */
#include "vici.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sodium.h>

#define RETRY_LEAST_MS 200
#define RETRY_MOST_MS  5000
#define ANSWER_S       120 /* charon takes its time to close what a removed connection began */

enum packet { CMD_REQUEST, CMD_RESPONSE, CMD_UNKNOWN };

struct request {
	STAILQ_ENTRY(request) link;
	struct vici_message packet;
	vici_answer answer;
	void *context;
};

struct vici {
	struct event_base *base;
	const char *path;
	struct vici_hooks hooks;
	struct bufferevent *connection; /* NULL: none */
	struct event *retry;
	unsigned int wait_ms;
	bool started;
	bool up;
	bool told_down;
	bool in_flight; /* the first of the queue was sent */
	STAILQ_HEAD(, request) queue;
};

static void connection_try(struct vici *vici);

static void request_free(struct request *request)
{
	vici_message_free(&request->packet);
	free(request);
}

/* Answers all that wait; those that the answers ask for anew are refused meanwhile. */
static void queue_fail(struct vici *vici)
{
	struct request *request;

	vici->in_flight = false;
	while ((request = STAILQ_FIRST(&vici->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&vici->queue, link);
		request->answer(request->context, -ENOTCONN, "the connection to charon was lost",
				NULL, 0);
		request_free(request);
	}
}

static void connection_lost(struct vici *vici, const char *why)
{
	struct timeval wait;

	if (vici->connection != NULL)
		bufferevent_free(vici->connection);
	vici->connection = NULL;
	vici->up = false;
	queue_fail(vici);
	if (!vici->told_down) {
		vici->told_down = true;
		vici->hooks.down(vici->hooks.context, why);
	}
	wait = (struct timeval){ .tv_sec = vici->wait_ms / 1000,
				 .tv_usec = (vici->wait_ms % 1000) * 1000 };
	vici->wait_ms = vici->wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : vici->wait_ms * 2;
	event_add(vici->retry, &wait);
}

static void retry_due(evutil_socket_t fd, short what, void *context)
{
	connection_try(context);
}

/* The bytes of a request are the caller's memory until they are sent, and are wiped then. */
static void sent_wipe(const void *data, size_t size, void *context)
{
	sodium_memzero((void *)(uintptr_t)data, size);
	free((void *)(uintptr_t)data);
}

static void queue_send(struct vici *vici)
{
	struct request *request = STAILQ_FIRST(&vici->queue);
	struct timeval limit = { .tv_sec = ANSWER_S };

	if (request == NULL || vici->in_flight || vici->connection == NULL)
		return;
	vici->in_flight = true;
	bufferevent_set_timeouts(vici->connection, &limit, &limit);
	if (evbuffer_add_reference(bufferevent_get_output(vici->connection), request->packet.bytes,
				   request->packet.size, sent_wipe, NULL) < 0) {
		connection_lost(vici, "out of memory");
		return;
	}
	memset(&request->packet, 0, sizeof(request->packet)); /* the buffer's now */
}

static void answer_tell(struct vici *vici, uint8_t type, const uint8_t *message, size_t size)
{
	struct request *request = STAILQ_FIRST(&vici->queue);
	char success[8] = "", text[256] = "";
	int error = 0;

	STAILQ_REMOVE_HEAD(&vici->queue, link);
	vici->in_flight = false;
	if (STAILQ_EMPTY(&vici->queue))
		bufferevent_set_timeouts(vici->connection, NULL, NULL);
	if (type == CMD_UNKNOWN) {
		error = -ENOENT;
		snprintf(text, sizeof(text), "this charon doesn't know the command");
		size = 0;
	} else if (vici_find(message, size, "success", success, sizeof(success)) &&
		   strcmp(success, "yes") != 0) {
		error = -EPERM;
		if (!vici_find(message, size, "errmsg", text, sizeof(text)))
			snprintf(text, sizeof(text), "charon doesn't say why");
	}
	request->answer(request->context, error, text, message, size);
	request_free(request);
}

/* One packet of it, if it is there. False: the connection is gone. */
static bool packet_take(struct vici *vici, struct evbuffer *input, bool *more)
{
	size_t have = evbuffer_get_length(input);
	uint32_t length;
	uint8_t *packet;
	bool good;

	*more = false;
	if (have < sizeof(length))
		return true;
	evbuffer_copyout(input, &length, sizeof(length));
	length = ntohl(length);
	if (length < 1 || length > VICI_MESSAGE_MAX) {
		connection_lost(vici, "charon sends what is not vici");
		return false;
	}
	if (have < sizeof(length) + length)
		return true;
	evbuffer_drain(input, sizeof(length));
	packet = malloc(length);
	if (packet == NULL) {
		connection_lost(vici, "out of memory");
		return false;
	}
	evbuffer_remove(input, packet, length);
	good = vici->in_flight &&
	       (packet[0] == CMD_UNKNOWN ||
		(packet[0] == CMD_RESPONSE && vici_is_whole(packet + 1, length - 1)));
	if (good)
		answer_tell(vici, packet[0], packet + 1, length - 1);
	else
		connection_lost(vici, "charon sends what is not vici");
	free(packet);
	*more = good;
	return good && vici->connection != NULL;
}

static void arrived(struct bufferevent *connection, void *context)
{
	struct vici *vici = context;
	bool more = true;

	while (more && packet_take(vici, bufferevent_get_input(connection), &more))
		queue_send(vici);
}

static void happened(struct bufferevent *connection, short what, void *context)
{
	struct vici *vici = context;

	connection_lost(vici, (what & BEV_EVENT_TIMEOUT) != 0 ? "charon doesn't answer"
			      : (what & BEV_EVENT_EOF) != 0   ? "charon ended"
							      : strerror(errno));
}

static void connection_try(struct vici *vici)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *why;
	int fd;

	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", vici->path) >=
	    sizeof(address.sun_path)) {
		connection_lost(vici, "the path is too long for a socket");
		return;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		why = strerror(errno);
		if (fd >= 0)
			close(fd);
		connection_lost(vici, why);
		return;
	}
	vici->connection = bufferevent_socket_new(vici->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (vici->connection == NULL) {
		close(fd);
		connection_lost(vici, "out of memory");
		return;
	}
	bufferevent_setcb(vici->connection, arrived, NULL, happened, vici);
	bufferevent_enable(vici->connection, EV_READ | EV_WRITE);
	vici->wait_ms = RETRY_LEAST_MS;
	vici->up = true;
	vici->told_down = false;
	vici->hooks.up(vici->hooks.context);
}

struct vici *vici_create(struct event_base *base, const char *path, const struct vici_hooks *hooks)
{
	struct vici *vici = calloc(1, sizeof(*vici));

	if (vici == NULL)
		return NULL;
	vici->base = base;
	vici->path = path;
	vici->hooks = *hooks;
	vici->wait_ms = RETRY_LEAST_MS;
	STAILQ_INIT(&vici->queue);
	vici->retry = evtimer_new(base, retry_due, vici);
	if (vici->retry != NULL)
		return vici;
	free(vici);
	return NULL;
}

void vici_start(struct vici *vici)
{
	struct timeval now = { 0 };

	if (vici->started)
		return;
	vici->started = true;
	event_add(vici->retry, &now);
}

bool vici_is_up(const struct vici *vici)
{
	return vici->up;
}

void vici_destroy(struct vici *vici)
{
	struct request *request;

	if (vici == NULL)
		return;
	if (vici->connection != NULL)
		bufferevent_free(vici->connection);
	while ((request = STAILQ_FIRST(&vici->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&vici->queue, link);
		request_free(request);
	}
	event_free(vici->retry);
	free(vici);
}

int vici_request(struct vici *vici, const char *command, struct vici_message *message,
		 vici_answer answer, void *context)
{
	size_t name = strlen(command), size = message == NULL ? 0 : message->size;
	uint32_t length = htonl((uint32_t)(2 + name + size));
	uint8_t head[2] = { CMD_REQUEST, (uint8_t)name };
	struct request *request = NULL;
	int ret = -ENOTCONN;

	if (!vici->up)
		goto out;
	ret = -EMSGSIZE;
	if ((message != NULL && message->failed) || 2 + name + size > VICI_MESSAGE_MAX)
		goto out;
	ret = -ENOMEM;
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		goto out;
	vici_bytes(&request->packet, &length, sizeof(length));
	vici_bytes(&request->packet, head, sizeof(head));
	vici_bytes(&request->packet, command, name);
	if (size > 0)
		vici_bytes(&request->packet, message->bytes, size);
	if (request->packet.failed) {
		request_free(request);
		goto out;
	}
	request->answer = answer;
	request->context = context;
	STAILQ_INSERT_TAIL(&vici->queue, request, link);
	queue_send(vici);
	ret = 0;
out:
	if (message != NULL)
		vici_message_free(message);
	return ret;
}
