/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_mirror_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define BUCKETS_MIN 64u
#define BUCKETS_MAX (1u << 24)

static bool key_equal(const struct mirror_key *a, const struct mirror_key *b)
{
	return ip_equal(a->addr, b->addr) && a->family == b->family && a->len == b->len;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

/* Seeded: prefixes come from routing peers, who should not choose our buckets. */
static uint32_t bucket_of(const struct mirror_table *t, const struct mirror_key *key)
{
	uint64_t h = mix(t->seed ^ key->addr.hi);

	h = mix(h ^ key->addr.lo);
	h = mix(h ^ ((uint64_t)key->family << 8 | key->len));
	return (uint32_t)h & (t->buckets - 1);
}

int mirror_table_init(struct mirror_table *t)
{
	if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
		return -EIO;
	t->count = 0;
	t->buckets = BUCKETS_MIN;
	t->bucket = calloc(t->buckets, sizeof(struct mirror_entry *));
	return t->bucket ? 0 : -ENOMEM;
}

void mirror_table_free(struct mirror_table *t)
{
	for (uint32_t i = 0; t->bucket && i < t->buckets; i++) {
		while (t->bucket[i])
			mirror_table_remove(t, t->bucket[i]);
	}
	free(t->bucket);
	t->bucket = NULL;
}

static struct mirror_entry **tail_of(struct mirror_table *t, const struct mirror_key *key)
{
	struct mirror_entry **tail = &t->bucket[bucket_of(t, key)];

	while (*tail)
		tail = &(*tail)->next;
	return tail;
}

bool mirror_table_grow(struct mirror_table *t)
{
	struct mirror_table larger = *t;
	struct mirror_entry *e, *next;

	if (t->count <= t->buckets || t->buckets >= BUCKETS_MAX)
		return false;
	while (larger.buckets < t->count * 2 && larger.buckets < BUCKETS_MAX)
		larger.buckets *= 2;
	larger.bucket = calloc(larger.buckets, sizeof(struct mirror_entry *));
	if (!larger.bucket)
		return false;
	for (uint32_t i = 0; i < t->buckets; i++) {
		for (e = t->bucket[i]; e; e = next) {
			next = e->next;
			e->next = NULL;
			*tail_of(&larger, &e->key) = e;
		}
	}
	free(t->bucket);
	*t = larger;
	return true;
}

static struct mirror_entry *same_key(struct mirror_entry *e, const struct mirror_key *key)
{
	while (e && !key_equal(&e->key, key))
		e = e->next;
	return e;
}

struct mirror_entry *mirror_table_first(const struct mirror_table *t, const struct mirror_key *key)
{
	return same_key(t->bucket[bucket_of(t, key)], key);
}

struct mirror_entry *mirror_entry_next(const struct mirror_entry *e)
{
	return same_key(e->next, &e->key);
}

struct mirror_entry *mirror_table_add(struct mirror_table *t, const struct mirror_key *key)
{
	struct mirror_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->key = *key;
	*tail_of(t, key) = e;
	t->count++;
	return e;
}

void mirror_table_remove(struct mirror_table *t, struct mirror_entry *e)
{
	struct mirror_entry **link = &t->bucket[bucket_of(t, &e->key)];

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	free(e);
	t->count--;
}
