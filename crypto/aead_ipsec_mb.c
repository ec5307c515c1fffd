/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead_ipsec_mb.h"

#define CACHE_LINE      64
/*
 * From one key to the next. An even number of cache lines would put the few hot lines of all keys
 * into the same sets of the caches; an odd number spreads them over all sets.
 */
#define IPSEC_MB_STRIDE (sizeof(struct ipsec_mb_key) | CACHE_LINE)
#define KEYS_AHEAD      4 /* operations from fetching a key to using it; hides L3 with many tunnels */

/* What one call leaves behind on the stack and must not stay there. */
struct gcm_scratch {
	_Alignas(16) uint8_t nonce[16];
	/* Of a forged packet it is what the forger wants to know. */
	_Alignas(16) uint8_t tag[AEAD_TAG_LEN];
	struct gcm_context_data context;
};

/*
 * nonce = salt || iv (RFC 4106 section 4), written with one store of 16 bytes: the kernels load it
 * as one, and a load that spans two earlier stores waits until both have left the store buffer.
 */
static inline void nonce_write(uint8_t nonce[16], uint32_t salt, uint64_t iv)
{
	__m128i high = _mm_slli_si128(_mm_cvtsi64_si128((long long)iv), AEAD_SALT_LEN);

	_mm_store_si128((__m128i *)(void *)nonce, _mm_or_si128(high, _mm_cvtsi32_si128((int)salt)));
}

/*
 * The powers of H that a short packet needs stand at the end of the schedule for the VAES kernels,
 * beside the salt; for the slower ones they follow the round keys and are fetched in part.
 */
static inline void key_fetch(const struct aead_key *key)
{
	const uint8_t *end = (const uint8_t *)key + sizeof(struct ipsec_mb_key);

	aead_key_prefetch(key);
	__builtin_prefetch(end - 2 * CACHE_LINE);
	__builtin_prefetch(end - CACHE_LINE);
}

/* AEAD_OK or AEAD_BAD_TAG, without a branch or an early end. */
static inline uint8_t tag_status(const uint8_t *computed, const uint8_t *received)
{
	uint64_t a[2], b[2];

	memcpy(a, computed, sizeof(a));
	memcpy(b, received, sizeof(b));
	return ((a[0] ^ b[0]) | (a[1] ^ b[1])) != 0;
}
static_assert(AEAD_OK == 0 && AEAD_BAD_TAG == 1, "a status is the truth value of a difference");

/* Transforms the data of a chain, piece by piece, and leaves the tag in scratch. */
static void chain_transform(const struct ipsec_mb_pieces *pieces, const struct aead_op *op,
			    struct gcm_scratch *scratch)
{
	const struct ipsec_mb_key *key = (const void *)op->key;
	uint32_t left = op->len;

	pieces->begin[key->variant](&key->schedule, &scratch->context, scratch->nonce, op->aad,
				    op->aad_len);
	for (const struct aead_segment *s = op->chain; s != NULL && left != 0; s = s->next) {
		uint32_t n = s->len < left ? s->len : left;

		if (n != 0)
			pieces->update[key->variant](&key->schedule, &scratch->context, s->data,
						     s->data, n);
		left -= n;
	}
	pieces->end[key->variant](&key->schedule, &scratch->context, scratch->tag, AEAD_TAG_LEN);
}

static __attribute__((noinline)) void chain_encrypt(const struct ipsec_mb_kernels *kernels,
						    const struct aead_op *op,
						    struct gcm_scratch *scratch)
{
	chain_transform(&kernels->encrypt_pieces, op, scratch);
	aead_segments_copy(op->chain, op->len, scratch->tag, AEAD_TAG_LEN, true);
}

static __attribute__((noinline)) uint8_t chain_decrypt(const struct ipsec_mb_kernels *kernels,
						       const struct aead_op *op,
						       struct gcm_scratch *scratch)
{
	uint8_t received[AEAD_TAG_LEN];

	aead_segments_copy(op->chain, op->len, received, AEAD_TAG_LEN, false);
	chain_transform(&kernels->decrypt_pieces, op, scratch);
	return tag_status(scratch->tag, received);
}

static uint32_t ipsec_mb_encrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	const struct ipsec_mb_kernels *kernels = state;
	struct gcm_scratch scratch;

	for (uint32_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		const struct ipsec_mb_key *key = (const void *)op->key;

		if (i + KEYS_AHEAD < n)
			key_fetch(ops[i + KEYS_AHEAD].key);
		nonce_write(scratch.nonce, key->salt, op->iv);
		op->status = AEAD_OK;
		if (__builtin_expect(op->chain != NULL, 0)) {
			chain_encrypt(kernels, op, &scratch);
			continue;
		}
		kernels->encrypt[key->variant](&key->schedule, &scratch.context, op->data, op->data,
					       op->len, scratch.nonce, op->aad, op->aad_len,
					       op->tag, AEAD_TAG_LEN);
	}
	secret_wipe(&scratch, sizeof(scratch));
	return 0;
}

static uint32_t ipsec_mb_decrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	const struct ipsec_mb_kernels *kernels = state;
	struct gcm_scratch scratch;
	uint32_t failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		const struct ipsec_mb_key *key = (const void *)op->key;

		if (i + KEYS_AHEAD < n)
			key_fetch(ops[i + KEYS_AHEAD].key);
		nonce_write(scratch.nonce, key->salt, op->iv);
		if (__builtin_expect(op->chain != NULL, 0)) {
			op->status = chain_decrypt(kernels, op, &scratch);
			failed += op->status;
			continue;
		}
		kernels->decrypt[key->variant](&key->schedule, &scratch.context, op->data, op->data,
					       op->len, scratch.nonce, op->aad, op->aad_len,
					       scratch.tag, AEAD_TAG_LEN);
		op->status = tag_status(scratch.tag, op->tag);
		failed += op->status;
	}
	secret_wipe(&scratch, sizeof(scratch));
	return failed;
}

