/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outbound walk behind routing: tunnel -> SA -> does it fit -> ESP header -> encrypt -> towards the
 * next hop in the underlay. RFC 4303 section 3.3, RFC 4301 section 5.1.
 */
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dummy.h"
#include "esp_encap.h"
#include "mss.h"
#include "segments.h"
#include "selector.h"
#include "sequence.h"
#include "udp.h"
#include "vrf.h"
#include "worker.h"

/* Room in front is needed; behind, another buffer makes it. */
static enum drop_reason outbound_make_room(struct packet *p)
{
	return esp_encap_has_headroom(p) ? segments_reserve(p, ESP_TRAILER_ROOM) : DROP_no_headroom;
}

/*
 * What does not fit one outer packet. A tunnel is a link, and carries what every link of its family
 * must, however narrow the path is: such a packet is cut behind ESP (RFC 8200 section 5).
 */
static enum drop_reason outbound_big(struct worker *w, struct packet *p, const struct sa_outer *o)
{
	if (__atomic_load_n(&o->adjacency, __ATOMIC_RELAXED) == 0)
		return DROP_no_underlay;
	if (p->length > ip_least_mtu(p->family))
		return DROP_too_big;
	p->flags |= PACKET_CUT_SEALED;
	w->cut_sealed++;
	return DROP_NONE;
}

/* What may enter the tunnel; its size, by the ends that it is going to leave with; room in the buffer. */
static inline enum drop_reason outbound_check(struct worker *w, struct packet *p,
					      const struct sa_outer *o)
{
	enum drop_reason reason;

	if (unlikely(p->sa->out.flags & SA_SELECTORS) && !selectors_allow(w, p, SELECTOR_LOCAL))
		return DROP_selector;
	if (unlikely(p->length > __atomic_load_n(&o->inner_mtu, __ATOMIC_RELAXED))) {
		reason = outbound_big(w, p, o);
		if (reason != DROP_NONE)
			return reason;
	}
	return likely(esp_encap_fits(p)) ? DROP_NONE : outbound_make_room(p);
}

/*
 * Traffic flow confidentiality (RFC 4303 section 2.7): zeros behind the inner packet, whose own header
 * tells where it ends; as many as were asked for, but no more than fit the tunnel.
 */
static __attribute__((noinline)) enum drop_reason outbound_pad(struct packet *p)
{
	const struct sa_out *sa = &p->sa->out;
	uint16_t to = __atomic_load_n(&sa->pad_to, __ATOMIC_RELAXED), length = p->length;
	uint16_t most = sa_inner_mtu(sa, p->outer);
	enum drop_reason reason;

	to = RTE_MIN(to, most);
	if (to <= length)
		return DROP_NONE;
	p->length = to;
	if (likely(esp_encap_fits(p))) {
		memset(p->l3 + length, 0, to - length);
		return DROP_NONE;
	}
	p->length = length;
	reason = segments_reserve(p, to - length + ESP_TRAILER_ROOM);
	if (reason != DROP_NONE)
		return reason;
	memset(segments_tail(p), 0, to - length);
	segments_grow(p, to - length);
	p->length = to;
	return DROP_NONE;
}

static void outbound_sa(struct worker *w, struct packet_list *list)
{
	const struct tables *t = w->tables;
	uint32_t n = list->n, kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = list->p[i];
		uint32_t tunnel = route_index(p->route);

		p->tunnel = tunnel;
		p->walk = ABI_TRACE_OUTBOUND;
		p->sa_id = __atomic_load_n(&t->tunnel[tunnel].sa_out, __ATOMIC_ACQUIRE);
		p->sa = &t->sa[p->sa_id];
		rte_prefetch0(&p->sa->out);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = list->p[i];
		const struct sa_out *sa = &p->sa->out;
		uint8_t outer = sa_active(sa);
		enum drop_reason reason =
			p->sa_id != 0 ? outbound_check(w, p, &sa->outer[outer]) : DROP_no_sa;

		p->outer = outer;
		if (unlikely(reason != DROP_NONE)) {
			if (reason == DROP_too_big)
				packet_oversize(w, p);
			else
				packet_drop(w, p, reason);
			continue;
		}
		p->inner_length = p->length;
		if (unlikely(p->length < sa->pad_to)) {
			reason = outbound_pad(p);
			if (reason != DROP_NONE) {
				packet_drop(w, p, reason);
				continue;
			}
		}
		rte_prefetch0(sa->header[outer]);
		aead_key_prefetch(sa->key);
		if (mss_is_tcp(p->l3, p->family) && !(sa->flags & SA_MSS_OFF))
			mss_clamp_syn(p->l3, p->inner_length, p->family, sa_inner_mtu(sa, outer),
				      sa->mss);
		list->p[kept++] = p;
	}
	list->n = kept;
}

