/* SPDX-License-Identifier: BSD-3-Clause */
/* AES-GCM by OpenSSL with any IV, AAD and tag length, for aead_openssl.c and the vector tests. */
#ifndef KAIDO_AEAD_OPENSSL_H
#define KAIDO_AEAD_OPENSSL_H

#include <openssl/evp.h>

#include "aead_internal.h"

struct openssl_key {
	uint8_t bytes[AEAD_KEY_MAX]; /* expanded anew for each message */
	uint8_t salt[AEAD_SALT_LEN];
	uint8_t variant; /* enum aead_variant */
};

struct openssl_state {
	EVP_CIPHER *ciphers[AEAD_VARIANTS];
};

struct openssl_message {
	const EVP_CIPHER *cipher;
	const uint8_t *key;
	const uint8_t *iv;
	const uint8_t *aad;
	uint8_t *data;                    /* in place */
	const struct aead_segment *chain; /* the data, instead, if not NULL */
	uint8_t *tag;
	int iv_len;
	int aad_len;
	int len;
	int tag_len;
};

enum aead_status openssl_encrypt(EVP_CIPHER_CTX *ctx, const struct openssl_message *message);
enum aead_status openssl_decrypt(EVP_CIPHER_CTX *ctx, const struct openssl_message *message);

#endif /* KAIDO_AEAD_OPENSSL_H */
