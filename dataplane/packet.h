/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet on its way through the walks: what the stages know about an mbuf. One descriptor per
 * mbuf of a burst, in the worker; never shared between threads. The tenant is set once, by
 * classification (or by the SA that the packet arrived on), and no later stage changes it.
 */
#ifndef KAIDO_PACKET_H
#define KAIDO_PACKET_H

#include <assert.h>
#include <stdint.h>

#include "abi/message.h"
#include "drop.h"
#include "ip.h"

#define BURST_MAX 64

struct rte_mbuf;

enum packet_flags {
	PACKET_ORIGINATED = 1u << 0, /* made or turned round here: counts as originated, not out */
	PACKET_NO_COUNT = 1u << 2,   /* a frame of the host's: only the port counts it */
	PACKET_DUMMY = 1u << 2, /* the same, on the way into a tunnel: it is empty, see dummy.h */
	PACKET_UDP = 1u << 1,   /* ESP that came in UDP */
	PACKET_FRAGMENT = 1u << 3,   /* was cut here, and isn't cut again */
	PACKET_CUT_SEALED = 1u << 4, /* must get through, and is to be cut once it is encrypted */
	PACKET_UDP_SUM = 1u << 5,    /* outbound: wants a UDP checksum when it is encrypted */
	PACKET_PIECE = 1u << 6,      /* of what was cut once it was encrypted: the underlay's */
	PACKET_SEGMENTS = 1u << 7,   /* lies in several buffers, see segments.h */
};

struct packet {
	struct rte_mbuf *mbuf;
	uint8_t *l3; /* IP header of the packet as it is now: outer, later inner, or the reverse */
	union sa *sa;
	uint64_t sequence; /* ESP */
	uint32_t tenant;
	uint32_t tunnel; /* the one it came out of or goes into; 0: none */
	uint32_t sa_id;
	uint32_t route;        /* value, see vrf.h */
	uint32_t attachment;   /* it came in by, or goes out by at the end; 0: none */
	uint16_t length;       /* bytes from l3 on */
	uint16_t inner_length; /* outbound: of the packet that was encrypted */
	union {
		uint16_t outer_length; /* inbound: of the packet as it arrived */
		uint16_t generation;   /* between threads: handoff_generation() when it left */
	};
	uint8_t rx_port;
	uint8_t family; /* enum ip_family of l3 */
	uint8_t reason; /* enum drop_reason */
	uint8_t walk;   /* enum abi_trace_walk */
	uint8_t flags;
	union {
		uint8_t esp_offset; /* inbound: from l3 to the ESP header */
		uint8_t outer;      /* outbound: which of the SA's two templates it takes */
	};
};
static_assert(sizeof(struct packet) == 64, "a descriptor is one cache line");

/* A stage takes one list and leaves survivors in order in another (or the same). */
struct packet_list {
	uint32_t n;
	struct packet *p[BURST_MAX];
};

static inline void packet_push(struct packet_list *list, struct packet *p)
{
	list->p[list->n++] = p;
}

#endif /* KAIDO_PACKET_H */
