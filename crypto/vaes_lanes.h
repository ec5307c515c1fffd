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
#define LANES_SETS       (VAES_LANES / 2)
#define LANES_PACKETS    (LANES_SETS * VAES_LANES) /* at once */
#define QUADS_AHEAD      8                         /* quads from fetching data to using them */

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

/* Keys, one in each row; in registers they become columns. All are of one variant. */
struct lanes_rows {
	const uint8_t *row[VAES_LANES];
	uint32_t rounds;
};

INLINE struct lanes_rows lanes_rows_of(struct aead_op *const op[VAES_LANES])
{
	struct lanes_rows rows;

	UNROLL
	for (int i = 0; i < VAES_LANES; i++)
		rows.row[i] = (const void *)op[i]->key;
	rows.rounds = ((const struct vaes_key *)(const void *)rows.row[0])->head.rounds;
	return rows;
}

/* The same kept, for more blocks or more packets. */
static __attribute__((noinline)) void lanes_key_load(struct lanes_key *key,
						     struct aead_op *const op[VAES_LANES])
{
	const struct lanes_rows rows = lanes_rows_of(op);
	const uint8_t *const *row = rows.row;
	vec column[4];

	UNROLL
	for (int i = 0; i < VAES_LANES; i++)
		key->of[i] = (const void *)op[i]->key;
	key->rounds = rows.rounds;
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

/* Counters of n blocks a lane, big-endian: only their last byte changes. */
INLINE vec lanes_count(vec *s, const int n, vec counter)
{
	UNROLL
	for (int i = 0; i < n; i++) {
		s[i] = counter;
		counter = VEC_DO(add_epi32)(counter, vec_repeat(_mm_set_epi32(1 << 24, 0, 0, 0)));
	}
	return counter;
}

INLINE vec lanes_skip(vec counter, uint32_t blocks)
{
	return VEC_DO(add_epi32)(counter, vec_repeat(_mm_set_epi32((int)(blocks << 24), 0, 0, 0)));
}

/* Transforms one block a lane and returns the ciphertext. */
INLINE vec lanes_block(const struct lanes_ops *in, size_t offset, vec keystream, const bool decrypt)
{
	vec t = lanes_load((const uint8_t *const *)in->data, offset);
	vec x = vec_xor(t, keystream);

	lanes_store(in->data, offset, x);
	return decrypt ? t : x;
}

/*
 * 4 * `quads` blocks a lane, at least one quad. Returns y, GHASH so far, carried on: that of each quad
 * is computed while AES works on the next.
 */
INLINE vec lanes_quads(const struct lanes_ops *in, const struct lanes_key *key, size_t offset,
		       uint32_t quads, vec counter, vec y, const bool decrypt)
{
	vec k[4], t[4];

	counter = lanes_count(k, 4, counter);
	aes_encrypt(k, 4, key->round, key->rounds);
	for (;;) {
		lanes_load4(t, (const uint8_t *const *)in->data, offset);
		UNROLL
		for (int i = 0; i < VAES_LANES; i++)
			__builtin_prefetch(in->data[i] + offset + QUADS_AHEAD * 4 * BLOCK);
		UNROLL
		for (int i = 0; i < 4; i++)
			k[i] = vec_xor(k[i], t[i]);
		lanes_store4(in->data, offset, k);
		UNROLL
		for (int i = 0; i < 4; i++)
			t[i] = vec_reflect(decrypt ? t[i] : k[i]);
		offset += 4 * BLOCK;
		if (--quads == 0)
			break;
		counter = lanes_count(k, 4, counter);
		aes_encrypt_ghash(k, key->round, key->rounds, &y, t, &key->powers);
	}
	return ghash_quad(y, t, &key->powers);
}

/* What is under way in one set of lanes. */
struct lanes_set {
	struct lanes_ops in;
	struct lanes_rows rows;
	struct ghash_powers powers;
	vec column[4];    /* fresh round keys */
	vec s[1 + 3 + 3]; /* keystream: of the tag, the head, the tail */
	vec received;
	vec counter;
	vec y;
};

/* Counters, and what the packets are. */
INLINE void lanes_begin(struct lanes_set *set, struct aead_op *const op[VAES_LANES], vec key_head,
			uint32_t quads, const int head, const int tail, const bool decrypt)
{
	lanes_ops_load(&set->in, op, key_head);
	if (decrypt)
		set->received = lanes_load((const uint8_t *const *)set->in.tag, 0);
	set->counter = lanes_count(set->s, 1 + head, set->in.nonce);
	lanes_count(&set->s[1 + head], tail, lanes_skip(set->counter, 4 * quads));
}

/* AAD and the first blocks. */
INLINE void lanes_head(struct lanes_set *set, const int head, const bool decrypt)
{
	const struct ghash_powers *powers = &set->powers;
	struct ghash_sum sum;

	ghash_start(&sum, vec_reflect(set->in.aad), powers->power[3 - head],
		    powers->fold[3 - head]);
	UNROLL
	for (int i = 1; i <= head; i++) {
		vec x = lanes_block(&set->in, (size_t)(i - 1) * BLOCK, set->s[i], decrypt);

		ghash_add(&sum, vec_reflect(x), powers->power[3 - head + i],
			  powers->fold[3 - head + i]);
	}
	set->y = ghash_reduce(&sum);
}

/* Writes the tags, or compares them. */
INLINE uint32_t lanes_end(const struct lanes_set *set, const bool decrypt)
{
	if (decrypt)
		return vec_lanes_set(vec_xor(set->y, set->received));
	lanes_store(set->in.tag, 0, set->y);
	return 0;
}

/* The last `n` blocks and the lengths: y becomes the tag. */
INLINE void lanes_tail(struct lanes_set *set, size_t offset, const int head, const int n,
		       const bool decrypt)
{
	const struct ghash_powers *powers = &set->powers;
	struct ghash_sum sum;

	UNROLL
	for (int i = 0; i < n; i++) {
		vec k = set->s[1 + head + i], x;

		if (i == n - 1)
			k = vec_keep(k, set->in.last);
		x = lanes_block(&set->in, offset, k, decrypt);
		if (i == n - 1)
			x = vec_keep(x, set->in.last);
		x = vec_reflect(x);
		if (i == 0)
			ghash_start(&sum, vec_xor(x, set->y), powers->power[3 - n],
				    powers->fold[3 - n]);
		else
			ghash_add(&sum, x, powers->power[3 - n + i], powers->fold[3 - n + i]);
		offset += BLOCK;
	}
	ghash_add(&sum, set->in.lengths, powers->power[3], powers->fold[3]);
	set->y = vec_xor(vec_reflect(ghash_reduce(&sum)), set->s[0]);
}

INLINE void lanes_load_round(struct lanes_set set[LANES_SETS], size_t offset)
{
	UNROLL
	for (int i = 0; i < LANES_SETS; i++)
		lanes_load4(set[i].column, set[i].rows.row, offset);
}

INLINE void lanes_round(struct lanes_set set[LANES_SETS], const int n, const int column)
{
	UNROLL
	for (int i = 0; i < LANES_SETS; i++) {
		UNROLL
		for (int b = 0; b < n; b++)
			set[i].s[b] = VEC_DO(aesenc_epi128)(set[i].s[b], set[i].column[column]);
	}
}

/* Encrypts with round keys that become columns on the way; column[1..3] hold the first three. */
INLINE void lanes_encrypt_fresh(struct lanes_set set[LANES_SETS], const int n)
{
	const uint32_t rounds = set[0].rows.rounds;

	UNROLL
	for (int i = 0; i < LANES_SETS; i++) {
		UNROLL
		for (int b = 0; b < n; b++)
			set[i].s[b] = vec_xor(set[i].s[b], set[i].column[1]);
	}
	lanes_round(set, n, 2);
	lanes_round(set, n, 3);
	lanes_load_round(set, offsetof(struct vaes_key, round[3]));
	UNROLL
	for (int r = 0; r < 4; r++)
		lanes_round(set, n, r);
	lanes_load_round(set, offsetof(struct vaes_key, round[7]));
	UNROLL
	for (int r = 0; r < 3; r++)
		lanes_round(set, n, r);
	if (rounds > AES_ROUNDS_MIN) {
		lanes_round(set, n, 3);
		lanes_load_round(set, offsetof(struct vaes_key, round[11]));
		lanes_round(set, n, 0);
		if (rounds > AES_ROUNDS_MIN + 2) {
			lanes_round(set, n, 1);
			lanes_round(set, n, 2);
		} else {
			UNROLL
			for (int i = 0; i < LANES_SETS; i++)
				set[i].column[3] = set[i].column[1];
		}
	}
	UNROLL
	for (int i = 0; i < LANES_SETS; i++) {
		UNROLL
		for (int b = 0; b < n; b++)
			set[i].s[b] = VEC_DO(aesenclast_epi128)(set[i].s[b], set[i].column[3]);
	}
}

/*
 * Short packets: `head` + `tail` blocks. A block that is not whole is read and written as one, its rest
 * unchanged: the tag lies there. Returns vec_lanes_set() of the tags' differences when it decrypts.
 *
 * Several sets of lanes go side by side: one alone would wait for its own results most of the time.
 * The round keys go from the keys through registers, without being kept anywhere.
 */
INLINE uint32_t lanes_short(struct aead_op *const op[LANES_PACKETS], const int head, const int tail,
			    const bool decrypt)
{
	struct lanes_set set[LANES_SETS];
	uint32_t differ = 0;

	UNROLL
	for (int i = 0; i < LANES_SETS; i++) {
		set[i].rows = lanes_rows_of(&op[i * VAES_LANES]);
		lanes_load4(set[i].column, set[i].rows.row, offsetof(struct vaes_key, head));
		lanes_begin(&set[i], &op[i * VAES_LANES], set[i].column[0], 0, head, tail, decrypt);
	}
	lanes_encrypt_fresh(set, 1 + head + tail);
	UNROLL
	for (int i = 0; i < LANES_SETS; i++) {
		lanes_load4(set[i].powers.power, set[i].rows.row, offsetof(struct vaes_key, power));
		ghash_fold(&set[i].powers);
		lanes_head(&set[i], head, decrypt);
	}
	UNROLL
	for (int i = 0; i < LANES_SETS; i++)
		lanes_tail(&set[i], (size_t)head * BLOCK, head, tail, decrypt);
	UNROLL
	for (int i = 0; i < LANES_SETS; i++)
		differ |= lanes_end(&set[i], decrypt) << 2 * VAES_LANES * i;
	return differ;
}

/* Longer ones: `head` + 4 * `quads` + 3 blocks, one set of lanes, whose keys are those of `key`. */
INLINE uint32_t lanes_long(struct aead_op *const op[VAES_LANES], const struct lanes_key *key,
			   uint32_t quads, const int head, const bool decrypt)
{
	const size_t offset = (size_t)head * BLOCK;
	struct lanes_set set;

	lanes_begin(&set, op, key->head, quads, head, 3, decrypt);
	aes_encrypt(set.s, 1 + head + 3, key->round, key->rounds);
	set.powers = key->powers;
	lanes_head(&set, head, decrypt);
	set.y = lanes_quads(&set.in, key, offset, quads, set.counter, set.y, decrypt);
	lanes_tail(&set, offset + (size_t)quads * 4 * BLOCK, head, 3, decrypt);
	return lanes_end(&set, decrypt);
}

/* One function for each shape, so that its blocks stay in registers. */
#define lanes_is_encrypt false
#define lanes_is_decrypt true
#define LANES_SHORT(direction, head, tail)                                                    \
	static __attribute__((noinline))                                                      \
	uint32_t lanes_##direction##_##head##_##tail(struct aead_op *const op[LANES_PACKETS]) \
	{                                                                                     \
		return lanes_short(op, head, tail, lanes_is_##direction);                     \
	}
#define LANES_LONG(direction, head)                                                                \
	static __attribute__((noinline)) uint32_t lanes_##direction##_##head##_long(               \
		struct aead_op *const op[VAES_LANES], const struct lanes_key *key, uint32_t quads) \
	{                                                                                          \
		return lanes_long(op, key, quads, head, lanes_is_##direction);                     \
	}
#define LANES_SHAPES(direction)      \
	LANES_SHORT(direction, 0, 1) \
	LANES_SHORT(direction, 0, 2) \
	LANES_SHORT(direction, 0, 3) \
	LANES_SHORT(direction, 1, 3) \
	LANES_SHORT(direction, 2, 3) \
	LANES_SHORT(direction, 3, 3) \
	LANES_LONG(direction, 0)     \
	LANES_LONG(direction, 1)     \
	LANES_LONG(direction, 2)     \
	LANES_LONG(direction, 3)

LANES_SHAPES(encrypt)
LANES_SHAPES(decrypt)

/* All of `blocks` blocks. Returns two bits a packet, of which either is set if its tag is wrong. */
INLINE uint32_t lanes_transform(struct aead_op *const op[LANES_PACKETS],
				struct lanes_key key[LANES_SETS], uint32_t blocks, bool decrypt)
{
	static uint32_t (*const shorts[2][6])(struct aead_op *const[LANES_PACKETS]) = {
		{ lanes_encrypt_0_1, lanes_encrypt_0_2, lanes_encrypt_0_3, lanes_encrypt_1_3,
		  lanes_encrypt_2_3, lanes_encrypt_3_3 },
		{ lanes_decrypt_0_1, lanes_decrypt_0_2, lanes_decrypt_0_3, lanes_decrypt_1_3,
		  lanes_decrypt_2_3, lanes_decrypt_3_3 },
	};
	static uint32_t (*const longs[2][4])(struct aead_op *const[VAES_LANES],
					     const struct lanes_key *, uint32_t) = {
		{ lanes_encrypt_0_long, lanes_encrypt_1_long, lanes_encrypt_2_long,
		  lanes_encrypt_3_long },
		{ lanes_decrypt_0_long, lanes_decrypt_1_long, lanes_decrypt_2_long,
		  lanes_decrypt_3_long },
	};
	uint32_t differ = 0;

	if (blocks <= 6)
		return shorts[decrypt][blocks - 1](op);
	for (int i = 0; i < LANES_SETS; i++) {
		struct aead_op *const *set = &op[i * VAES_LANES];

		if (!lanes_key_is(&key[i], set))
			lanes_key_load(&key[i], set);
		differ |= longs[decrypt][(blocks - 3) % 4](set, &key[i], (blocks - 3) / 4)
			  << 2 * VAES_LANES * i;
	}
	return differ;
}

#endif /* KAIDO_VAES_LANES_H */
