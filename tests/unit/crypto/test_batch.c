/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches through the door, on every engine: against OpenSSL, at the edges of memory, threads. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines.h"
#include "test.h"

#define LEN_MAX 9200 /* a jumbo frame and its tunnel header */
#define KEYS    24
#define CANARY  64 /* bytes before and after each message that must stay as they are */
#define SLACK   32 /* room for an odd start */

struct run {
	struct test_engine engines[TEST_ENGINES_MAX];
	size_t n;
	struct aead_key *keys[TEST_ENGINES_MAX][KEYS]; /* key k is the same on every engine */
};

/* Where one message of a batch stands: canary, data, tag (adjacent or apart), canary. */
struct place {
	uint8_t memory[CANARY + SLACK + LEN_MAX + SLACK + AEAD_TAG_LEN + CANARY];
	uint32_t data;
	uint32_t tag;
};

struct batch {
	struct aead_op ops[AEAD_BATCH_MAX];
	struct place places[AEAD_BATCH_MAX];
	uint32_t key[AEAD_BATCH_MAX];
};

static const struct aead_engine *engine_of(const struct run *run, size_t e)
{
	return run->engines[e].engine;
}

static void ops_aim(struct batch *batch, const struct run *run, size_t e, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		batch->ops[i].key = run->keys[e][batch->key[i]];
		batch->ops[i].data = batch->places[i].memory + batch->places[i].data;
		batch->ops[i].tag = batch->places[i].memory + batch->places[i].tag;
	}
}

/* Random content, keys, nonces and places for n messages; len[i] bytes each. */
static void batch_fill(struct batch *batch, struct test_random *random, const uint32_t *len,
		       uint32_t n)
{
	memset(batch->ops, 0, sizeof(batch->ops));
	for (uint32_t i = 0; i < n; i++) {
		struct aead_op *op = &batch->ops[i];
		struct place *place = &batch->places[i];

		test_random_fill(random, place->memory, sizeof(place->memory));
		place->data = CANARY + (uint32_t)(test_random_next(random) % SLACK);
		place->tag = place->data + len[i];
		if (test_random_next(random) & 1)
			place->tag += (uint32_t)(test_random_next(random) % SLACK);
		batch->key[i] = (uint32_t)(test_random_next(random) % KEYS);
		op->iv = test_random_next(random);
		op->len = len[i];
		op->aad_len = test_random_next(random) & 1 ? 8 : 12;
		op->status = 0xee;
		test_random_fill(random, op->aad, sizeof(op->aad));
		test_random_fill(random, op->pad, sizeof(op->pad));
	}
}

/* Both batches hold the same bytes, canaries included, and the same operations but for pointers. */
static void batches_equal(const struct run *run, size_t e, const struct batch *a,
			  const struct batch *b, uint32_t n, const char *what)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct aead_op *x = &a->ops[i], *y = &b->ops[i];

		if (memcmp(&a->places[i], &b->places[i], sizeof(a->places[i])) != 0)
			fail_msg("%s: %s differs: %u bytes at %u, tag at %u, key %u, AAD %u",
				 aead_engine_name(engine_of(run, e)), what, x->len,
				 a->places[i].data, a->places[i].tag, a->key[i], x->aad_len);
		if (memcmp(&x->iv, &y->iv, sizeof(*x) - offsetof(struct aead_op, iv)) != 0)
			fail_msg("%s: %s: an operation was changed",
				 aead_engine_name(engine_of(run, e)), what);
	}
}

struct differential {
	struct batch original, reference, tried;
	uint64_t messages;
	uint64_t forged;
};

/* Flips one bit of tag, data, AAD or nonce in about a quarter of the messages. */
static uint32_t batch_forge(struct batch *batch, bool *forged, struct test_random *random,
			    uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct aead_op *op = &batch->ops[i];
		uint64_t r = test_random_next(random);
		uint8_t bit = (uint8_t)(1u << (r >> 8 & 7));

		forged[i] = (r & 3) == 0;
		if (!forged[i])
			continue;
		count++;
		r = r >> 16;
		if (op->len > 0 && (r & 3) == 0)
			batch->places[i].memory[batch->places[i].data + (r >> 2) % op->len] ^= bit;
		else if ((r & 3) == 1)
			op->aad[(r >> 2) % op->aad_len] ^= bit;
		else if ((r & 3) == 2)
			op->iv ^= UINT64_C(1) << (r >> 2) % 64;
		else
			batch->places[i].memory[batch->places[i].tag + (r >> 2) % 16] ^= bit;
	}
	return count;
}

