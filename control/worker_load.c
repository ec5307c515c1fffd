/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "counters_map.h"

#define VALUES (sizeof(struct counters_worker) / sizeof(uint64_t))

static void row_read(const struct counters_map *map, uint32_t writer, struct counters_worker *row)
{
	counters_read(map, &map->header.worker, writer, 0, (uint64_t *)row, VALUES);
}

static void rows_read(const struct worker_load *load, const struct counters_map *map,
		      struct counters_worker *rows)
{
	for (uint32_t writer = 0; writer < load->writers; writer++)
		row_read(map, writer, &rows[writer]);
}

/* The counters of another dataplane. */
static int load_begin(struct worker_load *load, const struct counters_map *map)
{
	worker_load_close(load);
	for (int i = 0; i < 2; i++) {
		load->look[i] = calloc(map->header.writers, sizeof(*load->look[i]));
		if (load->look[i] == NULL) {
			worker_load_close(load);
			return -ENOMEM;
		}
	}
	load->boot = map->header.boot;
	load->writers = map->header.writers;
	rows_read(load, map, load->look[0]);
	rows_read(load, map, load->look[1]);
	return 0;
}

int worker_load_look(struct worker_load *load, const struct counters_map *map)
{
	struct counters_worker *oldest = load->look[0];

	if (map == NULL)
		return 0;
	if (load->boot != map->header.boot || load->look[0] == NULL)
		return load_begin(load, map);
	if (++load->seconds < WORKER_LOAD_SECONDS)
		return 0;
	load->seconds = 0;
	load->look[0] = load->look[1];
	load->look[1] = oldest;
	rows_read(load, map, oldest);
	return 0;
}

void worker_load_close(struct worker_load *load)
{
	free(load->look[0]);
	free(load->look[1]);
	memset(load, 0, sizeof(*load));
}

void worker_load_read(const struct worker_load *load, const struct counters_map *map,
		      uint32_t writer, struct counters_worker *now, struct counters_worker *recent)
{
	const uint64_t *to = (const uint64_t *)now, *from;
	uint64_t *difference = (uint64_t *)recent;

	row_read(map, writer, now);
	memset(recent, 0, sizeof(*recent));
	if (load->boot != map->header.boot || writer >= load->writers)
		return;
	from = (const uint64_t *)&load->look[0][writer];
	for (size_t i = 0; i < VALUES; i++)
		difference[i] = to[i] - from[i];
}
