/* SPDX-License-Identifier: BSD-3-Clause */
#include "totals.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "counters_map.h"
#include "totals_file.h"

/* An array by id that grows; *slot is NULL where memory ran out. */
static void **slot_of(void ***array, uint32_t *size, uint32_t id)
{
	if (id >= *size) {
		uint32_t bigger_size = id + id / 2 + 64;
		void **bigger = reallocarray(*array, bigger_size, sizeof(void *));

		if (bigger == NULL)
			return NULL;
		memset(bigger + *size, 0, (bigger_size - *size) * sizeof(void *));
		*array = bigger;
		*size = bigger_size;
	}
	return &(*array)[id];
}

struct totals_tenant *totals_tenant_put(struct totals *totals, uint32_t id)
{
	void **slot = slot_of((void ***)&totals->tenants, &totals->n_tenants, id);

	if (slot != NULL && *slot == NULL)
		*slot = calloc(1, sizeof(struct totals_tenant));
	return slot == NULL ? NULL : *slot;
}

struct totals_tunnel *totals_tunnel_put(struct totals *totals, uint32_t id)
{
	void **slot = slot_of((void ***)&totals->tunnels, &totals->n_tunnels, id);

	if (slot != NULL && *slot == NULL)
		*slot = calloc(1, sizeof(struct totals_tunnel));
	return slot == NULL ? NULL : *slot;
}

const struct totals_tenant *totals_tenant(const struct totals *totals, uint32_t id)
{
	return id < totals->n_tenants ? totals->tenants[id] : NULL;
}

const struct totals_tunnel *totals_tunnel(const struct totals *totals, uint32_t id)
{
	return id < totals->n_tunnels ? totals->tunnels[id] : NULL;
}

/* A value that fell was counted anew from zero. */
static uint64_t grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

static void values_take(uint64_t *raw, uint64_t *total, uint64_t *carried, const uint64_t *now,
			size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t more = grown(now[i], raw[i]);

		total[i] += more;
		if (carried != NULL)
			carried[i] += more;
		raw[i] = now[i];
	}
}

/* Another dataplane: its counters started at zero. */
static void boot_take(struct totals *totals, uint64_t boot)
{
	if (totals->boot == boot)
		return;
	totals->boot = boot;
	for (uint32_t id = 0; id < totals->n_tenants; id++) {
		if (totals->tenants[id] == NULL)
			continue;
		memset(totals->tenants[id]->raw, 0, sizeof(totals->tenants[id]->raw));
		memset(totals->tenants[id]->raw_drops, 0, sizeof(totals->tenants[id]->raw_drops));
	}
	for (uint32_t id = 0; id < totals->n_tunnels; id++) {
		if (totals->tunnels[id] != NULL)
			memset(totals->tunnels[id]->raw, 0, sizeof(totals->tunnels[id]->raw));
	}
}

static int tenant_take(struct totals *totals, const struct counters_map *map, uint32_t id)
{
	struct totals_tenant *row = totals_tenant_put(totals, id);
	uint64_t values[TOTALS_TENANT], drops[COUNTERS_REASONS];

	if (row == NULL)
		return -ENOMEM;
	counters_sum(map, &map->header.tenant, id, values, TOTALS_TENANT);
	counters_sum(map, &map->header.tenant_drops, id, drops, COUNTERS_REASONS);
	values_take(row->raw, row->total, NULL, values, TOTALS_TENANT);
	values_take(row->raw_drops, row->drops, NULL, drops, COUNTERS_REASONS);
	return 0;
}

static int tunnel_take(struct totals *totals, const struct counters_map *map, uint32_t id,
		       struct totals_tenant *tenant)
{
	struct totals_tunnel *row = totals_tunnel_put(totals, id);
	uint64_t values[TOTALS_TUNNEL];

