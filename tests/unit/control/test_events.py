#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the dataplane tells of itself: by name, once, kept in bounds; and SAs whose life has ended stay dead."""

import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from kaidod_world import Case, config, run, sa, tenant, tunnel  # noqa: E402


class Telling(Case):
    """A dataplane that tells what the test wants, and two tenants."""

    OPTIONS = ()

    def setUp(self):
        super().setUp()
        self.file = self.world.path("events")
        self.world.stop_dataplane()
        self.start_dataplane()
        self.apply(config(tenant("acme", 1, [tunnel("one", 1), tunnel("two", 2)]),
                          tenant("bolt", 2, [tunnel("one", 3, encapsulation="udp")])))

    def start_dataplane(self):
        self.world.start_dataplane("--events", self.file, *self.OPTIONS)
        self.world.wait_converged()

    def restart_dataplane(self):
        self.world.stop_dataplane()
        open(self.file, "w").close()
        self.start_dataplane()

    def tell(self, *events):
        """In one piece, so that none is read half."""
        with open(self.file, "ab") as file:
            file.write(b"".join(json.dumps(e).encode() + b"\n" for e in events))

    def ids(self, tenant_name, tunnel_name):
        found = self.call("sa.list", tenant=tenant_name, tunnel=tunnel_name)["sas"]
        of = next(t["id"] for t in self.call("tunnel.list", tenant=tenant_name)["tunnels"]
                  if t["name"] == tunnel_name)
        return of, {s["direction"]: s["id"] for s in found}

    def kept(self, kind=None, **params):
        return [e for e in self.call("event.list", limit=10000, **params)["events"]
                if kind is None or e["kind"] == kind]

    def wait_kept(self, n, kind, **params):
        self.world.wait(f"{n} events {kind}", lambda: len(self.kept(kind, **params)) >= n)
        found = self.kept(kind, **params)
        self.assertEqual(len(found), n)
        return found


