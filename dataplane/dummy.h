/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dummy packets on a worker (RFC 4303 section 2.6): they take the way of any packet into the tunnel, a
 * sequence number included, so that nobody can tell them apart. Only the SA's counters and those of
 * the underlay's attachment have them; the tenant's have them as originated.
 */
#ifndef KAIDO_DUMMY_H
#define KAIDO_DUMMY_H

#include "segments.h"
#include "vrf.h"
#include "worker.h"

#define NEXT_HEADER_DUMMY 59

/* From the main lcore. Its tunnel may have become another tenant's meanwhile. */
static inline void dummy_take(struct worker *w, struct packet *p)
{
	uint32_t tunnel = route_index(p->route);

	if (w->tables->tunnel[tunnel].tenant != p->tenant) {
		packet_drop(w, p, DROP_detached);
		return;
	}
	p->route = route_value(ROUTE_KIND_TUNNEL, tunnel);
	packet_push(&w->encap, p);
}

/* What makes a packet a dummy, before it is encrypted. It is none of its tunnel's from here on. */
static inline void dummy_mark(struct packet *p)
{
	/* The last byte before the ICV, in whatever buffer it lies. */
	const uint8_t *next_header = packet_read(p, p->length - AEAD_TAG_LEN - 1u, 1, NULL);

	*(uint8_t *)(uintptr_t)next_header = NEXT_HEADER_DUMMY;
	p->tunnel = 0;
	p->flags &= (uint8_t)~PACKET_DUMMY;
}

#endif /* KAIDO_DUMMY_H */
