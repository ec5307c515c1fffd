/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane_request.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <sodium.h>

#include "log.h"

#define BACKOFF_LAST_MS 2000

/*
 * While the dataplane starts no tunnel carries anything. So each wait is about a fourth of what went before: the
 * outage is longer by that at worst.
 */
static unsigned int backoff_next(unsigned int ms)
{
	unsigned int next = ms + (ms + 4) / 5;

	return next > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : next;
}

void dataplane_timer_set(struct dataplane_client *client, unsigned int ms)
{
	struct timeval delay = { .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };

	event_add(client->timer, &delay);
}

/* `first`: before what waits (hello). */
static void request_queue(struct dataplane_client *client, struct request *request, bool first)
{
	if (STAILQ_EMPTY(&client->waiting) && STAILQ_EMPTY(&client->sent))
		dataplane_timer_set(client, SILENCE_MAX_S * 1000);
	request->number = client->number;
	client->number += NUMBERS;
	if (first)
		STAILQ_INSERT_HEAD(&client->waiting, request, link);
	else
		STAILQ_INSERT_TAIL(&client->waiting, request, link);
	event_active(client->writable, EV_WRITE, 0);
}

static struct request *request_create(struct dataplane_client *client, enum request_kind kind,
				      uint16_t type, const void *payload, size_t size)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return NULL;
	request->kind = kind;
	request->type = type;
	if (size > 0)
		memcpy(request->payload, payload, size);
	request->payload_size = size;
	return request;
}

/* -- connecting -- */

