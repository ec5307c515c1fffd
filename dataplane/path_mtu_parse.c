/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP "fragmentation needed" (RFC 792, RFC 1191) and ICMPv6 "packet too big" (RFC 4443 section 3.2)
 * that quote ESP, or ESP in UDP. IPv4 routers may quote no more than 8 bytes behind the header.
 */
#include "path_mtu.h"

#include "abi/message.h"
#include "ip_header.h"

#define PROTO_UDP      17
#define PROTO_FRAGMENT 44
#define PROTO_ESP      50

#define ICMP_UNREACHABLE          3
#define ICMP_FRAGMENTATION_NEEDED 4 /* code */
#define ICMPV6_TOO_BIG            2

#define ICMP_LEN          8
#define UDP_LEN           8
#define QUOTE_LEAST       8 /* RFC 792: behind the header */
#define IPV6_FRAGMENT_LEN 8
#define IPV4_OFFSET_MASK  0x1fff
#define IPV6_OFFSET_MASK  0xfff8

static bool is_too_big(enum ip_family family, const uint8_t *icmp)
{
	if (family == IP_V6)
		return icmp[0] == ICMPV6_TOO_BIG;
	return icmp[0] == ICMP_UNREACHABLE && icmp[1] == ICMP_FRAGMENTATION_NEEDED;
}

/* The quoted IP header. Returns where what it carries begins; 0: it is none, or a later fragment. */
static uint32_t quote_header(struct path_mtu_quote *q, const uint8_t *ip, uint32_t len,
			     uint8_t *protocol)
{
	uint32_t offset;

	if (q->family == IP_V4) {
		offset = len >= IPV4_HEADER_MIN ? (ip[0] & 0xfu) * 4 : 0;
		if (offset < IPV4_HEADER_MIN || ip[0] >> 4 != 4 ||
		    (load_be16(ip + 6) & IPV4_OFFSET_MASK) != 0)
			return 0;
		q->length = load_be16(ip + 2);
		*protocol = ip[9];
	} else {
		offset = IPV6_HEADER_LEN;
		if (len < offset || ip[0] >> 4 != 6)
			return 0;
		q->length = offset + load_be16(ip + 4);
		*protocol = ip[6];
		/* Of what was cut behind ESP (fragment.c). */
		if (*protocol == PROTO_FRAGMENT) {
			if (len < offset + IPV6_FRAGMENT_LEN ||
			    (load_be16(ip + offset + 2) & IPV6_OFFSET_MASK) != 0)
				return 0;
			*protocol = ip[offset];
			offset += IPV6_FRAGMENT_LEN;
		}
	}
	q->source = ip_source(ip, q->family);
	q->destination = ip_destination(ip, q->family);
	return offset;
}

enum path_mtu_verdict path_mtu_parse(enum ip_family family, const uint8_t *icmp, uint32_t len,
				     struct path_mtu_quote *quote)
{
	const uint8_t *ip = icmp + ICMP_LEN, *esp;
	struct path_mtu_quote q = { .family = family };
	uint32_t offset, left;
	uint8_t protocol = 0;

	if (len < ICMP_LEN)
		return PATH_MTU_MALFORMED;
	if (!is_too_big(family, icmp))
		return PATH_MTU_NOT_ONE;
	q.mtu = family == IP_V4 ? load_be16(icmp + 6) : __builtin_bswap32(load32(icmp + 4));
	len -= ICMP_LEN;
	offset = quote_header(&q, ip, len, &protocol);
	if (offset == 0 || len < offset + QUOTE_LEAST)
		return PATH_MTU_MALFORMED;
	if (protocol != PROTO_ESP && protocol != PROTO_UDP)
		return PATH_MTU_NOT_ONE;
	esp = ip + offset;
	left = len - offset;
	if (protocol == PROTO_UDP) {
		q.udp = true;
		q.source_port = load_be16(esp);
		q.destination_port = load_be16(esp + 2);
		if (q.source_port != ABI_UDP_PORT)
			return PATH_MTU_NOT_ONE;
		esp += UDP_LEN;
		left -= UDP_LEN;
	}
	q.has_spi = left >= 4;
	q.has_sequence = left >= 8;
	if (q.has_spi)
		q.spi = load32(esp);
	if (q.has_sequence)
		q.sequence = __builtin_bswap32(load32(esp + 4));
	*quote = q;
	return PATH_MTU_LEARNT;
}
