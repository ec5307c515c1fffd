/* SPDX-License-Identifier: BSD-3-Clause */
/* rte_ip_frag_table_del_expired_entries(): in DPDK since 18.11, and declared stable behind 22.11. */
#define ALLOW_EXPERIMENTAL_API
#include "reassembly.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ip_frag.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ecn.h"
#include "reassembly_host.h"
#include "rx_share.h"
#include "segments.h"
#include "spin.h"
#include "trace.h"
#include "udp.h"
#include "upper.h"
#include "vrf.h"
#include "worker.h"

#define BUCKET_ENTRIES 16

#define IPV4_MORE   0x2000
#define IPV6_MORE   1
#define IPV6_OFFSET 0xfff8
#define LENGTH_MAX  65535u

#define FRAGMENT_HEADER_LEN 8

/* The library tells pieces apart by addresses and identification, but not by protocol. */
enum table { TABLE_ESP, TABLE_UDP, TABLES };

struct reassembly {
	uint32_t lock; /* held by reassembly_take() and reassembly_expire() */
	struct rte_ip_frag_tbl *table[TABLES];
	uint64_t cycles;
	uint32_t buffers;                 /* at most */
	uint32_t held;                    /* atomic, for reassembly_held() */
	struct rte_ip_frag_death_row row; /* what the library gives back; empty between calls */
	struct host_pieces host;
};

int reassembly_create(uint64_t cycles, uint32_t buffers, int socket, struct reassembly **out)
{
	struct reassembly *r = rte_zmalloc_socket("reassembly", sizeof(*r), 64, socket);

	if (r == NULL)
		return -ENOMEM;
	r->cycles = cycles;
	r->buffers = buffers;
	for (uint32_t t = 0; t < TABLES; t++) {
		r->table[t] = rte_ip_frag_table_create(REASSEMBLY_PACKETS / BUCKET_ENTRIES,
						       BUCKET_ENTRIES, REASSEMBLY_PACKETS, cycles,
						       socket);
		if (r->table[t] == NULL) {
			reassembly_destroy(r);
			return -ENOMEM;
		}
	}
	*out = r;
	return 0;
}

void reassembly_destroy(struct reassembly *r)
{
	if (r == NULL)
		return;
	for (uint32_t t = 0; t < TABLES; t++)
		if (r->table[t] != NULL)
			rte_ip_frag_table_destroy(r->table[t]);
	rte_free(r);
}

uint32_t reassembly_held(const struct reassembly *r)
{
	return __atomic_load_n(&r->held, __ATOMIC_RELAXED);
}

static void held_add(struct reassembly *r, int32_t n)
{
	__atomic_store_n(&r->held, r->held + (uint32_t)n, __ATOMIC_RELAXED);
}

/* The pieces of a packet meet at the worker whose queue they came by, whoever takes them from it. */
static struct reassembly *reassembly_of(const struct worker *w)
{
	return w->share == NULL ? w->reassembly : w->share->reassembly;
}

/* ---- pieces: each mbuf that begins one has its descriptor, and says here that it does ---- */

/* The congestion mark of its header, as one bit of four; 0: the mbuf does not begin a piece. */
static uint32_t *piece_mark(struct rte_mbuf *m)
{
	return &m->hash.usr;
}

/* As the library wants it: the frame ends with the packet, and says how long its headers are. */
static void piece_prepare(struct packet *p, uint32_t header_len)
{
	struct rte_mbuf *m = p->mbuf;
	uint32_t l2 = (uint32_t)(p->l3 - rte_pktmbuf_mtod(m, uint8_t *));

	for (struct rte_mbuf *s = m->next; s != NULL; s = s->next)
		*piece_mark(s) = 0;
	if (p->flags & PACKET_SEGMENTS) {
		segments_frame(p, l2);
	} else {
		m->data_len = (uint16_t)(l2 + p->length);
		m->pkt_len = m->data_len;
	}
	*piece_mark(m) = 1u << (ip_traffic_class(p->l3, p->family) & ECN_MASK);
	m->tx_offload = 0;
	m->l2_len = l2 & 0x7f;
	m->l3_len = header_len & 0x1ff;
	if (p->family == IP_V6) /* its identification; see piece_restore() */
		p->sequence = load32(p->l3 + IPV6_HEADER_LEN + 4);
	*mbuf_packet(m) = *p;
}

