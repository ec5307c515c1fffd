/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP MSS clamping: a SYN that passes a tunnel must not promise segments that do not fit it, because
 * path MTU discovery often fails behind the customer's firewall. RFC 4459 section 3.2, RFC 6691.
 */
#ifndef KAIDO_MSS_H
#define KAIDO_MSS_H

#include <stdint.h>

#include "ip.h"

#define MSS_PROTO_TCP 6

/* Lowers the MSS option of a SYN at `l3` to what an IP packet of `mtu` bytes holds, and to `most` unless 0. */
void mss_clamp_syn(uint8_t *l3, uint32_t length, enum ip_family family, uint32_t mtu,
		   uint16_t most);

/* Is it TCP, by the one byte that says so? (IPv6 extension headers before TCP are not walked.) */
static inline int mss_is_tcp(const uint8_t *l3, enum ip_family family)
{
	return l3[family == IP_V4 ? 9 : 6] == MSS_PROTO_TCP;
}

#endif /* KAIDO_MSS_H */
