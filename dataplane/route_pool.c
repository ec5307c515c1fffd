/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of all route tables: blocks of 1 to 72 units out of one mapping. */
#include "route_table.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "route_node.h"

/*
 * A deletion copies nodes as well, and is what helps when the pool is full: this much beyond its
 * size is mapped for deletions alone. 128 KiB are more than two of them need.
 */
#define RESERVE_UNITS 4096u

struct route_pool *route_pool_create(uint64_t max_bytes, struct reclaim *reclaim)
{
	uint64_t units = max_bytes / ROUTE_UNIT + 1 + RESERVE_UNITS;
	struct route_pool *pool = calloc(1, sizeof(*pool));
	void *memory;

	if (pool == NULL)
		return NULL;
	if (units > UINT32_MAX)
		units = UINT32_MAX;
	memory = mmap(NULL, units * ROUTE_UNIT, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		free(pool);
		return NULL;
	}
	madvise(memory, units * ROUTE_UNIT, MADV_HUGEPAGE);
	pool->memory = memory;
	pool->reclaim = reclaim;
	pool->units = (uint32_t)units;
	pool->next = 1;
	return pool;
}

void route_pool_destroy(struct route_pool *pool)
{
	if (pool == NULL)
		return;
	munmap(pool->memory, (uint64_t)pool->units * ROUTE_UNIT);
	free(pool);
}

uint64_t route_pool_used(const struct route_pool *pool)
{
	return (uint64_t)pool->used * ROUTE_UNIT;
}

static void push_free(struct route_pool *pool, uint32_t block, uint32_t units)
{
	*(uint32_t *)route_unit(pool, block) = pool->free[units];
	pool->free[units] = block;
}

static uint32_t pop_free(struct route_pool *pool, uint32_t units)
{
	uint32_t block = pool->free[units];

	if (block != 0)
		pool->free[units] = *(uint32_t *)route_unit(pool, block);
	return block;
}

/*
 * A block of the right size, else untouched memory, and only when that has run out a part of a
 * larger block: parts are not put together again.
 */
uint32_t route_block_alloc(struct route_pool *pool, uint32_t units, bool reserve)
{
	uint32_t end = reserve ? pool->units : pool->units - RESERVE_UNITS;
	uint32_t block;

	if (!reserve && pool->used + units >= end)
		return 0;
	block = pop_free(pool, units);
	if (block == 0 && pool->next < end && units <= end - pool->next) {
		block = pool->next;
		pool->next += units;
	}
	for (uint32_t n = units + 1; block == 0 && n <= ROUTE_BLOCK_UNITS; n++) {
		block = pop_free(pool, n);
		if (block != 0)
			push_free(pool, block + units, n - units);
	}
	if (block != 0)
		pool->used += units;
	return block;
}

void route_block_free(struct route_pool *pool, uint32_t block, uint32_t units)
{
	push_free(pool, block, units);
	pool->used -= units;
}
