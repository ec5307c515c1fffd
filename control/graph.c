/* SPDX-License-Identifier: BSD-3-Clause */
#include "graph.h"
#include "graph_message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef KAIDO_LIBEXECDIR
#define KAIDO_LIBEXECDIR "/usr/libexec/kaido"
#endif

struct graph_service {
	int socket;
	pid_t pid;
};

static const struct {
	const char *name;
	uint32_t seconds;
} periods[] = {
	{ "10m", 600 },      { "1h", 3600 },        { "1d", 86400 },
	{ "7d", 7 * 86400 }, { "30d", 30 * 86400 }, { "13M", 397 * 86400 },
};

uint32_t graph_period_seconds(const char *period)
{
	size_t i;

	for (i = 0; i < sizeof(periods) / sizeof(periods[0]); i++)
		if (strcmp(period, periods[i].name) == 0)
			return periods[i].seconds;
	return 0;
}

/* A zone of the tz database, never a path out of it nor a rule of its own. */
static bool timezone_is_known(const char *name)
{
	char path[128];
	int n;

	if (strcmp(name, "UTC") == 0)
		return true;
	if (name[0] < 'A' || name[0] > 'Z' || strstr(name, "..") != NULL)
		return false;
	n = snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	return n > 0 && (size_t)n < sizeof(path) && access(path, R_OK) == 0;
}

/* kaido-graph stands beside the running program in a build folder, else where it is installed. */
static const char *helper_find(char *path, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", path, len - 1);
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash != NULL && (size_t)(slash - path) + sizeof("/kaido-graph") <= len) {
			snprintf(slash, len - (size_t)(slash - path), "/kaido-graph");
			if (access(path, X_OK) == 0)
				return path;
		}
	}
	return KAIDO_LIBEXECDIR "/kaido-graph";
}

static char *writable(const char *text)
{
	return (char *)(uintptr_t)text; /* posix_spawn() writes to none of its strings */
}

static int helper_start(const char *helper, const char *dir, int socket, pid_t *pid)
{
	char *argv[] = { writable("kaido-graph"), writable(dir), NULL };
	char *env[] = { writable("LANG=C.UTF-8"), writable("PATH=/usr/bin:/bin"), NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&actions, socket, GRAPH_SOCKET);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0); /* Ctrl-C at kaidod ends it through the socket */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn(pid, helper, &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

int graph_service_start(const char *helper, const char *dir, struct graph_service **out)
{
	struct graph_service *service;
	char beside[4096];
	int pair[2], rc;

	if (helper == NULL)
		helper = helper_find(beside, sizeof(beside));
	service = calloc(1, sizeof(*service));
	if (service == NULL)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		rc = -errno;
		goto free_service;
	}
	rc = helper_start(helper, dir, pair[1], &service->pid);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		goto free_service;
	}
	service->socket = pair[0];
	*out = service;
	return 0;
free_service:
	free(service);
	return rc;
}

void graph_service_stop(struct graph_service *service)
{
	if (service == NULL)
		return;
	close(service->socket);
	while (waitpid(service->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(service);
}

static int refuse(char *error, size_t len, const char *what, const char *why)
{
	snprintf(error, len, "'%.60s' %s", what, why);
	return -EINVAL;
}

static int message_fill(struct graph_message *message, const struct graph_request *request,
			char *error, size_t len)
{
	const char *period = request->period != NULL ? request->period : "1d";
	const char *format = request->format != NULL ? request->format : "png";
	const char *zone = request->timezone != NULL ? request->timezone : "UTC";
	const char *tunnel = request->tunnel != NULL ? request->tunnel : "";
	uint32_t seconds = graph_period_seconds(period);

	if (history_name_check(request->tenant) < 0)
		return refuse(error, len, request->tenant, "is no name of a tenant");
	if (tunnel[0] != '\0' && history_name_check(tunnel) < 0)
		return refuse(error, len, tunnel, "is no name of a tunnel");
	if (seconds == 0)
		return refuse(error, len, period, "is no period; use 10m, 1h, 1d, 7d, 30d or 13M");
	if (strcmp(format, "png") != 0 && strcmp(format, "svg") != 0)
		return refuse(error, len, format, "is no format; use png or svg");
	if (strlen(zone) >= sizeof(message->timezone) || !timezone_is_known(zone))
		return refuse(error, len, zone, "is no time zone; try UTC or Asia/Tokyo");
	memset(message, 0, sizeof(*message));
	message->end = request->end != 0 ? request->end : time(NULL);
	message->start = message->end - seconds;
	snprintf(message->tenant, sizeof(message->tenant), "%s", request->tenant);
	snprintf(message->tunnel, sizeof(message->tunnel), "%s", tunnel);
	snprintf(message->format, sizeof(message->format), "%s", format);
	snprintf(message->timezone, sizeof(message->timezone), "%s", zone);
	if (request->title != NULL)
		snprintf(message->title, sizeof(message->title), "%s", request->title);
	else
		snprintf(message->title, sizeof(message->title), "%s%s%s", request->tenant,
			 tunnel[0] != '\0' ? "/" : "", tunnel);
	return 0;
}

static int message_send(int socket, struct graph_message *message, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { message, sizeof(*message) };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int graph_start(struct graph_service *service, const struct graph_request *request, int *fd,
		char *error, size_t error_len)
{
	struct graph_message message;
	int pipes[2], rc;

	rc = message_fill(&message, request, error, error_len);
	if (rc < 0)
		return rc;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	rc = message_send(service->socket, &message, pipes[1]);
	close(pipes[1]);
	if (rc < 0) {
		snprintf(error, error_len, "%s",
			 rc == -EAGAIN ? "too many graphs are being drawn; try again"
				       : "kaido-graph has ended; restart kaidod");
		close(pipes[0]);
		return rc;
	}
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	*fd = pipes[0];
	return 0;
}

int graph_result(const uint8_t *data, size_t len, const uint8_t **image, size_t *image_len,
		 char *error, size_t error_len)
{
	const uint8_t *end = memchr(data, '\n', len < 32 ? len : 32);
	char word[8], line[33];
	size_t bytes = 0, head;

	head = end == NULL ? 0 : (size_t)(end - data);
	memcpy(line, data, head);
	line[head] = '\0';
	if (end == NULL || sscanf(line, "%7[a-z] %zu", word, &bytes) != 2 ||
	    bytes != len - head - 1) {
		snprintf(error, error_len, "kaido-graph ended before the graph was done");
		return -EIO;
	}
	if (strcmp(word, "ok") == 0) {
		*image = end + 1;
		*image_len = bytes;
		return 0;
	}
	snprintf(error, error_len, "%.*s", (int)bytes, (const char *)end + 1);
	return strcmp(word, "none") == 0 ? -ENOENT : -EIO;
}
