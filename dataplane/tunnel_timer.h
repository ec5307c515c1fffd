/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tunnels that must not be silent for long: with NAT keepalives (RFC 3948 section 2.3) or dummy
 * packets (RFC 4303 section 2.6). Each is looked at a few times per interval, by its counters; tunnels
 * that have neither are never looked at.
 *
 * Owner and only caller: the main lcore.
 */
#ifndef KAIDO_TUNNEL_TIMER_H
#define KAIDO_TUNNEL_TIMER_H

#include <stdint.h>

struct gateway;
struct tunnel_timer;

/* gw->tunnel_timer; where that is NULL the functions below do nothing. -ENOMEM. */
int tunnel_timer_create(struct gateway *gw);
void tunnel_timer_destroy(struct gateway *gw);

/* The tunnel's record has changed, come or gone. */
void tunnel_timer_update(struct gateway *gw, uint32_t tunnel);

/*
 * Sends what is due by now: once for an interval in which nothing was sent, at most a quarter of the
 * shorter interval late. A bounded part of the work; the next call does the rest. `now_ms` never
 * goes back.
 */
void tunnel_timer_poll(struct gateway *gw, uint64_t now_ms);

#endif /* KAIDO_TUNNEL_TIMER_H */
