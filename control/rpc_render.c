/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_render.h"

#include <stdio.h>

#include "counters_map.h"
#include "reconcile.h"

static json_t *values_render(const char *const *names, const uint64_t *values, size_t n)
{
	json_t *json = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(json, names[i],
				    json_integer(values == NULL ? 0 : (json_int_t)values[i]));
	return json;
}

json_t *rpc_render_tunnel(const struct totals_tunnel *row)
{
	static const char *const names[TOTALS_TUNNEL] = {
		"out_packets", "out_inner_bytes", "out_outer_bytes", "out_drops",
		"in_packets",  "in_inner_bytes",  "in_outer_bytes",  "in_drops",
	};

	return values_render(names, row == NULL ? NULL : row->total, TOTALS_TUNNEL);
}

json_t *rpc_render_tenant(const struct totals_tenant *row)
{
	static const char *const names[TOTALS_TENANT] = {
		"in_packets",    "in_bytes",           "out_packets", "out_bytes",
		"local_packets", "originated_packets", "fragments",
	};

	return values_render(names, row == NULL ? NULL : row->total, TOTALS_TENANT);
}

json_t *rpc_render_sa(const struct counters_map *map, uint32_t id)
{
	static const char *const names[] = { "packets",    "bytes", "sequence",   "replayed",
					     "icv_failed", "lost",  "lease_stops" };
	uint64_t values[7] = { 0 };
	json_t *json;

	if (map != NULL)
		counters_sum(map, &map->header.sa, id, values, 7);
	json = values_render(names, values, 7);
	json_object_del(json, "sequence"); /* a highest, not a sum */
	return json;
}

json_t *rpc_render_attachment(const struct counters_map *map, uint32_t id)
{
	static const char *const names[] = { "rx_packets", "rx_bytes", "tx_packets", "tx_bytes" };
	uint64_t values[4] = { 0 };

	if (map != NULL)
		counters_sum(map, &map->header.attachment, id, values, 4);
	return values_render(names, values, 4);
}

json_t *rpc_render_port(const struct counters_map *map, uint32_t index)
{
	static const char *const names[] = {
		"rx_packets", "rx_bytes", "tx_packets", "tx_bytes",
		"punted",     "injected", "rx_missed",  "device_errors"
	};
	uint64_t values[8] = { 0 };

	if (map != NULL)
		counters_sum(map, &map->header.port, index, values, 8);
	return values_render(names, values, 8);
}

const char *rpc_reason_name(const struct reconcile *reconcile, uint32_t number, char buffer[24])
{
	for (size_t i = 0; i < reconcile->n_reasons; i++) {
		if (reconcile->reasons[i].number == number)
			return reconcile->reasons[i].name;
	}
	snprintf(buffer, 24, "reason-%u", number);
	return buffer;
}

const char *rpc_reason_text(const struct reconcile *reconcile, uint32_t number)
{
	for (size_t i = 0; i < reconcile->n_reasons; i++) {
		if (reconcile->reasons[i].number == number)
			return reconcile->reasons[i].text;
	}
	return "";
}
