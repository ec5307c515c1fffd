/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet_fix.h"

#include <string.h>

#include "ip_header.h"

#define PROTO_ICMP   1
#define PROTO_ICMPV6 58

bool frame_parse(const uint8_t *frame, uint32_t len, uint16_t *vlan, uint16_t *ethertype,
		 uint32_t *l3)
{
	if (len < 14)
		return false;
	*vlan = 0;
	*l3 = 14;
	*ethertype = load_be16(frame + 12);
	if (*ethertype != 0x8100)
		return true;
	if (len < 18)
		return false;
	*vlan = load_be16(frame + 14) & 0xfff;
	*ethertype = load_be16(frame + 16);
	*l3 = 18;
	return true;
}

void packet_fix_lengths(uint8_t *l3, uint32_t len)
{
	if (len >= IPV6_HEADER_LEN && l3[0] >> 4 == 6) {
		store_be16(l3 + 4, (uint16_t)(len - IPV6_HEADER_LEN));
	} else if (len >= IPV4_HEADER_MIN && l3[0] >> 4 == 4) {
		if ((l3[0] & 0xfu) < 5 || (l3[0] & 0xfu) * 4 > len)
			l3[0] = 0x45;
		store_be16(l3 + 2, (uint16_t)len);
	}
}

static void icmpv6_fix(uint8_t *l3, uint32_t len)
{
	uint32_t icmp_len = load_be16(l3 + 4);
	uint8_t *icmp = l3 + IPV6_HEADER_LEN;
	uint64_t sum;

	if (l3[6] != PROTO_ICMPV6 || icmp_len < 4 || IPV6_HEADER_LEN + icmp_len > len)
		return;
	store16(icmp + 2, 0);
	sum = checksum_sum(l3 + 8, 32, __builtin_bswap32(icmp_len)) +
	      ((uint64_t)PROTO_ICMPV6 << 24);
	store16(icmp + 2, (uint16_t)~checksum_fold(checksum_sum(icmp, icmp_len, sum)));
}

void packet_fix_checksums(uint8_t *l3, uint32_t len)
{
	uint32_t header_len, total;

	if (len >= IPV6_HEADER_LEN && l3[0] >> 4 == 6) {
		icmpv6_fix(l3, len);
		return;
	}
	if (len < IPV4_HEADER_MIN || l3[0] >> 4 != 4)
		return;
	header_len = (l3[0] & 0xfu) * 4;
	total = load_be16(l3 + 2);
	if (header_len < IPV4_HEADER_MIN || header_len > len)
		return;
	store16(l3 + 10, 0);
	store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, header_len)));
	if (l3[9] != PROTO_ICMP || total > len || total < header_len + 4)
		return;
	store16(l3 + header_len + 2, 0);
	store16(l3 + header_len + 2,
		(uint16_t)~checksum_fold(checksum_sum(l3 + header_len, total - header_len, 0)));
}
