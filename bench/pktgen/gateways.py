# SPDX-License-Identifier: BSD-3-Clause
"""The gateways under test: their configuration, and their processes where they run on this machine.

    encrypt   generator 0 ── lan [A] wan ── generator 1
    tunnel    generator 0 ── lan [A] wan ── wan [B] lan ── generator 1

Addresses are those of RFC 2544 appendix C.2.2. Every tenant has the same ones and a VLAN of its own. Site
n of a tenant sends from 198.18.n.0/24 to 198.19.n.0/24, through tunnel n of that tenant.
"""

import json
import os
import secrets
import subprocess
import sys
import time

import yaml

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from harness.gateway import die_with_parent  # noqa: E402

BUILD = os.environ.get("KAIDO_BUILD", os.path.join(ROOT, "build"))
PATIENCE = 120  # seconds until a start is given up
MACS = {"generator0": "02:00:00:00:10:00", "generator1": "02:00:00:00:10:01",
        "A.lan": "02:00:00:00:0a:01", "A.wan": "02:00:00:00:0a:02",
        "B.lan": "02:00:00:00:0b:01", "B.wan": "02:00:00:00:0b:02"}
WAN = {"A": "192.0.2.1", "B": "192.0.2.2"}
WAN_MTU = 1700  # of real ports: the largest frame of a tenant fits with everything that ESP adds
TENANTS_MOST, TUNNELS_MOST = 3994, 128  # VLANs from 101 on; networks in half of 198.18.0.0/16
NAMES = {"encrypt": ["A"], "tunnel": ["A", "B"]}
LAST = {"encrypt": "A.wan", "tunnel": "B.lan"}  # the port that generator 1 is wired to


def vlan_of(tenant):
    return 100 + tenant


class Plan:
    """What is configured: so many tenants with so many tunnels each, and the keys of this run."""

    def __init__(self, topology, tenants=1, tunnels=1, key_bits=128, tagged=True, wan_mtu=None):
        if not 1 <= tenants <= TENANTS_MOST or not 1 <= tunnels <= TUNNELS_MOST:
            raise ValueError(f"1 to {TENANTS_MOST} tenants of 1 to {TUNNELS_MOST} tunnels can be had")
        if not tagged and tenants != 1:
            raise ValueError("without VLANs there is one tenant")
        self.topology, self.tenants, self.tunnels = topology, tenants, tunnels
        self.key_bits, self.tagged, self.wan_mtu = key_bits, tagged, wan_mtu
        self.names = NAMES[topology]
        self.macs = dict(MACS)
        self.secrets = {}

    def configuration(self, name):
        """Of one gateway, as kaidoctl takes it (docs/configuration.md)."""
        peer = "B" if name == "A" else "A"
        peer_mac = self.macs["generator1" if self.topology == "encrypt" else f"{peer}.wan"]
        wan = {"name": "wan", "port": "wan", "addresses": [WAN[name] + "/24"],
               "neighbours": [{"address": WAN[peer], "mac": peer_mac}]}
        if self.wan_mtu:
            wan["mtu"] = self.wan_mtu
        return {"version": 1, "underlay": [wan],
                "tenants": [self._tenant(name, peer, n) for n in range(1, self.tenants + 1)]}

    def _tenant(self, name, peer, number):
        own, far, generator = ((18, 19, "generator0") if name == "A" else (19, 18, "generator1"))
        lan = {"name": "lan", "port": "lan", "addresses": [f"198.{own}.255.1/24"],
               "neighbours": [{"address": f"198.{own}.255.2", "mac": self.macs[generator]}]}
        if self.tagged:
            lan["vlan"] = vlan_of(number)
        tunnels = []
        for site in range(self.tunnels):
            index = (number - 1) * self.tunnels + site
            tunnels.append({"name": f"site-{site}", "local": WAN[name], "remote": WAN[peer],
                            "networks": [f"198.{far}.{site}.0/24"],
                            "sas": [self._sa(peer, name, index, "in"),
                                    self._sa(name, peer, index, "out")]})
        return {"name": f"tenant-{number}", "attachments": [lan], "tunnels": tunnels,
                "routes": [{"prefix": f"198.{own}.0.0/17", "via": f"198.{own}.255.2"}]}

    def _sa(self, sender, receiver, index, direction):
        key, salt = self.secrets.setdefault((sender, receiver, index), (
            secrets.token_hex(self.key_bits // 8), secrets.token_hex(4)))
        spi = (0x10000000 if sender == "A" else 0x20000000) + index
        return {"direction": direction, "spi": spi, "key": key, "salt": salt}

    def write(self, folder):
        """gateway-A.yaml and so on; returns their paths by name."""
        paths = {}
        for name in self.names:
            paths[name] = os.path.join(folder, f"gateway-{name}.yaml")
            file = os.open(paths[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as out:
                yaml.safe_dump(self.configuration(name), out, sort_keys=False)
        return paths


class Gateway:
    """kaido-dataplane and kaidod of one gateway on this machine, in a folder of its own."""

    def __init__(self, name, folder, ports, cpus, options=()):
        self.name, self.folder = name, os.path.join(folder, name)
        os.makedirs(os.path.join(self.folder, "state"), mode=0o700)
        main, workers = cpus
        self.command = [os.path.join(BUILD, "dataplane/kaido-dataplane"),
                        "--socket", self._path("dataplane.sock"),
                        "--main-cpu", str(main), "--workers", str(workers), *options]
        for port, device in ports.items():
            self.command += ["--port", f"{port}={device}"]
        self.processes = []

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _start(self, name, command):
        with open(self._path(name + ".log"), "ab") as log:
            # pylint: disable=consider-using-with
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   preexec_fn=die_with_parent))

    def start(self):
        self._start("dataplane", self.command)
        self._start("kaidod", [
            os.path.join(BUILD, "control/kaidod"), "--state", self._path("state"),
            "--socket", self._path("kaidod.sock"), "--dataplane", self._path("dataplane.sock"),
            "--master-key", self._path("master.key")])

        self._wait(lambda: self.show("ports") and self.ports())

    def ports(self):
        return self.show("ports")["ports"]

    def apply(self, path):
        """Returns when the dataplane does what the file says."""
        done = self._kaidoctl("apply", path, "--yes")
        if done.returncode != 0:
            raise RuntimeError(f"gateway {self.name}: kaidoctl apply: {done.stdout}{done.stderr}")
        self._wait(lambda: self.show("status")["dataplane"].get("converged"))

    def _kaidoctl(self, *words):
        return subprocess.run([os.path.join(BUILD, "control/kaidoctl"), "--socket",
                               self._path("kaidod.sock"), *words], capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL)

    def show(self, *what):
        """What `kaidoctl show` tells; None if it can't be had."""
        done = self._kaidoctl("--json", "show", *what)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def _wait(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or any(p.poll() is not None for p in self.processes):
                raise RuntimeError(f"gateway {self.name} does not start:\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        text = ""
        for name in ("dataplane", "kaidod"):
            with open(self._path(name + ".log"), encoding="utf-8", errors="replace") as file:
                text += "".join(file.readlines()[-20:])
        return text

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
