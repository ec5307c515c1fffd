/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A list of traffic selectors, and what it means, said a second time and for this list alone: by RFC
 * 4301, without a look at the gateway's code.
 */
#include <string.h>

#include "ip_header.h"
#include "oracle.h"

#define PORT_LAST 1023

/* IPv4 to and from 10.4.0.0/17; UDP with a remote port up to 1023; IPv6 to and from fd04::/17. */
struct abi_selectors oracle_selectors(uint32_t tunnel)
{
	struct abi_selectors r = { .tunnel = tunnel, .count = 3 };

	for (uint32_t i = 0; i < r.count; i++) {
		struct abi_selector *s = &r.selector[i];
		size_t size = i < 2 ? 4 : 16;

		s->family = i < 2 ? ABI_IPV4 : ABI_IPV6;
		s->local_port_last = s->remote_port_last = UINT16_MAX;
		memset(s->local_last, 0xff, size);
		memset(s->remote_last, 0xff, size);
	}
	memcpy(r.selector[0].remote_first, "\x0a\x04\0\0", 4);
	memcpy(r.selector[0].remote_last, "\x0a\x04\x7f\xff", 4);
	r.selector[1].protocol = 17;
	r.selector[1].remote_port_last = PORT_LAST;
	memcpy(r.selector[2].remote_first, "\xfd\x04", 2);
	memcpy(r.selector[2].remote_last, "\xfd\x04\x7f", 3);
	return r;
}

static bool selected(const uint8_t *l3, uint32_t len, bool out)
{
	const uint8_t *remote, *udp;

	if (len >= IPV6_HEADER_LEN && l3[0] >> 4 == 6) {
		remote = out ? l3 + 24 : l3 + 8;
		return remote[0] == 0xfd && remote[1] == 4 && remote[2] < 0x80;
	}
	if (len < IPV4_HEADER_MIN || l3[0] >> 4 != 4)
		return false;
	remote = out ? l3 + 16 : l3 + 12;
	if (remote[0] == 10 && remote[1] == 4 && remote[2] < 0x80)
		return true;
	udp = l3 + (l3[0] & 0xfu) * 4;
	return l3[9] == 17 && (load_be16(l3 + 6) & 0x1fff) == 0 && udp + 4 <= l3 + len &&
	       load_be16(out ? udp + 2 : udp) <= PORT_LAST;
}

/* By its own account; what is behind it is no part of it. */
static uint32_t whole(const uint8_t *l3, uint32_t len)
{
	uint32_t total = len;

	if (len >= IPV6_HEADER_LEN && l3[0] >> 4 == 6)
		total = IPV6_HEADER_LEN + load_be16(l3 + 4);
	else if (len >= IPV4_HEADER_MIN && l3[0] >> 4 == 4)
		total = load_be16(l3 + 2);
	return total < len ? total : len;
}

/* Where IPv6 extension headers end. At most six are walked, and none of a packet in pieces. */
static const uint8_t *icmpv6_find(const uint8_t *l3, uint32_t len)
{
	uint8_t next = l3[6];
	uint32_t at = IPV6_HEADER_LEN;

	for (uint32_t i = 0; i < 6 && next != 58; i++) {
		bool fragment = next == 44;

		if (at + 8 > len || (next != 0 && next != 43 && next != 60 && !fragment) ||
		    (fragment && (load_be16(l3 + at + 2) & 0xfff9) != 0))
			return NULL;
		next = l3[at];
		at += fragment ? 8 : 8u + l3[at + 1] * 8u;
	}
	return next == 58 && at + 8 <= len ? l3 + at : NULL;
}

bool oracle_selects(const uint8_t *l3, uint32_t len, bool out)
{
	const uint8_t *icmp = NULL, *about;
	bool v4 = l3[0] >> 4 == 4;
	uint32_t left;

	len = whole(l3, len);
	if (selected(l3, len, out))
		return true;
	/* RFC 4301 section 6.2: an error about what may go the other way, to its sender. */
	if (v4 && len >= IPV4_HEADER_MIN && l3[9] == 1 && (load_be16(l3 + 6) & 0x3fff) == 0 &&
	    len >= (l3[0] & 0xfu) * 4 + 8)
		icmp = l3 + (l3[0] & 0xfu) * 4;
	else if (!v4 && len >= IPV6_HEADER_LEN)
		icmp = icmpv6_find(l3, len);
	if (icmp == NULL)
		return false;
	if (v4 ? icmp[0] != 3 && icmp[0] != 4 && icmp[0] != 11 && icmp[0] != 12
	       : icmp[0] < 1 || icmp[0] > 4)
		return false;
	about = icmp + 8;
	left = len - (uint32_t)(about - l3);
	if (left < (v4 ? IPV4_HEADER_MIN : IPV6_HEADER_LEN) || about[0] >> 4 != (v4 ? 4 : 6) ||
	    (v4 && ((about[0] & 0xfu) < 5 || (about[0] & 0xfu) * 4 > left)))
		return false;
	if (v4 ? memcmp(l3 + 16, about + 12, 4) != 0 : memcmp(l3 + 24, about + 8, 16) != 0)
		return false;
	return selected(about, left, !out);
}
