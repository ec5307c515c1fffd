/* SPDX-License-Identifier: BSD-3-Clause */
#include "neighbour_frame.h"

#include <string.h>

#include "ip_header.h"

#define ARP_LEN     28
#define ARP_REQUEST 1
#define ARP_REPLY   2

#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_IPV6 0x86dd

#define PROTO_ICMPV6      58
#define ND_SOLICITATION   135
#define ND_ADVERTISEMENT  136
#define ND_LEN            24 /* type, code, checksum, flags, target */
#define ND_HOPS           255
#define ND_ROUTER         0x80
#define ND_SOLICITED      0x40
#define ND_OVERRIDE       0x20
#define OPTION_SOURCE_MAC 1
#define OPTION_TARGET_MAC 2

static bool arp_read(const uint8_t *arp, uint32_t len, struct neighbour_message *m)
{
	uint16_t operation;

	if (len < ARP_LEN || load_be16(arp) != 1 || load_be16(arp + 2) != 0x0800 || arp[4] != 6 ||
	    arp[5] != 4)
		return false;
	operation = load_be16(arp + 6);
	if (operation != ARP_REQUEST && operation != ARP_REPLY)
		return false;
	*m = (struct neighbour_message){ .family = IP_V4, .has_mac = true, .override = true };
	m->kind = operation == ARP_REQUEST ? NEIGHBOUR_REQUEST : NEIGHBOUR_REPLY;
	m->sender = ip_load(IP_V4, arp + 14);
	m->target = m->kind == NEIGHBOUR_REQUEST ? ip_load(IP_V4, arp + 24) : m->sender;
	memcpy(m->mac, arp + 8, 6);
	return !(m->mac[0] & 1);
}

static uint16_t nd_checksum(const uint8_t *l3, uint32_t icmp_len)
{
	uint64_t sum = checksum_sum(l3 + 8, 32, __builtin_bswap32(icmp_len));

	return checksum_fold(
		checksum_sum(l3 + IPV6_HEADER_LEN, icmp_len, sum + ((uint64_t)PROTO_ICMPV6 << 24)));
}

/* Finds a link-layer address option. False: the options are malformed. */
static bool nd_option_mac(const uint8_t *options, uint32_t len, uint8_t type,
			  struct neighbour_message *m)
{
	while (len != 0) {
		uint32_t option_len = len >= 2 ? options[1] * 8u : 0;

		if (option_len == 0 || option_len > len)
			return false;
		if (options[0] == type && option_len == 8) {
			memcpy(m->mac, options + 2, 6);
			m->has_mac = !(m->mac[0] & 1);
		}
		options += option_len;
		len -= option_len;
	}
	return true;
}

static bool nd_read(const uint8_t *l3, uint32_t len, struct neighbour_message *m)
{
	const uint8_t *icmp = l3 + IPV6_HEADER_LEN;
	uint32_t icmp_len = len - IPV6_HEADER_LEN;
	bool solicitation, to_group;

	if (len < IPV6_HEADER_LEN + ND_LEN || l3[6] != PROTO_ICMPV6 || l3[7] != ND_HOPS ||
	    (icmp[0] != ND_SOLICITATION && icmp[0] != ND_ADVERTISEMENT) || icmp[1] != 0 ||
	    nd_checksum(l3, icmp_len) != 0xffff)
		return false;
	solicitation = icmp[0] == ND_SOLICITATION;
	to_group = l3[24] == 0xff;
	*m = (struct neighbour_message){ .family = IP_V6 };
	m->kind = solicitation ? NEIGHBOUR_REQUEST : NEIGHBOUR_REPLY;
	m->sender = ip_load(IP_V6, l3 + 8);
	m->target = ip_load(IP_V6, icmp + 8);
	m->solicited = icmp[4] & ND_SOLICITED;
	m->override = icmp[4] & ND_OVERRIDE;
	if (ip_is_multicast(m->target, IP_V6) ||
	    !nd_option_mac(icmp + ND_LEN, icmp_len - ND_LEN,
			   solicitation ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC, m))
		return false;
	if (!solicitation) /* a solicited answer is never to a group */
		return !(m->solicited && to_group);
	/* Without a source it is duplicate address detection: to the group, and with no option. */
	return m->sender.hi != 0 || m->sender.lo != 0 || (to_group && !m->has_mac);
}

