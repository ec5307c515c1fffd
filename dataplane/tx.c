/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Last stages: the Ethernet header, the ports, the hand-over to the main lcore, and the one place
 * where drops are counted and freed.
 */
#include <rte_branch_prediction.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ip_header.h"
#include "rx_share.h"
#include "segments.h"
#include "spin.h"
#include "trace.h"
#include "upper.h"
#include "vrf.h"
#include "worker.h"

#define ETHERTYPE_IPV4_BE 0x0008
#define ETHERTYPE_IPV6_BE 0xdd86
#define ETHERTYPE_ARP_BE  0x0608

static inline void mbuf_forget(struct rte_mbuf *m)
{
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	m->packet_type = 0;
	m->vlan_tci = 0;
}

void packet_out(struct worker *w, struct packet *p, uint16_t port)
{
	mbuf_forget(p->mbuf);
	packet_push(&w->out[port], p);
	w->out_ports |= 1u << port;
}

/*
 * The mbuf says again what the packet has become. What was told of the one that came says nothing of it:
 * VLAN tag, type, checksums. A driver that believed it would tag the packet, or cut it. Nothing is
 * asked of the device instead.
 */
static inline void packet_to_mbuf(const struct packet *p, uint32_t l2)
{
	struct rte_mbuf *m = p->mbuf;

	m->data_off = (uint16_t)(p->l3 - l2 - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)(l2 + p->length);
	m->pkt_len = l2 + p->length;
	mbuf_forget(m);
}

/* A packet of several buffers is brought up to date, and into one where the port wants that. */
static bool adjacent_segments(struct worker *w, struct packet *p, uint32_t l2,
			      const struct adjacency *a)
{
	if (segments_to_mbuf(p, l2, w->tx[a->port].segments)) {
		mbuf_forget(p->mbuf);
		return true;
	}
	packet_drop(w, p, DROP_multi_segment);
	return false;
}

/* Packets to one next hop, whose MAC is known. */
static void adjacent_send(struct worker *w, struct packet **run, uint32_t n,
			  const struct adjacency *a)
{
	struct adjacency_header header = adjacency_header(a);
	struct packet_list *out = &w->out[a->port];
	uint32_t mtu = a->mtu, l2 = header.len, attachment = a->attachment;

	w->out_ports |= 1u << a->port;
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];

		if (unlikely(p->length > mtu)) {
			packet_oversize(w, p);
			continue;
		}
		adjacency_write(&header, p->l3,
				p->family == IP_V4 ? ETHERTYPE_IPV4_BE : ETHERTYPE_IPV6_BE);
		p->attachment = attachment;
		if (likely(!(p->flags & PACKET_SEGMENTS)))
			packet_to_mbuf(p, l2);
		else if (!adjacent_segments(w, p, l2, a))
			continue;
		packet_push(out, p);
	}
}

/* Packets to one that is not known, or not any more. */
static void adjacent_wait(struct worker *w, struct packet **run, uint32_t n,
			  const struct adjacency *a, uint8_t state)
{
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];

		if (p->length > a->mtu)
			packet_oversize(w, p);
		else if (state == ADJACENCY_INCOMPLETE || state == ADJACENCY_FAILED)
			packet_push(&w->host, p); /* to wait, and to have it asked for again */
		else
			packet_drop(w, p, DROP_detached);
	}
}

void adjacent_burst(struct worker *w)
{
	struct packet_list *list = &w->adjacent;
	uint32_t n = list->n, i = 0;

	while (i < n) {
		uint32_t first = i, route = list->p[i]->route;
		const struct adjacency *a = &w->tables->adjacency[route_index(route)];
		uint8_t state = __atomic_load_n(&a->state, __ATOMIC_ACQUIRE);

		while (i < n && list->p[i]->route == route)
			i++;
		if (likely(state == ADJACENCY_COMPLETE))
			adjacent_send(w, &list->p[first], i - first, a);
		else
			adjacent_wait(w, &list->p[first], i - first, a, state);
	}
	list->n = 0;
	worker_stage(w, STAGE_FORWARD, n);
}

