/* SPDX-License-Identifier: BSD-3-Clause */
/* Key expansion (FIPS 197 section 5.2) and the powers of H, with AES-NI and PCLMULQDQ: no tables. */
#include <string.h>

#include "vaes_key.h"

/* SubWord of all words of `x` in dword 0, its RotWord in dword 1. */
static inline __m128i substitute(uint32_t x)
{
	return _mm_aeskeygenassist_si128(_mm_set1_epi32((int)x), 0);
}

static void round_keys_expand(__m128i *round, const uint8_t *bytes, uint32_t words, uint32_t rounds)
{
	uint32_t w[4 * VAES_ROUND_KEYS_MAX];
	uint32_t constant = 1;

	memcpy(w, bytes, words * sizeof(w[0]));
	for (uint32_t i = words; i < 4 * (rounds + 1); i++) {
		uint32_t t = w[i - 1];

		if (i % words == 0) {
			t = (uint32_t)_mm_extract_epi32(substitute(t), 1) ^ constant;
			constant = constant << 1 ^ (constant >> 7) * 0x11b;
		} else if (words > 6 && i % words == 4) {
			t = (uint32_t)_mm_extract_epi32(substitute(t), 0);
		}
		w[i] = w[i - words] ^ t;
	}
	memcpy(round, w, 16 * (rounds + 1));
	secret_wipe(w, sizeof(w));
}

/* Times x, modulo GCM's polynomial, bits reflected. */
static __m128i times_x(__m128i a)
{
	__m128i carry = _mm_srli_epi64(a, 63);
	__m128i doubled = _mm_or_si128(_mm_slli_epi64(a, 1), _mm_slli_si128(carry, 8));
	__m128i over = _mm_sub_epi32(_mm_setzero_si128(), _mm_shuffle_epi32(carry, 0xaa));
	const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000, 1);

	return _mm_xor_si128(doubled, _mm_and_si128(over, poly));
}

/* Both factors and the product are times x. */
static __m128i multiply(__m128i a, __m128i b)
{
	const __m128i poly = _mm_set_epi64x(0, (long long)0xc200000000000000);
	__m128i low = _mm_clmulepi64_si128(a, b, 0x00), high = _mm_clmulepi64_si128(a, b, 0x11);
	__m128i middle =
		_mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10));

	low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
	high = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
	for (int i = 0; i < 2; i++)
		low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e),
				    _mm_clmulepi64_si128(low, poly, 0x00));
	return _mm_xor_si128(low, high);
}

void vaes_key_expand(const void *state, enum aead_variant variant, const uint8_t *bytes,
		     const uint8_t *salt, struct aead_key *out)
{
	const __m128i reflect = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	struct vaes_key *key = (void *)out;
	__m128i h;

	key->head.rounds = 10 + 2 * (uint32_t)variant;
	key->head.variant = variant;
	key->head.counter = 0x01000000;
	memcpy(&key->head.salt, salt, AEAD_SALT_LEN);
	round_keys_expand(key->round, bytes, 4 + 2 * (uint32_t)variant, key->head.rounds);

	h = key->round[0]; /* of a block of zeros */
	for (uint32_t r = 1; r < key->head.rounds; r++)
		h = _mm_aesenc_si128(h, key->round[r]);
	h = _mm_aesenclast_si128(h, key->round[key->head.rounds]);
	h = times_x(_mm_shuffle_epi8(h, reflect));
	key->power[VAES_POWERS - 1] = h;
	for (int i = VAES_POWERS - 2; i >= 0; i--)
		key->power[i] = multiply(key->power[i + 1], h);
}
