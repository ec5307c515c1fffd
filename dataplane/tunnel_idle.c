/* SPDX-License-Identifier: BSD-3-Clause */
#include "tunnel_idle.h"

#include <string.h>

#include <rte_mbuf.h>
#include <rte_random.h>
#include <rte_ring.h>

#include "esp_encap.h"
#include "gateway.h"
#include "udp.h"
#include "vrf.h"
#include "worker.h"

#define ESP_AND_IV_LEN 16
#define DUMMY_LEAST    IPV4_HEADER_MIN /* no IP packet is shorter */

/* The SA that sends now, and the pair of ends that it uses; NULL: there is no way. */
static const struct sa_out *sending_sa(const struct gateway *gw, uint32_t tunnel, uint8_t *n)
{
	uint32_t id = gw->tables->tunnel[tunnel].sa_out;
	const struct sa_out *sa = &gw->tables->sa[id].out;

	*n = sa_active(sa);
	return id != 0 && sa->outer[*n].adjacency != 0 ? sa : NULL;
}

/* To a worker. */
static void hand_over(struct gateway *gw, struct rte_mbuf *m, const struct packet *packet)
{
	struct packet *p = mbuf_packet(m);

	*p = *packet;
	p->generation = handoff_generation(gw->tables, p);
	if (rte_ring_enqueue(gw->worker[0]->inbox, m) != 0)
		rte_pktmbuf_free(m);
}

/* The SA's own headers up to ESP, around the one byte. */
static void keepalive_write(struct packet *p, const struct sa_out *sa, uint8_t n)
{
	const struct sa_outer *outer = &sa->outer[n];
	uint32_t head = outer->header_len - (uint32_t)ESP_AND_IV_LEN;
	uint8_t *l3 = p->l3;

	memcpy(l3, sa->header[n] + SA_TEMPLATE_LEN - outer->header_len, head);
	l3[head] = KEEPALIVE;
	store_be16(l3 + head - 4, UDP_HEADER_LEN + KEEPALIVE_LEN);
	p->length = (uint16_t)(head + KEEPALIVE_LEN);
	if (p->family == IP_V6) {
		store_be16(l3 + 4, UDP_HEADER_LEN + KEEPALIVE_LEN);
		udp_checksum_ipv6(p);
	} else {
		store_be16(l3 + 2, p->length);
		store16(l3 + 10, 0);
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, IPV4_HEADER_MIN)));
	}
}

void keepalive_send(struct gateway *gw, uint32_t tunnel)
{
	uint8_t n;
	const struct sa_out *sa = sending_sa(gw, tunnel, &n);
	struct packet p = { .walk = ABI_TRACE_LOCAL, .flags = PACKET_ORIGINATED };
	struct rte_mbuf *m;

	if (sa == NULL || !(sa->outer[n].flags & SA_UDP))
		return;
	m = rte_pktmbuf_alloc(gw->pool);
	if (m == NULL)
		return;
	p.l3 = rte_pktmbuf_mtod(m, uint8_t *);
	p.family = sa->outer[n].flags & SA_OUTER_V6 ? IP_V6 : IP_V4;
	p.route = route_value(ROUTE_KIND_ADJACENCY, sa->outer[n].adjacency);
	p.attachment = gw->tables->adjacency[sa->outer[n].adjacency].attachment;
	keepalive_write(&p, sa, n);
	hand_over(gw, m, &p);
}

/* As long as a padded packet, or any length. 0: none fits. */
static uint32_t dummy_length(const struct gateway *gw, uint32_t tunnel, uint32_t inner_mtu,
			     uint32_t room)
{
	uint32_t most = RTE_MIN(inner_mtu, room), pad_to = gw->tunnel[tunnel].record.pad_to;

	if (most < DUMMY_LEAST)
		return 0;
	if (pad_to != 0)
		return RTE_MAX(RTE_MIN(pad_to, most), (uint32_t)DUMMY_LEAST);
	return DUMMY_LEAST + (uint32_t)rte_rand_max(most - DUMMY_LEAST + 1);
}

void dummy_send(struct gateway *gw, uint32_t tunnel)
{
	uint8_t n, *l3;
	const struct sa_out *sa = sending_sa(gw, tunnel, &n);
	struct rte_mbuf *m;
	uint32_t length;

	/* Nothing is to be dropped for it where the SA or its lease has ended. */
	if (sa == NULL || (sa->flags & SA_EXPIRED) ||
	    __atomic_load_n(&sa->sequence, __ATOMIC_RELAXED) >= sa->sequence_limit)
		return;
	m = rte_pktmbuf_alloc(gw->pool);
	if (m == NULL)
		return;
	length = dummy_length(gw, tunnel, sa_inner_mtu(sa, n),
			      rte_pktmbuf_tailroom(m) - (uint32_t)ESP_TRAILER_ROOM);
	if (length == 0) {
		rte_pktmbuf_free(m);
		return;
	}
	l3 = rte_pktmbuf_mtod(m, uint8_t *);
	/* What was in the buffer is nobody's business; of zeros IPv6 header fields are zeros, too. */
	memset(l3, 0, length);
	/* Where it is to be padded by another buffer, this one has to say what it holds. */
	m->data_len = (uint16_t)length;
	m->pkt_len = length;
	hand_over(gw, m,
		  &(struct packet){
			  .l3 = l3,
			  .tenant = gw->tunnel[tunnel].record.tenant,
			  .route = HANDOFF_DUMMY | tunnel,
			  .length = (uint16_t)length,
			  .family = IP_V6,
			  .walk = ABI_TRACE_OUTBOUND,
			  .flags = PACKET_ORIGINATED | PACKET_DUMMY,
		  });
}
