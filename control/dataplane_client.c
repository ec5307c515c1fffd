/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane_client.h"

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

#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS  2000
#define SILENCE_MAX_S    60 /* without any answer while one is awaited: hang up */

/* Each request has four numbers: what can be answered within it must be told apart. */
enum { NUMBER_FIRST, NUMBER_STAGED, NUMBER_COMMIT, NUMBERS };

enum request_kind { REQUEST_HELLO, REQUEST_COMMIT, REQUEST_DUMP, REQUEST_COUNTERS, REQUEST_TRACE };

struct request {
	STAILQ_ENTRY(request) link;
	enum request_kind kind;
	uint16_t type; /* of the message, but for transactions */
	uint64_t number;
	uint8_t payload[64];
	size_t payload_size;
	struct dataplane_transaction transaction;
	enum { SEND_BEGIN, SEND_RECORDS, SEND_COMMIT, SEND_DONE } next; /* to be sent */
	bool sent;                                                      /* to its end */
	int error; /* the first refusal within a transaction */
	char text[ABI_TEXT_LEN];
	enum abi_dump_kind dump_kind;
	void (*each)(void *context, const void *records, uint32_t count);
	void (*dump_done)(void *context, int error, const char *text);
	void (*counters_done)(void *context, int error, int fd,
			      const struct abi_counters_reply *reply);
	void (*trace_done)(void *context, int error, const char *text,
			   const struct abi_trace_record *records, uint32_t count);
	void *context;
};

STAILQ_HEAD(request_list, request);

struct dataplane_client {
	struct event_base *base;
	char *path;
	struct dataplane_events events;
	int fd;
	int pidfd;  /* of the process at the other end, also after it hung up; -1: not known */
	bool ready; /* hello was answered */
	struct event *readable;
	struct event *writable;
	struct event *timer; /* connect again, or give up on silence */
	unsigned int backoff_ms;
	bool told; /* of the failure to connect */
	uint64_t number;
	struct request_list waiting; /* in the order of sending; the head may be half sent */
	struct request_list sent;    /* wholly sent, not answered */
	uint8_t *out;                /* one message; locked memory, for it may hold keys */
	size_t out_size;             /* not yet taken by the socket; 0: none */
	uint8_t *in;
};

static void client_down(struct dataplane_client *client, const char *why);

static void timer_set(struct dataplane_client *client, unsigned int ms)
{
	struct timeval delay = { .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };

	event_add(client->timer, &delay);
}

/* -- sending -- */

static void message_make(struct dataplane_client *client, uint16_t type, uint64_t number,
			 uint32_t count, size_t size, uint64_t generation)
{
	struct abi_header header = {
		.magic = ABI_MAGIC,
		.version = ABI_VERSION,
		.type = type,
		.length = (uint32_t)(sizeof(header) + size),
		.count = count,
		.request = number,
		.generation = generation,
	};

	memcpy(client->out, &header, sizeof(header));
	client->out_size = header.length;
}

/* The next message of a transaction. */
static void transaction_make(struct dataplane_client *client, struct request *request)
{
	const struct dataplane_transaction *transaction = &request->transaction;
	uint32_t count = 0;
	uint16_t type = 0;
	long size = 0;

	if (request->next == SEND_BEGIN) {
		message_make(client, ABI_BEGIN, request->number + NUMBER_FIRST, 0, 0,
			     transaction->generation);
		request->next = SEND_RECORDS;
		return;
	}
	if (request->next == SEND_RECORDS) {
		size = transaction->fill(
			transaction->context, client->out + sizeof(struct abi_header),
			ABI_MESSAGE_MAX - sizeof(struct abi_header), &type, &count);
		if (size > 0) {
			message_make(client, type, request->number + NUMBER_STAGED, count,
				     (size_t)size, 0);
			return;
		}
	}
	/* What can't be filled is aborted; the answer then carries why. */
	if (size < 0) {
		request->error = (int)size;
		snprintf(request->text, sizeof(request->text), "a key could not be read");
	}
	message_make(client, size < 0 ? ABI_ABORT : ABI_COMMIT, request->number + NUMBER_COMMIT, 0,
		     0, 0);
	request->next = SEND_DONE;
	return;
}

static void request_make(struct dataplane_client *client, struct request *request)
{
	if (request->kind == REQUEST_COMMIT) {
		transaction_make(client, request);
		return;
	}
	memcpy(client->out + sizeof(struct abi_header), request->payload, request->payload_size);
	message_make(client, request->type, request->number, request->payload_size > 0,
		     request->payload_size, 0);
	request->next = SEND_DONE;
}

