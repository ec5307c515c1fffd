/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragmentation. IPv4 packets that do not fit where they go and may be cut are: into a tunnel before
 * ESP (RFC 4301 section 8.2.1), or onto an attachment (RFC 791). Packets that a tunnel must carry
 * though its path is too narrow for them are cut behind ESP: IPv4 by fragments without DF, IPv6 by
 * the fragment header (RFC 8200 section 4.5).
 *
 * The pieces take the rest of the walk like any packet, in bursts of their own after the burst that
 * they came with has left.
 */
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "esp_encap.h"
#include "ip_header.h"
#include "segments.h"
#include "vrf.h"
#include "worker.h"

#define IP_DONT_FRAGMENT  0x4000
#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET_MASK    0x1fff
#define IP_LENGTH_MAX     65535
#define L2_ROOM           18 /* as where a packet stands behind its Ethernet header */

#define PROTO_FRAGMENT      44
#define IPV6_FRAGMENT_LEN   8
#define IPV6_MORE_FRAGMENTS 1

#define OPTION_END    0
#define OPTION_NOP    1
#define OPTION_COPIED 0x80

bool fragment_allowed(const struct packet *p)
{
	return p->family == IP_V4 && !(load_be16(p->l3 + 6) & IP_DONT_FRAGMENT) &&
	       !(p->flags & PACKET_FRAGMENT);
}

/* Options without the copied flag stand in the first fragment only (RFC 791 section 3.1). */
static void options_thin(uint8_t *ip, uint32_t header_len)
{
	uint32_t i = IPV4_HEADER_MIN;

	while (i < header_len && ip[i] != OPTION_END) {
		uint32_t len = ip[i] == OPTION_NOP ? 1 : i + 1 < header_len ? ip[i + 1] : 0;

		if (len == 0 || (ip[i] != OPTION_NOP && len < 2) || i + len > header_len) {
			/* Malformed: nothing behind it can be told apart. */
			memset(ip + i, OPTION_NOP, header_len - i);
			return;
		}
		if (!(ip[i] & OPTION_COPIED))
			memset(ip + i, OPTION_NOP, len);
		i += len;
	}
}

/* How one packet is cut. */
struct cut {
	const struct packet *p;
	struct packet *piece; /* [BURST_MAX] descriptors of what comes out */
	uint32_t header_len;  /* of p; each piece has a copy */
	uint32_t extension;   /* bytes that each gets behind it */
	uint32_t size;        /* of the payload, in each piece but the last; a multiple of 8 */
	uint32_t id;          /* IPv6 */
};

/* A descriptor and a buffer like p's, its header in place. Returns where the IP header stands. */
static uint8_t *piece_make(const struct cut *cut, struct packet *f, struct rte_mbuf *m,
			   uint32_t from, uint32_t size)
{
	const struct packet *p = cut->p;
	uint32_t head = cut->header_len + cut->extension;
	/* Where the packet stood behind its Ethernet header; the same room before this one. */
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, L2_ROOM);
	const uint8_t *payload = packet_read(p, cut->header_len + from, size, ip + head);

	*f = *p;
	f->mbuf = m;
	f->l3 = ip;
	f->length = (uint16_t)(head + size);
	f->flags |= PACKET_FRAGMENT;
	if (f->flags & PACKET_CUT_SEALED)
		f->flags ^= PACKET_CUT_SEALED | PACKET_PIECE;
	f->flags &= (uint8_t)~PACKET_SEGMENTS;
	if (from != 0)
		f->inner_length = 0; /* what was encrypted counts once */
	m->data_len = (uint16_t)(L2_ROOM + f->length);
	m->pkt_len = m->data_len;
	memcpy(ip, p->l3, cut->header_len);
	if (payload != ip + head)
		memcpy(ip + head, payload, size);
	return ip;
}

static void piece_ipv4(const struct cut *cut, uint8_t *ip, uint32_t from, uint32_t length,
		       bool last)
{
	uint16_t place = load_be16(cut->p->l3 + 6);

	if (from != 0)
		options_thin(ip, cut->header_len);
	store_be16(ip + 2, (uint16_t)length);
	store_be16(ip + 6, (uint16_t)((place & IP_MORE_FRAGMENTS) | (last ? 0 : IP_MORE_FRAGMENTS) |
				      ((place & IP_OFFSET_MASK) + from / 8)));
	store16(ip + 10, 0);
	store16(ip + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(ip, cut->header_len)));
}

/* Ours, and so without extension headers and not a fragment itself. */
static void piece_ipv6(const struct cut *cut, uint8_t *ip, uint32_t from, uint32_t length,
		       bool last)
{
	uint8_t *header = ip + IPV6_HEADER_LEN;

	header[0] = ip[6];
	header[1] = 0;
	store_be16(header + 2, (uint16_t)(from | (last ? 0 : IPV6_MORE_FRAGMENTS)));
	store32(header + 4, __builtin_bswap32(cut->id));
	ip[6] = PROTO_FRAGMENT;
	store_be16(ip + 4, (uint16_t)(length - IPV6_HEADER_LEN));
}

