# SPDX-License-Identifier: BSD-3-Clause
"""What AES-GCM alone costs, by crypto_bench of the build folder."""

import json
import os
import re
import subprocess

from harness.gateway import BUILD
from . import traffic

PROGRAM = os.path.join(BUILD, "bench", "crypto_bench")
NAME = re.compile(r"(encrypt|decrypt)/aes(\d+)/len:(\w+)/keys:(\d+)")
DIRECTION = {"encrypt": "out", "decrypt": "in"}


def run(cpu, *options):
    """crypto_bench's report: its context and the list of its benchmarks."""
    output = subprocess.run(["taskset", "-c", str(cpu), PROGRAM, "--benchmark_format=json", *options],
                            check=True, capture_output=True, text=True).stdout
    return json.loads(output)


def results(report):
    """(direction, bits, length, keys, {engine: [min, median, max]})"""
    for one in report["benchmarks"]:
        match = NAME.search(one["name"])
        if not match:
            continue
        if one.get("error_occurred"):
            raise RuntimeError(f"crypto_bench: {one['name']}: {one['error_message']}")
        engines = {name: [one[name + "_min"], one[name], one[name + "_max"]]
                   for name in one if name + "_min" in one}
        kind, bits, length, keys = match.groups()
        length = traffic.IMIX if length == traffic.IMIX else int(length)
        yield DIRECTION[kind], int(bits), length, int(keys), engines


def alone(cpu, shape, samples):
    """Median cycles a packet of what the gateway's engine does in such a run, and nothing else: with
    packets that were just copied in, for that is part of the devices' work."""
    length = shape.size if shape.size == traffic.IMIX else traffic.payload(shape.size)
    kind = "encrypt" if shape.direction == "out" else "decrypt"
    report = run(cpu, f"--benchmark_filter=^{kind}", "--engines=auto", f"--lengths={length}",
                 f"--keys={shape.sas}", f"--key_bits={shape.key_bits or 192}",
                 f"--samples={samples}", "--received=1")
    return next(results(report))[4]["auto"][1]
