/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aead.h"
#include "key_arena.h"
#include "locked_memory.h"

#define WORD_BITS 64u

static size_t round_up(size_t value, size_t step)
{
	return (value + step - 1) / step * step;
}

static size_t bitmap_words(uint32_t slots)
{
	return ((size_t)slots + WORD_BITS - 1) / WORD_BITS;
}

int key_arena_init(struct key_arena *arena, size_t slot_size, uint32_t slots)
{
	size_t stride = round_up(slot_size, KEY_ARENA_ALIGN);
	size_t words = bitmap_words(slots);
	int ret;

	memset(arena, 0, sizeof(*arena));
	if (slot_size == 0 || slots == 0 || stride > SIZE_MAX / 2 / slots)
		return -EINVAL;

	arena->used = calloc(words, sizeof(*arena->used));
	if (arena->used == NULL)
		return -ENOMEM;
	/* Bits behind the last slot stand for slots that are always taken. */
	if (slots % WORD_BITS != 0)
		arena->used[words - 1] = UINT64_MAX << slots % WORD_BITS;

	arena->mapped = round_up(stride * slots, sysconf(_SC_PAGESIZE));
	ret = locked_memory_reserve(arena->mapped, KEY_ARENA_CHUNK, (void **)&arena->base);
	if (ret < 0) {
		free(arena->used);
		memset(arena, 0, sizeof(*arena));
		return ret;
	}
	arena->slot_size = stride;
	arena->slots = slots;
	return 0;
}

void key_arena_fini(struct key_arena *arena)
{
	if (arena->base == NULL)
		return;
	/* What was never locked was never written. */
	secret_wipe(arena->base, arena->locked);
	munmap(arena->base, arena->mapped);
	free(arena->used);
	memset(arena, 0, sizeof(*arena));
}

/* Locks chunks until the first `end` bytes are. */
static int key_arena_grow(struct key_arena *arena, size_t end)
{
	while (arena->locked < end) {
		size_t left = arena->mapped - arena->locked;
		size_t chunk = left < KEY_ARENA_CHUNK ? left : KEY_ARENA_CHUNK;

		if (mlock(arena->base + arena->locked, chunk) < 0)
			return -ENOMEM;
		arena->locked += chunk;
	}
	return 0;
}

bool key_arena_holds(const struct key_arena *arena, const void *p)
{
	return (uintptr_t)p - (uintptr_t)arena->base < arena->mapped;
}

int key_arena_get(struct key_arena *arena, void **slot)
{
	size_t words = bitmap_words(arena->slots);
	size_t word = arena->first_word;
	size_t index;
	int ret;

	while (word < words && arena->used[word] == UINT64_MAX)
		word++;
	arena->first_word = (uint32_t)word;
	if (word == words)
		return -ENOSPC;

	index = word * WORD_BITS + (size_t)__builtin_ctzll(~arena->used[word]);
	ret = key_arena_grow(arena, (index + 1) * arena->slot_size);
	if (ret < 0)
		return ret;

	arena->used[word] |= UINT64_C(1) << index % WORD_BITS;
	arena->in_use++;
	*slot = arena->base + index * arena->slot_size;
	return 0;
}

void key_arena_put(struct key_arena *arena, void *slot)
{
	size_t offset = (uintptr_t)slot - (uintptr_t)arena->base;
	size_t index = offset / arena->slot_size;
	uint64_t bit = UINT64_C(1) << index % WORD_BITS;
	uint32_t word = (uint32_t)(index / WORD_BITS);

	if (offset % arena->slot_size != 0 || index >= arena->slots || !(arena->used[word] & bit)) {
		fprintf(stderr,
			"key arena: %p is not a key in use; stopping before two SAs share one\n",
			slot);
		abort();
	}
	secret_wipe(slot, arena->slot_size);
	arena->used[word] &= ~bit;
	if (word < arena->first_word)
		arena->first_word = word;
	arena->in_use--;
}
