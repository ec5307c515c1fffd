/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference that engines are measured against: IPsec-MB's one-shot call for a packet, called
 * straight from a loop. Nothing is prefetched and nothing wiped; the tag is compared.
 */
#ifndef KAIDO_CRYPTO_DIRECT_H
#define KAIDO_CRYPTO_DIRECT_H

#include "aead.h"

struct crypto_direct;

/* -ENOMEM; -EINVAL for a length of key that AES does not have. */
int crypto_direct_create(uint32_t key_len, uint32_t keys, struct crypto_direct **out);
void crypto_direct_destroy(struct crypto_direct *direct);
const char *crypto_direct_name(const struct crypto_direct *direct);

/* The key of that index, for aead_op's field. It is understood by the two calls below alone. */
struct aead_key *crypto_direct_key(struct crypto_direct *direct, uint32_t index, const uint8_t *key,
				   const uint8_t salt[AEAD_SALT_LEN]);

/* As aead_encrypt() and aead_decrypt(), for operations without a chain. */
uint32_t crypto_direct_encrypt(const struct crypto_direct *direct, struct aead_op *ops, uint32_t n);
uint32_t crypto_direct_decrypt(const struct crypto_direct *direct, struct aead_op *ops, uint32_t n);

#endif /* KAIDO_CRYPTO_DIRECT_H */
