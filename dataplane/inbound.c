/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inbound walk: ESP from the underlay -> SA -> replay check -> decrypt -> replay commit -> strip ->
 * is the inner source this tunnel's? What survives joins the packets to be routed in the tenant's
 * VRF. RFC 4303 section 3.4. Nothing of a packet but its SPI and sequence number is believed before
 * its tag was verified.
 */
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dummy.h"
#include "early.h"
#include "ecn.h"
#include "ip_header.h"
#include "mss.h"
#include "peer.h"
#include "replay.h"
#include "rx_share.h"
#include "sad.h"
#include "segments.h"
#include "selector.h"
#include "vrf.h"
#include "worker.h"

#define ESP_HEADER_LEN 16 /* SPI, sequence number, IV */
#define ESP_TRAILER    2  /* pad length, next header */

#define NEXT_HEADER_IPV4 4
#define NEXT_HEADER_IPV6 41

static inline const uint8_t *packet_esp(const struct packet *p)
{
	return p->l3 + p->esp_offset;
}

/* spi: 0 where the packet was too short to have one. */
static __attribute__((noinline)) void inbound_unknown(struct worker *w, struct packet *p,
						      uint32_t spi)
{
	struct counters_tenant *underlay = &w->stats.tenant[0];

	if (spi != 0 && early_hold(w, p))
		return;
	underlay->in_packets++;
	underlay->in_bytes += p->length;
	packet_drop(w, p, spi == 0 ? DROP_frame_short : DROP_spi_unknown);
}

/* While packets wait for their SA, what comes behind them may have to. */
static __attribute__((noinline)) void inbound_queue(struct worker *w, struct packet_list *list)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->n; i++)
		if (!early_queue(w, list->p[i]))
			list->p[kept++] = list->p[i];
	list->n = kept;
}

/* SPI -> SA, once for packets in a row; what will be needed of it is on its way to the cache. */
static void inbound_find(struct worker *w, struct packet_list *list)
{
	union sa *sas = w->tables->sa;
	uint32_t spi[BURST_MAX] = { 0 }, id[BURST_MAX], runs = 0, kept = 0;
	uint8_t run[BURST_MAX];

	for (uint32_t i = 0; i < list->n; i++) {
		const struct packet *p = list->p[i];
		uint32_t least = p->esp_offset + ESP_HEADER_LEN + ESP_TRAILER + AEAD_TAG_LEN;
		/* One that is too short has no SPI to look up; 0 is never in the SAD. */
		uint32_t its = likely(p->length >= least) ? load32(packet_esp(p)) : 0;

		if (runs == 0 || its != spi[runs - 1])
			spi[runs++] = its;
		run[i] = (uint8_t)(runs - 1);
	}
	sad_lookup_burst(w->tables->sad, spi, id, runs);
	for (uint32_t k = 0; k < runs; k++) {
		rte_prefetch0(&sas[id[k]].in);
		rte_prefetch0(sas[id[k]].room);
	}
	for (uint32_t k = 0; k < runs; k++) {
		const struct sa_in *sa = &sas[id[k]].in;

		if (unlikely(id[k] == 0))
			continue;
		rte_prefetch0(sa->replay);
		__builtin_prefetch(&w->stats.sa[id[k]], 1);
		__builtin_prefetch(&w->stats.tunnel[sa->tunnel], 1);
	}
	for (uint32_t i = 0; i < list->n; i++) {
		struct packet *p = list->p[i];
		uint32_t k = run[i];

		if (unlikely(id[k] == 0)) {
			inbound_unknown(w, p, spi[k]);
			continue;
		}
		p->sa = &sas[id[k]];
		p->sa_id = id[k];
		list->p[kept++] = p;
	}
	list->n = kept;
	if (unlikely(w->early_held != 0))
		inbound_queue(w, list);
}

static void inbound_replayed(struct worker *w, struct packet *p, enum replay_verdict verdict)
{
	static const uint8_t reason[] = {
		[REPLAY_SEEN] = DROP_replay_seen,
		[REPLAY_LATE] = DROP_replay_late,
		[REPLAY_ZERO] = DROP_replay_zero,
	};

	w->stats.sa[p->sa_id].replayed++;
	packet_drop(w, p, reason[verdict]);
}

static __attribute__((noinline)) void inbound_refuse(struct worker *w, struct packet *p)
{
	packet_drop(w, p, DROP_sa_expired);
}

