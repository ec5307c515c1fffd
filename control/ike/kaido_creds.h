/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The secrets that kaidod gives, as charon's credential set, and who may not log in for now. A secret belongs to
 * one identity of the gateway AND one of the peer; charon's own sets take one where either fits, by which a user
 * of one tenant could log in at another.
 */
#ifndef KAIDO_CREDS_H
#define KAIDO_CREDS_H

#include <jansson.h>

#include "kaido.h"

struct kaido_creds *kaido_creds_create(void);
void kaido_creds_destroy(struct kaido_creds *creds);
credential_set_t *kaido_creds_set(struct kaido_creds *creds);

/* Params of ike.secrets, in the place of all there were. False: they make no sense; nothing has changed. */
bool kaido_creds_replace(struct kaido_creds *creds, json_t *params);

/* May the peer not log in? */
bool kaido_creds_locked(struct kaido_creds *creds, ike_sa_t *ike_sa);
/* The EAP identity of an IKE SA's peer, in the middle of its login too; NULL: none. */
identification_t *kaido_user_of(ike_sa_t *ike_sa);

#endif