class Events(Telling):
    def test_each_kind_has_names_and_what_it_means(self):
        of, sas = self.ids("acme", "one")
        self.tell({"kind": abi.EVENT_SA_SOFT, "sa": sas["out"], "value": abi.LIMIT_BYTES},
                  {"kind": abi.EVENT_SA_HARD, "sa": sas["out"], "value": abi.LIMIT_SECONDS},
                  {"kind": abi.EVENT_SA_SEQUENCE, "sa": sas["out"], "value": 4294967295},
                  {"kind": abi.EVENT_ICV_FAILED, "sa": sas["in"], "value": 9, "count": 7, "address": "203.0.113.5",
                   "port": 4500},
                  {"kind": abi.EVENT_PEER_MOVED, "tunnel": of, "address": "203.0.113.6", "port": 61000},
                  {"kind": abi.EVENT_PEER_MOVED, "tunnel": of, "address": "2001:db8::7"},
                  {"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 1400},
                  {"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 0},
                  {"kind": abi.EVENT_ESN_RECOVERED, "sa": sas["in"], "value": 1 << 33})
        self.wait_kept(1, "esn-recovered")
        found = self.kept(tenant="acme", tunnel="one")
        wanted = (({"kind": "sa-soft", "limit": "bytes", "spi": 0x20001, "direction": "out"}, "outbound SA 0x20001"),
                  ({"kind": "sa-hard", "limit": "seconds"}, "carries nothing any more"),
                  ({"kind": "sa-sequence", "sequence": 4294967295}, "last sequence number"),
                  ({"kind": "icv-failed", "count": 7, "sequence": 9, "spi": 0x10001, "source": "203.0.113.5",
                    "source_port": 4500}, "7 packets to inbound SA 0x10001"),
                  ({"kind": "peer-moved", "from": "198.51.0.1", "to": "203.0.113.6", "to_port": 61000},
                   "from 198.51.0.1 to 203.0.113.6 port 61000"),
                  ({"kind": "peer-moved", "from": "203.0.113.6", "from_port": 61000, "to": "2001:db8::7"}, "moved"),
                  ({"kind": "path-mtu", "path_mtu": 1400}, "takes 1400 bytes"),
                  ({"kind": "path-mtu", "path_mtu": 0}, "forgotten"),
                  ({"kind": "esn-recovered", "sequence": 1 << 33, "direction": "in"}, "again"))
        self.assertEqual([e["kind"] for e in found], [w["kind"] for w, _ in wanted])
        for event, (members, part) in zip(found, wanted):
            with self.subTest(kind=event["kind"]):
                self.assertEqual({m: event.get(m) for m in members}, members)
                self.assertIn(part, event["text"])
                self.assertEqual((event["tenant"], event["tunnel"]), ("acme", "one"))
                self.assertAlmostEqual(event["time"], time.time(), delta=300)
        with open(self.world.path("kaidod.log")) as log:
            self.assertIn("path-mtu: the path of tunnel 'one' of tenant 'acme' takes 1400 bytes", log.read())

    def test_subscribers_hear_them(self):
        client = self.world.client()
        client.call("event.subscribe")
        of, _ = self.ids("bolt", "one")
        self.tell({"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 1300})
        while (event := client.line()["params"])["kind"] != "path-mtu":
            pass
        self.assertEqual((event["tenant"], event["tunnel"], event["path_mtu"]), ("bolt", "one", 1300))

    def test_a_tenant_sees_its_own_only(self):
        for name, number in (("acme", 1400), ("bolt", 1300)):
            self.tell({"kind": abi.EVENT_PATH_MTU, "tunnel": self.ids(name, "one")[0], "value": number})
        self.wait_kept(2, "path-mtu")
        for name, other in (("acme", "bolt"), ("bolt", "acme")):
            found = self.kept(tenant=name)
            self.assertEqual([e["tenant"] for e in found], [name])
            self.assertNotIn(other, json.dumps(found))
        self.assertEqual(self.kept(tenant="acme", tunnel="two"), [])
        everything = self.kept()
        self.assertEqual([e["id"] for e in everything], sorted(e["id"] for e in everything))
        self.assertIn("converged", [e["kind"] for e in everything])
        self.assertEqual(self.kept(after=everything[-1]["id"]), [])
        self.assertEqual(self.kept(after=everything[-2]["id"]), everything[-1:])
        self.assertEqual(self.call("event.list", limit=1)["events"], everything[-1:])
        self.assertEqual(self.kept(since=time.time() + 1000), [])
        self.refused(2, "event.list", tenant="none")
        self.refused(-32602, "event.list", limit=0)
        self.refused(-32602, "event.list", after=-1)
        self.refused(-32602, "event.list", since="now")

    def test_each_is_kept_once_whoever_dies(self):
        of, _ = self.ids("acme", "one")
        for i in range(3):
            self.tell(*({"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 1000 + 10 * i + k} for k in range(4)))
            if i == 1:
                self.wait_kept(8, "path-mtu")
            self.world.stop_kaidod(signal.SIGKILL)
            self.world.start_kaidod()
        found = self.wait_kept(12, "path-mtu")
        self.assertEqual([e["path_mtu"] for e in found], [1000 + 10 * i + k for i in range(3) for k in range(4)])
        self.restart_dataplane()
        self.tell({"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 1111})
        self.assertEqual(self.wait_kept(13, "path-mtu")[-1]["path_mtu"], 1111)

    def test_a_gap_is_told(self):
        of, _ = self.ids("acme", "one")
        self.tell({"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 1000},
                  {"skip": 40, "kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 1001})
        self.wait_kept(2, "path-mtu")
        (gap,) = self.kept("events-lost")
        self.assertIn("40 events", gap["text"])

    def test_what_is_gone_is_not_named_and_its_events_go(self):
        of, _ = self.ids("acme", "one")
        two, _ = self.ids("acme", "two")
        self.tell(*({"kind": abi.EVENT_PATH_MTU, "tunnel": t, "value": 1000} for t in (of, two)))
        self.wait_kept(2, "path-mtu", tenant="acme")
        self.call("tunnel.delete", tenant="acme", name="two")
        self.assertEqual([e["tunnel"] for e in self.kept("path-mtu")], ["one"])
        self.tell({"kind": abi.EVENT_PATH_MTU, "tunnel": two, "value": 1000},
                  {"kind": abi.EVENT_PATH_MTU, "tunnel": self.ids("bolt", "one")[0], "value": 1000})
        self.wait_kept(1, "path-mtu", tenant="bolt")
        self.call("tenant.delete", name="acme")
        self.assertNotIn("acme", json.dumps(self.kept("path-mtu")))
        self.apply(config(tenant("acme", 1, [tunnel("one", 9)])))
        self.assertEqual(self.kept(tenant="acme"), [])


class ManyEvents(Telling):
    OPTIONS = ("--event-most", "100")

    def test_more_than_an_answer_holds(self):
        of, _ = self.ids("acme", "one")
        self.tell(*({"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 600 + i} for i in range(950)))
        found = self.wait_kept(950, "path-mtu")
        self.assertEqual([e["path_mtu"] for e in found], list(range(600, 1550)))

    def test_so_many_are_kept_of_a_tenant(self):
        self.world.stop_kaidod()
        self.world.start_kaidod("--event-rows", "20")
        self.world.wait_converged()
        self.tell({"kind": abi.EVENT_PATH_MTU, "tunnel": self.ids("bolt", "one")[0], "value": 1000})
        of, _ = self.ids("acme", "one")
        self.tell(*({"kind": abi.EVENT_PATH_MTU, "tunnel": of, "value": 600 + i} for i in range(250)))
        self.world.wait("the last is there", lambda: self.kept(tenant="acme")[-1:] and
                        self.kept(tenant="acme")[-1]["path_mtu"] == 849)
        self.assertEqual(len(self.kept(tenant="acme")), 20)
        self.assertEqual(len(self.kept(tenant="bolt")), 1)


class Lives(Telling):
    LIFETIME = {"soft": {"seconds": 50000}, "hard": {"seconds": 100000, "bytes": 1 << 40}}

    def records(self):
        with abi.Client(self.world.path("dataplane")) as client:
            return {r.id: r for r in client.dump("sa")}

    def sas(self, name="one"):
        return {s["direction"]: s for s in self.call("sa.list", tenant="acme", tunnel=name)["sas"]}

    def live_with(self, **members):
        """The tunnel with these members; its SAs stay what they are."""
        (shown,) = [t for t in self.call("config.get", tenant="acme")["config"]["tenants"][0]["tunnels"]
                    if t["name"] == "one"]
        self.call("tunnel.set", tenant="acme", tunnel={**shown, **members})

    def test_a_lifetime_is_told_and_another_one_is_no_rekey(self):
        before = self.records()
        self.live_with(lifetime=self.LIFETIME)
        after = self.records()
        self.assertEqual(set(after), set(before))
        for direction, shown in self.sas().items():
            record = after[shown["id"]]
            self.assertEqual(record.hard.bytes, 1 << 40)
            self.assertLessEqual(record.hard.seconds, 100000)
            self.assertGreater(record.hard.seconds, 99000)
            self.assertEqual((record.sequence, record.cookie),
                             (before[shown["id"]].sequence, before[shown["id"]].cookie), direction)
            self.assertEqual((shown["lifetime"], shown["state"]), (self.LIFETIME, "live"))
            self.assertAlmostEqual(shown["born"], time.time(), delta=300)
        self.live_with(lifetime=None)
        self.assertEqual({bytes(r) for r in self.records().values()}, {bytes(r) for r in before.values()})

    def test_seconds_survive_both(self):
        self.live_with(lifetime=self.LIFETIME)
        born = self.sas()["in"]["born"]
        self.world.wait("it is two seconds old", lambda: time.time() > born + 2)
        self.world.stop_kaidod(signal.SIGKILL)
        self.restart_dataplane_alone()
        self.world.start_kaidod()
        self.world.wait_converged()
        shown = self.sas()["in"]
        self.assertEqual(shown["born"], born)
        self.assertLessEqual(self.records()[shown["id"]].hard.seconds, 99998)
        # What it was told it is not told again: that is counted from when it was given the SA.
        given = {bytes(r) for r in self.records().values()}
        self.kill_kaidod()
        self.world.wait_converged()
        self.assertEqual({bytes(r) for r in self.records().values()}, given)

    def restart_dataplane_alone(self):
        self.world.stop_dataplane()
        open(self.file, "w").close()
        self.world.start_dataplane("--events", self.file)

    def test_the_dead_stay_dead(self):
        wanted = tunnel("one", 1)
        dead = self.sas()["in"]
        self.tell({"kind": abi.EVENT_SA_HARD, "sa": dead["id"], "value": abi.LIMIT_PACKETS})
        self.wait_kept(1, "sa-hard")
        self.assertEqual(self.sas()["in"]["state"], "hard")
        for restart in (self.restart_dataplane, self.kill_kaidod, self.restart_dataplane):
            restart()
            self.world.wait_converged()
            shown = self.sas()
            self.assertEqual((shown["in"]["state"], shown["out"]["state"]), ("hard", "live"))
        self.assertNotIn(dead["id"], self.records())
        self.assertIn(self.sas()["out"]["id"], self.records())
        # Whatever else changes of the tunnel, it is not brought back, nor is it in the way.
        self.live_with(lifetime=self.LIFETIME, label="new")
        self.assertNotIn(dead["id"], self.records())
        self.call("sa.add", tenant="acme", tunnel="one", sa=sa("in", 0x30001, 301))
        self.assertEqual(len(self.records()), 6)
        self.call("sa.delete", tenant="acme", tunnel="one", direction="in", spi=dead["spi"])
        # Not under another SPI either, nor in another tunnel.
        old = {**wanted["sas"][0], "spi": 0x40001}
        for name in ("one", "two"):
            error = self.refused(3, "sa.add", tenant="acme", tunnel=name, sa=old)
            self.assertIn("beyond its hard lifetime", error.message)

    def kill_kaidod(self):
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.start_kaidod()

    def test_what_ends_while_the_dataplane_is_away_is_told(self):
        self.world.stop_dataplane()
        self.world.wait("it is lost", lambda: not self.call("system.status")["dataplane"]["connected"])
        self.live_with(lifetime={"soft": {"seconds": 1}, "hard": {"seconds": 2}})
        born = self.sas()["in"]["born"]
        self.world.wait("it is three seconds old", lambda: time.time() > born + 3)
        open(self.file, "w").close()
        self.start_dataplane()
        self.assertEqual({e["tunnel"] for e in self.kept("sa-hard")}, {"one"})
        self.assertEqual(len(self.kept("sa-hard")), 2)
        self.assertEqual(len(self.records()), 4)
        self.assertEqual({s["state"] for s in self.sas().values()}, {"hard"})

    def test_of_one_sa_alone(self):
        wanted = tunnel("one", 1, lifetime=self.LIFETIME)
        wanted["sas"][0]["lifetime"] = {"hard": {"packets": 1000}}
        wanted["sas"][1]["lifetime"] = {}
        self.apply(config(tenant("acme", 1, [wanted])))
        shown = self.sas()
        self.assertEqual(shown["in"]["lifetime"], {"hard": {"packets": 1000}})
        self.assertNotIn("lifetime", shown["out"])
        records = self.records()
        self.assertEqual((records[shown["in"]["id"]].hard.packets, records[shown["in"]["id"]].hard.bytes), (1000, 0))
        self.assertEqual(bytes(records[shown["out"]["id"]].hard), bytes(24))
        self.assertEqual(self.apply(self.call("config.get")["config"])["changes"], [])


class Used(Telling):
    """What was carried counts on over dataplanes."""

    OPTIONS = ("--appetite", "50")

    def test_packets_are_taken_from_what_is_left(self):
        self.call("tunnel.set", tenant="acme", tunnel=tunnel("one", 1, lifetime={"hard": {"packets": 1 << 40}}))

        def used():
            return next(s["used"]["packets"] for s in self.call("sa.list", tenant="acme", tunnel="one")["sas"]
                        if s["direction"] == "out")
        self.world.wait("it sends", lambda: used() > 500)
        before = used()
        self.world.stop_dataplane()
        open(self.file, "w").close()
        self.start_dataplane()
        self.assertGreaterEqual(used(), before)
        with abi.Client(self.world.path("dataplane")) as client:
            given = next(r for r in client.dump("sa") if r.direction == abi.SA_OUT and r.hard.packets)
        self.assertLessEqual(given.hard.packets, (1 << 40) - before)
        self.assertGreater(given.hard.packets, (1 << 40) - before - 100000)


if __name__ == "__main__":
    run()
