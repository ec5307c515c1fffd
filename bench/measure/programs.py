# SPDX-License-Identifier: BSD-3-Clause
"""Programs that take packets from ports and send them to others, as many at a time as are compared.

All of them are started, then stopped (SIGSTOP), and let run one after another for a fraction of a
second, several times in turn: so each meets the same machine. What runs is pinned to one core, takes
its packets from net_pcap devices that repeat a capture and sends them to net_null; a packet's cycles
are those that went by between two readings of the count of packets sent, less the time in which the
scheduler had given the core to somebody else.
"""

import glob
import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections import namedtuple

from harness.gateway import Gateway, GatewayError, die_with_parent
from . import traffic

SETTLE = 0.05  # seconds from waking up to measuring
PATIENCE = 60
PIECES = 10  # of a turn
STAGES = ["rx", "route", "encap", "encrypt", "sad", "decrypt", "decap", "forward", "tx", "other",
          "loop"]
BUFFERS = 8192  # beside those that hold the captures


class ProgramError(Exception):
    pass


# Where programs run: the core that is measured, the core for all else, and whether on hugepages.
Place = namedtuple("Place", "cpu main_cpu huge")


class Reading:
    """
    What went by between two readings of a program. The kernel tells of a wait for the core when it is over,
    so one that had begun before is in it; where waits are long they are left in the time.
    """

    def __init__(self, before, after):
        seconds, waited_for, self.packets = (b - a for a, b in zip(before, after))
        self.seconds = seconds - waited_for if waited_for < seconds / 10 else seconds


def threads_on(pid, cpu):
    """Threads that may run on this core only."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            if os.sched_getaffinity(int(task)) == {cpu}:
                found.append(int(task))
        except OSError:
            pass
    return found


def waited(pid, threads):
    """Seconds in which these threads wanted to run and did not."""
    total = 0
    for task in threads:
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
            total += int(stat.read().split()[1])
    return total / 1e9


class Program:
    """`name` is what tables call it. Used as a context; start() lets it come up and stops it."""

    name = "program"

    def __init__(self, cpu):
        self.cpu = cpu
        self.pid = None
        self.threads = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        raise NotImplementedError

    def packets(self):
        """Sent so far."""
        raise NotImplementedError

    def wait_for_packets(self):
        deadline = time.monotonic() + PATIENCE
        while self.packets() == 0:
            if time.monotonic() > deadline:
                raise ProgramError(f"{self.name} sends nothing")
            time.sleep(0.05)
        self.threads = threads_on(self.pid, self.cpu)
        self.pause()

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def now(self):
        begin = time.monotonic()
        packets = self.packets()
        return (begin + time.monotonic()) / 2, waited(self.pid, self.threads), packets

    def wait(self, seconds):
        time.sleep(seconds)

    def run(self, seconds):
        """One turn; a longer one where others hold the core for so long that nothing is sent."""
        self.resume()
        time.sleep(SETTLE)
        before = self.now()
        deadline = time.monotonic() + PATIENCE
        while True:
            self.wait(seconds)
            reading = Reading(before, self.now())
            if reading.packets > 0:
                self.pause()
                return reading
            if time.monotonic() > deadline:
                raise ProgramError(f"{self.name} sends nothing any more")


class Kaido(Program):
    name = "kaido"

    def __init__(self, place, shape, inputs, outputs, options=()):
        """Devices to receive from and to send to: as many as the shape has ports."""
        super().__init__(place.cpu)
        self.shape = shape
        self.stages = []
        room, mtu = room_of(shape)
        buffers, memory = memory_of(shape)
        self.gateway = Gateway("--mbufs", str(buffers), "--mbuf-size", str(room), "--mtu", str(mtu),
                               "--memory", str(memory), "--main-cpu", str(place.main_cpu),
                               "--workers", str(place.cpu), *options, huge=place.huge)
        lans = [f"lan{number}" for number in range(traffic.ports_of(shape))]
        receiving, self.outputs = (["wan"], lans) if shape.direction == "in" else (lans, ["wan"])
        for name, device in zip(receiving + self.outputs, inputs + outputs):
            self.gateway.port(name, device)

    def configure(self):
        try:
            self.gateway.start()
        except GatewayError as error:
            with open(self.gateway.log, encoding="utf-8", errors="replace") as log:
                raise ProgramError(f"{error}; its last words:\n" + log.read()[-2000:]) from None
        self.pid = self.gateway.process.pid
        # In one: packets are held back until the first transaction is over.
        self.gateway.client.transaction(traffic.configuration(self.shape._replace(size=0)))

    def start(self):
        self.configure()
        self.wait_for_packets()
        return self

    def end(self):
        if self.gateway.process and self.gateway.process.poll() is None:
            self.resume()
        self.gateway.__exit__(None)

    def packets(self):
        return sum(self.gateway.transmitted(name) for name in self.outputs)

    def worker(self):
        """(packets, cycles of the polls that found some)"""
        row = self.gateway.counters.row("worker", 0, 1)
        return row.packets, row.busy_cycles

    def wait(self, seconds):
        """In pieces, so that what disturbs one does not disturb what is said of the stages."""
        for _ in range(PIECES):
            before = self.sampled()
            time.sleep(seconds / PIECES)
            packets, *cycles = (b - a for a, b in zip(before, self.sampled()))
            if packets:
                self.stages.append([of_stage / packets for of_stage in cycles])

    def sampled(self):
        """Packets of the polls that were measured by stages, and the stages' cycles."""
        row = self.gateway.counters.row("worker", 0, 1)
        return [row.sampled_packets, *row.stage_cycles]

    def stage_cycles(self):
        """A packet's, by stage: medians of all pieces so far."""
        medians = map(statistics.median, zip(*self.stages))
        return {name: cycles for name, cycles in zip(STAGES, medians) if cycles}

    def drops(self):
        found = {}
        counters = self.gateway.counters
        rows = [("tenant_drops", tenant) for tenant in range(self.shape.tenants + 1)]
        rows += [("port_drops", port.index) for port in self.gateway.ports.values()]
        for table, row in rows:
            for reason, count in counters.drops(table, row, self.gateway.reasons).items():
                found[reason] = found.get(reason, 0) + count
        return {reason: count for reason, count in found.items() if count}

    @property
    def tsc_hz(self):
        return self.gateway.counters.header.tsc_hz


