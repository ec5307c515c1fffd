/* SPDX-License-Identifier: BSD-3-Clause */
/* Making an engine: choice of implementation, known-answer test, keys, refusals. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engines.h"

static const uint8_t test_key[AEAD_KEY_MAX] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static const uint8_t test_salt[AEAD_SALT_LEN] = { 9, 10, 11, 12 };

static struct aead_engine *engine_create(enum aead_kind kind, enum aead_isa isa, uint32_t keys)
{
	struct aead_engine *engine = NULL;

	assert_int_equal(aead_engine_create(kind, isa, keys, &engine), 0);
	return engine;
}

/* AUTO is the first of ours, IPsec-MB, OpenSSL that can be had by name. */
static void auto_takes_the_best(void **state)
{
	static const enum aead_kind best_first[] = { AEAD_KIND_VAES, AEAD_KIND_IPSEC_MB,
						     AEAD_KIND_OPENSSL };
	struct aead_engine *engine = engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, 1), *best = NULL;

	for (size_t i = 0; best == NULL; i++) {
		int ret = aead_engine_create(best_first[i], AEAD_ISA_AUTO, 1, &best);

		assert_true(ret == 0 || ret == -ENOTSUP);
	}
	printf("AUTO is %s, %zu, %zu and %zu bytes a key\n", aead_engine_name(engine),
	       aead_engine_key_size(engine, 16), aead_engine_key_size(engine, 24),
	       aead_engine_key_size(engine, 32));
	assert_string_equal(aead_engine_name(engine), aead_engine_name(best));
	assert_int_equal(aead_engine_key_size(engine, 17), 0);
	aead_engine_destroy(best);
	aead_engine_destroy(engine);
}

static void openssl_is_named_and_has_no_isa(void **state)
{
	struct aead_engine *engine = engine_create(AEAD_KIND_OPENSSL, AEAD_ISA_AUTO, 1);

	assert_int_equal(strncmp(aead_engine_name(engine), "openssl 3", 9), 0);
	aead_engine_destroy(engine);
	engine = NULL;
	assert_int_equal(aead_engine_create(AEAD_KIND_OPENSSL, AEAD_ISA_SSE, 1, &engine), -ENOTSUP);
	assert_null(engine);
}

/* Every instruction set either works or is refused, and is refused only if the CPU lacks it. */
static void instruction_sets_follow_the_cpu(void **state)
{
	static const struct {
		enum aead_isa isa;
		const char *name;
	} sets[] = {
		{ AEAD_ISA_SSE, "sse" },
#if IMB_VERSION_NUM < IMB_VERSION(2, 0, 0)
		{ AEAD_ISA_AVX, "avx" },
#endif
		{ AEAD_ISA_AVX2, "avx2" },
		{ AEAD_ISA_AVX512, "avx512" },
	};

	__builtin_cpu_init();
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct aead_engine *engine = NULL;
		bool present = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
		int ret;

		if (sets[i].isa >= AEAD_ISA_AVX)
			present = present && __builtin_cpu_supports("avx");
		if (sets[i].isa >= AEAD_ISA_AVX2)
			present = present && __builtin_cpu_supports("avx2");
		if (sets[i].isa >= AEAD_ISA_AVX512)
			present = present && __builtin_cpu_supports("avx512bw") &&
				  __builtin_cpu_supports("avx512vl");

		ret = aead_engine_create(AEAD_KIND_IPSEC_MB, sets[i].isa, 1, &engine);
		assert_int_equal(ret, present ? 0 : -ENOTSUP);
		if (ret == 0)
			assert_non_null(strstr(aead_engine_name(engine), sets[i].name));
		aead_engine_destroy(engine);
	}
}

static void key_lengths_other_than_aes_are_refused(void **state)
{
	struct aead_engine *engine = engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, 1);

	for (size_t len = 0; len <= AEAD_KEY_MAX; len++) {
		struct aead_key *key = NULL;
		int ret = aead_key_create(engine, test_key, len, test_salt, &key);

		if (len == 16 || len == 24 || len == 32) {
			assert_int_equal(ret, 0);
			aead_key_destroy(engine, key);
		} else {
			assert_int_equal(ret, -EINVAL);
			assert_null(key);
		}
	}
	aead_engine_destroy(engine);
}

static void no_keys_is_refused(void **state)
{
	struct aead_engine *engine = NULL;

	assert_int_equal(aead_engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, 0, &engine), -EINVAL);
	assert_null(engine);
	aead_engine_destroy(NULL);
	aead_key_destroy(NULL, NULL);
}

