/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One packet, VAES_LANES consecutive blocks to a register: for long packets, and those that find no
 * others of their length.
 *
 * GHASH's blocks (AAD, data, lengths) are aligned to their end: the lengths stand in the last lane of
 * the last register, so that the lanes' last powers are always the same; in front of the AAD some lanes
 * of the first register may be empty. The lane of the AAD holds counter 1 in the registers of AES,
 * which is the block that the tag is encrypted with.
 */
#ifndef KAIDO_VAES_WIDE_H
#define KAIDO_VAES_WIDE_H

#include "vaes_gcm.h"

#define VEC_BYTES  (VAES_LANES * BLOCK)
#define QUAD_BYTES (4 * VEC_BYTES)

/* A key, repeated in every lane. */
struct wide_key {
	const struct vaes_key *of;
	vec round[VAES_ROUND_KEYS_MAX];
	struct ghash_powers powers; /* of H^VAES_LANES */
	vec lane_power;             /* H^VAES_LANES to H^1 */
	vec lane_fold;
	uint32_t rounds;
	bool has_powers; /* above the first */
};

INLINE vec ghash_multiply(vec a, vec b)
{
	struct ghash_sum sum;

	ghash_start(&sum, a, b, vec_xor(b, vec_swap_halves(b)));
	return ghash_reduce(&sum);
}

static __attribute__((noinline)) void wide_key_load(struct wide_key *out,
						    const struct vaes_key *key)
{
	out->of = key;
	out->rounds = key->head.rounds;
	for (uint32_t r = 0; r <= out->rounds; r++)
		out->round[r] = vec_repeat(key->round[r]);
	out->lane_power = vec_load(&key->power[VAES_POWERS - VAES_LANES]);
	out->lane_fold = vec_xor(out->lane_power, vec_swap_halves(out->lane_power));
	out->powers.power[3] = vec_repeat(key->power[VAES_POWERS - VAES_LANES]);
	out->powers.power[2] = ghash_multiply(out->powers.power[3], out->powers.power[3]);
	{
		vec p = ghash_multiply(vec_alternate(out->powers.power[3], out->powers.power[2]),
				       out->powers.power[2]);

		out->powers.power[1] = vec_repeat_lane(p, 0);
		out->powers.power[0] = vec_repeat_lane(p, 1);
	}
	ghash_fold(&out->powers);
}

/* Bytes of a message, which may lie in pieces: those are copied where they do not lie in a row. */
struct wide_data {
	uint8_t *flat;
	const struct aead_segment *chain;
	uint8_t *bounce; /* QUAD_BYTES */
};

INLINE uint8_t *data_open(const struct wide_data *data, size_t from, uint32_t n, const bool chained)
{
	if (!chained)
		return from == 0 ? data->flat : data->flat + from;
	aead_segments_copy(data->chain, (uint32_t)from, data->bounce, n, false);
	return data->bounce;
}

INLINE void data_close(const struct wide_data *data, size_t from, uint32_t n, const bool chained)
{
	if (chained)
		aead_segments_copy(data->chain, (uint32_t)from, data->bounce, n, true);
}

/* Where the registers of a message begin and end. */
struct wide_shape {
	uint32_t head; /* registers before the quads, the first one included */
	uint32_t quads;
	uint32_t pad; /* empty lanes of the first register */
};

INLINE struct wide_shape wide_shape_of(uint32_t len)
{
	uint32_t blocks = 1 + (len + BLOCK - 1) / BLOCK + 1;
	uint32_t registers = (blocks + VAES_LANES - 1) / VAES_LANES;
	uint32_t head = registers == 1 ? 0 : (registers - 2) % 4 + 1;

	return (struct wide_shape){
		.head = head,
		.quads = (registers - 1 - head) / 4,
		.pad = registers * VAES_LANES - blocks,
	};
}

/* AAD and lengths as GHASH takes them, and the nonce with counter 0. */
struct wide_blocks {
	__m128i aad;
	__m128i lengths;
	__m128i nonce;
};

