# SPDX-License-Identifier: BSD-3-Clause
"""Runs one kaido-dataplane on made-up ports and tells what came of the packets.

    with Gateway() as gateway:
        gateway.pcap_port("lan", frames)        # what this port receives
        gateway.pcap_port("wan", [])
        gateway.start()                         # holds its packets back until the first COMMIT
        gateway.client.transaction(config.records)
        gateway.drain()                         # until every frame went through, by counters
        gateway.stop()
        gateway.sent("wan"); gateway.tenant_drops(1)

Counters may be read after stop(): they are mapped.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import kaido_abi as abi
from .pcap import read_pcap, write_pcap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.environ.get("KAIDO_BUILD", os.path.join(ROOT, "build"))
PROGRAM = os.path.join(BUILD, "dataplane", "kaido-dataplane")
ENVIRONMENT = dict(  # for a build with sanitizers
    os.environ, ASAN_OPTIONS="fast_unwind_on_malloc=0", UBSAN_OPTIONS="print_stacktrace=1",
    LSAN_OPTIONS="print_suppressions=0:suppressions=" + os.path.join(
        ROOT, "tests", "harness", "lsan.supp"))
PATIENCE = 120  # seconds until a wait is given up; never an expectation


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class GatewayError(Exception):
    pass


def die_with_parent():
    """In the child: a harness that is killed outright leaves no dataplane polling."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def leave(number, _frame):
    """A signal ends the harness by way of its clean-up."""
    sys.exit(128 + number)


class Gateway:
    def __init__(self, *arguments, hold=True, huge=False):
        """Tests do without hugepages, which a machine need not have."""
        signal.signal(signal.SIGTERM, leave)
        self.folder = tempfile.mkdtemp(prefix="kaido-gateway-")
        self.socket = os.path.join(self.folder, "southbound")
        self.log = os.path.join(self.folder, "log")
        self.arguments = list(arguments) + (["--hold"] if hold else [])
        self.memory = [] if huge else ["--no-huge", "--memory", "512"]
        self.program = PROGRAM
        self.devices = {}  # port name: device arguments
        self.input = {}  # port name: frames that it will receive
        self.environment = {}  # beside the harness's own
        self.process = None
        self.client = None
        self.counters = None
        self.reasons = {}
        self.ports = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process:
                self._end()
            if kind:
                self.print_log()
        finally:
            if self.client:
                self.client.close()
            if self.counters:
                self.counters.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # Ports, before start()

    def port(self, name, device):
        """Any DPDK device arguments."""
        self.devices[name] = device

    def pcap_port(self, name, frames):
        """A port that receives these frames and writes what it sends to a capture."""
        received, sent = self._captures(name)
        self.input[name] = write_pcap(received, (bytes(frame) for frame in frames))
        self.devices[name] = f"net_pcap{len(self.devices)},rx_pcap={received},tx_pcap={sent}"

    def pcap_file_port(self, name, path, frames):
        """As pcap_port(), from a capture that is there already, of so many frames."""
        self.input[name] = frames
        self.devices[name] = (f"net_pcap{len(self.devices)},rx_pcap={path},"
                              f"tx_pcap={self._captures(name)[1]}")

    def _captures(self, name):
        return (os.path.join(self.folder, f"{name}.in.pcap"),
                os.path.join(self.folder, f"{name}.out.pcap"))

    # Life

    def start(self):
        command = [self.program, "--socket", self.socket, *self.memory, "--idle-sleep", "100",
                   *self._cpus()]
        for name, device in self.devices.items():
            command += ["--port", f"{name}={device}"]
        with open(self.log, "ab") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(command + self.arguments, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log,
                                            env=ENVIRONMENT | self.environment,
                                            preexec_fn=die_with_parent)
        self.client = self._connect()
        self.reasons = self.client.reasons()
        self.ports = {port.name.decode(): port for port in self.client.dump("port")}
        self.counters = self.client.counters()

    def _cpus(self):
        if "--workers" in self.arguments:
            return []
        cpus = sorted(os.sched_getaffinity(0))
        return ["--main-cpu", str(cpus[0]), "--workers", str(cpus[-1])]

    def _connect(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.process.poll() is not None:
                raise GatewayError(f"kaido-dataplane ended with {self.process.returncode}")
            try:
                return abi.Client(self.socket, timeout=PATIENCE)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise GatewayError("kaido-dataplane does not answer") from None
                time.sleep(0.02)

    def stop(self):
        """SIGTERM; raises unless it ends in order."""
        status = self._end()
        if status != 0:
            raise GatewayError(f"kaido-dataplane ended with {status}")
        with open(self.log, encoding="utf-8", errors="replace") as file:
            if "Sanitizer" in file.read():
                raise GatewayError("a sanitizer complained")

    def _end(self):
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "SIGKILL, for it did not stop"

    def print_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            sys.stdout.write("".join(f"    | {line}" for line in file.readlines()[-60:]))
        sys.stdout.flush()

    # Waiting by counters

    def wait(self, what, condition, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            if self.process.poll() is not None:
                raise GatewayError(f"kaido-dataplane ended with {self.process.returncode}")
            if time.monotonic() > deadline:
                raise GatewayError(f"waited in vain until {what}")
            time.sleep(0.01)

    def received(self, name):
        return self.counters.sum("port", self.ports[name].index)["rx_packets"]

    def transmitted(self, name):
        return self.counters.sum("port", self.ports[name].index)["tx_packets"]

    def drain(self):
        """Until every frame was taken from the ports and the workers have polled again since:
        a poll carries its burst to the end. Then until nothing is in flight on the main lcore."""
        for name, frames in self.input.items():
            self.wait(f"{name} took its {frames} frames",
                      lambda name=name, frames=frames: self.received(name) >= frames)
        before = self.counters.polls()
        self.wait("the workers polled again", lambda: all(
            now >= then + 2 for now, then in zip(self.counters.polls(), before)))
        tenants = [0] + [tenant.id for tenant in self.client.dump("tenant")]
        self.wait("every packet is accounted for", lambda: all(
            self.in_flight(tenant) == 0 for tenant in tenants))

    # What became of the packets

    def sent(self, name):
        """Frames that a pcap port sent, after stop()."""
        return list(read_pcap(self.sent_path(name)))

    def sent_path(self, name):
        return self._captures(name)[1]

    def mac(self, name):
        return ":".join(f"{byte:02x}" for byte in self.ports[name].mac)

    def tenant(self, number):
        return self.counters.sum("tenant", number)

    def tenant_drops(self, number):
        return self.counters.drops("tenant_drops", number, self.reasons)

    def port_drops(self, name):
        return self.counters.drops("port_drops", self.ports[name].index, self.reasons)

    def in_flight(self, number):
        """in - out - local - drops of a tenant: 0 once all its packets have left."""
        row = self.tenant(number)
        return (row["in_packets"] + row["fragments"] - row["out_packets"] - row["local_packets"]
                - sum(self.tenant_drops(number).values()))
