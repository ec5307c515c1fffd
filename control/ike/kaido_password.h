/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * EAP-MSCHAPv2 (RFC 2759) lets a peer try another password under the same IKE SA, and charon raises no alert
 * for the wrong one; most clients then go away without a word. So that each counts towards a lockout, it is read off the
 * messages.
 */
#ifndef KAIDO_PASSWORD_H
#define KAIDO_PASSWORD_H

#include <daemon.h>

enum password_step {
	PASSWORD_NONE,    /* nothing of it */
	PASSWORD_GUESSED, /* the peer answers a challenge */
	PASSWORD_WRONG,   /* the gateway says so */
};

/* Of a message in the clear. */
enum password_step password_step(message_t *message, bool incoming);

#endif
