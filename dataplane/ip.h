/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An IP address as the dataplane's tables see it: 128 bits, left-aligned, in host order, so that
 * a prefix of either family is the first bits of `hi`, `lo`. An IPv4 address fills the upper half
 * of `hi`. The family goes beside it.
 */
#ifndef KAIDO_IP_H
#define KAIDO_IP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum ip_family { IP_V4 = 0, IP_V6 = 1 }; /* index into per-family arrays */

struct ip_addr {
	uint64_t hi;
	uint64_t lo;
};

static inline uint8_t ip_bits(enum ip_family family)
{
	return family == IP_V4 ? 32 : 128;
}

/* From the bytes of a packet or a message (network byte order). */
static inline struct ip_addr ip_load(enum ip_family family, const uint8_t *bytes)
{
	struct ip_addr a = { 0, 0 };
	uint32_t v4;

	if (family == IP_V4) {
		memcpy(&v4, bytes, sizeof(v4));
		a.hi = (uint64_t)__builtin_bswap32(v4) << 32;
	} else {
		memcpy(&a.hi, bytes, 8);
		memcpy(&a.lo, bytes + 8, 8);
		a.hi = __builtin_bswap64(a.hi);
		a.lo = __builtin_bswap64(a.lo);
	}
	return a;
}

/* Writes 4 or 16 bytes in network byte order. */
static inline void ip_store(enum ip_family family, struct ip_addr a, uint8_t *bytes)
{
	uint32_t v4;

	if (family == IP_V4) {
		v4 = __builtin_bswap32((uint32_t)(a.hi >> 32));
		memcpy(bytes, &v4, sizeof(v4));
	} else {
		a.hi = __builtin_bswap64(a.hi);
		a.lo = __builtin_bswap64(a.lo);
		memcpy(bytes, &a.hi, 8);
		memcpy(bytes + 8, &a.lo, 8);
	}
}

static inline bool ip_equal(struct ip_addr a, struct ip_addr b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* The first `len` bits of `a`, the rest zero. */
static inline struct ip_addr ip_prefix(struct ip_addr a, uint8_t len)
{
	if (len == 0)
		return (struct ip_addr){ 0, 0 };
	if (len <= 64)
		return (struct ip_addr){ a.hi & (~0ull << (64 - len)), 0 };
	if (len < 128)
		a.lo &= ~0ull << (128 - len);
	return a;
}

#endif /* KAIDO_IP_H */
