/* SPDX-License-Identifier: BSD-3-Clause */
/* worker.list: what each worker's core spends its cycles on, since the start and lately. */
#include "rpc_methods.h"

#include "counters_map.h"
#include "daemon.h"

static const char *const stage_names[] = { "rx",    "route",   "encap", "encrypt", "sad", "decrypt",
					   "decap", "forward", "tx",    "other",   "loop" };
static const char *const burst_names[] = { "1", "2-3", "4-7", "8-15", "16-31", "32-63", "64" };

#define STAGES (sizeof(stage_names) / sizeof(stage_names[0]))
#define BURSTS (sizeof(burst_names) / sizeof(burst_names[0]))
static_assert(STAGES == STAGE_LOOP + 1 && BURSTS <= COUNTERS_BURSTS, "every column has a name");

static json_t *ratio(double of, double to)
{
	return to > 0 ? json_real(of / to) : json_null();
}

static double bursts_sum(const struct counters_worker *row)
{
	double sum = 0;

	for (size_t i = 0; i < COUNTERS_BURSTS; i++)
		sum += (double)row->bursts[i];
	return sum;
}

static json_t *stages_render(const struct counters_worker *row)
{
	json_t *list = json_array();

	for (size_t i = 0; i < STAGES; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I}", "name", stage_names[i], "cycles",
						(json_int_t)row->stage_cycles[i], "packets",
						(json_int_t)row->stage_packets[i]));
	return list;
}

static json_t *bursts_render(const struct counters_worker *row)
{
	json_t *json = json_object();

	for (size_t i = 0; i < BURSTS; i++)
		json_object_set_new(json, burst_names[i], json_integer((json_int_t)row->bursts[i]));
	return json;
}

/* A stage's cycles for each packet that was taken in, so that the stages add up. */
static json_t *stages_recent(const struct counters_worker *row)
{
	json_t *json = json_object();

	for (size_t i = 0; i < STAGES; i++)
		json_object_set_new(
			json, stage_names[i],
			ratio((double)row->stage_cycles[i], (double)row->sampled_packets));
	return json;
}

static json_t *bursts_recent(const struct counters_worker *row)
{
	double sum = bursts_sum(row);
	json_t *json = json_object();

	for (size_t i = 0; i < BURSTS; i++)
		json_object_set_new(json, burst_names[i], ratio(100 * (double)row->bursts[i], sum));
	return json;
}

static json_t *recent_render(const struct counters_worker *row, uint64_t hz)
{
	double busy = (double)row->busy_cycles, all = busy + (double)row->idle_cycles;
	double packets = (double)row->packets, seconds = hz != 0 ? all / (double)hz : 0;

	return json_pack("{s:f, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "seconds", seconds,
			 "busy_percent", ratio(100 * busy, all), "packets_per_second",
			 ratio(packets, seconds), "cycles_per_packet", ratio(busy, packets),
			 "packets_per_burst", ratio(packets, bursts_sum(row)), "sleeps",
			 (json_int_t)row->sleeps, "burst_percent", bursts_recent(row),
			 "stage_cycles_per_packet", stages_recent(row));
}

static json_t *worker_render(const struct worker_load *load, const struct counters_map *map,
			     uint32_t writer)
{
	struct counters_worker row, recent;

	worker_load_read(load, map, writer, &row, &recent);
	return json_pack(
		"{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:{s:I, s:I, s:I}, s:o, s:o}",
		"worker", (int)writer, "lcore", (json_int_t)row.lcore, "packets",
		(json_int_t)row.packets, "polls", (json_int_t)row.polls, "busy_polls",
		(json_int_t)row.busy_polls, "sleeps", (json_int_t)row.sleeps, "busy_cycles",
		(json_int_t)row.busy_cycles, "idle_cycles", (json_int_t)row.idle_cycles,
		"early_packets", (json_int_t)row.early_packets, "bursts", bursts_render(&row),
		"sampled", "polls", (json_int_t)row.sampled_polls, "packets",
		(json_int_t)row.sampled_packets, "cycles", (json_int_t)row.sampled_cycles, "stages",
		stages_render(&row), "recent", recent_render(&recent, map->header.tsc_hz));
}

void rpc_worker_list(void *context, struct rpc_request *request)
{
	const struct daemon *daemon = context;
	const struct counters_map *map = daemon->reconcile.map;
	json_t *list;

	if (!daemon->reconcile.connected || map == NULL) {
		rpc_fail(request, RPC_DATAPLANE_AWAY, NULL,
			 "the dataplane is away: start kaido-dataplane");
		return;
	}
	list = json_array();
	for (uint32_t writer = 1; writer < map->header.writers; writer++)
		json_array_append_new(list, worker_render(&daemon->workers, map, writer));
	rpc_reply(request, json_pack("{s:o}", "workers", list));
}
