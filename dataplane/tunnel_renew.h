/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * New outer headers for a tunnel in use. Workers copy the header template of an outbound SA without a
 * lock, so it can't be rewritten under them, and the SA can't be doubled, for its sequence number
 * must exist once. So each SA has two templates: the idle one is filled and becomes the active one by
 * a single store, and no packet is lost. The one that was active is idle when a grace period has
 * passed. A change that comes before that waits for it; of several the last counts.
 *
 * Only caller: the main lcore.
 */
#ifndef KAIDO_TUNNEL_RENEW_H
#define KAIDO_TUNNEL_RENEW_H

#include <stdint.h>

struct gateway;

/* Part of a tunnel's object. */
enum renewal {
	RENEWAL_NONE,
	RENEWAL_GRACE, /* what was active may still be read */
	RENEWAL_AGAIN, /* and they are out of date by now */
};

/* As the record, and where the peer is, want it. */
void tunnel_renew(struct gateway *gw, uint32_t tunnel);

#endif /* KAIDO_TUNNEL_RENEW_H */
