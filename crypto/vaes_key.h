/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys of our own AES-GCM kernels, and the kernels' entry points. */
#ifndef KAIDO_VAES_KEY_H
#define KAIDO_VAES_KEY_H

#include <immintrin.h>

#include "aead_internal.h"

#define VAES_POWERS         4
#define VAES_ROUND_KEYS_MAX 15
#define VAES_LINE           64 /* bytes of a cache line */

/*
 * An expanded key: four cache lines for AES-128, five for the others, all of which every packet
 * needs. A line holds four blocks, so that one register takes it whole.
 */
struct vaes_key {
	/* H^4, H^3, H^2, H^1, byte-reversed and multiplied by x: ready for a carry-less multiply. */
	_Alignas(VAES_LINE) __m128i power[VAES_POWERS];
	/* A nonce block without its IV: salt, this, 1 as big-endian counter. */
	struct {
		uint32_t salt;    /* as its bytes stand in the nonce */
		uint32_t rounds;  /* 10, 12 or 14 */
		uint32_t variant; /* enum aead_variant */
		uint32_t counter;
	} head;
	__m128i round[VAES_ROUND_KEYS_MAX]; /* 11, 13 or 15 of them: the slot ends there */
};
static_assert(offsetof(struct vaes_key, round[11]) == 4 * VAES_LINE, "AES-128 takes four lines");
static_assert(sizeof(struct vaes_key) == 5 * VAES_LINE, "AES-256 takes five lines");

/* As in struct aead_implementation; `name`: the registers that they use. */
struct vaes_kernels {
	uint32_t (*encrypt)(const void *state, struct aead_op *ops, uint32_t n);
	uint32_t (*decrypt)(const void *state, struct aead_op *ops, uint32_t n);
	const char *name;
};

extern const struct vaes_kernels vaes512_kernels;
extern const struct vaes_kernels vaes256_kernels;

/* Fills a key; needs AES-NI and PCLMULQDQ. */
void vaes_key_expand(const void *state, enum aead_variant variant, const uint8_t *bytes,
		     const uint8_t *salt, struct aead_key *out);

#endif /* KAIDO_VAES_KEY_H */