/* What decryption must leave: the plaintext, or zeros where a message was forged. */
static void expect_decrypted(const struct batch *in, struct batch *expected,
			     const struct batch *original, const bool *forged, uint32_t n)
{
	*expected = *in;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *data = expected->places[i].memory + in->places[i].data;

		expected->ops[i].status = forged[i] ? AEAD_BAD_TAG : AEAD_OK;
		if (forged[i])
			memset(data, 0, in->ops[i].len);
		else
			memcpy(data, original->places[i].memory + in->places[i].data,
			       in->ops[i].len);
	}
}

static void differential_step(struct run *run, struct differential *d, size_t e,
			      struct test_random *random, const uint32_t *len, uint32_t n)
{
	size_t openssl = run->n - 1;
	bool forged[AEAD_BATCH_MAX];
	uint32_t forgeries;

	batch_fill(&d->original, random, len, n);
	d->reference = d->original;
	ops_aim(&d->reference, run, openssl, n);
	assert_int_equal(aead_encrypt(engine_of(run, openssl), d->reference.ops, n), 0);

	d->tried = d->original;
	ops_aim(&d->tried, run, e, n);
	assert_int_equal(aead_encrypt(engine_of(run, e), d->tried.ops, n), 0);
	batches_equal(run, e, &d->tried, &d->reference, n, "encryption");

	forgeries = batch_forge(&d->tried, forged, random, n);
	expect_decrypted(&d->tried, &d->reference, &d->original, forged, n);
	ops_aim(&d->tried, run, e, n);
	assert_int_equal(aead_decrypt(engine_of(run, e), d->tried.ops, n), forgeries);
	batches_equal(run, e, &d->tried, &d->reference, n, "decryption");
	d->messages += n;
	d->forged += forgeries;
}

/* Every length once, in random company; then batches of random lengths and sizes. */
static void equals_openssl(void **state)
{
	struct run *run = *state;
	struct test_random random = test_random_start("equals_openssl");
	struct differential *d = malloc(sizeof(*d));

	for (size_t e = 0; e < run->n; e++) {
		uint32_t len[AEAD_BATCH_MAX];

		d->messages = d->forged = 0;
		for (uint32_t next = 0; next <= LEN_MAX;) {
			uint32_t n = 0;

			while (n < AEAD_BATCH_MAX && next <= LEN_MAX)
				len[n++] = next++;
			differential_step(run, d, e, &random, len, n);
		}
		for (int round = 0; round < 100; round++) {
			uint32_t n = 1 + (uint32_t)(test_random_next(&random) % AEAD_BATCH_MAX);

			for (uint32_t i = 0; i < n; i++) {
				uint64_t r = test_random_next(&random);

				len[i] = (uint32_t)((r >> 1) % (r & 1 ? 1600 : LEN_MAX + 1));
			}
			differential_step(run, d, e, &random, len, n);
		}
		printf("%s: %lu messages of 0 to %d bytes, %lu of them forged\n",
		       aead_engine_name(engine_of(run, e)), d->messages, LEN_MAX, d->forged);
		assert_true(d->forged > d->messages / 8);
	}
	free(d);
}

static void an_empty_batch_does_nothing(void **state)
{
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++) {
		assert_int_equal(aead_encrypt(engine_of(run, e), NULL, 0), 0);
		assert_int_equal(aead_decrypt(engine_of(run, e), NULL, 0), 0);
	}
}

/* A message of no bytes needs no buffer. */
static void an_empty_message_is_authenticated(void **state)
{
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++) {
		uint8_t tag[AEAD_TAG_LEN] = { 0 };
		struct aead_op op = { .key = run->keys[e][0], .tag = tag, .aad_len = 8 };

		assert_int_equal(aead_encrypt(engine_of(run, e), &op, 1), 0);
		assert_int_equal(aead_decrypt(engine_of(run, e), &op, 1), 0);
		op.aad[0] ^= 1;
		assert_int_equal(aead_decrypt(engine_of(run, e), &op, 1), 1);
		assert_int_equal(op.status, AEAD_BAD_TAG);
	}
}