	if (row == NULL)
		return -ENOMEM;
	counters_sum(map, &map->header.tunnel, id, values, TOTALS_TUNNEL);
	values_take(row->raw, row->total, tenant->carried, values, TOTALS_TUNNEL);
	return 0;
}

/* Frees the rows of ids that are not marked; returns how many. */
static int rows_sweep(void **rows, uint32_t n, const uint8_t *marks)
{
	int freed = 0;

	for (uint32_t id = 1; id < n; id++) {
		if (rows[id] != NULL && marks[id] == 0) {
			free(rows[id]);
			rows[id] = NULL;
			freed++;
		}
	}
	return freed;
}

int totals_sweep(struct totals *totals, const struct model *model)
{
	uint8_t *tenants = calloc(1, totals->n_tenants + 1u);
	uint8_t *tunnels = calloc(1, totals->n_tunnels + 1u);
	int ret = -ENOMEM;

	if (tenants == NULL || tunnels == NULL)
		goto out;
	for (size_t i = 0; i < model->n_tenants; i++) {
		const struct tenant *tenant = model->tenants[i];

		if (tenant->id < totals->n_tenants)
			tenants[tenant->id] = 1;
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			if (tenant->tunnels[k]->id < totals->n_tunnels)
				tunnels[tenant->tunnels[k]->id] = 1;
		}
	}
	ret = rows_sweep((void **)totals->tenants, totals->n_tenants, tenants);
	ret += rows_sweep((void **)totals->tunnels, totals->n_tunnels, tunnels);
out:
	free(tenants);
	free(tunnels);
	return ret;
}

int totals_update(struct totals *totals, const struct counters_map *map, const struct model *model)
{
	int ret;

	if (map == NULL)
		return 0;
	boot_take(totals, map->header.boot);
	ret = tenant_take(totals, map, 0);
	for (size_t i = 0; i < model->n_tenants && ret == 0; i++) {
		const struct tenant *tenant = model->tenants[i];

		ret = tenant_take(totals, map, tenant->id);
		for (size_t k = 0; k < tenant->n_tunnels && ret == 0; k++)
			ret = tunnel_take(totals, map, tenant->tunnels[k]->id,
					  totals->tenants[tenant->id]);
	}
	return ret;
}

const struct totals_tunnel *totals_take(struct totals *totals, const struct counters_map *map,
					uint32_t tenant, uint32_t tunnel)
{
	struct totals_tenant *row = totals_tenant_put(totals, tenant);

	if (map != NULL && row != NULL) {
		boot_take(totals, map->header.boot);
		tunnel_take(totals, map, tunnel, row);
	}
	return totals_tunnel_put(totals, tunnel);
}

struct totals_bytes totals_inner_bytes(const struct totals_tunnel *row)
{
	const size_t out = offsetof(struct counters_tunnel, out_inner_bytes) / sizeof(uint64_t);
	const size_t in = offsetof(struct counters_tunnel, in_inner_bytes) / sizeof(uint64_t);

	if (row == NULL)
		return (struct totals_bytes){ 0, 0 };
	return (struct totals_bytes){ .in = row->total[in], .out = row->total[out] };
}

void totals_forget(struct totals *totals, uint32_t tunnel)
{
	if (tunnel >= totals->n_tunnels)
		return;
	free(totals->tunnels[tunnel]);
	totals->tunnels[tunnel] = NULL;
}

void totals_clear(struct totals *totals)
{
	for (uint32_t id = 0; id < totals->n_tenants; id++)
		free(totals->tenants[id]);
	for (uint32_t id = 0; id < totals->n_tunnels; id++)
		free(totals->tunnels[id]);
	free(totals->tenants);
	free(totals->tunnels);
	totals->tenants = NULL;
	totals->tunnels = NULL;
	totals->n_tenants = totals->n_tunnels = 0;
	totals->boot = 0;
}

void totals_close(struct totals *totals)
{
	totals_clear(totals);
	free(totals->path);
	totals->path = NULL;
}
