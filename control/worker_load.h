/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the workers did lately: the difference of their counters to those of some seconds ago, since
 * sums from the start on don't say how busy a core is now.
 */
#ifndef KAIDO_CONTROL_WORKER_LOAD_H
#define KAIDO_CONTROL_WORKER_LOAD_H

#include <stdint.h>

#include "counters.h"

#define WORKER_LOAD_SECONDS 5 /* between two looks that are kept; "lately" is 5 to 10 seconds */

struct counters_map;

struct worker_load {
	uint64_t boot; /* of the counters that the looks are of; 0: none */
	uint32_t writers;
	uint32_t seconds;                /* since the newer look */
	struct counters_worker *look[2]; /* [writers], the older one first */
};

/* Once a second; `map` may be NULL. Negative errno: no memory, and nothing is known. */
int worker_load_look(struct worker_load *load, const struct counters_map *map);
void worker_load_close(struct worker_load *load);

/* All that one writer has counted so far, and in `recent` what of it lately (zeros: not known yet). */
void worker_load_read(const struct worker_load *load, const struct counters_map *map,
		      uint32_t writer, struct counters_worker *now, struct counters_worker *recent);

#endif /* KAIDO_CONTROL_WORKER_LOAD_H */