static void ipsec_mb_key_expand(const void *state, enum aead_variant variant, const uint8_t *bytes,
				const uint8_t *salt, struct aead_key *out)
{
	const struct ipsec_mb_kernels *kernels = state;
	struct ipsec_mb_key *key = (void *)out;

	kernels->key_expand[variant](bytes, &key->schedule);
	memcpy(&key->salt, salt, sizeof(key->salt));
	key->variant = variant;
}

static const struct isa_path {
	enum aead_isa isa;
	uint64_t features;
	void (*init)(IMB_MGR *mgr);
	const char *name;
} isa_paths[] = {
	/* Best first; a row with VAES names what init() then chooses by itself. */
	{ AEAD_ISA_AVX512, IMB_CPUFLAGS_AVX512_T2, init_mb_mgr_avx512, "avx512+vaes" },
	{ AEAD_ISA_AVX512, IMB_CPUFLAGS_AVX512, init_mb_mgr_avx512, "avx512" },
	{ AEAD_ISA_AVX2, IMB_CPUFLAGS_AVX2, init_mb_mgr_avx2, "avx2" },
#if IMB_VERSION_NUM < IMB_VERSION(2, 0, 0)
	{ AEAD_ISA_AVX, IMB_CPUFLAGS_AVX, init_mb_mgr_avx, "avx" },
#endif
	{ AEAD_ISA_SSE, IMB_CPUFLAGS_SSE, init_mb_mgr_sse, "sse" },
};

static const struct isa_path *isa_path_find(const IMB_MGR *mgr, enum aead_isa isa)
{
	for (size_t i = 0; i < sizeof(isa_paths) / sizeof(isa_paths[0]); i++) {
		const struct isa_path *path = &isa_paths[i];

		if ((isa == AEAD_ISA_AUTO || isa == path->isa) &&
		    (mgr->features & path->features) == path->features)
			return path;
	}
	return NULL;
}

int ipsec_mb_manager_create(enum aead_isa isa, uint64_t flags, IMB_MGR **out, const char **name)
{
	const struct isa_path *path;
	IMB_MGR *mgr;
	int ret;

	mgr = alloc_mb_mgr(flags);
	if (mgr == NULL)
		return -ENOMEM;
	ret = -ENOTSUP;
	path = isa_path_find(mgr, isa);
	if (path == NULL)
		goto free_manager;
	path->init(mgr);
	if (imb_get_errno(mgr) != 0)
		goto free_manager;

	ret = -EBADMSG;
	if ((mgr->features & IMB_FEATURE_SELF_TEST) &&
	    !(mgr->features & IMB_FEATURE_SELF_TEST_PASS))
		goto free_manager;
	*out = mgr;
	*name = path->name;
	return 0;

free_manager:
	free_mb_mgr(mgr);
	return ret;
}

int ipsec_mb_open_flags(struct aead_engine *engine, enum aead_isa isa, uint64_t flags)
{
	struct ipsec_mb_kernels *kernels;
	const char *name;
	IMB_MGR *mgr;
	int ret;

	ret = ipsec_mb_manager_create(isa, flags, &mgr, &name);
	if (ret < 0)
		return ret;
	kernels = malloc(sizeof(*kernels));
	if (kernels == NULL) {
		ret = -ENOMEM;
		goto free_manager;
	}
	/* The kernels keep no state in the manager, whose 200 kB of job queues are not needed. */
	*kernels = (struct ipsec_mb_kernels){
		.encrypt = { mgr->gcm128_enc, mgr->gcm192_enc, mgr->gcm256_enc },
		.decrypt = { mgr->gcm128_dec, mgr->gcm192_dec, mgr->gcm256_dec },
		.key_expand = { mgr->gcm128_pre, mgr->gcm192_pre, mgr->gcm256_pre },
		.encrypt_pieces = {
			.begin = { mgr->gcm128_init, mgr->gcm192_init, mgr->gcm256_init },
			.update = { mgr->gcm128_enc_update, mgr->gcm192_enc_update,
				    mgr->gcm256_enc_update },
			.end = { mgr->gcm128_enc_finalize, mgr->gcm192_enc_finalize,
				 mgr->gcm256_enc_finalize },
		},
		.decrypt_pieces = {
			.begin = { mgr->gcm128_init, mgr->gcm192_init, mgr->gcm256_init },
			.update = { mgr->gcm128_dec_update, mgr->gcm192_dec_update,
				    mgr->gcm256_dec_update },
			.end = { mgr->gcm128_dec_finalize, mgr->gcm192_dec_finalize,
				 mgr->gcm256_dec_finalize },
		},
	};
	engine->impl = (struct aead_implementation){
		.key_size = { IPSEC_MB_STRIDE, IPSEC_MB_STRIDE, IPSEC_MB_STRIDE },
		.key_expand = ipsec_mb_key_expand,
		.encrypt = ipsec_mb_encrypt,
		.decrypt = ipsec_mb_decrypt,
		.close = free,
	};
	engine->state = kernels;
	snprintf(engine->name, sizeof(engine->name), "ipsec-mb %s %s", imb_get_version_str(), name);

free_manager:
	free_mb_mgr(mgr);
	return ret;
}

int aead_ipsec_mb_open(struct aead_engine *engine, enum aead_isa isa)
{
	return ipsec_mb_open_flags(engine, isa, 0);
}
