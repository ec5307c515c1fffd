#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How fast kaidod takes what IKE negotiates: clients that all come at once, then a kaidod that starts among them.

    bench_sessions.py KAIDOD [CLIENTS]

The dataplane is the one without packets, whose own time counts too.
"""

import collections
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from ike_plugin import Plugin, ts, whole  # noqa: E402
from kaidod_world import World, config, tenant  # noqa: E402
from pki import issued  # noqa: E402

IN_FLIGHT = 1000  # requests, as charon's plugin has them


def memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0


def address(number):
    return f"10.{8 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def storm(plugin, requests):
    """Sends them all, with so many under way at a time; operations a second."""
    waiting, begin = collections.deque(), time.monotonic()
    for method, params in requests:
        if len(waiting) >= IN_FLIGHT:
            plugin.wait(waiting.popleft())
        waiting.append(plugin.send(method, **params))
    while waiting:
        plugin.wait(waiting.popleft())
    return len(requests) / (time.monotonic() - begin)


def client(plugin, number, generation):
    """What charon tells when a client comes."""
    ike = {"id": generation << 24 | number, "name": "kaido.acme.laptops"}
    place = {"udp": True, "local_port": 4500, "remote": f"100.64.{number >> 8 & 255}.{number & 255 or 1}",
             "remote_port": 1024 + number % 60000}
    common = {"reqid": number, "ike": ike, "remote_ts": [ts(address(number))], "local_ts": [whole()], **place}
    yield "ike.event", {"kind": "established", "ike": {
        **ike, "initiator": False, "version": 2, "local": "192.0.2.1", "remote": place["remote"], "local_port": 4500,
        "remote_port": place["remote_port"], "local_id": "vpn.acme.example", "remote_id": f"user{number}",
        "addresses": [address(number)], "nat": True}}
    for direction in ("in", "out"):
        yield "ike.sa.set", plugin.params(direction, 1, **common)


def run(world, clients):
    certificate, key = issued("vpn.acme.example")
    access = {"name": "laptops", "local": "192.0.2.1", "local-id": "vpn.acme.example", "auth": "eap-mschapv2",
              "certificate": certificate, "key": key, "pool": ["10.8.0.0/14"],
              "users": [{"name": "alice", "password": "a password of alice"}]}
    world.start_dataplane()
    kaidod = world.start_kaidod()
    world.wait_converged()
    world.call("config.apply", config=config({**tenant("acme", 1, []), "remote-access": [access]}))
    print(f"before: {memory(kaidod):.0f} MiB")
    plugin = Plugin(world.path("ike.sock"))
    for generation, what in ((1, "connect"), (2, "come back, all at once")):
        requests = [r for n in range(1, clients + 1) for r in client(plugin, n, generation)]
        if generation == 2:  # charon was restarted
            plugin.close()
            plugin = Plugin(world.path("ike.sock"))
            requests = [r for n in range(1, clients + 1) for r in client(plugin, n, generation)]
        rate = storm(plugin, requests)
        print(f"{clients} clients {what}: {rate:.0f} operations a second, {memory(kaidod):.0f} MiB", flush=True)
    handles = [params["sa"] for method, params in requests if method == "ike.sa.set"]
    rekeys = [r for n in range(1, clients + 1, 10) for r in list(client(plugin, n, 2))[1:]]
    print(f"{len(rekeys) // 2} rekeys: {storm(plugin, rekeys):.0f} operations a second", flush=True)
    one, begin = plugin.params("in", 1, reqid=1, remote_ts=[ts(address(1))], local_ts=[whole()]), time.monotonic()
    plugin.call("ike.sa.set", **one)
    print(f"one SA among them: {1000 * (time.monotonic() - begin):.1f} ms", flush=True)
    with abi.Client(world.path("dataplane")) as dataplane:
        print(f"in the dataplane: {len(dataplane.dump('tunnel'))} tunnels, {len(dataplane.dump('sa'))} SAs")
    plugin.close()
    world.stop_kaidod(9)
    begin = time.monotonic()
    kaidod = world.start_kaidod()
    world.wait_converged()
    print(f"kaidod killed and started: converged after {time.monotonic() - begin:.1f} s, {memory(kaidod):.0f} MiB", flush=True)
    plugin = Plugin(world.path("ike.sock"), plugin.instance)
    plugin.call("ike.sync", sas=handles)
    rate = storm(plugin, [("ike.sa.delete", {"sa": handle}) for handle in handles])
    print(f"all disconnect: {rate:.0f} operations a second, {memory(kaidod):.0f} MiB")
    plugin.close()


if __name__ == "__main__":
    made = World(os.path.realpath(sys.argv[1]))
    try:
        run(made, int(sys.argv[2]) if len(sys.argv) > 2 else 10000)
    finally:
        made.close()