/* Counts the pieces in a chain, with what `reason` says, and frees them. */
static void pieces_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	for (struct rte_mbuf *s = m; s != NULL; s = s->next) {
		struct packet *p = mbuf_packet(s);

		if (*piece_mark(s) == 0)
			continue;
		p->reason = (uint8_t)reason;
		if (unlikely(w->tracing))
			trace_packet(w->trace, p, (uint8_t)w->id, UINT16_MAX);
		drop_count(&w->stats, p);
	}
	rte_pktmbuf_free(m);
}

/* All that the library gave back. */
static void row_drop(struct worker *w, struct reassembly *r, enum drop_reason reason)
{
	for (uint32_t i = 0; i < r->row.cnt; i++) {
		held_add(r, -r->row.row[i]->nb_segs);
		pieces_drop(w, r->row.row[i], reason);
	}
	r->row.cnt = 0;
}

static void table_expire(struct worker *w, struct reassembly *r, uint64_t now)
{
	for (uint32_t t = 0; t < TABLES; t++) {
		do {
			rte_ip_frag_table_del_expired_entries(r->table[t], &r->row, now);
			if (r->row.cnt == 0)
				break;
			row_drop(w, r, DROP_fragment_timeout);
		} while (true);
	}
}

void reassembly_expire(struct worker *w, uint64_t now)
{
	struct reassembly *r = w->reassembly;

	spin_lock(&r->lock);
	table_expire(w, r, now);
	spin_unlock(&r->lock);
}

/*
 * Room is made by what has waited longest: the library deletes what is older than its limit, so it
 * is told a later time. Whose pieces are all there waits for milliseconds; who fills the table with
 * what will never be finished pushes out his own.
 */
static bool table_evict(struct worker *w, struct reassembly *r, enum table t, uint64_t now)
{
	for (uint64_t age = r->cycles / 2; age != 0 && r->row.cnt == 0; age /= 2)
		rte_ip_frag_table_del_expired_entries(r->table[t], &r->row, now + r->cycles - age);
	if (r->row.cnt == 0)
		return false;
	row_drop(w, r, DROP_fragment_table);
	return true;
}

/* ---- what may be taken ---- */

struct piece {
	uint32_t header_len; /* up to what was cut, the IPv6 fragment header included */
	uint32_t offset;     /* bytes */
	bool more;
};

/* Of IPv6 only the fragment header right behind the IP header: the library's limit. */
static bool piece_read(const struct packet *p, uint8_t proto, struct piece *piece)
{
	uint16_t place;

	if (p->family == IP_V4) {
		place = load_be16(p->l3 + 6);
		*piece = (struct piece){
			.header_len = (p->l3[0] & 0xfu) * 4,
			.offset = (place & 0x1fffu) * 8,
			.more = place & IPV4_MORE,
		};
		return true;
	}
	if (p->l3[6] != PROTO_FRAGMENT || p->l3[IPV6_HEADER_LEN] != proto)
		return false;
	place = load_be16(p->l3 + IPV6_HEADER_LEN + 2);
	*piece = (struct piece){
		.header_len = IPV6_HEADER_LEN + FRAGMENT_HEADER_LEN,
		.offset = place & IPV6_OFFSET,
		.more = place & IPV6_MORE,
	};
	return true;
}

/* No payload, one that ends within a word of 8, or one that no whole packet has room for. */
static bool piece_is_sound(const struct packet *p, const struct piece *piece)
{
	uint32_t payload = p->length - piece->header_len;

	return p->length > piece->header_len && (!piece->more || payload % 8 == 0) &&
	       piece->header_len + piece->offset + payload <= LENGTH_MAX;
}

static bool is_ours(const struct worker *w, const struct packet *p)
{
	const struct tables *t = w->tables;
	uint32_t value = route_lookup(t->routes, &t->vrf[VRF_UNDERLAY], p->family,
				      ip_destination(p->l3, p->family));

	return route_kind(value) == ROUTE_KIND_LOCAL;
}

/* ---- what comes out ---- */

static struct rte_mbuf *library_take(struct reassembly *r, enum table t, struct packet *p,
				     uint64_t now)
{
	struct rte_ip_frag_tbl *table = r->table[t];

	if (p->family == IP_V4)
		return rte_ipv4_frag_reassemble_packet(table, &r->row, p->mbuf, now, (void *)p->l3);
	return rte_ipv6_frag_reassemble_packet(table, &r->row, p->mbuf, now, (void *)p->l3,
					       (void *)(p->l3 + IPV6_HEADER_LEN));
}