/* Into pieces, which `onwards` gets; or p is dropped. */
static void packet_cut(struct worker *w, const struct cut *cut, struct packet *p,
		       struct packet_list *onwards)
{
	uint32_t payload = p->length - cut->header_len;
	uint32_t n = cut->size != 0 ? (payload + cut->size - 1) / cut->size : BURST_MAX + 1;
	struct rte_mbuf *m[BURST_MAX];

	if (n > BURST_MAX) {
		packet_drop(w, p, DROP_too_big);
		return;
	}
	if (rte_pktmbuf_alloc_bulk(p->mbuf->pool, m, n) != 0) {
		packet_drop(w, p, DROP_no_buffer);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = i * cut->size, size = RTE_MIN(cut->size, payload - from);
		struct packet *f = &cut->piece[i];
		uint8_t *ip = piece_make(cut, f, m[i], from, size);

		if (p->family == IP_V4)
			piece_ipv4(cut, ip, from, f->length, i == n - 1);
		else
			piece_ipv6(cut, ip, from, f->length, i == n - 1);
		packet_push(onwards, f);
	}
	if (!(p->flags & PACKET_ORIGINATED))
		w->stats.tenant[p->tenant].fragments += n - 1;
	rte_pktmbuf_free(p->mbuf);
}

/*
 * Does it, a fragment itself, end within the packet that it is of? The offset of a piece of one that
 * doesn't would run over into the flags, and overwrite the beginning.
 */
static bool fragment_fits(const struct packet *p)
{
	return (load_be16(p->l3 + 6) & IP_OFFSET_MASK) * 8u + p->length <= IP_LENGTH_MAX;
}

/* A piece's payload, so that the piece fits where it goes and into one buffer; 0: none does. */
static uint32_t cut_size(const struct cut *cut, uint32_t mtu)
{
	uint32_t buffer = rte_pktmbuf_data_room_size(cut->p->mbuf->pool) - RTE_PKTMBUF_HEADROOM;
	uint32_t most = RTE_MIN(mtu, buffer - L2_ROOM - ESP_TRAILER_ROOM);
	uint32_t head = cut->header_len + cut->extension;

	return most > head ? (most - head) & ~7u : 0;
}

/* What a tenant sent, before anything was done to it. */
static void fragment_packet(struct worker *w, struct packet *p)
{
	bool tunnel = route_kind(p->route) == ROUTE_KIND_TUNNEL;
	uint32_t mtu = packet_mtu(w, p);
	struct cut cut = { .p = p, .piece = w->fragment, .header_len = (p->l3[0] & 0xfu) * 4 };

	if (!fragment_fits(p)) {
		packet_drop(w, p, DROP_ip_header);
		return;
	}
	if (mtu >= IPV4_LEAST_MTU)
		cut.size = cut_size(&cut, mtu);
	packet_cut(w, &cut, p, tunnel ? &w->encap : &w->adjacent);
}

/* What was encrypted, for the path of its tunnel; or as it is, where that has widened meanwhile. */
static void fragment_outer(struct worker *w, struct packet *p)
{
	uint32_t mtu = __atomic_load_n(&p->sa->out.outer[p->outer].outer_mtu, __ATOMIC_RELAXED);
	struct cut cut = { .p = p, .piece = w->piece, .header_len = IPV4_HEADER_MIN };

	if (p->length <= mtu) {
		p->flags &= (uint8_t)~PACKET_CUT_SEALED;
		packet_push(&w->adjacent, p);
		return;
	}
	cut.id = __atomic_fetch_add(w->fragment_id, 1, __ATOMIC_RELAXED);
	if (p->family == IP_V4) {
		store_be16(p->l3 + 4, (uint16_t)cut.id);
		store16(p->l3 + 6, 0); /* DF */
	} else {
		cut.header_len = IPV6_HEADER_LEN;
		cut.extension = IPV6_FRAGMENT_LEN;
	}
	cut.size = cut_size(&cut, mtu);
	packet_cut(w, &cut, p, &w->adjacent);
}

void fragment_sealed(struct worker *w)
{
	struct packet_list *list = &w->adjacent;
	uint32_t kept = 0;

	w->cut_sealed = 0;
	for (uint32_t i = 0; i < list->n; i++) {
		struct packet *p = list->p[i];

		if (p->flags & PACKET_CUT_SEALED)
			packet_push(&w->sealed, p);
		else
			list->p[kept++] = p;
	}
	list->n = kept;
}

/* In the order in which they came. */
static struct packet *list_take(struct packet_list *list)
{
	struct packet *p = list->p[0];

	list->n--;
	memmove(list->p, list->p + 1, list->n * sizeof(list->p[0]));
	return p;
}

/*
 * Sealed ones first: they may be pieces themselves, in `fragment`, which the next packet that is cut
 * before ESP would overwrite.
 */
bool fragment_next(struct worker *w)
{
	if (w->sealed.n != 0)
		fragment_outer(w, list_take(&w->sealed));
	else if (w->oversize.n != 0)
		fragment_packet(w, list_take(&w->oversize));
	else
		return false;
	return true;
}
