/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * First stage: from frames to packets that belong to somebody. The attachment (port and VLAN) fixes
 * the tenant; the underlay's packets are ESP for the inbound walk, or the host's.
 */
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "abi/message.h"
#include "ip_header.h"
#include "reassembly.h"
#include "segments.h"
#include "udp.h"
#include "upper.h"
#include "worker.h"

/* As they load from a frame. */
#define ETHERTYPE_IPV4_BE 0x0008
#define ETHERTYPE_ARP_BE  0x0608
#define ETHERTYPE_VLAN_BE 0x0081
#define ETHERTYPE_IPV6_BE 0xdd86

#define ESP_SPI_MIN 256 /* below: reserved, and zero is IKE's marker behind UDP */

/* Adds up what came in, row by row, so that a run of packets of one attachment costs one update. */
struct in_run {
	uint32_t attachment;
	uint32_t tenant;
	uint64_t packets;
	uint64_t bytes;
};

static void in_run_end(struct worker *w, struct in_run *run)
{
	struct counters_attachment *a = &w->stats.attachment[run->attachment];
	struct counters_tenant *t = &w->stats.tenant[run->tenant];

	if (run->packets == 0)
		return;
	a->rx_packets += run->packets;
	a->rx_bytes += run->bytes;
	/* What comes by the underlay is a tenant's only once its SA is known (inbound.c). */
	if (run->tenant != 0) {
		t->in_packets += run->packets;
		t->in_bytes += run->bytes;
	}
	run->packets = 0;
	run->bytes = 0;
}

static inline void in_run_add(struct worker *w, struct in_run *run, const struct packet *p)
{
	if (run->attachment != p->attachment) {
		in_run_end(w, run);
		run->attachment = p->attachment;
		run->tenant = p->tenant;
	}
	run->packets++;
	run->bytes += p->length;
}

static inline bool is_neighbour_discovery(const struct packet *p)
{
	return p->family == IP_V6 && p->l3[6] == PROTO_ICMPV6 && p->length > IPV6_HEADER_LEN &&
	       p->l3[IPV6_HEADER_LEN] >= ND_FIRST && p->l3[IPV6_HEADER_LEN] <= ND_LAST;
}

/* ARP and neighbour discovery are read as a whole. */
static void classify_neighbour(struct worker *w, struct packet *p)
{
	p->walk = ABI_TRACE_LOCAL;
	if (unlikely((p->flags & PACKET_SEGMENTS) && !segments_linearize(p))) {
		packet_drop(w, p, DROP_multi_segment);
		return;
	}
	p->route = HANDOFF_NEIGHBOUR;
	packet_push(&w->host, p);
}

/* The underlay's packets that aren't ESP for us. */
static void classify_host(struct worker *w, struct packet *p)
{
	struct counters_tenant *underlay = &w->stats.tenant[0];

	underlay->in_packets++;
	underlay->in_bytes += p->length;
	p->walk = ABI_TRACE_PUNT;
	if (w->tables->port[p->rx_port].exception != EXCEPTION_NONE) {
		p->route = HANDOFF_PUNT;
		packet_push(&w->host, p);
	} else if (is_neighbour_discovery(p)) {
		/* An underlay of our own, without a host stack: we answer for our addresses. */
		classify_neighbour(w, p);
	} else {
		packet_push(&w->forward, p);
	}
}

/* RFC 3948 section 2.3, from whatever port: it says nothing, and no answer is due. */
static bool is_keepalive(const struct packet *p, const struct upper *u)
{
	const uint8_t *udp = p->l3 + u->offset;

	return u->proto == PROTO_UDP && !u->fragment &&
	       packet_contiguous(p) >= u->offset + UDP_HEADER_LEN + KEEPALIVE_LEN &&
	       load_be16(udp + 2) == ABI_UDP_PORT &&
	       load_be16(udp + 4) == UDP_HEADER_LEN + KEEPALIVE_LEN &&
	       udp[UDP_HEADER_LEN] == KEEPALIVE;
}

