#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What tunnels and SAs can be told besides their ends and keys: from the RPC socket to a dataplane without packets."""

import copy
import ipaddress
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from kaidod_world import Case, config, run, sa, tenant, tunnel  # noqa: E402


def packed(text):
    return ipaddress.ip_address(text).packed.ljust(16, b"\0")


class Told(Case):
    """A dataplane that notes what is set, and one tenant."""

    def setUp(self):
        super().setUp()
        self.sets = self.world.path("sets")
        self.world.stop_dataplane()
        self.world.start_dataplane("--sets", self.sets)
        self.world.wait_converged()

    def dump(self, kind):
        with abi.Client(self.world.path("dataplane")) as client:
            return client.dump(kind)

    def one(self, **more):
        """The gateway with one tunnel that has these members; its record in the dataplane."""
        self.apply(config(tenant("acme", 1, [tunnel("one", 1, **more)])))
        (record,) = self.dump("tunnel")
        return record

    def noted(self):
        """What was set since the last look, by kind."""
        try:
            with open(self.sets, encoding="ascii") as file:
                lines = file.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        os.truncate(self.sets, 0)
        return [line.split()[0] for line in lines]


class Policy(Told):
    #       member, value, field of the record, what it holds, shown as (None: not shown)
    CASES = (("dscp", "copy", "dscp", 0, None), ("dscp", 0, "dscp", 0x80, 0), ("dscp", 46, "dscp", 0x80 | 46, 46),
             ("dscp-in", "preserve", "flags", 0, None), ("dscp-in", "copy", "flags", abi.TUNNEL_DSCP_IN, "copy"),
             ("df", "copy", "df", 0, None), ("df", "set", "df", 1, "set"), ("df", "clear", "df", 2, "clear"),
             ("ttl", 1, "ttl", 1, 1), ("ttl", 64, "ttl", 0, None), ("ttl", 255, "ttl", 255, 255),
             ("flow-label", "sa", "flow_label", 0, None), ("flow-label", "inner", "flow_label", 1, "inner"),
             ("flow-label", "zero", "flow_label", 2, "zero"),
             ("mss-clamp", True, "flags", 0, None), ("mss-clamp", False, "flags", abi.TUNNEL_MSS_OFF, False),
             ("mss-clamp", 1200, "mss", 1200, 1200),
             ("pad-to", 0, "pad_to", 0, None), ("pad-to", 1400, "pad_to", 1400, 1400),
             ("dummy-ms", 250, "dummy_ms", 250, 250),
             ("follow", False, "flags", 0, None), ("follow", True, "flags", abi.TUNNEL_FOLLOW, True))

    def test_each_member_reaches_the_record(self):
        absent = bytes(self.one())
        for member, value, field, holds, shown in self.CASES:
            with self.subTest(member=member, value=value):
                record = self.one(**{member: value})
                self.assertEqual(getattr(record, field), holds)
                (got,) = self.call("config.get")["config"]["tenants"][0]["tunnels"]
                self.assertEqual(got.get(member), shown)
                self.assertEqual(self.apply(self.call("config.get")["config"])["changes"], [])
                if shown is None:
                    self.assertEqual(bytes(record), absent)
        self.assertEqual(self.one(encapsulation="udp", keepalive=20).keepalive, 20)

    def test_they_outlive_kaidod(self):
        more = {"dscp": 46, "df": "clear", "ttl": 9, "flow-label": "inner", "mss-clamp": 1300, "pad-to": 512,
                "dummy-ms": 100, "follow": True, "keepalive": 5, "encapsulation": "udp",
                "selectors": [{"local": "10.0.0.0/8", "protocol": "tcp", "remote-ports": 443}],
                "lifetime": {"soft": {"bytes": 10}, "hard": {"bytes": 20, "seconds": 900}}}
        self.one(**more)
        shown = self.call("config.get")
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.start_kaidod()
        self.world.wait_converged()
        self.assertEqual(self.call("config.get"), shown)
        (got,) = shown["config"]["tenants"][0]["tunnels"]
        for member, value in more.items():
            self.assertEqual(got[member], value, member)

    def test_a_change_keeps_the_sas(self):
        """Ends, encapsulation and policy change without a rekey: the SAs stay as they are, none is set again."""
        self.one()
        before = {r.id: bytes(r) for r in self.dump("sa")}
        cookie = self.dump("tunnel")[0].cookie
        self.noted()
        for more in ({"remote": "203.0.113.9"}, {"local": "192.0.2.2"}, {"encapsulation": "udp", "remote-port": 61000},
                     {"dscp": 46}, {"follow": True}, {"mtu": 1400}, {"df": "clear"}, {"keepalive": 9,
                                                                                      "encapsulation": "udp"}):
            with self.subTest(**more):
                shown = self.call("config.get", tenant="acme")["config"]["tenants"][0]["tunnels"][0]
                self.call("tunnel.set", tenant="acme", tunnel={**shown, **more})
                self.assertEqual(self.noted(), ["tunnel"])
                self.assertEqual({r.id: bytes(r) for r in self.dump("sa")}, before)
                (record,) = self.dump("tunnel")
                self.assertNotEqual(record.cookie, cookie)
                cookie = record.cookie

    def test_a_reconcile_leaves_a_peer_that_moved_where_it_is(self):
        self.one(follow=True, selectors=[{"local": "10.0.0.0/8"}])
        self.noted()
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.start_kaidod()
        self.world.wait_converged()
        self.assertEqual(self.noted(), [])


