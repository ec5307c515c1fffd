/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-GCM for ESP (RFC 4106): the only door into crypto/.
 *
 * A caller makes an engine once, a key per SA, and then hands over batches of operations, each with
 * a key of its own. Data are transformed in place, wherever they lie: in one piece or in several.
 *
 * Threads: engine and keys are made and destroyed by one thread (the owner of the tables).
 * aead_encrypt() and aead_decrypt() may run on any number of threads at once, over the same keys:
 * they only read the engine and the keys. Before a key is destroyed the caller has made sure (by
 * RCU) that no thread can still hold it.
 *
 * Keys and key schedules live in arenas of memory that is locked, left out of core dumps and of
 * fork(), and wiped. There is no call that reads a key back.
 */
#ifndef KAIDO_AEAD_H
#define KAIDO_AEAD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_BATCH_MAX 64 /* operations in one batch */
#define AEAD_TAG_LEN   16 /* bytes of ICV, RFC 4106 section 6 */
#define AEAD_SALT_LEN  4
#define AEAD_IV_LEN    8
#define AEAD_KEY_MAX   32

struct aead_engine; /* a chosen implementation and its arena of keys */
struct aead_key;    /* an expanded key and its salt, inside the arena */

enum aead_status {
	AEAD_OK = 0,
	AEAD_BAD_TAG = 1, /* decrypt only: drop; no plaintext is left, the data are zeros */
	AEAD_FAILED = 2,  /* OpenSSL only, out of memory: drop; the data are zeros */
};

/* A piece of a message that lies in several; any length, 0 too. The caller's, and only read. */
struct aead_segment {
	uint8_t *data;
	uint32_t len;
	const struct aead_segment *next; /* NULL: the last */
};

/*
 * One operation. The nonce is salt (of the key) || iv. `iv` holds the 8 bytes as they stand on the
 * wire. `tag` is written by encrypt and compared (in constant time) by decrypt; it may directly
 * follow the data. A length of 0 is allowed. Buffers need no alignment and no slack behind them.
 *
 * With a `chain`, `data` and `tag` are not used: the data are the first `len` bytes of the chain and
 * the tag the AEAD_TAG_LEN bytes behind them, whatever pieces they fall into.
 *
 * The caller sees to it that no (key, iv) encrypts twice, that tag, and data unless len is 0, are
 * not NULL, that a chain is long enough, and that aad_len is 8 or 12: none of this is checked here.
 */
struct aead_op {
	const struct aead_key *key;
	uint8_t *data;
	uint8_t *tag;
	uint64_t iv;     /* big-endian on the wire; stored here as those bytes */
	uint32_t len;    /* bytes of data */
	uint8_t aad_len; /* 8: SPI, sequence; 12 with ESN: SPI, high half, low half (RFC 4106 s. 5) */
	uint8_t status; /* out: enum aead_status */
	uint8_t reserved[2];
	uint8_t aad[12];
	uint8_t pad[4];
	const struct aead_segment *chain; /* NULL: in one piece */
};
static_assert(sizeof(struct aead_op) == 64, "one operation is one cache line");

/* What stands behind the door. AUTO: the fastest one that this machine and build offer. */
enum aead_kind {
	AEAD_KIND_AUTO,
	AEAD_KIND_VAES, /* our own kernels, for CPUs with VAES and VPCLMULQDQ */
	AEAD_KIND_IPSEC_MB,
	AEAD_KIND_OPENSSL, /* the reference; slow */
};

/* Instruction set of the kernels; one that the CPU or the kind lacks is refused with -ENOTSUP. */
enum aead_isa {
	AEAD_ISA_AUTO,
	AEAD_ISA_SSE,
	AEAD_ISA_AVX,
	AEAD_ISA_AVX2,
	AEAD_ISA_AVX512, /* IPsec-MB's with VAES where the CPU has it */
};

/*
 * Makes an engine with room for `max_keys` keys (virtual memory; pages are locked as they are first
 * used). Runs the known-answer test for 128, 192 and 256 bits first, encrypt and decrypt.
 * AUTO takes the next best kind where a check finds our own kernels faulty, and says so in the name.
 * Errors: -ENOTSUP (kind not built in or instruction set missing), -EBADMSG (known-answer test
 * failed: do not run), -EINVAL (no keys), -ENOMEM (none, or none may be locked).
 */
int aead_engine_create(enum aead_kind kind, enum aead_isa isa, uint32_t max_keys,
		       struct aead_engine **engine);
/* Wipes and frees every key. NULL is allowed. */
void aead_engine_destroy(struct aead_engine *engine);
/* For the start-up report, for example "ipsec-mb 1.3.0 avx512". Valid as long as the engine. */
const char *aead_engine_name(const struct aead_engine *engine);
/* Bytes of memory that one key of `key_len` bytes takes, for capacity reports. */
size_t aead_engine_key_size(const struct aead_engine *engine, size_t key_len);

/*
 * Expands a key. `key_len` is 16, 24 or 32; the caller wipes its own copy. The key is ready for
 * both directions.
 * Errors: -EINVAL (length), -ENOSPC (the arena is full), -ENOMEM (cannot lock; see RLIMIT_MEMLOCK).
 */
int aead_key_create(struct aead_engine *engine, const uint8_t *key, size_t key_len,
		    const uint8_t salt[AEAD_SALT_LEN], struct aead_key **out);
/* Wipes the key and returns its slot. NULL is allowed. */
void aead_key_destroy(struct aead_engine *engine, struct aead_key *key);

/* Bring the parts of a key that the first block needs towards the cache: the first in all kinds. */
static inline void aead_key_prefetch(const struct aead_key *key)
{
	const uint8_t *line = (const uint8_t *)key;

	__builtin_prefetch(line);
	__builtin_prefetch(line + 64);
	__builtin_prefetch(line + 128);
	__builtin_prefetch(line + 192);
}

/*
 * Transform ops[0..n), n <= AEAD_BATCH_MAX. Return the number whose status is not AEAD_OK; the
 * others are good whatever that number is.
 */
uint32_t aead_encrypt(const struct aead_engine *engine, struct aead_op *ops, uint32_t n);
uint32_t aead_decrypt(const struct aead_engine *engine, struct aead_op *ops, uint32_t n);

/*
 * Memory for other secrets (staged keys, for one): zeroed, locked, left out of dumps and forks.
 * Returns NULL with errno set. secret_free() wipes; `size` is what was asked for.
 */
void *secret_alloc(size_t size);
void secret_free(void *p, size_t size);
/* Wipes memory in a way that the compiler cannot leave out. */
void secret_wipe(void *p, size_t size);

#endif /* KAIDO_AEAD_H */