static void underlay_drop(struct worker *w, struct packet *p, enum drop_reason reason)
{
	w->stats.tenant[0].in_packets++;
	w->stats.tenant[0].in_bytes += p->length;
	packet_drop(w, p, reason);
}

/* Refused: of ESP there is nothing else to do with it, UDP is the host's. */
static __attribute__((noinline)) void classify_fragment(struct worker *w, struct packet *p,
							uint8_t proto)
{
	switch (reassembly_take(w, p, proto)) {
	case REASSEMBLY_TAKEN:
		return;
	case REASSEMBLY_WHOLE:
		p->walk = ABI_TRACE_INBOUND;
		packet_push(&w->inbound, p);
		return;
	case REASSEMBLY_REFUSED:
		break;
	}
	if (proto == PROTO_UDP) {
		p->reason = DROP_NONE;
		classify_host(w, p);
		return;
	}
	underlay_drop(w, p, p->reason);
}

static void classify_underlay(struct worker *w, struct packet *p)
{
	struct upper u = upper_find(p->l3, p->family, packet_contiguous(p));
	const uint8_t *l4 = p->l3 + u.offset;

	if (unlikely(u.fragment) && (u.proto == PROTO_ESP || u.proto == PROTO_UDP)) {
		classify_fragment(w, p, u.proto);
		return;
	}
	if (u.proto == PROTO_ESP) {
		/* Native. */
	} else if (u.proto == PROTO_UDP &&
		   packet_contiguous(p) >= u.offset + UDP_HEADER_LEN + sizeof(uint32_t) &&
		   load_be16(l4 + 2) == ABI_UDP_PORT && load32(l4 + UDP_HEADER_LEN) != 0) {
		u.offset += UDP_HEADER_LEN;
		p->flags |= PACKET_UDP;
	} else if (is_keepalive(p, &u)) {
		underlay_drop(w, p, DROP_keepalive);
		return;
	} else {
		classify_host(w, p);
		return;
	}
	if (unlikely(u.offset > UINT8_MAX)) { /* extension headers without end */
		classify_host(w, p);
		return;
	}
	p->esp_offset = (uint8_t)u.offset;
	p->walk = ABI_TRACE_INBOUND;
	packet_push(&w->inbound, p);
}

static void classify_arp(struct worker *w, struct packet *p)
{
	if (p->tenant == 0 && w->tables->port[p->rx_port].exception != EXCEPTION_NONE) {
		classify_host(w, p);
		return;
	}
	if (p->tenant == 0) {
		w->stats.tenant[0].in_packets++;
		w->stats.tenant[0].in_bytes += p->length;
	}
	classify_neighbour(w, p);
}

static __attribute__((noinline)) void classify_bad(struct worker *w, struct packet *p,
						   enum drop_reason reason)
{
	if (p->tenant == 0)
		underlay_drop(w, p, reason);
	else
		packet_drop(w, p, reason);
}

/* Neither IPv4 nor IPv6. */
static __attribute__((noinline)) void classify_no_ip(struct worker *w, struct packet *p,
						     uint16_t ethertype_be)
{
	if (ethertype_be == ETHERTYPE_ARP_BE)
		classify_arp(w, p);
	else
		classify_bad(w, p, DROP_ethertype);
}

static inline void classify_tenant(struct worker *w, struct packet *p)
{
	p->walk = ABI_TRACE_OUTBOUND;
	packet_push(&w->forward, p);
}