class State(Told):
    def test_where_a_tunnel_stands(self):
        self.apply(config(tenant("acme", 1, [tunnel("one", 1), tunnel("two", 2, encapsulation="udp")]),
                          tenant("bolt", 2, [tunnel("one", 3)])))
        found = self.call("tunnel.list", state=True)["tunnels"]
        self.assertEqual([(t["tenant"], t["name"]) for t in found], [("acme", "one"), ("acme", "two"), ("bolt", "one")])
        for shown in found:
            self.assertEqual(shown["state"]["remote"], shown["remote"])
            self.assertEqual((shown["state"]["path_mtu"], shown["state"]["inner_mtu"]), (1400, 1346))
            self.assertEqual(shown["state"]["moves"], shown["id"])
            self.assertEqual(shown["state"].get("remote_port"), shown.get("remote-port"))
        self.assertEqual([t["name"] for t in self.call("tunnel.list", tenant="acme", tunnel="two", state=True)["tunnels"]],
                         ["two"])
        self.assertNotIn("state", self.call("tunnel.list", tenant="acme")["tunnels"][0])
        self.refused(2, "tunnel.list", tenant="acme", tunnel="none")
        self.refused(-32602, "tunnel.list", tunnel="one")
        self.world.stop_dataplane()
        self.world.wait("it is lost", lambda: not self.call("system.status")["dataplane"]["connected"])
        self.assertNotIn("state", self.call("tunnel.list", tenant="acme", state=True)["tunnels"][0])


