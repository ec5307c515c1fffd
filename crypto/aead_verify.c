/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What our own kernels pass, besides the known answers, before they may touch a packet: batches of
 * random messages, whose every byte and status must be those of another's implementation. Batches,
 * because messages go through the kernels together: lengths, key sizes and forgeries are mixed in
 * ways that no single message shows.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aead_internal.h"

#define ROUNDS   48
#define LEN_MAX  2100
#define SHIFT    40 /* bytes that data or tag may be moved by */
#define BUFFER   (LEN_MAX + AEAD_TAG_LEN + 3 * SHIFT)
#define KEYS     6
#define SEGMENTS 3

struct side {
	struct aead_engine *engine;
	struct aead_key *keys[KEYS];
	struct aead_op ops[AEAD_BATCH_MAX];
	struct aead_segment segments[AEAD_BATCH_MAX][SEGMENTS];
	uint8_t data[AEAD_BATCH_MAX][BUFFER];
};

struct verification {
	struct side tried;
	struct side reference;
	uint64_t random;
};

/* splitmix64: the same messages at every start, so that a fault shows at every start. */
static uint64_t random_next(struct verification *v)
{
	uint64_t z = v->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t random_below(struct verification *v, uint32_t limit)
{
	return (uint32_t)(random_next(v) >> 32) % limit;
}

static void random_fill(struct verification *v, void *out, size_t len)
{
	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t word = random_next(v);

		memcpy((uint8_t *)out + i, &word, len - i < sizeof(word) ? len - i : sizeof(word));
	}
}

static int keys_create(struct verification *v)
{
	for (uint32_t k = 0; k < KEYS; k++) {
		uint8_t key[AEAD_KEY_MAX], salt[AEAD_SALT_LEN];
		size_t len = 16 + 8 * (k % 3);
		int ret;

		random_fill(v, key, sizeof(key));
		random_fill(v, salt, sizeof(salt));
		ret = aead_key_create(v->tried.engine, key, len, salt, &v->tried.keys[k]);
		if (ret < 0)
			return ret;
		ret = aead_key_create(v->reference.engine, key, len, salt, &v->reference.keys[k]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Any length, one for all, short ones, or those of neighbours. */
static uint32_t length_draw(struct verification *v, uint32_t round, uint32_t common)
{
	switch (round % 4) {
	case 0:
		return random_below(v, LEN_MAX + 1);
	case 1:
		return common;
	case 2:
		return random_below(v, 161);
	default:
		return (common + random_below(v, 40)) % (LEN_MAX + 1);
	}
}

/* Gives an operation its place on one side. */
static void op_aim(struct side *side, uint32_t i, const struct aead_op *like, uint32_t key,
		   uint32_t start, uint32_t gap, bool chained)
{
	const uint32_t ends[SEGMENTS] = { like->len / 3, like->len / 3 * 2,
					  like->len + AEAD_TAG_LEN };
	uint32_t from = 0;

	side->ops[i] = *like;
	side->ops[i].key = side->keys[key];
	side->ops[i].data = side->data[i] + start;
	side->ops[i].tag = side->data[i] + start + like->len + gap;
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		side->segments[i][s] = (struct aead_segment){
			.data = side->data[i] + start + from,
			.len = ends[s] - from,
			.next = s + 1 < SEGMENTS ? &side->segments[i][s + 1] : NULL,
		};
		from = ends[s];
	}
	side->ops[i].chain = chained ? side->segments[i] : NULL;
}

static void batch_draw(struct verification *v, uint32_t round, uint32_t n)
{
	uint32_t common = random_below(v, LEN_MAX + 1);

	random_fill(v, v->tried.data, sizeof(v->tried.data));
	memcpy(v->reference.data, v->tried.data, sizeof(v->tried.data));
	for (uint32_t i = 0; i < n; i++) {
		struct aead_op op = {
			.iv = random_next(v),
			.len = length_draw(v, round, common),
			.aad_len = random_next(v) & 1 ? 8 : 12,
		};
		uint32_t start = random_below(v, SHIFT), key = random_below(v, KEYS);
		uint32_t gap = random_below(v, 8) == 0 ? random_below(v, SHIFT) : 0;
		bool chained = random_below(v, 8) == 0;

		random_fill(v, op.aad, sizeof(op.aad));
		random_fill(v, op.pad, sizeof(op.pad));
		if (round % 8 < 4) /* runs of one key */
			key = i / 16 % KEYS;
		op_aim(&v->tried, i, &op, key, start, gap, chained);
		op_aim(&v->reference, i, &op, key, start, gap, chained);
	}
}

/* Changes a bit of data or tag in some, the same on both sides. */
static void batch_forge(struct verification *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bit = random_below(v, 8), from = v->tried.ops[i].len + AEAD_TAG_LEN;
		uint32_t at = random_below(v, from);

		if (random_below(v, 4) != 0 ||
		    v->tried.ops[i].tag != v->tried.ops[i].data + from - AEAD_TAG_LEN)
			continue;
		v->tried.ops[i].data[at] ^= (uint8_t)(1u << bit);
		v->reference.ops[i].data[at] ^= (uint8_t)(1u << bit);
	}
}

static bool sides_equal(const struct verification *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (v->tried.ops[i].status != v->reference.ops[i].status)
			return false;
	}
	return memcmp(v->tried.data, v->reference.data, sizeof(v->tried.data)) == 0;
}

static bool round_passes(struct verification *v, uint32_t round)
{
	uint32_t n = round % 3 == 0 ? AEAD_BATCH_MAX : 1 + random_below(v, AEAD_BATCH_MAX);

	batch_draw(v, round, n);
	if (aead_encrypt(v->tried.engine, v->tried.ops, n) != 0 ||
	    aead_encrypt(v->reference.engine, v->reference.ops, n) != 0 || !sides_equal(v, n))
		return false;
	batch_forge(v, n);
	return aead_decrypt(v->tried.engine, v->tried.ops, n) ==
		       aead_decrypt(v->reference.engine, v->reference.ops, n) &&
	       sides_equal(v, n);
}

int aead_verify(struct aead_engine *engine)
{
	struct verification *v;
	int ret;

	v = calloc(1, sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	v->tried.engine = engine;
	ret = aead_engine_create(AEAD_KIND_IPSEC_MB, AEAD_ISA_AUTO, KEYS, &v->reference.engine);
	if (ret == -ENOTSUP)
		ret = aead_engine_create(AEAD_KIND_OPENSSL, AEAD_ISA_AUTO, KEYS,
					 &v->reference.engine);
	if (ret < 0)
		goto free_verification;
	ret = keys_create(v);
	for (uint32_t round = 0; ret == 0 && round < ROUNDS; round++) {
		if (!round_passes(v, round))
			ret = -EBADMSG;
	}
	for (uint32_t k = 0; k < KEYS; k++)
		aead_key_destroy(engine, v->tried.keys[k]);
	aead_engine_destroy(v->reference.engine);

free_verification:
	free(v);
	return ret;
}