/* With ESN the high half is authenticated, too; it isn't sent (RFC 4106 section 5). */
static inline void inbound_aad_esn(struct worker *w, struct packet *p, struct aead_op *op,
				   uint32_t low)
{
	const struct sa_in *sa = &p->sa->in;

	store32(op->aad, sa->spi);
	store32(op->aad + 4, __builtin_bswap32((uint32_t)(p->sequence >> 32)));
	store32(op->aad + 8, __builtin_bswap32(low));
	op->aad_len = 12;
	if (unlikely(__atomic_load_n(&sa->replay->failed, __ATOMIC_RELAXED) >= ESN_FAILURES))
		esn_recovery_save(w, p, op);
}

/*
 * n packets of one SA: the read-only replay check, and the operations for the cipher. Survivors follow
 * the `kept` ones before, with their ops. Returns how many there are.
 */
static uint32_t inbound_prepare(struct worker *w, struct packet **run, uint32_t n, uint32_t kept)
{
	const struct sa_in *sa = &run[0]->sa->in;
	const struct replay *replay = sa->replay;
	const struct aead_key *key = sa->key;
	struct counters_tenant *row = &w->stats.tenant[sa->tenant];
	uint32_t tenant = sa->tenant, tunnel = sa->tunnel, survivors = 0;
	uint8_t flags = sa->flags;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];
		struct aead_op *op = &w->op[kept + survivors];
		uint8_t *esp = p->l3 + p->esp_offset;
		uint32_t low = __builtin_bswap32(load32(esp + 4));
		enum replay_verdict verdict;

		p->tenant = tenant;
		p->tunnel = tunnel;
		bytes += p->length;
		/* In UDP or not is the peer's choice, packet by packet (RFC 7296 section 2.23). */
		if (unlikely(flags & SA_EXPIRED)) {
			inbound_refuse(w, p);
			continue;
		}
		p->sequence = flags & SA_ESN ? replay_guess(replay, low) : low;
		verdict = replay_check(replay, p->sequence);
		if (unlikely(verdict != REPLAY_NEW)) {
			inbound_replayed(w, p, verdict);
			continue;
		}
		op->key = key;
		op->data = esp + ESP_HEADER_LEN;
		op->len = p->length - p->esp_offset - ESP_HEADER_LEN - AEAD_TAG_LEN;
		op->tag = op->data + op->len;
		op->chain = NULL;
		if (unlikely(p->flags & PACKET_SEGMENTS))
			op->chain = segments_aead(p, op->data);
		op->iv = load64(esp + 8);
		if (flags & SA_ESN) {
			inbound_aad_esn(w, p, op, low);
		} else {
			store64(op->aad, load64(esp));
			op->aad_len = 8;
		}
		w->inbound.p[kept + survivors++] = p;
	}
	row->in_packets += n;
	row->in_bytes += bytes;
	return kept + survivors;
}

static void inbound_decrypt(struct worker *w, struct packet_list *list)
{
	uint32_t n = list->n, kept = 0;

	if (likely(aead_decrypt(w->tables->aead, w->op, n) == 0))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = list->p[i];

		if (w->op[i].status == AEAD_OK ||
		    ((p->sa->in.flags & SA_ESN) && esn_recovery_try(w, p, &w->op[i]))) {
			list->p[kept++] = p;
			continue;
		}
		icv_failure_count(w, p);
		packet_drop(w, p, DROP_icv_failed);
	}
	list->n = kept;
}

/* An SA with a lifetime: so many more packets may it carry. Their bytes are known later. */
static uint32_t inbound_age(struct worker *w, struct packet **run, uint32_t n)
{
	uint32_t granted = n != 0 ? lifetime_take_packets(w, run[0], n) : 0;

	w->ageing = true;
	for (uint32_t i = granted; i < n; i++)
		packet_drop(w, run[i], DROP_sa_expired);
	return granted;
}

/* The newest packet of a run counts, if it is newer than all that came before: `top`. */
static void inbound_follow(struct worker *w, struct packet *const *run,
			   const enum replay_verdict *verdict, uint32_t n, uint64_t top)
{
	const struct packet *newest = NULL;

	for (uint32_t i = 0; i < n; i++)
		if (verdict[i] == REPLAY_NEW && run[i]->sequence > top) {
			top = run[i]->sequence;
			newest = run[i];
		}
	if (newest != NULL)
		peer_look(w, newest);
}

/* One run of packets of one SA: the window decides, once, under its lock. */
static uint32_t inbound_commit_run(struct worker *w, struct packet **run, uint32_t n,
				   struct packet **kept)
{
	struct counters_sa *row = &w->stats.sa[run[0]->sa_id];
	const struct sa_in *sa = &run[0]->sa->in;
	struct replay *replay = sa->replay;
	enum replay_verdict verdict[BURST_MAX];
	uint32_t survivors = 0;
	uint64_t lost, top;

