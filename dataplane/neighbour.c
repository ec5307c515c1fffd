/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An entry per neighbour, at the index of its adjacency. Life of one that we resolve ourselves:
 *
 *   INCOMPLETE --answer--> REACHABLE --REACHABLE_MS--> STALE (asked again by unicast) --answer--> ...
 *        | PROBES unanswered: FAILED for HOLD_MS, then asked again (a route points here) or freed
 *
 * Those of a mirrored underlay are the host stack's business: it ages them, and we ask it to
 * resolve.
 */
#include "neighbour.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "gateway.h"
#include "host_mirror.h"
#include "ip_header.h"
#include "log.h"
#include "neighbour_frame.h"
#include "reclaim.h"
#include "underlay.h"
#include "vrf.h"
#include "worker.h"

/*
 * What packets, which anybody may send, can make us keep. An attachment's share of the table and of
 * the buffers is bounded, so that who scans or floods runs out of his own.
 */
#define WAITING_MAX    8   /* packets per neighbour, while it is being resolved */
#define WAITING_SHARE  256 /* packets per attachment */
#define WAITING_BUFS   8   /* in all, one in so many of the pool's buffers */
#define UNRESOLVED_MAX 512 /* entries per attachment that nobody answered for: bounds a scan */
#define ENTRIES_SHARE  8   /* entries per attachment: one in so many of the table, */
#define ENTRIES_LEAST  16  /* and a few where it is small */

#define PROBES        3
#define PROBE_MS      1000
#define REACHABLE_MS  60000
#define HOLD_MS       5000
#define WARN_MS       1000 /* between two lines about addresses of ours in use elsewhere */
#define ETHERTYPE_ARP 0x0806

struct neighbour {
	struct ip_addr addr;
	uint64_t due;        /* ms: when neighbour_tick() has to look at it */
	uint32_t attachment; /* 0: free */
	uint32_t next;       /* in the hash chain, or in the free list */
	uint32_t references;
	uint8_t family;
	uint8_t state; /* enum abi_neighbour_state */
	uint8_t probes;
	uint8_t waiting;
	uint8_t mac[6];
	bool routed; /* its host route is in the VRF */
	bool failed;
	struct rte_mbuf *packet[WAITING_MAX];
};

/* What an attachment takes of what all share. */
struct share {
	uint32_t entries;
	uint32_t unresolved;
	uint32_t waiting; /* packets */
};

struct neighbours {
	struct gateway *gw;
	struct neighbour *entry; /* [max_adjacencies]; [0] unused */
	uint32_t *bucket;        /* heads of the hash chains */
	struct share *share;     /* [max_attachments] */
	uint32_t entries_max;    /* of an attachment, made by packets */
	uint32_t waiting;        /* packets, in all */
	uint32_t mask;
	uint32_t free; /* head of the free list */
	uint32_t used; /* entries below were used once */
	uint32_t cursor;
	uint64_t now;
	uint64_t warn_due;
};

/* ---- the table ---- */

static uint32_t *neighbour_bucket(const struct neighbours *n, uint32_t attachment,
				  struct ip_addr addr)
{
	uint64_t h =
		(addr.hi ^ (addr.lo * 0x9e3779b97f4a7c15ull) ^ attachment) * 0xff51afd7ed558ccdull;

	return &n->bucket[(h >> 32) & n->mask];
}

static uint32_t neighbour_find(const struct neighbours *n, uint32_t attachment,
			       enum ip_family family, struct ip_addr addr)
{
	uint32_t i = *neighbour_bucket(n, attachment, addr);

	while (i != 0 && (n->entry[i].attachment != attachment || n->entry[i].family != family ||
			  !ip_equal(n->entry[i].addr, addr)))
		i = n->entry[i].next;
	return i;
}

static const struct abi_attachment *neighbour_attachment(const struct neighbours *n, uint32_t id)
{
	return &n->gw->attachment[id].record;
}

static bool neighbour_is_hosts(const struct neighbours *n, uint32_t attachment)
{
	return neighbour_attachment(n, attachment)->netdev[0] != '\0';
}

