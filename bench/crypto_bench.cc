/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-GCM: TSC cycles a packet, the engines of aead.h and IPsec-MB's own call side by side. Each
 * sample of one is followed by a sample of the next, so that all of them meet the same machine;
 * the counters are the medians, with _min and _max beside them.
 *
 *	taskset -c 1 crypto_bench [--engines=auto,direct] [--lengths=64,imix] [--keys=1,1000]
 *		[--key_bits=128] [--samples=15] [--received=1] [--benchmark_...]
 *
 * Buffers are cold, for there are 4096 of them. With --received each batch is copied to its place
 * just before, as a port does it.
 */
#include <benchmark/benchmark.h>
#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
#include "core_clock.h"
#include "crypto_harness.h"
}

namespace
{

struct engine {
	const char *name;
	aead_kind kind;
	bool direct;
};

/* What this machine or build lacks is left out. */
const engine engines[] = {
	{ "auto", AEAD_KIND_AUTO, false },       { "direct", AEAD_KIND_IPSEC_MB, true },
	{ "vaes", AEAD_KIND_VAES, false },       { "ipsec-mb", AEAD_KIND_IPSEC_MB, false },
	{ "openssl", AEAD_KIND_OPENSSL, false },
};

struct choice {
	std::string names = "direct,vaes,ipsec-mb,openssl";
	std::string lengths = "16,64,128,256,512,1024,1420,2048,4096,9000,imix";
	std::string keys = "1,1000,100000";
	std::string key_bits = "128,256";
	std::string samples = "15";
	std::string received = "0";
};

struct contender {
	const engine *what;
	crypto_harness *harness;
	std::vector<double> cycles;
};

std::vector<std::string> split(const std::string &list)
{
	std::vector<std::string> items;
	std::istringstream stream(list);

	for (std::string item; std::getline(stream, item, ',');)
		items.push_back(item);
	return items;
}

std::vector<contender> contenders(const std::string &names, crypto_shape shape, std::string &error)
{
	std::vector<contender> all;

	for (const std::string &name : split(names)) {
		for (const engine &one : engines) {
			crypto_harness *harness;

			if (name != one.name)
				continue;
			shape.kind = one.kind;
			shape.direct = one.direct;
			int ret = crypto_harness_create(&shape, &harness);

			if (ret == 0)
				all.push_back({ &one, harness, {} });
			else if (ret != -ENOTSUP)
				error = name + ": " + strerror(-ret);
		}
	}
	return all;
}

crypto_pass pass_of(contender &c, bool decrypt, bool received)
{
	crypto_pass pass;

	if (received)
		return crypto_harness_received(c.harness, decrypt);
	pass = crypto_harness_encrypt(c.harness);
	if (decrypt && pass.failed == 0)
		pass = crypto_harness_decrypt(c.harness);
	return pass;
}

/* One pass that is not counted, so that it does not matter who came before; four that are. */
bool sample(contender &c, bool decrypt, bool received, double &seconds)
{
	uint64_t cycles = 0;

	if (crypto_harness_encrypt(c.harness).failed != 0)
		return false;
	for (int i = 0; i < 4; i++) {
		crypto_pass pass = pass_of(c, decrypt, received);

		if (pass.failed != 0)
			return false;
		cycles += pass.cycles;
		seconds += pass.seconds;
	}
	c.cycles.push_back(double(cycles) / (4.0 * CRYPTO_HARNESS_BUFFERS));
	return true;
}

void report(benchmark::State &state, contender &c)
{
	std::vector<double> &v = c.cycles;
	std::string name = c.what->name;

	if (v.empty())
		return;
	std::sort(v.begin(), v.end());
	state.counters[name] = v[v.size() / 2];
	state.counters[name + "_min"] = v.front();
	state.counters[name + "_max"] = v.back();
}

void aead(benchmark::State &state, const choice &chosen, crypto_shape shape, bool decrypt)
{
	std::string error, label;
	std::vector<contender> all = contenders(chosen.names, shape, error);

	if (all.empty() && error.empty())
		error = "this machine has none of these engines";
	if (!error.empty())
		state.SkipWithError(error.c_str());
	for (auto _ : state) {
		double seconds = 0;

		for (contender &c : all) {
			if (!sample(c, decrypt, chosen.received == "1", seconds)) {
				state.SkipWithError("an operation failed");
				break;
			}
		}
		state.SetIterationTime(seconds);
	}
	for (contender &c : all) {
		report(state, c);
		label +=
			(label.empty() ? "" : "; ") + std::string(crypto_harness_engine(c.harness));
		crypto_harness_destroy(c.harness);
	}
	state.SetLabel(label);
}

/* What a new key costs where so many are, and its old one's end. */
void rekey(benchmark::State &state, const engine &what, crypto_shape shape)
{
	crypto_harness *harness;
	uint64_t cycles = 0;
	int ret;

	shape.kind = what.kind;
	ret = crypto_harness_create(&shape, &harness);
	if (ret < 0) {
		state.SkipWithError(strerror(-ret));
		return;
	}
	for (auto _ : state) {
		crypto_pass pass = crypto_harness_rekey(harness);

		cycles += pass.cycles;
		state.SetIterationTime(pass.seconds);
	}
	state.counters["cycles"] = double(cycles) / double(shape.keys * state.iterations());
	crypto_harness_destroy(harness);
}

void register_all(const choice &chosen)
{
	for (const std::string &bits : split(chosen.key_bits)) {
		for (const std::string &keys : split(chosen.keys)) {
			for (const std::string &len : split(chosen.lengths)) {
				crypto_shape shape = {};
				std::string tail = "/aes" + bits + "/len:" + len + "/keys:" + keys;
				int64_t samples = std::stol(chosen.samples);

				shape.key_len = uint32_t(std::stoul(bits) / 8);
				shape.keys = uint32_t(std::stoul(keys));
				shape.len = len == "imix" ? CRYPTO_HARNESS_IMIX
							  : uint32_t(std::stoul(len));
				for (bool decrypt : { false, true })
					benchmark::RegisterBenchmark(
						((decrypt ? "decrypt" : "encrypt") + tail).c_str(),
						aead, chosen, shape, decrypt)
						->UseManualTime()
						->Iterations(samples);
			}
		}
	}
	for (const engine &one : engines) {
		crypto_shape shape = {};

		shape.key_len = 32;
		shape.keys = 10000;
		shape.len = 64;
		if (!one.direct && one.kind != AEAD_KIND_AUTO)
			benchmark::RegisterBenchmark(
				(std::string("rekey/") + one.name + "/aes256/keys:10000").c_str(),
				rekey, one, shape)
				->UseManualTime();
	}
}

/* Takes our own options out of the list. */
choice options(int &argc, char **argv)
{
	choice chosen;
	const std::pair<const char *, std::string *> known[] = {
		{ "--engines=", &chosen.names },   { "--lengths=", &chosen.lengths },
		{ "--keys=", &chosen.keys },       { "--key_bits=", &chosen.key_bits },
		{ "--samples=", &chosen.samples }, { "--received=", &chosen.received },
	};
	int left = 1;

	for (int i = 1; i < argc; i++) {
		bool ours = false;

		for (const auto &[name, value] : known) {
			if (strncmp(argv[i], name, strlen(name)) == 0) {
				*value = argv[i] + strlen(name);
				ours = true;
			}
		}
		if (!ours)
			argv[left++] = argv[i];
	}
	argc = left;
	return chosen;
}

} // namespace

int main(int argc, char **argv)
{
	core_clock clock = core_clock_measure();

	register_all(options(argc, argv));
	benchmark::AddCustomContext("tsc_hz", std::to_string(clock.tsc_hz));
	benchmark::AddCustomContext("core_hz", std::to_string(clock.core_hz));
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 1;
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return 0;
}
