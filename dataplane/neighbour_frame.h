/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP (RFC 826) and neighbour discovery (RFC 4861) on the wire: reading what came and writing what
 * goes. Knows frames, not tables.
 */
#ifndef KAIDO_NEIGHBOUR_FRAME_H
#define KAIDO_NEIGHBOUR_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

enum neighbour_kind { NEIGHBOUR_REQUEST, NEIGHBOUR_REPLY };

/* An ARP request or reply, a neighbour solicitation or advertisement. */
struct neighbour_message {
	enum neighbour_kind kind;
	enum ip_family family;
	struct ip_addr sender; /* all zero: none (ARP probe, DAD) */
	struct ip_addr target; /* who is asked for (request), or what was answered (reply) */
	uint8_t mac[6];        /* of the sender (request) or the target (reply) */
	bool has_mac;
	bool solicited;
	bool override;
};

/*
 * Reads what stands at l3. Checks all that RFC 4861 sections 7.1.1 and 7.1.2 ask for. False: not for
 * us to act on.
 */
bool neighbour_message_read(const uint8_t *l3, uint32_t len, bool is_arp,
			    struct neighbour_message *m);

/*
 * Writes an ARP or ND packet (from the IP or ARP header on) with at most NEIGHBOUR_FRAME_MAX bytes
 * and returns its length; *ethertype and destination MAC for the frame. `to_mac` NULL: to everybody
 * (broadcast, or the solicited-node group). For a reply to the unspecified address `to` is all zero.
 */
#define NEIGHBOUR_FRAME_MAX 96
uint32_t neighbour_message_write(uint8_t *l3, enum neighbour_kind kind, enum ip_family family,
				 struct ip_addr from, const uint8_t from_mac[6], struct ip_addr to,
				 const uint8_t *to_mac, struct ip_addr target,
				 uint8_t destination[6], uint16_t *ethertype);

/* fe80::/64 with the EUI-64 of a MAC (RFC 4291 appendix A). */
struct ip_addr ipv6_link_local(const uint8_t mac[6]);

#endif /* KAIDO_NEIGHBOUR_FRAME_H */
