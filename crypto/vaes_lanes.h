/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Short packets, VAES_LANES at once: lane i of every register belongs to packet i, with its own round
 * keys and powers of H. All have the same number of blocks, so that the lanes end together; what the
 * last block lacks is masked.
 *
 * GHASH's blocks are AAD, data and lengths. They are taken in groups of up to four, one reduction
 * each: a head (AAD and 0 to 3 blocks), quads of 4 blocks, a tail (up to 3 blocks and the lengths).
 */
#ifndef KAIDO_VAES_LANES_H
#define KAIDO_VAES_LANES_H

#include "vaes_gcm.h"

/* The counter is the last byte of a big-endian number: no more blocks than it can count. */
#define LANES_BLOCKS_MAX 250

/* The keys of as many packets as there are lanes. */
struct lanes_key {
	const struct vaes_key *of[VAES_LANES];
	vec head;
	vec round[VAES_ROUND_KEYS_MAX];
	struct ghash_powers powers;
	uint32_t rounds;
};

INLINE bool lanes_key_is(const struct lanes_key *key, struct aead_op *const op[VAES_LANES])
{
	uintptr_t other = 0;

	UNROLL
	for (int i = 0; i < VAES_LANES; i++)
		other |= (uintptr_t)key->of[i] ^ (uintptr_t)op[i]->key;
	return other == 0;
}

/* Keys lie one in each row, and become columns. All are of one variant. */
static __attribute__((noinline)) void lanes_key_load(struct lanes_key *key,
						     struct aead_op *const op[VAES_LANES])
{
	const uint8_t *row[VAES_LANES];
	vec column[4];

	UNROLL
	for (int i = 0; i < VAES_LANES; i++) {
		key->of[i] = (const void *)op[i]->key;
		row[i] = (const void *)op[i]->key;
	}
	key->rounds = key->of[0]->head.rounds;
	lanes_load4(key->powers.power, row, offsetof(struct vaes_key, power));
	ghash_fold(&key->powers);
	lanes_load4(column, row, offsetof(struct vaes_key, head));
	key->head = column[0];
	UNROLL
	for (int i = 0; i < 3; i++)
		key->round[i] = column[1 + i];
	lanes_load4(&key->round[3], row, offsetof(struct vaes_key, round[3]));
	lanes_load4(&key->round[7], row, offsetof(struct vaes_key, round[7]));
	if (key->rounds > AES_ROUNDS_MIN)
		lanes_load4(&key->round[11], row, offsetof(struct vaes_key, round[11]));
}

/* What the packets are besides their data. */
struct lanes_ops {
	uint8_t *data[VAES_LANES];
	uint8_t *tag[VAES_LANES];
	vec nonce;
	vec aad;
	vec lengths;
	vec_mask last; /* bytes of the last block */
};

/* iv, len and aad_len stand within 16 bytes of an operation: one load a lane. */
#define AT(field) (offsetof(struct aead_op, field) - offsetof(struct aead_op, iv))
#define ABSENT    (-1)
static_assert(AT(len) == 8 && AT(aad_len) == 12, "one block holds IV and lengths");

INLINE void lanes_ops_load(struct lanes_ops *in, struct aead_op *const op[VAES_LANES], vec key_head)
{
	const __m128i to_lengths = _mm_set_epi8(ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT,
						ABSENT, AT(aad_len), ABSENT, ABSENT, ABSENT, ABSENT,
						AT(len) + 3, AT(len) + 2, AT(len) + 1, AT(len));
	const uint8_t *row[VAES_LANES];
	vec about, count;

	UNROLL
	for (int i = 0; i < VAES_LANES; i++) {
		row[i] = (const void *)op[i];
		in->data[i] = op[i]->data;
		in->tag[i] = op[i]->tag;
	}
	about = lanes_load(row, offsetof(struct aead_op, iv));
	in->nonce = vec_blend_middle(VEC_DO(bslli_epi128)(about, AEAD_SALT_LEN), key_head);
	in->lengths = VEC_DO(slli_epi64)(VEC_DO(shuffle_epi8)(about, vec_repeat(to_lengths)), 3);

	count = VEC_DO(shuffle_epi8)(about, vec_repeat(_mm_set1_epi8(AT(aad_len))));
	in->aad = vec_keep(lanes_load(row, offsetof(struct aead_op, aad)), vec_mask_below(count));

	/* 1 to 16 bytes: (len - 1) % 16 + 1 */
	count = VEC_DO(shuffle_epi8)(about, vec_repeat(_mm_set1_epi8(AT(len))));
	count = VEC_DO(add_epi8)(count, vec_repeat(_mm_set1_epi8(-1)));
	count = vec_and(count, vec_repeat(_mm_set1_epi8(BLOCK - 1)));
	in->last = vec_mask_below(VEC_DO(add_epi8)(count, vec_repeat(_mm_set1_epi8(1))));
}

/*
 * `head` + 4 * `quads` + `tail` blocks. A block that is not whole is read and written as one, its rest
 * unchanged: the tag lies there. Returns vec_lanes_set() of the tags' differences when it decrypts.
 */
