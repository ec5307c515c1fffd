/* SPDX-License-Identifier: BSD-3-Clause */
/* Address space for secrets, shared by the key arena and secret_alloc(). */
#ifndef KAIDO_LOCKED_MEMORY_H
#define KAIDO_LOCKED_MEMORY_H

#include <stddef.h>

/*
 * Reserves `size` bytes (a multiple of the page size) that are left out of core dumps and of
 * forked children. Nothing is locked yet: the caller locks what it uses, before it writes there.
 * A size of `huge` or more is aligned to `huge` (a power of two) and may be backed by huge pages.
 * Errors: -ENOMEM.
 */
int locked_memory_reserve(size_t size, size_t huge, void **out);

#endif /* KAIDO_LOCKED_MEMORY_H */