bool neighbour_message_read(const uint8_t *l3, uint32_t len, bool is_arp,
			    struct neighbour_message *m)
{
	return is_arp ? arp_read(l3, len, m) : nd_read(l3, len, m);
}

static uint32_t arp_write(uint8_t *arp, enum neighbour_kind kind, struct ip_addr from,
			  const uint8_t from_mac[6], struct ip_addr to, const uint8_t *to_mac,
			  struct ip_addr target, uint8_t destination[6])
{
	static const uint8_t fixed[6] = { 0, 1, 0x08, 0, 6, 4 };
	bool request = kind == NEIGHBOUR_REQUEST;

	memcpy(arp, fixed, sizeof(fixed));
	store_be16(arp + 6, request ? ARP_REQUEST : ARP_REPLY);
	memcpy(arp + 8, from_mac, 6);
	ip_store(IP_V4, request ? from : target, arp + 14);
	memset(arp + 18, 0, 6);
	if (to_mac != NULL && !request)
		memcpy(arp + 18, to_mac, 6);
	ip_store(IP_V4, request ? target : to, arp + 24);
	memset(destination, 0xff, 6);
	if (to_mac != NULL)
		memcpy(destination, to_mac, 6);
	return ARP_LEN;
}

static uint32_t nd_write(uint8_t *l3, enum neighbour_kind kind, struct ip_addr from,
			 const uint8_t from_mac[6], struct ip_addr to, const uint8_t *to_mac,
			 struct ip_addr target, uint8_t destination[6])
{
	bool request = kind == NEIGHBOUR_REQUEST, everybody = to.hi == 0 && to.lo == 0;
	uint32_t icmp_len = ND_LEN + 8;
	uint8_t *icmp = l3 + IPV6_HEADER_LEN;

	if (request && to_mac == NULL) /* solicited-node group, RFC 4291 section 2.7.1 */
		to = (struct ip_addr){ 0xff02ull << 48,
				       0x00000001ff000000ull | (target.lo & 0xffffff) };
	else if (request)
		to = target;
	else if (everybody)
		to = (struct ip_addr){ 0xff02ull << 48, 1 };
	memset(l3, 0, IPV6_HEADER_LEN + ND_LEN + 8);
	l3[0] = 0x60;
	store_be16(l3 + 4, (uint16_t)icmp_len);
	l3[6] = PROTO_ICMPV6;
	l3[7] = ND_HOPS;
	ip_store(IP_V6, request ? from : target, l3 + 8);
	ip_store(IP_V6, to, l3 + 24);
	icmp[0] = request ? ND_SOLICITATION : ND_ADVERTISEMENT;
	if (!request) /* hosts forget what they learnt of paths behind one that is no router */
		icmp[4] = ND_ROUTER | ND_OVERRIDE | (everybody ? 0 : ND_SOLICITED);
	ip_store(IP_V6, target, icmp + 8);
	icmp[ND_LEN] = request ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC;
	icmp[ND_LEN + 1] = 1;
	memcpy(icmp + ND_LEN + 2, from_mac, 6);
	store16(icmp + 2, (uint16_t)~nd_checksum(l3, icmp_len));
	if (to_mac != NULL && !everybody) {
		memcpy(destination, to_mac, 6);
	} else { /* RFC 2464 section 7 */
		destination[0] = destination[1] = 0x33;
		memcpy(destination + 2, l3 + 36, 4);
	}
	return IPV6_HEADER_LEN + icmp_len;
}

uint32_t neighbour_message_write(uint8_t *l3, enum neighbour_kind kind, enum ip_family family,
				 struct ip_addr from, const uint8_t from_mac[6], struct ip_addr to,
				 const uint8_t *to_mac, struct ip_addr target,
				 uint8_t destination[6], uint16_t *ethertype)
{
	*ethertype = family == IP_V4 ? ETHERTYPE_ARP : ETHERTYPE_IPV6;
	if (family == IP_V4)
		return arp_write(l3, kind, from, from_mac, to, to_mac, target, destination);
	return nd_write(l3, kind, from, from_mac, to, to_mac, target, destination);
}

struct ip_addr ipv6_link_local(const uint8_t mac[6])
{
	const uint8_t id[16] = { 0xfe,       0x80,   0,      0,    0,    0,      0,      0,
				 mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] };

	return ip_load(IP_V6, id);
}
