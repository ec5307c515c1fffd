/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference: plain EVP calls, each message on its own. While a batch runs OpenSSL holds one
 * expanded key in its own heap, and cleanses it when the context is freed.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#include "aead_openssl.h"

static bool data_update(EVP_CIPHER_CTX *ctx, uint8_t *data, int len)
{
	int done;

	return len == 0 || EVP_CipherUpdate(ctx, data, &done, data, len) == 1;
}

static bool message_update(EVP_CIPHER_CTX *ctx, const struct openssl_message *message)
{
	uint32_t left = (uint32_t)message->len;

	if (message->chain == NULL)
		return data_update(ctx, message->data, message->len);
	for (const struct aead_segment *s = message->chain; s != NULL && left != 0; s = s->next) {
		uint32_t n = s->len < left ? s->len : left;

		if (!data_update(ctx, s->data, (int)n))
			return false;
		left -= n;
	}
	return true;
}

static bool message_begin(EVP_CIPHER_CTX *ctx, const struct openssl_message *message, int encrypt)
{
	int done;

	return EVP_CipherInit_ex2(ctx, message->cipher, NULL, NULL, encrypt, NULL) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, message->iv_len, NULL) == 1 &&
	       EVP_CipherInit_ex2(ctx, NULL, message->key, message->iv, encrypt, NULL) == 1 &&
	       (message->aad_len == 0 ||
		EVP_CipherUpdate(ctx, NULL, &done, message->aad, message->aad_len) == 1) &&
	       message_update(ctx, message);
}

enum aead_status openssl_encrypt(EVP_CIPHER_CTX *ctx, const struct openssl_message *message)
{
	uint8_t none[16];
	int done;

	if (!message_begin(ctx, message, 1) || EVP_CipherFinal_ex(ctx, none, &done) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, message->tag_len, message->tag) != 1)
		return AEAD_FAILED;
	return AEAD_OK;
}

enum aead_status openssl_decrypt(EVP_CIPHER_CTX *ctx, const struct openssl_message *message)
{
	uint8_t none[16];
	int done;

	if (!message_begin(ctx, message, 0) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, message->tag_len, message->tag) != 1)
		return AEAD_FAILED;
	return EVP_CipherFinal_ex(ctx, none, &done) == 1 ? AEAD_OK : AEAD_BAD_TAG;
}

static uint32_t openssl_batch(const struct openssl_state *state, struct aead_op *ops, uint32_t n,
			      enum aead_status (*transform)(EVP_CIPHER_CTX *,
							    const struct openssl_message *),
			      bool encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint32_t failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		const struct openssl_key *key = (const void *)op->key;
		uint8_t nonce[AEAD_SALT_LEN + AEAD_IV_LEN], tag[AEAD_TAG_LEN];
		struct openssl_message message = {
			.cipher = state->ciphers[key->variant],
			.key = key->bytes,
			.iv = nonce,
			.iv_len = sizeof(nonce),
			.aad = op->aad,
			.aad_len = op->aad_len,
			.data = op->data,
			.chain = op->chain,
			.len = (int)op->len,
			.tag = op->chain != NULL ? tag : op->tag,
			.tag_len = AEAD_TAG_LEN,
		};

		memcpy(nonce, key->salt, AEAD_SALT_LEN);
		memcpy(nonce + AEAD_SALT_LEN, &op->iv, AEAD_IV_LEN);
		if (op->chain != NULL && !encrypt)
			aead_segments_copy(op->chain, op->len, tag, AEAD_TAG_LEN, false);
		op->status = ctx != NULL ? transform(ctx, &message) : AEAD_FAILED;
		if (op->chain != NULL && encrypt && op->status == AEAD_OK)
			aead_segments_copy(op->chain, op->len, tag, AEAD_TAG_LEN, true);
		failed += op->status != AEAD_OK;
	}
	EVP_CIPHER_CTX_free(ctx);
	return failed;
}

static uint32_t openssl_batch_encrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	return openssl_batch(state, ops, n, openssl_encrypt, true);
}

static uint32_t openssl_batch_decrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	return openssl_batch(state, ops, n, openssl_decrypt, false);
}

static void openssl_key_expand(const void *state, enum aead_variant variant, const uint8_t *bytes,
			       const uint8_t *salt, struct aead_key *out)
{
	static const uint8_t key_len[AEAD_VARIANTS] = { 16, 24, 32 };
	struct openssl_key *key = (void *)out;

	memcpy(key->bytes, bytes, key_len[variant]);
	memcpy(key->salt, salt, AEAD_SALT_LEN);
	key->variant = variant;
}

static void openssl_close(void *p)
{
	struct openssl_state *state = p;

	for (int i = 0; i < AEAD_VARIANTS; i++)
		EVP_CIPHER_free(state->ciphers[i]);
	free(state);
}

int aead_openssl_open(struct aead_engine *engine)
{
	static const char *const names[AEAD_VARIANTS] = { "AES-128-GCM", "AES-192-GCM",
							  "AES-256-GCM" };
	struct openssl_state *state;

	state = calloc(1, sizeof(*state));
	if (state == NULL)
		return -ENOMEM;
	for (int i = 0; i < AEAD_VARIANTS; i++) {
		state->ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
		if (state->ciphers[i] == NULL) {
			openssl_close(state);
			return -ENOTSUP;
		}
	}
	engine->impl = (struct aead_implementation){
		.key_size = { sizeof(struct openssl_key), sizeof(struct openssl_key),
			      sizeof(struct openssl_key) },
		.key_expand = openssl_key_expand,
		.encrypt = openssl_batch_encrypt,
		.decrypt = openssl_batch_decrypt,
		.close = openssl_close,
	};
	engine->state = state;
	snprintf(engine->name, sizeof(engine->name), "openssl %s",
		 OpenSSL_version(OPENSSL_VERSION_STRING));
	return 0;
}
