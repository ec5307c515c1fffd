#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What IKE negotiates: from charon's plugin, played here, to a dataplane without packets."""

import ipaddress
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from ike_plugin import Plugin, ts, whole  # noqa: E402
from kaidod_world import Case, RpcError, config, run, tenant, tunnel  # noqa: E402
from pki import issued  # noqa: E402


def text(address):
    """An address of a record, a prefix with its length."""
    plain = str(ipaddress.ip_address(bytes(address.addr)[:4 if address.family == 4 else 16]))
    return f"{plain}/{address.prefix_len}" if address.prefix_len else plain


def site(name="branch-1", remote="198.51.100.7", **more):
    made = {"name": name, "local": "192.0.2.1", "networks": ["10.1.0.0/24"], "ike": {"psk": "a secret of branch 1"},
            **more}
    if remote is not None:
        made["remote"] = remote
    return made


def laptops(name="laptops", of="acme", **more):
    certificate, key = issued(f"vpn.{of}.example")
    return {"name": name, "local": "192.0.2.1", "local-id": f"vpn.{of}.example", "auth": "eap-mschapv2",
            "certificate": certificate, "key": key, "pool": ["10.9.0.0/16", "fd00:9::/112"],
            "users": [{"name": name, "password": f"{name}'s secret"} for name in ("alice", "bob")], **more}


class Sessions(Case):
    def setUp(self):
        super().setUp()
        self.plugins = []
        self.addCleanup(lambda: [plugin.close() for plugin in self.plugins])

    def plugin(self, instance=None):
        self.plugins.append(Plugin(self.world.path("ike.sock"), instance))
        return self.plugins[-1]

    def configure(self, *tunnels, access=(), name="acme", **more):
        made = tenant(name, 1, list(tunnels), **more)
        if access:
            made["remote-access"] = list(access)
        return self.apply(config(made))

    def dump(self, kind):
        with abi.Client(self.world.path("dataplane")) as client:
            return client.dump(kind)

    def routes(self):
        """Those into tunnels."""
        return [r for r in self.dump("route") if r.kind == abi.ROUTE_TUNNEL]

    def if_id(self, name, of="acme"):
        """Of a tunnel, as kaidod writes it for charon."""
        return self.call("tunnel.list", tenant=of, tunnel=name)["tunnels"][0]["id"]

    def restart_dataplane_process(self, *options):
        self.world.stop_dataplane()
        self.world.start_dataplane(*options)

    def restart_dataplane(self, *options):
        self.restart_dataplane_process(*options)
        self.world.wait_converged()

    def sas(self):
        return {(r.direction, int.from_bytes(bytes(r.spi), "big")) for r in self.dump("sa")}

    def restart(self, number=signal.SIGKILL):
        self.world.stop_kaidod(number)
        self.world.start_kaidod()
        self.world.wait_converged()


