/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client of charon's control interface: requests over a Unix socket, answered in order, one at a
 * time as vici wants it. It connects by itself, and again when the connection is lost.
 */
#ifndef KAIDO_CONTROL_VICI_H
#define KAIDO_CONTROL_VICI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vici_message.h"

struct event_base;
struct vici;

struct vici_hooks {
	void *context;
	void (*up)(void *context);
	/* The connection is lost, or could not be made (then not told again until it is up). */
	void (*down)(void *context, const char *why);
};

/*
 * error: 0, -ENOTCONN (the connection was lost), -ENOENT (charon doesn't know the command), or -EPERM:
 * charon said no, `text` is why. `message` is charon's answer, borrowed, a whole message.
 */
typedef void (*vici_answer)(void *context, int error, const char *text, const uint8_t *message,
			    size_t size);

/* `path` is borrowed. NULL: out of memory. */
struct vici *vici_create(struct event_base *base, const char *path, const struct vici_hooks *hooks);
/* Nothing is answered any more. */
void vici_destroy(struct vici *vici);
/* From now on there is a connection, as far as charon runs. */
void vici_start(struct vici *vici);
bool vici_is_up(const struct vici *vici);

/* Takes what `message` holds (NULL: nothing), also on errors: -ENOTCONN, -EMSGSIZE, -ENOMEM. */
int vici_request(struct vici *vici, const char *command, struct vici_message *message,
		 vici_answer answer, void *context);

#endif /* KAIDO_CONTROL_VICI_H */
