/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routing in the tenant's VRF: what came from an attachment and what came out of a tunnel meet here
 * and are sorted by where they go next.
 */
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "ip_header.h"
#include "ip_option.h"
#include "vrf.h"
#include "worker.h"

/* Things that must not be forwarded, whatever the route says. */
static enum drop_reason forward_refuse(const struct packet *p, struct ip_addr destination)
{
	enum ip_family family = p->family;
	struct ip_addr source = ip_source(p->l3, family);

	if (ip_bad_source(source, family))
		return DROP_ip_source;
	if (ip_is_multicast(destination, family))
		return DROP_multicast;
	if (family == IP_V6 && (ipv6_is_link_local(source) || ipv6_is_link_local(destination)))
		return DROP_ip_source;
	return DROP_NONE;
}

/* Whatever it is, and whatever its route says. */
static __attribute__((noinline)) void forward_packet(struct worker *w, struct packet *p)
{
	enum route_kind kind = route_kind(p->route);
	bool originated = p->flags & PACKET_ORIGINATED;
	enum drop_reason reason;

	if (ip_has_options(p->l3, p->family) && !originated && ip_source_routed(p)) {
		packet_drop(w, p, DROP_ip_option);
		return;
	}
	if (kind == ROUTE_KIND_LOCAL && !originated) {
		p->walk = p->walk == ABI_TRACE_INBOUND ? p->walk : ABI_TRACE_LOCAL;
		packet_push(&w->local, p);
		return;
	}
	if (p->tenant == 0 && !originated) {
		packet_drop(w, p, DROP_not_underlay);
		return;
	}
	if (!originated) {
		reason = forward_refuse(p, ip_destination(p->l3, p->family));
		if (reason != DROP_NONE) {
			packet_drop(w, p, reason);
			return;
		}
	}
	switch (kind) {
	case ROUTE_KIND_TUNNEL:
	case ROUTE_KIND_ADJACENCY:
	case ROUTE_KIND_ONLINK:
		if (!originated && !ip_hop(p->l3, p->family)) {
			packet_drop(w, p, DROP_ttl_expired);
			return;
		}
		if (kind == ROUTE_KIND_TUNNEL)
			packet_push(&w->encap, p);
		else
			packet_push(kind == ROUTE_KIND_ADJACENCY ? &w->adjacent : &w->host, p);
		return;
	case ROUTE_KIND_BLACKHOLE:
		packet_drop(w, p, DROP_blackhole);
		return;
	case ROUTE_KIND_LOCAL: /* our own answer to ourselves */
	case ROUTE_KIND_NONE:
	default:
		packet_drop(w, p, kind == ROUTE_KIND_LOCAL ? DROP_local_unhandled : DROP_no_route);
	}
}

/* Where nearly all packets of a run that asked the same go; NULL: each is looked at. */
static inline struct packet_list *forward_way(struct worker *w, const struct route_query *q)
{
	if (q->table == w->tables->vrf || ip_is_multicast(q->addr, q->family))
		return NULL;
	if (likely(route_kind(q->value) == ROUTE_KIND_TUNNEL))
		return &w->encap;
	return route_kind(q->value) == ROUTE_KIND_ADJACENCY ? &w->adjacent : NULL;
}

/* An IPv4 packet of a tenant's without options that goes on: what nearly all are. */
static inline bool forward_ipv4_plain(const struct packet *p)
{
	const uint8_t *l3 = p->l3;
	uint8_t source = l3[12];

	/* Neither 0/8, 127/8 nor 224/3, and a hop is left. */
	return p->family == IP_V4 && l3[0] == 0x45 && (uint8_t)(source - 1) < 223 &&
	       source != 127 && l3[8] > 1 && !(p->flags & PACKET_ORIGINATED);
}

static inline void forward_run(struct worker *w, const struct route_query *q, struct packet **run,
			       uint32_t n)
{
	struct packet_list *way = forward_way(w, q);

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];

		p->route = q->value;
		if (likely(way != NULL && forward_ipv4_plain(p))) {
			ip_hop(p->l3, IP_V4);
			packet_push(way, p);
		} else {
			forward_packet(w, p);
		}
	}
}

static inline bool asks_the_same(const struct packet *a, const struct packet *b)
{
	if (a->tenant != b->tenant || a->family != b->family)
		return false;
	if (likely(a->family == IP_V4))
		return load32(a->l3 + 16) == load32(b->l3 + 16);
	return memcmp(a->l3 + 24, b->l3 + 24, 16) == 0;
}

void forward_burst(struct worker *w)
{
	struct packet_list *list = &w->forward;
	uint32_t n = list->n, queries = 0;
	uint8_t first[BURST_MAX + 1]; /* of the packets in a row that ask the same */

	for (uint32_t i = 0; i < n; i++) {
		const struct packet *p = list->p[i];

		if (i != 0 && asks_the_same(p, list->p[i - 1]))
			continue;
		first[queries] = (uint8_t)i;
		w->query[queries++] = (struct route_query){
			.table = &w->tables->vrf[p->tenant],
			.addr = ip_destination(p->l3, p->family),
			.family = p->family,
		};
	}
	first[queries] = (uint8_t)n;
	route_lookup_burst(w->tables->routes, w->query, queries);
	for (uint32_t q = 0; q < queries; q++)
		forward_run(w, &w->query[q], &list->p[first[q]],
			    (uint32_t)(first[q + 1] - first[q]));
	list->n = 0;
	worker_stage(w, STAGE_ROUTE, n);
}