static void list_fail(struct dataplane_client *client, struct request_list *list)
{
	struct request *request;

	while ((request = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		dataplane_request_end(client, request, -ENOTCONN, 0,
				      "the connection to it was lost");
	}
}

void dataplane_client_down(struct dataplane_client *client, const char *why)
{
	struct request_list sent = STAILQ_HEAD_INITIALIZER(sent);
	struct request_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
	bool was_ready = client->ready;

	STAILQ_CONCAT(&sent, &client->sent);
	STAILQ_CONCAT(&waiting, &client->waiting);
	if (client->readable != NULL)
		event_free(client->readable);
	client->readable = NULL;
	event_del(client->writable);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->ready = false;
	sodium_memzero(client->out, client->out_size);
	client->out_size = 0;
	dataplane_timer_set(client, client->backoff_ms);
	client->backoff_ms = backoff_next(client->backoff_ms);
	if (was_ready)
		client->events.down(client->events.context, why);
	else if (!client->told)
		log_warning("%s: no dataplane: %s; trying again until there is one", client->path,
			    why);
	client->told = true;
	list_fail(client, &sent);
	list_fail(client, &waiting);
}

static int client_connect(struct dataplane_client *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct abi_hello hello = { .client = "kaidod " KAIDO_VERSION };
	struct request *request;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", client->path);
	client->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		return -errno;
	if (connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	client->readable = event_new(client->base, client->fd, EV_READ | EV_PERSIST,
				     dataplane_client_receive, client);
	if (client->readable == NULL || event_add(client->readable, NULL) < 0)
		return -ENOMEM;
	event_assign(client->writable, client->base, client->fd, EV_WRITE, dataplane_client_send,
		     client);
	request = request_create(client, REQUEST_HELLO, ABI_HELLO, &hello, sizeof(hello));
	if (request == NULL)
		return -ENOMEM;
	request_queue(client, request, true);
	return 0;
}

static void client_timer(evutil_socket_t fd, short what, void *context)
{
	struct dataplane_client *client = context;
	int ret;

	if (client->fd >= 0) {
		if (STAILQ_EMPTY(&client->waiting) && STAILQ_EMPTY(&client->sent))
			return;
		dataplane_client_down(client, "it does not answer");
		return;
	}
	ret = client_connect(client);
	if (ret < 0)
		dataplane_client_down(client, strerror(-ret));
}

int dataplane_client_create(struct event_base *base, const char *path,
			    const struct dataplane_events *events, struct dataplane_client **out)
{
	struct dataplane_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return -ENOMEM;
	client->base = base;
	client->events = *events;
	client->fd = client->pidfd = -1;
	client->backoff_ms = BACKOFF_FIRST_MS;
	client->number = 1;
	STAILQ_INIT(&client->waiting);
	STAILQ_INIT(&client->sent);
	client->path = strdup(path);
	client->out = sodium_malloc(ABI_MESSAGE_MAX);
	client->in = malloc(ABI_MESSAGE_MAX);
	client->timer = evtimer_new(base, client_timer, client);
	client->writable = event_new(base, -1, EV_WRITE, dataplane_client_send, client);
	if (client->path == NULL || client->out == NULL || client->in == NULL ||
	    client->timer == NULL || client->writable == NULL) {
		dataplane_client_destroy(client);
		return -ENOMEM;
	}
	dataplane_timer_set(client, 0);
	*out = client;
	return 0;
}

void dataplane_client_destroy(struct dataplane_client *client)
{
	struct request *request;

	if (client == NULL)
		return;
	STAILQ_CONCAT(&client->sent, &client->waiting);
	while ((request = STAILQ_FIRST(&client->sent)) != NULL) {
		STAILQ_REMOVE_HEAD(&client->sent, link);
		free(request);
	}
	if (client->readable != NULL)
		event_free(client->readable);
	if (client->writable != NULL)
		event_free(client->writable);
	if (client->timer != NULL)
		event_free(client->timer);
	if (client->fd >= 0)
		close(client->fd);
	if (client->pidfd >= 0)
		close(client->pidfd);
	sodium_free(client->out);
	free(client->in);
	free(client->path);
	free(client);
}

/* -- requests -- */

int dataplane_commit(struct dataplane_client *client,
		     const struct dataplane_transaction *transaction)
{
	struct request *request;

	if (!client->ready)
		return -ENOTCONN;
	request = request_create(client, REQUEST_COMMIT, 0, NULL, 0);
	if (request == NULL)
		return -ENOMEM;
	request->transaction = *transaction;
	request_queue(client, request, false);
	return 0;
}

int dataplane_dump(struct dataplane_client *client, enum abi_dump_kind kind, uint32_t tenant,
		   void (*each)(void *context, const void *records, uint32_t count),
		   void (*done)(void *context, int error, const char *text), void *context)
{
	struct abi_dump dump = { .kind = kind, .tenant = tenant };
	struct request *request;

	if (!client->ready)
		return -ENOTCONN;
	request = request_create(client, REQUEST_DUMP, ABI_DUMP, &dump, sizeof(dump));
	if (request == NULL)
		return -ENOMEM;
	request->dump_kind = kind;
	request->each = each;
	request->dump_done = done;
	request->context = context;
	request_queue(client, request, false);
	return 0;
}

int dataplane_counters(struct dataplane_client *client,
		       void (*done)(void *context, int error, int fd,
				    const struct abi_counters_reply *reply),
		       void *context)
{
	struct request *request;

	if (!client->ready)
		return -ENOTCONN;
	request = request_create(client, REQUEST_COUNTERS, ABI_COUNTERS, NULL, 0);
	if (request == NULL)
		return -ENOMEM;
	request->counters_done = done;
	request->context = context;
	request_queue(client, request, false);
	return 0;
}

int dataplane_trace(struct dataplane_client *client, enum abi_type type,
		    const struct abi_trace_start *start,
		    void (*done)(void *context, int error, const char *text,
				 const struct abi_trace_record *records, uint32_t count),
		    void *context)
{
	struct request *request;

	if (!client->ready)
		return -ENOTCONN;
	request = request_create(client, REQUEST_TRACE, type, start,
				 start == NULL ? 0 : sizeof(*start));
	if (request == NULL)
		return -ENOMEM;
	request->trace_done = done;
	request->context = context;
	request_queue(client, request, false);
	return 0;
}

int dataplane_events(struct dataplane_client *client, uint64_t after,
		     void (*done)(void *context, int error, const char *text,
				  const struct abi_event *records, uint32_t count),
		     void *context)
{
	struct abi_event_read read = { .after = after };
	struct request *request;

	if (!client->ready)
		return -ENOTCONN;
	request = request_create(client, REQUEST_EVENTS, ABI_EVENT_READ, &read, sizeof(read));
	if (request == NULL)
		return -ENOMEM;
	request->events_done = done;
	request->context = context;
	request_queue(client, request, false);
	return 0;
}