static bool outbound_is_over(const struct worker *w, const struct packet *p)
{
	return (p->sa->out.flags & SA_EXPIRED) ||
	       ((p->sa->out.flags & SA_LIFETIME) &&
		lifetime_is_over(&w->tables->lifetime[p->sa_id]));
}

/* What the SA can't carry, and why. */
static void outbound_stop(struct worker *w, struct packet **run, uint32_t n)
{
	enum drop_reason reason = DROP_sa_expired;

	if (!outbound_is_over(w, run[0]))
		reason = sequence_stop_reason(&run[0]->sa->out);
	if (reason == DROP_lease_used_up)
		w->stats.sa[run[0]->sa_id].lease_stops += n;
	for (uint32_t i = 0; i < n; i++)
		packet_drop(w, run[i], reason);
}

/* So many of the run may go, by the SA's lease and lifetime. */
static uint32_t outbound_grant(struct worker *w, struct packet **run, uint32_t n, uint64_t *first)
{
	struct sa_out *sa = &run[0]->sa->out;

	if (likely(!(sa->flags & (SA_LIFETIME | SA_EXPIRED))))
		return sequence_take(w, run[0], n, first);
	if (outbound_is_over(w, run[0]))
		return 0;
	/* Numbers first: what has none must not age the SA. */
	n = lifetime_take_packets(w, run[0], sequence_take(w, run[0], n, first));
	return lifetime_take_bytes(w, run, n);
}

static uint32_t outbound_run(struct worker *w, struct packet **run, uint32_t n, uint32_t kept)
{
	struct counters_sa *row = &w->stats.sa[run[0]->sa_id];
	struct sa_out *sa = &run[0]->sa->out;
	uint8_t outer = run[0]->outer;
	uint64_t first = 0, bytes = 0;
	uint32_t granted = outbound_grant(w, run, n, &first);

	for (uint32_t i = 0; i < granted; i++) {
		struct packet *p = run[i];

		p->sequence = first + i;
		bytes += p->inner_length;
		esp_encap(p, sa, outer, w->tables->flow_key, &w->op[kept + i]);
		if (unlikely(p->flags & PACKET_DUMMY))
			dummy_mark(p);
		w->encap.p[kept + i] = p;
	}
	if (unlikely(granted < n))
		outbound_stop(w, run + granted, n - granted);
	row->packets += granted;
	row->bytes += bytes;
	if (granted != 0)
		row->sequence = first + granted - 1;
	return granted;
}

void outbound_burst(struct worker *w)
{
	struct packet_list *list = &w->encap;
	uint32_t i = 0, kept = 0, n, failed;

	outbound_sa(w, list);
	n = list->n;
	while (i < n) {
		uint32_t first = i, id = list->p[i]->sa_id;
		uint8_t outer = list->p[i]->outer;

		while (i < n && list->p[i]->sa_id == id && list->p[i]->outer == outer)
			i++;
		kept += outbound_run(w, &list->p[first], i - first, kept);
	}
	worker_stage(w, STAGE_ENCAP, n);
	failed = aead_encrypt(w->tables->aead, w->op, kept);
	worker_stage(w, STAGE_ENCRYPT, kept);
	for (i = 0; i < kept; i++) {
		struct packet *p = list->p[i];

		if (unlikely(failed != 0 && w->op[i].status != AEAD_OK)) {
			packet_drop(w, p, DROP_encrypt_failed);
			continue;
		}
		if (unlikely(route_index(p->route) == 0)) {
			packet_drop(w, p, DROP_no_underlay);
			continue;
		}
		if (unlikely(p->flags & PACKET_UDP_SUM))
			udp_checksum_ipv6(p);
		packet_push(&w->adjacent, p);
	}
	list->n = 0;
	if (unlikely(w->cut_sealed != 0))
		fragment_sealed(w);
}