class Selectors(Told):
    CASES = (({"local": "10.1.0.0/16", "remote": "10.2.0.5-10.2.0.9"},
              (4, 0, 0, 65535, 0, 65535, "10.1.0.0", "10.1.255.255", "10.2.0.5", "10.2.0.9"), None),
             ({"local": "10.1.2.3", "remote": "10.2.0.0-10.2.255.255", "protocol": "tcp", "remote-ports": 443},
              (4, 6, 0, 65535, 443, 443, "10.1.2.3", "10.1.2.3", "10.2.0.0", "10.2.255.255"),
              {"local": "10.1.2.3", "remote": "10.2.0.0/16", "protocol": "tcp", "remote-ports": 443}),
             ({"local": "0.0.0.0/0"}, (4, 0, 0, 65535, 0, 65535, "0.0.0.0", "255.255.255.255", "0.0.0.0",
                                       "255.255.255.255"), None),
             ({"remote": "fd00::/16", "local": "::/0", "protocol": 17, "local-ports": "1000-2000",
               "remote-ports": "opaque"},
              (6, 17, 1000, 2000, 65535, 0, "::", "ffff:" * 7 + "ffff", "fd00::", "fd00:" + "ffff:" * 6 + "ffff"),
              {"remote": "fd00::/16", "protocol": "udp", "local-ports": "1000-2000", "remote-ports": "opaque"}),
             ({"local": "10.0.0.0/8", "protocol": "icmp", "icmp": 8},
              (4, 1, 0x800, 0x8ff, 0x800, 0x8ff, "10.0.0.0", "10.255.255.255", "0.0.0.0", "255.255.255.255"), None),
             ({"local": "fd00::/8", "protocol": "icmpv6", "icmp": "1/4"},
              (6, 58, 0x104, 0x104, 0x104, 0x104, "fd00::", "fdff:" + "ffff:" * 6 + "ffff", "::",
               "ffff:" * 7 + "ffff"), None),
             ({"local": "10.0.0.0/8", "protocol": 47, "remote-ports": "any"},
              (4, 47, 0, 65535, 0, 65535, "10.0.0.0", "10.255.255.255", "0.0.0.0", "255.255.255.255"),
              {"local": "10.0.0.0/8", "protocol": 47}),
             ({"local": "10.0.0.0/8", "protocol": "tcp", "local-ports": "0-65535"},
              (4, 6, 0, 65535, 0, 65535, "10.0.0.0", "10.255.255.255", "0.0.0.0", "255.255.255.255"),
              {"local": "10.0.0.0/8", "protocol": "tcp"}))

    def test_each_reaches_the_record(self):
        for wanted, holds, shown in self.CASES:
            with self.subTest(wanted=wanted):
                record = self.one(selectors=[wanted])
                self.assertEqual(record.flags, abi.TUNNEL_SELECTORS)
                (record,) = self.dump("selectors")
                self.assertEqual((record.tunnel, record.count), (self.dump("tunnel")[0].id, 1))
                s = record.selector[0]
                self.assertEqual((s.family, s.protocol, s.local_port_first, s.local_port_last, s.remote_port_first,
                                  s.remote_port_last), holds[:6])
                self.assertEqual([bytes(a) for a in (s.local_first, s.local_last, s.remote_first, s.remote_last)],
                                 [packed(a) for a in holds[6:]])
                self.assertEqual(bytes(record)[8 + 80:], bytes(80 * 15))
                (got,) = self.call("config.get")["config"]["tenants"][0]["tunnels"]
                self.assertEqual(got["selectors"], [wanted if shown is None else shown])
                self.assertEqual(self.apply(self.call("config.get")["config"])["changes"], [])

    def test_absent_is_any_and_empty_is_nothing(self):
        self.assertEqual((self.one().flags, self.dump("selectors")), (0, []))
        self.assertEqual((self.one(selectors=[]).flags, self.dump("selectors")), (abi.TUNNEL_SELECTORS, []))
        self.assertEqual(self.call("config.get")["config"]["tenants"][0]["tunnels"][0]["selectors"], [])
        self.one(selectors=[{"local": f"10.0.{i}.0/24"} for i in range(16)])
        self.assertEqual(self.dump("selectors")[0].count, 16)
        self.assertEqual((self.one(selectors=[]).flags, self.dump("selectors")), (abi.TUNNEL_SELECTORS, []))
        self.one(selectors=[{"local": "10.0.0.0/24"}])
        self.assertEqual((self.one().flags, self.dump("selectors")), (0, []))

    def test_only_what_changes_is_told(self):
        self.one(selectors=[{"local": "10.0.0.0/24"}])
        self.noted()
        self.one(selectors=[{"local": "10.0.1.0/24"}])
        self.assertEqual(self.noted(), ["tunnel", "selectors"])
        self.one(selectors=[{"local": "10.0.1.0/24"}])
        self.assertEqual(self.noted(), [])
        self.world.stop_dataplane()
        self.world.start_dataplane("--sets", self.sets)
        self.world.wait_converged()
        told = self.noted()
        self.assertLess(told.index("selectors"), told.index("sa"))
        self.assertEqual(self.dump("selectors")[0].count, 1)


