/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tunnel without an outbound SA that has something to send: with ABI_TUNNEL_ACQUIRE the control
 * plane hears of it and may have one negotiated (RFC 4301 section 4.4.1, the PROTECT action without an
 * SA). The packet is lost; who sent it sends again.
 *
 * Told once a second and tunnel, whoever sends how much: workers write to a tunnel's entry only when
 * they tell of it. Each worker has a rate over all tunnels besides, so that many of them can't fill its ring.
 */
#ifndef KAIDO_ACQUIRE_H
#define KAIDO_ACQUIRE_H

#include <stdbool.h>
#include <stdint.h>

struct event_note;
struct gateway;
struct packet;
struct worker;

/* Of a tunnel. dataplane: `ready`; control: the rest */
struct acquire {
	uint64_t ready; /* TSC: nothing is told before; atomic */
	uint64_t
		since; /* TSC: `wanted` was set; older notes are about another tunnel with this id */
	uint8_t wanted;
	uint8_t selectors; /* only what its selectors name is told of */
	uint8_t pad[6];
};

/* Worker: p of a tenant goes into p->tunnel, which has no SA. */
void acquire_ask(struct worker *w, const struct packet *p);

/* ---- the main lcore ---- */

/* The tunnel's record is new, another one, or gone. */
void acquire_update(struct gateway *gw, uint32_t tunnel);
/* A worker's note. */
void acquire_note(struct gateway *gw, const struct event_note *note);

#endif /* KAIDO_ACQUIRE_H */