static void client_send(evutil_socket_t fd, short what, void *context)
{
	struct dataplane_client *client = context;
	struct request *request;

	while (client->fd >= 0) {
		request = STAILQ_FIRST(&client->waiting);
		if (client->out_size == 0) {
			if (request == NULL || (!client->ready && request->kind != REQUEST_HELLO))
				return;
			request_make(client, request);
		}
		if (send(client->fd, client->out, client->out_size, MSG_NOSIGNAL | MSG_DONTWAIT) <
		    0) {
			if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
				event_add(client->writable, NULL);
			else
				client_down(client, strerror(errno));
			return;
		}
		sodium_memzero(client->out, client->out_size);
		client->out_size = 0;
		if (request != NULL && request->next == SEND_DONE) {
			STAILQ_REMOVE_HEAD(&client->waiting, link);
			STAILQ_INSERT_TAIL(&client->sent, request, link);
			request->sent = true;
		}
	}
}

/* `first`: before what waits (hello). */
static void request_queue(struct dataplane_client *client, struct request *request, bool first)
{
	if (STAILQ_EMPTY(&client->waiting) && STAILQ_EMPTY(&client->sent))
		timer_set(client, SILENCE_MAX_S * 1000);
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

/* -- receiving -- */

static void request_end(struct dataplane_client *client, struct request *request, int error,
			uint32_t index, const char *text)
{
	switch (request->kind) {
	case REQUEST_COMMIT:
		request->transaction.done(request->transaction.context, error, index, text);
		break;
	case REQUEST_DUMP:
		request->dump_done(request->context, error, text);
		break;
	case REQUEST_COUNTERS:
		request->counters_done(request->context, error == 0 ? -EPROTO : error, -1, NULL);
		break;
	case REQUEST_TRACE:
		request->trace_done(request->context, error, text, NULL, 0);
		break;
	case REQUEST_HELLO:
		break;
	}
	free(request);
}

/* Which request has the number; the head of `waiting` may be half sent and have answers. */
static struct request *request_find(struct dataplane_client *client, uint64_t number)
{
	struct request *request;

	STAILQ_FOREACH (request, &client->sent, link) {
		if (number - request->number < NUMBERS)
			return request;
	}
	request = STAILQ_FIRST(&client->waiting);
	if (request != NULL && number - request->number < NUMBERS)
		return request;
	return NULL;
}

static void request_finish(struct dataplane_client *client, struct request *request, int error,
			   uint32_t index, const char *text)
{
	STAILQ_REMOVE(&client->sent, request, request, link);
	if (STAILQ_EMPTY(&client->waiting) && STAILQ_EMPTY(&client->sent))
		event_del(client->timer);
	request_end(client, request, error, index, text);
}

static int reply_take(struct dataplane_client *client, struct request *request,
		      const struct abi_header *header, const void *body)
{
	struct abi_reply reply;

	if (header->count != 1 || header->length != sizeof(*header) + sizeof(reply))
		return -EPROTO;
	memcpy(&reply, body, sizeof(reply));
	reply.text[sizeof(reply.text) - 1] = '\0';
	if (request->kind == REQUEST_HELLO)
		return -EPROTO;
	if (reply.error != 0 && request->error == 0) {
		request->error = reply.error > 0 ? -EPROTO : reply.error;
		memcpy(request->text, reply.text, sizeof(request->text));
	}
	if (!request->sent ||
	    (request->kind == REQUEST_COMMIT && header->request - request->number != NUMBER_COMMIT))
		return 0;
	if (request->error != 0)
		memcpy(reply.text, request->text, sizeof(reply.text));
	request_finish(client, request, request->error, reply.index, reply.text);
	return 0;
}

static int hello_take(struct dataplane_client *client, struct request *request,
		      const struct abi_header *header, const void *body)
{
	struct abi_hello_reply hello;
	struct pollfd previous = { .fd = client->pidfd, .events = POLLIN };
	bool gone = client->pidfd >= 0 && poll(&previous, 1, 0) == 1;
	struct ucred peer = { 0 };
	socklen_t length = sizeof(peer);

	if (request->kind != REQUEST_HELLO || header->count != 1 ||
	    header->length != sizeof(*header) + sizeof(hello))
		return -EPROTO;
	memcpy(&hello, body, sizeof(hello));
	hello.version[sizeof(hello.version) - 1] = '\0';
	if (client->pidfd >= 0)
		close(client->pidfd);
	client->pidfd = -1;
	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid > 0)
		client->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	client->ready = true;
	client->told = false;
	client->backoff_ms = BACKOFF_FIRST_MS;
	STAILQ_REMOVE(&client->sent, request, request, link);
	free(request);
	event_del(client->timer);
	client->events.up(client->events.context, &hello, gone);
	return 0;
}

static const size_t dump_sizes[] = {
	[ABI_DUMP_TENANT] = sizeof(struct abi_tenant),
	[ABI_DUMP_ATTACHMENT] = sizeof(struct abi_attachment),
	[ABI_DUMP_TUNNEL] = sizeof(struct abi_tunnel),
	[ABI_DUMP_SA] = sizeof(struct abi_sa),
	[ABI_DUMP_ROUTE] = sizeof(struct abi_route),
	[ABI_DUMP_NEIGHBOUR] = sizeof(struct abi_neighbour),
	[ABI_DUMP_PORT] = sizeof(struct abi_port),
	[ABI_DUMP_REASON] = sizeof(struct abi_reason),
};

