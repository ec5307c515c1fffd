/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer headers and the ESP trailer around one packet, and the cipher's operation for it.
 * RFC 4303 section 2, RFC 4106, RFC 3948.
 */
#ifndef KAIDO_ESP_ENCAP_H
#define KAIDO_ESP_ENCAP_H

#include <emmintrin.h>

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

/* In one buffer, with room before it for one fixed-size copy and, for the trailer, behind. */
static inline bool esp_encap_fits(const struct packet *p)
{
	const struct rte_mbuf *m = p->mbuf;
	size_t before = (size_t)(p->l3 - (const uint8_t *)m->buf_addr);

	return !(p->flags & PACKET_SEGMENTS) && before >= ESP_ROOM_BEFORE &&
	       before + p->length + ESP_TRAILER_ROOM <= m->buf_len;
}

static inline bool esp_encap_has_headroom(const struct packet *p)
{
	return (size_t)(p->l3 - (const uint8_t *)p->mbuf->buf_addr) >= ESP_ROOM_BEFORE;
}

/* Bytes in memory order: padding 1, 2, 3, its length, next header 4 (IPv4) or 41 (IPv6). */
#define ESP_TRAILERS(next)                                                                   \
	{                                                                                    \
		0x00ull | (next) << 8, 0x0101ull | (next) << 16, 0x020201ull | (next) << 24, \
			0x03030201ull | (next) << 32                                         \
	}

