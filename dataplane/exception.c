/* SPDX-License-Identifier: BSD-3-Clause */
#include "exception.h"

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "gateway.h"
#include "segments.h"
#include "worker.h"

void exception_punt(struct gateway *gw, struct rte_mbuf *mbuf)
{
	struct packet *p = mbuf_packet(mbuf);
	int32_t tap = gw->port[p->rx_port].exception;
	uint32_t there = packet_gather(p);

	path_mtu_packet(gw, p->l3, there);
	/* A tag that the device took off belongs to the frame: the host has its VLANs by it. */
	if (tap >= 0 && (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) &&
	    rte_vlan_insert(&mbuf) != 0)
		tap = -1;
	if (tap < 0 || rte_eth_tx_burst(gw->port[tap].dpdk_id, 0, &mbuf, 1) != 1) {
		gw->own.port_drops[p->rx_port].reason[DROP_no_exception]++;
		rte_pktmbuf_free(mbuf);
	}
}

static uint32_t exception_port(struct gateway *gw, const struct port *underlay)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n = rte_eth_rx_burst(gw->port[underlay->exception].dpdk_id, 0, mbufs, BURST_MAX);

	for (uint16_t i = 0; i < n; i++) {
		*mbuf_packet(mbufs[i]) = (struct packet){
			.l3 = rte_pktmbuf_mtod_offset(mbufs[i], uint8_t *, 14),
			.route = HANDOFF_FRAME,
			.rx_port = (uint8_t)underlay->index,
			.flags = PACKET_NO_COUNT,
		};
		if (rte_ring_enqueue(gw->worker[0]->inbox, mbufs[i]) != 0) {
			gw->own.port_drops[underlay->index].reason[DROP_tx_full]++;
			rte_pktmbuf_free(mbufs[i]);
		} else {
			gw->own.port[underlay->index].injected++;
		}
	}
	return n;
}

uint32_t exception_poll(struct gateway *gw)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < gw->ports; i++)
		if (gw->port[i].exception >= 0)
			n += exception_port(gw, &gw->port[i]);
	return n;
}