static int records_check(const struct abi_header *header, size_t record)
{
	uint64_t size = (uint64_t)header->count * record + sizeof(*header);

	return size == header->length ? 0 : -EPROTO;
}

static int answer_take(struct dataplane_client *client, struct request *request,
		       const struct abi_header *header, const void *body, int *fd)
{
	struct abi_counters_reply counters;

	switch (header->type) {
	case ABI_REPLY:
		return reply_take(client, request, header, body);
	case ABI_HELLO_REPLY:
		return hello_take(client, request, header, body);
	case ABI_DUMP_RECORDS:
		if (request->kind != REQUEST_DUMP ||
		    records_check(header, dump_sizes[request->dump_kind]) < 0)
			return -EPROTO;
		request->each(request->context, body, header->count);
		return 0;
	case ABI_DUMP_END:
		if (request->kind != REQUEST_DUMP)
			return -EPROTO;
		request_finish(client, request, 0, 0, "");
		return 0;
	case ABI_COUNTERS_REPLY:
		if (request->kind != REQUEST_COUNTERS || header->count != 1 || *fd < 0 ||
		    records_check(header, sizeof(counters)) < 0)
			return -EPROTO;
		memcpy(&counters, body, sizeof(counters));
		STAILQ_REMOVE(&client->sent, request, request, link);
		request->counters_done(request->context, 0, *fd, &counters);
		*fd = -1;
		free(request);
		return 0;
	case ABI_TRACE_RECORDS:
		if (request->kind != REQUEST_TRACE ||
		    records_check(header, sizeof(struct abi_trace_record)) < 0)
			return -EPROTO;
		STAILQ_REMOVE(&client->sent, request, request, link);
		request->trace_done(request->context, 0, "", body, header->count);
		free(request);
		return 0;
	default:
		return -EPROTO;
	}
}

static int message_take(struct dataplane_client *client, size_t size, int *fd)
{
	struct abi_header header;
	struct request *request;

	if (size < sizeof(header))
		return -EPROTO;
	memcpy(&header, client->in, sizeof(header));
	if (header.magic != ABI_MAGIC || header.version != ABI_VERSION || header.length != size)
		return -EPROTO;
	request = request_find(client, header.request);
	if (request == NULL || (!request->sent && request->kind != REQUEST_COMMIT))
		return -EPROTO;
	if (client->ready)
		timer_set(client, SILENCE_MAX_S * 1000);
	return answer_take(client, request, &header, client->in + sizeof(header), fd);
}

/* The descriptor that came with a message, if there is one; more than one are closed. */
static int descriptor_take(struct msghdr *message)
{
	int fds[8], fd = -1;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
	     part = CMSG_NXTHDR(message, part)) {
		size_t n;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(part), n * sizeof(int));
		for (size_t i = 0; i < n; i++) {
			if (fd < 0)
				fd = fds[i];
			else
				close(fds[i]);
		}
	}
	return fd;
}

static void client_receive(evutil_socket_t unused, short what, void *context)
{
	struct dataplane_client *client = context;

	for (unsigned int i = 0; i < 64 && client->fd >= 0; i++) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(8 * sizeof(int))];
		} control;
		struct iovec part = { .iov_base = client->in, .iov_len = ABI_MESSAGE_MAX };
		struct msghdr message = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space),
		};
		ssize_t size = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		int fd, ret;

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0) {
			client_down(client, size == 0 ? "it hung up" : strerror(errno));
			return;
		}
		fd = descriptor_take(&message);
		ret = (message.msg_flags & MSG_TRUNC) != 0
			      ? -EPROTO
			      : message_take(client, (size_t)size, &fd);
		if (fd >= 0)
			close(fd);
		if (ret < 0)
			client_down(client, "it does not speak this version of the protocol");
	}
}

/* -- connecting -- */

static void list_fail(struct dataplane_client *client, struct request_list *list)
{
	struct request *request;

	while ((request = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		request_end(client, request, -ENOTCONN, 0, "the connection to it was lost");
	}
}

static void client_down(struct dataplane_client *client, const char *why)
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
	timer_set(client, client->backoff_ms);
	client->backoff_ms =
		client->backoff_ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : client->backoff_ms * 2;
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
	client->readable =
		event_new(client->base, client->fd, EV_READ | EV_PERSIST, client_receive, client);
	if (client->readable == NULL || event_add(client->readable, NULL) < 0)
		return -ENOMEM;
	event_assign(client->writable, client->base, client->fd, EV_WRITE, client_send, client);
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
		client_down(client, "it does not answer");
		return;
	}
	ret = client_connect(client);
	if (ret < 0)
		client_down(client, strerror(-ret));
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
	client->writable = event_new(base, -1, EV_WRITE, client_send, client);
	if (client->path == NULL || client->out == NULL || client->in == NULL ||
	    client->timer == NULL || client->writable == NULL) {
		dataplane_client_destroy(client);
		return -ENOMEM;
	}
	timer_set(client, 0);
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

bool dataplane_client_connected(const struct dataplane_client *client)
{
	return client->ready;
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
