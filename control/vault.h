/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The master key and all that is done with it. It never leaves this module: SA keys are sealed by it
 * (XChaCha20-Poly1305) as soon as they arrive, and opened again only while they are written into the
 * dataplane's socket. Keys derived from it also make digests, so that two keys can be compared and
 * named without being known.
 */
#ifndef KAIDO_CONTROL_VAULT_H
#define KAIDO_CONTROL_VAULT_H

#include <stddef.h>
#include <stdint.h>

#define VAULT_DIGEST_LEN 32
#define VAULT_OVERHEAD   40 /* bytes that sealing adds: nonce (24) and tag (16) */

struct vault;

enum vault_purpose {
	VAULT_KEY_DIGEST, /* names an SA's key and salt */
	VAULT_COOKIE,     /* of an object in the dataplane */
	VAULT_AUDIT,      /* the chain of the audit log */
	VAULT_CHECK,      /* tells whether a state was written under this master key */
	VAULT_PURPOSES,
};

/*
 * Reads the master key of 32 bytes, or makes one (0600) where there is no file. Says what is wrong
 * on standard error: -EPERM for a file that others may read or own, -EINVAL for a wrong length.
 */
int vault_open(const char *path, struct vault **vault);
void vault_close(struct vault *vault); /* wipes; NULL is allowed */

/* A keyed BLAKE2b digest of `size` bytes, with another key for each purpose. */
void vault_digest(const struct vault *vault, enum vault_purpose purpose, const void *data,
		  size_t size, uint8_t digest[VAULT_DIGEST_LEN]);

/* `sealed` takes size + VAULT_OVERHEAD bytes; it opens only with the same `identity`. */
void vault_seal(const struct vault *vault, const void *identity, size_t identity_size,
		const void *plain, size_t size, uint8_t *sealed);
/* `plain` takes size - VAULT_OVERHEAD bytes. -EBADMSG: another key, or not what was sealed. */
int vault_unseal(const struct vault *vault, const void *identity, size_t identity_size,
		 const uint8_t *sealed, size_t size, void *plain);

#endif /* KAIDO_CONTROL_VAULT_H */
