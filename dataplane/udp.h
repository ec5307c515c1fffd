/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP around ESP (RFC 3948). */
#ifndef KAIDO_UDP_H
#define KAIDO_UDP_H

#include "ip_header.h"
#include "packet.h"
#include "segments.h"
#include "upper.h"

#define UDP_HEADER_LEN 8

#define KEEPALIVE     0xff /* all that a NAT keepalive holds, RFC 3948 section 2.3 */
#define KEEPALIVE_LEN 1

/*
 * Over IPv6 UDP must have a checksum (RFC 8200 section 8.1); hosts drop what has none. It covers the
 * ciphertext, so it comes last. Over IPv4 it stays 0, as RFC 3948 section 2.1 wants.
 */
static inline void udp_checksum_ipv6(const struct packet *p)
{
	uint32_t len = p->length - (uint32_t)IPV6_HEADER_LEN;
	uint64_t pseudo =
		checksum_sum(p->l3 + 8, 32, __builtin_bswap32(len)) + ((uint64_t)PROTO_UDP << 24);
	uint16_t sum = (uint16_t)~checksum_fold(packet_sum(p, IPV6_HEADER_LEN, len, pseudo));

	store16(p->l3 + IPV6_HEADER_LEN + 6, sum != 0 ? sum : 0xffff);
}

#endif /* KAIDO_UDP_H */
