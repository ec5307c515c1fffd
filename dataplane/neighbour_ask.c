/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked and answered on the link: ARP and ND for our addresses and our next hops. */
#include "neighbour_internal.h"

#include <string.h>

#include "host_mirror.h"
#include "ip_header.h"
#include "log.h"
#include "neighbour_frame.h"
#include "worker.h"

#define PROBE_MS      1000
#define WARN_MS       1000 /* between two lines about addresses of ours in use elsewhere */
#define ETHERTYPE_ARP 0x0806

/* The address of ours in whose network another one is; NULL: it is not on-link. */
static const struct abi_address *neighbour_network(const struct neighbours *n, uint32_t attachment,
						   enum ip_family family, struct ip_addr addr)
{
	const struct abi_attachment *at = neighbour_attachment(n, attachment);

	for (uint32_t k = 0; k < ABI_ATTACHMENT_ADDRESSES; k++) {
		const struct abi_address *a = &at->address[k];

		if (a->family == (family == IP_V4 ? ABI_IPV4 : ABI_IPV6) &&
		    ip_equal(ip_prefix(ip_load(family, a->addr), a->prefix_len),
			     ip_prefix(addr, a->prefix_len)))
			return a;
	}
	return NULL;
}

/* The address of ours to ask from: the one whose prefix the neighbour is in, or any. */
static bool neighbour_own_address(const struct neighbours *n, uint32_t attachment,
				  enum ip_family family, struct ip_addr addr, struct ip_addr *own)
{
	const struct abi_attachment *at = neighbour_attachment(n, attachment);
	const struct abi_address *a = neighbour_network(n, attachment, family, addr);

	for (uint32_t k = 0; a == NULL && k < ABI_ATTACHMENT_ADDRESSES; k++)
		if (at->address[k].family == (family == IP_V4 ? ABI_IPV4 : ABI_IPV6))
			a = &at->address[k];
	if (a != NULL)
		*own = ip_load(family, a->addr);
	else if (family == IP_V6)
		*own = ipv6_link_local(n->gw->port[n->gw->tables->attachment[attachment].port].mac);
	return a != NULL || family == IP_V6;
}

static bool neighbour_is_own(const struct neighbours *n, uint32_t attachment, enum ip_family family,
			     struct ip_addr addr)
{
	const struct abi_attachment *at = neighbour_attachment(n, attachment);

	for (uint32_t k = 0; k < ABI_ATTACHMENT_ADDRESSES; k++)
		if (at->address[k].family == (family == IP_V4 ? ABI_IPV4 : ABI_IPV6) &&
		    ip_equal(ip_load(family, at->address[k].addr), addr))
			return true;
	return family == IP_V6 &&
	       ip_equal(addr, ipv6_link_local(
				      n->gw->port[n->gw->tables->attachment[attachment].port].mac));
}

static void neighbour_transmit(struct neighbours *n, uint32_t attachment, enum neighbour_kind kind,
			       enum ip_family family, struct ip_addr from, struct ip_addr to,
			       const uint8_t *to_mac, struct ip_addr target)
{
	const struct attachment *at = &n->gw->tables->attachment[attachment];
	const uint8_t *mac = n->gw->port[at->port].mac;
	struct rte_mbuf *m = rte_pktmbuf_alloc(n->gw->pool);
	uint32_t l2 = at->vlan != 0 ? 18 : 14, len;
	uint8_t *eth, destination[6];
	uint16_t ethertype;

	if (m == NULL)
		return;
	eth = rte_pktmbuf_mtod(m, uint8_t *);
	len = neighbour_message_write(eth + l2, kind, family, from, mac, to, to_mac, target,
				      destination, &ethertype);
	memcpy(eth, destination, 6);
	memcpy(eth + 6, mac, 6);
	if (at->vlan != 0) {
		store_be16(eth + 12, 0x8100);
		store_be16(eth + 14, at->vlan);
	}
	store_be16(eth + l2 - 2, ethertype);
	if (l2 + len < 60) {
		memset(eth + l2 + len, 0, 60 - l2 - len);
		m->data_len = 60;
	} else {
		m->data_len = (uint16_t)(l2 + len);
	}
	m->pkt_len = m->data_len;
	*mbuf_packet(m) = (struct packet){
		.l3 = eth + l2,
		.tenant = at->tenant,
		.route = HANDOFF_FRAME,
		.attachment = attachment,
		.length = (uint16_t)len,
		.rx_port = (uint8_t)at->port,
		.family = (uint8_t)family,
		.walk = ABI_TRACE_LOCAL,
		.flags = PACKET_ORIGINATED,
	};
	neighbour_send(n, m);
}

