#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A charon that says anything, in any order: what kaidod answers and what the dataplane has go together."""

import os
import random
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from ike_plugin import Plugin, ts, whole  # noqa: E402
from kaidod_world import Case, RpcError, config, run, tenant  # noqa: E402
from pki import issued  # noqa: E402

SEED = int(os.environ.get("KAIDO_SEED") or random.randrange(1 << 32))
ROUNDS = int(os.environ.get("KAIDO_ROUNDS") or 15)
NOWHERE = "198.51.100.250"  # where the dataplane lets no tunnel lead
TENANTS = ("acme", "bolt")


def site(number):
    return {"name": f"b{number}", "local": "192.0.2.1", "remote": f"198.51.100.{number}",
            "networks": [f"10.{number}.0.0/24"], "ike": {"psk": "a secret"}}


def laptops(of):
    certificate, key = issued(f"vpn.{of}.example")
    return {"name": "laptops", "local": "192.0.2.1", "local-id": f"vpn.{of}.example", "auth": "eap-mschapv2",
            "certificate": certificate, "key": key, "pool": ["10.9.0.0/24"],
            "users": [{"name": name, "password": "a secret"} for name in ("alice", "bob")]}


class Charon(Case):
    dataplane = False

    def setUp(self):
        self.random = random.Random(SEED)
        print(f"KAIDO_SEED={SEED}")
        super().setUp()
        self.start(signal.SIGTERM)
        self.options = ("--refuse-remote", NOWHERE, "--max-tunnels", "48", "--max-sas", "80")
        self.world.start_dataplane(*self.options)
        self.world.wait_converged()
        self.access = {name: laptops(name) for name in TENANTS}
        self.sent = {}  # by handle, of this instance: what kaidod may have
        self.old = set()  # (direction, spi) of former instances
        self.plugin = None
        self.waiting = []
        self.configure()
        self.open()
        self.addCleanup(lambda: self.plugin.close())

    # -- what is done --

    def configure(self):
        tenants = []
        for number, name in enumerate(TENANTS):
            if self.random.random() < 0.15:
                continue
            tunnels = [site(10 * number + k) for k in (1, 2) if self.random.random() < 0.8]
            made = tenant(name, number + 1, tunnels, lockout={"failures": 3, "seconds": 900})
            if self.random.random() < 0.8:
                made["remote-access"] = [self.access[name]]
            tenants.append(made)
        if self.random.random() < 0.2:
            before = self.call("system.status")["generation"]
            self.apply(config(*tenants), prune=True, confirm_within=1)
            self.world.wait("it is taken back", lambda: self.call("system.status")["generation"] in (before, before + 2))
        else:
            self.apply(config(*tenants), prune=True)
        self.if_ids()

    def start(self, number):
        self.world.stop_kaidod(number)
        self.world.start_kaidod("--vici", self.world.path("vici"))  # where nobody is

    def if_ids(self):
        """Whose each is, by what is written for charon."""
        wanted = {f"kaido.{t['name']}.{one['name']}" for t in self.call("config.get")["config"].get("tenants", [])
                  for one in [*t.get("tunnels", []), *t.get("remote-access", [])]}
        self.world.wait("it is written", lambda: set(self.written()) == wanted)
        self.owners = {if_id: name.split(".")[1] for name, if_id in self.written().items()}

    def written(self):
        """if_ids by connection."""
        try:
            with open(os.path.join(self.world.state, "ike", "swanctl.conf"), encoding="ascii") as file:
                found = re.findall(r"(kaido\.(?:acme|bolt)\.\w+) \{|if_id_in = (\d+)", file.read())
        except FileNotFoundError:
            return {}
        return {one[0]: int(other[1]) for one, other in zip(found, found[1:]) if one[0] and other[1]}

    def open(self, instance=None):
        if self.plugin is not None:
            self.plugin.close()
        late = [params for method, params, _ in self.waiting
                if method == "ike.sa.set" and params["direction"] in ("in", "out") and isinstance(params["spi"], int)]
        if instance is None:
            self.old |= {(p["direction"], p["spi"]) for p in [*self.sent.values(), *late]}
            self.sent = {}
        self.waiting = []
        handle = self.plugin.handle if self.plugin is not None else 0
        self.plugin = Plugin(self.world.path("ike.sock"), instance)
        self.plugin.handle = handle
        self.sync()

    def sync(self):
        unknown = self.plugin.call("ike.sync", sas=list(self.sent))["unknown"]
        for handle in unknown:
            del self.sent[handle]
        for name, params in self.plugin.told:
            if name == "ike.expire" and params["hard"]:  # refused later, with another one of its tunnel
                self.sent.pop(params["sa"], None)
        self.plugin.told = []

    def place(self):
        one = self.random
        if one.random() < 0.5:
            return {"udp": True, "local_port": 4500, "remote_port": one.choice((4500, 61000, 61000, 61001, 0)),
                    "remote": one.choice(("203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.8", NOWHERE, "2001:db8::1"))}
        return {"remote": one.choice(("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", NOWHERE))}

    def selectors(self):
        one = self.random
        remote = [ts(f"10.9.0.{one.randrange(1, 12)}")] if one.random() < 0.7 else \
            [one.choice((whole(), whole(6), ts("10.1.0.0", "10.1.0.255"), ts("172.31.0.1"), ts("10.9.0.3", "10.9.0.9"),
                         ts("10.9.0.4", protocol=6, from_port=80, to_port=80), ts("10.9.0.9", "10.9.0.1")))
             for _ in range(one.randrange(1, 4))]
        return {"local_ts": [whole()] * one.randrange(1, 3) if one.random() < 0.97 else [whole(6)], "remote_ts": remote}

    def set(self):
        one = self.random
        more = {**self.place(), **self.selectors(), "reqid": one.randrange(1, 9),
                "ike": {"id": one.randrange(0, 6)}}
        if_id = one.choice([*self.owners, *self.owners, one.randrange(0, 50)])
        params = self.plugin.params(one.choice(("in", "out")), if_id, **more)
        if one.random() < 0.5:
            params["ike"]["name"] = one.choice([*self.written(), "kaido.acme.laptops", "x"])
        if self.sent and one.random() < 0.1:  # of another one
            params["key"] = one.choice(list(self.sent.values()))["key"]
        if self.sent and params["direction"] == "in" and one.random() < 0.1:
            params["spi"] = one.choice(list(self.sent.values()))["spi"]
        if one.random() < 0.05:
            params[one.choice([name for name in params if name != "sa"])] = one.choice(
                (None, "", -1, 1 << 62, [], {}, True, "ff" * 20, 1.5))
        self.request("ike.sa.set", params)

    def again(self):
        if self.sent:
            self.request("ike.sa.set", self.random.choice(list(self.sent.values())))

    def handle(self):
        return self.random.choice(list(self.sent) or [1]) if self.random.random() < 0.9 else self.random.randrange(-1, 999)

    def update(self):
        self.request("ike.sa.update", {"sa": self.handle(), "local": "192.0.2.1", "udp": False, "local_port": 0,
                                       "remote_port": 0, **self.place()})

    def delete(self):
        self.request("ike.sa.delete", {"sa": self.handle()})

    def tell(self):
        one = self.random
        ike = {"id": one.randrange(-1, 6), "name": one.choice(("kaido.acme.laptops", "kaido.bolt.laptops", "kaido.acme.b1", "acme.b1", 7)), "user": one.choice(("alice", "Bob", "carol", None)), "remote_id": one.choice(("b1", "alice", 3)),
               "addresses": one.choice((["10.9.0.1"], None, "x")), "remote": one.choice(("203.0.113.5", 5))}
        self.request("ike.event", one.choice((
            {"kind": "established", "ike": ike}, {"kind": "updated", "ike": ike, "old_id": one.randrange(-1, 6)},
            {"kind": "closed", "id": one.randrange(-1, 6), "reason": "peer"}, {"kind": "closed"}, {"kind": 4},
            {"kind": "failed", "reason": "authentication", "remote": "203.0.113.5", **ike},
            {"kind": "failed", "reason": one.choice((None, "timeout")), "remote": f"203.0.113.{one.randrange(9)}"})))

    def disconnect(self):
        one = self.random
        try:
            self.call("ike.disconnect", tenant=one.choice(TENANTS), **one.choice(
                ({"all": True}, {"user": "alice"}, {"id": one.randrange(6)}, {"name": "laptops"})))
        except RpcError as error:
            self.assertIn(error.code, (2, -32602))

    def request(self, method, params):
        self.waiting.append((method, params, self.plugin.send(method, **params)))

    def answers(self):
        for method, params, number in self.waiting:
            try:
                self.plugin.wait(number)
            except RpcError as error:
                self.assertNotEqual(error.code, -32603, str(error))
                continue
            if method == "ike.sa.set":
                self.sent[params["sa"]] = params
            elif method == "ike.sa.delete":
                self.sent.pop(params["sa"], None)
        self.waiting = []

    # -- what must hold --

    def check(self):
        self.answers()
        self.world.wait_converged()
        self.sync()
        self.world.wait_converged()
        with abi.Client(self.world.path("dataplane")) as client:
            sas, tunnels, routes, tenants = [client.dump(kind) for kind in ("sa", "tunnel", "route", "tenant")]
        there = {(("in", "out")[r.direction == abi.SA_OUT], int.from_bytes(bytes(r.spi), "big")): r for r in sas}
        mine = {(p["direction"], p["spi"]) for p in self.sent.values()}
        self.assertEqual(mine - set(there), set(), "kaidod says that it has them")
        self.assertEqual(set(there) - mine - self.old, set(), "nobody's SAs")
        listed = self.call("sa.list")["sas"]
        self.assertEqual({(sa["direction"], sa["spi"]) for sa in listed}, set(there))
        shown = sum(("spi_in" in c) + ("spi_out" in c) for i in self.call("ike.list")["ike"] for c in i["children"])
        self.assertEqual(shown, len(sas))
        names = {t["id"]: t["name"] for t in self.call("tenant.list")["tenants"]}
        self.isolation(there, {t.id: names[t.tenant] for t in tunnels}, [
            (names[r.tenant], r.target) for r in routes if r.kind == abi.ROUTE_TUNNEL])

    def isolation(self, there, tunnels, routes):
        """An SA is its if_id's tenant's, and routes lead to tunnels of their tenant."""
        for params in self.sent.values():
            name = (params["ike"] or {}).get("name", "") if isinstance(params["ike"], dict) else ""
            self.assertIn((name.split(".") + [""])[1], ("", self.owners[params["if_id"]]))
            tenant_of, if_id = tunnels[there[params["direction"], params["spi"]].tunnel], params["if_id"]
            self.assertEqual(tenant_of, self.owners.get(if_id), params)
        for owner, target in routes:
            self.assertEqual(owner, tunnels[target])

    # -- all of it --

    def restart(self, number):
        self.waiting = []
        self.start(number)
        self.open(self.plugin.instance)

    def restart_dataplane(self):
        self.world.stop_dataplane()
        self.world.start_dataplane(*self.options)

    def rarely(self):
        chance = self.random.random()
        if chance < 0.2:
            self.open()
        elif chance < 0.4:
            self.open(self.plugin.instance)
        elif chance < 0.55:
            self.restart(signal.SIGKILL)
        elif chance < 0.7:
            self.restart_dataplane()
        else:
            self.answers()
            self.configure()

    def test_any_order(self):
        often = [self.set] * 6 + [self.update, self.delete, self.delete, self.again, self.tell, self.tell, self.disconnect]
        for _ in range(ROUNDS):
            for _ in range(self.random.randrange(1, 60)):
                self.random.choice(often)()
            if self.random.random() < 0.5:
                self.rarely()
            self.check()
        self.restart(signal.SIGTERM)
        self.check()


if __name__ == "__main__":
    run()
