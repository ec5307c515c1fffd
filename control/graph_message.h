/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kaidod says to kaido-graph: one packet of a SOCK_SEQPACKET pair a request, with the writing
 * end of a pipe (SCM_RIGHTS). Both are of one build. Into the pipe goes one line, then its data:
 *
 *     ok <bytes>\n<image>      none <bytes>\n<sentence>      error <bytes>\n<sentence>
 */
#ifndef KAIDO_CONTROL_GRAPH_MESSAGE_H
#define KAIDO_CONTROL_GRAPH_MESSAGE_H

#include <assert.h>
#include <stdint.h>

#include "history.h"

#define GRAPH_SOCKET 0 /* kaido-graph's end of the pair is its standard input */

/* Strings are zero-terminated; a tunnel may be empty. */
struct graph_message {
	int64_t start; /* seconds since 1970 */
	int64_t end;
	char tenant[HISTORY_NAME_LEN];
	char tunnel[HISTORY_NAME_LEN];
	char format[8];
	char timezone[56];
	char title[256];
};
static_assert(sizeof(struct graph_message) == 400, "graph_message is 400 bytes");

#endif /* KAIDO_CONTROL_GRAPH_MESSAGE_H */