void neighbour_probe(struct neighbours *n, uint32_t i)
{
	struct neighbour *e = &n->entry[i];
	struct ip_addr own;

	e->due = n->now + PROBE_MS;
	if (neighbour_is_hosts(n, e->attachment)) {
		if (n->gw->mirror != NULL)
			host_mirror_resolve(n->gw->mirror, e->attachment, e->family, e->addr);
		return;
	}
	if (neighbour_own_address(n, e->attachment, e->family, e->addr, &own))
		neighbour_transmit(n, e->attachment, NEIGHBOUR_REQUEST, e->family, own, e->addr,
				   e->state == ABI_NEIGHBOUR_STALE ? e->mac : NULL, e->addr);
}

/* ---- what comes ---- */

static void neighbour_conflict(struct neighbours *n, uint32_t attachment, const uint8_t mac[6])
{
	if (n->now < n->warn_due)
		return;
	n->warn_due = n->now + WARN_MS;
	log_warn(
		"attachment %u: another station (%02x:%02x:%02x:%02x:%02x:%02x) uses an address of "
		"this gateway; find it and give it another",
		attachment, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/*
 * An answer is heard only where we asked, or know already; a change only if it says so. One to a
 * question by unicast may leave the address out (RFC 4861 s. 4.4), as Linux does: it confirms the one
 * that is known (s. 7.2.5).
 */
static void neighbour_answered(struct neighbours *n, uint32_t attachment,
			       const struct neighbour_message *m)
{
	uint32_t i = neighbour_find(n, attachment, m->family, m->target);
	const struct neighbour *e = &n->entry[i];
	uint8_t known[6];

	if (i == 0)
		return;
	if (!m->has_mac) {
		memcpy(known, e->mac, sizeof(known));
		if (m->solicited && e->state != ABI_NEIGHBOUR_INCOMPLETE)
			neighbour_learn(n, attachment, m->family, m->target, known);
		return;
	}
	if (m->override || e->state == ABI_NEIGHBOUR_INCOMPLETE ||
	    memcmp(e->mac, m->mac, sizeof(e->mac)) == 0)
		neighbour_learn(n, attachment, m->family, m->target, m->mac);
}

/*
 * Who asks for us will be sent to, so it is learnt; but only in a network of the attachment: a host
 * route to any other address would take what belongs to a tunnel or to another attachment.
 */
static void neighbour_asked(struct neighbours *n, uint32_t attachment,
			    const struct neighbour_message *m)
{
	bool known = neighbour_find(n, attachment, m->family, m->sender) != 0;
	bool ours = neighbour_is_own(n, attachment, m->family, m->target);

	if ((m->sender.hi != 0 || m->sender.lo != 0) && m->has_mac &&
	    (known || (ours && n->share[attachment].entries < n->entries_max &&
		       neighbour_network(n, attachment, m->family, m->sender) != NULL)))
		neighbour_learn(n, attachment, m->family, m->sender, m->mac);
	if (ours)
		neighbour_transmit(n, attachment, NEIGHBOUR_REPLY, m->family, m->target, m->sender,
				   m->has_mac ? m->mac : NULL, m->target);
}

void neighbour_receive(struct neighbours *n, struct rte_mbuf *mbuf)
{
	struct packet *p = mbuf_packet(mbuf);
	bool is_arp = load_be16(p->l3 - 2) == ETHERTYPE_ARP;
	struct neighbour_message m;

	if (n->gw->attachment[p->attachment].record.id == 0 ||
	    p->generation != handoff_generation(n->gw->tables, p) ||
	    !neighbour_message_read(p->l3, p->length, is_arp, &m))
		goto out;
	if (neighbour_is_own(n, p->attachment, m.family, m.sender))
		neighbour_conflict(n, p->attachment, m.mac);
	else if (m.kind == NEIGHBOUR_REPLY)
		neighbour_answered(n, p->attachment, &m);
	else
		neighbour_asked(n, p->attachment, &m);
out:
	rte_pktmbuf_free(mbuf);
}
