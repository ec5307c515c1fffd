/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages in pieces, on every engine: whatever pieces a message falls into, the bytes that it
 * becomes are those of the same message in one piece, sealed by OpenSSL.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines.h"
#include "test.h"

#define LEN_MAX    9200 /* a jumbo frame and its tunnel header */
#define PIECES_MAX 40
#define KEYS       6
#define CANARY     32 /* bytes around each piece that must stay as they are */

struct run {
	struct test_engine engines[TEST_ENGINES_MAX];
	size_t n;
	struct aead_key *keys[TEST_ENGINES_MAX][KEYS];
};

/* One message: flat, and the pieces of it, which lie apart. */
struct message {
	uint8_t flat[LEN_MAX + AEAD_TAG_LEN];
	uint8_t memory[LEN_MAX + AEAD_TAG_LEN + (PIECES_MAX + 1) * CANARY];
	uint8_t before[LEN_MAX + AEAD_TAG_LEN + (PIECES_MAX + 1) * CANARY];
	struct aead_segment piece[PIECES_MAX];
	uint32_t pieces;
	struct aead_op op;
};

static const struct aead_engine *engine_of(const struct run *run, size_t e)
{
	return run->engines[e].engine;
}

/*
 * Pieces that together are `total` bytes: few bytes, none, whole blocks, or many, and the end near
 * the tag cut once more often than not.
 */
static void pieces_draw(struct message *m, struct test_random *random, uint32_t total)
{
	uint32_t at = CANARY, done = 0;

	for (m->pieces = 0; m->pieces < PIECES_MAX; m->pieces++) {
		uint32_t left = total - done, len;
		uint64_t r = test_random_next(random);

		switch (r & 7) {
		case 0:
			len = 0;
			break;
		case 1:
		case 2:
			len = (uint32_t)(r >> 3) % 20;
			break;
		case 3:
			len = 16 * ((uint32_t)(r >> 3) % 9);
			break;
		case 4: /* the next one begins within trailer or tag */
			len = left > 40 ? left - (uint32_t)(r >> 3) % 20 : left / 2;
			break;
		default:
			len = (uint32_t)((r >> 3) % (total + 1));
		}
		if (len > left || m->pieces == PIECES_MAX - 1)
			len = left;
		m->piece[m->pieces] = (struct aead_segment){ m->memory + at, len, NULL };
		if (m->pieces != 0)
			m->piece[m->pieces - 1].next = &m->piece[m->pieces];
		at += len + CANARY;
		done += len;
		/* Sometimes an empty piece is the last. */
		if (done == total && (r >> 40 & 3) != 0) {
			m->pieces++;
			return;
		}
	}
}

static void pieces_load(struct message *m, struct test_random *random)
{
	uint32_t from = 0;

	test_random_fill(random, m->memory, sizeof(m->memory));
	for (uint32_t i = 0; i < m->pieces; i++) {
		memcpy(m->piece[i].data, m->flat + from, m->piece[i].len);
		from += m->piece[i].len;
	}
	memcpy(m->before, m->memory, sizeof(m->memory));
}

/* What the pieces hold is `flat`, and nothing around them was touched. */
static bool pieces_hold(const struct message *m, const uint8_t *flat)
{
	uint8_t expected[sizeof(m->memory)];
	uint32_t from = 0;

	memcpy(expected, m->before, sizeof(expected));
	for (uint32_t i = 0; i < m->pieces; i++) {
		memcpy(expected + (m->piece[i].data - m->memory), flat + from, m->piece[i].len);
		from += m->piece[i].len;
	}
	return memcmp(expected, m->memory, sizeof(expected)) == 0;
}

static void message_try(struct run *run, size_t e, struct message *m, struct test_random *random,
			uint32_t len)
{
	uint8_t plain[LEN_MAX + AEAD_TAG_LEN], zeros[LEN_MAX + AEAD_TAG_LEN] = { 0 };
	uint32_t k = (uint32_t)(test_random_next(random) % KEYS);
	uint64_t flip = test_random_next(random);
	struct aead_op *op = &m->op;
	struct aead_op reference;

	*op = (struct aead_op){ .iv = test_random_next(random), .len = len };
	op->aad_len = test_random_next(random) & 1 ? 8 : 12;
	test_random_fill(random, op->aad, sizeof(op->aad));
	test_random_fill(random, m->flat, len + AEAD_TAG_LEN);
	pieces_draw(m, random, len + AEAD_TAG_LEN);
	pieces_load(m, random);
	memcpy(plain, m->flat, sizeof(plain));

	reference = *op;
	reference.key = run->keys[run->n - 1][k];
	reference.data = m->flat;
	reference.tag = m->flat + len;
	assert_int_equal(aead_encrypt(engine_of(run, run->n - 1), &reference, 1), 0);

	op->key = run->keys[e][k];
	op->chain = m->piece;
	assert_int_equal(aead_encrypt(engine_of(run, e), op, 1), 0);
	assert_int_equal(op->status, AEAD_OK);
	if (!pieces_hold(m, m->flat))
		fail_msg("%s: %u bytes in %u pieces", aead_engine_name(engine_of(run, e)), len,
			 m->pieces);

	memcpy(plain + len, m->flat + len, AEAD_TAG_LEN);
	assert_int_equal(aead_decrypt(engine_of(run, e), op, 1), 0);
	assert_true(pieces_hold(m, plain));

	/* One bit wrong, anywhere: no plaintext is left. */
	flip %= (len + AEAD_TAG_LEN) * 8ull;
	m->flat[flip / 8] ^= (uint8_t)(1u << flip % 8);
	pieces_load(m, random);
	assert_int_equal(aead_decrypt(engine_of(run, e), op, 1), 1);
	assert_int_equal(op->status, AEAD_BAD_TAG);
	memcpy(zeros + len, m->flat + len, AEAD_TAG_LEN);
	assert_true(pieces_hold(m, zeros));
}

