/* SPDX-License-Identifier: BSD-3-Clause */
/* Forgeries: on every engine each bit of a message is authenticated, and so are key and salt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines.h"
#include "test.h"

struct run {
	struct test_engine engines[TEST_ENGINES_MAX];
	size_t n;
};

static struct aead_key *key_create(struct aead_engine *engine, const uint8_t *bytes, size_t len,
				   const uint8_t *salt)
{
	struct aead_key *key;

	assert_int_equal(aead_key_create(engine, bytes, len, salt, &key), 0);
	return key;
}

/* One op that decrypts, and a flip of one bit that must make it fail and leave zeros. */
struct forgery {
	const struct aead_engine *engine;
	struct aead_op op;
	uint8_t ciphertext[1420], data[1420], tag[AEAD_TAG_LEN];
	uint32_t tried;
};

static void forgery_try(struct forgery *f)
{
	memcpy(f->data, f->ciphertext, f->op.len);
	f->op.status = 0xee;
	if (aead_decrypt(f->engine, &f->op, 1) != 1 || f->op.status != AEAD_BAD_TAG)
		fail_msg("%s: forgery %u accepted (%u bytes, AAD %u)", aead_engine_name(f->engine),
			 f->tried, f->op.len, f->op.aad_len);
	for (uint32_t i = 0; i < f->op.len; i++)
		assert_int_equal(f->data[i], 0);
	f->tried++;
}

static void bits_try(struct forgery *f, void *field, size_t len)
{
	uint8_t *bytes = field;

	for (size_t bit = 0; bit < 8 * len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		forgery_try(f);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void message_forge(struct forgery *f)
{
	memset(f->data, 0x5a, f->op.len);
	assert_int_equal(aead_encrypt(f->engine, &f->op, 1), 0);
	memcpy(f->ciphertext, f->data, f->op.len);

	bits_try(f, f->tag, AEAD_TAG_LEN);
	bits_try(f, &f->op.iv, sizeof(f->op.iv));
	bits_try(f, f->op.aad, f->op.aad_len);
	bits_try(f, f->ciphertext, f->op.len < 128 ? f->op.len : 128);
	f->op.aad_len ^= 8 ^ 12;
	forgery_try(f);
	f->op.aad_len ^= 8 ^ 12;

	/* And it is the flips that were refused: untouched it passes. */
	memcpy(f->data, f->ciphertext, f->op.len);
	assert_int_equal(aead_decrypt(f->engine, &f->op, 1), 0);
	for (uint32_t i = 0; i < f->op.len; i++)
		assert_int_equal(f->data[i], 0x5a);
}

static void every_bit_is_authenticated(void **state)
{
	static const uint32_t lens[] = { 0, 1, 16, 64, 333, 1420 };
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++) {
		static const uint8_t bytes[AEAD_KEY_MAX] = { 3, 1, 4, 1, 5 };
		struct aead_engine *engine = run->engines[e].engine;
		struct forgery f = { .engine = engine };

		for (size_t key_len = 16; key_len <= AEAD_KEY_MAX; key_len += 8) {
			struct aead_key *key = key_create(engine, bytes, key_len, bytes + 16);

			for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
				for (uint8_t aad_len = 8; aad_len <= 12; aad_len += 4) {
					f.op = (struct aead_op){ .key = key,
								 .data = f.data,
								 .tag = f.tag,
								 .iv = 7,
								 .len = lens[i],
								 .aad_len = aad_len,
								 .aad = "SPI and seq" };
					message_forge(&f);
				}
			}
			aead_key_destroy(engine, key);
		}
		printf("%s: %u forgeries of one bit or of the AAD length refused\n",
		       aead_engine_name(f.engine), f.tried);
	}
}

/* The wrong key, and the right key with another salt, authenticate nothing. */
static void another_key_or_salt_is_refused(void **state)
{
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++) {
		struct aead_engine *engine = run->engines[e].engine;
		uint8_t bytes[AEAD_KEY_MAX] = { 1 }, data[100] = { 0 }, tag[AEAD_TAG_LEN];
		uint8_t salt[AEAD_SALT_LEN] = { 1, 2, 3, 4 };
		struct aead_key *key, *other_salt, *other_key;
		struct aead_op op = { .data = data, .tag = tag, .len = sizeof(data), .aad_len = 8 };

		key = key_create(engine, bytes, 16, salt);
		salt[3] ^= 1;
		other_salt = key_create(engine, bytes, 16, salt);
		salt[3] ^= 1;
		bytes[15] ^= 1;
		other_key = key_create(engine, bytes, 16, salt);

		op.key = key;
		assert_int_equal(aead_encrypt(engine, &op, 1), 0);
		op.key = other_salt;
		assert_int_equal(aead_decrypt(engine, &op, 1), 1);
		op.key = key;
		assert_int_equal(aead_encrypt(engine, &op, 1), 0);
		op.key = other_key;
		assert_int_equal(aead_decrypt(engine, &op, 1), 1);

		aead_key_destroy(engine, key);
		aead_key_destroy(engine, other_salt);
		aead_key_destroy(engine, other_key);
	}
}

static int run_open(void **state)
{
	struct run *run = calloc(1, sizeof(*run));

	run->n = test_engines_open(run->engines);
	*state = run;
	return 0;
}

static int run_close(void **state)
{
	struct run *run = *state;

	test_engines_close(run->engines, run->n);
	free(run);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit_is_authenticated),
		cmocka_unit_test(another_key_or_salt_is_refused),
	};

	return cmocka_run_group_tests_name("crypto forgeries", tests, run_open, run_close);
}
