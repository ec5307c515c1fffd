/* SPDX-License-Identifier: BSD-3-Clause */
#include "transaction.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "apply.h"

#define CHUNK_BYTES ((size_t)256 << 10)

/* Behind each stand its records, padded to 8 bytes. */
struct staged {
	uint16_t type;
	uint16_t reserved;
	uint32_t count;
};

struct chunk {
	struct chunk *next;
	size_t used;
	uint8_t bytes[];
};
#define CHUNK_ROOM (CHUNK_BYTES - sizeof(struct chunk))

static_assert(ABI_MESSAGE_MAX + sizeof(struct staged) + 8 <= CHUNK_ROOM,
	      "a message fits into a chunk");

struct transaction {
	struct chunk *first;
	struct chunk *last;
	size_t bytes; /* in all chunks */
	uint64_t generation;
	uint32_t records;
	struct verdict poison; /* error 0: healthy */
};

struct transaction *transaction_begin(uint64_t generation)
{
	struct transaction *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->generation = generation;
	return t;
}

void transaction_end(struct transaction *t)
{
	struct chunk *c;

	if (t == NULL)
		return;
	while ((c = t->first) != NULL) {
		t->first = c->next;
		secret_free(c, CHUNK_BYTES);
	}
	free(t);
}

static int refused(struct verdict *verdict, int error, uint32_t index, const char *text)
{
	verdict->error = error;
	verdict->index = index;
	snprintf(verdict->text, sizeof(verdict->text), "%s", text);
	return error;
}

/* Room for so many bytes in the last chunk. */
static void *chunk_take(struct transaction *t, size_t bytes)
{
	struct chunk *c = t->last;
	void *p;

	if (c == NULL || CHUNK_ROOM - c->used < bytes) {
		if (t->bytes + CHUNK_BYTES > TRANSACTION_BYTES_MAX)
			return NULL;
		c = secret_alloc(CHUNK_BYTES);
		if (c == NULL)
			return NULL;
		if (t->last != NULL)
			t->last->next = c;
		else
			t->first = c;
		t->last = c;
		t->bytes += CHUNK_BYTES;
	}
	p = c->bytes + c->used;
	c->used += bytes;
	return p;
}

static size_t staged_bytes(size_t size, uint32_t count)
{
	return sizeof(struct staged) + ((size * count + 7) & ~(size_t)7);
}

static int records_check(const struct transaction *t, const struct apply *a, uint16_t type,
			 const uint8_t *records, size_t size, uint32_t count,
			 struct verdict *verdict)
{
	for (uint32_t i = 0; i < count; i++) {
		verdict->error = apply_check(a, type, records + i * size, verdict->text,
					     sizeof(verdict->text));
		verdict->index = t->records + i;
		if (verdict->error != 0)
			return verdict->error;
	}
	return 0;
}

int transaction_stage(struct transaction *t, const struct apply *a, uint16_t type,
		      const void *records, size_t size, uint32_t count, struct verdict *verdict)
{
	struct staged *staged;
	int error = records_check(t, a, type, records, size, count, verdict);

	if (error != 0)
		goto poison;
	staged = chunk_take(t, staged_bytes(size, count));
	if (staged == NULL) {
		error = refused(verdict, -ENOMEM, t->records,
				"no memory to stage this: commit less at once, or raise "
				"RLIMIT_MEMLOCK");
		goto poison;
	}
	*staged = (struct staged){ .type = type, .count = count };
	memcpy(staged + 1, records, size * count);
	t->records += count;
	return 0;
poison:
	transaction_poison(t, verdict);
	return error;
}

void transaction_poison(struct transaction *t, const struct verdict *verdict)
{
	if (t->poison.error == 0)
		t->poison = *verdict;
}

int transaction_poisoned(const struct transaction *t)
{
	return t->poison.error;
}

/* The keys have been taken over, or will not be needed. */
static int chunk_apply(struct chunk *c, struct apply *a, struct verdict *verdict)
{
	for (size_t at = 0; at < c->used;) {
		struct staged *staged = (struct staged *)(c->bytes + at);
		size_t size = apply_record_size(staged->type);
		const uint8_t *record = (const uint8_t *)(staged + 1);

		for (uint32_t i = 0; i < staged->count; i++, verdict->index++) {
			verdict->error = apply_record(a, staged->type, record + i * size,
						      verdict->text, sizeof(verdict->text));
			if (verdict->error != 0)
				return verdict->error;
		}
		at += staged_bytes(size, staged->count);
	}
	secret_wipe(c->bytes, c->used);
	c->used = 0;
	return 0;
}

void transaction_commit(struct transaction *t, struct apply *a, uint64_t *generation,
			struct verdict *verdict)
{
	*verdict = t->poison;
	if (verdict->error != 0)
		return;
	for (struct chunk *c = t->first; c != NULL; c = c->next)
		if (chunk_apply(c, a, verdict) != 0) {
			apply_rollback(a);
			return;
		}
	apply_commit(a);
	verdict->index = 0;
	*generation = t->generation;
}
