/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of charon's IKE SAs until they are gone: is it up, and why it failed or will end. charon tells
 * of a failure in several alerts, of which the first may say why and a later one that.
 */
#ifndef KAIDO_IKE_H
#define KAIDO_IKE_H

#include <daemon.h>

struct kaido_ikes *kaido_ikes_create(void);
void kaido_ikes_destroy(struct kaido_ikes *ikes);

/* It is up. */
void kaido_ike_up(struct kaido_ikes *ikes, ike_sa_t *ike_sa);
/* It will end, and this is why, if nothing was noted before. */
void kaido_ike_ending(struct kaido_ikes *ikes, ike_sa_t *ike_sa, const char *reason);
/* It is down, and why it ended. NULL: it was not up. */
const char *kaido_ike_down(struct kaido_ikes *ikes, ike_sa_t *ike_sa);

/* Is this the first failure of one that is not up? Of one that is, each counts. */
bool kaido_ike_first_failure(struct kaido_ikes *ikes, ike_sa_t *ike_sa);
/* Why the peer's certificate was rejected. */
void kaido_ike_certificate(struct kaido_ikes *ikes, ike_sa_t *ike_sa, const char *reason);
const char *kaido_ike_certificate_of(struct kaido_ikes *ikes, ike_sa_t *ike_sa);
/* The peer has sent a password (not told), or was told that it is wrong, and so was kaidod. */
void kaido_ike_guess(struct kaido_ikes *ikes, ike_sa_t *ike_sa, bool told);
bool kaido_ike_guess_is_told(struct kaido_ikes *ikes, ike_sa_t *ike_sa);

/* It is gone. */
void kaido_ike_forget(struct kaido_ikes *ikes, ike_sa_t *ike_sa);

#endif
