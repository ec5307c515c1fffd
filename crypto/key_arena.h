/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fixed-size slots for key material. The arena reserves address space for all of them at once and
 * takes memory, locked, chunk by chunk as slots come into use: room for 400,000 keys costs nothing
 * until there are that many. Slots never move. One thread allocates and frees (see aead.h).
 */
#ifndef KAIDO_KEY_ARENA_H
#define KAIDO_KEY_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_ARENA_ALIGN 64         /* slots start on a cache line */
#define KEY_ARENA_CHUNK (2u << 20) /* bytes locked at a time: one huge page */

struct key_arena {
	uint8_t *base;
	size_t slot_size;    /* bytes, multiple of KEY_ARENA_ALIGN */
	size_t mapped;       /* bytes of address space */
	size_t locked;       /* bytes from base that are locked, grows only */
	uint64_t *used;      /* one bit a slot */
	uint32_t slots;      /* capacity */
	uint32_t first_word; /* all words of `used` below this one are full */
	uint32_t in_use;
};

/* Errors: -EINVAL (no slots, or more than address space), -ENOMEM. */
int key_arena_init(struct key_arena *arena, size_t slot_size, uint32_t slots);
/* Wipes and unmaps everything. A zeroed arena is allowed. */
void key_arena_fini(struct key_arena *arena);

/* Whether p lies among the slots. */
bool key_arena_holds(const struct key_arena *arena, const void *p);

/* A zeroed slot, the lowest free one. Errors: -ENOSPC (full), -ENOMEM (cannot lock). */
int key_arena_get(struct key_arena *arena, void **slot);
/* Wipes the slot. `slot` must be in use: freeing one twice would let two SAs share a key. */
void key_arena_put(struct key_arena *arena, void *slot);

#endif /* KAIDO_KEY_ARENA_H */