INLINE uint32_t lanes_run(struct aead_op *const op[VAES_LANES], const struct lanes_key *key,
			  uint32_t quads, const int head, const int tail, const bool decrypt)
{
	const vec one = vec_repeat(_mm_set_epi32(0x01000000, 0, 0, 0));
	const struct ghash_powers *powers = &key->powers;
	size_t offset = 0;
	struct ghash_sum sum;
	struct lanes_ops in;
	vec s[1 + 3 + 3], received, counter, y;

	lanes_ops_load(&in, op, key->head);
	if (decrypt)
		received = lanes_load((const uint8_t *const *)in.tag, 0);
	s[0] = in.nonce;
	counter = VEC_DO(add_epi32)(s[0], one);
	UNROLL
	for (int i = 1; i <= head; i++) {
		s[i] = counter;
		counter = VEC_DO(add_epi32)(counter, one);
	}
	y = VEC_DO(add_epi32)(counter, vec_repeat(_mm_set_epi32((int)(quads << 26), 0, 0, 0)));
	UNROLL
	for (int i = 1 + head; i <= head + tail; i++) {
		s[i] = y;
		y = VEC_DO(add_epi32)(y, one);
	}
	aes_encrypt(s, 1 + head + tail, key->round, key->rounds);

	ghash_start(&sum, vec_reflect(in.aad), powers->power[3 - head], powers->fold[3 - head]);
	UNROLL
	for (int i = 1; i <= head; i++) {
		vec t = lanes_load((const uint8_t *const *)in.data, offset);
		vec x = vec_xor(t, s[i]);

		lanes_store(in.data, offset, x);
		ghash_add(&sum, vec_reflect(decrypt ? t : x), powers->power[3 - head + i],
			  powers->fold[3 - head + i]);
		offset += BLOCK;
	}
	y = ghash_reduce(&sum);

	for (uint32_t q = 0; q < quads; q++) {
		vec k[4], t[4];

		UNROLL
		for (int i = 0; i < 4; i++) {
			k[i] = counter;
			counter = VEC_DO(add_epi32)(counter, one);
		}
		aes_encrypt(k, 4, key->round, key->rounds);
		lanes_load4(t, (const uint8_t *const *)in.data, offset);
		UNROLL
		for (int i = 0; i < 4; i++)
			k[i] = vec_xor(k[i], t[i]);
		lanes_store4(in.data, offset, k);
		UNROLL
		for (int i = 0; i < 4; i++) {
			vec x = vec_reflect(decrypt ? t[i] : k[i]);

			if (i == 0)
				ghash_start(&sum, vec_xor(x, y), powers->power[0], powers->fold[0]);
			else
				ghash_add(&sum, x, powers->power[i], powers->fold[i]);
		}
		y = ghash_reduce(&sum);
		offset += 4 * BLOCK;
	}

	UNROLL
	for (int i = 0; i < tail; i++) {
		vec t = lanes_load((const uint8_t *const *)in.data, offset);
		vec k = s[1 + head + i], x;

		if (i == tail - 1)
			k = vec_keep(k, in.last);
		x = vec_xor(t, k);
		lanes_store(in.data, offset, x);
		if (decrypt)
			x = t;
		if (i == tail - 1)
			x = vec_keep(x, in.last);
		x = vec_reflect(x);
		if (i == 0)
			ghash_start(&sum, vec_xor(x, y), powers->power[3 - tail],
				    powers->fold[3 - tail]);
		else
			ghash_add(&sum, x, powers->power[3 - tail + i], powers->fold[3 - tail + i]);
		offset += BLOCK;
	}
	ghash_add(&sum, in.lengths, powers->power[3], powers->fold[3]);
	y = vec_xor(vec_reflect(ghash_reduce(&sum)), s[0]);
	if (decrypt)
		return vec_lanes_set(vec_xor(y, received));
	lanes_store(in.tag, 0, y);
	return 0;
}

/* One function for each shape, so that its blocks stay in registers. */
#define LANES_SHAPE(direction, head, tail)                                                         \
	static __attribute__((noinline)) uint32_t lanes_##direction##_##head##_##tail(             \
		struct aead_op *const op[VAES_LANES], const struct lanes_key *key, uint32_t quads) \
	{                                                                                          \
		return lanes_run(op, key, quads, head, tail, lanes_is_##direction);                \
	}
#define lanes_is_encrypt false
#define lanes_is_decrypt true
#define LANES_SHAPES(direction)      \
	LANES_SHAPE(direction, 0, 1) \
	LANES_SHAPE(direction, 0, 2) \
	LANES_SHAPE(direction, 0, 3) \
	LANES_SHAPE(direction, 1, 3) \
	LANES_SHAPE(direction, 2, 3) \
	LANES_SHAPE(direction, 3, 3)

LANES_SHAPES(encrypt)
LANES_SHAPES(decrypt)

typedef uint32_t (*lanes_fn)(struct aead_op *const op[VAES_LANES], const struct lanes_key *key,
			     uint32_t quads);

/* For blocks - 1 if that is 0 or 1, else by the head. */
INLINE uint32_t lanes_transform(struct aead_op *const op[VAES_LANES], const struct lanes_key *key,
				uint32_t blocks, bool decrypt)
{
	static const lanes_fn shapes[2][6] = {
		{ lanes_encrypt_0_1, lanes_encrypt_0_2, lanes_encrypt_0_3, lanes_encrypt_1_3,
		  lanes_encrypt_2_3, lanes_encrypt_3_3 },
		{ lanes_decrypt_0_1, lanes_decrypt_0_2, lanes_decrypt_0_3, lanes_decrypt_1_3,
		  lanes_decrypt_2_3, lanes_decrypt_3_3 },
	};

	if (blocks < 3)
		return shapes[decrypt][blocks - 1](op, key, 0);
	return shapes[decrypt][2 + (blocks - 3) % 4](op, key, (blocks - 3) / 4);
}

#endif /* KAIDO_VAES_LANES_H */
