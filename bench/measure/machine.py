# SPDX-License-Identifier: BSD-3-Clause
"""What the figures were measured on."""

import contextlib
import os
import platform
import subprocess

from harness.gateway import ROOT
from . import aead

PAGES = "/proc/sys/vm/nr_hugepages"
FEATURES = ("aes", "pclmulqdq", "avx2", "avx512f", "avx512bw", "avx512vl", "vaes", "vpclmulqdq")


def cpuinfo():
    fields = {}
    with open("/proc/cpuinfo", encoding="ascii") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    return fields


def output(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True,
                              cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def field(path, name):
    """A number of a file of lines like 'Name: number'."""
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


@contextlib.contextmanager
def hugepages(megabytes):
    """Sees to it that so many are free, and gives back what it reserved."""
    before = field("/proc/meminfo", "HugePages_Total")
    size = field("/proc/meminfo", "Hugepagesize") // 1024
    lacking = -(-megabytes // size) - field("/proc/meminfo", "HugePages_Free")
    if lacking > 0:
        pages_set(before + lacking)
    try:
        if field("/proc/meminfo", "HugePages_Free") * size < megabytes:
            raise RuntimeError(f"{megabytes} MB of hugepages can't be had; free some memory, or do "
                               "without: --no-huge")
        yield
    finally:
        if lacking > 0:
            pages_set(before)


def pages_set(count):
    try:
        with open(PAGES, "w", encoding="ascii") as file:
            file.write(str(count))
    except OSError as error:
        raise RuntimeError(f"no hugepages can be reserved ({error}); be root, or do without: "
                           "--no-huge") from None


def describe(cpu):
    """For the head of bench.json."""
    info = cpuinfo()
    flags = info.get("flags", "").split()
    report = aead.run(cpu, "--benchmark_filter=^encrypt", "--engines=auto,direct", "--lengths=64",
                      "--keys=1", "--key_bits=128", "--samples=1")
    engines = report["benchmarks"][0]["label"].split("; ")
    return {
        "cpu": info.get("model name", ""),
        "family": int(info.get("cpu family", 0)), "model": int(info.get("model", 0)),
        "cores": os.cpu_count(), "core": cpu,
        "virtual": "hypervisor" in flags,
        "features": [flag for flag in FEATURES if flag in flags],
        "caches": [f"L{cache['level']} {cache['type']} {cache['size'] // 1024} KiB"
                   for cache in report["context"]["caches"]],
        "tsc_hz": int(report["context"]["tsc_hz"]), "core_hz": int(report["context"]["core_hz"]),
        "kernel": platform.release(), "hugepages": field("/proc/meminfo", "HugePages_Total"),
        "commit": output("git", "describe", "--always", "--dirty"),
        "compiler": output("cc", "--version").partition("\n")[0],
        "dpdk": output("pkg-config", "--modversion", "libdpdk"),
        "engine": engines[0], "reference": engines[1] if len(engines) > 1 else "",
        "load": os.getloadavg()[0],
    }


class Noise:
    """The same work again and again, from the start of a run to its end: how much its figure varies
    is how much any other may."""

    def __init__(self, cpu):
        self.cpu = cpu
        self.samples = []

    def sample(self):
        report = aead.run(self.cpu, "--benchmark_filter=^encrypt", "--engines=direct",
                          "--lengths=1420", "--keys=1", "--key_bits=128", "--samples=5")
        self.samples.append(next(aead.results(report))[4]["direct"][1])

    def describe(self):
        ordered = sorted(self.samples)
        median = ordered[len(ordered) // 2]
        return {"what": "IPsec-MB called directly, 1420 bytes, 1 key, between the other runs",
                "samples": len(ordered), "cycles": [ordered[0], median, ordered[-1]],
                "spread": (ordered[-1] - ordered[0]) / median}
