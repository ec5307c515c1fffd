/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aead_internal.h"

static int engine_open(struct aead_engine *engine, enum aead_kind kind, enum aead_isa isa)
{
	int ret;

	switch (kind) {
	case AEAD_KIND_IPSEC_MB:
		return aead_ipsec_mb_open(engine, isa);
	case AEAD_KIND_OPENSSL:
		return isa == AEAD_ISA_AUTO ? aead_openssl_open(engine) : -ENOTSUP;
	case AEAD_KIND_AUTO:
		ret = aead_ipsec_mb_open(engine, isa);
		if (ret == -ENOTSUP && isa == AEAD_ISA_AUTO)
			ret = aead_openssl_open(engine);
		return ret;
	}
	return -ENOTSUP;
}

int aead_engine_start(struct aead_engine *engine, uint32_t max_keys)
{
	int ret;

	ret = key_arena_init(&engine->arena, engine->impl.key_size, max_keys);
	if (ret < 0)
		return ret;
	ret = aead_known_answer_test(engine);
	if (ret < 0)
		key_arena_fini(&engine->arena);
	return ret;
}

int aead_engine_create(enum aead_kind kind, enum aead_isa isa, uint32_t max_keys,
		       struct aead_engine **out)
{
	struct aead_engine *engine;
	int ret;

	engine = calloc(1, sizeof(*engine));
	if (engine == NULL)
		return -ENOMEM;
	ret = engine_open(engine, kind, isa);
	if (ret < 0)
		goto free_engine;
	ret = aead_engine_start(engine, max_keys);
	if (ret < 0)
		goto close_implementation;
	*out = engine;
	return 0;

close_implementation:
	engine->impl.close(engine->state);
free_engine:
	free(engine);
	return ret;
}

void aead_engine_destroy(struct aead_engine *engine)
{
	if (engine == NULL)
		return;
	key_arena_fini(&engine->arena);
	engine->impl.close(engine->state);
	free(engine);
}

const char *aead_engine_name(const struct aead_engine *engine)
{
	return engine->name;
}

size_t aead_engine_key_size(const struct aead_engine *engine)
{
	return engine->arena.slot_size;
}

int aead_variant_of(size_t key_len)
{
	switch (key_len) {
	case 16:
		return AEAD_AES_128;
	case 24:
		return AEAD_AES_192;
	case 32:
		return AEAD_AES_256;
	}
	return -EINVAL;
}

int aead_key_create(struct aead_engine *engine, const uint8_t *key, size_t key_len,
		    const uint8_t salt[AEAD_SALT_LEN], struct aead_key **out)
{
	int variant = aead_variant_of(key_len);
	void *slot;
	int ret;

	if (variant < 0)
		return variant;
	ret = key_arena_get(&engine->arena, &slot);
	if (ret < 0)
		return ret;
	engine->impl.key_expand(engine->state, variant, key, salt, slot);
	*out = slot;
	return 0;
}

void aead_key_destroy(struct aead_engine *engine, struct aead_key *key)
{
	if (key != NULL)
		key_arena_put(&engine->arena, key);
}

uint32_t aead_segments_copy(const struct aead_segment *segment, uint32_t from, uint8_t *bytes,
			    uint32_t n, bool write)
{
	uint32_t done = 0;

	for (; segment != NULL && done < n; segment = segment->next) {
		uint32_t take = segment->len > from ? segment->len - from : 0;

		if (take > n - done)
			take = n - done;
		if (take != 0 && write)
			memcpy(segment->data + from, bytes + done, take);
		else if (take != 0)
			memcpy(bytes + done, segment->data + from, take);
		done += take;
		from -= segment->len < from ? segment->len : from;
	}
	return done;
}

static void op_erase(struct aead_op *op)
{
	uint32_t left = op->len;

	if (op->chain == NULL && left > 0)
		memset(op->data, 0, left);
	for (const struct aead_segment *s = op->chain; s != NULL && left > 0; s = s->next) {
		uint32_t n = s->len < left ? s->len : left;

		if (n != 0)
			memset(s->data, 0, n);
		left -= n;
	}
}

/*
 * What failed must not be used: neither a plaintext that nobody vouches for, nor one that was not
 * encrypted. Leaves zeros, so that a caller who forgets to look at the status leaks nothing.
 */
static void ops_erase_failed(struct aead_op *ops, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (ops[i].status != AEAD_OK)
			op_erase(&ops[i]);
	}
}

uint32_t aead_encrypt(const struct aead_engine *engine, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = engine->impl.encrypt(engine->state, ops, n);

	if (__builtin_expect(failed != 0, 0))
		ops_erase_failed(ops, n);
	return failed;
}

uint32_t aead_decrypt(const struct aead_engine *engine, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = engine->impl.decrypt(engine->state, ops, n);

	if (__builtin_expect(failed != 0, 0))
		ops_erase_failed(ops, n);
	return failed;
}
