/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-GCM behind aead.h: TSC cycles a packet by engine, direction, key length, packet length and
 * number of keys, over 4096 buffers. Pin it: taskset -c 1 crypto_bench --benchmark_filter=len:64
 */
#include <benchmark/benchmark.h>
#include <cstring>
#include <string>

extern "C" {
#include "crypto_harness.h"
}

namespace
{

enum class Work { encrypt, decrypt, rekey };

void run(benchmark::State &state, crypto_shape shape, Work work)
{
	crypto_harness *harness;
	uint64_t cycles = 0, items = 0;
	int ret = crypto_harness_create(&shape, &harness);

	if (ret < 0) {
		state.SkipWithError(strerror(-ret));
		return;
	}
	for (auto _ : state) {
		crypto_pass pass;

		if (work == Work::rekey) {
			pass = crypto_harness_rekey(harness);
			items += shape.keys;
		} else {
			pass = crypto_harness_encrypt(harness);
			if (work == Work::decrypt && pass.failed == 0)
				pass = crypto_harness_decrypt(harness);
			items += CRYPTO_HARNESS_BUFFERS;
		}
		if (pass.failed != 0) {
			state.SkipWithError("an operation failed");
			break;
		}
		cycles += pass.cycles;
		state.SetIterationTime(pass.seconds);
	}
	state.SetItemsProcessed(int64_t(items));
	if (work != Work::rekey)
		state.SetBytesProcessed(int64_t(items * shape.len));
	state.counters["cycles"] = benchmark::Counter(
		items == 0 ? 0 : double(cycles) / double(items), benchmark::Counter::kAvgThreads);
	state.SetLabel(crypto_harness_engine(harness));
	crypto_harness_destroy(harness);
}

void add(const char *name, Work work, const crypto_shape &shape, int threads = 1)
{
	static const char *const works[] = { "encrypt", "decrypt", "rekey" };
	std::string full = std::string(name) + "/" + works[int(work)] + "/aes" +
			   std::to_string(8 * shape.key_len) + "/len:" + std::to_string(shape.len) +
			   "/keys:" + std::to_string(shape.keys);

	auto *added = benchmark::RegisterBenchmark(full.c_str(), run, shape, work);

	added->UseManualTime();
	if (threads > 1)
		added->Threads(threads);
}

void add_lengths(const char *name, aead_kind kind, uint32_t key_len, uint32_t keys)
{
	for (uint32_t len : { 64, 128, 256, 512, 1024, 1420, 9000 }) {
		crypto_shape shape = { kind, AEAD_ISA_AUTO, key_len, keys, len };

		add(name, Work::encrypt, shape);
		add(name, Work::decrypt, shape);
	}
}

} // namespace

int main(int argc, char **argv)
{
	for (uint32_t keys : { 1, 1000, 10000 })
		add_lengths("ipsec-mb", AEAD_KIND_IPSEC_MB, 16, keys);
	add_lengths("ipsec-mb", AEAD_KIND_IPSEC_MB, 32, 1);
	add_lengths("openssl", AEAD_KIND_OPENSSL, 16, 1);
	/* Two workers with nothing in common: what the library makes them share shows here. */
	for (uint32_t len : { 64, 1420 })
		add("ipsec-mb", Work::encrypt, { AEAD_KIND_IPSEC_MB, AEAD_ISA_AUTO, 16, 1, len },
		    2);
	add("ipsec-mb", Work::rekey, { AEAD_KIND_IPSEC_MB, AEAD_ISA_AUTO, 32, 10000, 64 });

	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 1;
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return 0;
}
