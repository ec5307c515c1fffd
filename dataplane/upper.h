/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands behind the IP header, or behind IPv6 extension headers (RFC 8200 section 4). The IP
 * header has been checked (ip_header_check()); nothing behind it has.
 */
#ifndef KAIDO_UPPER_H
#define KAIDO_UPPER_H

#include <rte_branch_prediction.h>

#include "ip_header.h"

#define PROTO_HOP_BY_HOP  0
#define PROTO_ICMP        1
#define PROTO_TCP         6
#define PROTO_UDP         17
#define PROTO_ROUTING     43
#define PROTO_FRAGMENT    44
#define PROTO_ESP         50
#define PROTO_ICMPV6      58
#define PROTO_DESTINATION 60

#define ND_FIRST 133 /* ICMPv6: router solicitation ... redirect */
#define ND_LAST  137

#define EXTENSIONS 6 /* as many as the steering program walks */

struct upper {
	uint32_t offset; /* from the IP header; may lie behind the end of the packet */
	uint8_t proto;
	bool fragment; /* `proto` is what was cut up; only a first piece shows more of it */
	bool later;    /* a piece that isn't the first: what stands at `offset` is no header */
};

static inline bool upper_is_extension(uint8_t proto)
{
	return proto == PROTO_HOP_BY_HOP || proto == PROTO_ROUTING || proto == PROTO_FRAGMENT ||
	       proto == PROTO_DESTINATION;
}

/* Walks at most EXTENSIONS headers that lie within `length`. What can't be walked stays `proto`. */
static inline void upper_ipv6_extensions(const uint8_t *l3, uint32_t length, struct upper *u)
{
	for (uint32_t i = 0; i < EXTENSIONS && upper_is_extension(u->proto); i++) {
		const uint8_t *header = l3 + u->offset;

		if (u->offset + 8u > length)
			return;
		if (u->proto == PROTO_FRAGMENT) {
			uint16_t place = load_be16(header + 2);

			u->fragment = u->fragment || (place & 0xfff9) != 0;
			u->later = u->later || (place & 0xfff8) != 0;
			u->offset += 8;
		} else {
			u->offset += 8u + header[1] * 8u;
		}
		u->proto = header[0];
		if (u->later)
			return;
	}
}

/* `length`: bytes that can be read from l3 on, the IP header at least. */
static inline struct upper upper_find(const uint8_t *l3, enum ip_family family, uint32_t length)
{
	struct upper u = { .offset = IPV6_HEADER_LEN, .proto = l3[6] };
	uint16_t place;

	if (family == IP_V4) {
		place = load_be16(l3 + 6);
		u.offset = (l3[0] & 0xfu) * 4;
		u.proto = l3[9];
		u.fragment = (place & 0x3fff) != 0;
		u.later = (place & 0x1fff) != 0;
	} else if (unlikely(u.proto != PROTO_ESP && u.proto != PROTO_UDP)) {
		upper_ipv6_extensions(l3, length, &u);
	}
	return u;
}

#endif /* KAIDO_UPPER_H */
