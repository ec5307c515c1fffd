/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip_option.h"

#include "ip_header.h"
#include "segments.h"

#define OPTION_END          0
#define OPTION_NOP          1
#define OPTION_LOOSE_ROUTE  131
#define OPTION_STRICT_ROUTE 137

#define PROTO_HOP_BY_HOP  0
#define PROTO_ROUTING     43
#define PROTO_FRAGMENT    44
#define PROTO_DESTINATION 60
#define ROUTING_TYPE_0    0

static bool ipv4_source_routed(const uint8_t *l3)
{
	uint32_t end = (l3[0] & 0xfu) * 4, i = IPV4_HEADER_MIN;

	while (i < end && l3[i] != OPTION_END) {
		if (l3[i] == OPTION_LOOSE_ROUTE || l3[i] == OPTION_STRICT_ROUTE)
			return true;
		if (l3[i] == OPTION_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= end || l3[i + 1] < 2)
			return false;
		i += l3[i + 1];
	}
	return false;
}

/*
 * However many headers there are: each is at least 8 bytes long. A chain that is longer than a buffer
 * can't be looked at, and hides something.
 */
static bool ipv6_source_routed(const uint8_t *l3, uint32_t avail, uint32_t length)
{
	uint32_t at = IPV6_HEADER_LEN;
	uint8_t proto = l3[6];

	while (at + 8 <= avail) {
		const uint8_t *header = l3 + at;

		switch (proto) {
		case PROTO_ROUTING:
			if (header[2] == ROUTING_TYPE_0 && header[3] != 0)
				return true;
			at += 8u + header[1] * 8u;
			break;
		case PROTO_HOP_BY_HOP:
		case PROTO_DESTINATION:
			at += 8u + header[1] * 8u;
			break;
		case PROTO_FRAGMENT: /* what is behind it in a later piece is no header */
			if ((load_be16(header + 2) & 0xfff8) != 0)
				return false;
			at += 8;
			break;
		default:
			return false;
		}
		proto = header[0];
	}
	return at + 8 <= length;
}

bool ip_source_routed(struct packet *p)
{
	uint32_t avail = packet_gather(p); /* and so p->l3 is another one */

	return p->family == IP_V4 ? ipv4_source_routed(p->l3)
				  : ipv6_source_routed(p->l3, avail, p->length);
}
