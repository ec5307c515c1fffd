/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenSSL runs out of memory at each of its allocations in turn. A message is then either right or
 * AEAD_FAILED and zeroed: never left as it was, never taken for authentic.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#include "aead.h"
#include "test.h"

#define MESSAGES 3
#define LEN      100

/* Allocations that still succeed; negative: all do. */
static long allocations_left = -1;

static bool allocation_allowed(void)
{
	if (allocations_left == 0)
		return false;
	if (allocations_left > 0)
		allocations_left--;
	return true;
}

static void *limited_malloc(size_t size, const char *file, int line)
{
	return allocation_allowed() ? malloc(size) : NULL;
}

static void *limited_realloc(void *p, size_t size, const char *file, int line)
{
	return allocation_allowed() ? realloc(p, size) : NULL;
}

static void plain_free(void *p, const char *file, int line)
{
	free(p);
}

struct messages {
	struct aead_op ops[MESSAGES];
	uint8_t data[MESSAGES][LEN];
	uint8_t tags[MESSAGES][AEAD_TAG_LEN];
};

static void messages_fill(struct messages *m, const struct aead_key *key)
{
	memset(m, 0, sizeof(*m));
	for (uint32_t i = 0; i < MESSAGES; i++) {
		m->ops[i] = (struct aead_op){
			.key = key,
			.data = m->data[i],
			.tag = m->tags[i],
			.iv = i,
			.len = LEN,
			.aad_len = 8,
		};
		memset(m->data[i], 0x40 + (int)i, LEN);
	}
}

/* Returns how many failed; the others must equal `right`. */
static uint32_t messages_check(const struct messages *m, const struct messages *right)
{
	static const uint8_t zeros[LEN];
	uint32_t failed = 0;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		if (m->ops[i].status == AEAD_OK) {
			assert_memory_equal(m->data[i], right->data[i], LEN);
			assert_memory_equal(m->tags[i], right->tags[i], AEAD_TAG_LEN);
			continue;
		}
		failed++;
		assert_int_equal(m->ops[i].status, AEAD_FAILED);
		assert_memory_equal(m->data[i], zeros, LEN);
	}
	return failed;
}

typedef uint32_t (*batch_fn)(const struct aead_engine *, struct aead_op *, uint32_t);

static void starve(const struct aead_engine *engine, batch_fn transform, struct messages *start,
		   const struct messages *right)
{
	uint32_t failed, starved = 0;
	long limit = 0;

	do {
		struct messages m = *start;

		for (uint32_t i = 0; i < MESSAGES; i++) {
			m.ops[i].data = m.data[i];
			m.ops[i].tag = m.tags[i];
		}
		allocations_left = limit++;
		failed = transform(engine, m.ops, MESSAGES);
		allocations_left = -1;
		assert_int_equal(failed, messages_check(&m, right));
		starved += failed > 0;
	} while (failed > 0);
	printf("failed safely at each of %u allocations\n", starved);
	assert_true(starved > 0);
}

static void openssl_fails_safely(void **state)
{
	uint8_t bytes[AEAD_KEY_MAX] = { 1 }, salt[AEAD_SALT_LEN] = { 2 };
	struct messages plain, sealed;
	struct aead_engine *engine;
	struct aead_key *key;

	assert_int_equal(aead_engine_create(AEAD_KIND_OPENSSL, AEAD_ISA_AUTO, 1, &engine), 0);
	assert_int_equal(aead_key_create(engine, bytes, 32, salt, &key), 0);
	messages_fill(&sealed, key);
	assert_int_equal(aead_encrypt(engine, sealed.ops, MESSAGES), 0);
	messages_fill(&plain, key);

	starve(engine, aead_encrypt, &plain, &sealed);
	memcpy(plain.tags, sealed.tags, sizeof(plain.tags)); /* decryption leaves tags alone */
	starve(engine, aead_decrypt, &sealed, &plain);

	aead_key_destroy(engine, key);
	aead_engine_destroy(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_fails_safely),
	};

	/* Before OpenSSL's first allocation, or it refuses. */
	if (CRYPTO_set_mem_functions(limited_malloc, limited_realloc, plain_free) != 1)
		return 1;
	return cmocka_run_group_tests_name("crypto without memory", tests, NULL, NULL);
}
