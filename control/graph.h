/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graphs of the history, as PNG or SVG.
 *
 * They are drawn by a program of their own, kaido-graph (graph_main.c): fonts, image libraries and
 * time zones stay out of the process that holds keys and runs the event loop. It is started once,
 * before kaidod forbids itself to start programs, gives up its own rights, and forks for each
 * graph; one that crashes or takes long harms nothing.
 *
 * A request gives a pipe. The caller reads it to its end from its event loop and hands what it
 * read to graph_result().
 */
#ifndef KAIDO_CONTROL_GRAPH_H
#define KAIDO_CONTROL_GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define GRAPH_RESULT_MAX (4u << 20) /* bytes; a pipe that gives more gives no graph of ours */

struct graph_request {
	const char *tenant;   /* name */
	const char *tunnel;   /* name; NULL or empty: the tenant as a whole */
	const char *title;    /* free text, UTF-8; NULL: the names */
	const char *period;   /* 10m, 1h, 1d, 7d, 30d, 13M; NULL: 1d */
	const char *format;   /* png, svg; NULL: png */
	const char *timezone; /* for example Asia/Tokyo; NULL: UTC */
	time_t end;           /* 0: now */
};

struct graph_service;

/*
 * Starts `helper` (a path; NULL: kaido-graph beside the running program, else where it is
 * installed) on the history in `dir`. Negative errno of what failed.
 */
int graph_service_start(const char *helper, const char *dir, struct graph_service **service);
void graph_service_stop(struct graph_service *service);

/* Seconds in a period, or 0 for a word that is none. */
uint32_t graph_period_seconds(const char *period);

/*
 * Asks for a graph. `fd`: the reading end of a pipe, non-blocking, the caller's to close. -EINVAL:
 * a name, period, format or time zone that is none, and `error` (160 bytes do) says which; -EPIPE:
 * the program has died; -EAGAIN: too many requests are waiting.
 */
int graph_start(struct graph_service *service, const struct graph_request *request, int *fd,
		char *error, size_t error_len);

/*
 * Judges what came out of the pipe. 0: `image` points to `image_len` bytes within `data`. -ENOENT:
 * there is no history of that name yet; -EIO: it could not be drawn; `error` is a sentence.
 */
int graph_result(const uint8_t *data, size_t len, const uint8_t **image, size_t *image_len,
		 char *error, size_t error_len);

#endif /* KAIDO_CONTROL_GRAPH_H */
