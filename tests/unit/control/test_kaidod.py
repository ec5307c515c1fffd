#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""kaidod as a whole, from its RPC socket to a dataplane without packets."""

import copy
import glob
import json
import os
import pwd
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from kaidod_world import WAIT, Case, Client, World, config, key, run, sa, tenant, tunnel  # noqa: E402


class Rpc(Case):
    dataplane = False

    def answers(self, data, n):
        client = self.world.client()
        client.raw(data)
        return [client.line() for _ in range(n)]

    def test_malformed(self):
        for line, code in ((b"{]", -32700), (b"\xff\xfe", -32700), (b'{"a":1,"a":2}', -32700), (b"[]", -32600),
                           (b"1", -32600), (b'"x"', -32600), (b"{}", -32600), (b"[" * 5000, -32700),
                           (b'{"jsonrpc":"1.0","id":1,"method":"system.status"}', -32600),
                           (b'{"jsonrpc":"2.0","id":{},"method":"system.status"}', -32600),
                           (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
                           (b'{"jsonrpc":"2.0","id":1,"method":"no.such"}', -32601),
                           (b'{"jsonrpc":"2.0","id":1,"method":"system.status","params":[1]}', -32602),
                           (b'{"jsonrpc":"2.0","id":1,"method":"system.status","params":{"x":1}}', -32602),
                           (b'{"jsonrpc":"2.0","id":1,"method":"tenant.set","params":{}}', -32602),
                           (b'{"jsonrpc":"2.0","id":1,"method":"tenant.list","params":{"tenant":4}}', -32602)):
            with self.subTest(line=line[:60]):
                answer, after = self.answers(line + b'\n{"jsonrpc":"2.0","id":9,"method":"system.status"}\n', 2)
                self.assertEqual(answer["error"]["code"], code)
                self.assertEqual(after["id"], 9)
                self.assertIn("result", after)

    def test_a_parse_error_does_not_repeat_a_key(self):
        (answer,) = self.answers(b'{"jsonrpc":"2.0","params":{"key":"' + key(7).encode() + b'"]}\n', 1)
        self.assertNotIn(key(7)[:8], json.dumps(answer))

    def test_pipelined_in_order_in_pieces(self):
        client = self.world.client()
        data = b"".join(b'{"jsonrpc":"2.0","id":%d,"method":"%s"}\n'
                        % (i, (b"system.status", b"config.get", b"no.such")[i % 3]) for i in range(1000))
        for i in range(0, len(data), 4097):
            client.raw(data[i:i + 4097])
        self.assertEqual([client.line()["id"] for _ in range(1000)], list(range(1000)))

    def test_notifications_get_no_answer(self):
        data = b'{"jsonrpc":"2.0","method":"system.status"}\n{"jsonrpc":"2.0","id":5,"method":"system.status"}\n'
        self.assertEqual(self.answers(data, 1)[0]["id"], 5)

    def test_a_line_of_more_than_64_mib_is_refused(self):
        client = self.world.client()
        try:
            for _ in range(66):
                client.raw(b"x" * (1 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            self.assertEqual(client.line()["error"]["code"], -32600)
        except (ConnectionResetError, EOFError):
            pass
        self.assertEqual(self.call("tenant.list")["tenants"], [])

    def test_a_client_that_does_not_read_stops_only_itself(self):
        idle = self.world.client()
        idle.socket.setblocking(False)
        line = b'{"jsonrpc":"2.0","id":1,"method":"system.status"}\n' * 1000
        sent, stuck = 0, 0
        while stuck < 50 and sent < 200 << 20:
            try:
                sent += idle.socket.send(line)
                stuck = 0
            except BlockingIOError:
                stuck += 1
                time.sleep(0.01)
        self.assertGreaterEqual(stuck, 50)
        self.assertIn("version", self.call("system.status"))

    def test_events(self):
        client = self.world.client()
        client.call("event.subscribe")
        self.apply(config(tenant("acme", 1, [])))
        event = client.line()
        self.assertEqual((event["method"], event["params"]["kind"]), ("event", "apply"))
        self.assertAlmostEqual(event["params"]["time"], time.time(), delta=300)


class Roles(Case):
    dataplane = False

    def setUp(self):
        self.world = World(Case.kaidod)
        self.addCleanup(self.world.close)
        self.world.start_kaidod("--operator-group", "adm", "--auditor-group", "games", "--ike-group", "uucp")
        self.call = self.world.call

    def ask_as(self, user, method, group=None, path="rpc"):
        """The answer that a process of that user gets."""
        account = pwd.getpwnam(user)
        parts = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(account.pw_gid if group is None else group)
                os.setuid(account.pw_uid)
                client = Client(self.world.path(path))
                client.raw(b'{"jsonrpc":"2.0","id":1,"method":"%s"}\n' % method.encode())
                os.write(parts[1], json.dumps(client.line()).encode())
            except BaseException as error:
                os.write(parts[1], json.dumps({"failed": str(error)}).encode())
            os._exit(0)
        os.close(parts[1])
        with os.fdopen(parts[0]) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return json.loads(text)

    def test_roles(self):
        import grp
        self.assertIn("result", self.ask_as("root", "config.get"))
        self.assertEqual(self.ask_as("nobody", "system.status")["error"]["code"], 1)
        auditor = grp.getgrnam("games").gr_gid
        operator = grp.getgrnam("adm").gr_gid
        self.assertIn("result", self.ask_as("nobody", "audit.list", auditor))
        for method in ("config.apply", "tenant.delete", "sa.add", "trace.start", "config.confirm"):
            self.assertEqual(self.ask_as("nobody", method, auditor)["error"]["code"], 1)
        self.assertEqual(self.ask_as("nobody", "config.confirm", operator)["error"]["code"], 2)
        entries = self.call("audit.list")["entries"]
        self.assertEqual(sum(e["result"] == "refused for the role" for e in entries), 5)
        self.assertTrue(all(e["who"] == "nobody" for e in entries))

    PLUGINS = ("ike.open", "ike.sa.set", "ike.sa.update", "ike.sa.delete", "ike.sync", "ike.event")

    def test_charons_socket(self):
        """charon's plugin may call what is made for it, there; nobody else may, and it nothing else."""
        import grp
        charon = grp.getgrnam("uucp").gr_gid
        self.assertEqual(os.stat(self.world.path("ike.sock")).st_mode & 0o777, 0o660)
        self.assertEqual(os.stat(self.world.path("ike.sock")).st_gid, charon)
        for who, group in (("root", None), ("nobody", charon)):
            for method in self.PLUGINS:  # it gets as far as its params
                self.assertNotEqual(self.ask_as(who, method, group, "ike.sock")["error"]["code"], 1, method)
        entries = len(self.call("audit.list")["entries"])
        others = ("system.status", "config.get", "config.apply", "sa.list", "audit.list", "event.subscribe",
                  "ike.list", "ike.disconnect")
        for method in others:
            self.assertEqual(self.ask_as("root", method, None, "ike.sock")["error"]["code"], 1, method)
        for method in self.PLUGINS:
            error = self.ask_as("root", method)["error"]
            self.assertEqual(error["code"], 1, method)
            self.assertIn("charon's plugin alone", error["message"])
        self.assertIn("result", self.ask_as("root", "ike.list"))
        for name, path in (("adm", "ike.sock"), ("games", "ike.sock")):
            answer = self.ask_as("nobody", "ike.open", grp.getgrnam(name).gr_gid, path)
            self.assertIn("Permission denied", answer.get("failed", ""), answer)
        self.assertEqual(self.ask_as("nobody", "system.status", charon)["error"]["code"], 1)

        noted = self.call("audit.list")["entries"][:-entries or None]
        self.assertEqual([(e["method"], e["role"]) for e in reversed(noted)],
                         [(m, "ike") for m in others] + [(m, "operator") for m in self.PLUGINS])
        self.assertTrue(all(e["result"] == "refused for the role" for e in noted))

    def test_charons_socket_without_a_group(self):
        """Who can reach it all the same, and isn't kaidod's user, is refused by his credentials."""
        self.world.stop_kaidod()
        self.world.start_kaidod("--ike-socket", self.world.path("charons"))
        self.assertEqual(os.stat(self.world.path("charons")).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.exists(self.world.path("ike.sock")))
        os.chmod(self.world.path("charons"), 0o666)
        error = self.ask_as("nobody", "ike.open", None, "charons")["error"]
        self.assertEqual(error["code"], 1)
        self.assertIn("--ike-group", error["message"])
        self.assertEqual(self.ask_as("root", "ike.open", None, "charons")["error"]["code"], -32602)


class Validation(Case):
    dataplane = False
    BASE = config(tenant("acme", 101, [tunnel("one", 1), tunnel("two", 2)],
                         routes=[{"prefix": "10.99.0.0/16", "via": "172.31.0.9"}]))

    # Where in the configuration, what is put there (None: removed), pointer, a part of the message.
    MISTAKES = (
        ("version", 2, "/version", "from 1 to 1"),
        ("version", None, "/version", "version: 1"),
        ("extra", 1, "/extra", "not known here"),
        ("tenants/0/name", "Acme!", "/tenants/0/name", "a-z"),
        ("tenants/0/name", "a" * 32, "/tenants/0/name", "1 to 31"),
        ("tenants/0/name", None, "/tenants/0/name", "missing"),
        ("tenants/0/label", "x" * 129, "/tenants/0/label", "at most 128"),
        ("tenants/0/label", "two\nlines", "/tenants/0/label", "one line"),
        ("tenants/0/service", "vpn", "/tenants/0/service", "remote-access"),
        ("tenants/0/tunnels", {}, "/tenants/0/tunnels", "list"),
        ("tenants/0/attachments/0/vlan", 4095, "/tenants/0/attachments/0/vlan", "0 to 4094"),
        ("tenants/0/attachments/0/vlan", "x", "/tenants/0/attachments/0/vlan", "whole number"),
        ("tenants/0/attachments/0/port", "wan/0", "/tenants/0/attachments/0/port", "printable"),
        ("tenants/0/attachments/0/port", None, "/tenants/0/attachments/0/port", "missing"),
        ("tenants/0/attachments/0/mtu", 100, "/tenants/0/attachments/0/mtu", "576"),
        ("tenants/0/attachments/0/addresses/0", "172.31.0.0/24", "/tenants/0/attachments/0/addresses/0", "first or"),
        ("tenants/0/attachments/0/addresses/0", "172.31.0.1", "/tenants/0/attachments/0/addresses/0", "prefix length"),
        ("tenants/0/attachments/0/addresses/0", "224.0.0.1/24", "/tenants/0/attachments/0/addresses/0", "host can"),
        ("tenants/0/attachments/0/addresses", ["172.31.0.1/24", "172.31.0.2/25"],
         "/tenants/0/attachments/0/addresses/1", "overlaps"),
        ("tenants/0/attachments/0/addresses", [f"10.200.{i}.1/24" for i in range(5)],
         "/tenants/0/attachments/0/addresses", "at most 4"),
        ("tenants/0/attachments/0/neighbours", [{"address": "10.9.9.9", "mac": "02:00:00:00:00:01"}],
         "/tenants/0/attachments/0/neighbours/0/address", "on the link"),
        ("tenants/0/attachments/0/neighbours", [{"address": "172.31.0.9", "mac": "03:00:00:00:00:01"}],
         "/tenants/0/attachments/0/neighbours/0/mac", "one station"),
        ("tenants/0/attachments/0/neighbours", [{"address": "172.31.0.9", "mac": "02-00"}],
         "/tenants/0/attachments/0/neighbours/0/mac", "MAC address"),
        ("tenants/0/attachments/1", {"name": "dc", "port": "lan", "vlan": 7}, "/tenants/0/attachments", "'dc'"),
        ("tenants/0/attachments/1", {"name": "b", "port": "lan", "vlan": 101}, "/tenants/0/attachments/1/vlan",
         "already belongs"),
        ("tenants/0/attachments/1", {"name": "b", "port": "lan", "vlan": 7, "addresses": ["172.31.0.65/26"]},
         "/tenants/0/attachments/1/addresses/0", "overlaps"),
        ("tenants/0/attachments/0/port", "wan", None, None),
        ("tenants/0/tunnels/0/local", "fe80::1", "/tenants/0/tunnels/0/remote", "same family"),
        ("tenants/0/tunnels/0/remote", "192.0.2.1", "/tenants/0/tunnels/0/remote", "same address"),
        ("tenants/0/tunnels/0/remote", "host.example", "/tenants/0/tunnels/0/remote", "not an IPv4"),
        ("tenants/0/tunnels/0/encapsulation", "gre", "/tenants/0/tunnels/0/encapsulation", "esp, udp"),
        ("tenants/0/tunnels/0/encapsulation", "PPTP", "/tenants/0/tunnels/0/encapsulation", "AES-GCM"),
        ("tenants/0/tunnels/0/encapsulation", "3des", "/tenants/0/tunnels/0/encapsulation", "AES-GCM"),
        ("tenants/0/tunnels/0/protocol", "l2tp", "/tenants/0/tunnels/0/protocol", "AES-GCM"),
        ("tenants/0/tunnels/0/cipher", "aes-256-cbc", "/tenants/0/tunnels/0/cipher", "AES-GCM"),
        ("tenants/0/tunnels/0/sas/0/mode", "cbc", "/tenants/0/tunnels/0/sas/0/mode", "AES-GCM"),
        ("tenants/0/tunnels/0", {**tunnel("one", 1), "encapsulation": "udp", "local-port": 4501},
         "/tenants/0/tunnels/0/local-port", "must be 4500"),
        ("tenants/0/tunnels/0", {**tunnel("one", 1), "encapsulation": "udp", "remote-port": 61234}, None, None),
        ("tenants/0/tunnels/0/local-port", 4500, "/tenants/0/tunnels/0/local-port", "encapsulation: udp"),
        ("tenants/0/tunnels/0/networks/0", "10.0.1.7/24", "/tenants/0/tunnels/0/networks/0", "10.0.1.0/24"),
        ("tenants/0/tunnels/0/networks/0", "10.0.1.0/33", "/tenants/0/tunnels/0/networks/0", "not a prefix") ,
        ("tenants/0/tunnels/0/networks/0", "10.0.2.0/24", "/tenants/0/tunnels/1/networks/0", "already belongs"),
        ("tenants/0/tunnels/0/networks/0", "172.31.0.0/24", "/tenants/0/tunnels/0/networks/0", "attachment 'dc'"),
        ("tenants/0/tunnels/0/networks/0", "172.31.0.1/32", "/tenants/0/tunnels/0/networks/0", "attachment 'dc'"),
        ("tenants/0/tunnels/0/networks/0", "172.31.0.0/25", None, None),
        ("tenants/0/routes/0", {"prefix": "172.31.0.0/24", "tunnel": "one"}, "/tenants/0/routes/0", "attachment 'dc'"),
        ("tenants/0/tunnels/1/name", "one", "/tenants/0/tunnels", "'one'"),
        ("tenants/0/tunnels/0/sas/0/spi", 255, "/tenants/0/tunnels/0/sas/0/spi", "256"),
        ("tenants/0/tunnels/0/sas/0/spi", 0x10002, "/tenants/0/tunnels/1/sas/0/spi", "already belongs"),
        ("tenants/0/tunnels/0/sas/0/key", "00" * 20, "/tenants/0/tunnels/0/sas/0/key", "16, 24 or 32"),
        ("tenants/0/tunnels/0/sas/0/key", "zz" * 16, "/tenants/0/tunnels/0/sas/0/key", "hexadecimal"),
        ("tenants/0/tunnels/0/sas/0/key", None, "/tenants/0/tunnels/0/sas/0/key", "missing"),
        ("tenants/0/tunnels/0/sas/0/key", "set", "/tenants/0/tunnels/0/sas/0/key", "this SA is new"),
        ("tenants/0/tunnels/0/sas/0/salt", "0102", "/tenants/0/tunnels/0/sas/0/salt", "8 hexadecimal"),
        ("tenants/0/tunnels/0/sas/0/salt", None, "/tenants/0/tunnels/0/sas/0/salt", "missing"),
        ("tenants/0/tunnels/0/sas/0/window", 4097, "/tenants/0/tunnels/0/sas/0/window", "4096"),
        ("tenants/0/tunnels/0/sas/1/window", 64, "/tenants/0/tunnels/0/sas/1/window", "receiver"),
        ("tenants/0/tunnels/0/sas/0/direction", "both", "/tenants/0/tunnels/0/sas/0/direction", "in, out"),
        ("tenants/0/tunnels/0/sas/0/algorithm", "3des", "/tenants/0/tunnels/0/sas/0/algorithm", "AES-GCM"),
        ("tenants/0/tunnels/0/sas/0/key-file", "/x", "/tenants/0/tunnels/0/sas/0/key-file", "kaidoctl"),
        ("tenants/0/tunnels/0/sas/0/esn", "yes", "/tenants/0/tunnels/0/sas/0/esn", "true or false"),
        ("tenants/0/tunnels/1/sas/1", sa("out", 0x777, 3), "/tenants/0/tunnels/1/sas/1/key", "is in use"),
        ("tenants/0/tunnels/1/sas/1", sa("out", 0x777, 2), "/tenants/0/tunnels/1/sas/1/key", "is in use"),
        ("tenants/0/routes/0", {"prefix": "10.99.0.0/16", "via": "172.30.0.1"}, "/tenants/0/routes/0/via", "link"),
        ("tenants/0/routes/0", {"prefix": "10.99.0.0/16", "via": "172.31.0.1"}, "/tenants/0/routes/0/via", "itself"),
        ("tenants/0/routes/0", {"prefix": "fd00::/16", "via": "172.31.0.9"}, "/tenants/0/routes/0/via", "IPv6"),
        ("tenants/0/routes/0", {"prefix": "10.99.0.0/16"}, "/tenants/0/routes/0", "exactly one"),
        ("tenants/0/routes/0", {"prefix": "10.99.0.0/16", "tunnel": "no"}, "/tenants/0/routes/0/tunnel", "no tunnel"),
        ("tenants/0/routes/0", {"prefix": "10.0.1.0/24", "blackhole": True}, "/tenants/0/routes/0", "tunnel 'one'"),
        ("underlay/0/netdev", "eth0", "/underlay/0/netdev", "mirrored"),
        ("underlay/0/addresses", None, "/underlay/0", "netdev"),
        ("underlay/0/routes", [{"prefix": "0.0.0.0/0", "via": "10.1.1.1"}], "/underlay/0/routes/0/via", "link"),
    )

    @staticmethod
    def put(wanted, place, value):
        *parents, last = [int(p) if p.isdigit() else p for p in place.split("/")]
        node = wanted
        for parent in parents:
            node = node[parent]
        if value is None:
            node.pop(last)
        elif isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value

    def test_each_mistake_has_its_pointer(self):
        for place, value, pointer, part in self.MISTAKES:
            with self.subTest(place=place, value=value):
                wanted = copy.deepcopy(self.BASE)
                self.put(wanted, place, value)
                if pointer is None:
                    self.apply(wanted, dry_run=True)
                    continue
                error = self.refused(-32602, "config.apply", config=wanted, dry_run=True)
                found = [e["message"] for e in error.errors if e["pointer"] == pointer]
                self.assertTrue(any(part in message for message in found), error.errors)

    def test_every_mistake_is_told(self):
        wanted = copy.deepcopy(self.BASE)
        self.put(wanted, "tenants/0/service", "vpn")
        self.put(wanted, "tenants/0/tunnels/0/local", "nowhere")
        self.put(wanted, "tenants/0/tunnels/1/sas/1/salt", "1")
        self.put(wanted, "odd", 1)
        error = self.refused(-32602, "config.apply", config=wanted)
        self.assertEqual({e["pointer"] for e in error.errors},
                         {"/tenants/0/service", "/tenants/0/tunnels/0/local", "/tenants/0/tunnels/1/sas/1/salt",
                          "/odd"})
        self.assertEqual(self.call("system.status")["generation"], 0)

    def test_of_parts(self):
        self.apply(self.BASE)
        for method, params, pointer in (
                ("tunnel.set", {"tenant": "acme", "tunnel": tunnel("three", 2)}, "/tunnel/networks/0"),
                ("tunnel.set", {"tenant": "acme", "tunnel": {**tunnel("three", 3), "mtu": 1}}, "/tunnel/mtu"),
                ("sa.add", {"tenant": "acme", "tunnel": "one", "sa": sa("in", 0x10002, 77)}, "/sa/spi"),
                ("sa.add", {"tenant": "acme", "tunnel": "one", "sa": sa("out", 0x30000, 3)}, "/sa/key"),
                ("route.set", {"tenant": "acme", "route": {"prefix": "1.0.0.0/8", "via": "9.9.9.9"}}, "/route/via"),
                ("attachment.set", {"tenant": "acme", "attachment": {"name": "x", "port": "wan"}},
                 "/attachment/vlan"),
                ("attachment.set", {"tenant": "acme", "attachment": {"name": "x", "port": "lan", "vlan": 9,
                                                                     "addresses": ["10.0.1.1/24"]}}, ""),
                ("tenant.set", {"tenant": {"name": "b", "nets": 1}}, "/tenant/nets"),
                ("underlay.set", {"underlay": {"name": "b", "port": "lan", "vlan": 101, "netdev": "x"}},
                 "/underlay/vlan")):
            with self.subTest(method=method, pointer=pointer):
                error = self.refused(-32602, method, **params)
                self.assertIn(pointer, [e["pointer"] for e in error.errors])
        for method, params in (("tenant.delete", {"name": "x"}), ("tunnel.delete", {"tenant": "acme", "name": "x"}),
                               ("route.delete", {"tenant": "acme", "prefix": "5.0.0.0/8"}),
                               ("sa.delete", {"tenant": "acme", "tunnel": "one", "direction": "in", "spi": 9999}),
                               ("underlay.delete", {"name": "x"}), ("tunnel.set", {"tenant": "x", "tunnel": {}})):
            self.refused(2, method, **params)
        self.assertEqual(self.call("system.status")["generation"], 1)


class Apply(Case):
    WANTED = config(tenant("acme", 101, [tunnel("one", 1), tunnel("two", 2)], label="Acme", service="wan",
                           routes=[{"prefix": "10.99.0.0/16", "via": "172.31.0.9"},
                                   {"prefix": "10.98.0.0/16", "blackhole": True}]),
                    tenant("bolt", 102, [tunnel("one", 3)]))

    def test_idempotent(self):
        first = self.apply(self.WANTED)
        self.assertTrue(first["applied"])
        self.assertEqual({c["op"] for c in first["changes"]}, {"add"})
        tables = self.tables()
        self.assertEqual([len(tables[k]) for k in ("tenant", "attachment", "tunnel", "sa", "route")],
                         [2, 3, 3, 6, 5])
        again = self.apply(self.WANTED)
        self.assertEqual((again["changes"], again["generation"]), ([], first["generation"]))
        got = self.call("config.get")["config"]
        self.assertNotIn(key(3), json.dumps(got))
        self.assertEqual(self.apply(got)["changes"], [])
        self.assertEqual(self.tables(), tables)

    def test_dry_run_changes_nothing(self):
        self.assertTrue(self.apply(self.WANTED, dry_run=True)["changes"])
        self.assertEqual(self.call("system.status")["generation"], 0)
        self.assertEqual(self.tables()["tenant"], [])

    def test_others_are_left_alone_unless_pruned(self):
        self.apply(self.WANTED)
        other = config(tenant("corp", 103, []))
        self.apply(other)
        self.assertEqual(len(self.call("tenant.list")["tenants"]), 3)
        changes = self.apply(other, prune=True)["changes"]
        self.assertEqual([t["name"] for t in self.call("tenant.list")["tenants"]], ["corp"])
        self.assertEqual(sum(c["op"] == "delete" for c in changes), 2)
        self.assertEqual([len(self.tables()[k]) for k in ("tenant", "tunnel", "sa", "route")], [1, 0, 0, 0])

    def test_a_refusal_is_taken_back(self):
        self.apply(self.WANTED)
        before, tables = self.call("config.get"), self.tables()
        wanted = copy.deepcopy(self.WANTED)
        wanted["tenants"][0]["attachments"][0]["port"] = "gone"
        wanted["tenants"][1]["label"] = "new"
        error = self.refused(6, "config.apply", config=wanted)
        self.assertIn("no port gone", error.message)
        self.assertEqual((self.call("config.get"), self.tables()), (before, tables))
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.start_kaidod()
        self.world.wait_converged()
        self.assertEqual((self.call("config.get"), self.tables()), (before, tables))

    def test_confirm(self):
        self.apply(self.WANTED)
        before = self.call("config.get")
        changed = config(tenant("acme", 101, [tunnel("one", 1)]), tenant("new", 110, [tunnel("x", 9)]))
        self.apply(changed, confirm_within=600)
        self.refused(3, "tenant.delete", name="acme")
        self.assertIn("confirm_within", self.call("system.status"))
        self.call("config.confirm")
        self.refused(2, "config.confirm")
        after = self.call("config.get")
        self.assertNotEqual(before, after)
        self.apply(self.WANTED, confirm_within=1)
        self.world.wait("it is taken back", lambda: "confirm_within" not in self.call("system.status")
                        and self.call("config.get") == after)
        self.world.wait_converged()
        self.assertEqual(len(self.tables()["tenant"]), 3)

    def test_confirm_over_a_restart(self):
        self.apply(self.WANTED)
        before, tables = self.call("config.get"), self.tables()
        self.apply(config(tenant("acme", 101, [])), confirm_within=2)
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.start_kaidod()
        self.world.wait("it is taken back", lambda: self.call("config.get") == before)
        self.world.wait_converged()
        after = self.tables()
        for kind in ("tenant", "attachment", "tunnel", "route"):
            self.assertEqual(after[kind], tables[kind])
        self.assertEqual(len(after["sa"]), len(tables["sa"]))

    def test_a_dataplane_that_dies_within_a_change(self):
        for crash in ("staged", "commit", "committed"):
            with self.subTest(crash=crash):
                self.world.stop_dataplane()
                self.world.wait("it is lost",
                                lambda: not self.call("system.status")["dataplane"]["connected"])
                self.assertFalse(self.apply(config(tenant(crash, 200, [])))["applied"])
                self.world.start_dataplane("--crash", crash)
                self.world.dataplane.wait(WAIT)
                self.world.start_dataplane()
                self.world.wait_converged()
                self.assertEqual(len(self.tables()["tenant"]), 1)
                self.call("tenant.delete", name=crash)

    def test_kaidod_dies_within_a_change(self):
        self.apply(self.WANTED)
        before = self.call("config.get")
        self.world.dataplane.send_signal(signal.SIGSTOP)
        client = self.world.client()
        client.raw(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tenant.delete",
                               "params": {"name": "acme"}}).encode() + b"\n")
        self.world.wait("it is stored and under way", lambda: len(self.call("tenant.list")["tenants"]) == 1)
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.dataplane.send_signal(signal.SIGCONT)
        self.world.start_kaidod()
        self.world.wait_converged()
        self.assertEqual(self.call("config.get"), before)
        self.assertEqual(len(self.tables()["tenant"]), 2)

    def test_held_back_tenant(self):
        self.world.stop_dataplane()
        self.world.wait("it is lost", lambda: not self.call("system.status")["dataplane"]["connected"])
        wanted = copy.deepcopy(self.WANTED)
        wanted["tenants"][0]["attachments"][0]["port"] = "later"
        self.assertFalse(self.apply(wanted)["applied"])
        self.world.start_dataplane()
        self.world.wait("one is held back", lambda: self.call("system.status")["dataplane"].get("held_back") == 1)
        self.world.wait("the other runs", lambda: len(self.tables()["tenant"]) == 1)
        self.assertTrue(self.call("tenant.set", tenant=tenant("corp", 104, []))["applied"])
        self.apply(self.WANTED)
        self.world.wait_converged()
        self.assertEqual(len(self.tables()["tenant"]), 3)

    def test_places_are_exchanged(self):
        def attachments(a, b):
            result = tenant("acme", 1, [])
            result["attachments"] = [{"name": n, "port": "lan", "vlan": v, "addresses": [f"10.{i}.0.1/24"]}
                                     for i, (n, v) in enumerate((("x", a), ("y", b)))]
            result["routes"] = [{"prefix": "10.9.0.0/16", "via": "10.0.0.2"}]
            return config(result)
        self.apply(attachments(1, 2))
        self.assertTrue(self.apply(attachments(2, 1))["applied"])
        self.world.stop_dataplane()
        self.world.start_dataplane()
        self.world.wait_converged()
        self.assertEqual(len(self.tables()["attachment"]), 3)

    def test_rekey(self):
        self.apply(self.WANTED)
        self.call("sa.add", tenant="acme", tunnel="one", sa=sa("in", 0x30001, 101))
        self.call("sa.add", tenant="acme", tunnel="one", sa=sa("out", 0x30002, 102))
        self.call("sa.delete", tenant="acme", tunnel="one", direction="out", spi=0x20001)
        self.call("sa.delete", tenant="acme", tunnel="one", direction="in", spi="0x10001")
        sas = self.call("sa.list", tenant="acme", tunnel="one")["sas"]
        self.assertEqual({s["spi"] for s in sas}, {0x30001, 0x30002})
        self.assertEqual(len(self.tables()["sa"]), 6)
        # The last outbound SA of the list sends: to make an old one last is to set it anew.
        both = tunnel("one", 1)
        both["sas"] = [sa("out", 0x30002, 102), sa("out", 0x30003, 103)]
        self.call("tunnel.set", tenant="acme", tunnel=both)
        first = {s["spi"]: s["id"] for s in self.call("sa.list", tenant="acme", tunnel="one")["sas"]}
        both["sas"].reverse()
        self.call("tunnel.set", tenant="acme", tunnel=both)
        second = {s["spi"]: s for s in self.call("sa.list", tenant="acme", tunnel="one")["sas"]}
        self.assertEqual(second[0x30003]["id"], first[0x30003])
        self.assertNotEqual(second[0x30002]["id"], first[0x30002])
        self.assertGreaterEqual(second[0x30002]["sequence"], 1 << 26)

    def test_lists(self):
        self.apply(self.WANTED)
        for method, member in (("tenant.list", "tenants"), ("tunnel.list", "tunnels"), ("sa.list", "sas"),
                               ("attachment.list", "attachments"), ("route.list", "routes"),
                               ("neighbour.list", "neighbours"), ("port.list", "ports"),
                               ("worker.list", "workers"), ("drop.list", "reasons"), ("audit.list", "entries")):
            self.assertIsInstance(self.call(method)[member], list)
        for method in ("tunnel.list", "sa.list", "attachment.list", "route.list", "counters.get", "config.get"):
            self.assertNotIn("bolt", json.dumps(self.call(method, tenant="acme")))
            self.refused(2, method, tenant="none")
        self.call("trace.start", tenant="acme", packets=5)
        self.assertEqual(self.call("trace.read")["records"][0]["reason"], "no_route")
        self.call("trace.stop")
        self.assertEqual([e["method"] for e in self.call("audit.list", limit=3)["entries"]],
                         ["trace.stop", "trace.read", "trace.start"])
        self.refused(-32602, "trace.start", packets=0)

    def test_following_a_trace_is_audited_once(self):
        client = self.world.client()

        def reads():
            return sum(e["method"] == "trace.read" for e in self.call("audit.list", limit=1000)["entries"])
        for traces in (1, 2):
            client.call("trace.start")
            for _ in range(5):
                client.call("trace.read")
            self.assertEqual(reads(), traces)
        self.call("trace.read")  # somebody else
        self.assertEqual(reads(), 3)

    def test_status_tells_of_clock_and_leases(self):
        self.apply(self.WANTED)
        status = self.call("system.status")
        self.assertIsInstance(status["clock"]["synchronised"], bool)
        self.world.wait("leases are looked after", lambda: self.call("system.status")["leases"]["extended"])
        self.assertEqual(self.call("system.status")["leases"], {"extended": True, "sas": 3, "ending": 0})
        self.world.stop_dataplane()
        self.world.wait("it is lost", lambda: not self.call("system.status")["dataplane"]["connected"])
        self.assertEqual(self.call("system.status")["leases"], {"extended": False, "sas": 0, "ending": 0})


class Keys(Case):
    def test_encrypted_at_rest(self):
        wanted = config(tenant("acme", 1, [tunnel(f"t{i}", i + 1) for i in range(20)]))
        self.apply(wanted)
        secrets = [bytes.fromhex(s["key"]) for t in wanted["tenants"][0]["tunnels"] for s in t["sas"]]
        with abi.Client(self.world.path("dataplane")) as client:
            self.assertEqual(len(client.dump("sa")), 40)
        files = glob.glob(self.world.state + "/*") + [self.world.path("kaidod.log")]
        self.assertTrue(any(name.endswith("-wal") for name in files))
        for name in files:
            if os.path.isdir(name):
                continue
            with open(name, "rb") as file:
                data = file.read()
            for secret in secrets:
                self.assertNotIn(secret, data, name)
                self.assertNotIn(secret.hex().encode(), data.lower(), name)
        everything = json.dumps([self.call("config.get"), self.call("sa.list"), self.call("audit.list")])
        self.assertNotIn(wanted["tenants"][0]["tunnels"][0]["sas"][0]["key"], everything)

    def test_the_dataplane_gets_the_right_keys_after_a_restart(self):
        one = tunnel("one", 1)
        self.apply(config(tenant("acme", 1, [one])))
        fingerprints = {s["spi"]: s["fingerprint"] for s in self.call("sa.list")["sas"]}
        log = self.world.path("used")
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.stop_dataplane()
        self.world.start_dataplane("--log", log, "--appetite", "10")
        self.world.start_kaidod()
        self.world.wait("it sends", lambda: os.path.exists(log) and os.path.getsize(log) > 0)
        with open(log) as file:
            self.assertEqual(file.readline().split()[0], one["sas"][1]["key"] + one["sas"][1]["salt"])
        self.assertEqual({s["spi"]: s["fingerprint"] for s in self.call("sa.list")["sas"]}, fingerprints)

    def fails(self, part):
        process = self.world.start_kaidod(wait=False)
        self.assertNotEqual(process.wait(WAIT), 0)
        self.assertIn(part, self.world.log())

    def test_master_key(self):
        self.apply(config(tenant("acme", 1, [tunnel("one", 1)])))
        self.world.stop_kaidod()
        path = self.world.path("master.key")
        self.assertEqual((os.stat(path).st_mode & 0o777, os.stat(path).st_size), (0o600, 32))
        os.chmod(path, 0o640)
        self.fails("nobody else can read")
        os.chmod(path, 0o600)
        with open(path, "rb") as file:
            right = file.read()
        with open(path, "wb") as file:
            file.write(right[:31])
        self.fails("has 32 bytes")
        with open(path, "wb") as file:
            file.write(os.urandom(32))
        self.fails("another master key")
        with open(path, "wb") as file:
            file.write(right)
        os.chown(path, 65534, 65534)
        self.fails("own user")
        os.chown(path, 0, 0)
        self.world.start_kaidod()
        self.world.wait_converged()

    def test_two_on_one_state(self):
        with open(self.world.path("second.log"), "wb") as log:
            second = subprocess.run([Case.kaidod, "--state", self.world.state, "--socket", self.world.path("rpc2"),
                                     "--dataplane", self.world.path("dataplane"), "--master-key",
                                     self.world.path("master.key")], stderr=log, timeout=WAIT)
        self.assertNotEqual(second.returncode, 0)

    def test_hardened(self):
        for path in glob.glob(f"/proc/{self.world.kaidod.pid}/task/*/status"):
            with open(path) as file:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        with open(f"/proc/{self.world.kaidod.pid}/limits") as file:
            self.assertIn("Max core file size        0                    0", file.read())


class Audit(Case):
    dataplane = False

    def tamper(self, statement):
        self.world.stop_kaidod()
        with sqlite3.connect(self.world.state + "/kaido.db") as database:
            database.execute(statement)
        database.close()
        self.world.start_kaidod()
        return self.call("audit.verify")

    def test_attempts_are_recorded(self):
        self.refused(-32602, "tenant.set", tenant=tenant("a", 5000, []))
        (entry,) = self.call("audit.list")["entries"]
        self.assertEqual((entry["who"], entry["method"], entry["summary"]), ("root", "tenant.set", "tenant a"))
        self.assertTrue(entry["result"].startswith("not done"))

    def test_tampering_shows(self):
        for name in ("a", "b", "c", "d"):
            self.call("tenant.set", tenant=tenant(name, ord(name), []))
        self.assertEqual(self.call("audit.verify"), {"whole": True, "entries": 4})
        keep = sqlite3.connect(self.world.state + "/kaido.db")
        keep.close()
        result = self.tamper("UPDATE audit SET summary = 'tenant x' WHERE id = 3")
        self.assertEqual((result["whole"], result["broken_at"]), (False, 3))
        self.assertTrue(self.tamper("UPDATE audit SET summary = 'tenant c' WHERE id = 3")["whole"])
        result = self.tamper("DELETE FROM audit WHERE id = 2")
        self.assertEqual((result["whole"], result["broken_at"]), (False, 2))


class Size(Case):
    def test_a_thousand_tenants_of_ten_tunnels(self):
        wanted = config(*(tenant(f"tenant-{i:04}", i + 1, [tunnel(f"t{k}", 10 * i + k + 1) for k in range(10)])
                          for i in range(1000)))
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "config.apply", "params": {"config": wanted}})
        client = self.world.client()
        started = time.monotonic()
        client.raw(text.encode() + b"\n")
        answer = client.line()
        applied = time.monotonic() - started
        self.assertTrue(answer["result"]["applied"], str(answer)[:500])
        started = time.monotonic()
        self.assertEqual(self.apply(wanted)["changes"], [])
        again = time.monotonic() - started
        started = time.monotonic()
        self.call("sa.add", tenant="tenant-0500", tunnel="t5", sa=sa("in", 0x7fff0000, 1 << 20))
        single = time.monotonic() - started
        tables = self.tables()
        self.assertEqual([len(tables[k]) for k in ("tenant", "tunnel", "sa")], [1000, 10000, 20001])
        started = time.monotonic()
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.start_kaidod()
        self.world.wait_converged()
        restart = time.monotonic() - started
        self.assertEqual(self.tables(), tables)
        print(f"# {len(text) >> 20} MiB: applied in {applied:.2f} s, again {again:.2f} s, one SA {single:.3f} s, "
              f"kaidod's restart {restart:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    run()
