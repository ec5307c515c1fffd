/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory as packet buffers have it: in pages of 2 MiB, where the kernel gives such on demand. */
#ifndef KAIDO_HUGE_ALLOC_H
#define KAIDO_HUGE_ALLOC_H

#include <stdlib.h>
#include <sys/mman.h>

/* To be given to free(); NULL: no memory. */
static inline void *huge_alloc(size_t size)
{
	const size_t page = 2u << 20;
	void *p;

	size = (size + page - 1) & ~(page - 1);
	p = aligned_alloc(page, size);
	if (p != NULL)
		(void)madvise(p, size, MADV_HUGEPAGE);
	return p;
}

#endif /* KAIDO_HUGE_ALLOC_H */