class Mistakes(Case):
    dataplane = False
    FAR = {"local": "10.0.0.0/8"}
    CASES = (({"dscp": 64}, "dscp", "0 to 63"), ({"dscp": "ef"}, "dscp", "copy"), ({"dscp-in": 3}, "dscp-in", "text"),
             ({"df": "yes"}, "df", "copy, set, clear"), ({"ttl": 0}, "ttl", "from 1 to 255"),
             ({"flow-label": "random"}, "flow-label", "sa, inner, zero"), ({"mss-clamp": 12}, "mss-clamp", "true"),
             ({"mss-clamp": "no"}, "mss-clamp", "true"), ({"pad-to": 10000}, "pad-to", "9216"),
             ({"dummy-ms": -1}, "dummy-ms", "65535"), ({"keepalive": 20}, "keepalive", "encapsulation: udp"),
             ({"follow": "yes"}, "follow", "true or false"), ({"lifetime": 5}, "lifetime", "object"),
             ({"lifetime": {"hard": {"seconds": 0}}}, "lifetime/hard/seconds", "from 1"),
             ({"lifetime": {"hard": {"hours": 1}}}, "lifetime/hard/hours", "bytes, packets, seconds"),
             ({"lifetime": {"soft": {"bytes": 9}, "hard": {"bytes": 9}}}, "lifetime/soft/bytes", "below the hard one"),
             ({"selectors": {}}, "selectors", "list"), ({"selectors": [FAR] * 17}, "selectors", "at most 16"),
             ({"selectors": [{}]}, "selectors/0", "local or remote"),
             ({"selectors": [{"local": "10.0.0.1/8"}]}, "selectors/0/local", "10.0.0.0/8"),
             ({"selectors": [{"local": "nowhere"}]}, "selectors/0/local", "range"),
             ({"selectors": [{"local": "10.0.0.9-10.0.0.1"}]}, "selectors/0/local", "lower address first"),
             ({"selectors": [{"local": "10.0.0.9-fd00::1"}]}, "selectors/0/local", "range"),
             ({"selectors": [{"local": "-"}]}, "selectors/0/local", "range"),
             ({"selectors": [{"local": "10.0.0.0/8", "remote": "fd00::/8"}]}, "selectors/0/remote", "same family"),
             ({"selectors": [{**FAR, "protocol": "gre"}]}, "selectors/0/protocol", "icmpv6"),
             ({"selectors": [{**FAR, "protocol": 256}]}, "selectors/0/protocol", "1 to 255"),
             ({"selectors": [{**FAR, "protocol": "icmpv6"}]}, "selectors/0/protocol", "IPv4 has icmp"),
             ({"selectors": [{"remote": "fd00::/8", "protocol": "icmp"}]}, "selectors/0/protocol", "IPv6 has icmpv6"),
             ({"selectors": [{**FAR, "local-ports": 80}]}, "selectors/0/local-ports", "tcp or udp"),
             ({"selectors": [{**FAR, "protocol": "icmp", "local-ports": 80}]}, "selectors/0/local-ports", "TYPE/CODE"),
             ({"selectors": [{**FAR, "protocol": "tcp", "local-ports": "9-1"}]}, "selectors/0/local-ports", "range"),
             ({"selectors": [{**FAR, "protocol": "tcp", "remote-ports": 65536}]}, "selectors/0/remote-ports", "65535"),
             ({"selectors": [{**FAR, "protocol": "tcp", "icmp": 8}]}, "selectors/0/icmp", "protocol: icmp"),
             ({"selectors": [{**FAR, "protocol": "icmp", "icmp": 256}]}, "selectors/0/icmp", "type"),
             ({"selectors": [{**FAR, "protocol": "icmp", "icmp": "3/256"}]}, "selectors/0/icmp", "3/4"),
             ({"selectors": [{**FAR, "port": 1}]}, "selectors/0/port", "remote-ports"))

    def test_each_has_its_pointer(self):
        for more, place, part in self.CASES:
            with self.subTest(more=more):
                wanted = config(tenant("acme", 1, [tunnel("one", 1, **copy.deepcopy(more))]))
                error = self.refused(-32602, "config.apply", config=wanted, dry_run=True)
                found = [e["message"] for e in error.errors if e["pointer"] == "/tenants/0/tunnels/0/" + place]
                self.assertTrue(any(part in message for message in found), json.dumps(error.errors))

    def test_of_an_sa(self):
        wanted = tunnel("one", 1)
        wanted["sas"][0]["lifetime"] = {"soft": {"packets": 5}, "hard": {"packets": 4}}
        error = self.refused(-32602, "config.apply", config=config(tenant("acme", 1, [wanted])))
        self.assertEqual([e["pointer"] for e in error.errors], ["/tenants/0/tunnels/0/sas/0/lifetime/soft/packets"])


if __name__ == "__main__":
    run()
