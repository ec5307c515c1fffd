/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-GCM over many buffers, by an engine of aead.h or by IPsec-MB's own one-shot call (the
 * reference: nothing of ours around it). One pass goes once over all buffers, in batches of
 * AEAD_BATCH_MAX, each packet with a key drawn at random (the same draw in every pass).
 */
#ifndef KAIDO_CRYPTO_HARNESS_H
#define KAIDO_CRYPTO_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "aead.h"

#define CRYPTO_HARNESS_BUFFERS 4096
#define CRYPTO_HARNESS_IMIX    0 /* for a length: the ESP payloads of inner 28x64 : 16x570 : 4x1518 */

struct crypto_shape {
	enum aead_kind kind; /* AUTO: what the gateway would take */
	enum aead_isa isa;
	bool direct;      /* IPsec-MB's one-shot call instead of an engine */
	uint32_t key_len; /* bytes */
	uint32_t keys;
	uint32_t len; /* bytes of data in a packet, or CRYPTO_HARNESS_IMIX */
};

struct crypto_harness;

struct crypto_pass {
	uint64_t cycles; /* of the TSC */
	double seconds;
	uint32_t failed; /* operations whose status is not AEAD_OK: none, if all is well */
};

/*
 * Also encrypts a sample of packets and has OpenSSL decrypt them.
 * Errors: those of aead.h; -EBADMSG when the sample does not come back.
 */
int crypto_harness_create(const struct crypto_shape *shape, struct crypto_harness **out);
void crypto_harness_destroy(struct crypto_harness *harness);
const char *crypto_harness_engine(const struct crypto_harness *harness);

/* Encrypt, or decrypt what the last pass encrypted. */
struct crypto_pass crypto_harness_encrypt(struct crypto_harness *harness);
struct crypto_pass crypto_harness_decrypt(struct crypto_harness *harness);

/*
 * The same as a walk does it: each batch is copied from where it was kept into buffers that are used
 * again and again, and only then transformed; the copies are not in the cycles. What was encrypted by
 * the last pass is decrypted, or encrypted once more.
 */
struct crypto_pass crypto_harness_received(struct crypto_harness *harness, bool decrypt_it);

/* Destroys all keys and creates them again; the pass counts keys, not packets. Not direct. */
struct crypto_pass crypto_harness_rekey(struct crypto_harness *harness);

#endif /* KAIDO_CRYPTO_HARNESS_H */