	if (!w->alone)
		replay_lock(replay);
	lost = replay->lost;
	top = replay->top;
	for (uint32_t i = 0; i < n; i++)
		verdict[i] = replay_commit(replay, run[i]->sequence);
	lost = replay->lost - lost;
	if (unlikely(replay->failed != 0))
		__atomic_store_n(&replay->failed, 0, __ATOMIC_RELAXED);
	if (!w->alone)
		replay_unlock(replay);

	if (unlikely(sa->flags & SA_FOLLOW))
		inbound_follow(w, run, verdict, n, top);
	row->lost += lost;
	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];

		if (unlikely(verdict[i] != REPLAY_NEW)) {
			inbound_replayed(w, p, verdict[i]);
			continue;
		}
		if (p->sequence > row->sequence)
			row->sequence = p->sequence;
		kept[survivors++] = p;
	}
	if (unlikely(sa->flags & SA_LIFETIME))
		survivors = inbound_age(w, kept, survivors);
	row->packets += survivors;
	return survivors;
}

static void inbound_commit(struct worker *w, struct packet_list *list)
{
	uint32_t i = 0, kept = 0;

	while (i < list->n) {
		uint32_t first = i, id = list->p[i]->sa_id;

		while (i < list->n && list->p[i]->sa_id == id)
			i++;
		kept += inbound_commit_run(w, &list->p[first], i - first, &list->p[kept]);
	}
	list->n = kept;
}

/* RFC 4303 section 2.4: the padding is 1, 2, 3, ... */
static inline bool padding_is_right(const uint8_t *pad, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (pad[i] != i + 1)
			return false;
	return true;
}

/*
 * From the ESP payload, `len` bytes, to the inner packet. What is behind the inner packet is TFC
 * padding. `trailer`: pad length and next header, with all that may be padding before them.
 */
static __attribute__((always_inline)) inline enum drop_reason
payload_strip(struct packet *p, const uint8_t *trailer, uint32_t len)
{
	uint8_t *inner = p->l3 + p->esp_offset + ESP_HEADER_LEN;
	uint8_t pad_len = trailer[0], next_header = trailer[1];
	uint8_t outer_class = ip_traffic_class(p->l3, p->family);
	enum drop_reason reason;
	uint16_t inner_len;

	if (pad_len > len || !padding_is_right(trailer - pad_len, pad_len))
		return DROP_padding;
	len -= pad_len;
	if (likely(next_header == NEXT_HEADER_IPV4))
		p->family = IP_V4;
	else if (next_header == NEXT_HEADER_IPV6)
		p->family = IP_V6;
	else
		return next_header == NEXT_HEADER_DUMMY ? DROP_dummy : DROP_next_header;
	reason = ip_header_check(inner, len, p->family, false, &inner_len);
	if (unlikely(reason != DROP_NONE))
		return DROP_inner_header;
	if (unlikely(!ecn_decapsulate(inner, p->family, outer_class, p->sa->in.flags & SA_DSCP_IN)))
		return DROP_ecn;
	p->outer_length = p->length;
	p->l3 = inner;
	p->length = inner_len;
	return DROP_NONE;
}

/* The same where the trailer may lie in several buffers. */
static __attribute__((noinline)) enum drop_reason segments_strip(struct packet *p, uint32_t len)
{
	uint32_t before = RTE_MIN(len, (uint32_t)UINT8_MAX);
	uint32_t from = p->esp_offset + ESP_HEADER_LEN + len - before;
	uint8_t copy[UINT8_MAX + ESP_TRAILER];

	return payload_strip(p, segments_read(p, from, before + ESP_TRAILER, copy) + before, len);
}

static enum drop_reason inbound_strip(struct packet *p)
{
	uint32_t len = p->length - p->esp_offset - ESP_HEADER_LEN - AEAD_TAG_LEN - ESP_TRAILER;

	if (unlikely(p->flags & PACKET_SEGMENTS))
		return segments_strip(p, len);
	return payload_strip(p, p->l3 + p->esp_offset + ESP_HEADER_LEN + len, len);
}

static void inbound_decap(struct worker *w, struct packet_list *list)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->n; i++) {
		struct packet *p = list->p[i];
		enum drop_reason reason = inbound_strip(p);

		if (unlikely(reason != DROP_NONE))
			packet_drop(w, p, reason);
		else
			list->p[kept++] = p;
	}
	list->n = kept;
}

