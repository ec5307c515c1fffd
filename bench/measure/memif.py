# SPDX-License-Identifier: BSD-3-Clause
"""The whole walk on memif: a generator beside it sends into one interface and takes what comes out of
the other, from another core and in another process.

How much comes is up to the generator's core, so a packet's cycles are those of polls that found some, by
the program's own count, and Mpps is what got through.
"""

import os
import re
import statistics
import tempfile
import time
from contextlib import ExitStack

from . import aead, traffic
from .programs import (BUFFERS, PATIENCE, DpdkProgram, Kaido, ProgramError, eal_memory,
                       memory_of, null_outputs, pcap_inputs, room_of)
from .walk import AEAD_SAMPLES, check, record

SETTLE = 0.1
MTU = 1500  # net_memif's largest
MOST = 1420  # bytes of an inner packet that fits with its ESP, and a round number
CYCLES = re.compile(r"CPU cycles/packet=([\d.]+) \(total cycles=(\d+) / total \w+ packets=(\d+)\)")


def memif(number, role, folder):
    """Device arguments of interface 0 (to receive from) or 1 (to send to) of the gateway's side."""
    mac = f",mac=02:70:63:61:70:0{number}" if role == "server" else ""
    return (f"net_memif{number},role={role},id={number},"
            f"socket={os.path.join(folder, 'memif')},socket-abstract=no{mac}")


def takes(shape):
    """What fits into its frames, and has one port on each side."""
    return (shape.size != traffic.IMIX and shape.size <= MOST and
            traffic.ports_of(shape) == 1)


class Generator(DpdkProgram):
    """testpmd on another core: captures into memif 0, and memif 1 into nothing."""

    name = "generator"

    def __init__(self, place, shape, captures, folder):
        super().__init__(place.main_cpu)
        buffers, memory = memory_of(shape)
        ends = [memif(number, "client", folder) for number in (0, 1)]
        self.command = ["dpdk-testpmd", "--lcores", f"0@{self.cpu},1@{self.cpu}",
                        *eal_memory(place, memory)]
        for device in (*pcap_inputs(captures), *ends, *null_outputs(1)):
            self.command += ["--vdev", device]
        self.command += ["--", "--forward-mode=io", "--burst=64", "--nb-cores=1", "--no-flush-rx",
                         f"--total-num-mbufs={buffers}", f"--mbuf-size={room_of(shape)[0] + 128}"]
        self.outputs = [3]

    def start(self):
        self.spawn(self.command)
        return self


class Pair:
    """The gateway (or what stands in its place) and its generator, let run and stopped together."""

    def __init__(self, taker, generator):
        self.taker, self.generator = taker, generator

    def turn(self, seconds):
        """(cycles a packet, packets a second)"""
        self.generator.resume()
        self.taker.resume()
        time.sleep(SETTLE)
        before, begin = self.taker.count(), time.monotonic()
        packets = 0
        while packets == 0:
            if time.monotonic() > begin + PATIENCE:
                raise ProgramError(f"{self.taker.name}: nothing comes by memif")
            time.sleep(seconds)
            after, end = self.taker.count(), time.monotonic()
            packets, cycles = (b - a for a, b in zip(before, after))
        self.taker.pause()
        self.generator.pause()
        return cycles / packets, packets / (end - begin)


class MemifKaido(Kaido):
    def count(self):
        return self.worker()[:2]

    def start(self):
        self.configure()
        return self


class MemifTestpmd(DpdkProgram):
    """The floor; it tells its cycles when it is told to stop forwarding."""

    name = "testpmd"

    def __init__(self, place, shape, folder):
        super().__init__(place.cpu)
        ends = [memif(number, "server", folder) for number in (0, 1)]
        self.total = (0, 0)
        self.outputs = [1]
        self.command = ["stdbuf", "-oL", "dpdk-testpmd", "--lcores",
                        f"0@{place.main_cpu},1@{place.cpu}",
                        *eal_memory(place, memory_of(shape)[1])]
        for device in ends:
            self.command += ["--vdev", device]
        self.command += ["--", "-i", "--forward-mode=io", "--burst=64", "--nb-cores=1",
                         "--no-flush-rx", "--record-core-cycles",
                         f"--total-num-mbufs={2 * BUFFERS}", f"--mbuf-size={room_of(shape)[0] + 128}"]

    def wait_for_packets(self):
        """It has none before its generator is there."""

    def start(self):
        self.spawn(self.command)
        self.say("start")
        return self

    def say(self, words):
        self.process.stdin.write(words.encode() + b"\n")
        self.process.stdin.flush()

    def count(self):
        """What the last start .. stop took, added up; and on it goes."""
        told = len(CYCLES.findall(self.words()))
        self.say("stop")
        deadline = time.monotonic() + PATIENCE
        while len(CYCLES.findall(self.words())) == told:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise ProgramError(f"{self.name} tells no cycles:\n{self.words()[-1000:]}")
            time.sleep(0.005)
        _, cycles, packets = CYCLES.findall(self.words())[-1]
        self.total = (self.total[0] + int(packets), self.total[1] + int(cycles))
        self.say("start")
        return self.total

    def words(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()


def measure(arguments, shape, folder):
    """The records of one shape that takes() says yes to."""
    captures = traffic.write_captures(shape, folder)
    if arguments.check:
        check(shape, arguments.options)
    turns = {"kaido": [], "testpmd": [], "aead": []}
    with ExitStack() as stack:
        pairs = []
        for make in (ours, floor):
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="kaido-bench-"))
            taker = stack.enter_context(make(arguments, shape, place)).start()
            generator = stack.enter_context(Generator(arguments.place, shape, captures, place)).start()
            taker.pause()
            pairs.append(Pair(taker, generator))
        kaido = pairs[0].taker
        for _ in range(arguments.repeats):
            for pair in pairs:
                turns[pair.taker.name].append(pair.turn(arguments.seconds))
            turns["aead"].append(aead.alone(arguments.place.cpu, shape, AEAD_SAMPLES))
        lost, hz = sum(kaido.drops().values()), kaido.tsc_hz
    cycles = [cycles for cycles, _ in turns["kaido"]]
    one = record(shape, "memif", "memif", cycles, hz, aead=statistics.median(turns["aead"]),
                 io=statistics.median(cycles for cycles, _ in turns["testpmd"]))
    one["mpps"] = statistics.median(rate for _, rate in turns["kaido"]) / 1e6
    one["gbps"] = one["mpps"] * traffic.mean_size(shape.size) * 8 / 1e3
    one["lost"] = lost
    return [one]


def ours(arguments, shape, folder):
    ends = [memif(number, "server", folder) for number in (0, 1)]
    return MemifKaido(arguments.place, shape, ends[:1], ends[1:],
                      [*arguments.options, "--idle-sleep", "0", "--mtu", str(MTU)])


def floor(arguments, shape, folder):
    return MemifTestpmd(arguments.place, shape, folder)
