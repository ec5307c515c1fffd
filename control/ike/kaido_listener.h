/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On charon's bus: IKE SAs that come up, change and end become events for kaidod; who is locked out is not
 * authorized. charon holds its bus's lock meanwhile, so nothing here waits.
 */
#ifndef KAIDO_LISTENER_H
#define KAIDO_LISTENER_H

#include "kaido.h"

struct kaido_listener *kaido_listener_create(struct kaido *kaido);
void kaido_listener_destroy(struct kaido_listener *listener);
listener_t *kaido_listener_get(struct kaido_listener *listener);

#endif