/* No byte before or behind data or tag is read: the neighbours are not mapped. */
static void neighbours_are_never_read(void **state)
{
	struct test_fence data = test_fence_open(), tag = test_fence_open();
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++) {
		for (uint32_t len = 0; len <= 1600; len++) {
			for (int at_end = 0; at_end <= 1; at_end++) {
				struct aead_op op = {
					.key = run->keys[e][len % KEYS],
					.data = test_fence_place(&data, len, at_end),
					.tag = test_fence_place(&tag, AEAD_TAG_LEN, at_end),
					.iv = len,
					.len = len,
					.aad_len = 12,
				};

				assert_int_equal(aead_encrypt(engine_of(run, e), &op, 1), 0);
				assert_int_equal(aead_decrypt(engine_of(run, e), &op, 1), 0);
				op.tag[len % AEAD_TAG_LEN] ^= 1;
				assert_int_equal(aead_decrypt(engine_of(run, e), &op, 1), 1);
			}
		}
	}
	test_fence_close(&data);
	test_fence_close(&tag);
}

#define THREADS        3
#define THREAD_BATCHES 300
#define THREAD_LEN     700

struct thread {
	const struct run *run;
	size_t engine;
	uint64_t seed;
	uint32_t wrong; /* batches that did not come back as they went in */
	pthread_t id;
};

static void *thread_main(void *arg)
{
	struct thread *thread = arg;
	const struct aead_engine *engine = engine_of(thread->run, thread->engine);
	struct test_random random = { thread->seed };
	uint8_t data[AEAD_BATCH_MAX][THREAD_LEN], tags[AEAD_BATCH_MAX][AEAD_TAG_LEN];
	uint8_t was[AEAD_BATCH_MAX][THREAD_LEN];
	struct aead_op ops[AEAD_BATCH_MAX];

	for (int batch = 0; batch < THREAD_BATCHES; batch++) {
		uint32_t bad = (uint32_t)(test_random_next(&random) % AEAD_BATCH_MAX);
		bool right;

		test_random_fill(&random, data, sizeof(data));
		memcpy(was, data, sizeof(was));
		for (uint32_t i = 0; i < AEAD_BATCH_MAX; i++) {
			ops[i] = (struct aead_op){
				.key = thread->run->keys[thread->engine][i % 4],
				.data = data[i],
				.tag = tags[i],
				.iv = test_random_next(&random),
				.len = (uint32_t)(test_random_next(&random) % THREAD_LEN),
				.aad_len = 8,
			};
		}
		right = aead_encrypt(engine, ops, AEAD_BATCH_MAX) == 0;
		tags[bad][batch % AEAD_TAG_LEN] ^= 1;
		right = right && aead_decrypt(engine, ops, AEAD_BATCH_MAX) == 1;
		for (uint32_t i = 0; i < AEAD_BATCH_MAX; i++) {
			if (i == bad)
				right = right && ops[i].status == AEAD_BAD_TAG;
			else
				right = right && ops[i].status == AEAD_OK &&
					memcmp(data[i], was[i], THREAD_LEN) == 0;
		}
		thread->wrong += !right;
	}
	return NULL;
}

static void threads_share_keys(void **state)
{
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++) {
		struct thread threads[THREADS];

		for (uint32_t t = 0; t < THREADS; t++) {
			threads[t] = (struct thread){ .run = run, .engine = e, .seed = t + 1 };
			assert_int_equal(
				pthread_create(&threads[t].id, NULL, thread_main, &threads[t]), 0);
		}
		for (uint32_t t = 0; t < THREADS; t++)
			pthread_join(threads[t].id, NULL);
		for (uint32_t t = 0; t < THREADS; t++)
			assert_int_equal(threads[t].wrong, 0);
	}
}

static void prefetch_touches_nothing(void **state)
{
	struct run *run = *state;

	for (size_t e = 0; e < run->n; e++)
		aead_key_prefetch(run->keys[e][KEYS - 1]);
}

static int run_open(void **state)
{
	struct run *run = calloc(1, sizeof(*run));
	struct test_random random = { 2 };

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

	for (size_t e = 0; e < run->n; e++) {
		for (uint32_t k = 0; k < KEYS; k++)
			aead_key_destroy(run->engines[e].engine, run->keys[e][k]);
	}
	test_engines_close(run->engines, run->n);
	free(run);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_openssl),
		cmocka_unit_test(an_empty_batch_does_nothing),
		cmocka_unit_test(an_empty_message_is_authenticated),
		cmocka_unit_test(neighbours_are_never_read),
		cmocka_unit_test(threads_share_keys),
		cmocka_unit_test(prefetch_touches_nothing),
	};

	return cmocka_run_group_tests_name("crypto batches", tests, run_open, run_close);
}