/* As what goes the other way through the tunnel: an answer to a SYN will take it. */
static void inbound_mss(const struct worker *w, const struct packet *p)
{
	const struct tunnel *tunnel = &w->tables->tunnel[p->tunnel];
	uint32_t id = __atomic_load_n(&tunnel->sa_out, __ATOMIC_ACQUIRE);
	const struct sa_out *sa = &w->tables->sa[id].out;

	if (id != 0 && !(sa->flags & SA_MSS_OFF))
		mss_clamp_syn(p->l3, p->length, p->family, sa_inner_mtu(sa, sa_active(sa)),
			      sa->mss);
}

static inline bool same_source(const struct packet *a, const struct packet *b)
{
	if (a->sa_id != b->sa_id || a->family != b->family)
		return false;
	if (likely(a->family == IP_V4))
		return load32(a->l3 + 12) == load32(b->l3 + 12);
	return memcmp(a->l3 + 8, b->l3 + 8, 16) == 0;
}

/* Where answers to the inner sources would go: one look-up for packets in a row from one source. */
static void inbound_route_back(struct worker *w, struct packet_list *list)
{
	uint32_t queries = 0;
	uint8_t query[BURST_MAX];

	for (uint32_t i = 0; i < list->n; i++) {
		const struct packet *p = list->p[i];

		if (i == 0 || !same_source(p, list->p[i - 1]))
			w->query[queries++] = (struct route_query){
				.table = &w->tables->vrf[p->tenant],
				.addr = ip_source(p->l3, p->family),
				.family = p->family,
			};
		query[i] = (uint8_t)(queries - 1);
	}
	route_lookup_burst(w->tables->routes, w->query, queries);
	for (uint32_t i = 0; i < list->n; i++)
		list->p[i]->route = w->query[query[i]].value;
}

/* n packets of one SA that came in. */
static void inbound_accept(struct worker *w, struct packet **run, uint32_t n)
{
	struct counters_tunnel *tunnel = &w->stats.tunnel[run[0]->tunnel];
	uint32_t back = route_value(ROUTE_KIND_TUNNEL, run[0]->tunnel);
	bool selectors = run[0]->sa->in.flags & SA_SELECTORS;
	uint64_t packets = 0, inner = 0, outer = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = run[i];

		if (unlikely(p->route != back)) {
			packet_drop(w, p, DROP_inner_source);
			continue;
		}
		if (unlikely(selectors) && !selectors_allow(w, p, SELECTOR_REMOTE)) {
			packet_drop(w, p, DROP_selector);
			continue;
		}
		if (mss_is_tcp(p->l3, p->family))
			inbound_mss(w, p);
		packets++;
		inner += p->length;
		outer += p->outer_length;
		packet_push(&w->forward, p);
	}
	tunnel->in_packets += packets;
	tunnel->in_inner_bytes += inner;
	tunnel->in_outer_bytes += outer;
	w->stats.sa[run[0]->sa_id].bytes += inner;
}

/*
 * A tunnel may send what would be routed back into it: the look-up that routes is also the policy
 * (RFC 4301 section 5.2 step 4), so no address outside a tunnel's networks can come out of it. Where
 * it has traffic selectors they narrow that down.
 */
static void inbound_source(struct worker *w, struct packet_list *list)
{
	uint32_t i = 0;

	inbound_route_back(w, list);
	while (i < list->n) {
		uint32_t first = i, id = list->p[i]->sa_id;

		while (i < list->n && list->p[i]->sa_id == id)
			i++;
		inbound_accept(w, &list->p[first], i - first);
	}
}

void inbound_burst(struct worker *w)
{
	struct packet_list *list = &w->inbound;
	uint32_t n = list->n, i = 0, kept = 0;

	inbound_find(w, list);
	w->esn.saved = NULL;
	while (i < list->n) {
		uint32_t first = i, id = list->p[i]->sa_id;

		while (i < list->n && list->p[i]->sa_id == id)
			i++;
		kept = inbound_prepare(w, &list->p[first], i - first, kept);
	}
	list->n = kept;
	worker_stage(w, STAGE_SAD, n);
	inbound_decrypt(w, list);
	worker_stage(w, STAGE_DECRYPT, list->n);
	rx_turn_enter(w, RX_TURN_COMMIT);
	inbound_commit(w, list);
	rx_turn_leave(w, RX_TURN_COMMIT);
	inbound_decap(w, list);
	if (unlikely(w->ageing))
		lifetime_inbound(w, list);
	inbound_source(w, list);
	worker_stage(w, STAGE_DECAP, list->n);
	list->n = 0;
}