class Site(Sessions):
    def test_sas_come_stay_and_go(self):
        self.configure(site())
        plugin = self.plugin()
        if_id = self.if_id("branch-1")
        inbound = plugin.params("in", if_id)
        outbound = plugin.params("out", if_id)
        self.assertEqual(plugin.call("ike.sa.set", **inbound), {"installed": True})
        self.assertEqual(plugin.call("ike.sa.set", **outbound), {"installed": True})
        wanted = {(abi.SA_IN, inbound["spi"]), (abi.SA_OUT, outbound["spi"])}
        self.assertEqual(self.sas(), wanted)
        self.assertEqual(plugin.call("ike.sa.set", **inbound), {"installed": True})
        self.restart()
        self.assertEqual(self.sas(), wanted)
        self.assertEqual(self.call("system.status")["generation"], 1)
        again = self.plugin(plugin.instance)
        self.assertEqual(again.opened["spis"], [])
        self.assertEqual(again.call("ike.sync", sas=[1, 2, 7]), {"unknown": [7]})
        self.world.stop_dataplane()
        self.world.start_dataplane()
        self.world.wait_converged()
        self.assertEqual(self.sas(), wanted)
        for sa in (outbound, inbound):
            self.assertEqual(again.call("ike.sa.delete", sa=sa["sa"]), {})
        self.assertEqual(self.sas(), set())
        self.assertEqual(again.call("ike.sa.delete", sa=99), {})

    def test_a_rekey_sends_by_the_newest_and_forgets_the_old_key(self):
        self.configure(site())
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        old = plugin.pair(if_id)
        first = plugin.params("out", if_id)
        new = plugin.set("in", if_id), first["sa"]
        plugin.call("ike.sa.set", **first)
        (tunnel,) = self.dump("tunnel")
        order = [r for r in self.dump("sa") if r.direction == abi.SA_OUT]
        self.assertEqual(int.from_bytes(bytes(order[-1].spi), "big"), first["spi"])
        for handle in old:
            plugin.call("ike.sa.delete", sa=handle)
        self.assertEqual(len(self.dump("sa")), 2)
        self.assertEqual(bytes(self.dump("tunnel")[0]), bytes(tunnel))
        again = plugin.params("out", if_id, number=int(plugin.instance[:8], 16) << 32 | old[1])
        with self.assertRaisesRegex(RpcError, "was deleted already"):
            plugin.call("ike.sa.set", **again)
        with self.assertRaisesRegex(RpcError, "in use by another SA"):
            plugin.call("ike.sa.set", **{**plugin.params("out", if_id), "key": first["key"]})
        self.assertEqual(plugin.call("ike.sync", sas=list(new)), {"unknown": []})
        self.assertEqual(len(self.dump("sa")), 2)
        self.assertEqual(plugin.call("ike.sync", sas=[]), {"unknown": []})
        self.assertEqual(self.dump("sa"), [])

    def test_what_is_wrong_is_refused_and_changes_nothing(self):
        self.configure(site(), tunnel("manual", 9))
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        before = self.tables()
        good = plugin.params("in", if_id)
        for code, more in ((2, {"if_id": 0}), (2, {"if_id": 99}), (2, {"if_id": self.if_id("manual")}),
                           (-32602, {"key": "00" * 16}), (-32602, {"key": "zz" * 20}), (-32602, {"spi": 255}),
                           (-32602, {"direction": "both"}), (-32602, {"remote": "192.0.2.1"}),
                           (-32602, {"remote": "fd00::1"}), (-32602, {"remote": "0.0.0.0"}),
                           (-32602, {"udp": True, "local_port": 4501, "remote_port": 4500}),
                           (-32602, {"local_ts": []}), (-32602, {"remote_ts": [ts("fd00::", "fd00::ff")]}),
                           (-32602, {"remote_ts": [ts("10.1.0.9", "10.1.0.1")]}),
                           (-32602, {"remote_ts": [ts(f"10.1.0.{i}") for i in range(17)]}),
                           (-32602, {"remote_ts": [ts("10.1.0.1", from_port=80, to_port=80)]}),
                           (3, {"spi": 0x10009})):
            with self.subTest(**more):
                with self.assertRaises(RpcError) as caught:
                    plugin.call("ike.sa.set", **{**good, **more})
                self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertEqual(self.tables(), before)
        stranger = self.world.client("ike.sock")
        with self.assertRaisesRegex(RpcError, "^3: .*ike.open first"):
            stranger.call("ike.sa.set", **good)
        with self.assertRaisesRegex(RpcError, "^-32602: "):
            stranger.call("ike.open", protocol=2, instance="0123456789abcdef")
        with self.assertRaisesRegex(RpcError, "^-32602: "):
            stranger.call("ike.open", protocol=1, instance="0123")
        self.assertEqual(plugin.call("ike.sa.set", **good), {"installed": True})
        with self.assertRaisesRegex(RpcError, "in use by an SA that IKE negotiated"):
            self.call("sa.add", tenant="acme", tunnel="manual", sa={"direction": "in", "spi": good["spi"],
                                                                     "key": "5a" * 16, "salt": "00000001"})
        self.assertEqual(self.plugin().opened["spis"], [good["spi"], 0x10009])
        with self.assertRaisesRegex(RpcError, "ike.open first"):
            plugin.call("ike.sync", sas=[])

    def test_its_place_and_selectors(self):
        """A peer that may come from anywhere: until it does, its networks lead nowhere."""
        self.configure(site(remote=None, ike={"psk": "a secret of branch 1", "remote-id": "branch-1.acme.example"}))
        self.assertEqual(self.dump("tunnel"), [])
        (route,) = self.dump("route")
        self.assertEqual(route.kind, abi.ROUTE_BLACKHOLE)
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        place = {"remote": "203.0.113.9", "udp": True, "local_port": 4500, "remote_port": 61001}
        local = [ts("10.0.0.0", "10.0.0.255", protocol=6, from_port=443, to_port=443)]
        both = plugin.pair(if_id, local_ts=local, **place)
        (record,), (route,) = self.dump("tunnel"), self.dump("route")
        self.assertEqual((route.kind, route.target), (abi.ROUTE_TUNNEL, if_id))
        self.assertEqual((text(record.remote), record.remote_port, record.flags),
                         ("203.0.113.9", 61001, abi.TUNNEL_UDP | abi.TUNNEL_FOLLOW | abi.TUNNEL_SELECTORS))
        (selectors,) = self.dump("selectors")
        selector = selectors.selector[0]
        self.assertEqual((selectors.count, selector.protocol, selector.local_port_first, selector.remote_port_first,
                          selector.remote_port_last), (1, 6, 443, 0, 65535))
        moved = {**place, "local": "192.0.2.1", "remote": "203.0.113.10", "remote_port": 4711}
        for handle in both:
            plugin.call("ike.sa.update", sa=handle, **moved)
        (record,) = self.dump("tunnel")
        self.assertEqual((text(record.remote), record.remote_port), ("203.0.113.10", 4711))
        with self.assertRaises(RpcError):
            plugin.call("ike.sa.update", sa=99, **moved)
        self.restart()
        self.assertEqual(bytes(self.dump("tunnel")[0]), bytes(record))
        self.plugin(plugin.instance).call("ike.sync", sas=[])
        self.assertEqual((self.dump("tunnel"), self.dump("route")[0].kind), ([], abi.ROUTE_BLACKHOLE))

    def test_a_former_charons_sas_stay_until_they_are_replaced(self):
        self.configure(site())
        if_id = self.if_id("branch-1")
        former = self.plugin()
        former.pair(if_id)
        spis = sorted(spi for way, spi in self.sas() if way == abi.SA_IN)
        self.world.call("ike.list")
        plugin = self.plugin()
        self.assertEqual(plugin.opened["spis"], spis)
        self.assertEqual(plugin.call("ike.sync", sas=[]), {"unknown": []})
        self.assertEqual(len(self.sas()), 2)
        self.assertEqual(self.call("ike.list")["ike"][0]["state"], "orphaned")
        handles = plugin.pair(if_id)
        self.assertEqual(len(self.sas()), 4)
        self.world.wait("what was replaced is gone", lambda: len(self.sas()) == 2)
        for params in ({}, {"sas": None}, {"sas": {}}):
            with self.assertRaisesRegex(RpcError, "not a list"):
                plugin.call("ike.sync", **params)
        self.assertEqual(plugin.call("ike.sync", sas=list(handles)), {"unknown": []})
        self.assertEqual(len(self.sas()), 2)

    def test_what_the_dataplane_refuses_is_refused_alone(self):
        self.configure(site(), site("branch-2", "198.51.100.8", networks=["10.2.0.0/24"]))
        self.world.stop_dataplane()
        plugin = self.plugin()
        one, two = self.if_id("branch-1"), self.if_id("branch-2")
        wanted = [plugin.params("in", one), plugin.params("in", two), plugin.params("out", one),
                  plugin.params("out", two)]
        self.world.start_dataplane("--refuse-spi", str(wanted[1]["spi"]))
        self.world.wait_converged()
        numbers = [plugin.send("ike.sa.set", **params) for params in wanted]
        self.assertEqual(plugin.wait(numbers[0]), {"installed": True})
        with self.assertRaisesRegex(RpcError, "liking") as caught:
            plugin.wait(numbers[1])
        self.assertEqual(caught.exception.code, 6)
        self.assertEqual([plugin.wait(n) for n in numbers[2:]], [{"installed": True}] * 2)
        self.assertEqual(len(self.sas()), 3)
        self.assertTrue(self.call("system.status")["dataplane"]["converged"])
        self.restart()
        self.assertEqual(len(self.sas()), 3)

    def test_a_peer_leaves_room_for_others(self):
        self.configure(site(), access=[laptops()])
        plugin = self.plugin()
        for if_id, remote in ((self.if_id("branch-1"), "10.1.0.9"), (2, "10.9.0.9")):
            wanted = [plugin.params("in", if_id, reqid=port, ike={"id": if_id}, local_ts=[whole()],
                                    remote_ts=[ts(remote, protocol=6, from_port=port, to_port=port)])
                      for port in range(1, 300)]
            refused = 0
            for number in [plugin.send("ike.sa.set", **params) for params in wanted]:
                try:
                    plugin.wait(number)
                except RpcError as error:
                    self.assertIn("SAs of one connection already", error.message)
                    refused += 1
            self.assertEqual(refused, 299 - 256)

    def test_a_tunnel_that_may_not_change_goes_on_as_it_was(self):
        self.restart_dataplane("--refuse-remote", "198.51.100.250")
        self.configure(site())
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        inbound, outbound = plugin.pair(if_id)
        before = self.sas()
        with self.assertRaisesRegex(RpcError, "liking") as caught:
            plugin.call("ike.sa.set", **plugin.params("out", if_id, remote="198.51.100.250"))
        self.assertEqual(caught.exception.code, 6)
        self.assertEqual(self.sas(), before)
        self.assertEqual(text(self.dump("tunnel")[0].remote), "198.51.100.7")
        self.assertEqual(plugin.call("ike.sync", sas=[inbound, outbound]), {"unknown": []})
        self.assertFalse([told for told in plugin.told if told[0] == "ike.expire"])

    def test_an_sa_that_may_not_move_stays_where_it_was(self):
        self.restart_dataplane("--refuse-remote", "198.51.100.250")
        self.configure(site())
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        plugin.pair(if_id)
        place = {"local": "192.0.2.1", "udp": False, "local_port": 0, "remote_port": 0}
        moves = [plugin.send("ike.sa.update", sa=2, remote=remote, **place)
                 for remote in ("198.51.100.250",) * 2 + ("203.0.113.9", "198.51.100.250")]
        refused = []
        for number in moves:
            try:
                plugin.wait(number)
            except RpcError as error:
                refused.append(error.code)
        self.assertIn(6, refused)
        self.assertEqual(set(refused), {6})
        self.assertEqual(len(self.sas()), 2)
        self.assertIn(text(self.dump("tunnel")[0].remote), ("198.51.100.7", "203.0.113.9"))
        again = dict(plugin.params("out", if_id), remote="198.51.100.250")
        with self.assertRaisesRegex(RpcError, "liking"):
            plugin.call("ike.sa.set", **again)

    def test_without_a_dataplane_they_wait(self):
        self.configure(site())
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        self.world.stop_dataplane()
        self.world.wait("it is lost", lambda: not self.call("system.status")["dataplane"]["connected"])
        params = plugin.params("in", if_id)
        self.assertEqual(plugin.call("ike.sa.set", **params), {"installed": False})
        self.world.start_dataplane()
        self.world.wait_converged()
        self.assertEqual(self.sas(), {(abi.SA_IN, params["spi"])})
        self.assertEqual(plugin.call("ike.sa.set", **params), {"installed": True})


