# SPDX-License-Identifier: BSD-3-Clause
"""What makes the traffic and counts what comes back: Pktgen-DPDK, or dpdk-testpmd where there is no Pktgen.

Port 0 of a generator sends, port 1 receives.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests"))

from harness.gateway import die_with_parent  # noqa: E402

LINK_SECONDS = 30
PATIENCE = 120
DRAIN_SECONDS = 0.5  # without a frame, and all have arrived
FCS = 4  # bytes that are part of a frame and not of what DPDK sends
PROMPT = "testpmd> "
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class GeneratorError(Exception):
    pass


def lua_value(value):
    """As Lua writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {lua_value(item)}" for key, item in value.items()) + " }"
    return "{ " + ", ".join(lua_value(item) for item in value) + " }"


class Pktgen:
    """One run of main.lua. `eal` are the arguments that name its CPUs, memory and two ports."""

    name = "pktgen"

    def __init__(self, program, folder, eal, matrix):
        self.folder = folder
        self.program = Program([program, *eal, "--", "-P", "-m", matrix, "-f", os.path.join(HERE, "main.lua")],
                               folder)

    def run(self, settings, on_record, shares_cpus=False):
        """Calls on_record with each record as it comes; returns the last one."""
        output, path = (os.path.join(self.folder, name) for name in ("records", "settings.lua"))
        settings = dict(settings, sender=0, receiver=1, output=output, link_seconds=LINK_SECONDS,
                        samples_file=os.path.join(self.folder, "samples"),
                        commands_file=os.path.join(self.folder, "sequence.pkt"))
        with open(path, "w", encoding="utf-8") as file:
            file.write("return " + lua_value(settings) + "\n")
        open(output, "wb").close()
        with self.program:
            self.program.start(KAIDO_PKTGEN=path, TERM="dumb")
            return self._follow(self.program.process, output, on_record, shares_cpus)

    def _follow(self, process, output, on_record, shares_cpus):
        last, ended = None, False
        with open(output, encoding="utf-8") as file:
            text = ""
            while not ended:
                ended = process.poll() is not None
                if shares_cpus:
                    yield_timer(process.pid)
                text += file.read()
                *lines, text = text.split("\n")
                for line in lines:
                    last = json.loads(line)
                    on_record(last)
                    ended = ended or last["kind"] in ("end", "error")
                time.sleep(0.1)
        if last is None or last["kind"] not in ("end", "error"):
            raise GeneratorError(f"Pktgen ended with {process.returncode}:\n{self.program.log()}")
        if last["kind"] == "error":
            raise GeneratorError(f"in Pktgen: {last['message']}")
        return last


def yield_timer(pid):
    """Pktgen's once-a-second timer is a thread that spins. Where CPUs are few, it stands back."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii", errors="replace") as file:
                comm = file.read().strip()
            if int(task) != pid and not re.match(r"(lcore|dpdk|rte|eal|memif)", comm):
                os.setpriority(os.PRIO_PROCESS, int(task), 19)
        except OSError:
            pass  # it has ended


class Testpmd:
    """dpdk-testpmd, sending in one process and receiving in another: as fast as it goes, one flow, no tags, no
    rates, no latency."""

    name = "testpmd"

    def __init__(self, program, folder, sender_eal, receiver_eal, gateway_mac):
        common = ["--", "-i", "--total-num-mbufs=8192"]
        self.sender = Program([program, *sender_eal, *common, "--forward-mode=txonly",
                               f"--eth-peer=0,{gateway_mac}", "--tx-ip=198.18.0.10,198.19.0.10",
                               "--tx-udp=1024,5001"], folder)
        self.receiver = Program([program, *receiver_eal, *common, "--forward-mode=rxonly"], folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sender.stop()
        self.receiver.stop()

    def start(self):
        deadline = time.monotonic() + LINK_SECONDS
        for program in (self.sender, self.receiver):
            program.start()
            program.wait_for(PROMPT)
        for program in (self.sender, self.receiver):
            while "Link status: up" not in program.ask("show port info 0"):
                if time.monotonic() > deadline:
                    raise GeneratorError(f"a port of testpmd has no link:\n{program.log()}")
                time.sleep(0.1)
        self.receiver.ask("start")

    def run(self, size, seconds):
        """A trial at full speed. `size` with FCS."""
        self.sender.ask(f"set txpkts {size - FCS}")
        sent, received = self._counts()
        begin = time.monotonic()
        self.sender.ask("start")
        time.sleep(seconds)
        self.sender.ask("stop")
        elapsed = time.monotonic() - begin
        after = self._settled()
        sent, received = after[0] - sent, after[1] - received
        return {"sent": sent, "received": received, "seconds": elapsed, "offered": sent / elapsed,
                "forwarded": received / elapsed, "loss": (sent - received) / sent if sent else 1}

    def _counts(self):
        return (count(self.sender.ask("show port stats 0"), "TX-packets"),
                count(self.receiver.ask("show port stats 0"), "RX-packets"))

    def _settled(self):
        """Counts, once nothing has come any more for a while."""
        deadline = time.monotonic() + PATIENCE
        counts = self._counts()
        while time.monotonic() < deadline:
            time.sleep(DRAIN_SECONDS)
            last, counts = counts, self._counts()
            if counts == last:
                break
        return counts


def count(text, what):
    return int(re.search(rf"{what}: *(\d+)", text).group(1))


class Program:
    """A program at a terminal of its own: Pktgen does not start without, testpmd does not answer at once."""

    def __init__(self, command, folder):
        self.command, self.folder = command, folder
        self.process = self.reader = self.terminal = None
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, **environment):
        self.terminal, its = os.openpty()
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(self.command, stdin=its, stdout=its, stderr=its, cwd=self.folder,
                                        env=dict(os.environ, **environment), start_new_session=True,
                                        preexec_fn=die_with_parent)
        os.close(its)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        try:
            while data := os.read(self.terminal, 4096):
                self.text += ESCAPE.sub("", data.decode(errors="replace"))
        except OSError:
            pass  # EIO: the last program at this terminal has ended

    def ask(self, command):
        """What it answers, up to the next prompt."""
        begin = len(self.text)
        os.write(self.terminal, command.encode() + b"\n")
        return self.wait_for("\n" + PROMPT, begin)

    def wait_for(self, ending, begin=0):
        deadline = time.monotonic() + PATIENCE
        while not self.text[begin:].endswith(ending):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise GeneratorError(f"{self.command[0]} does not answer:\n{self.log()}")
            time.sleep(0.01)
        return self.text[begin:]

    def log(self):
        return self.text[-3000:]

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.reader.join()
            os.close(self.terminal)
            self.process = None


def find(kind, program=None):
    """The program of a generator, or None."""
    if program:
        return shutil.which(program)
    return shutil.which({"pktgen": "pktgen", "testpmd": "dpdk-testpmd"}[kind])
