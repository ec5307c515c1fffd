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
#include "rx_share.h"
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

/* What may enter the tunnel; its size, by the ends that it is going to leave with; room in the buffer. */
static enum drop_reason outbound_examine(struct worker *w, struct packet *p)
{
	const struct sa_out *sa = &p->sa->out;
	const struct sa_outer *o = &sa->outer[p->outer];
	enum drop_reason reason;

	if ((sa->flags & SA_SELECTORS) && !selectors_allow(w, p, SELECTOR_LOCAL))
		return DROP_selector;
	if (p->length > __atomic_load_n(&o->inner_mtu, __ATOMIC_RELAXED)) {
		reason = outbound_big(w, p, o);
		if (reason != DROP_NONE)
			return reason;
	}
	if (!esp_encap_fits(p)) {
		reason = outbound_make_room(p);
		if (reason != DROP_NONE)
			return reason;
	}
	p->inner_length = p->length;
	return p->length < sa->pad_to ? outbound_pad(p) : DROP_NONE;
}

/* From tunnels to SAs; what will be needed of them is on its way to the cache. */
static void outbound_find(struct worker *w, struct packet_list *list)
{
	const struct tables *t = w->tables;
	const union sa *last = NULL;
	uint32_t n = list->n, route = 0, tunnel = 0, id = 0;
	union sa *sa = t->sa;
	uint8_t outer = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = list->p[i];

		if (p->route != route) {
			route = p->route;
			tunnel = route_index(route);
			id = __atomic_load_n(&t->tunnel[tunnel].sa_out, __ATOMIC_ACQUIRE);
			sa = &t->sa[id];
			rte_prefetch0(&sa->out);
		}
		p->walk = ABI_TRACE_OUTBOUND;
		p->tunnel = tunnel;
		p->sa_id = id;
		p->sa = sa;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = list->p[i];

		if (p->sa != last) {
			last = p->sa;
			outer = sa_active(&last->out);
			rte_prefetch0(last->out.header[outer]);
			if (likely(p->sa_id != 0))
				aead_key_prefetch(last->out.key);
		}
		p->outer = outer;
	}
}

static __attribute__((noinline)) bool outbound_refuse(struct worker *w, struct packet *p)
{
	enum drop_reason reason = outbound_examine(w, p);

	if (reason == DROP_too_big)
		packet_oversize(w, p);
	else if (reason != DROP_NONE)
		packet_drop(w, p, reason);
	return reason != DROP_NONE;
}

/* n packets of one SA: those that may go into its tunnel go to `to`. */
static uint32_t outbound_admit(struct worker *w, struct packet **run, uint32_t n,
			       struct packet **to)
{
	const struct sa_out *sa = &run[0]->sa->out;
	uint32_t most = sa_inner_mtu(sa, run[0]->outer), least = sa->pad_to, kept = 0;
	bool plain = !(sa->flags & SA_SELECTORS), mss = !(sa->flags & SA_MSS_OFF);

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];

		if (likely(plain && p->length >= least && p->length <= most && esp_encap_fits(p)))
			p->inner_length = p->length;
		else if (outbound_refuse(w, p))
			continue;
		if (mss_is_tcp(p->l3, p->family) && mss)
			mss_clamp_syn(p->l3, p->inner_length, p->family, most, sa->mss);
		to[kept++] = p;
	}
	return kept;
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

/* Packets at list->p[from] of one SA, and for one pair of its tunnel's ends. */
static inline uint32_t outbound_run_length(const struct packet_list *list, uint32_t from)
{
	uint32_t id = list->p[from]->sa_id, i = from + 1;
	uint8_t outer = list->p[from]->outer;

	while (i < list->n && list->p[i]->sa_id == id && list->p[i]->outer == outer)
		i++;
	return i - from;
}

static void outbound_no_sa(struct worker *w, struct packet **run, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		packet_drop(w, run[i], DROP_no_sa);
}

static void outbound_check(struct worker *w, struct packet_list *list)
{
	uint32_t kept = 0, n;

	for (uint32_t i = 0; i < list->n; i += n) {
		struct packet **run = &list->p[i];

		n = outbound_run_length(list, i);
		if (likely(run[0]->sa_id != 0))
			kept += outbound_admit(w, run, n, &list->p[kept]);
		else
			outbound_no_sa(w, run, n);
	}
	list->n = kept;
}

/* Sequence numbers for all of them, in order; what gets none is dropped. */
static void outbound_number(struct worker *w, struct packet_list *list)
{
	uint32_t kept = 0, n, granted;
	uint64_t first = 0;

	for (uint32_t i = 0; i < list->n; i += n) {
		struct packet **run = &list->p[i];

		n = outbound_run_length(list, i);
		granted = outbound_grant(w, run, n, &first);
		if (unlikely(granted < n))
			outbound_stop(w, run + granted, n - granted);
		for (uint32_t k = 0; k < granted; k++) {
			run[k]->sequence = first + k;
			list->p[kept++] = run[k];
		}
	}
	list->n = kept;
}

/* n packets of one SA; how the ends of its tunnel changed meanwhile is none of theirs. */
static void outbound_encap(struct worker *w, struct packet **run, uint32_t n, struct aead_op *op)
{
	struct counters_sa *row = &w->stats.sa[run[0]->sa_id];
	struct esp_run common = esp_run_of(&run[0]->sa->out, run[0]->outer);
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];

		bytes += p->inner_length;
		esp_encap(p, &common, w->tables->flow_key, &op[i]);
		if (unlikely(p->flags & PACKET_DUMMY))
			dummy_mark(p);
	}
	row->packets += n;
	row->bytes += bytes;
	row->sequence = run[n - 1]->sequence;
}

/* What was encrypted, towards its next hop. */
static void outbound_leave(struct worker *w, uint32_t n, uint32_t failed)
{
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = w->encap.p[i];

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
}

void outbound_burst(struct worker *w)
{
	struct packet_list *list = &w->encap;
	uint32_t n, failed;

	outbound_find(w, list);
	outbound_check(w, list);
	rx_turn_enter(w, RX_TURN_SEQUENCE);
	outbound_number(w, list);
	rx_turn_leave(w, RX_TURN_SEQUENCE);
	for (uint32_t i = 0; i < list->n; i += n) {
		n = outbound_run_length(list, i);
		outbound_encap(w, &list->p[i], n, &w->op[i]);
	}
	worker_stage(w, STAGE_ENCAP, list->n);
	failed = aead_encrypt(w->tables->aead, w->op, list->n);
	worker_stage(w, STAGE_ENCRYPT, list->n);
	outbound_leave(w, list->n, failed);
	list->n = 0;
	if (unlikely(w->cut_sealed != 0))
		fragment_sealed(w);
}
