/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer headers and the ESP trailer around one packet, and the cipher's operation for it.
 * RFC 4303 section 2, RFC 4106, RFC 3948.
 */
#ifndef KAIDO_ESP_ENCAP_H
#define KAIDO_ESP_ENCAP_H

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "aead.h"
#include "flow_label.h"
#include "ip_header.h"
#include "packet.h"
#include "sa.h"
#include "segments.h"
#include "vrf.h"

#define ESP_TRAILER_ROOM 24 /* 3 padding, pad length, next header, 16 ICV; whole 8-byte stores */
#define ESP_ROOM_BEFORE  (SA_TEMPLATE_LEN + 18) /* an Ethernet header with its tag before it */

/* Room for one fixed-size copy before the packet. */
static inline bool esp_encap_has_headroom(const struct packet *p)
{
	return (size_t)(p->l3 - (const uint8_t *)p->mbuf->buf_addr) >= ESP_ROOM_BEFORE;
}

/* In one buffer, with room before it and, for the trailer, behind. */
static inline bool esp_encap_fits(const struct packet *p)
{
	const struct rte_mbuf *m = p->mbuf;
	const uint8_t *end = (const uint8_t *)m->buf_addr + m->buf_len;

	return esp_encap_has_headroom(p) && !(p->flags & PACKET_SEGMENTS) &&
	       (size_t)(end - p->l3) >= p->length + (size_t)ESP_TRAILER_ROOM;
}

/* Padding to a multiple of 4, pad length, next header: up to 5 bytes in one store of 8. */
static inline uint32_t esp_trailer_write(uint8_t *tail, uint32_t length, enum ip_family family)
{
	static const uint64_t padding[4] = {
		0x0000000000000000ull, /* bytes in memory order: pad length 0 */
		0x0000000000000101ull, /* 1, length 1 */
		0x0000000000020201ull,
		0x0000000003030201ull,
	};
	uint32_t pad = -(length + 2) & 3;
	uint64_t next_header = family == IP_V4 ? 4 : 41;

	store64(tail, padding[pad] | next_header << (8 * (pad + 1)));
	return pad + 2;
}

/* What an outer header may take over from the inner one. RFC 4301 section 5.1.2, RFC 6040 section 4.1. */
struct esp_inner {
	uint8_t class; /* DSCP and ECN */
	uint8_t df; /* as in byte 6 of an IPv4 header; set for IPv6, which is not cut on the way */
};

static inline struct esp_inner esp_inner_fields(const uint8_t *inner, enum ip_family family,
						uint8_t flags)
{
	/* OUTER_DSCP_COPY is the sign: all bits, or none of them. */
	uint8_t mask = (uint8_t)((uint8_t)((int8_t)flags >> 7) | 3);
	uint8_t df = family == IP_V4 ? inner[6] : OUTER_DF_SET;

	return (struct esp_inner){
		.class = ip_traffic_class(inner, family) & mask,
		.df = (uint8_t)((flags | (flags << 1 & df)) & OUTER_DF_SET),
	};
}

/* `template` is the IP header in it, `outer` its copy. */
static inline void esp_ipv4_write(uint8_t *outer, const uint8_t *template, struct esp_inner inner,
				  uint32_t total, uint32_t low_be, uint16_t checksum)
{
	uint32_t length_be = __builtin_bswap16((uint16_t)total);
	/* The second half of the number, in the order of the wire; then flags. */
	uint32_t place = (load16(template + 4) ^ low_be >> 16) | (uint32_t)inner.df << 16;
	uint64_t sum = (uint64_t)checksum + length_be + ((uint32_t)inner.class << 8) + place;

	outer[1] = template[1] | inner.class;
	store16(outer + 2, (uint16_t)length_be);
	store32(outer + 4, place);
	store16(outer + 10, (uint16_t)~checksum_fold(sum));
}

static inline void esp_ipv6_write(uint8_t *outer, const uint8_t *template, struct esp_inner inner,
				  uint32_t total, uint32_t label)
{
	uint32_t first = (uint32_t)inner.class << 20 | label;

	store32(outer, load32(template) | __builtin_bswap32(first));
	store_be16(outer + 4, (uint16_t)(total - IPV6_HEADER_LEN));
}

/*
 * Puts the SA's outer headers before p and the trailer behind it and fills in *op. Afterwards p is
 * the outer packet, still to be encrypted, with its next hop. p->sequence is set; p->inner_length is
 * that of the inner packet, and p->length with what pads it; room was reserved behind a packet that lies
 * in segments.
 */
static inline void esp_encap(struct packet *p, const struct sa_out *sa, uint8_t n,
			     const uint64_t flow_key[2], struct aead_op *op)
{
	const struct sa_outer *o = &sa->outer[n];
	const uint8_t *template = sa->header[n] + SA_TEMPLATE_LEN - o->header_len;
	uint8_t *inner = p->l3, *outer = inner - o->header_len;
	uint64_t sequence_be = __builtin_bswap64(p->sequence);
	uint32_t low_be = (uint32_t)(sequence_be >> 32), high_be = (uint32_t)sequence_be;
	struct esp_inner fields = esp_inner_fields(inner, p->family, o->flags);
	uint32_t padded = p->length, sealed = padded, label = 0, total;
	uint8_t *tail = inner + sealed;

	if (unlikely(p->flags & PACKET_SEGMENTS))
		tail = segments_tail(p);
	sealed += esp_trailer_write(tail, sealed, p->family);
	total = o->header_len + sealed + AEAD_TAG_LEN;
	memcpy(inner - SA_TEMPLATE_LEN, sa->header[n], SA_TEMPLATE_LEN);
	store32(inner - 12, low_be);
	store64(inner - 8, sequence_be);
	if (o->flags & SA_OUTER_V6) {
		if (unlikely(o->flags & OUTER_FLOW_INNER))
			label = flow_label_of(flow_key, sa->spi, inner, p->inner_length, p->family);
		esp_ipv6_write(outer, template, fields, total, label);
		p->family = IP_V6;
	} else {
		esp_ipv4_write(outer, template, fields, total, low_be, o->checksum);
		p->family = IP_V4;
	}
	if (o->flags & SA_UDP) {
		store_be16(inner - 20, (uint16_t)(sealed + AEAD_TAG_LEN + 24));
		if (o->flags & SA_OUTER_V6)
			p->flags |= PACKET_UDP_SUM;
	}
	p->l3 = outer;
	p->length = (uint16_t)total;
	p->route =
		route_value(ROUTE_KIND_ADJACENCY, __atomic_load_n(&o->adjacency, __ATOMIC_RELAXED));

	op->key = sa->key;
	op->data = inner;
	op->tag = inner + sealed;
	op->chain = NULL;
	op->iv = sequence_be;
	op->len = sealed;
	if (unlikely(p->flags & PACKET_SEGMENTS)) {
		segments_grow(p, total - o->header_len - padded);
		op->chain = segments_aead(p, inner);
	}
	if (sa->flags & SA_ESN) {
		store64(op->aad, sa->spi | (uint64_t)high_be << 32);
		store32(op->aad + 8, low_be);
		op->aad_len = 12;
	} else {
		store64(op->aad, sa->spi | (uint64_t)low_be << 32);
		op->aad_len = 8;
	}
}

#endif /* KAIDO_ESP_ENCAP_H */