static void pieces_equal_the_whole(void **state)
{
	struct run *run = *state;
	struct test_random random = test_random_start("pieces_equal_the_whole");
	struct message *m = malloc(sizeof(*m));

	assert_non_null(m);
	for (size_t e = 0; e < run->n; e++) {
		uint64_t pieces = 0, messages = 0;

		for (uint32_t len = 0; len < 400; len++, messages++, pieces += m->pieces)
			message_try(run, e, m, &random, len);
		for (uint32_t i = 0; i < 1000; i++, messages++, pieces += m->pieces)
			message_try(run, e, m, &random,
				    (uint32_t)(test_random_next(&random) % (LEN_MAX + 1)));
		printf("%s: %lu messages in %lu pieces\n", aead_engine_name(engine_of(run, e)),
		       messages, pieces);
		assert_true(pieces > 2 * messages);
	}
	free(m);
}

/* Every place of one cut, in a message of some blocks: within a block, at its end, in the tag. */
static void every_single_cut(void **state)
{
	struct run *run = *state;
	struct test_random random = { 7 };
	const uint32_t len = 100;

	for (size_t e = 0; e < run->n; e++) {
		for (uint32_t cut = 0; cut <= len + AEAD_TAG_LEN; cut++) {
			uint8_t flat[128], a[128], b[128];
			struct aead_segment second = { b, len + AEAD_TAG_LEN - cut, NULL };
			struct aead_segment first = { a, cut, &second };
			struct aead_op op = { .key = run->keys[e][0],
					      .data = flat,
					      .tag = flat + len,
					      .len = len,
					      .aad_len = 8 };

			test_random_fill(&random, flat, sizeof(flat));
			memcpy(a, flat, cut);
			memcpy(b, flat + cut, second.len);
			assert_int_equal(aead_encrypt(engine_of(run, e), &op, 1), 0);
			op.chain = &first;
			assert_int_equal(aead_encrypt(engine_of(run, e), &op, 1), 0);
			assert_memory_equal(a, flat, cut);
			assert_memory_equal(b, flat + cut, second.len);
			assert_int_equal(aead_decrypt(engine_of(run, e), &op, 1), 0);
		}
	}
}

/* Messages in one piece and in several in one batch: each is done with its own key. */
static void a_batch_may_be_mixed(void **state)
{
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++) {
		static uint8_t data[AEAD_BATCH_MAX][64 + AEAD_TAG_LEN];
		struct aead_segment piece[AEAD_BATCH_MAX][2];
		struct aead_op ops[AEAD_BATCH_MAX];

		memset(data, 0, sizeof(data));
		for (uint32_t i = 0; i < AEAD_BATCH_MAX; i++) {
			piece[i][0] = (struct aead_segment){ data[i], i, &piece[i][1] };
			piece[i][1] =
				(struct aead_segment){ data[i] + i, 64 + AEAD_TAG_LEN - i, NULL };
			ops[i] = (struct aead_op){
				.key = run->keys[e][i % KEYS],
				.data = data[i],
				.tag = data[i] + 64,
				.iv = i / 2,
				.len = 64,
				.aad_len = 8,
				.chain = i % 3 == 0 ? piece[i] : NULL,
			};
		}
		assert_int_equal(aead_encrypt(engine_of(run, e), ops, AEAD_BATCH_MAX), 0);
		for (uint32_t i = 0; i < AEAD_BATCH_MAX; i++)
			ops[i].chain = i % 3 == 1 ? piece[i] : NULL;
		data[4][70] ^= 1;
		assert_int_equal(aead_decrypt(engine_of(run, e), ops, AEAD_BATCH_MAX), 1);
		for (uint32_t i = 0; i < AEAD_BATCH_MAX; i++) {
			assert_int_equal(ops[i].status, i == 4 ? AEAD_BAD_TAG : AEAD_OK);
			for (uint32_t k = 0; k < 64; k++)
				assert_int_equal(data[i][k], 0);
		}
	}
}

static int run_open(void **state)
{
	struct run *run = calloc(1, sizeof(*run));
	struct test_random random = { 3 };

	assert_non_null(run);
	run->n = test_engines_open(run->engines);
	for (uint32_t k = 0; k < KEYS; k++) {
		uint8_t key[AEAD_KEY_MAX], salt[AEAD_SALT_LEN];

		test_random_fill(&random, key, sizeof(key));
		test_random_fill(&random, salt, sizeof(salt));
		for (size_t e = 0; e < run->n; e++)
			assert_int_equal(aead_key_create(run->engines[e].engine, key,
							 16 + 8 * (k % 3), salt, &run->keys[e][k]),
					 0);
	}
	*state = run;
	return 0;
}

static int run_close(void **state)
{
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++)
		for (uint32_t k = 0; k < KEYS; k++)
			aead_key_destroy(run->engines[e].engine, run->keys[e][k]);
	test_engines_close(run->engines, run->n);
	free(run);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_equal_the_whole),
		cmocka_unit_test(every_single_cut),
		cmocka_unit_test(a_batch_may_be_mixed),
	};

	return cmocka_run_group_tests_name("messages in pieces", tests, run_open, run_close);
}
