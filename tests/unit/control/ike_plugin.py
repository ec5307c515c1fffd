# SPDX-License-Identifier: BSD-3-Clause
"""What charon's plugin says to kaidod, without charon."""

import json
import os

from kaidod_world import Client, RpcError

WHOLE = {4: ("0.0.0.0", "255.255.255.255"), 6: ("::", "ffff:" * 7 + "ffff")}


def ts(first, last=None, **more):
    return {"from": first, "to": first if last is None else last, "protocol": 0, "from_port": 0, "to_port": 65535, **more}


def whole(family=4):
    return ts(*WHOLE[family])


class Plugin:
    """A connection that has opened; handles count from 1."""

    def __init__(self, path, instance=None):
        self.client = Client(path)
        self.instance = instance or os.urandom(8).hex().replace("0000", "1111")
        self.told = []  # notifications that came
        self.answers = {}
        self.handle = 0
        self.opened = self.call("ike.open", protocol=1, instance=self.instance, version="strongSwan 5.9.8")

    def close(self):
        self.client.close()

    def send(self, method, **params):
        """A request whose answer is waited for later; its number."""
        self.client.number += 1
        self.client.raw(json.dumps({"jsonrpc": "2.0", "id": self.client.number, "method": method,
                                    "params": params}).encode() + b"\n")
        return self.client.number

    def take(self):
        line = self.client.line()
        if "method" in line:
            self.told.append((line["method"], line["params"]))
        else:
            self.answers[line["id"]] = line

    def wait(self, number):
        while number not in self.answers:
            self.take()
        answer = self.answers.pop(number)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def call(self, method, **params):
        return self.wait(self.send(method, **params))

    def notified(self, method):
        """The params of the next notification of that name."""
        while True:
            for i, (name, params) in enumerate(self.told):
                if name == method:
                    del self.told[i]
                    return params
            self.take()

    def params(self, direction, if_id, reqid=1, number=None, **more):
        """An SA with a handle of its own; its key is made of `number`, which else is the handle."""
        self.handle += 1
        key = number if number is not None else int(self.instance[:8], 16) << 32 | self.handle
        return {"sa": self.handle, "direction": direction, "spi": 0xc0000000 + (int(self.instance[:4], 16) << 12) + self.handle, "if_id": if_id,
                "reqid": reqid, "local": "192.0.2.1", "remote": "198.51.100.7", "udp": False, "local_port": 0,
                "remote_port": 0, "key": (1 << 159 | key).to_bytes(20, "big").hex(), "esn": True, "window": 128,
                "lifetime": {"soft": {"seconds": 3000, "packets": 0, "bytes": 0},
                             "hard": {"seconds": 3600, "packets": 0, "bytes": 0}},
                "local_ts": [whole()], "remote_ts": [ts("10.1.0.0", "10.1.0.255")],
                "ike": {"id": 1}, **more}

    def set(self, direction, if_id, **more):
        """Sets an SA; its handle."""
        params = self.params(direction, if_id, **more)
        answer = self.call("ike.sa.set", **params)
        assert answer["installed"], answer
        return params["sa"]

    def pair(self, if_id, **more):
        return self.set("in", if_id, **more), self.set("out", if_id, **more)
