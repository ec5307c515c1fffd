/* SPDX-License-Identifier: BSD-3-Clause */
#include "out_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static_assert(sizeof(struct abi_header) % 8 == 0, "records behind the header are aligned");

struct out_message *out_message_make(uint16_t type, uint64_t request, uint64_t generation,
				     size_t size, uint32_t count)
{
	size_t bytes = sizeof(struct abi_header) + size * count;
	struct out_message *m = calloc(1, offsetof(struct out_message, header) + bytes);

	if (m == NULL)
		return NULL;
	m->fd = -1;
	m->header.magic = ABI_MAGIC;
	m->header.version = ABI_VERSION;
	m->header.type = type;
	m->header.request = request;
	m->header.generation = generation;
	out_message_shorten(m, size, count);
	return m;
}

void out_message_shorten(struct out_message *m, size_t size, uint32_t count)
{
	m->size = (uint32_t)(sizeof(struct abi_header) + size * count);
	m->header.length = m->size;
	m->header.count = count;
}

void out_queue_add(struct out_queue *q, struct out_message *m)
{
	m->next = NULL;
	if (q->last != NULL)
		q->last->next = m;
	else
		q->first = m;
	q->last = m;
}

static int message_send(const struct out_message *m, int socket)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)&m->header, .iov_len = m->size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (m->fd >= 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &m->fd, sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void queue_pop(struct out_queue *q)
{
	struct out_message *m = q->first;

	q->first = m->next;
	if (q->first == NULL)
		q->last = NULL;
	free(m);
}

int out_queue_send(struct out_queue *q, int socket)
{
	int error;

	while (q->first != NULL) {
		error = message_send(q->first, socket);
		if (error == -EINTR)
			continue;
		if (error != 0)
			return error == -EWOULDBLOCK ? -EAGAIN : error;
		queue_pop(q);
	}
	return 0;
}

void out_queue_clear(struct out_queue *q)
{
	while (q->first != NULL)
		queue_pop(q);
}
