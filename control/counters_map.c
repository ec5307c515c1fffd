/* SPDX-License-Identifier: BSD-3-Clause */
#include "counters_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool table_fits(const struct counters_table *table, size_t row_size, uint64_t region)
{
	return table->row_size >= row_size && table->offset % 8 == 0 && table->row_size % 8 == 0 &&
	       table->offset <= region &&
	       (uint64_t)table->rows * table->row_size <= region - table->offset;
}

static bool header_holds(const struct counters_header *header, uint64_t size, uint64_t boot)
{
	uint64_t region = header->region_size;

	if (header->magic != COUNTERS_MAGIC || header->version != COUNTERS_VERSION ||
	    header->boot != boot || header->region_offset % 8 != 0 || region % 8 != 0 ||
	    header->region_offset > size || header->writers == 0)
		return false;
	if (region > (size - header->region_offset) / header->writers)
		return false;
	return table_fits(&header->worker, sizeof(struct counters_worker), region) &&
	       table_fits(&header->port, sizeof(struct counters_port), region) &&
	       table_fits(&header->port_drops, sizeof(struct counters_drops), region) &&
	       table_fits(&header->attachment, sizeof(struct counters_attachment), region) &&
	       table_fits(&header->tenant, sizeof(struct counters_tenant), region) &&
	       table_fits(&header->tenant_drops, sizeof(struct counters_drops), region) &&
	       table_fits(&header->tunnel, sizeof(struct counters_tunnel), region) &&
	       table_fits(&header->sa, sizeof(struct counters_sa), region);
}

int counters_map_open(int fd, uint64_t size, uint64_t boot, struct counters_map **out)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct counters_map *map;
	struct stat status;

	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &status) < 0 ||
	    (uint64_t)status.st_size < size || size < sizeof(struct counters_header))
		return -EPROTO;
	map = calloc(1, sizeof(*map));
	if (map == NULL)
		return -ENOMEM;
	map->size = size;
	map->base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map->base == MAP_FAILED) {
		int ret = -errno;

		free(map);
		return ret;
	}
	memcpy(&map->header, map->base, sizeof(map->header));
	if (!header_holds(&map->header, size, boot)) {
		counters_map_close(map);
		return -EPROTO;
	}
	*out = map;
	return 0;
}

void counters_map_close(struct counters_map *map)
{
	if (map == NULL)
		return;
	munmap((void *)(uintptr_t)map->base, map->size);
	free(map);
}

static const uint64_t *row_of(const struct counters_map *map, const struct counters_table *table,
			      uint32_t writer, uint32_t row)
{
	return (const void *)(map->base + map->header.region_offset +
			      writer * map->header.region_size + table->offset +
			      (uint64_t)row * table->row_size);
}

void counters_read(const struct counters_map *map, const struct counters_table *table,
		   uint32_t writer, uint32_t row, uint64_t *values, size_t n)
{
	const uint64_t *from;

	memset(values, 0, n * sizeof(*values));
	if (map == NULL || row >= table->rows || writer >= map->header.writers)
		return;
	from = row_of(map, table, writer, row);
	for (size_t i = 0; i < n; i++)
		values[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* Nobody counts SAs in the main lcore's region: to read it would take memory for nothing. */
static uint32_t first_writer(const struct counters_map *map, const struct counters_table *table)
{
	return table == &map->header.sa && map->header.writers > 1 ? 1 : 0;
}

void counters_sum(const struct counters_map *map, const struct counters_table *table, uint32_t row,
		  uint64_t *values, size_t n)
{
	memset(values, 0, n * sizeof(*values));
	if (map == NULL || row >= table->rows)
		return;
	for (uint32_t writer = first_writer(map, table); writer < map->header.writers; writer++) {
		const uint64_t *from = row_of(map, table, writer, row);

		for (size_t i = 0; i < n; i++)
			values[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	}
}

uint64_t counters_sequence(const struct counters_map *map, uint32_t sa)
{
	const size_t column = offsetof(struct counters_sa, sequence) / 8;
	uint64_t highest = 0;

	if (map == NULL || sa >= map->header.sa.rows)
		return 0;
	for (uint32_t writer = first_writer(map, &map->header.sa); writer < map->header.writers;
	     writer++) {
		const uint64_t *from = row_of(map, &map->header.sa, writer, sa);
		uint64_t value = __atomic_load_n(&from[column], __ATOMIC_RELAXED);

		if (value > highest)
			highest = value;
	}
	return highest;
}