/* What was sent, counted a run of one tenant, tunnel and attachment at a time. */
static void tx_count(struct worker *w, struct packet *const *sent, uint32_t n)
{
	uint32_t i = 0;

	while (i < n) {
		const struct packet *first = sent[i];
		struct counters_tenant *tenant = &w->stats.tenant[first->tenant];
		uint64_t packets = 0, bytes = 0, inner = 0, originated = 0, own_bytes = 0;

		for (; i < n && sent[i]->tenant == first->tenant &&
		       sent[i]->tunnel == first->tunnel && sent[i]->walk == first->walk &&
		       sent[i]->attachment == first->attachment;
		     i++) {
			if (unlikely(sent[i]->flags & PACKET_NO_COUNT))
				continue;
			packets++;
			bytes += sent[i]->length;
			inner += sent[i]->inner_length;
			if (unlikely(sent[i]->flags & PACKET_ORIGINATED)) {
				originated++;
				own_bytes += sent[i]->length;
			}
		}
		tenant->out_packets += packets - originated;
		tenant->originated_packets += originated;
		tenant->out_bytes += bytes - own_bytes;
		w->stats.attachment[first->attachment].tx_packets += packets;
		w->stats.attachment[first->attachment].tx_bytes += bytes;
		if (first->walk == ABI_TRACE_OUTBOUND && first->tunnel != 0) {
			w->stats.tunnel[first->tunnel].out_packets += packets;
			w->stats.tunnel[first->tunnel].out_inner_bytes += inner;
			w->stats.tunnel[first->tunnel].out_outer_bytes += bytes;
		}
	}
}

static void tx_port(struct worker *w, uint32_t port)
{
	struct packet_list *list = &w->out[port];
	/* The packets of one receive queue leave by one send queue, whoever sends them. */
	const struct worker_tx *tx = likely(w->share == NULL) ? &w->tx[port] : &w->share->tx[port];
	struct rte_mbuf *mbufs[BURST_MAX];
	uint64_t bytes = 0;
	uint16_t sent;

	for (uint32_t i = 0; i < list->n; i++) {
		mbufs[i] = list->p[i]->mbuf;
		bytes += mbufs[i]->pkt_len;
	}
	if (unlikely(w->tracing))
		for (uint32_t i = 0; i < list->n; i++)
			trace_packet(w->trace, list->p[i], (uint8_t)w->id, (uint16_t)port);
	if (tx->lock != NULL)
		spin_lock(tx->lock);
	sent = rte_eth_tx_burst(tx->dpdk_id, tx->queue, mbufs, (uint16_t)list->n);
	if (tx->lock != NULL)
		spin_unlock(tx->lock);
	/* From here on the mbufs that were sent are the device's: only descriptors may be read. */
	tx_count(w, list->p, sent);
	for (uint32_t i = sent; i < list->n; i++) {
		bytes -= mbufs[i]->pkt_len;
		packet_drop(w, list->p[i], DROP_tx_full);
	}
	w->stats.port[port].tx_packets += sent;
	w->stats.port[port].tx_bytes += bytes;
	list->n = 0;
}

void tx_burst(struct worker *w)
{
	while (w->out_ports != 0) {
		uint32_t port = (uint32_t)__builtin_ctz(w->out_ports);

		w->out_ports &= w->out_ports - 1;
		tx_port(w, port);
	}
}