/* Padding to a multiple of 4, pad length, next header: up to 5 bytes in one store of 8. */
static inline uint32_t esp_trailer_write(uint8_t *tail, uint32_t length, enum ip_family family)
{
	static const uint64_t trailers[2][4] = { ESP_TRAILERS(4ull), ESP_TRAILERS(41ull) };
	uint32_t pad = -(length + 2) & 3;

	store64(tail, trailers[family][pad]);
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

/* One's complement of a sum of 16-bit words, folded: a half and its carry meet in the upper half. */
static inline uint16_t checksum_of(uint32_t sum)
{
	return (uint16_t) ~((sum + (sum << 16 | sum >> 16)) >> 16);
}

/*
 * What the packets of a run, all of one SA and one pair of ends, have in common; in registers, so that
 * what is written to packets doesn't make it be loaded again.
 */
struct esp_run {
	__m128i header[SA_TEMPLATE_LEN / 16];
	const struct aead_key *key;
	uint64_t first; /* 8 bytes of the outer IP header, as they load */
	uint32_t spi;   /* network byte order */
	uint32_t route; /* to the next hop */
	uint16_t checksum;
	uint8_t header_len;
	uint8_t outer_flags;
	uint8_t sa_flags;
};

static inline struct esp_run esp_run_of(const struct sa_out *sa, uint8_t outer)
{
	const struct sa_outer *o = &sa->outer[outer];
	const __m128i *header = (const void *)sa->header[outer];

	return (struct esp_run){
		.header = { _mm_loadu_si128(header), _mm_loadu_si128(header + 1),
			    _mm_loadu_si128(header + 2), _mm_loadu_si128(header + 3) },
		.key = sa->key,
		.first = load64(sa->header[outer] + SA_TEMPLATE_LEN - o->header_len),
		.spi = sa->spi,
		.route = route_value(ROUTE_KIND_ADJACENCY,
				     __atomic_load_n(&o->adjacency, __ATOMIC_RELAXED)),
		.checksum = o->checksum,
		.header_len = o->header_len,
		.outer_flags = o->flags,
		.sa_flags = sa->flags,
	};
}

static inline void esp_header_copy(uint8_t *inner, const struct esp_run *run)
{
	__m128i *to = (void *)(inner - SA_TEMPLATE_LEN);

	_mm_storeu_si128(to, run->header[0]);
	_mm_storeu_si128(to + 1, run->header[1]);
	_mm_storeu_si128(to + 2, run->header[2]);
	_mm_storeu_si128(to + 3, run->header[3]);
}

/* The id is the second half of the sequence number, whatever the template has there besides. */
static inline void esp_ipv4_write(uint8_t *outer, const struct esp_run *run, struct esp_inner inner,
				  uint32_t total, uint32_t low_be)
{
	uint32_t length_be = __builtin_bswap16((uint16_t)total);
	uint32_t class_be = (uint32_t)inner.class << 8;
	uint32_t id_be = (uint32_t)(run->first >> 32 & 0xffff) ^ low_be >> 16;
	uint64_t id_flags = (run->first >> 32 ^ low_be >> 16) | (uint32_t)inner.df << 16;

	store64(outer, (uint32_t)run->first | class_be | length_be << 16 | id_flags << 32);
	store16(outer + 10, checksum_of(run->checksum + length_be + class_be + id_be + inner.df));
}

static inline void esp_ipv6_write(uint8_t *outer, const struct esp_run *run, struct esp_inner inner,
				  uint32_t total, uint32_t label)
{
	uint32_t first = (uint32_t)inner.class << 20 | label;
	uint32_t length_be = __builtin_bswap16((uint16_t)(total - IPV6_HEADER_LEN));

	store64(outer, run->first | __builtin_bswap32(first) | (uint64_t)length_be << 32);
}

/* IPv6 around, or UDP: what is rarer. */
static inline void esp_outer_other(struct packet *p, const struct esp_run *run,
				   struct esp_inner fields, const uint64_t flow_key[2],
				   uint32_t total, uint32_t low_be)
{
	uint8_t *inner = p->l3, *outer = inner - run->header_len;
	uint32_t label = 0;

	if (run->outer_flags & SA_OUTER_V6) {
		if (run->outer_flags & OUTER_FLOW_INNER)
			label = flow_label_of(flow_key, run->spi, inner, p->inner_length,
					      p->family);
		esp_ipv6_write(outer, run, fields, total, label);
	} else {
		esp_ipv4_write(outer, run, fields, total, low_be);
	}
	if (run->outer_flags & SA_UDP) {
		store_be16(inner - 20, (uint16_t)(total - run->header_len + 24));
		if (run->outer_flags & SA_OUTER_V6)
			p->flags |= PACKET_UDP_SUM;
	}
}

/*
 * Puts the SA's outer headers before p and the trailer behind it and fills in *op. Afterwards p is
 * the outer packet, still to be encrypted, with its next hop. p->sequence is set; p->inner_length is
 * that of the inner packet, and p->length with what pads it; room was reserved behind a packet that lies
 * in segments.
 */
static inline void esp_encap(struct packet *p, const struct esp_run *run,
			     const uint64_t flow_key[2], struct aead_op *op)
{
	uint8_t *inner = p->l3, *tail = inner + p->length;
	uint64_t sequence_be = __builtin_bswap64(p->sequence);
	uint32_t low_be = (uint32_t)(sequence_be >> 32), high_be = (uint32_t)sequence_be;
	struct esp_inner fields = esp_inner_fields(inner, p->family, run->outer_flags);
	uint32_t sealed = p->length, total, trailer;

	if (unlikely(p->flags & PACKET_SEGMENTS))
		tail = segments_tail(p);
	trailer = esp_trailer_write(tail, sealed, p->family);
	sealed += trailer;
	total = run->header_len + sealed + AEAD_TAG_LEN;
	esp_header_copy(inner, run);
	store32(inner - 12, low_be);
	store64(inner - 8, sequence_be);
	if (likely(!(run->outer_flags & (SA_OUTER_V6 | SA_UDP))))
		esp_ipv4_write(inner - run->header_len, run, fields, total, low_be);
	else
		esp_outer_other(p, run, fields, flow_key, total, low_be);
	p->family = run->outer_flags & SA_OUTER_V6 ? IP_V6 : IP_V4;
	p->l3 = inner - run->header_len;
	p->length = (uint16_t)total;
	p->route = run->route;

	op->key = run->key;
	op->data = inner;
	op->tag = inner + sealed;
	op->chain = NULL;
	op->iv = sequence_be;
	op->len = sealed;
	if (unlikely(p->flags & PACKET_SEGMENTS)) {
		segments_grow(p, trailer + AEAD_TAG_LEN);
		op->chain = segments_aead(p, inner);
	}
	if (run->sa_flags & SA_ESN) {
		store64(op->aad, run->spi | (uint64_t)high_be << 32);
		store32(op->aad + 8, low_be);
		op->aad_len = 12;
	} else {
		store64(op->aad, run->spi | (uint64_t)low_be << 32);
		op->aad_len = 8;
	}
}

#endif /* KAIDO_ESP_ENCAP_H */