INLINE struct wide_blocks wide_blocks_of(const struct aead_op *op, const struct vaes_key *key)
{
	const __m128i index = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	__m128i present = _mm_cmplt_epi8(index, _mm_set1_epi8((char)op->aad_len));
	__m128i iv = _mm_slli_si128(_mm_cvtsi64_si128((long long)op->iv), AEAD_SALT_LEN);

	return (struct wide_blocks){
		.aad = _mm_and_si128(block_load(op->aad), present),
		.lengths = _mm_set_epi64x(8ll * op->aad_len, 8ll * op->len),
		.nonce = _mm_or_si128(iv, _mm_cvtsi32_si128((int)key->head.salt)),
	};
}

/* The block in one lane, zeros in the others. */
INLINE vec vec_in_lane(__m128i block, uint32_t lane)
{
	return vec_keep(vec_repeat(block), vec_mask_range(BLOCK * lane, BLOCK * (lane + 1)));
}

INLINE vec counter_swap(vec counter)
{
	return VEC_DO(shuffle_epi8)(counter, vec_repeat(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8,
								     7, 6, 5, 4, 3, 2, 1, 0)));
}

INLINE vec counter_add(vec counter, uint32_t n)
{
	return VEC_DO(add_epi32)(counter, vec_repeat(_mm_set_epi32((int)n, 0, 0, 0)));
}

/* Where a register begins whose first bytes are masked; nothing need be there, not even a buffer. */
INLINE uint8_t *before(uint8_t *p, uint32_t bytes)
{
	return (uint8_t *)((uintptr_t)p - bytes);
}

/* Turns the bytes of `part` into what they become and returns those of them that are ciphertext. */
INLINE vec wide_part(uint8_t *p, vec_mask part, vec keystream, const bool decrypt)
{
	vec t = vec_load_part(p, part);
	vec x = vec_xor(t, keystream);

	vec_store_part(p, part, x);
	return decrypt ? t : vec_keep(x, part);
}

/*
 * `quads` times four registers, at least one quad. Returns y, GHASH so far, carried on: that of each quad
 * is computed while AES works on the next.
 */
INLINE vec wide_quads(const struct wide_key *key, const struct wide_data *data, size_t at,
		      uint32_t quads, vec counter, vec y, const bool decrypt, const bool chained)
{
	vec k[4], t[4];

	for (uint32_t q = 0; q < quads; q++) {
		uint8_t *p;

		UNROLL
		for (int i = 0; i < 4; i++) {
			k[i] = counter_swap(counter);
			counter = counter_add(counter, VAES_LANES);
		}
		if (q == 0)
			aes_encrypt(k, 4, key->round, key->rounds);
		else
			aes_encrypt_ghash(k, key->round, key->rounds, &y, t, &key->powers);
		p = data_open(data, at, QUAD_BYTES, chained);
		UNROLL
		for (int i = 0; i < 4; i++) {
			t[i] = vec_load(p + i * VEC_BYTES);
			k[i] = vec_xor(t[i], k[i]);
			vec_store(p + i * VEC_BYTES, k[i]);
			t[i] = vec_reflect(decrypt ? t[i] : k[i]);
		}
		data_close(data, at, QUAD_BYTES, chained);
		at += QUAD_BYTES;
	}
	return ghash_quad(y, t, &key->powers);
}

