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

static void forward_packet(struct worker *w, struct packet *p, struct ip_addr destination)
{
	enum route_kind kind = route_kind(p->route);
	bool originated = p->flags & PACKET_ORIGINATED;
	enum drop_reason reason;

	if (unlikely(ip_has_options(p->l3, p->family)) && !originated && ip_source_routed(p)) {
		packet_drop(w, p, DROP_ip_option);
		return;
	}
	if (kind == ROUTE_KIND_LOCAL && !originated) {
		p->walk = p->walk == ABI_TRACE_INBOUND ? p->walk : ABI_TRACE_LOCAL;
		packet_push(&w->local, p);
		return;
	}
	if (unlikely(p->tenant == 0 && !originated)) {
		packet_drop(w, p, DROP_not_underlay);
		return;
	}
	if (likely(!originated)) {
		reason = forward_refuse(p, destination);
		if (unlikely(reason != DROP_NONE)) {
			packet_drop(w, p, reason);
			return;
		}
	}
	switch (kind) {
	case ROUTE_KIND_TUNNEL:
	case ROUTE_KIND_ADJACENCY:
	case ROUTE_KIND_ONLINK:
		if (likely(!originated) && unlikely(!ip_hop(p->l3, p->family))) {
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

void forward_burst(struct worker *w)
{
	struct packet_list *list = &w->forward;
	uint32_t n = list->n;

	for (uint32_t i = 0; i < n; i++) {
		const struct packet *p = list->p[i];

		w->query[i] = (struct route_query){
			.table = &w->tables->vrf[p->tenant],
			.addr = ip_destination(p->l3, p->family),
			.family = p->family,
		};
	}
	route_lookup_burst(w->tables->routes, w->query, n);
	for (uint32_t i = 0; i < n; i++) {
		list->p[i]->route = w->query[i].value;
		forward_packet(w, list->p[i], w->query[i].addr);
	}
	list->n = 0;
	worker_stage(w, STAGE_ROUTE, n);
}