class Numbers(Sessions):
    """Sequence numbers are nonces: none twice under one key, whoever is killed."""

    def test_kills(self):
        log = self.world.path("used")
        self.restart_dataplane("--log", log, "--appetite", str(1 << 23))
        self.configure(*[site(f"b{i}", f"198.51.100.{i}", networks=[f"10.{i}.0.0/24"]) for i in range(1, 4)])
        plugin = self.plugin()
        ids = [self.if_id(f"b{i}") for i in range(1, 4)]
        sent = [plugin.params(way, if_id, remote=f"198.51.100.{i + 1}", esn=i > 0)
                for i, if_id in enumerate(ids) for way in ("in", "out")]
        for kill in range(6):
            for params in sent:  # again and again, as a plugin that got no answer
                plugin.call("ike.sa.set", **params)
            lines = os.path.getsize(log)
            self.world.wait("numbers are used", lambda: os.path.getsize(log) > lines)
            if kill % 3 != 1:
                self.world.stop_kaidod(signal.SIGKILL)
            if kill % 3 != 0:
                self.restart_dataplane_process("--log", log, "--appetite", str((100, 1 << 16, 1 << 23)[kill % 3]))
            if kill % 3 != 1:
                self.world.start_kaidod()
                plugin = self.plugin(plugin.instance)
            self.world.wait_converged()
        used = {}
        with open(log) as file:
            for line in file:
                key, first, end = line.split()
                used.setdefault(key, []).append((int(first), int(end)))
        self.assertEqual(set(used), {p["key"] for p in sent if p["direction"] == "out"})
        for ranges in used.values():
            ranges.sort()
            for one, other in zip(ranges, ranges[1:]):
                self.assertLessEqual(one[1], other[0])


