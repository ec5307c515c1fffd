/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files behind aead.h share. Nobody outside crypto/ and its tests includes this. */
#ifndef KAIDO_AEAD_INTERNAL_H
#define KAIDO_AEAD_INTERNAL_H

#include <stdbool.h>

#include "aead.h"
#include "key_arena.h"

enum aead_variant { AEAD_AES_128, AEAD_AES_192, AEAD_AES_256, AEAD_VARIANTS };

/* One way to do AES-GCM. */
struct aead_implementation {
	size_t key_size[AEAD_VARIANTS]; /* bytes from one key of an arena to the next */
	/* Expands into a zeroed slot. Cannot fail: the length has been checked. */
	void (*key_expand)(const void *state, enum aead_variant variant, const uint8_t *key,
			   const uint8_t *salt, struct aead_key *out);
	/* Set each status and return the number that is not AEAD_OK. */
	uint32_t (*encrypt)(const void *state, struct aead_op *ops, uint32_t n);
	uint32_t (*decrypt)(const void *state, struct aead_op *ops, uint32_t n);
	void (*close)(void *state);
	bool verify; /* aead_verify() at start: nobody else vouches for it */
};

struct aead_engine {
	struct aead_implementation impl;
	void *state;                            /* the implementation's, read-only once open */
	struct key_arena arenas[AEAD_VARIANTS]; /* address space for max_keys each */
	uint32_t max_keys;
	uint32_t keys;
	char name[128];
};

/* Fill impl, state and name. Errors: those of aead_engine_create(). */
int aead_ipsec_mb_open(struct aead_engine *engine, enum aead_isa isa);
int aead_openssl_open(struct aead_engine *engine);
int aead_vaes_open(struct aead_engine *engine, enum aead_isa isa);

/*
 * Gives an opened engine its arenas and runs its checks.
 * Errors: those of key_arena_init(), aead_known_answer_test() and aead_verify(); the caller closes
 * the engine.
 */
int aead_engine_start(struct aead_engine *engine, uint32_t max_keys);

/* The variant for a key of `key_len` bytes, or -EINVAL. */
int aead_variant_of(size_t key_len);

/*
 * Copies n bytes that begin `from` bytes into a chain out of it, or into it. Returns how many: fewer
 * where the chain is shorter.
 */
uint32_t aead_segments_copy(const struct aead_segment *segment, uint32_t from, uint8_t *bytes,
			    uint32_t n, bool write);

/*
 * Runs the known-answer test through the door, with a key of its own at a time.
 * Errors: -EBADMSG, or what aead_key_create() returns.
 */
int aead_known_answer_test(struct aead_engine *engine);

/*
 * Compares an engine with IPsec-MB, or OpenSSL where that is not to be had, on random batches.
 * Errors: -EBADMSG (they differ), or what making the other engine or keys returns.
 */
int aead_verify(struct aead_engine *engine);

#endif /* KAIDO_AEAD_INTERNAL_H */
