/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 options and IPv6 extension headers of packets that are forwarded. They pass unchanged, but for
 * those by which a sender chooses the way: source routes (RFC 7126 sections 4.3 and 4.4) and routing
 * headers of type 0 with segments left (RFC 5095).
 */
#ifndef KAIDO_IP_OPTION_H
#define KAIDO_IP_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/* Hop-by-hop, routing, fragment, destination: all that another may stand behind. */
#define IP_OPTION_HEADERS (1ull << 0 | 1ull << 43 | 1ull << 44 | 1ull << 60)

/* Hardly any packet has some. */
static inline bool ip_has_options(const uint8_t *l3, enum ip_family family)
{
	if (family == IP_V4)
		return l3[0] != 0x45;
	return l3[6] < 64 && (IP_OPTION_HEADERS >> l3[6] & 1);
}

/* For one that has. What is malformed ends the list, as it does for whoever would act on it. */
bool ip_source_routed(struct packet *p);

#endif /* KAIDO_IP_OPTION_H */
