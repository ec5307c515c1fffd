# SPDX-License-Identifier: BSD-3-Clause
"""Suites that Google Benchmark runs: AES-GCM alone, and the tables with ESP around the cipher."""

import json
import os
import re
import statistics
import subprocess

from harness.gateway import BUILD
from . import aead, traffic

TABLES = ("route_bench", "sa_bench", "esp_bench")
ENGINES = "vaes,direct,ipsec-mb,openssl"


def record(suite, name, hz, cycles, **fields):
    """All fields that records have; those that say nothing here are None."""
    mpps = hz / cycles[1] / 1e6
    return {"suite": suite, "name": name, "direction": "", "size": 0, "key_bits": 0, "sas": 0,
            "workers": 1, "cycles": cycles, "mpps": mpps, "gbps": None, "aead_cycles": None,
            "io_cycles": None, **fields}


def aead_records(arguments):
    """Sizes are lengths of data, but for IMIX; SAs are keys."""
    report = aead.run(arguments.place.cpu, "--benchmark_filter=crypt", f"--engines={ENGINES}",
                      f"--lengths={arguments.aead_sizes}", f"--keys={arguments.aead_keys}",
                      "--key_bits=" + ",".join(b for b in arguments.key_bits.split(",") if b != "0"))
    hz = int(report["context"]["tsc_hz"])
    for direction, bits, length, keys, engines in aead.results(report):
        for name, cycles in sorted(engines.items()):
            one = record("aead", name, hz, cycles, direction=direction, size=length, key_bits=bits,
                         sas=keys)
            mean = traffic.mean_size(length)
            one["gbps"] = one["mpps"] * mean * 8 / 1e3
            yield one


def in_name(field, name):
    found = re.search(rf"\b{field}:(\d+)", name)
    return int(found.group(1)) if found else 0


def table_records(arguments, hz):
    """Look-ups, windows and headers, in the words of their own programs."""
    for program in TABLES:
        output = subprocess.run(
            ["taskset", "-c", str(arguments.place.cpu), os.path.join(BUILD, "bench", program),
             "--benchmark_format=json", f"--benchmark_repetitions={arguments.repeats}",
             "--benchmark_min_time=0.1"],
            check=True, capture_output=True, text=True).stdout
        report = json.loads(output)
        found = {}
        for one in report["benchmarks"]:
            if one["run_type"] == "iteration" and "cycles" in one:
                found.setdefault(one["run_name"].replace("/manual_time", ""), []).append(
                    one["cycles"])
        for name, cycles in found.items():
            yield record("tables", name, hz, [min(cycles), statistics.median(cycles), max(cycles)],
                         sas=in_name("sas", name), size=in_name("len", name))
