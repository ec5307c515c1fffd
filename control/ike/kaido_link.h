/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to kaidod: a line is a message, both ways. Nothing here blocks but link_wait(). What was
 * read or is unread is wiped, for it may be secrets; what is written is the caller's.
 */
#ifndef KAIDO_LINK_H
#define KAIDO_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct kaido_link {
	int fd;   /* -1: none */
	int wake; /* an eventfd: somebody wants the thread */
	char *in;
	size_t in_size;
	size_t in_start, in_end; /* what was read and not consumed */
	size_t scanned;          /* there is no end of line before this */
	const char *out;         /* being written; NULL: nothing is */
	size_t out_left;
};

int link_init(struct kaido_link *link);
void link_fini(struct kaido_link *link);

/* Negative errno. */
int link_connect(struct kaido_link *link, const char *path);
void link_close(struct kaido_link *link);
/* Ends link_wait(), from any thread. */
void link_wake(struct kaido_link *link);

/* Until there is something to read or room to write (if there is something to be written), a wake or the time is over. */
void link_wait(struct kaido_link *link, int timeout_ms);
/* Begins to write a line, which stays the caller's until link_flush() says that it is out. */
void link_send(struct kaido_link *link, const char *line, size_t length);
/* 1: all is out, 0: not yet, negative errno: the connection is gone. */
int link_flush(struct kaido_link *link);
/* Reads what is there. 0, or negative errno: the connection is gone. */
int link_fill(struct kaido_link *link);
/* The next line that has come, without its end; NULL: none is whole. link_consume() then wipes it. */
char *link_line(struct kaido_link *link, size_t *length);
void link_consume(struct kaido_link *link, size_t length);

#endif
