/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow_label.h"

#include <stdbool.h>

#include "ip_header.h"

#define PROTO_TCP     6
#define PROTO_UDP     17
#define PROTO_DCCP    33
#define PROTO_SCTP    132
#define PROTO_UDPLITE 136

static inline uint64_t rotate(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

uint64_t siphash(const uint64_t key[2], const uint64_t *words, uint32_t n)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
			  key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull };

	for (uint32_t i = 0; i < n; i++)
		sip_word(v, words[i]);
	sip_word(v, (uint64_t)(n * 8 & 0xff) << 56);
	v[2] ^= 0xff;
	for (uint32_t i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static bool has_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_DCCP ||
	       proto == PROTO_SCTP || proto == PROTO_UDPLITE;
}

uint32_t flow_label_of(const uint64_t key[2], uint32_t spi, const uint8_t *inner, uint32_t length,
		       enum ip_family family)
{
	uint64_t word[6] = { 0 };
	uint32_t at = IPV6_HEADER_LEN, label = 0, hash;
	bool whole = true; /* pieces show no ports, and the first one does not count apart */
	uint8_t proto;

	if (family == IP_V4) {
		at = (inner[0] & 0xfu) * 4;
		proto = inner[9];
		whole = (load_be16(inner + 6) & 0x3fff) == 0;
		word[1] = load64(inner + 12);
	} else {
		proto = inner[6];
		label = load32(inner) & __builtin_bswap32(FLOW_LABEL_MASK);
		memcpy(&word[1], inner + 8, 32);
	}
	word[0] = (uint64_t)label << 32 | spi;
	word[5] = proto;
	if (whole && has_ports(proto) && length >= at + 4)
		word[5] |= (uint64_t)load32(inner + at) << 32;
	hash = (uint32_t)siphash(key, word, 6) & FLOW_LABEL_MASK;
	return hash != 0 ? hash : 1;
}