def room_of(shape):
    """(bytes of a buffer, MTU) that hold its packets in one piece with their ESP around them."""
    largest = 1518 if shape.size == traffic.IMIX else shape.size
    return (2048, 1700) if largest <= 1600 else (9728, 9200)


class Telemetry:
    """The socket that every DPDK program has."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = None

    def connect(self, process, name):
        deadline = time.monotonic() + PATIENCE
        while True:
            paths = glob.glob(os.path.join(self.folder, "**", "dpdk_telemetry.v2"), recursive=True)
            if process.poll() is not None:
                raise ProgramError(f"{name} ended with {process.returncode}")
            try:
                if paths:
                    self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    self.socket.settimeout(PATIENCE)
                    self.socket.connect(paths[0])
                    self.socket.recv(65536)
                    return
            except (ConnectionRefusedError, FileNotFoundError):
                self.socket.close()
            if time.monotonic() > deadline:
                raise ProgramError(f"{name} has no telemetry socket")
            time.sleep(0.05)

    def ask(self, command):
        try:
            self.socket.sendall(command.encode())
            return next(iter(json.loads(self.socket.recv(1 << 20)).values()))
        except (OSError, ValueError) as error:
            raise ProgramError(f"no answer to {command} ({error})") from None

    def close(self):
        if self.socket:
            self.socket.close()


class DpdkProgram(Program):
    """A program of DPDK's, on net_pcap devices 0 .. and net_null devices behind them."""

    def __init__(self, cpu):
        super().__init__(cpu)
        self.folder = tempfile.TemporaryDirectory(prefix="kaido-bench-")
        self.log = os.path.join(self.folder.name, "log")
        self.telemetry = Telemetry(self.folder.name)
        self.process = None
        self.outputs = []

    def spawn(self, command, environment=None):
        with open(self.log, "wb") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log,
                env=dict(os.environ, RUNTIME_DIRECTORY=self.folder.name, **(environment or {})),
                preexec_fn=die_with_parent)
        self.pid = self.process.pid
        try:
            self.telemetry.connect(self.process, self.name)
            self.wait_for_packets()
        except ProgramError as error:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise ProgramError(f"{error}; its last words:\n" + log.read()[-2000:]) from None

    def packets(self):
        """A port that is not started yet has no numbers."""
        answers = [self.telemetry.ask(f"/ethdev/stats,{port}") for port in self.outputs]
        return sum(answer["opackets"] for answer in answers if answer)

    def end(self):
        self.telemetry.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process:
            self.process.stdin.close()
        self.folder.cleanup()