INLINE __m128i wide_run(const struct aead_op *op, const struct wide_key *key,
			const struct wide_data *data, const struct wide_shape shape, const int head,
			const bool decrypt, const bool chained)
{
	const struct wide_blocks blocks = wide_blocks_of(op, key->of);
	const struct ghash_powers *powers = &key->powers;
	const uint32_t skip = BLOCK * (shape.pad + 1); /* bytes of the first register before data */
	const uint32_t last = VEC_BYTES * ((uint32_t)head + 4 * shape.quads);
	vec counter = vec_repeat(blocks.nonce), s[5], aad, x, y = vec_zero();
	struct ghash_sum sum;
	size_t at = 0;
	uint8_t *p;
	uint32_t n;
	_Alignas(64) __m128i tags[VAES_LANES];

	counter = VEC_DO(add_epi32)(counter_add(counter, 1 - shape.pad), vec_lane_numbers());
	UNROLL
	for (int i = 0; i < head; i++) {
		s[i] = counter_swap(counter);
		counter = counter_add(counter, VAES_LANES);
	}
	s[head] = counter_swap(counter_add(counter, 4 * VAES_LANES * shape.quads));
	aes_encrypt(s, head + 1, key->round, key->rounds);
	aad = vec_in_lane(blocks.aad, shape.pad);

	UNROLL
	for (int i = 0; i < head; i++) {
		if (i == 0) {
			n = VEC_BYTES - skip;
			p = data_open(data, 0, n, chained);
			x = wide_part(before(p, skip), vec_mask_range(skip, VEC_BYTES), s[0],
				      decrypt);
			data_close(data, 0, n, chained);
			x = vec_reflect(vec_xor(x, aad));
			ghash_start(&sum, x, powers->power[4 - head], powers->fold[4 - head]);
			at = n;
		} else {
			p = data_open(data, at, VEC_BYTES, chained);
			x = vec_load(p);
			y = vec_xor(x, s[i]);
			vec_store(p, y);
			data_close(data, at, VEC_BYTES, chained);
			ghash_add(&sum, vec_reflect(decrypt ? x : y), powers->power[4 - head + i],
				  powers->fold[4 - head + i]);
			at += VEC_BYTES;
		}
	}
	if (head != 0)
		y = ghash_reduce(&sum);

	if (shape.quads != 0) {
		y = wide_quads(key, data, at, shape.quads, counter, y, decrypt, chained);
		at += (size_t)shape.quads * QUAD_BYTES;
	}

	{
		uint32_t from = head == 0 ? skip : 0;
		uint32_t to = skip + op->len - last;

		n = to - from;
		p = data_open(data, at, n, chained);
		x = wide_part(before(p, from), vec_mask_range(from, to), s[head], decrypt);
		data_close(data, at, n, chained);
	}
	if (head == 0)
		x = vec_xor(x, aad);
	x = vec_xor(vec_reflect(x), vec_in_lane(blocks.lengths, VAES_LANES - 1));
	ghash_start(&sum, vec_xor(x, y), key->lane_power, key->lane_fold);
	y = vec_reflect(vec_sum_lanes(ghash_reduce(&sum)));
	vec_store(tags, vec_xor(y, s[0]));
	return tags[shape.pad];
}

INLINE __m128i wide_transform(const struct aead_op *op, const struct wide_key *key,
			      const struct wide_data *data, const bool decrypt, const bool chained)
{
	const struct wide_shape shape = wide_shape_of(op->len);

	switch (shape.head) {
	case 0:
		return wide_run(op, key, data, shape, 0, decrypt, chained);
	case 1:
		return wide_run(op, key, data, shape, 1, decrypt, chained);
	case 2:
		return wide_run(op, key, data, shape, 2, decrypt, chained);
	case 3:
		return wide_run(op, key, data, shape, 3, decrypt, chained);
	default:
		return wide_run(op, key, data, shape, 4, decrypt, chained);
	}
}

INLINE bool tags_differ(__m128i a, __m128i b)
{
	return _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) != 0xffff;
}

static __attribute__((noinline)) void wide_encrypt(struct aead_op *op, const struct wide_key *key)
{
	struct wide_data data = { .flat = op->data };

	block_store(op->tag, wide_transform(op, key, &data, false, false));
}

static __attribute__((noinline)) bool wide_decrypt(struct aead_op *op, const struct wide_key *key)
{
	struct wide_data data = { .flat = op->data };
	__m128i received = block_load(op->tag);

	return tags_differ(wide_transform(op, key, &data, true, false), received);
}

/* A message in pieces; the bounce buffer leaves room for an address before it. */
static __attribute__((noinline)) bool wide_chain(struct aead_op *op, const struct wide_key *key,
						 uint8_t bounce[VEC_BYTES + QUAD_BYTES],
						 bool decrypt)
{
	struct wide_data data = { .chain = op->chain, .bounce = bounce + VEC_BYTES };
	uint8_t tag[AEAD_TAG_LEN];

	if (decrypt) {
		aead_segments_copy(op->chain, op->len, tag, AEAD_TAG_LEN, false);
		return tags_differ(wide_transform(op, key, &data, true, true), block_load(tag));
	}
	block_store(tag, wide_transform(op, key, &data, false, true));
	aead_segments_copy(op->chain, op->len, tag, AEAD_TAG_LEN, true);
	return false;
}

#endif /* KAIDO_VAES_WIDE_H */
