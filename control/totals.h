/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Totals of tenants and tunnels that only grow: the dataplane's counters, carried on over its
 * restarts and ours.
 *
 * What a row of counters has grown by since the last look is added to its total. A new dataplane
 * (another boot) or a row that was given anew starts from zero. totals_save() puts totals and what
 * they were taken from into a file, which is replaced as a whole.
 */
#ifndef KAIDO_CONTROL_TOTALS_H
#define KAIDO_CONTROL_TOTALS_H

#include <stdint.h>

#include "counters.h"
#include "model.h"

#define TOTALS_TUNNEL 8 /* values, as in struct counters_tunnel */
#define TOTALS_TENANT 7 /* as in struct counters_tenant, without what is reserved */

struct counters_map;

struct totals_tunnel {
	uint64_t raw[TOTALS_TUNNEL]; /* at the last look */
	uint64_t total[TOTALS_TUNNEL];
};

struct totals_tenant {
	uint64_t raw[TOTALS_TENANT];
	uint64_t total[TOTALS_TENANT];
	uint64_t raw_drops[COUNTERS_REASONS];
	uint64_t drops[COUNTERS_REASONS];
	uint64_t carried[TOTALS_TUNNEL]; /* by all its tunnels, also those that are gone */
};

struct totals {
	uint64_t boot;                  /* of the counters that raw was taken from */
	struct totals_tenant **tenants; /* by id; 0: the underlay */
	uint32_t n_tenants;
	struct totals_tunnel **tunnels;
	uint32_t n_tunnels;
	char *path;
};

/* Reads the file of a state directory. A damaged one is put aside with a warning. */
int totals_open(struct totals *totals, const char *directory);
void totals_close(struct totals *totals);
/* Takes in the counters of what the model has. `map` may be NULL. */
int totals_update(struct totals *totals, const struct counters_map *map, const struct model *model);
/* Takes in those of one tunnel, and gives its row; NULL: no memory. */
const struct totals_tunnel *totals_take(struct totals *totals, const struct counters_map *map,
					uint32_t tenant, uint32_t tunnel);
/* Bytes of inner packets that came out of a tunnel and that went into it. */
struct totals_bytes {
	uint64_t in;
	uint64_t out;
};
struct totals_bytes totals_inner_bytes(const struct totals_tunnel *row); /* NULL: none */
/* The tunnel is gone for good; what it carried stays in its tenant's. */
void totals_forget(struct totals *totals, uint32_t tunnel);
/*
 * Forgets what the model doesn't have; returns how many rows, or -ENOMEM. While there is a way back
 * to another model, rows stay: they go on when it is taken.
 */
int totals_sweep(struct totals *totals, const struct model *model);
int totals_save(struct totals *totals);

/* NULL: nothing was counted yet. */
const struct totals_tenant *totals_tenant(const struct totals *totals, uint32_t id);
const struct totals_tunnel *totals_tunnel(const struct totals *totals, uint32_t id);

#endif /* KAIDO_CONTROL_TOTALS_H */
