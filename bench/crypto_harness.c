/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "crypto_direct.h"
#include "crypto_harness.h"
#include "huge_alloc.h"

#define HEADROOM 128 /* as of an mbuf, so that data start where packets' do */
#define SAMPLES  32
#define LONGEST  1520 /* ESP payload of an IMIX packet */
#define RECEIVED 512  /* buffers that packets are copied to, as many as a cache of mbufs holds */

struct crypto_harness {
	struct crypto_shape shape;
	struct aead_engine *engine;   /* either this */
	struct crypto_direct *direct; /* or that */
	struct aead_key **keys;
	uint8_t *memory;
	uint8_t *received;
	size_t stride; /* bytes from one buffer to the next */
	uint64_t random;
	uint64_t sequence;
	struct aead_op ops[CRYPTO_HARNESS_BUFFERS];
};

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void key_bytes(uint32_t index, uint8_t key[AEAD_KEY_MAX], uint8_t salt[AEAD_SALT_LEN])
{
	memset(key, 0, AEAD_KEY_MAX);
	memcpy(key, &index, sizeof(index));
	memcpy(salt, &index, AEAD_SALT_LEN);
}

static int keys_create(struct crypto_harness *h)
{
	for (uint32_t i = 0; i < h->shape.keys; i++) {
		uint8_t key[AEAD_KEY_MAX], salt[AEAD_SALT_LEN];
		int ret = 0;

		key_bytes(i, key, salt);
		if (h->shape.direct)
			h->keys[i] = crypto_direct_key(h->direct, i, key, salt);
		else
			ret = aead_key_create(h->engine, key, h->shape.key_len, salt, &h->keys[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Inner packet, padding to four bytes, its length, next header. */
static uint32_t imix_draw(uint64_t *random)
{
	uint32_t n = (uint32_t)(random_next(random) % 48);

	return n < 28 ? 68 : n < 44 ? 572 : LONGEST;
}

static void ops_fill(struct crypto_harness *h)
{
	for (uint32_t i = 0; i < CRYPTO_HARNESS_BUFFERS; i++) {
		uint8_t *data = h->memory + i * h->stride + HEADROOM;
		uint32_t len = h->shape.len;

		if (len == CRYPTO_HARNESS_IMIX)
			len = imix_draw(&h->random);
		memset(data, (int)i, len);
		h->ops[i] = (struct aead_op){
			.key = h->keys[random_next(&h->random) % h->shape.keys],
			.data = data,
			.tag = data + len,
			.len = len,
			.aad_len = 8,
		};
	}
}

static uint32_t encrypt(struct crypto_harness *h, struct aead_op *ops, uint32_t n)
{
	if (h->shape.direct)
		return crypto_direct_encrypt(h->direct, ops, n);
	return aead_encrypt(h->engine, ops, n);
}

static uint32_t decrypt(struct crypto_harness *h, struct aead_op *ops, uint32_t n)
{
	if (h->shape.direct)
		return crypto_direct_decrypt(h->direct, ops, n);
	return aead_decrypt(h->engine, ops, n);
}

static uint32_t key_index(const struct crypto_harness *h, const struct aead_key *key)
{
	uint32_t i = 0;

	while (h->keys[i] != key)
		i++;
	return i;
}

/* Encrypts op here, decrypts it there, and compares. Leaves the plaintext in the buffer. */
static int sample_check(struct crypto_harness *h, struct aead_engine *reference, struct aead_op *op)
{
	uint8_t bytes[AEAD_KEY_MAX], salt[AEAD_SALT_LEN];
	struct aead_key *key;
	uint8_t *plaintext;
	int ret;

	plaintext = malloc(op->len);
	if (plaintext == NULL)
		return -ENOMEM;
	memcpy(plaintext, op->data, op->len);
	key_bytes(key_index(h, op->key), bytes, salt);
	ret = aead_key_create(reference, bytes, h->shape.key_len, salt, &key);
	if (ret < 0)
		goto free_plaintext;

	ret = -EBADMSG;
	if (encrypt(h, op, 1) == 0 && memcmp(plaintext, op->data, op->len) != 0) {
		struct aead_op there = *op;

		there.key = key;
		if (aead_decrypt(reference, &there, 1) == 0 &&
		    memcmp(plaintext, op->data, op->len) == 0)
			ret = 0;
	}
	aead_key_destroy(reference, key);

free_plaintext:
	free(plaintext);
	return ret;
}

static int samples_check(struct crypto_harness *h)
{
	struct aead_engine *reference;
	int ret;

	ret = aead_engine_create(AEAD_KIND_OPENSSL, AEAD_ISA_AUTO, 1, &reference);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < SAMPLES && ret == 0; i++)
		ret = sample_check(h, reference, &h->ops[i * (CRYPTO_HARNESS_BUFFERS / SAMPLES)]);
	aead_engine_destroy(reference);
	return ret;
}

int crypto_harness_create(const struct crypto_shape *shape, struct crypto_harness **out)
{
	struct crypto_harness *h = calloc(1, sizeof(*h));
	uint32_t room = shape->len == CRYPTO_HARNESS_IMIX ? LONGEST : shape->len;
	int ret = -ENOMEM;

	if (h == NULL)
		return -ENOMEM;
	h->shape = *shape;
	h->random = 88172645463325252u;
	/* An odd number of cache lines, as DPDK pads its mbufs, to use all sets of the cache. */
	h->stride = ((HEADROOM + room + AEAD_TAG_LEN) / 64 | 1) * 64 + 128;
	h->memory = huge_alloc(h->stride * CRYPTO_HARNESS_BUFFERS);
	h->received = huge_alloc(h->stride * RECEIVED);
	h->keys = calloc(shape->keys, sizeof(struct aead_key *));
	if (h->memory == NULL || h->received == NULL || h->keys == NULL)
		goto destroy;
	if (shape->direct)
		ret = crypto_direct_create(shape->key_len, shape->keys, &h->direct);
	else
		ret = aead_engine_create(shape->kind, shape->isa, shape->keys, &h->engine);
	if (ret < 0)
		goto destroy;
	ret = keys_create(h);
	if (ret < 0)
		goto destroy;
	ops_fill(h);
	ret = samples_check(h);
	if (ret < 0)
		goto destroy;
	*out = h;
	return 0;

destroy:
	crypto_harness_destroy(h);
	return ret;
}

void crypto_harness_destroy(struct crypto_harness *h)
{
	if (h == NULL)
		return;
	aead_engine_destroy(h->engine);
	crypto_direct_destroy(h->direct);
	free(h->keys);
	free(h->memory);
	free(h->received);
	free(h);
}

const char *crypto_harness_engine(const struct crypto_harness *h)
{
	return h->shape.direct ? crypto_direct_name(h->direct) : aead_engine_name(h->engine);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct crypto_pass pass_begin(void)
{
	struct crypto_pass pass = { .seconds = seconds_now() };

	pass.cycles = __rdtsc();
	return pass;
}

static void pass_end(struct crypto_pass *pass)
{
	pass->cycles = __rdtsc() - pass->cycles;
	pass->seconds = seconds_now() - pass->seconds;
}

struct crypto_pass crypto_harness_encrypt(struct crypto_harness *h)
{
	struct crypto_pass pass;

	for (uint32_t i = 0; i < CRYPTO_HARNESS_BUFFERS; i++)
		h->ops[i].iv = h->sequence++;
	pass = pass_begin();
	for (uint32_t i = 0; i < CRYPTO_HARNESS_BUFFERS; i += AEAD_BATCH_MAX)
		pass.failed += encrypt(h, &h->ops[i], AEAD_BATCH_MAX);
	pass_end(&pass);
	return pass;
}

struct crypto_pass crypto_harness_decrypt(struct crypto_harness *h)
{
	struct crypto_pass pass = pass_begin();

	for (uint32_t i = 0; i < CRYPTO_HARNESS_BUFFERS; i += AEAD_BATCH_MAX)
		pass.failed += decrypt(h, &h->ops[i], AEAD_BATCH_MAX);
	pass_end(&pass);
	return pass;
}

static void batch_receive(struct crypto_harness *h, uint32_t first, struct aead_op *batch)
{
	for (uint32_t k = 0; k < AEAD_BATCH_MAX; k++) {
		struct aead_op *op = &batch[k];

		*op = h->ops[first + k];
		op->data = h->received + (first + k) % RECEIVED * h->stride + HEADROOM;
		op->tag = op->data + op->len;
		memcpy(op->data, h->ops[first + k].data, op->len + AEAD_TAG_LEN);
	}
}

struct crypto_pass crypto_harness_received(struct crypto_harness *h, bool decrypt_it)
{
	struct crypto_pass pass = { .seconds = seconds_now() };
	struct aead_op batch[AEAD_BATCH_MAX];
	uint64_t began;

	for (uint32_t i = 0; i < CRYPTO_HARNESS_BUFFERS; i += AEAD_BATCH_MAX) {
		batch_receive(h, i, batch);
		_mm_lfence();
		began = __rdtsc();
		if (decrypt_it)
			pass.failed += decrypt(h, batch, AEAD_BATCH_MAX);
		else
			pass.failed += encrypt(h, batch, AEAD_BATCH_MAX);
		_mm_lfence();
		pass.cycles += __rdtsc() - began;
	}
	pass.seconds = seconds_now() - pass.seconds;
	return pass;
}

struct crypto_pass crypto_harness_rekey(struct crypto_harness *h)
{
	struct crypto_pass pass = pass_begin();

	for (uint32_t i = 0; i < h->shape.keys; i++)
		aead_key_destroy(h->engine, h->keys[i]);
	pass.failed = keys_create(h) < 0;
	pass_end(&pass);
	return pass;
}
