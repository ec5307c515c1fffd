/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto_direct.h"

#include <emmintrin.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include "huge_alloc.h"

struct direct_key {
	_Alignas(64) struct gcm_key_data schedule;
	uint32_t salt;
};

struct crypto_direct {
	IMB_MGR *manager;
	aes_gcm_enc_dec_t encrypt, decrypt;
	aes_gcm_pre_t expand;
	struct direct_key *keys;
	char name[64];
};

static int calls_choose(struct crypto_direct *d, uint32_t key_len)
{
	switch (key_len) {
	case 16:
		d->encrypt = d->manager->gcm128_enc;
		d->decrypt = d->manager->gcm128_dec;
		d->expand = d->manager->gcm128_pre;
		return 0;
	case 24:
		d->encrypt = d->manager->gcm192_enc;
		d->decrypt = d->manager->gcm192_dec;
		d->expand = d->manager->gcm192_pre;
		return 0;
	case 32:
		d->encrypt = d->manager->gcm256_enc;
		d->decrypt = d->manager->gcm256_dec;
		d->expand = d->manager->gcm256_pre;
		return 0;
	default:
		return -EINVAL;
	}
}

int crypto_direct_create(uint32_t key_len, uint32_t keys, struct crypto_direct **out)
{
	struct crypto_direct *d = calloc(1, sizeof(*d));
	int ret = -ENOMEM;

	if (d == NULL)
		return -ENOMEM;
	d->manager = alloc_mb_mgr(0);
	d->keys = huge_alloc(keys * sizeof(*d->keys));
	if (d->manager == NULL || d->keys == NULL)
		goto destroy;
	init_mb_mgr_auto(d->manager, NULL);
	ret = calls_choose(d, key_len);
	if (ret < 0)
		goto destroy;
	snprintf(d->name, sizeof(d->name), "ipsec-mb %s, called directly", imb_get_version_str());
	*out = d;
	return 0;

destroy:
	crypto_direct_destroy(d);
	return ret;
}

void crypto_direct_destroy(struct crypto_direct *d)
{
	if (d == NULL)
		return;
	if (d->manager != NULL)
		free_mb_mgr(d->manager);
	free(d->keys);
	free(d);
}

const char *crypto_direct_name(const struct crypto_direct *d)
{
	return d->name;
}

struct aead_key *crypto_direct_key(struct crypto_direct *d, uint32_t index, const uint8_t *key,
				   const uint8_t salt[AEAD_SALT_LEN])
{
	d->expand(key, &d->keys[index].schedule);
	memcpy(&d->keys[index].salt, salt, AEAD_SALT_LEN);
	return (struct aead_key *)&d->keys[index];
}

/* One store: the kernels load it as one, and would wait for two smaller ones to leave. */
static inline void nonce_write(uint8_t nonce[16], uint32_t salt, uint64_t iv)
{
	__m128i high = _mm_slli_si128(_mm_cvtsi64_si128((long long)iv), AEAD_SALT_LEN);

	_mm_store_si128((__m128i *)(void *)nonce, _mm_or_si128(high, _mm_cvtsi32_si128((int)salt)));
}

uint32_t crypto_direct_encrypt(const struct crypto_direct *d, struct aead_op *ops, uint32_t n)
{
	_Alignas(16) uint8_t nonce[16];
	struct gcm_context_data context;

	for (uint32_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		const struct direct_key *key = (const void *)op->key;

		nonce_write(nonce, key->salt, op->iv);
		d->encrypt(&key->schedule, &context, op->data, op->data, op->len, nonce, op->aad,
			   op->aad_len, op->tag, AEAD_TAG_LEN);
		op->status = AEAD_OK;
	}
	return 0;
}

uint32_t crypto_direct_decrypt(const struct crypto_direct *d, struct aead_op *ops, uint32_t n)
{
	_Alignas(16) uint8_t nonce[16], tag[AEAD_TAG_LEN];
	struct gcm_context_data context;
	uint32_t failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		const struct direct_key *key = (const void *)op->key;

		nonce_write(nonce, key->salt, op->iv);
		d->decrypt(&key->schedule, &context, op->data, op->data, op->len, nonce, op->aad,
			   op->aad_len, tag, AEAD_TAG_LEN);
		op->status = memcmp(tag, op->tag, AEAD_TAG_LEN) != 0 ? AEAD_BAD_TAG : AEAD_OK;
		failed += op->status;
	}
	return failed;
}
