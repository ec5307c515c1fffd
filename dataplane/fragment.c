/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 fragmentation of packets that do not fit where they go and may be cut: into a tunnel before
 * ESP (RFC 4301 section 8.2.1), or onto an attachment (RFC 791). The pieces take the rest of the
 * walk like any packet, in bursts of their own after the burst that they came with has left.
 */
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "ip_header.h"
#include "vrf.h"
#include "worker.h"

#define IP_DONT_FRAGMENT  0x4000
#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET_MASK    0x1fff
#define IP_LEAST_MTU      68 /* RFC 791 */
#define IP_LENGTH_MAX     65535

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

/* Bytes `from` .. `from + size` of the payload of p into m, which becomes the descriptor f. */
static void fragment_make(const struct packet *p, struct packet *f, struct rte_mbuf *m,
			  uint32_t header_len, uint32_t from, uint32_t size)
{
	uint16_t place = load_be16(p->l3 + 6);
	/* Where the packet stood behind its Ethernet header; the same room before this one. */
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 18);
	bool last = header_len + from + size == p->length;

	*f = *p;
	f->mbuf = m;
	f->l3 = ip;
	f->length = (uint16_t)(header_len + size);
	f->flags |= PACKET_FRAGMENT;
	m->data_len = (uint16_t)(18 + f->length);
	m->pkt_len = m->data_len;
	memcpy(ip, p->l3, header_len);
	memcpy(ip + header_len, p->l3 + header_len + from, size);
	if (from != 0)
		options_thin(ip, header_len);
	store_be16(ip + 2, f->length);
	store_be16(ip + 6, (uint16_t)((place & IP_MORE_FRAGMENTS) | (last ? 0 : IP_MORE_FRAGMENTS) |
				      ((place & IP_OFFSET_MASK) + from / 8)));
	store16(ip + 10, 0);
	store16(ip + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(ip, header_len)));
}

/*
 * Does it, a fragment itself, end within the packet that it is of? The offset of a piece of one that
 * doesn't would run over into the flags, and overwrite the beginning.
 */
static bool fragment_fits(const struct packet *p)
{
	return (load_be16(p->l3 + 6) & IP_OFFSET_MASK) * 8u + p->length <= IP_LENGTH_MAX;
}

static void fragment_packet(struct worker *w, struct packet *p)
{
	struct packet_list *onwards =
		route_kind(p->route) == ROUTE_KIND_TUNNEL ? &w->encap : &w->adjacent;
	uint32_t header_len = (p->l3[0] & 0xfu) * 4, mtu = packet_mtu(w, p);
	uint32_t piece = mtu >= IP_LEAST_MTU ? (mtu - header_len) & ~7u : 0, payload, n;
	struct rte_mbuf *m[BURST_MAX];

	if (!fragment_fits(p)) {
		packet_drop(w, p, DROP_ip_header);
		return;
	}
	payload = p->length - header_len;
	n = piece != 0 ? (payload + piece - 1) / piece : BURST_MAX + 1;
	if (n > BURST_MAX) {
		packet_drop(w, p, DROP_too_big);
		return;
	}
	if (rte_pktmbuf_alloc_bulk(p->mbuf->pool, m, n) != 0) {
		packet_drop(w, p, DROP_no_buffer);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = i * piece, size = RTE_MIN(piece, payload - from);

		fragment_make(p, &w->fragment[i], m[i], header_len, from, size);
		packet_push(onwards, &w->fragment[i]);
	}
	if (!(p->flags & PACKET_ORIGINATED))
		w->stats.tenant[p->tenant].fragments += n - 1;
	rte_pktmbuf_free(p->mbuf);
}

bool fragment_next(struct worker *w)
{
	if (w->oversize.n == 0)
		return false;
	fragment_packet(w, w->oversize.p[--w->oversize.n]);
	return true;
}
