/* SPDX-License-Identifier: BSD-3-Clause */
#include "claims.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Keys are kept as digests of 15 bytes behind their kind: one shape for all, no collisions. */
#define KEY_LEN 16

struct entry {
	uint8_t key[KEY_LEN]; /* kind 0: free */
	struct claim_holder holder;
};

struct claims {
	struct entry *entries;
	size_t size; /* a power of two */
	size_t used;
	bool failed;
};

struct claims *claims_create(void)
{
	struct claims *claims = calloc(1, sizeof(*claims));

	if (claims == NULL)
		return NULL;
	claims->size = 64;
	claims->entries = calloc(claims->size, sizeof(struct entry));
	if (claims->entries == NULL) {
		free(claims);
		return NULL;
	}
	return claims;
}

void claims_destroy(struct claims *claims)
{
	if (claims == NULL)
		return;
	free(claims->entries);
	free(claims);
}

static void key_make(enum claim_kind kind, const void *key, size_t size, uint8_t out[KEY_LEN])
{
	memset(out, 0, KEY_LEN);
	out[0] = (uint8_t)kind;
	if (kind == CLAIM_KEY) { /* a digest already */
		memcpy(out + 1, key, KEY_LEN - 1);
	} else if (size < KEY_LEN - 1) {
		out[1] = (uint8_t)size; /* short keys as they are */
		memcpy(out + 2, key, size);
	} else {
		uint8_t digest[KEY_LEN];

		crypto_generichash(digest, sizeof(digest), key, size, NULL, 0);
		out[0] |= 0x80;
		memcpy(out + 1, digest, KEY_LEN - 1);
	}
}

static struct entry *entry_find(const struct claims *claims, const uint8_t key[KEY_LEN])
{
	uint64_t words[2];
	size_t i;

	memcpy(words, key, sizeof(words));
	words[0] = (words[0] ^ (words[1] * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull;
	for (i = (size_t)(words[0] >> 20) & (claims->size - 1); claims->entries[i].key[0] != 0;
	     i = (i + 1) & (claims->size - 1)) {
		if (memcmp(claims->entries[i].key, key, KEY_LEN) == 0)
			break;
	}
	return &claims->entries[i];
}

static bool claims_grow(struct claims *claims)
{
	struct claims bigger = { .size = claims->size * 2 };

	bigger.entries = calloc(bigger.size, sizeof(struct entry));
	if (bigger.entries == NULL)
		return false;
	for (size_t i = 0; i < claims->size; i++) {
		if (claims->entries[i].key[0] != 0)
			*entry_find(&bigger, claims->entries[i].key) = claims->entries[i];
	}
	free(claims->entries);
	claims->entries = bigger.entries;
	claims->size = bigger.size;
	return true;
}

const struct claim_holder *claims_take(struct claims *claims, enum claim_kind kind, const void *key,
				       size_t size, const struct claim_holder *holder)
{
	struct entry *entry;
	uint8_t made[KEY_LEN];

	if (claims->used * 2 >= claims->size && !claims_grow(claims)) {
		claims->failed = true;
		return NULL;
	}
	key_make(kind, key, size, made);
	entry = entry_find(claims, made);
	if (entry->key[0] != 0)
		return &entry->holder;
	memcpy(entry->key, made, KEY_LEN);
	entry->holder = *holder;
	claims->used++;
	return NULL;
}

const struct claim_holder *claims_find(const struct claims *claims, enum claim_kind kind,
				       const void *key, size_t size)
{
	struct entry *entry;
	uint8_t made[KEY_LEN];

	key_make(kind, key, size, made);
	entry = entry_find(claims, made);
	return entry->key[0] == 0 ? NULL : &entry->holder;
}

bool claims_failed(const struct claims *claims)
{
	return claims->failed;
}
