/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP headers in packets: what must hold before a header is believed (RFC 791, RFC 8200), and the few
 * fields that forwarding changes.
 */
#ifndef KAIDO_IP_HEADER_H
#define KAIDO_IP_HEADER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "drop.h"
#include "ip.h"

#define IPV4_HEADER_MIN 20
#define IPV6_HEADER_LEN 40
#define IPV4_LEAST_MTU  68   /* RFC 791: what every link carries */
#define IPV6_LEAST_MTU  1280 /* RFC 8200 section 5 */

static inline uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t load_be16(const uint8_t *p)
{
	return __builtin_bswap16(load16(p));
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void store16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
	store16(p, __builtin_bswap16(v));
}

static inline void store32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void store64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* One's complement: folds a sum of 16-bit words (as loaded, in either byte order). */
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Sum over `len` bytes; words as they are loaded. */
uint64_t checksum_sum(const uint8_t *p, uint32_t len, uint64_t sum);

/* Of an ICMP message, or of an ICMPv6 one with its pseudo-header (RFC 4443 section 2.3). */
bool icmp_checksum_is_right(const uint8_t *l3, enum ip_family family, const uint8_t *icmp,
			    uint32_t len);

static inline uint64_t ipv4_checksum_sum(const uint8_t *l3, uint32_t header_len)
{
	uint64_t sum = (uint64_t)load32(l3) + load32(l3 + 4) + load32(l3 + 8) + load32(l3 + 12) +
		       load32(l3 + 16);

	if (__builtin_expect(header_len != IPV4_HEADER_MIN, 0))
		for (uint32_t i = IPV4_HEADER_MIN; i < header_len; i += 4)
			sum += load32(l3 + i);
	return sum;
}

/*
 * Checks the header at l3 with `avail` bytes behind it. DROP_NONE: *length is the packet's length by
 * its own account, at most `avail`.
 */
static inline enum drop_reason ip_header_check(const uint8_t *l3, uint32_t avail,
					       enum ip_family family, bool checksum_known_good,
					       uint16_t *length)
{
	uint32_t header_len, total;

	if (family == IP_V4) {
		if (avail < IPV4_HEADER_MIN)
			return DROP_frame_short;
		header_len = IPV4_HEADER_MIN;
		total = load_be16(l3 + 2);
		if (__builtin_expect(l3[0] != 0x45, 0)) {
			header_len = (l3[0] & 0xfu) * 4;
			if (l3[0] >> 4 != 4 || header_len < IPV4_HEADER_MIN)
				return DROP_ip_header;
		}
		if (header_len > total)
			return DROP_ip_header;
		if (total > avail)
			return DROP_frame_short;
		/* One's complement 0xffff, which is to say a multiple of it: the sum isn't 0. */
		if (!checksum_known_good && ipv4_checksum_sum(l3, header_len) % 0xffff != 0)
			return DROP_ip_checksum;
	} else {
		if (avail < IPV6_HEADER_LEN)
			return DROP_frame_short;
		total = IPV6_HEADER_LEN + load_be16(l3 + 4);
		if (l3[0] >> 4 != 6)
			return DROP_ip_header;
		if (total > avail)
			return DROP_frame_short;
	}
	*length = (uint16_t)total;
	return DROP_NONE;
}

static inline struct ip_addr ip_source(const uint8_t *l3, enum ip_family family)
{
	return ip_load(family, family == IP_V4 ? l3 + 12 : l3 + 8);
}

static inline struct ip_addr ip_destination(const uint8_t *l3, enum ip_family family)
{
	return ip_load(family, family == IP_V4 ? l3 + 16 : l3 + 24);
}

/* Multicast, and for IPv4 also class E and the limited broadcast. */
static inline bool ip_is_multicast(struct ip_addr a, enum ip_family family)
{
	return family == IP_V4 ? a.hi >> 61 == 7 : a.hi >> 56 == 0xff;
}

static inline bool ipv6_is_link_local(struct ip_addr a)
{
	return a.hi >> 54 == 0xfe80 >> 6;
}

/* An address that no packet on a wire may come from. */
static inline bool ip_bad_source(struct ip_addr a, enum ip_family family)
{
	if (ip_is_multicast(a, family))
		return true;
	if (family == IP_V4)
		return a.hi >> 56 == 127 || a.hi >> 56 == 0;
	return a.hi == 0 && a.lo <= 1;
}

/* One hop further. False: it must not go on. */
static inline bool ip_hop(uint8_t *l3, enum ip_family family)
{
	uint8_t *hops = family == IP_V4 ? l3 + 8 : l3 + 7;
	uint32_t sum;

	if (*hops <= 1)
		return false;
	*hops -= 1;
	if (family == IP_V4) {
		/* The word of TTL and protocol fell by 0x0100, so the checksum rises by it
		 * (RFC 1624); 0x0001 in the order in which it is loaded here. */
		sum = (uint32_t)load16(l3 + 10) + 1;
		store16(l3 + 10, (uint16_t)(sum + (sum >> 16)));
	}
	return true;
}

/* What a link must carry, and so a tunnel. */
static inline uint32_t ip_least_mtu(enum ip_family family)
{
	return family == IP_V4 ? IPV4_LEAST_MTU : IPV6_LEAST_MTU;
}

/* DSCP and ECN. */
static inline uint8_t ip_traffic_class(const uint8_t *l3, enum ip_family family)
{
	return family == IP_V4 ? l3[1] : (uint8_t)(load_be16(l3) >> 4);
}

#endif /* KAIDO_IP_HEADER_H */
