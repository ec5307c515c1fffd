/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outbound walk behind routing: tunnel -> SA -> does it fit -> ESP header -> encrypt -> towards the
 * next hop in the underlay. RFC 4303 section 3.3, RFC 4301 section 5.1.
 */
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "acquire.h"
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

/* Both: the packet wants a UDP checksum once it is encrypted. */
#define UDP_SUM (SA_UDP | SA_OUTER_V6)

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

/* Packets in a row that one SA sends by one pair of its tunnel's ends. */
struct out_run {
	union sa *sa;
	uint64_t sequence; /* of the first */
	uint32_t id;       /* of the SA; 0: the tunnel has none */
	uint32_t tunnel;
	uint8_t first; /* place in the list */
	uint8_t n;
	uint8_t outer;
};

/*
 * The SA of the worker whose queue the packets came from, whoever carries them: those of a flow
 * stay in one SA.
 */
static __attribute__((noinline)) const struct sa_out *outbound_own(const struct worker *w,
								   struct out_run *run)
{
	uint32_t worker = w->share != NULL ? w->share->worker : w->id;

	run->id =
		__atomic_load_n(tables_worker_sa(w->tables, run->tunnel, worker), __ATOMIC_ACQUIRE);
	run->sa = &w->tables->sa[run->id];
	return &run->sa->out;
}

/*
 * From tunnels to SAs; what will be needed of them is on its way to the cache. Returns the number of
 * runs.
 */
static uint32_t outbound_find(struct worker *w, const struct packet_list *list,
			      struct out_run *runs)
{
	const struct tables *t = w->tables;
	struct out_run *run = runs - 1;
	uint32_t n = list->n, route = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (list->p[i]->route == route) {
			run->n++;
			continue;
		}
		route = list->p[i]->route;
		(++run)->tunnel = route_index(route);
		run->id = __atomic_load_n(&t->tunnel[run->tunnel].sa_out, __ATOMIC_ACQUIRE);
		run->sa = &t->sa[run->id];
		run->first = (uint8_t)i;
		run->n = 1;
		rte_prefetch0(&run->sa->out);
	}
	n = (uint32_t)(run + 1 - runs);
	for (run = runs; run < runs + n; run++) {
		const struct sa_out *sa = &run->sa->out;

		if (unlikely(__atomic_load_n(&sa->spread, __ATOMIC_ACQUIRE)))
			sa = outbound_own(w, run);
		run->outer = sa_active(sa);
		rte_prefetch0(sa->header[run->outer]);
		__builtin_prefetch(&w->stats.sa[run->id], 1);
		__builtin_prefetch(&w->stats.tunnel[run->tunnel], 1);
	}
	return n;
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

/* Those of a run that may go into its tunnel stay in it, at their new place in the list. */
static void outbound_admit(struct worker *w, struct out_run *run, uint32_t kept)
{
	struct packet **list = w->encap.p;
	const struct sa_out *sa = &run->sa->out;
	uint32_t most = sa_inner_mtu(sa, run->outer), least = sa->pad_to, at = kept;
	bool plain = !(sa->flags & SA_SELECTORS), mss = !(sa->flags & SA_MSS_OFF);

	for (uint32_t i = 0; i < run->n; i++) {
		struct packet *p = list[run->first + i];

		p->walk = ABI_TRACE_OUTBOUND;
		p->sa = run->sa;
		p->sa_id = run->id;
		p->tunnel = run->tunnel;
		p->outer = run->outer;
		if (likely(plain && p->length >= least && p->length <= most && esp_encap_fits(p)))
			p->inner_length = p->length;
		else if (outbound_refuse(w, p))
			continue;
		if (mss_is_tcp(p->l3, p->family) && mss)
			mss_clamp_syn(p->l3, p->inner_length, p->family, most, sa->mss);
		list[at++] = p;
	}
	run->first = (uint8_t)kept;
	run->n = (uint8_t)(at - kept);
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

static void outbound_no_sa(struct worker *w, struct out_run *run)
{
	for (uint32_t i = 0; i < run->n; i++) {
		struct packet *p = w->encap.p[run->first + i];

		p->walk = ABI_TRACE_OUTBOUND;
		p->tunnel = run->tunnel;
		acquire_ask(w, p);
		packet_drop(w, p, DROP_no_sa);
	}
	run->n = 0;
}

/* Sequence numbers for a run; what gets none is dropped. */
static void outbound_number(struct worker *w, struct out_run *run)
{
	struct packet **first = &w->encap.p[run->first];
	uint32_t granted = outbound_grant(w, first, run->n, &run->sequence);

	if (unlikely(granted < run->n))
		outbound_stop(w, first + granted, run->n - granted);
	run->n = (uint8_t)granted;
}

/*
 * Behind the `kept` ones before, with their ops. Returns whether nothing is left to be looked at but
 * the cipher's result.
 */
static bool outbound_encap(struct worker *w, const struct out_run *run, uint32_t kept)
{
	struct counters_sa *row = &w->stats.sa[run->id];
	struct esp_run common = esp_run_of(&run->sa->out, run->outer);
	struct packet **list = w->encap.p;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < run->n; i++) {
		struct packet *p = list[run->first + i];

		p->sequence = run->sequence + i;
		bytes += p->inner_length;
		esp_encap(p, &common, w->tables->flow_key, &w->op[kept + i]);
		if (unlikely(p->flags & PACKET_DUMMY))
			dummy_mark(p);
		list[kept + i] = p;
	}
	row->packets += run->n;
	row->bytes += bytes;
	row->sequence = run->sequence + run->n - 1;
	return route_index(common.route) != 0 && (common.outer_flags & UDP_SUM) != UDP_SUM;
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
	struct packet_list *list = &w->encap, *adjacent = &w->adjacent;
	struct out_run runs[BURST_MAX];
	uint32_t n = outbound_find(w, list, runs), kept = 0, failed;
	bool plain = true;

	for (uint32_t i = 0; i < n; i++) {
		if (likely(runs[i].id != 0))
			outbound_admit(w, &runs[i], kept);
		else
			outbound_no_sa(w, &runs[i]);
		kept += runs[i].n;
	}
	rx_turn_enter(w, RX_TURN_SEQUENCE);
	for (uint32_t i = 0; i < n; i++)
		if (likely(runs[i].n != 0))
			outbound_number(w, &runs[i]);
	rx_turn_leave(w, RX_TURN_SEQUENCE);
	kept = 0;
	for (uint32_t i = 0; i < n; i++)
		if (likely(runs[i].n != 0)) {
			plain &= outbound_encap(w, &runs[i], kept);
			kept += runs[i].n;
		}
	worker_stage(w, STAGE_ENCAP, list->n);
	failed = aead_encrypt(w->tables->aead, w->op, kept);
	worker_stage(w, STAGE_ENCRYPT, kept);
	if (likely(plain && failed == 0)) {
		memcpy(&adjacent->p[adjacent->n], list->p, kept * sizeof(list->p[0]));
		adjacent->n += kept;
	} else {
		outbound_leave(w, kept, failed);
	}
	list->n = 0;
	if (unlikely(w->cut_sealed != 0))
		fragment_sealed(w);
}
