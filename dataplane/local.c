/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets to the gateway's own addresses: ICMP and ICMPv6 echo are answered (RFC 792, RFC 4443), what
 * an underlay without a host stack says of a path's MTU goes to the main lcore, all else is dropped;
 * there is nothing else here that a tenant could talk to.
 */
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "ip_header.h"
#include "segments.h"
#include "vrf.h"
#include "worker.h"

#define PROTO_ICMP   1
#define PROTO_ICMPV6 58

#define ICMP_ECHO_REQUEST   8
#define ICMP_ECHO_REPLY     0
#define ICMP_UNREACHABLE    3
#define ICMP_TOO_BIG        4 /* code */
#define ICMPV6_TOO_BIG      2
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY   129

#define ICMP_ECHO_LEN 8
#define REPLY_HOPS    64

/* Any alignment, any length; an odd last byte counts as the first of a word. */
uint64_t checksum_sum(const uint8_t *p, uint32_t len, uint64_t sum)
{
	for (; len >= 4; len -= 4, p += 4)
		sum += load32(p);
	if (len >= 2) {
		sum += load16(p);
		p += 2;
		len -= 2;
	}
	return len == 1 ? sum + *p : sum;
}

/* ICMPv6 has the pseudo-header in its checksum: addresses, length, next header. */
static uint64_t icmp_pseudo_sum(const uint8_t *l3, enum ip_family family, uint32_t len)
{
	if (family == IP_V4)
		return 0;
	return checksum_sum(l3 + 8, 32, __builtin_bswap32(len)) + ((uint64_t)PROTO_ICMPV6 << 24);
}

bool icmp_checksum_is_right(const uint8_t *l3, enum ip_family family, const uint8_t *icmp,
			    uint32_t len)
{
	return checksum_fold(checksum_sum(icmp, len, icmp_pseudo_sum(l3, family, len))) == 0xffff;
}

static void swap_bytes(uint8_t *a, uint8_t *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t t = a[i];

		a[i] = b[i];
		b[i] = t;
	}
}

/* Turns an echo request round where it stands. */
static bool local_echo(struct packet *p)
{
	uint32_t offset = p->family == IP_V4 ? (p->l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN;
	uint8_t proto = p->family == IP_V4 ? p->l3[9] : p->l3[6];
	uint8_t request = p->family == IP_V4 ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST;
	uint8_t *icmp = p->l3 + offset;
	uint32_t len = p->length - offset;

	if (proto != (p->family == IP_V4 ? PROTO_ICMP : PROTO_ICMPV6) || len < ICMP_ECHO_LEN ||
	    icmp[0] != request || (p->family == IP_V4 && (load_be16(p->l3 + 6) & 0x3fff) != 0) ||
	    checksum_fold(packet_sum(p, offset, len, icmp_pseudo_sum(p->l3, p->family, len))) !=
		    0xffff ||
	    ip_bad_source(ip_source(p->l3, p->family), p->family))
		return false;
	icmp[0] = p->family == IP_V4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY;
	store16(icmp + 2, 0);
	if (p->family == IP_V4) {
		swap_bytes(p->l3 + 12, p->l3 + 16, 4);
		p->l3[8] = REPLY_HOPS;
		store16(p->l3 + 10, 0);
		store16(p->l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(p->l3, offset)));
	} else {
		swap_bytes(p->l3 + 8, p->l3 + 24, 16);
		p->l3[7] = REPLY_HOPS;
	}
	store16(icmp + 2, (uint16_t)~checksum_fold(packet_sum(
				  p, offset, len, icmp_pseudo_sum(p->l3, p->family, len))));
	return true;
}

/* About the size of a packet that went by the underlay: path_mtu.c believes it, or not. */
static bool local_is_path_mtu(const struct packet *p)
{
	uint32_t offset = p->family == IP_V4 ? (p->l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN;
	const uint8_t *icmp = p->l3 + offset;

	if (p->tenant != 0 || p->length < offset + ICMP_ECHO_LEN)
		return false;
	if (p->family == IP_V6)
		return p->l3[6] == PROTO_ICMPV6 && icmp[0] == ICMPV6_TOO_BIG;
	return p->l3[9] == PROTO_ICMP && icmp[0] == ICMP_UNREACHABLE && icmp[1] == ICMP_TOO_BIG;
}

/* Link-local addresses have no route: the answer goes back to the link that the request came by. */
static bool local_is_link(const struct worker *w, const struct packet *p)
{
	return p->family == IP_V6 && ipv6_is_link_local(ip_destination(p->l3, IP_V6)) &&
	       w->tables->attachment[p->attachment].tenant == p->tenant;
}

/*
 * The request has ended here (local); its answer is a packet of ours (originated) that takes the way
 * of any other through the tenant's VRF.
 */
void local_burst(struct worker *w)
{
	struct packet_list *list = &w->local;

	for (uint32_t i = 0; i < list->n; i++) {
		struct packet *p = list->p[i];

		if (unlikely(!local_echo(p))) {
			if (local_is_path_mtu(p) &&
			    (!(p->flags & PACKET_SEGMENTS) || segments_linearize(p))) {
				p->route = HANDOFF_PATH_MTU;
				packet_push(&w->host, p);
			} else {
				packet_drop(w, p, DROP_local_unhandled);
			}
			continue;
		}
		w->stats.tenant[p->tenant].local_packets++;
		p->flags |= PACKET_ORIGINATED;
		p->tunnel = 0;
		p->walk = ABI_TRACE_LOCAL;
		if (unlikely(local_is_link(w, p))) {
			p->route = route_value(ROUTE_KIND_ONLINK, p->attachment);
			packet_push(&w->host, p);
		} else {
			packet_push(&w->forward, p);
		}
	}
	list->n = 0;
	if (w->forward.n != 0)
		forward_burst(w);
}
