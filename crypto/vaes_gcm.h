/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES and GHASH on whole registers, whatever their lanes hold: blocks of several packets (each lane
 * with a key of its own) or consecutive blocks of one.
 */
#ifndef KAIDO_VAES_GCM_H
#define KAIDO_VAES_GCM_H

#include "vaes_key.h"
#include "vaes_vector.h"

#define AES_ROUNDS_MIN 10

/* What four blocks in a row are multiplied by, highest power first. */
struct ghash_powers {
	vec power[4];
	vec fold[4]; /* the halves of each power added, for Karatsuba's multiplication */
};

INLINE void ghash_fold(struct ghash_powers *powers)
{
	UNROLL
	for (int i = 0; i < 4; i++)
		powers->fold[i] = vec_xor(powers->power[i], vec_swap_halves(powers->power[i]));
}

/* A product of 256 bits, not reduced yet: sums of low, high and folded halves' products. */
struct ghash_sum {
	vec low;
	vec high;
	vec middle;
};

INLINE void ghash_start(struct ghash_sum *sum, vec x, vec power, vec fold)
{
	vec folded = vec_xor(x, vec_swap_halves(x));

	sum->low = VEC_DO(clmulepi64_epi128)(x, power, 0x00);
	sum->high = VEC_DO(clmulepi64_epi128)(x, power, 0x11);
	sum->middle = VEC_DO(clmulepi64_epi128)(folded, fold, 0x00);
}

INLINE void ghash_add(struct ghash_sum *sum, vec x, vec power, vec fold)
{
	struct ghash_sum product;

	ghash_start(&product, x, power, fold);
	sum->low = vec_xor(sum->low, product.low);
	sum->high = vec_xor(sum->high, product.high);
	sum->middle = vec_xor(sum->middle, product.middle);
}

/*
 * Modulo x^128 + x^127 + x^126 + x^121 + 1 (the polynomial of GCM, reflected; the factor x that
 * reflection costs is in the powers): two folds of 64 bits.
 */
INLINE vec ghash_reduce(const struct ghash_sum *sum)
{
	const vec poly = vec_repeat(_mm_set_epi64x(0, (long long)0xc200000000000000));
	vec middle = vec_xor3(sum->middle, sum->low, sum->high);
	vec low = vec_xor(sum->low, VEC_DO(bslli_epi128)(middle, 8));
	vec high = vec_xor(sum->high, VEC_DO(bsrli_epi128)(middle, 8));
	vec folded;

	folded = VEC_DO(clmulepi64_epi128)(low, poly, 0x00);
	low = vec_xor(vec_swap_halves(low), folded);
	folded = VEC_DO(clmulepi64_epi128)(low, poly, 0x00);
	return vec_xor3(vec_swap_halves(low), folded, high);
}

/* (y + x[0]) * H^4 + x[1] * H^3 + x[2] * H^2 + x[3] * H */
INLINE vec ghash_quad(vec y, const vec x[4], const struct ghash_powers *powers)
{
	struct ghash_sum sum;

	ghash_start(&sum, vec_xor(y, x[0]), powers->power[0], powers->fold[0]);
	UNROLL
	for (int i = 1; i < 4; i++)
		ghash_add(&sum, x[i], powers->power[i], powers->fold[i]);
	return ghash_reduce(&sum);
}

/* Encrypts n blocks a lane. */
INLINE void aes_encrypt(vec *s, const int n, const vec *round, uint32_t rounds)
{
	UNROLL
	for (int i = 0; i < n; i++)
		s[i] = vec_xor(s[i], round[0]);
	UNROLL
	for (uint32_t r = 1; r < AES_ROUNDS_MIN; r++) {
		UNROLL
		for (int i = 0; i < n; i++)
			s[i] = VEC_DO(aesenc_epi128)(s[i], round[r]);
	}
	for (uint32_t r = AES_ROUNDS_MIN; r < rounds; r++) {
		UNROLL
		for (int i = 0; i < n; i++)
			s[i] = VEC_DO(aesenc_epi128)(s[i], round[r]);
	}
	UNROLL
	for (int i = 0; i < n; i++)
		s[i] = VEC_DO(aesenclast_epi128)(s[i], round[rounds]);
}

/*
 * Four blocks a lane, and beside it *y = ghash_quad(*y, x) of what came before them: the
 * multiplications fill the pipes that AES leaves idle.
 */
INLINE void aes_encrypt_ghash(vec s[4], const vec *round, uint32_t rounds, vec *y, const vec x[4],
			      const struct ghash_powers *powers)
{
	struct ghash_sum sum;

	UNROLL
	for (int i = 0; i < 4; i++)
		s[i] = vec_xor(s[i], round[0]);
	UNROLL
	for (uint32_t r = 1; r < AES_ROUNDS_MIN; r++) {
		UNROLL
		for (int i = 0; i < 4; i++)
			s[i] = VEC_DO(aesenc_epi128)(s[i], round[r]);
		if (r == 1)
			ghash_start(&sum, vec_xor(*y, x[0]), powers->power[0], powers->fold[0]);
		else if (r <= 4)
			ghash_add(&sum, x[r - 1], powers->power[r - 1], powers->fold[r - 1]);
		else if (r == 5)
			*y = ghash_reduce(&sum);
	}
	for (uint32_t r = AES_ROUNDS_MIN; r < rounds; r++) {
		UNROLL
		for (int i = 0; i < 4; i++)
			s[i] = VEC_DO(aesenc_epi128)(s[i], round[r]);
	}
	UNROLL
	for (int i = 0; i < 4; i++)
		s[i] = VEC_DO(aesenclast_epi128)(s[i], round[rounds]);
}

#endif /* KAIDO_VAES_GCM_H */
