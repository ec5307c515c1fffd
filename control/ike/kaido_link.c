/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kaido_link.h"

#define FIRST_SIZE    ((size_t)64 * 1024)
/* kaidod's own bound of a line. */
#define LINE_MAX_SIZE ((size_t)64 * 1024 * 1024)

int link_init(struct kaido_link *link)
{
	*link = (struct kaido_link){ .fd = -1 };
	link->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return link->wake < 0 ? -errno : 0;
}

void link_fini(struct kaido_link *link)
{
	link_close(link);
	close(link->wake);
}

int link_connect(struct kaido_link *link, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		error = errno;
		close(fd);
		return -error;
	}
	link->fd = fd;
	return 0;
}

void link_close(struct kaido_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	if (link->in) {
		explicit_bzero(link->in, link->in_size);
		free(link->in);
	}
	link->in = NULL;
	link->in_size = link->in_start = link->in_end = link->scanned = 0;
	link->out = NULL;
	link->out_left = 0;
}

void link_wake(struct kaido_link *link)
{
	uint64_t one = 1;

	if (write(link->wake, &one, sizeof(one)) < 0)
		return; /* its count is full: it wakes anyway */
}

void link_wait(struct kaido_link *link, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = link->wake, .events = POLLIN },
		{ .fd = link->fd, .events = link->out ? POLLIN | POLLOUT : POLLIN },
	};
	uint64_t count;

	if (poll(fds, 2, timeout_ms) <= 0)
		return;
	if ((fds[0].revents & POLLIN) && read(link->wake, &count, sizeof(count)) < 0)
		return; /* somebody else has emptied it */
}

void link_send(struct kaido_link *link, const char *line, size_t length)
{
	link->out = line;
	link->out_left = length;
}

int link_flush(struct kaido_link *link)
{
	ssize_t n;

	while (link->out_left) {
		n = send(link->fd, link->out, link->out_left, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		link->out += n;
		link->out_left -= (size_t)n;
	}
	link->out = NULL;
	return 1;
}

/* What is unread goes to the beginning of the buffer, and is wiped where it was. */
static void link_compact(struct kaido_link *link)
{
	size_t unread = link->in_end - link->in_start;

	if (!link->in_start)
		return;
	memmove(link->in, link->in + link->in_start, unread);
	explicit_bzero(link->in + unread, link->in_end - unread);
	link->scanned -= link->in_start;
	link->in_start = 0;
	link->in_end = unread;
}

/* Room for one more read; what was there is wiped. */
static int link_grow(struct kaido_link *link)
{
	size_t size = link->in_size ? link->in_size * 2 : FIRST_SIZE;
	char *in;

	if (link->in_size > link->in_end)
		return 0;
	if (size > LINE_MAX_SIZE)
		return -EMSGSIZE;
	in = malloc(size);
	if (!in)
		return -ENOMEM;
	if (link->in) {
		memcpy(in, link->in, link->in_end);
		explicit_bzero(link->in, link->in_size);
		free(link->in);
	}
	link->in = in;
	link->in_size = size;
	return 0;
}

int link_fill(struct kaido_link *link)
{
	ssize_t n;
	int error;

	link_compact(link);
	error = link_grow(link);
	if (error)
		return error;
	do {
		n = recv(link->fd, link->in + link->in_end, link->in_size - link->in_end,
			 MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (!n)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	link->in_end += (size_t)n;
	return 0;
}

char *link_line(struct kaido_link *link, size_t *length)
{
	char *end;

	if (link->scanned == link->in_end)
		return NULL;
	end = memchr(link->in + link->scanned, '\n', link->in_end - link->scanned);
	if (!end) {
		link->scanned = link->in_end;
		return NULL;
	}
	*length = (size_t)(end - link->in) - link->in_start;
	return link->in + link->in_start;
}

void link_consume(struct kaido_link *link, size_t length)
{
	explicit_bzero(link->in + link->in_start, length + 1);
	link->in_start += length + 1;
	link->scanned = link->in_start;
}
