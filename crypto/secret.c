/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aead.h"
#include "locked_memory.h"

/* Cuts the ends off a mapping so that it starts at a multiple of `align` and is `size` long. */
static uint8_t *mapping_align(uint8_t *base, size_t mapped, size_t size, size_t align)
{
	uintptr_t start = ((uintptr_t)base + align - 1) & ~((uintptr_t)align - 1);
	size_t head = start - (uintptr_t)base;
	size_t tail = mapped - head - size;

	if (head > 0)
		munmap(base, head);
	if (tail > 0)
		munmap(base + head + size, tail);
	return base + head;
}

int locked_memory_reserve(size_t size, size_t huge, void **out)
{
	size_t mapped = size >= huge ? size + huge : size;
	uint8_t *base;

	base = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	if (size >= huge) {
		base = mapping_align(base, mapped, size, huge);
		/* Fewer TLB misses with many keys; a kernel without huge pages does as well. */
		(void)madvise(base, size, MADV_HUGEPAGE);
	}
	if (madvise(base, size, MADV_DONTDUMP) < 0 || madvise(base, size, MADV_DONTFORK) < 0) {
		munmap(base, size);
		return -ENOMEM;
	}
	*out = base;
	return 0;
}

/* Whole pages, 0 when `size` is 0 or too large. */
static size_t secret_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX / 2)
		return 0;
	return (size + page - 1) / page * page;
}

void *secret_alloc(size_t size)
{
	size_t mapped = secret_pages(size);
	void *p;

	if (mapped == 0) {
		errno = EINVAL;
		return NULL;
	}
	if (locked_memory_reserve(mapped, SIZE_MAX, &p) < 0) {
		errno = ENOMEM;
		return NULL;
	}
	if (mlock(p, mapped) < 0) {
		munmap(p, mapped);
		errno = ENOMEM;
		return NULL;
	}
	return p;
}

void secret_free(void *p, size_t size)
{
	size_t mapped = secret_pages(size);

	if (p == NULL)
		return;
	secret_wipe(p, mapped);
	munmap(p, mapped);
}

void secret_wipe(void *p, size_t size)
{
	if (size > 0)
		explicit_bzero(p, size);
}