/* The adjacency as the workers see it; everything but MAC and state stays for its life. */
static void adjacency_init(struct neighbours *n, uint32_t i, uint32_t attachment)
{
	const struct attachment *at = &n->gw->tables->attachment[attachment];
	struct adjacency *a = &n->gw->tables->adjacency[i];
	uint16_t generation = (uint16_t)(a->generation + 1);

	memset(a, 0, sizeof(*a));
	__atomic_store_n(&a->generation, generation, __ATOMIC_RELAXED);
	memcpy(a->header + 6, n->gw->port[at->port].mac, 6);
	a->header_len = 14;
	if (at->vlan != 0) {
		a->header[12] = 0x81;
		a->header[14] = (uint8_t)(at->vlan >> 8);
		a->header[15] = (uint8_t)at->vlan;
		a->header_len = 18;
	}
	a->port = at->port;
	a->mtu = at->mtu;
	a->attachment = attachment;
	a->tenant = at->tenant;
	__atomic_store_n(&a->state, ADJACENCY_INCOMPLETE, __ATOMIC_RELEASE);
}

static uint32_t neighbour_new(struct neighbours *n, uint32_t attachment, enum ip_family family,
			      struct ip_addr addr)
{
	uint32_t *bucket = neighbour_bucket(n, attachment, addr), i = n->free;

	if (i != 0)
		n->free = n->entry[i].next;
	else if (n->used < n->gw->size.max_adjacencies)
		i = n->used++;
	else
		return 0;
	n->entry[i] = (struct neighbour){
		.addr = addr,
		.attachment = attachment,
		.next = *bucket,
		.family = (uint8_t)family,
		.state = ABI_NEIGHBOUR_INCOMPLETE,
		.due = n->now,
	};
	*bucket = i;
	n->share[attachment].unresolved++;
	n->share[attachment].entries++;
	adjacency_init(n, i, attachment);
	return i;
}

static void neighbour_freed(void *owner, uint64_t i, uint64_t unused)
{
	struct neighbours *n = owner;

	n->entry[i].next = n->free;
	n->free = (uint32_t)i;
}

/* ---- waiting packets ---- */

static void neighbour_drop(struct neighbours *n, struct rte_mbuf *m, enum drop_reason reason)
{
	struct packet *p = mbuf_packet(m);

	p->reason = (uint8_t)reason;
	drop_count(&n->gw->own, p);
	rte_pktmbuf_free(m);
}

/* To a worker: only workers send. */
static void neighbour_send(struct neighbours *n, struct rte_mbuf *m)
{
	struct packet *p = mbuf_packet(m);

	p->generation = handoff_generation(n->gw->tables, p);
	if (rte_ring_enqueue(n->gw->worker[0]->inbox, m) != 0)
		neighbour_drop(n, m, DROP_tx_full);
}

static void neighbour_release(struct neighbours *n, uint32_t i, enum drop_reason reason)
{
	struct neighbour *e = &n->entry[i];

	for (uint32_t k = 0; k < e->waiting; k++) {
		mbuf_packet(e->packet[k])->route = route_value(ROUTE_KIND_ADJACENCY, i);
		if (reason == DROP_NONE)
			neighbour_send(n, e->packet[k]);
		else
			neighbour_drop(n, e->packet[k], reason);
	}
	n->waiting -= e->waiting;
	n->share[e->attachment].waiting -= e->waiting;
	e->waiting = 0;
}

/* ---- states ---- */

static void neighbour_unroute(struct neighbours *n, struct neighbour *e)
{
	struct tables *t = n->gw->tables;
	uint32_t tenant = t->attachment[e->attachment].tenant, old;

	if (!e->routed)
		return;
	e->routed = false;
	if (route_get(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family)) ==
	    route_value(ROUTE_KIND_ADJACENCY, (uint32_t)(e - n->entry)))
		route_delete(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family),
			     &old);
	if (tenant == 0)
		underlay_changed(n->gw);
}

