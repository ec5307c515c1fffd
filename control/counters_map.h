/* SPDX-License-Identifier: BSD-3-Clause */
/* The dataplane's counters (abi/counters.h), mapped read-only. */
#ifndef KAIDO_CONTROL_COUNTERS_MAP_H
#define KAIDO_CONTROL_COUNTERS_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "counters.h"

struct counters_map {
	const uint8_t *base;
	size_t size;
	struct counters_header header; /* our copy: checked once, then constant */
};

/* Doesn't take `fd`. -EPROTO: it is not what the header file says, or it could shrink under us. */
int counters_map_open(int fd, uint64_t size, uint64_t boot, struct counters_map **map);
void counters_map_close(struct counters_map *map); /* NULL is allowed */

/* The first n 64-bit values of a row, over all writers. Zero for a row that isn't there. */
void counters_sum(const struct counters_map *map, const struct counters_table *table, uint32_t row,
		  uint64_t *values, size_t n);
/* Of one writer. */
void counters_read(const struct counters_map *map, const struct counters_table *table,
		   uint32_t writer, uint32_t row, uint64_t *values, size_t n);
/* The highest number that an SA sent or accepted; 0: none. */
uint64_t counters_sequence(const struct counters_map *map, uint32_t sa);

#endif /* KAIDO_CONTROL_COUNTERS_MAP_H */
