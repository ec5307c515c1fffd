/* SPDX-License-Identifier: BSD-3-Clause */
/* All the ways to do AES-GCM that this machine has, for tests that go through every one. */
#ifndef KAIDO_TEST_ENGINES_H
#define KAIDO_TEST_ENGINES_H

#include "aead_ipsec_mb.h"
#include "aead_openssl.h"

#define TEST_ENGINES_MAX 8
#define TEST_ENGINE_KEYS 64

struct test_engine {
	struct aead_engine *engine;
	enum aead_kind kind;
	IMB_MGR *mgr; /* IPsec-MB's, for calls that the door does not make */
};

/*
 * Opens every engine that the CPU can run and returns how many; prints which, and which it lacks.
 * The last one is OpenSSL. Fails the test if not even that can be had.
 */
size_t test_engines_open(struct test_engine engines[TEST_ENGINES_MAX]);
/* How many keys an engine holds, in all of its arenas. */
uint32_t test_engine_keys_in_use(const struct aead_engine *engine);
void test_engines_close(struct test_engine *engines, size_t n);

/* One page of memory between two that may not be touched. */
struct test_fence {
	uint8_t *map;
	size_t page;
};
struct test_fence test_fence_open(void);
void test_fence_close(const struct test_fence *fence);
/* `size` bytes that end, or start, at memory that may not be touched. */
uint8_t *test_fence_place(const struct test_fence *fence, size_t size, bool at_end);

/* A small seeded generator (splitmix64), so that a failure can be repeated. */
struct test_random {
	uint64_t state;
};
uint64_t test_random_next(struct test_random *random);
void test_random_fill(struct test_random *random, void *data, size_t len);
/* From KAIDO_TEST_SEED, else from the clock; prints it. */
struct test_random test_random_start(const char *name);

#endif /* KAIDO_TEST_ENGINES_H */