/* Undoes what the library did to the headers of the first piece. */
static void first_restore(struct packet *p, struct rte_mbuf *m)
{
	uint8_t *ip = p->l3;

	if (p->family == IP_V4) {
		store_be16(ip + 2, p->length);
		store_be16(ip + 6, (uint16_t)(load_be16(ip + 6) | IPV4_MORE));
		store16(ip + 10, 0);
		store16(ip + 10,
			(uint16_t)~checksum_fold(ipv4_checksum_sum(ip, (ip[0] & 0xfu) * 4)));
		return;
	}
	memmove(rte_pktmbuf_mtod(m, uint8_t *) - FRAGMENT_HEADER_LEN,
		rte_pktmbuf_mtod(m, uint8_t *), m->l2_len + IPV6_HEADER_LEN);
	m->data_off = (uint16_t)(m->data_off - FRAGMENT_HEADER_LEN);
	m->data_len = (uint16_t)(m->data_len + FRAGMENT_HEADER_LEN);
	store_be16(ip + 4, (uint16_t)(p->length - IPV6_HEADER_LEN));
	ip[IPV6_HEADER_LEN] = ip[6];
	ip[IPV6_HEADER_LEN + 1] = 0;
	store_be16(ip + IPV6_HEADER_LEN + 2, IPV6_MORE);
	store32(ip + IPV6_HEADER_LEN + 4, (uint32_t)p->sequence);
	ip[6] = PROTO_FRAGMENT;
}

/* Takes the first piece off a chain and makes it what it was. Returns the rest. */
static struct rte_mbuf *piece_detach(struct rte_mbuf *m, bool first)
{
	struct rte_mbuf *rest = m->next, *last = m;
	uint16_t segments = 1;

	for (; rest != NULL && *piece_mark(rest) == 0; rest = rest->next) {
		last = rest;
		segments++;
	}
	last->next = NULL;
	m->nb_segs = segments;
	if (first) {
		first_restore(mbuf_packet(m), m);
	} else {
		m->data_off = (uint16_t)(m->data_off - m->l2_len - m->l3_len);
		m->data_len = (uint16_t)(m->data_len + m->l2_len + m->l3_len);
	}
	m->pkt_len = 0;
	for (struct rte_mbuf *s = m; s != NULL; s = s->next)
		m->pkt_len += s->data_len;
	m->tx_offload = 0;
	/* The library wants a checksum of a whole that isn't one: a device would put it anywhere. */
	m->ol_flags &= ~RTE_MBUF_F_TX_OFFLOAD_MASK;
	return rest;
}

/* What is the host's goes to it as it came: in pieces. */
static void pieces_to_host(struct worker *w, struct rte_mbuf *m)
{
	bool first = true;

	while (m != NULL) {
		struct rte_mbuf *rest = piece_detach(m, first);
		struct packet *p = mbuf_packet(m);

		first = false;
		p->walk = ABI_TRACE_PUNT;
		p->route = HANDOFF_PUNT;
		if (w->tables->port[p->rx_port].exception == EXCEPTION_NONE)
			pieces_drop(w, m, DROP_local_unhandled);
		else if (!host_punt(w, p))
			pieces_drop(w, m, DROP_main_busy);
		m = rest;
	}
}

/* Is it ESP, and where does that begin? `offset`: behind the IP header. 0: the host's. */
static uint32_t whole_esp(const struct packet *p, enum table t, uint32_t offset)
{
	uint8_t copy[UDP_HEADER_LEN + sizeof(uint32_t)];
	const uint8_t *udp;

	if (t == TABLE_ESP)
		return offset;
	if (p->length < offset + sizeof(copy))
		return 0;
	udp = segments_read(p, offset, sizeof(copy), copy);
	return load_be16(udp + 2) == ABI_UDP_PORT && load32(udp + UDP_HEADER_LEN) != 0
		       ? offset + UDP_HEADER_LEN
		       : 0;
}

/*
 * Marks of the pieces, as RFC 3168 section 5.3 wants them combined: congestion that one of them met
 * is the whole's, but not where another one says that nobody would understand.
 */
static bool whole_ecn(struct packet *p, uint32_t marks)
{
	if (!(marks & 1u << ECN_CE))
		return true;
	if (marks & 1u << ECN_NOT_ECT)
		return false;
	class_set(p->l3, p->family, ip_traffic_class(p->l3, p->family) | ECN_CE);
	return true;
}

static enum reassembly_result whole_take(struct worker *w, struct reassembly *r, struct packet *p,
					 struct rte_mbuf *m, enum table t)
{
	uint32_t marks = 0, pieces = 0, offset;