def pcap_inputs(captures):
    return [f"net_pcap{number},rx_pcap={path},infinite_rx=1"
            for number, path in enumerate(captures)]


def null_outputs(count):
    """They would make frames up if they might."""
    return [f"net_null{number},no-rx=1" for number in range(count)]


def devices(captures):
    """Ports 0, 2, .. receive, and 1, 3, .. send."""
    pairs = zip(pcap_inputs(captures), null_outputs(len(captures)))
    return [device for pair in pairs for device in pair]


def memory_of(shape):
    """(packet buffers, megabytes that they and the rest need)"""
    buffers = traffic.frames_of(shape) + 2 * BUFFERS
    return buffers, 192 + buffers * (room_of(shape)[0] + 320) // (1 << 20)


def eal_memory(place, memory):
    """EAL's options for so many megabytes; ordinary ones are not to be had later, and cost nothing."""
    if place.huge:
        return ["--in-memory", "--no-pci", "-m", str(memory)]
    return ["--no-huge", "--no-pci", "-m", str(2 * memory)]


class Testpmd(DpdkProgram):
    """The floor: takes and sends, in bursts as large as kaido's, and looks at nothing."""

    name = "testpmd"

    def __init__(self, place, shape, captures):
        super().__init__(place.cpu)
        buffers, memory = memory_of(shape)
        self.command = ["dpdk-testpmd", "--lcores", f"0@{place.main_cpu},1@{place.cpu}",
                        *eal_memory(place, memory)]
        for device in devices(captures):
            self.command += ["--vdev", device]
        self.command += ["--", "--forward-mode=io", "--burst=64", "--nb-cores=1", "--no-flush-rx",
                         f"--total-num-mbufs={buffers}", f"--mbuf-size={room_of(shape)[0] + 128}"]
        self.outputs = range(1, 2 * len(captures), 2)

    def start(self):
        self.spawn(self.command)
        return self


class Secgw(DpdkProgram):
    """DPDK's example gateway. It knows no tenants, and 1,024 policies at most."""

    name = "secgw"
    MOST_SAS = 1000

    def __init__(self, place, shape, captures, program, library=None):
        super().__init__(place.cpu)
        buffers, memory = memory_of(shape)
        path = os.path.join(self.folder.name, "secgw.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in secgw_configuration(shape))
        self.command = [program, "-l", str(place.cpu), *eal_memory(place, memory),
                        "--vdev", "crypto_aesni_gcm0"]
        for device in devices(captures):
            self.command += ["--vdev", device]
        room, mtu = room_of(shape)
        self.command += ["--", "-p", "0x3", "-P", "-u", "0x1" if shape.direction == "in" else "0x2",
                         "-s", str(buffers), "-j", str(room + 128), "--mtu", str(mtu),
                         f"--config=(0,0,{place.cpu})", "-f", path]
        self.environment = {"LD_LIBRARY_PATH": library} if library else {}
        self.outputs = [1]

    @staticmethod
    def takes(shape):
        return shape.tenants == 1 and shape.sas <= Secgw.MOST_SAS and shape.key_bits != 0

    def start(self):
        self.spawn(self.command, self.environment)
        return self


def secgw_tunnel(direction, sa, bits, inner):
    side = "dst" if direction == "out" else "src"
    ends = (traffic.LOCAL, traffic.REMOTE) if direction == "out" else (traffic.REMOTE, traffic.LOCAL)
    key = (sa.key + sa.salt).hex(":")
    yield (f"sp ipv4 {direction} esp protect {sa.spi} pri 1 {side} {inner}/32 "
           "sport 0:65535 dport 0:65535")
    yield (f"sa {direction} {sa.spi} aead_algo aes-{bits}-gcm aead_key {key} "
           f"mode ipv4-tunnel src {ends[0]} dst {ends[1]}")


def secgw_configuration(shape):
    """One policy and SA a tunnel, as kaido has them. It wants one of the other direction, too."""
    bits = shape.key_bits
    for i in range(1, shape.sas + 1):
        yield from secgw_tunnel(shape.direction, traffic.sa_of(i, bits), bits,
                                traffic.address(traffic.target(i)))
    other = "in" if shape.direction == "out" else "out"
    yield from secgw_tunnel(other, traffic.sa_of(0, bits), bits, "192.0.2.255")
    outer = traffic.REMOTE if shape.direction == "out" else traffic.address(traffic.STATION)
    yield f"rt ipv4 dst {outer}/32 port 1"
    yield "neigh port 1 02:00:00:00:00:02"
