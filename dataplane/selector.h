/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic selectors: which packets a tunnel may carry, RFC 4301 sections 4.4.1, 5.1 and 5.2 step 4.
 * Each tunnel has one list for both ways and for all SAs that follow each other in it. Only SAs with
 * SA_SELECTORS come here.
 */
#ifndef KAIDO_SELECTOR_H
#define KAIDO_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

struct packet;
struct worker;

/* Local is the tenant's side, remote the peer's; a packet's source is on one of them. */
enum selector_side { SELECTOR_LOCAL = 0, SELECTOR_REMOTE = 1 };

/*
 * What is in the place of a port: the port, or one of these. A range of ports that is any holds all
 * of them, OPAQUE only what is hidden, and every other range only ports.
 */
#define SELECTOR_PORTS  0xffffu  /* the last port */
#define SELECTOR_HIDDEN 0x10000u /* in another piece of the packet, or cut off */
#define SELECTOR_NONE   0x10001u /* the protocol has none */

/*
 * One selector, ready to be compared: of each range, by enum selector_side, the first value and how
 * many follow it. Addresses as in struct ip_addr, `hi` above `lo`.
 */
struct selector {
	unsigned __int128 first[2];
	unsigned __int128 span[2];
	uint32_t port_first[2];
	uint32_t port_span[2];
	uint8_t family;   /* enum ip_family */
	uint8_t protocol; /* 0: any */
	bool source_only; /* the protocol has one port, in the range of its sender's side */
};

/* Never changes once it is in the tables; freed after a grace period. */
struct selectors {
	uint32_t n;
	struct selector v[];
};

/* What selectors look at in a packet. By enum selector_end. */
struct selector_key {
	unsigned __int128 address[2];
	uint32_t port[2]; /* or SELECTOR_HIDDEN, SELECTOR_NONE */
	uint8_t family;   /* enum ip_family */
	uint8_t protocol; /* 0: it is hidden behind headers that can't be walked */
};
enum selector_end { SOURCE = 0, DESTINATION = 1 };

/* `length`: bytes that can be read from l3 on; the IP header has been checked. */
struct selector_key selector_key_of(const uint8_t *l3, enum ip_family family, uint32_t length);

/* How a protocol's ports are to be had. */
enum selector_ports {
	SELECTOR_PORTS_NONE,
	SELECTOR_PORTS_PAIR,     /* the first four bytes: source and destination */
	SELECTOR_PORTS_ICMP,     /* type * 256 + code, RFC 4301 section 4.4.1.1 */
	SELECTOR_PORTS_MOBILITY, /* type * 256 of a mobility header */
};
enum selector_ports selector_ports(uint8_t protocol);

/*
 * May a packet whose source is on the side `source` pass? `length`: bytes that can be read from l3
 * on; the IP header has been checked. An ICMP error that no selector names may pass where the packet
 * that it is about may have come the other way (RFC 4301 section 6.2).
 */
bool selectors_match(const struct selectors *s, const uint8_t *l3, enum ip_family family,
		     uint32_t length, enum selector_side source);

/* The same of p, which goes into or came out of p->tunnel; nothing passes where none are set. */
bool selectors_allow(const struct worker *w, const struct packet *p, enum selector_side source);

#endif /* KAIDO_SELECTOR_H */
