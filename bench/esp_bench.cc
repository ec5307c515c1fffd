/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP without the cipher: TSC cycles a packet of encapsulation, of decapsulation (SA look-up, replay,
 * checks, strip), and of all that a walk does between its ports but for AES-GCM (`walk`). Packets and
 * tables are in the caches. Pin it: taskset -c 1 esp_bench
 */
#include <benchmark/benchmark.h>
#include <algorithm>
#include <string>
#include <vector>

extern "C" {
#include "esp_harness.h"
}

namespace
{

double median(std::vector<double> &v)
{
	std::sort(v.begin(), v.end());
	return v.empty() ? 0 : v[v.size() / 2];
}

void run(benchmark::State &state, uint32_t size, bool inbound)
{
	esp_harness *harness = esp_harness_create(size);
	std::vector<double> esps, walks;

	for (auto _ : state) {
		uint64_t esp, walk = 0;
		esp_pass pass =
			inbound ? esp_harness_inbound(harness) : esp_harness_outbound(harness);

		for (int i = 0; i < COUNTERS_STAGES; i++) {
			if (i != STAGE_ENCRYPT && i != STAGE_DECRYPT)
				walk += pass.stage[i];
		}
		esp = inbound ? pass.stage[STAGE_SAD] + pass.stage[STAGE_DECAP]
			      : pass.stage[STAGE_ENCAP];
		esps.push_back(double(esp) / double(pass.packets));
		walks.push_back(double(walk) / double(pass.packets));
		state.SetIterationTime(pass.seconds);
	}
	esp_harness_destroy(harness);
	state.counters["cycles"] = median(esps);
	state.counters["walk"] = median(walks);
}

} // namespace

int main(int argc, char **argv)
{
	for (uint32_t size : { 64, 512, 1400 }) {
		std::string tail = "/len:" + std::to_string(size) + "/sas:1";

		benchmark::RegisterBenchmark(("esp/encap" + tail).c_str(), run, size, false)
			->UseManualTime();
		benchmark::RegisterBenchmark(("esp/decap" + tail).c_str(), run, size, true)
			->UseManualTime();
	}
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 1;
	esp_harness_begin();
	benchmark::RunSpecifiedBenchmarks();
	return 0;
}