/* A host route spares the workers a look-up; a route that the operator set is never touched. */
static void neighbour_route(struct neighbours *n, struct neighbour *e)
{
	struct tables *t = n->gw->tables;
	uint32_t tenant = t->attachment[e->attachment].tenant, old;
	uint32_t value = route_value(ROUTE_KIND_ADJACENCY, (uint32_t)(e - n->entry));

	/* It may have been taken away since: an operator's route in its place came and went. */
	if ((e->family == IP_V6 && ipv6_is_link_local(e->addr)) ||
	    route_get(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family)) !=
		    ROUTE_NONE)
		return;
	if (route_set(t->routes, &t->vrf[tenant], e->family, e->addr, ip_bits(e->family), value,
		      &old) == 0)
		e->routed = true;
	if (tenant == 0)
		underlay_changed(n->gw);
}

static void neighbour_resolved(struct neighbours *n, uint32_t i, const uint8_t mac[6],
			       bool permanent)
{
	struct adjacency *a = &n->gw->tables->adjacency[i];
	struct neighbour *e = &n->entry[i];
	uint64_t first = a->destination;

	if (e->state == ABI_NEIGHBOUR_INCOMPLETE)
		n->share[e->attachment].unresolved--;
	memcpy(e->mac, mac, 6);
	memcpy(&first, mac, 6);
	__atomic_store_n(&a->destination, first, __ATOMIC_RELAXED);
	__atomic_store_n(&a->state, ADJACENCY_COMPLETE, __ATOMIC_RELEASE);
	e->state = permanent ? ABI_NEIGHBOUR_PERMANENT : ABI_NEIGHBOUR_REACHABLE;
	e->probes = 0;
	e->failed = false;
	e->due = n->now + REACHABLE_MS;
	neighbour_route(n, e);
	neighbour_release(n, i, DROP_NONE);
}

static void neighbour_unresolved(struct neighbours *n, struct neighbour *e)
{
	uint32_t i = (uint32_t)(e - n->entry);

	if (e->state != ABI_NEIGHBOUR_INCOMPLETE)
		n->share[e->attachment].unresolved++;
	e->state = ABI_NEIGHBOUR_INCOMPLETE;
	e->probes = 0;
	__atomic_store_n(&n->gw->tables->adjacency[i].state, ADJACENCY_INCOMPLETE,
			 __ATOMIC_RELEASE);
	neighbour_unroute(n, e);
}

static void neighbour_free(struct neighbours *n, uint32_t i)
{
	struct neighbour *e = &n->entry[i];
	uint32_t *link = neighbour_bucket(n, e->attachment, e->addr);

	neighbour_unroute(n, e);
	neighbour_release(n, i, DROP_neighbour_failed);
	while (*link != i)
		link = &n->entry[*link].next;
	*link = e->next;
	if (e->state == ABI_NEIGHBOUR_INCOMPLETE)
		n->share[e->attachment].unresolved--;
	n->share[e->attachment].entries--;
	e->attachment = 0;
	__atomic_store_n(&n->gw->tables->adjacency[i].state, ADJACENCY_FREE, __ATOMIC_RELEASE);
	reclaim_defer(n->gw->tables->reclaim, neighbour_freed, n, i, 0);
}

/* ---- asking ---- */

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

static void neighbour_probe(struct neighbours *n, uint32_t i)
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

/* ---- the doors ---- */

uint32_t neighbour_get(struct neighbours *n, uint32_t attachment, enum ip_family family,
		       struct ip_addr addr)
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (i == 0)
		i = neighbour_new(n, attachment, family, addr);
	if (i != 0)
		n->entry[i].references++;
	return i;
}

void neighbour_hold(struct neighbours *n, uint32_t adjacency)
{
	n->entry[adjacency].references++;
}

void neighbour_put(struct neighbours *n, uint32_t adjacency)
{
	struct neighbour *e = &n->entry[adjacency];

	if (--e->references == 0 && e->state == ABI_NEIGHBOUR_INCOMPLETE)
		neighbour_free(n, adjacency);
}

int neighbour_of(const struct neighbours *n, uint32_t adjacency, uint32_t *attachment,
		 enum ip_family *family, struct ip_addr *addr)
{
	const struct neighbour *e;

	if (adjacency == 0 || adjacency >= n->used || n->entry[adjacency].attachment == 0)
		return -ENOENT;
	e = &n->entry[adjacency];
	*attachment = e->attachment;
	*family = e->family;
	*addr = e->addr;
	return 0;
}