struct packet *mbuf_packet(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

/*
 * The ring to the main lcore is everybody's. While more than half of it is taken, a tenant gets one
 * place in it per burst, so that who floods it leaves room for the others.
 */
static bool host_crowded_out(const struct packet_list *list, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (list->p[k]->tenant == list->p[i]->tenant)
			return true;
	return false;
}

/*
 * ARP and neighbour discovery of the underlay can come from its own links only (ND by its hop limit, RFC 4861
 * section 7.1), and all tunnels hang on them. What anybody can send to the host, IKE's first messages
 * above all, may not crowd them out.
 */
static bool host_is_vital(const struct packet *p)
{
	const uint8_t *l3 = p->l3;
	uint16_t ethertype_be = load16(l3 - 2);

	if (p->tenant != 0 || p->route != HANDOFF_PUNT)
		return false;
	return ethertype_be == ETHERTYPE_ARP_BE ||
	       (ethertype_be == ETHERTYPE_IPV6_BE && p->length > IPV6_HEADER_LEN &&
		l3[6] == PROTO_ICMPV6 && l3[7] == UINT8_MAX && l3[IPV6_HEADER_LEN] >= ND_FIRST &&
		l3[IPV6_HEADER_LEN] <= ND_LAST);
}

void host_burst(struct worker *w)
{
	struct packet_list *list = &w->host;
	bool crowded = rte_ring_count(w->to_main) > rte_ring_get_capacity(w->to_main) / 2;

	for (uint32_t i = 0; i < list->n; i++) {
		struct packet *p = list->p[i];
		bool ends_here = p->route == HANDOFF_NEIGHBOUR || p->route == HANDOFF_PUNT ||
				 p->route == HANDOFF_PATH_MTU;

		if (p->route == HANDOFF_PUNT &&
		    w->tables->port[p->rx_port].exception == EXCEPTION_SHARED) {
			/* The host has seen it already. */
			w->stats.tenant[p->tenant].local_packets++;
			rte_pktmbuf_free(p->mbuf);
			continue;
		}
		if (unlikely(w->tracing) && ends_here)
			trace_packet(w->trace, p, (uint8_t)w->id, UINT16_MAX);
		p->generation = handoff_generation(w->tables, p);
		*mbuf_packet(p->mbuf) = *p;
		if (unlikely((crowded && host_crowded_out(list, i) && !host_is_vital(p)) ||
			     rte_ring_enqueue(w->to_main, p->mbuf) != 0)) {
			packet_drop(w, p, DROP_main_busy);
			continue;
		}
		if (p->route == HANDOFF_PUNT)
			w->stats.port[p->rx_port].punted++;
		if (ends_here)
			w->stats.tenant[p->tenant].local_packets++;
	}
	list->n = 0;
}

bool host_punt(struct worker *w, struct packet *p)
{
	uint8_t rx_port = p->rx_port;

	if (w->tables->port[rx_port].exception == EXCEPTION_SHARED) {
		w->stats.tenant[0].local_packets++;
		rte_pktmbuf_free(p->mbuf);
		return true;
	}
	if (unlikely(w->tracing))
		trace_packet(w->trace, p, (uint8_t)w->id, UINT16_MAX);
	p->generation = handoff_generation(w->tables, p);
	/* From here on it is the main lcore's, and the descriptor with it. */
	if (rte_ring_enqueue(w->to_main, p->mbuf) != 0)
		return false;
	w->stats.port[rx_port].punted++;
	w->stats.tenant[0].local_packets++;
	return true;
}

void drop_count(struct stats_writer *stats, const struct packet *p)
{
	if (p->attachment == 0 && p->tenant == 0)
		stats->port_drops[p->rx_port].reason[p->reason]++;
	else if (!(p->flags & PACKET_ORIGINATED))
		stats->tenant_drops[p->tenant].reason[p->reason]++;
	if (p->tunnel == 0)
		return;
	if (p->walk == ABI_TRACE_INBOUND)
		stats->tunnel[p->tunnel].in_drops++;
	else
		stats->tunnel[p->tunnel].out_drops++;
}

void drop_burst(struct worker *w)
{
	struct packet_list *list = &w->dropped;
	struct rte_mbuf *mbufs[BURST_MAX];

	if (likely(list->n == 0))
		return;
	for (uint32_t i = 0; i < list->n; i++) {
		const struct packet *p = list->p[i];

		mbufs[i] = p->mbuf;
		if (unlikely(w->tracing))
			trace_packet(w->trace, p, (uint8_t)w->id, UINT16_MAX);
		drop_count(&w->stats, p);
	}
	rte_pktmbuf_free_bulk(mbufs, list->n);
	list->n = 0;
}