class Desired(Sessions):
    """Changes of what operators want, with sessions beside them."""

    def test_changes_leave_them_alone_and_their_end_takes_them(self):
        self.configure(site(), site("branch-2", "198.51.100.8", networks=["10.2.0.0/24"]))
        plugin = self.plugin()
        one, two = self.if_id("branch-1"), self.if_id("branch-2")
        plugin.pair(one)
        plugin.pair(two, ike={"id": 2, "name": "kaido.acme.branch-2"})
        shown = self.call("config.get")
        self.assertEqual(len(self.sas()), 4)
        changed = self.call("config.get")["config"]
        changed["tenants"][0]["tunnels"][0]["dscp"] = 46
        self.assertEqual(len(self.apply(changed, confirm_within=600)["changes"]), 1)
        late = plugin.params("in", one, reqid=7)
        self.assertEqual(plugin.call("ike.sa.set", **late), {"installed": True})
        self.call("config.confirm")
        self.assertEqual(len(self.sas()), 5)
        self.assertEqual([t.dscp for t in self.dump("tunnel")], [0x80 | 46, 0])
        self.apply(shown["config"], confirm_within=1)
        self.world.wait("it is taken back", lambda: self.dump("tunnel")[0].dscp == 0x80 | 46)
        self.assertEqual(len(self.sas()), 5)
        self.call("tunnel.delete", tenant="acme", name="branch-2")
        self.assertEqual(len(self.sas()), 3)
        self.assertEqual(plugin.notified("ike.close"), {"id": 2})
        self.assertEqual([t["name"] for t in self.call("tunnel.list")["tunnels"]], ["branch-1"])
        self.restart()
        self.assertEqual(len(self.sas()), 3)
        self.call("tenant.delete", name="acme")
        self.assertEqual(self.sas(), set())

    def test_a_change_of_one_client_tells_of_that_one_only(self):
        self.world.stop_dataplane()
        sets = self.world.path("sets")
        self.world.start_dataplane("--sets", sets)
        self.world.wait_converged()
        self.configure(*[site(f"b{i}", f"198.51.100.{i}", networks=[f"10.{i}.0.0/24"]) for i in range(1, 20)])
        plugin = self.plugin()
        open(sets, "w").close()
        plugin.pair(self.if_id("b7"), remote="198.51.100.7", remote_ts=[ts("10.7.0.0", "10.7.0.255")])
        with open(sets) as file:
            self.assertEqual([line.split()[0] for line in file], ["sa", "sa"])


    def test_a_tenant_that_is_held_back_holds_up_no_other(self):
        self.restart_dataplane("--ports", "wan,lan,more")
        bolt = tenant("bolt", 2, [site(remote="198.51.100.9", networks=["10.2.0.0/24"])])
        bolt["attachments"][0]["port"] = "more"
        self.apply(config(tenant("acme", 1, [site()]), bolt))
        plugin = self.plugin()
        one, two = self.if_id("branch-1"), self.if_id("branch-1", "bolt")
        self.restart_dataplane_process()
        self.world.wait("bolt is held back", lambda: self.call("system.status")["dataplane"].get("held_back") == 1)
        params = plugin.params("in", two, remote_ts=[ts("10.2.0.0", "10.2.0.255")])
        self.assertEqual(plugin.call("ike.sa.set", **params), {"installed": False})
        plugin.pair(one)
        self.assertEqual(len(self.sas()), 2)
        self.restart_dataplane("--ports", "wan,lan,more")
        self.assertEqual(len(self.sas()), 3)