int neighbour_set_permanent(struct neighbours *n, uint32_t attachment, enum ip_family family,
			    struct ip_addr addr, const uint8_t mac[6])
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (n->gw->attachment[attachment].record.id == 0)
		return -ENOENT;
	if (i == 0)
		i = neighbour_new(n, attachment, family, addr);
	if (i == 0)
		return -ENOSPC;
	neighbour_resolved(n, i, mac, true);
	return 0;
}

int neighbour_delete_permanent(struct neighbours *n, uint32_t attachment, enum ip_family family,
			       struct ip_addr addr)
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (i == 0 || n->entry[i].state != ABI_NEIGHBOUR_PERMANENT)
		return -ENOENT;
	neighbour_unresolved(n, &n->entry[i]);
	n->entry[i].due = n->now;
	if (n->entry[i].references == 0)
		neighbour_free(n, i);
	return 0;
}

void neighbour_learn(struct neighbours *n, uint32_t attachment, enum ip_family family,
		     struct ip_addr addr, const uint8_t *mac)
{
	uint32_t i = neighbour_find(n, attachment, family, addr);

	if (i != 0 && n->entry[i].state == ABI_NEIGHBOUR_PERMANENT)
		return;
	if (mac == NULL) {
		if (i == 0)
			return;
		neighbour_unresolved(n, &n->entry[i]);
		n->entry[i].due = n->now;
		if (n->entry[i].references == 0)
			neighbour_free(n, i);
		return;
	}
	if (i == 0)
		i = neighbour_new(n, attachment, family, addr);
	if (i != 0)
		neighbour_resolved(n, i, mac, false);
}

void neighbour_flush(struct neighbours *n, uint32_t attachment)
{
	for (uint32_t i = 1; i < n->used; i++) {
		struct neighbour *e = &n->entry[i];

		if (e->attachment != attachment)
			continue;
		neighbour_release(n, i, DROP_detached);
		neighbour_unresolved(n, e);
		e->due = n->now;
		if (e->references == 0)
			neighbour_free(n, i);
	}
}

int neighbour_walk(const struct neighbours *n, neighbour_walk_fn fn, void *arg)
{
	for (uint32_t i = 1; i < n->used; i++) {
		const struct neighbour *e = &n->entry[i];
		struct abi_neighbour record;
		int err;

		if (e->attachment == 0)
			continue;
		memset(&record, 0, sizeof(record));
		record.attachment = e->attachment;
		memcpy(record.mac, e->mac, 6);
		record.state = e->state;
		record.address.family = e->family == IP_V4 ? ABI_IPV4 : ABI_IPV6;
		record.address.prefix_len = ip_bits(e->family);
		ip_store(e->family, e->addr, record.address.addr);
		err = fn(arg, &record);
		if (err != 0)
			return err;
	}
	return 0;
}

static void neighbour_keep(struct neighbours *n, struct neighbour *e, struct rte_mbuf *mbuf)
{
	struct share *share = &n->share[e->attachment];

	if (e->waiting == WAITING_MAX || share->waiting == WAITING_SHARE ||
	    n->waiting >= n->gw->pool->size / WAITING_BUFS) {
		neighbour_drop(n, mbuf, DROP_neighbour_wait);
		return;
	}
	e->packet[e->waiting++] = mbuf;
	share->waiting++;
	n->waiting++;
}

void neighbour_wait(struct neighbours *n, struct rte_mbuf *mbuf)
{
	struct packet *p = mbuf_packet(mbuf);
	uint32_t i = route_index(p->route);
	struct neighbour *e;

	p->mbuf = mbuf;
	if (p->generation != handoff_generation(n->gw->tables, p)) {
		neighbour_drop(n, mbuf, DROP_detached);
		return;
	}
	if (route_kind(p->route) == ROUTE_KIND_ONLINK) {
		struct ip_addr to = ip_destination(p->l3, p->family);
		uint32_t attachment = i;

		if (n->gw->attachment[attachment].record.id == 0) {
			neighbour_drop(n, mbuf, DROP_detached);
			return;
		}
		i = neighbour_find(n, attachment, p->family, to);
		if (i == 0 && n->share[attachment].unresolved < UNRESOLVED_MAX &&
		    n->share[attachment].entries < n->entries_max)
			i = neighbour_new(n, attachment, p->family, to);
		if (i == 0) {
			neighbour_drop(n, mbuf, DROP_neighbour_wait);
			return;
		}
		p->route = route_value(ROUTE_KIND_ADJACENCY, i);
	}
	e = &n->entry[i];
	if (i == 0 || e->attachment == 0) {
		neighbour_drop(n, mbuf, DROP_detached);
	} else if (e->state != ABI_NEIGHBOUR_INCOMPLETE) {
		neighbour_send(n, mbuf);
	} else if (e->failed) {
		neighbour_drop(n, mbuf, DROP_neighbour_failed);
	} else {
		if (e->probes == 0) {
			e->probes = 1;
			neighbour_probe(n, i);
		}
		neighbour_keep(n, e, mbuf);
	}
}

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

