/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead_internal.h"

#define CHECK_KEYS 8 /* in use at once while an engine is checked */

static int engine_open(struct aead_engine *engine, enum aead_kind kind, enum aead_isa isa)
{
	switch (kind) {
	case AEAD_KIND_VAES:
		return aead_vaes_open(engine, isa);
	case AEAD_KIND_IPSEC_MB:
		return aead_ipsec_mb_open(engine, isa);
	case AEAD_KIND_OPENSSL:
		return isa == AEAD_ISA_AUTO ? aead_openssl_open(engine) : -ENOTSUP;
	case AEAD_KIND_AUTO:
		break;
	}
	return -ENOTSUP;
}

static void name_append(struct aead_engine *engine, const char *text)
{
	size_t len = strlen(engine->name);

	snprintf(engine->name + len, sizeof(engine->name) - len, "%s", text);
}

static void arenas_fini(struct aead_engine *engine)
{
	for (int v = 0; v < AEAD_VARIANTS; v++)
		key_arena_fini(&engine->arenas[v]);
}

static int arenas_init(struct aead_engine *engine, uint32_t max_keys)
{
	engine->max_keys = max_keys;
	for (int v = 0; v < AEAD_VARIANTS; v++) {
		int ret = key_arena_init(&engine->arenas[v], engine->impl.key_size[v], max_keys);

		if (ret < 0) {
			arenas_fini(engine);
			return ret;
		}
	}
	return 0;
}

int aead_engine_start(struct aead_engine *engine, uint32_t max_keys)
{
	int ret;

	if (max_keys == 0)
		return -EINVAL;
	/* In arenas of a page: the large ones lock nothing for a variant that is never used. */
	ret = arenas_init(engine, CHECK_KEYS);
	if (ret < 0)
		return ret;
	ret = aead_known_answer_test(engine);
	if (ret == 0 && engine->impl.verify)
		ret = aead_verify(engine);
	arenas_fini(engine);
	if (ret < 0)
		return ret;
	return arenas_init(engine, max_keys);
}

static int engine_create(enum aead_kind kind, enum aead_isa isa, uint32_t max_keys,
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

int aead_engine_create(enum aead_kind kind, enum aead_isa isa, uint32_t max_keys,
		       struct aead_engine **out)
{
	static const enum aead_kind best_first[] = { AEAD_KIND_VAES, AEAD_KIND_IPSEC_MB,
						     AEAD_KIND_OPENSSL };
	bool faulty = false;
	int ret = -ENOTSUP;

	if (kind != AEAD_KIND_AUTO)
		return engine_create(kind, isa, max_keys, out);
	for (size_t i = 0; i < sizeof(best_first) / sizeof(best_first[0]); i++) {
		ret = engine_create(best_first[i], isa, max_keys, out);
		if (best_first[i] == AEAD_KIND_VAES && ret == -EBADMSG)
			faulty = true;
		else if (ret != -ENOTSUP)
			break;
	}
	if (ret == 0 && faulty)
		name_append(*out, " (NOT vaes: its kernels failed their check on this machine)");
	return ret;
}

void aead_engine_destroy(struct aead_engine *engine)
{
	if (engine == NULL)
		return;
	arenas_fini(engine);
	engine->impl.close(engine->state);
	free(engine);
}

const char *aead_engine_name(const struct aead_engine *engine)
{
	return engine->name;
}

size_t aead_engine_key_size(const struct aead_engine *engine, size_t key_len)
{
	int variant = aead_variant_of(key_len);

	return variant < 0 ? 0 : engine->arenas[variant].slot_size;
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
	if (engine->keys == engine->max_keys)
		return -ENOSPC;
	ret = key_arena_get(&engine->arenas[variant], &slot);
	if (ret < 0)
		return ret;
	engine->keys++;
	engine->impl.key_expand(engine->state, variant, key, salt, slot);
	*out = slot;
	return 0;
}

void aead_key_destroy(struct aead_engine *engine, struct aead_key *key)
{
	int v = 0;

	if (key == NULL)
		return;
	/* What lies in none the last one refuses. */
	while (v < AEAD_VARIANTS - 1 && !key_arena_holds(&engine->arenas[v], key))
		v++;
	key_arena_put(&engine->arenas[v], key);
	engine->keys--;
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
