/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of one length together, as kernels take them that work on several at once: each between
 * pages that may not be touched, its tag right behind its data, and one of them forged. On every
 * engine, against OpenSSL.
 */
#include <stdlib.h>
#include <string.h>

#include "engines.h"
#include "test.h"

#define PACKETS 11 /* a full group and a part of one, for any number of lanes */
#define LEN_MAX 1700

struct run {
	struct test_engine engines[TEST_ENGINES_MAX];
	size_t n;
	struct aead_key *keys[TEST_ENGINES_MAX][PACKETS]; /* key k is the same on every engine */
	struct test_fence fences[PACKETS];
	uint8_t plain[PACKETS][LEN_MAX];
	uint8_t sealed[PACKETS][LEN_MAX + AEAD_TAG_LEN]; /* by OpenSSL */
};

/* `alike`: all under one key. */
static void ops_draw(struct run *run, size_t e, struct aead_op *ops, uint32_t n, uint32_t len,
		     bool at_end, bool alike)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *data = test_fence_place(&run->fences[i], len + AEAD_TAG_LEN, at_end);

		ops[i] = (struct aead_op){
			.key = run->keys[e][alike ? 0 : i],
			.data = data,
			.tag = data + len,
			.iv = len * PACKETS + i,
			.len = len,
			.aad_len = i % 3 == 0 ? 12 : 8,
			.aad = { 1, 2, 3, (uint8_t)i, 5, 6, 7, 8, 9, 10, 11, 12 },
			.pad = { 0xff, 0xff, 0xff, 0xff },
		};
	}
}

static void seal_by_openssl(struct run *run, uint32_t n, uint32_t len, bool alike)
{
	struct aead_op ops[PACKETS];

	ops_draw(run, run->n - 1, ops, n, len, false, alike);
	for (uint32_t i = 0; i < n; i++)
		memcpy(ops[i].data, run->plain[i], len);
	assert_int_equal(aead_encrypt(run->engines[run->n - 1].engine, ops, n), 0);
	for (uint32_t i = 0; i < n; i++)
		memcpy(run->sealed[i], ops[i].data, len + AEAD_TAG_LEN);
}

static void packets_try(struct run *run, size_t e, uint32_t n, uint32_t len, bool at_end,
			bool alike)
{
	const struct aead_engine *engine = run->engines[e].engine;
	uint32_t forged = (len + at_end) % n;
	struct aead_op ops[PACKETS];

	ops_draw(run, e, ops, n, len, at_end, alike);
	for (uint32_t i = 0; i < n; i++)
		memcpy(ops[i].data, run->plain[i], len);
	assert_int_equal(aead_encrypt(engine, ops, n), 0);
	for (uint32_t i = 0; i < n; i++) {
		if (memcmp(ops[i].data, run->sealed[i], len + AEAD_TAG_LEN) != 0)
			fail_msg("%s: packet %u of %u, %u bytes: sealed otherwise than by OpenSSL",
				 aead_engine_name(engine), i, n, len);
	}

	ops[forged].data[(len * 7 + at_end) % (len + AEAD_TAG_LEN)] ^= 0x10;
	assert_int_equal(aead_decrypt(engine, ops, n), 1);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t zeros[LEN_MAX] = { 0 };

		if (ops[i].status != (i == forged ? AEAD_BAD_TAG : AEAD_OK) ||
		    memcmp(ops[i].data, i == forged ? zeros : run->plain[i], len) != 0 ||
		    (i != forged && memcmp(ops[i].tag, run->sealed[i] + len, AEAD_TAG_LEN) != 0))
			fail_msg("%s: packet %u of %u, %u bytes, %u forged: opened wrongly",
				 aead_engine_name(engine), i, n, len, forged);
	}
}

static void groups_of_one_length(void **state)
{
	struct run *run = *state;

	for (uint32_t len = 1; len <= LEN_MAX; len++) {
		uint32_t n = 2 + len % (PACKETS - 1);

		for (int alike = 0; alike <= 1; alike++) {
			seal_by_openssl(run, n, len, alike);
			for (size_t e = 0; e < run->n - 1; e++) {
				packets_try(run, e, n, len, false, alike);
				packets_try(run, e, n, len, true, alike);
			}
		}
	}
}

static int run_open(void **state)
{
	struct run *run = calloc(1, sizeof(*run));
	struct test_random random = { 3 };

	run->n = test_engines_open(run->engines);
	test_random_fill(&random, run->plain, sizeof(run->plain));
	for (uint32_t k = 0; k < PACKETS; k++) {
		uint8_t key[AEAD_KEY_MAX], salt[AEAD_SALT_LEN];

		run->fences[k] = test_fence_open();
		test_random_fill(&random, key, sizeof(key));
		test_random_fill(&random, salt, sizeof(salt));
		for (size_t e = 0; e < run->n; e++)
			assert_int_equal(aead_key_create(run->engines[e].engine, key,
							 k < 9 ? 16 : 8 + 8 * (k - 7), salt,
							 &run->keys[e][k]),
					 0);
	}
	*state = run;
	return 0;
}

static int run_close(void **state)
{
	struct run *run = *state;

	for (uint32_t k = 0; k < PACKETS; k++) {
		test_fence_close(&run->fences[k]);
		for (size_t e = 0; e < run->n; e++)
			aead_key_destroy(run->engines[e].engine, run->keys[e][k]);
	}
	test_engines_close(run->engines, run->n);
	free(run);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_of_one_length),
	};

	return cmocka_run_group_tests_name("crypto lanes", tests, run_open, run_close);
}