/* Beyond Ethernet; p->length is what the frame has. */
static inline void classify_packet(struct worker *w, struct packet *p, uint16_t ethertype_be,
				   bool group, struct in_run *run)
{
	bool good =
		(p->mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	enum drop_reason reason;

	if (likely(ethertype_be == ETHERTYPE_IPV4_BE)) {
		p->family = IP_V4;
		reason = ip_header_check(p->l3, p->length, IP_V4, good, &p->length);
	} else if (likely(ethertype_be == ETHERTYPE_IPV6_BE)) {
		p->family = IP_V6;
		reason = ip_header_check(p->l3, p->length, IP_V6, good, &p->length);
	} else {
		in_run_add(w, run, p);
		classify_no_ip(w, p, ethertype_be);
		return;
	}
	in_run_add(w, run, p);
	if (unlikely(reason != DROP_NONE))
		classify_bad(w, p, reason);
	else if (p->tenant == 0)
		classify_underlay(w, p);
	else if (unlikely(is_neighbour_discovery(p)))
		classify_arp(w, p);
	else if (unlikely(group))
		packet_drop(w, p, DROP_multicast);
	else
		classify_tenant(w, p);
}

/* A descriptor without what classify_frame() sets, or the walks on the way. */
static inline void packet_init(struct packet *p, struct rte_mbuf *m, uint8_t port)
{
	p->mbuf = m;
	p->sa = NULL;
	p->sequence = 0;
	p->tunnel = 0;
	p->sa_id = 0;
	p->route = 0;
	p->inner_length = 0;
	p->outer_length = 0;
	p->rx_port = port;
	p->reason = DROP_NONE;
	p->walk = ABI_TRACE_NONE;
	p->flags = 0;
	p->esp_offset = 0;
}

/* Nobody's: only its port counts it. */
static __attribute__((noinline)) void frame_drop(struct worker *w, struct packet *p,
						 enum drop_reason reason)
{
	p->l3 = NULL;
	p->tenant = 0;
	p->attachment = 0;
	p->length = 0;
	p->family = IP_V4;
	packet_drop(w, p, reason);
}

static inline void classify_frame(struct worker *w, struct packet *p, const struct table_port *port,
				  struct in_run *run)
{
	struct rte_mbuf *m = p->mbuf;
	uint32_t len = m->pkt_len, l2 = RTE_ETHER_HDR_LEN;
	uint16_t ethertype_be, vlan = 0;
	const uint8_t *eth;
	uint64_t mac;

	if (unlikely(m->nb_segs != 1 && !segments_receive(p))) {
		frame_drop(w, p, DROP_multi_segment);
		return;
	}
	if (unlikely(len < RTE_ETHER_HDR_LEN + IPV4_HEADER_MIN)) {
		frame_drop(w, p, DROP_frame_short);
		return;
	}
	eth = rte_pktmbuf_mtod(m, const uint8_t *);
	mac = load64(eth);
	ethertype_be = load16(eth + 12);
	if (unlikely(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)) {
		vlan = m->vlan_tci & 0xfff;
	} else if (ethertype_be == ETHERTYPE_VLAN_BE) {
		l2 += RTE_VLAN_HLEN;
		vlan = load_be16(eth + 14) & 0xfff;
		ethertype_be = load16(eth + 16);
	}
	p->attachment = port->vlan[vlan];
	if (unlikely(p->attachment == 0)) {
		frame_drop(w, p, DROP_no_attachment);
		return;
	}
	if (unlikely((mac ^ port->mac) << 16 != 0 && !(mac & 1))) {
		/* Another station's: none of the tenant's business. */
		frame_drop(w, p, DROP_not_for_us);
		return;
	}
	p->tenant = w->tables->attachment[p->attachment].tenant;
	p->l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, l2);
	p->length = (uint16_t)(len - l2);
	classify_packet(w, p, ethertype_be, mac & 1, run);
}

void classify_burst(struct worker *w, uint8_t port, struct rte_mbuf **mbufs, uint32_t n)
{
	struct in_run run = { 0 };
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], const void *));
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = &w->packet[i];

		packet_init(p, mbufs[i], port);
		bytes += mbufs[i]->pkt_len;
		classify_frame(w, p, &w->tables->port[port], &run);
	}
	in_run_end(w, &run);
	w->stats.port[port].rx_packets += n;
	w->stats.port[port].rx_bytes += bytes;
}
