/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait until their next hop is resolved. Anybody may send what has to wait, so an
 * attachment's share of the buffers is bounded, and so are the entries that nobody answers for.
 */
#include "neighbour_internal.h"

#include <rte_ring.h>

#include "ip_header.h"
#include "worker.h"

#define WAITING_SHARE  256 /* buffers per attachment */
#define WAITING_BUFS   8   /* in all, one in so many of the pool's buffers */
#define UNRESOLVED_MAX 512 /* entries per attachment that nobody answered for: bounds a scan */

void neighbour_drop(struct neighbours *n, struct rte_mbuf *m, enum drop_reason reason)
{
	struct packet *p = mbuf_packet(m);

	p->reason = (uint8_t)reason;
	drop_count(&n->gw->own, p);
	rte_pktmbuf_free(m);
}

void neighbour_send(struct neighbours *n, struct rte_mbuf *m)
{
	struct packet *p = mbuf_packet(m);

	p->generation = handoff_generation(n->gw->tables, p);
	if (rte_ring_enqueue(n->gw->worker[0]->inbox, m) != 0)
		neighbour_drop(n, m, DROP_tx_full);
}

/* Its sender is to be told, which is a worker's to do: icmp_error.c. */
static void neighbour_unreachable(struct neighbours *n, struct rte_mbuf *m)
{
	struct packet *p = mbuf_packet(m);

	p->route = HANDOFF_UNREACHABLE;
	p->generation = handoff_generation(n->gw->tables, p);
	if (rte_ring_enqueue(n->gw->worker[0]->inbox, m) != 0)
		neighbour_drop(n, m, DROP_neighbour_failed);
}

void neighbour_release(struct neighbours *n, uint32_t i, enum drop_reason reason)
{
	struct neighbour *e = &n->entry[i];

	for (uint32_t k = 0; k < e->waiting; k++) {
		n->waiting -= e->packet[k]->nb_segs;
		n->share[e->attachment].waiting -= e->packet[k]->nb_segs;
		mbuf_packet(e->packet[k])->route = route_value(ROUTE_KIND_ADJACENCY, i);
		if (reason == DROP_NONE)
			neighbour_send(n, e->packet[k]);
		else if (reason == DROP_neighbour_failed)
			neighbour_unreachable(n, e->packet[k]);
		else
			neighbour_drop(n, e->packet[k], reason);
	}
	e->waiting = 0;
}

static void neighbour_keep(struct neighbours *n, struct neighbour *e, struct rte_mbuf *mbuf)
{
	struct share *share = &n->share[e->attachment];

	if (e->waiting == WAITING_MAX || share->waiting + mbuf->nb_segs > WAITING_SHARE ||
	    n->waiting >= n->gw->pool->size / WAITING_BUFS) {
		neighbour_drop(n, mbuf, DROP_neighbour_wait);
		return;
	}
	e->packet[e->waiting++] = mbuf;
	share->waiting += mbuf->nb_segs;
	n->waiting += mbuf->nb_segs;
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
		neighbour_unreachable(n, mbuf);
	} else {
		if (e->probes == 0) {
			e->probes = 1;
			neighbour_probe(n, i);
		}
		neighbour_keep(n, e, mbuf);
	}
}
