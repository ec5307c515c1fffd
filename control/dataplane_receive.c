/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages into answers. What comes is checked before it is believed. */
#include "dataplane_request.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <event2/event.h>

void dataplane_request_end(struct dataplane_client *client, struct request *request, int error,
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
	case REQUEST_EVENTS:
		request->events_done(request->context, error, text, NULL, 0);
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
	dataplane_request_end(client, request, error, index, text);
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
	[ABI_DUMP_SELECTORS] = sizeof(struct abi_selectors),
	[ABI_DUMP_TUNNEL_STATE] = sizeof(struct abi_tunnel_state),
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
	case ABI_EVENTS:
		if (request->kind != REQUEST_EVENTS ||
		    records_check(header, sizeof(struct abi_event)) < 0)
			return -EPROTO;
		STAILQ_REMOVE(&client->sent, request, request, link);
		request->events_done(request->context, 0, "", body, header->count);
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
		dataplane_timer_set(client, SILENCE_MAX_S * 1000);
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

void dataplane_client_receive(evutil_socket_t unused, short what, void *context)
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
			dataplane_client_down(client, size == 0 ? "it hung up" : strerror(errno));
			return;
		}
		fd = descriptor_take(&message);
		ret = (message.msg_flags & MSG_TRUNC) != 0
			      ? -EPROTO
			      : message_take(client, (size_t)size, &fd);
		if (fd >= 0)
			close(fd);
		if (ret < 0)
			dataplane_client_down(client,
					      "it does not speak this version of the protocol");
	}
}
