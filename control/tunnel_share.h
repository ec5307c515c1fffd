/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of tunnels, each at a place of its own. Copies share all that they have in common, so that
 * one of ten thousand tunnels is replaced without a look at the others.
 */
#ifndef KAIDO_CONTROL_TUNNEL_SHARE_H
#define KAIDO_CONTROL_TUNNEL_SHARE_H

#include <stdint.h>

struct tunnel;
struct tunnel_share;

/* A copy of one, or one without tunnels (NULL), with places 0 .. `places` - 1 at least. NULL: no memory. */
struct tunnel_share *tunnel_share_create(const struct tunnel_share *like, uint32_t places);
void tunnel_share_destroy(struct tunnel_share *share);
/* Takes the reference, also where it fails with -ENOMEM. NULL: nothing stands there any more. */
int tunnel_share_put(struct tunnel_share *share, uint32_t place, struct tunnel *tunnel);

#endif /* KAIDO_CONTROL_TUNNEL_SHARE_H */
