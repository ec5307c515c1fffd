# SPDX-License-Identifier: BSD-3-Clause
"""kaidod and the fake dataplane in a folder of their own, and a client of the RPC socket."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402

WAIT = 300  # seconds; generous, since two cores may be shared
HERE = os.path.dirname(os.path.realpath(__file__))


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']} {json.dumps(error.get('data', ''))[:800]}")
        self.code, self.message = error["code"], error["message"]
        self.errors = (error.get("data") or {}).get("errors", [])


class Client:
    def __init__(self, path, timeout=WAIT):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")
        self.number = 0

    def close(self):
        self.file.close()
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def line(self):
        text = self.file.readline()
        if not text:
            raise EOFError("kaidod hung up")
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        self.raw(json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}).encode()
                 + b"\n")
        while True:
            answer = self.line()
            if answer.get("id") == self.number:
                break
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]


class World:
    def __init__(self, kaidod):
        self.kaidod_path = kaidod
        self.folder = tempfile.mkdtemp(prefix="kaidod-test-")
        os.chmod(self.folder, 0o711)
        self.state = self.path("state")
        self.kaidod = self.dataplane = None
        self.clients = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def close(self):
        for client in self.clients:
            client.close()
        self.stop_kaidod()
        self.stop_dataplane()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- processes --

    def start_kaidod(self, *options, wait=True):
        if "--vici" not in options:
            options = (*options, "--vici", "none")
        with open(self.path("kaidod.log"), "ab") as log:
            self.kaidod = subprocess.Popen(
                [self.kaidod_path, "--state", self.state, "--socket", self.path("rpc"), "--dataplane",
                 self.path("dataplane"), "--master-key", self.path("master.key"), "--sample-interval", "1",
                 *options], stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait("kaidod answers", self.answers)
        return self.kaidod

    def answers(self):
        if self.kaidod.poll() is not None:
            raise AssertionError("kaidod has ended:\n" + self.log())
        try:
            client = Client(self.path("rpc"))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        client.call("system.status")
        client.close()
        return True

    def stop(self, process, number):
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        process.wait(WAIT)

    def stop_kaidod(self, number=signal.SIGTERM):
        self.stop(self.kaidod, number)

    def start_dataplane(self, *options):
        self.dataplane = subprocess.Popen([sys.executable, os.path.join(HERE, "fake_dataplane.py"),
                                           self.path("dataplane"), *options], stdin=subprocess.DEVNULL)
        return self.dataplane

    def stop_dataplane(self, number=signal.SIGKILL):
        self.stop(self.dataplane, number)

    # -- asking --

    def client(self, name="rpc"):
        client = Client(self.path(name))
        self.clients.append(client)
        return client

    def call(self, method, **params):
        client = Client(self.path("rpc"))
        try:
            return client.call(method, **params)
        finally:
            client.close()

    def wait(self, what, condition, seconds=WAIT):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds} s for: {what}\n" + self.log())

    def converged(self):
        """kaidod may not have noticed yet that the dataplane that it had is gone."""
        try:
            with abi.Client(self.path("dataplane"), timeout=WAIT) as client:
                boot = client.hello_reply.boot
        except (FileNotFoundError, ConnectionError):
            return False
        status = self.call("system.status")["dataplane"]
        return status["converged"] and int(status["boot"], 16) == boot

    def wait_converged(self):
        self.wait("it converges", self.converged)

    def log(self):
        with open(self.path("kaidod.log"), errors="replace") as log:
            return log.read()[-4000:]


def key(number, size=16):
    return (0xa5000000000000000000000000000000 + number).to_bytes(16, "big").hex() + "5b" * (size - 16)


def sa(direction, spi, number, **more):
    return {"direction": direction, "spi": spi, "key": key(number), "salt": f"{number & 0xffffffff:08x}", **more}


def tunnel(name, number, **more):
    return {"name": name, "local": "192.0.2.1", "remote": f"198.51.{number >> 8 & 255}.{number & 255 or 1}",
            "networks": [f"10.{number >> 8 & 255}.{number & 255}.0/24"],
            "sas": [sa("in", 0x10000 + number, 2 * number), sa("out", 0x20000 + number, 2 * number + 1)], **more}


def tenant(name, vlan, tunnels, **more):
    return {"name": name, "attachments": [{"name": "dc", "port": "lan", "vlan": vlan,
                                           "addresses": ["172.31.0.1/24"]}], "tunnels": tunnels, **more}


def config(*tenants, **more):
    return {"version": 1, "underlay": [{"name": "wan0", "port": "wan", "addresses": ["192.0.2.1/24"]}],
            "tenants": list(tenants), **more}


class Case(unittest.TestCase):
    kaidod = None  # the program; run() sets it
    dataplane = True

    def setUp(self):
        self.world = World(self.kaidod)
        self.addCleanup(self.world.close)
        if self.dataplane:
            self.world.start_dataplane()
        self.world.start_kaidod()
        if self.dataplane:
            self.world.wait_converged()
        self.call = self.world.call

    def refused(self, code, method, **params):
        with self.assertRaises(RpcError) as caught:
            self.call(method, **params)
        self.assertEqual(caught.exception.code, code, str(caught.exception))
        return caught.exception

    def apply(self, wanted, **more):
        return self.call("config.apply", config=wanted, **more)

    def tables(self):
        with abi.Client(self.world.path("dataplane")) as client:
            return client.snapshot()


def run():
    """What a test script does: PROGRAM, then the words of unittest."""
    Case.kaidod = os.path.realpath(sys.argv.pop(1))
    unittest.main(module="__main__", verbosity=1)
