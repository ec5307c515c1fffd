/* SPDX-License-Identifier: BSD-3-Clause */
#include "graph.h"
#include "history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef KAIDO_LIBEXECDIR
#define KAIDO_LIBEXECDIR "/usr/libexec/kaido"
#endif

static const struct {
	const char *name;
	uint32_t seconds;
} periods[] = {
	{ "1h", 3600 },        { "1d", 86400 },        { "7d", 7 * 86400 },
	{ "30d", 30 * 86400 }, { "13M", 397 * 86400 },
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

	if (name[0] == '/' || name[0] == '.' || strstr(name, "..") != NULL || name[0] == '\0')
		return false;
	n = snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	return strcmp(name, "UTC") == 0 ||
	       (n > 0 && (size_t)n < sizeof(path) && access(path, R_OK) == 0);
}

static int request_check(const struct graph_request *request)
{
	char path[4096];
	int rc;

	if ((request->period != NULL && graph_period_seconds(request->period) == 0) ||
	    (request->format != NULL && strcmp(request->format, "png") != 0 &&
	     strcmp(request->format, "svg") != 0) ||
	    (request->timezone != NULL && !timezone_is_known(request->timezone)))
		return -EINVAL;
	rc = history_file_path(path, sizeof(path), request->dir, request->tenant, request->tunnel);
	if (rc < 0)
		return rc;
	return access(path, R_OK) < 0 ? -errno : 0;
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

static int helper_start(const char *helper, char *const argv[], char *const env[], int out,
			pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	sigemptyset(&none);
	sigfillset(&defaults);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(pid, helper, &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

static char *mutable(const char *text)
{
	return (char *)(uintptr_t)text; /* posix_spawn() writes to none of its strings */
}

int graph_spawn(const char *helper, const struct graph_request *request, pid_t *pid, int *fd)
{
	char beside[4096], zone[160], start[24], end_text[24];
	const char *period = request->period != NULL ? request->period : "1d";
	time_t end = request->end != 0 ? request->end : time(NULL);
	char *env[] = { zone, mutable("LANG=C.UTF-8"), mutable("PATH=/usr/bin:/bin"), NULL };
	char *argv[] = {
		mutable("kaido-graph"),
		mutable(request->dir),
		mutable(request->tenant),
		mutable(request->tunnel != NULL ? request->tunnel : ""),
		mutable(request->format != NULL ? request->format : "png"),
		start,
		end_text,
		mutable(request->title != NULL ? request->title : request->tenant),
		NULL,
	};
	int pipes[2], rc;

	rc = request_check(request);
	if (rc < 0)
		return rc;
	if (helper == NULL)
		helper = helper_find(beside, sizeof(beside));
	snprintf(zone, sizeof(zone), "TZ=%s",
		 request->timezone != NULL ? request->timezone : "UTC");
	snprintf(start, sizeof(start), "%lld", (long long)(end - graph_period_seconds(period)));
	snprintf(end_text, sizeof(end_text), "%lld", (long long)end);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	rc = helper_start(helper, argv, env, pipes[1], pid);
	close(pipes[1]);
	if (rc < 0) {
		close(pipes[0]);
		return rc;
	}
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	*fd = pipes[0];
	return 0;
}

/* Reads to the end of `fd`. */
static int pipe_drain(int fd, uint8_t **data, size_t *len)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint8_t *buffer = malloc(GRAPH_IMAGE_MAX);
	size_t used = 0;
	ssize_t n;
	int rc;

	if (buffer == NULL)
		return -ENOMEM;
	while (1) {
		if (used == GRAPH_IMAGE_MAX) {
			rc = -EFBIG;
			break;
		}
		n = read(fd, buffer + used, GRAPH_IMAGE_MAX - used);
		if (n > 0) {
			used += (size_t)n;
		} else if (n == 0) {
			*data = buffer;
			*len = used;
			return 0;
		} else if (errno == EAGAIN) {
			poll(&ready, 1, -1);
		} else if (errno != EINTR) {
			rc = -errno;
			break;
		}
	}
	free(buffer);
	return rc;
}

int graph_render(const char *helper, const struct graph_request *request, uint8_t **data,
		 size_t *len, char *error, size_t error_len)
{
	pid_t pid;
	int fd, status, rc;

	rc = graph_spawn(helper, request, &pid, &fd);
	if (rc < 0) {
		snprintf(error, error_len, "the graph can't be drawn: %s", strerror(-rc));
		return rc;
	}
	rc = pipe_drain(fd, data, len);
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc < 0)
		return rc;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		snprintf(error, error_len, "%.*s", (int)*len, (const char *)*data);
		free(*data);
		return -EIO;
	}
	return 0;
}