class Disk(Sessions):
    def setUp(self):
        super().setUp()
        self.world.stop_kaidod()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "none", self.world.state]).returncode:
            self.skipTest("may not mount")
        self.addCleanup(lambda: (self.world.stop_kaidod(), subprocess.run(["umount", self.world.state])))
        self.world.start_kaidod()
        self.world.wait_converged()

    def test_what_the_disk_does_not_take_is_not_done(self):
        self.configure(site(), access=[laptops()])
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        old = plugin.pair(if_id)
        plugin.pair(2, local_ts=[whole()], remote_ts=[ts("10.9.0.5")], ike={"id": 2, "name": "kaido.acme.laptops"})
        before, listed = self.tables(), self.call("ike.list")
        ballast = os.open(self.world.state + "/ballast", os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(ballast, b"x" * 4096)
        except OSError:
            os.close(ballast)
        new = plugin.params("in", if_id)
        for method, params in (("ike.sa.set", new), ("ike.sa.delete", {"sa": old[0]}), ("ike.sync", {"sas": []})):
            with self.assertRaises(RpcError) as caught:
                plugin.call(method, **params)
            self.assertEqual(caught.exception.code, 4)
        self.assertEqual((self.tables(), self.call("ike.list")), (before, listed))
        os.unlink(self.world.state + "/ballast")
        self.assertEqual(plugin.call("ike.sa.set", **new), {"installed": True})
        self.assertEqual(plugin.call("ike.sync", sas=[new["sa"]]), {"unknown": []})
        self.assertEqual(self.sas(), {(abi.SA_IN, new["spi"])})
        self.assertEqual([t["name"] for t in self.call("tunnel.list")["tunnels"]], ["branch-1"])


class Clients(Sessions):
    """Remote access; its if_id is the first behind those of the tunnels."""

    def connect(self, plugin, number, user="alice", address=None, **more):
        """A client: its IKE SA and its pair of SAs."""
        address = address or f"10.9.0.{number}"
        ike = {"id": number, "name": "kaido.acme.laptops"}
        plugin.call("ike.event", kind="established", ike={
            **ike, "if_id": 1, "initiator": False, "version": 2, "local": "192.0.2.1", "remote": "203.0.113.5",
            "local_port": 4500, "remote_port": 61000 + number, "local_id": "vpn.acme.example",
            "remote_id": f"{user}.example", "user": user, "addresses": [address], "nat": True})
        return plugin.pair(1, reqid=number, ike=ike, remote_ts=[ts(address)], udp=True, local_port=4500,
                           remote="203.0.113.5", remote_port=61000 + number, **more)

    def events(self, kind):
        return [e for e in self.call("event.list", limit=10000)["events"] if e["kind"] == kind]

    def test_a_client_is_a_tunnel_while_it_is_connected(self):
        self.configure(access=[laptops(**{"mtu": 1400})])
        plugin = self.plugin()
        handles = self.connect(plugin, 5, local_ts=[whole()])
        (tunnel,) = self.call("tunnel.list", tenant="acme", state=True)["tunnels"]
        self.assertEqual((tunnel["name"], tunnel["networks"], tunnel["mtu"]),
                         (f"laptops-{tunnel['id']}", ["10.9.0.5/32"], 1400))
        self.assertNotIn("selectors", tunnel)
        self.assertEqual(self.call("config.get")["config"]["tenants"][0].get("tunnels", []), [])
        (ike,) = self.call("ike.list", tenant="acme")["ike"]
        self.assertEqual((ike["name"], ike["user"], ike["addresses"], ike["state"], ike["children"][0]["tunnel"]),
                         ("laptops", "alice", ["10.9.0.5"], "established", tunnel["name"]))
        (up,) = self.events("ike-up")
        self.assertEqual((up["tenant"], up["tunnel"], up["user"]), ("acme", "laptops", "alice"))
        self.restart()
        plugin = self.plugin(plugin.instance)
        self.assertEqual(plugin.call("ike.sync", sas=list(handles)), {"unknown": []})
        self.assertEqual(len(self.sas()), 2)
        self.assertEqual(self.call("ike.list")["ike"], [ike])
        plugin.call("ike.event", kind="closed", id=5, reason="peer")
        for handle in handles:
            plugin.call("ike.sa.delete", sa=handle)
        self.assertEqual((self.sas(), self.dump("tunnel"), self.routes()), (set(), [], []))
        self.assertEqual(self.call("ike.list")["ike"], [])
        (down,) = self.events("ike-down")
        self.assertEqual((down["reason"], down["user"], down["addresses"]), ("peer", "alice", ["10.9.0.5"]))

    def test_a_user_who_is_removed_is_disconnected(self):
        self.configure(access=[laptops()])
        plugin = self.plugin()
        self.connect(plugin, 5)
        self.connect(plugin, 6, user="bob")
        self.call("user.delete", tenant="acme", name="bob", **{"remote-access": "laptops"})
        self.assertEqual(plugin.notified("ike.close"), {"id": 6})
        # While the plugin is away: when it is back.
        plugin.close()
        self.call("user.delete", tenant="acme", name="alice", **{"remote-access": "laptops"})
        plugin = self.plugin(plugin.instance)
        plugin.call("ike.sync", sas=[1, 2])
        self.assertEqual(plugin.notified("ike.close"), {"id": 5})

    def test_two_families_and_split_tunnels(self):
        self.configure(access=[laptops(networks=["10.0.0.0/8"])])
        plugin = self.plugin()
        plugin.pair(1, reqid=3, local_ts=[ts("10.0.0.0", "10.255.255.255")],
                    remote_ts=[ts("10.9.0.6"), ts("fd00:9::6")])
        self.assertEqual(sorted(text(r.prefix) for r in self.routes()), ["10.9.0.6/32", "fd00:9::6/128"])
        (selectors,) = self.dump("selectors")
        self.assertEqual((selectors.count, selectors.selector[0].family), (1, 4))

    def test_an_address_is_one_clients(self):
        self.configure(site(), access=[laptops()])
        plugin = self.plugin()
        common = {"local_ts": [whole()], "remote_ts": [ts("10.9.0.7")]}
        def named(number, user):
            ike = {"id": number, "name": "kaido.acme.laptops", "user": user, "remote_id": user}
            plugin.call("ike.event", kind="established", ike=ike)
            return {"id": number, "name": "kaido.acme.laptops"}
        alice, bob = named(1, "alice"), named(2, "bob")
        plugin.pair(2, reqid=1, ike=alice, **common)
        with self.assertRaisesRegex(RpcError, "belongs to client 'laptops-"):
            plugin.call("ike.sa.set", **plugin.params("in", 2, reqid=9, ike=bob, **common))
        for remote in ("10.10.0.1", "10.1.0.7"):
            with self.assertRaisesRegex(RpcError, "not of the pool"):
                plugin.call("ike.sa.set", **plugin.params("in", 2, reqid=9, ike=bob, **{**common, "remote_ts": [ts(remote)]}))
        again = named(3, "alice")
        first = self.routes()
        plugin.pair(2, reqid=4, ike=again, **common)
        self.assertEqual(len(self.dump("tunnel")), 3)
        self.assertNotEqual([r.target for r in self.routes()], [r.target for r in first])
        for handle in (1, 2):
            plugin.call("ike.sa.delete", sa=handle)
        self.assertEqual(len(self.dump("tunnel")), 2)
        self.assertEqual(len(self.routes()), 2)
        anew = self.plugin()
        anew.pair(2, reqid=1, ike={"id": 1, "name": "kaido.acme.laptops"}, **common)
        self.assertEqual(len(self.dump("tunnel")), 2)
        self.assertEqual(len(self.sas()), 2)

    def test_two_tenants_may_have_the_same(self):
        made = []
        for number, name in enumerate(("acme", "bolt")):
            made.append({**tenant(name, number + 1, []), "remote-access": [laptops(of=name)]})
        self.apply(config(*made))
        plugin = self.plugin()
        for if_id in (1, 2):
            plugin.pair(if_id, reqid=if_id, local_ts=[whole()], remote_ts=[ts("10.9.0.8")],
                        ike={"id": if_id, "name": ("kaido.acme", "kaido.bolt")[if_id - 1] + ".laptops"})
        self.assertEqual({r.tenant for r in self.routes()}, {t.id for t in self.dump("tenant")})
        self.assertEqual(len(self.dump("tunnel")), 2)
        # Ids are given anew; a connection of another tenant, or one that is gone, has none of this one.
        for name in ("kaido.acme.laptops", "kaido.acme.gone", "kaido.bolt.gone", "kaido.gone.laptops", "bolt.laptops",
                     "kaido.bolt.laptops.2", "kaido.bolt.laptops.", "kaido.bolt", "kaido.", "kaido", "", 5):
            with self.assertRaisesRegex(RpcError, "belongs to tenant 'bolt'"):
                plugin.call("ike.sa.set", **plugin.params("in", 2, reqid=3, local_ts=[whole()],
                                                          remote_ts=[ts("10.9.0.9")], ike={"id": 3, "name": name}))

    def test_who_fails_is_locked_out(self):
        self.configure(access=[laptops()], lockout={"failures": 3, "seconds": 900})
        plugin = self.plugin()
        self.assertEqual(plugin.notified("ike.secrets")["locked"], [])
        failed = {"kind": "failed", "reason": "authentication", "remote": "203.0.113.5", "remote_port": 500,
                  "name": "kaido.acme.laptops", "remote_id": "bob.example", "user": "Bob", "text": "EAP failed"}
        for number in range(3):
            plugin.call("ike.event", **failed)
            plugin.call("ike.event", **{**failed, "user": f"nobody{number}"})
        locked = [{"local": "vpn.acme.example", "remote": "bob"}]
        told = plugin.notified("ike.secrets")
        self.assertEqual(told["locked"], locked)
        self.assertEqual({s["remote"] for s in told["secrets"]}, {"alice", "bob"})
        (event,) = self.events("ike-locked")
        self.assertEqual((event["tenant"], event["user"], event["failures"]), ("acme", "bob", 3))
        (event,) = self.events("ike-failed")
        self.assertEqual(event["text"], "IKE of 'Bob' with 203.0.113.5 failed: EAP failed")
        plugin.call("ike.event", kind="failed", reason="half-open", remote="203.0.113.6", text="gave up")
        self.assertNotIn("tenant", self.events("ike-failed")[1])
        self.restart()
        plugin = self.plugin()
        self.assertEqual(plugin.notified("ike.secrets")["locked"], locked)
        # Who only moves has proven nothing.
        alice = {"id": 1, "name": "kaido.acme.laptops", "user": "alice", "remote_id": "alice"}
        plugin.call("ike.event", kind="established", ike=alice)
        for _ in range(3):
            plugin.call("ike.event", **{**failed, "user": "alice"})
            plugin.call("ike.event", kind="updated", ike=alice)
        self.assertEqual([e["user"] for e in self.events("ike-locked")], ["bob", "alice"])

    def test_failures_of_a_user_count_over_the_tenant(self):
        """At whatever entry, or as a site that logs in; so does the lockout, and another tenant's user is another."""
        certificate, key = issued("gw.acme.example")
        phones = {**laptops("phones"), "local": "192.0.2.9", "local-id": "gw.acme.example", "certificate": certificate,
                  "key": key, "pool": ["10.8.0.0/24"], "users": [{"name": "Bob", "password": "another"}]}
        branch = site(ike={"eap": "mschapv2", "user": "branch", "password": "its secret", "certificate": certificate,
                           "key": key, "local-id": "gw.acme.example"})
        acme = tenant("acme", 1, [branch], lockout={"failures": 3, "seconds": 900})
        acme["remote-access"] = [laptops(), phones]
        other = tenant("other", 2, [])
        other["remote-access"] = [laptops(of="other")]
        self.apply(config(acme, other))
        plugin = self.plugin()
        plugin.notified("ike.secrets")
        failed = {"kind": "failed", "reason": "authentication", "remote": "203.0.113.5", "text": "EAP failed"}
        for name, user in (("kaido.acme.laptops", "bob"), ("kaido.other.laptops", "bob"), ("kaido.acme.phones", "BOB"),
                           ("kaido.other.laptops", "bob"), ("kaido.acme.laptops", "bob")):
            plugin.call("ike.event", **failed, name=name, user=user)
        bobs = [{"local": "vpn.acme.example", "remote": "bob"}, {"local": "gw.acme.example", "remote": "Bob"}]
        locked = plugin.notified("ike.secrets")["locked"]
        self.assertEqual(sorted(map(str, locked)), sorted(map(str, bobs)))
        (event,) = self.events("ike-locked")
        self.assertEqual((event["tenant"], event["tunnel"], event["user"], event["failures"]),
                         ("acme", "laptops", "bob", 3))
        # A site is its user, whatever it calls itself. Once it is in, it begins to be counted anew.
        for _ in range(2):
            plugin.call("ike.event", **failed, name="kaido.acme.branch-1", remote_id="somebody")
        plugin.call("ike.event", kind="established", ike={"id": 1, "name": "kaido.acme.branch-1", "remote_id": "branch"})
        for _ in range(2):
            plugin.call("ike.event", **failed, name="kaido.acme.branch-1", remote_id="branch")
        self.assertEqual(len(self.events("ike-locked")), 1)
        plugin.call("ike.event", **failed, name="kaido.acme.branch-1", remote_id="branch")
        site_locked = {"local": "gw.acme.example", "remote": "branch"}
        self.assertIn(site_locked, plugin.notified("ike.secrets")["locked"])
        self.assertEqual([e["tunnel"] for e in self.events("ike-locked")], ["laptops", "branch-1"])
        # Who is locked out stays so over a restart, until nobody is to be.
        self.restart()
        plugin = self.plugin()
        self.assertEqual(len(plugin.notified("ike.secrets")["locked"]), 3)
        acme["lockout"] = {"failures": 0}
        self.apply(config(acme))
        self.assertEqual(plugin.notified("ike.secrets")["locked"], [])

    def test_failures_of_who_is_gone_are_forgotten(self):
        """Who comes again under the name begins anew; others stay locked out."""
        limits = {"failures": 3, "seconds": 900}
        self.configure(access=[laptops()], lockout=limits)
        plugin = self.plugin()
        for user in ["alice"] * 3 + ["bob"] * 3:
            plugin.call("ike.event", kind="failed", reason="authentication", remote="203.0.113.5", text="EAP failed",
                        name="kaido.acme.laptops", user=user)

        def locked(*users):
            """Once just these are configured."""
            self.configure(access=[laptops(users=[{"name": name, "password": f"{name}'s secret"} for name in users])],
                           lockout=limits)
            while True:
                told = plugin.notified("ike.secrets")
                if {secret["remote"] for secret in told["secrets"]} == set(users):
                    return [one["remote"] for one in told["locked"]]

        self.assertEqual(sorted(locked("alice", "bob", "carol")), ["alice", "bob"])
        self.assertEqual(locked("alice"), ["alice"])
        self.assertEqual(locked("alice", "bob"), ["alice"])
        # Or all of them, by no lockout for a moment.
        limits["failures"] = 0
        self.assertEqual(locked("alice"), [])
        limits["failures"] = 3
        self.assertEqual(locked("alice", "bob"), [])

    def test_disconnect(self):
        self.configure(access=[laptops()])
        plugin = self.plugin()
        self.connect(plugin, 1)
        self.connect(plugin, 2, "bob")
        self.refused(2, "ike.disconnect", tenant="acme", user="carol")
        self.refused(-32602, "ike.disconnect", tenant="acme")
        self.assertEqual(self.call("ike.disconnect", tenant="acme", user="bob"), {"closed": 1})
        self.assertEqual(plugin.notified("ike.close"), {"id": 2})
        self.assertEqual(self.call("ike.disconnect", tenant="acme", name="laptops"), {"closed": 2})
        plugin.close()
        self.plugins.remove(plugin)
        self.world.wait("it is noticed", lambda: not self.call("ike.list")["strongswan"]["connected"])
        self.assertEqual(self.call("ike.disconnect", tenant="acme", id=1), {"closed": 1})
        self.world.wait("it is gone", lambda: len(self.sas()) == 2)
        self.assertEqual(self.plugin(plugin.instance).call("ike.sync", sas=[1, 2, 3, 4]), {"unknown": [1, 2]})
        self.assertEqual(self.plugin().opened["protocol"], 1)
        self.assertEqual(self.call("ike.disconnect", tenant="acme", all=True), {"closed": 1})
        self.world.wait("all are gone", lambda: len(self.sas()) == 0)

    def test_what_was_carried_is_told_of_who_is_removed(self):
        self.restart_dataplane("--appetite", "100")
        self.configure(access=[laptops()])
        plugin = self.plugin()
        self.connect(plugin, 1)
        plugin.notified("ike.usage")
        self.configure()
        self.assertEqual(plugin.notified("ike.close"), {"id": 1})
        self.assertEqual(self.dump("tunnel"), [])
        plugin.call("ike.event", kind="closed", id=1, reason="local")
        (down,) = self.events("ike-down")
        self.assertEqual(down["reason"], "removed from the configuration")
        self.assertGreater(down["bytes_out"], 0)

    def test_what_clients_carried_stays_with_their_tenant(self):
        self.restart_dataplane("--appetite", "100")
        self.configure(access=[laptops()])
        plugin = self.plugin()
        handles = self.connect(plugin, 1)
        usage = plugin.notified("ike.usage")["sas"]
        self.assertEqual([u[0] for u in usage], [handles[1]])
        self.assertGreater(usage[0][1], 0)

        def carried():
            return self.call("counters.get")["tunnels"]

        before = carried()[0]["out_packets"]
        self.assertGreater(before, 0)
        plugin.call("ike.event", kind="closed", id=1, reason="peer")
        self.assertGreater(self.events("ike-down")[0]["bytes_out"], 0)
        for handle in handles:
            plugin.call("ike.sa.delete", sa=handle)
        self.assertEqual(carried(), [])
        self.connect(plugin, 2)
        self.assertLess(carried()[0]["out_packets"], before + 1 << 40)


class Told(Sessions):
    """What the dataplane tells comes to the plugin."""

    def test_each_worker_has_sas_of_its_own(self):
        self.restart_dataplane("--workers", "3")
        self.configure(site(ike={"psk": "a secret of branch 1", "start": "trap", "per-cpu": True}))
        plugin, if_id = self.plugin(), self.if_id("branch-1")
        ike = {"id": 1, "name": "kaido.acme.branch-1", "version": 2, "local": "192.0.2.1", "remote": "198.51.100.7",
               "local_id": "192.0.2.1", "remote_id": "198.51.100.7", "addresses": [], "nat": False}
        plugin.call("ike.event", kind="established", ike={**ike, "initiator": True})
        plugin.pair(if_id)
        asked = [plugin.notified("ike.acquire") for _ in range(3)]
        self.assertEqual(asked, [{"if_id": if_id, "cpu": cpu} for cpu in range(3)])
        for cpu in (2, 0):
            plugin.pair(if_id, cpu=cpu)
        self.assertEqual(sorted((r.direction, r.cpu) for r in self.dump("sa")),
                         sorted([(abi.SA_IN, 0)] * 3 + [(abi.SA_OUT, 0), (abi.SA_OUT, 1), (abi.SA_OUT, 3)]))
        children = self.call("ike.list")["ike"][0]["children"]
        self.assertEqual(sorted(child.get("cpu", -1) for child in children), [-1, 0, 2])
        # What is missing is asked for again, by a kaidod that starts among them.
        self.restart()
        again = self.plugin(plugin.instance)
        again.call("ike.sync", sas=list(range(1, 7)))
        self.assertEqual(again.notified("ike.acquire"), {"if_id": if_id, "cpu": 1})

    def test_ends_of_lifetimes_moves_and_packets(self):
        file = self.world.path("events")
        self.restart_dataplane("--events", file)
        self.configure(site(ike={"psk": "a secret of branch 1", "start": "trap"}))
        (record,) = self.dump("tunnel")
        self.assertEqual(record.flags, abi.TUNNEL_ACQUIRE)
        plugin, if_id = self.plugin(), self.if_id("branch-1")

        def tell(**event):
            with open(file, "a") as out:
                out.write(json.dumps(event) + "\n")

        tell(kind=abi.EVENT_ACQUIRE, tunnel=if_id, protocol=17, address="10.0.0.1", port=5, to="10.1.0.1", to_port=7)
        self.assertEqual(plugin.notified("ike.acquire"),
                         {"if_id": if_id, "protocol": 17, "source": "10.0.0.1", "source_port": 5,
                          "destination": "10.1.0.1", "destination_port": 7})
        place = {"udp": True, "local_port": 4500, "remote_port": 4500}
        inbound, outbound = plugin.pair(if_id, **place)
        ids = {s["direction"]: s["id"] for s in self.call("sa.list")["sas"]}
        tell(kind=abi.EVENT_PEER_MOVED, tunnel=if_id, address="203.0.113.7", port=4711)
        self.assertEqual(plugin.notified("ike.mapping"),
                         {"sa": outbound, "remote": "203.0.113.7", "remote_port": 4711})
        tell(kind=abi.EVENT_SA_SOFT, sa=ids["out"], value=3)
        self.assertEqual(plugin.notified("ike.expire"), {"sa": outbound, "hard": False})
        tell(kind=abi.EVENT_SA_HARD, sa=ids["in"], value=3)
        self.assertEqual(plugin.notified("ike.expire"), {"sa": inbound, "hard": True})
        self.restart()
        again = self.plugin(plugin.instance)
        again.call("ike.sync", sas=[inbound, outbound])
        self.assertEqual({tuple(again.notified("ike.expire").values()) for _ in range(2)},
                         {(inbound, True), (outbound, False)})


if __name__ == "__main__":
    run()