/* Engines that are wrong in one way each: the known-answer test must tell. */
static struct aead_implementation genuine;

static uint32_t encrypt_wrong_tag(const void *state, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = genuine.encrypt(state, ops, n);

	ops[0].tag[0] ^= 0x80;
	return failed;
}

static uint32_t encrypt_wrong_byte_in_long(const void *state, struct aead_op *ops, uint32_t n)
{
	if (ops[0].len > 1024)
		ops[0].data[ops[0].len - 1] ^= 1;
	return genuine.encrypt(state, ops, n);
}

static uint32_t encrypt_nothing(const void *state, struct aead_op *ops, uint32_t n)
{
	ops[0].status = AEAD_OK;
	return 0;
}

static uint32_t decrypt_accepts_all(const void *state, struct aead_op *ops, uint32_t n)
{
	genuine.decrypt(state, ops, n);
	ops[0].status = AEAD_OK;
	return 0;
}

static uint32_t decrypt_refuses_all(const void *state, struct aead_op *ops, uint32_t n)
{
	genuine.decrypt(state, ops, n);
	ops[0].status = AEAD_BAD_TAG;
	return 1;
}

static uint32_t decrypt_ignores_last_tag_byte(const void *state, struct aead_op *ops, uint32_t n)
{
	uint8_t tag[AEAD_TAG_LEN], kept[AEAD_TAG_LEN];
	struct aead_op op = ops[0];

	/* Finds the right tag by encrypting what decrypt makes of it, then compares 15 bytes. */
	genuine.decrypt(state, &op, 1);
	op.tag = tag;
	genuine.encrypt(state, &op, 1);
	memcpy(kept, ops[0].tag, sizeof(kept));
	if (memcmp(kept, tag, AEAD_TAG_LEN - 1) == 0)
		memcpy(ops[0].tag, tag, AEAD_TAG_LEN);
	return genuine.decrypt(state, ops, n);
}

static void known_answer_test_finds_faults(void **state)
{
	const struct {
		const char *fault;
		uint32_t (*encrypt)(const void *, struct aead_op *, uint32_t);
		uint32_t (*decrypt)(const void *, struct aead_op *, uint32_t);
	} faults[] = {
		{ "wrong tag", encrypt_wrong_tag, NULL },
		{ "wrong byte in a long message", encrypt_wrong_byte_in_long, NULL },
		{ "no encryption", encrypt_nothing, NULL },
		{ "accepts every tag", NULL, decrypt_accepts_all },
		{ "refuses every tag", NULL, decrypt_refuses_all },
		{ "ignores the last tag byte", NULL, decrypt_ignores_last_tag_byte },
	};
	struct aead_engine *engine = engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, 1);

	genuine = engine->impl;
	assert_int_equal(aead_known_answer_test(engine), 0);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		engine->impl = genuine;
		if (faults[i].encrypt != NULL)
			engine->impl.encrypt = faults[i].encrypt;
		if (faults[i].decrypt != NULL)
			engine->impl.decrypt = faults[i].decrypt;
		if (aead_known_answer_test(engine) != -EBADMSG)
			fail_msg("not found: %s", faults[i].fault);
		assert_int_equal(test_engine_keys_in_use(engine), 0);
	}
	engine->impl = genuine;
	aead_engine_destroy(engine);
}

/* A faulty engine is not handed out, and nothing of it stays. */
static void a_faulty_engine_does_not_start(void **state)
{
	struct aead_engine engine = { 0 };

	assert_int_equal(aead_ipsec_mb_open(&engine, AEAD_ISA_AUTO), 0);
	genuine = engine.impl;
	engine.impl.encrypt = encrypt_wrong_tag;
	assert_int_equal(aead_engine_start(&engine, 10), -EBADMSG);
	for (int v = 0; v < AEAD_VARIANTS; v++) {
		assert_null(engine.arenas[v].base);
		assert_null(engine.arenas[v].used);
	}
	engine.impl.close(engine.state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(auto_takes_the_best),
		cmocka_unit_test(openssl_is_named_and_has_no_isa),
		cmocka_unit_test(instruction_sets_follow_the_cpu),
		cmocka_unit_test(key_lengths_other_than_aes_are_refused),
		cmocka_unit_test(no_keys_is_refused),
		cmocka_unit_test(known_answer_test_finds_faults),
		cmocka_unit_test(a_faulty_engine_does_not_start),
	};

	return cmocka_run_group_tests_name("crypto engine", tests, NULL, NULL);
}