/* An answer is heard only where we asked, or know already; a change only if it says so. */
static void neighbour_answered(struct neighbours *n, uint32_t attachment,
			       const struct neighbour_message *m)
{
	uint32_t i = neighbour_find(n, attachment, m->family, m->target);
	const struct neighbour *e = &n->entry[i];

	if (i != 0 && m->has_mac &&
	    (m->override || e->state == ABI_NEIGHBOUR_INCOMPLETE ||
	     memcmp(e->mac, m->mac, sizeof(e->mac)) == 0))
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

static void neighbour_due(struct neighbours *n, uint32_t i)
{
	struct neighbour *e = &n->entry[i];

	if (e->state == ABI_NEIGHBOUR_PERMANENT ||
	    (e->state != ABI_NEIGHBOUR_INCOMPLETE && neighbour_is_hosts(n, e->attachment)))
		return;
	if (e->state == ABI_NEIGHBOUR_REACHABLE)
		e->state = ABI_NEIGHBOUR_STALE;
	if (e->failed) { /* the hold is over */
		e->failed = false;
		e->probes = 0;
		if (e->references == 0) {
			neighbour_free(n, i);
			return;
		}
	}
	if (e->probes < PROBES) {
		e->probes++;
		neighbour_probe(n, i);
		return;
	}
	if (e->state != ABI_NEIGHBOUR_INCOMPLETE)
		neighbour_unresolved(n, e);
	neighbour_release(n, i, DROP_neighbour_failed);
	e->failed = true;
	e->due = n->now + HOLD_MS;
	__atomic_store_n(&n->gw->tables->adjacency[i].state, ADJACENCY_FAILED, __ATOMIC_RELEASE);
}

void neighbour_tick(struct neighbours *n, uint64_t now)
{
	n->now = now;
	for (uint32_t budget = 4096; budget != 0 && n->used > 1; budget--) {
		if (++n->cursor >= n->used) {
			n->cursor = 0;
			return;
		}
		if (n->entry[n->cursor].attachment != 0 && n->entry[n->cursor].due <= now)
			neighbour_due(n, n->cursor);
	}
}

int neighbours_create(struct gateway *gw, struct neighbours **out)
{
	struct neighbours *n = calloc(1, sizeof(*n));
	uint32_t buckets = 1024;

	if (n == NULL)
		return -ENOMEM;
	while (buckets < gw->size.max_adjacencies)
		buckets *= 2;
	n->gw = gw;
	n->used = 1;
	n->mask = buckets - 1;
	n->entries_max = gw->size.max_adjacencies / ENTRIES_SHARE + ENTRIES_LEAST;
	n->entry = calloc(gw->size.max_adjacencies, sizeof(*n->entry));
	n->bucket = calloc(buckets, sizeof(*n->bucket));
	n->share = calloc(gw->size.max_attachments, sizeof(*n->share));
	if (n->entry == NULL || n->bucket == NULL || n->share == NULL) {
		neighbours_destroy(n);
		return -ENOMEM;
	}
	*out = n;
	return 0;
}

void neighbours_destroy(struct neighbours *n)
{
	if (n == NULL)
		return;
	if (n->entry != NULL)
		for (uint32_t i = 1; i < n->used; i++)
			for (uint32_t k = 0; k < n->entry[i].waiting; k++)
				rte_pktmbuf_free(n->entry[i].packet[k]);
	free(n->entry);
	free(n->bucket);
	free(n->share);
	free(n);
}
