/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route tables: TSC cycles a look-up in bursts of 64, warm (64 packets again and again) and cold
 * (262,144 different ones), changes a second, and memory. Pin it: taskset -c 1 route_bench
 */
#include <benchmark/benchmark.h>
#include <algorithm>
#include <string>

extern "C" {
#include "route_harness.h"
}

namespace
{

constexpr uint32_t warm = 64, cold = 1 << 18;

void run(benchmark::State &state, route_shape shape, bool change)
{
	uint32_t items_a_pass = change ? 2000 : shape.packets;
	uint64_t cycles = 0, items = 0;
	double least = 1e99; /* the pass that was disturbed least */
	route_harness *harness = route_harness_create(&shape);

	if (harness == nullptr) {
		state.SkipWithError("no memory, or a wrong answer");
		return;
	}
	for (auto _ : state) {
		route_pass pass =
			change ? route_harness_change(harness) : route_harness_lookup(harness);

		cycles += pass.cycles;
		least = std::min(least, double(pass.cycles) / items_a_pass);
		items += items_a_pass;
		state.SetIterationTime(pass.seconds);
	}
	route_load load = route_harness_load(harness);

	state.SetItemsProcessed(int64_t(items));
	state.counters["cycles_min"] = least;
	state.counters["cycles"] = items == 0 ? 0 : double(cycles) / double(items);
	state.counters["MiB_used"] = load.mib_used;
	state.counters["MiB_rss"] = load.mib_rss;
	state.counters["adds_per_s"] = double(shape.tables) * shape.routes / load.seconds;
	route_harness_destroy(harness);
}

void add(const char *name, const route_shape &shape, const char *how, bool change)
{
	std::string full = std::string(name) + "/vrfs:" + std::to_string(shape.tables) +
			   "/routes:" + std::to_string(shape.routes) + "/" + how;

	benchmark::RegisterBenchmark(full.c_str(), run, shape, change)->UseManualTime();
}

void add_all(const char *name, route_plan plan, uint32_t tables, uint32_t routes)
{
	add(name, { plan, tables, routes, warm }, "warm", false);
	add(name, { plan, tables, routes, cold }, "cold", false);
	if (uint64_t(tables) * routes >= 100000)
		add(name, { plan, tables, routes, warm }, "change", true);
}

} // namespace

int main(int argc, char **argv)
{
	add_all("tenant-v4", ROUTE_PLAN_TENANT_V4, 1, 16);
	add_all("tenant", ROUTE_PLAN_TENANT, 1, 16);
	add_all("tenant", ROUTE_PLAN_TENANT, 100, 16);
	add_all("tenant", ROUTE_PLAN_TENANT, 10000, 16);
	add_all("internet-v4", ROUTE_PLAN_INTERNET_V4, 1, 1000000);
	add_all("internet-v6", ROUTE_PLAN_INTERNET_V6, 1, 1000000);
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 1;
	benchmark::RunSpecifiedBenchmarks();
	return 0;
}
