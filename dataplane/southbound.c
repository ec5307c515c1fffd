/* SPDX-License-Identifier: BSD-3-Clause */
#include "southbound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "aead.h"
#include "apply.h"
#include "log.h"
#include "southbound_client.h"

#define CLIENTS_MAX     8
#define EVENTS_MAX      (CLIENTS_MAX + 2)
#define SEND_BUFFER     (1 << 20)
#define TICK_S          1
#define READ_TIMEOUT_MS 30000 /* a client that doesn't take its answers for so long is let go */

struct southbound {
	struct southbound_shared shared;
	struct southbound_client client[CLIENTS_MAX];
	int epoll;
	int listener;
	int timer;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Removes what a process that is gone left behind. */
static int stale_remove(const struct sockaddr_un *address)
{
	struct stat st;
	int probe, error;

	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return -errno;
	error = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
	close(probe);
	if (error != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) == 0 ? 0 : -errno;
}

static int listener_create(struct southbound *s, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int error;

	if (len == 0 || len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len + 1);
	error = stale_remove(&address);
	if (error != 0)
		return error;
	s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return -errno;
	/* Before bind(): the file is never there with another mode. */
	if (fchmod(s->listener, 0600) != 0 ||
	    bind(s->listener, (struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	memcpy(s->path, path, len + 1);
	return listen(s->listener, CLIENTS_MAX) == 0 ? 0 : -errno;
}

static int watch(struct southbound *s, int fd, void *what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static int timer_create_periodic(struct southbound *s)
{
	struct itimerspec every = { .it_interval.tv_sec = TICK_S, .it_value.tv_sec = TICK_S };

	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer < 0 || timerfd_settime(s->timer, 0, &every, NULL) != 0)
		return -errno;
	return 0;
}

static int server_create(struct southbound *s, struct gateway *gw, const char *path)
{
	int error;

	s->shared.gw = gw;
	s->shared.buffer = secret_alloc(ABI_MESSAGE_MAX);
	if (s->shared.buffer == NULL)
		return -ENOMEM;
	error = apply_create(gw, &s->shared.apply);
	if (error != 0)
		return error;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		return -errno;
	error = timer_create_periodic(s);
	if (error == 0)
		error = listener_create(s, path);
	if (error == 0)
		error = watch(s, s->timer, &s->timer);
	if (error == 0)
		error = watch(s, s->listener, &s->listener);
	return error;
}

int southbound_create(struct gateway *gw, const char *path, struct southbound **out)
{
	struct southbound *s = calloc(1, sizeof(*s));
	int error;

	if (s == NULL)
		return -ENOMEM;
	s->epoll = s->listener = s->timer = -1;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		s->client[i].fd = -1;
	error = server_create(s, gw, path);
	if (error != 0) {
		log_error("southbound socket %s: %s", path,
			  error == -EADDRINUSE ? "another kaido-dataplane listens there"
			  : error == -EEXIST   ? "there is something else than a socket"
					       : strerror(-error));
		southbound_destroy(s);
		return error;
	}
	*out = s;
	return 0;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void southbound_destroy(struct southbound *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (s->client[i].fd >= 0)
			client_close(&s->shared, &s->client[i]);
	if (s->path[0] != '\0')
		unlink(s->path);
	close_if_open(s->listener);
	close_if_open(s->timer);
	close_if_open(s->epoll);
	apply_destroy(s->shared.apply);
	secret_free(s->shared.buffer, ABI_MESSAGE_MAX);
	free(s);
}

int southbound_fd(const struct southbound *s)
{
	return s->epoll;
}

/* Root, or who runs the dataplane. */
static bool peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static struct southbound_client *client_free_slot(struct southbound *s)
{
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (s->client[i].fd < 0)
			return &s->client[i];
	return NULL;
}

/* Reads while nothing waits to be written. */
static void client_run(struct southbound *s, struct southbound_client *c, uint64_t now)
{
	struct epoll_event ev = { .data.ptr = c };

	if (!client_process(&s->shared, c, now)) {
		client_close(&s->shared, c);
		return;
	}
	ev.events = c->out.first != NULL ? EPOLLOUT : EPOLLIN;
	epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

/* A refusal that no slot is needed for: one small message, which a new socket takes. */
static void turn_away(struct southbound *s, int fd, int error, const char *text)
{
	struct southbound_client c;

	client_open(&c, fd, 0);
	client_refuse(&s->shared, &c, error, text);
	(void)out_queue_send(&c.out, fd);
	client_close(&s->shared, &c);
}

static void accept_all(struct southbound *s, uint64_t now)
{
	const int size = SEND_BUFFER;
	struct southbound_client *c;
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		/* Best effort: with less it only takes more turns. */
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		c = client_free_slot(s);
		if (!peer_allowed(fd)) {
			turn_away(s, fd, -EPERM,
				  "only root and the dataplane's own user may "
				  "connect");
		} else if (c == NULL) {
			turn_away(s, fd, -EBUSY, "too many clients: disconnect another one");
		} else {
			client_open(c, fd, now);
			if (watch(s, fd, c) != 0)
				client_close(&s->shared, c);
		}
	}
}

static void tick(struct southbound *s, uint64_t now)
{
	uint64_t expirations;

	if (read(s->timer, &expirations, sizeof(expirations)) < 0)
		return;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct southbound_client *c = &s->client[i];

		if (c->fd < 0 || c->out.first == NULL || now - c->progress < READ_TIMEOUT_MS)
			continue;
		log_warn("southbound: a client doesn't read its answers and is disconnected");
		client_close(&s->shared, c);
	}
}

void southbound_poll(struct southbound *s)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(s->epoll, events, EVENTS_MAX, 0);
	uint64_t now = now_ms();
	bool news = false;

	for (int i = 0; i < n; i++) {
		struct southbound_client *c = events[i].data.ptr;

		if (events[i].data.ptr == &s->timer)
			tick(s, now);
		else if (events[i].data.ptr == &s->listener)
			news = true;
		else if (c->fd >= 0)
			client_run(s, c, now);
	}
	/* Last: a slot that became free meanwhile has no event of this round any more. */
	if (news)
		accept_all(s, now);
}
