/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SA of an SPI and the anti-replay window: TSC cycles a packet, the SA drawn at random for
 * each. Pin it: taskset -c 1 sa_bench
 */
#include <benchmark/benchmark.h>
#include <algorithm>
#include <string>

extern "C" {
#include "sa_harness.h"
}

namespace
{

enum class Work { hit, miss, replay };

void run(benchmark::State &state, Work work, uint32_t sas, uint32_t window)
{
	uint64_t cycles = 0, items = 0;
	double least = 1e99; /* the pass that was disturbed least */
	sa_harness *harness = sa_harness_create(sas, window);

	if (harness == nullptr) {
		state.SkipWithError("no memory");
		return;
	}
	for (auto _ : state) {
		sa_pass pass = work == Work::replay
				       ? sa_harness_replay(harness)
				       : sa_harness_lookup(harness, work == Work::miss);

		cycles += pass.cycles;
		least = std::min(least, double(pass.cycles) / SA_HARNESS_PACKETS);
		items += SA_HARNESS_PACKETS;
		state.SetIterationTime(pass.seconds);
	}
	state.SetItemsProcessed(int64_t(items));
	state.counters["cycles_min"] = least;
	state.counters["cycles"] = items == 0 ? 0 : double(cycles) / double(items);
	sa_harness_destroy(harness);
}

} // namespace

int main(int argc, char **argv)
{
	for (uint32_t sas : { 1, 1000, 100000, 400000 }) {
		std::string tail = "/sas:" + std::to_string(sas);

		benchmark::RegisterBenchmark(("sad/hit" + tail).c_str(), run, Work::hit, sas, 64)
			->UseManualTime();
		benchmark::RegisterBenchmark(("sad/miss" + tail).c_str(), run, Work::miss, sas, 64)
			->UseManualTime();
	}
	for (uint32_t sas : { 1, 1000, 10000 }) {
		for (uint32_t window : { 0, 64, 1024, 4096 }) {
			std::string name = "replay/sas:" + std::to_string(sas) +
					   "/window:" + std::to_string(window);

			benchmark::RegisterBenchmark(name.c_str(), run, Work::replay, sas, window)
				->UseManualTime();
		}
	}
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 1;
	benchmark::RunSpecifiedBenchmarks();
	return 0;
}
