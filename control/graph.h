/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graphs of the history, as PNG or SVG.
 *
 * They are drawn by a program of their own, kaido-graph (graph_main.c): fonts, image libraries and
 * a time zone stay out of the process that holds keys and runs the event loop, and a graph that
 * fails or takes long harms nothing. kaidod starts one per request, reads its pipe from the event
 * loop to the end, and collects its exit status: 0, and what was read is the image; anything else,
 * and it is a sentence that says what was wrong.
 */
#ifndef KAIDO_CONTROL_GRAPH_H
#define KAIDO_CONTROL_GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define GRAPH_IMAGE_MAX (4u << 20) /* bytes; what is longer is no graph of ours */

struct graph_request {
	const char *dir;      /* of the history */
	const char *tenant;   /* name */
	const char *tunnel;   /* name; NULL or empty: the tenant as a whole */
	const char *title;    /* free text, UTF-8 */
	const char *period;   /* 1h, 1d, 7d, 30d, 13M; NULL: 1d */
	const char *format;   /* png, svg; NULL: png */
	const char *timezone; /* for example Asia/Tokyo; NULL: UTC */
	time_t end;           /* 0: now */
};

/* Seconds in a period, or 0 for a word that is none. */
uint32_t graph_period_seconds(const char *period);

/*
 * Starts `helper` (a path; NULL: kaido-graph beside the running program). Gives its pid and the
 * reading end of its pipe, non-blocking; the caller closes the one and waits for the other.
 * -EINVAL: a name, period, format or time zone that is none; -ENOENT: no history of that name yet;
 * else negative errno of posix_spawn.
 */
int graph_spawn(const char *helper, const struct graph_request *request, pid_t *pid, int *fd);

/* The same, waiting for the end. `data` is to be freed by the caller. -EIO: `error` says why. */
int graph_render(const char *helper, const struct graph_request *request, uint8_t **data,
		 size_t *len, char *error, size_t error_len);

#endif /* KAIDO_CONTROL_GRAPH_H */