	held_add(r, -m->nb_segs);
	for (struct rte_mbuf *s = m; s != NULL; s = s->next) {
		marks |= *piece_mark(s);
		pieces += *piece_mark(s) != 0;
	}
	*p = *mbuf_packet(m);
	p->l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, m->l2_len);
	p->length = (uint16_t)(m->pkt_len - m->l2_len);
	p->flags |= PACKET_SEGMENTS;
	offset = whole_esp(p, t, p->family == IP_V4 ? (p->l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN);
	if (offset == 0) {
		pieces_to_host(w, m);
		return REASSEMBLY_TAKEN;
	}
	if (!whole_ecn(p, marks)) {
		pieces_drop(w, m, DROP_ecn);
		return REASSEMBLY_TAKEN;
	}
	if (!segments_gather(p)) {
		pieces_drop(w, m, DROP_multi_segment);
		return REASSEMBLY_TAKEN;
	}
	m->tx_offload = 0;
	p->flags |= t == TABLE_UDP ? PACKET_UDP : 0;
	p->esp_offset = (uint8_t)offset;
	w->stats.tenant[0].local_packets += pieces;
	w->stats.tenant[0].reassembled++;
	return REASSEMBLY_WHOLE;
}

static enum reassembly_result refuse(struct packet *p, enum drop_reason reason)
{
	p->reason = (uint8_t)reason;
	return REASSEMBLY_REFUSED;
}

/* Room for the buffers of one more; its own kind gives way first. */
static bool buffers_make_room(struct worker *w, struct reassembly *r, enum table t,
			      uint32_t buffers, uint64_t now)
{
	while (r->held + buffers > r->buffers)
		if (!table_evict(w, r, t, now) && !table_evict(w, r, TABLE_UDP - t, now))
			return false;
	return true;
}

/* The library gives a piece back alone where it has no room for it: what it refuses is a set. */
static bool library_was_full(struct reassembly *r, const struct packet *p)
{
	if (r->row.cnt != 1 || r->row.row[0] != p->mbuf)
		return false;
	r->row.cnt = 0;
	return true;
}

/* p is a sound piece for us, and the table is locked. */
static enum reassembly_result piece_take(struct worker *w, struct reassembly *r, struct packet *p,
					 enum table t, uint32_t header_len)
{
	uint64_t now = rte_rdtsc();
	struct rte_mbuf *m;
	uint32_t buffers;

	/* So that what the library gives back below has another reason. */
	table_expire(w, r, now);
	piece_prepare(p, header_len);
	buffers = p->mbuf->nb_segs;
	if (!buffers_make_room(w, r, t, buffers, now))
		return refuse(p, DROP_fragment_table);
	m = library_take(r, t, p, now);
	if (unlikely(library_was_full(r, p))) {
		if (table_evict(w, r, t, now))
			m = library_take(r, t, p, now);
		else
			return refuse(p, DROP_fragment_table);
		if (library_was_full(r, p))
			return refuse(p, DROP_fragment_table);
	}
	w->stats.tenant[0].in_packets++;
	w->stats.tenant[0].in_bytes += p->length;
	held_add(r, (int32_t)buffers);
	row_drop(w, r, DROP_fragment_overlap);
	return m != NULL ? whole_take(w, r, p, m, t) : REASSEMBLY_TAKEN;
}

/* Where there is no host, all wait until it is clear that they are nobody's. */
static bool piece_is_hosts(struct worker *w, struct reassembly *r, const struct packet *p,
			   const struct piece *piece)
{
	uint64_t now = rte_rdtsc();

	return w->tables->port[p->rx_port].exception != EXCEPTION_NONE &&
	       host_pieces_take(&r->host, w->tables->flow_key, p, piece->header_len,
				piece->offset == 0, now, now + r->cycles);
}

enum reassembly_result reassembly_take(struct worker *w, struct packet *p, uint8_t proto)
{
	enum table t = proto == PROTO_ESP ? TABLE_ESP : TABLE_UDP;
	struct reassembly *r = reassembly_of(w);
	enum reassembly_result result;
	struct piece piece;

	if (r == NULL || !piece_read(p, proto, &piece) || !is_ours(w, p))
		return refuse(p, DROP_outer_fragment);
	if (!piece_is_sound(p, &piece))
		return refuse(p, DROP_fragment_malformed);
	spin_lock(&r->lock);
	if (t == TABLE_UDP && piece_is_hosts(w, r, p, &piece))
		result = refuse(p, DROP_NONE);
	else
		result = piece_take(w, r, p, t, piece.header_len);
	spin_unlock(&r->lock);
	return result;
}
