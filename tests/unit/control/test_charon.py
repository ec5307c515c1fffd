#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""kaidod against a charon that answers as a test wants it: what is sent when, and what it makes of nonsense."""

import datetime
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from fake_charon import RESPONSE, Charon, encode  # noqa: E402
from kaidod_world import Case, config, run, tenant  # noqa: E402
from pki import authority, issued  # noqa: E402

PSK = "correct horse battery staple"


def site(name="one", ike=None, **more):
    networks = ["10.2.0.0/24" if name == "two" else "10.1.0.0/24"]
    return {"name": name, "local": "192.0.2.1", "remote": "198.51.100.7", "networks": networks,
            "ike": {"psk": PSK, "remote-id": name + ".example", **(ike or {})}, **more}


def acme(*tunnels, **more):
    return config({**tenant("acme", 1, list(tunnels)), **more})


def laptops(pool):
    certificate, key = issued("vpn.acme.example")
    return {"remote-access": [{"name": "laptops", "local": "192.0.2.1", "local-id": "vpn.acme.example",
                               "auth": "eap-mschapv2", "certificate": certificate, "key": key, "pool": [pool]}]}


class Configured(Case):
    dataplane = False

    def setUp(self):
        super().setUp()
        self.world.stop_kaidod()
        self.charon = Charon(self.world.path("vici"))
        self.addCleanup(self.charon.close)
        self.world.start_kaidod("--vici", self.charon.path)

    def settled(self):
        def look():
            state = self.call("system.status")["charon"]
            return state["connected"] and state["settled"]
        self.world.wait("charon has it all", look)

    def open_plugin(self, version="test"):
        client = self.world.client("ike.sock")
        client.call("ike.open", protocol=1, instance="0123456789abcdef", version=version)
        return client

    def told(self):
        return [event["text"] for event in self.call("event.list", limit=1000)["events"]
                if event["kind"] == "ike-config"]

    def test_differences_only(self):
        self.open_plugin()
        self.apply(acme(site(), site("two")))
        self.settled()
        self.assertEqual(self.charon.take(), [("load-conn", "kaido.acme.one"), ("load-conn", "kaido.acme.two")])
        child = self.charon.conns["kaido.acme.one"]["children"]["one"]
        self.assertEqual(child["if_id_in"], child["if_id_out"])
        self.assertEqual(self.charon.conns["kaido.acme.one"]["local-1"], {"auth": b"psk", "id": b"192.0.2.1"})

        # A secret is the plugin's; charon has nothing of it.
        self.apply(acme(site(ike={"psk": "another one, as long"}), site("two")))
        self.settled()
        self.assertEqual(self.charon.take(), [])
        # What holds for what is negotiated from now on; then who the peer is; then what it reaches.
        self.apply(acme(site(ike={"dpd": 10}), site("two")))
        self.settled()
        self.assertEqual(self.charon.take(), [("load-conn", "kaido.acme.one")])
        self.apply(acme(site(ike={"dpd": 10, "remote-id": "other.example"}), site("two")))
        self.settled()
        self.assertEqual(self.charon.take(), [("terminate", "kaido.acme.one"), ("load-conn", "kaido.acme.one")])
        self.apply(acme(site(ike={"dpd": 10, "remote-id": "other.example"}, **{"local-networks": ["10.0.0.0/8"]}),
                        site("two")))
        self.settled()
        self.assertEqual(self.charon.take(), [("terminate", "kaido.acme.one"), ("load-conn", "kaido.acme.one")])
        self.apply(acme(site("two")))
        self.world.wait("the last one is sent", lambda: any(command == "terminate" for command, _ in
                                                            list(self.charon.requests)))
        self.assertEqual(self.charon.take(), [("unload-conn", "kaido.acme.one"), ("terminate", "kaido.acme.one")])

    def test_eap(self):
        """Who begins logs in; the other side has the certificate. The plugin gets each password for one pair."""
        plugin = self.open_plugin()
        certificate, key = issued("gw.acme.example")
        mine, mine_key = issued("acme.provider.example")
        sites = [{"eap": "mschapv2", "user": "branch", "password": "one", "certificate": certificate, "key": key,
                  "local-id": "gw.acme.example"},
                 {"eap": "mschapv2", "user": "acme-42", "password": "two", "ca": authority().pem,
                  "remote-id": "gw.provider.example", "start": "trap"},
                 {"eap": "tls", "user": "acme.provider.example", "certificate": mine, "key": mine_key,
                  "ca": authority().pem, "local-id": "acme", "remote-id": "gw.provider.example", "start": "trap"}]
        self.apply(acme(*[{**site(), "name": name, "networks": [f"10.{number}.0.0/24"], "ike": ike}
                          for number, (name, ike) in enumerate(zip(("in", "out", "tls"), sites))]))
        self.settled()
        sides = {name: (dict(self.charon.conns["kaido.acme." + name]["local-1"]),
                        dict(self.charon.conns["kaido.acme." + name]["remote-1"])) for name in ("in", "out", "tls")}
        for name, side, member in (("in", 0, "certs"), ("out", 1, "cacerts"), ("tls", 0, "certs"), ("tls", 1, "cacerts")):
            self.assertEqual(len(sides[name][side].pop(member)), 1)
        self.assertEqual(sides, {
            "in": ({"auth": b"pubkey", "id": b"gw.acme.example"},
                   {"auth": b"eap-mschapv2", "id": b"branch", "eap_id": b"branch"}),
            "out": ({"auth": b"eap-mschapv2", "id": b"acme-42", "eap_id": b"acme-42"},
                    {"auth": b"pubkey", "id": b"gw.provider.example"}),
            "tls": ({"auth": b"eap-tls", "id": b"acme", "eap_id": b"acme.provider.example"},
                    {"auth": b"pubkey", "id": b"gw.provider.example"})})
        secrets = plugin.line()["params"]["secrets"]
        while not secrets:
            secrets = plugin.line()["params"]["secrets"]
        self.assertEqual(secrets, [{"kind": "eap", "local": "gw.acme.example", "remote": "branch",
                                    "secret": b"one".hex()},
                                   {"kind": "eap", "local": "acme-42", "remote": "gw.provider.example",
                                    "secret": b"two".hex()}])
        # In the place of the other one: its IKE SAs end, as where who the peer is changes.
        self.charon.take()
        self.apply(acme({**site(), "name": "in", "networks": ["10.0.0.0/24"], "ike": {**sites[0], "user": "other"}},
                        *[{**site(), "name": name, "networks": [f"10.{number}.0.0/24"], "ike": ike}
                          for number, (name, ike) in enumerate(zip(("out", "tls"), sites[1:]), 1)]))
        self.settled()
        self.assertEqual(self.charon.take(), [("terminate", "kaido.acme.in"), ("load-conn", "kaido.acme.in")])

    def test_found_as_it_was(self):
        """What another kaidod left there goes, if it is not wanted; what is others' stays, whatever it looks like."""
        self.charon.conns = {"kaido.acme.gone": {}, "by-hand": {}, "acme.two": {}, "kaidos.own": {}}
        self.charon.pools = {"kaido.acme.gone": {}, "kaido.acme.gone.2": {}, "acme.laptops": {}}
        self.charon.keys = {"4567"}
        self.open_plugin()
        self.apply(acme(site(), **laptops("10.9.0.0/16")))
        self.settled()
        self.assertEqual(sorted(self.charon.conns),
                         ["acme.two", "by-hand", "kaido.acme.laptops", "kaido.acme.one", "kaidos.own"])
        self.assertEqual(sorted(self.charon.pools), ["acme.laptops", "kaido.acme.laptops"])
        self.assertEqual(self.charon.keys, {"0123", "4567"})
        self.charon.take()
        self.world.stop_kaidod()
        self.world.start_kaidod("--vici", self.charon.path)
        self.open_plugin()
        self.apply(acme())
        self.settled()
        self.assertEqual(sorted(self.charon.conns), ["acme.two", "by-hand", "kaidos.own"])
        self.assertEqual(sorted(self.charon.pools), ["acme.laptops"])
        self.assertIn("4567", self.charon.keys)
        self.assertEqual({name for command, name in self.charon.take() if command == "terminate"},
                         {"kaido.acme.laptops", "kaido.acme.one"})

    def test_a_certificate_that_goes(self):
        """No connection names it any more; to take it from charon is to take all, others' as well."""
        self.open_plugin()
        self.apply(acme(**laptops("10.9.0.0/16")))
        self.settled()
        self.charon.take()
        with_ca = laptops("10.9.0.0/16")
        with_ca["remote-access"][0].update({"auth": "certificate", "ca": authority("clients").pem})
        self.apply(acme(**with_ca))
        self.settled()
        self.assertEqual([command for command, _ in self.charon.take()], ["terminate", "load-cert", "load-conn"])
        self.apply(acme(**laptops("10.9.0.0/16")))
        self.settled()
        self.assertEqual([command for command, _ in self.charon.take()], ["terminate", "load-conn"])
        self.assertNotIn("cacerts", self.charon.conns["kaido.acme.laptops"]["remote-1"])
        self.apply(acme(**with_ca))
        self.settled()
        self.assertEqual([command for command, _ in self.charon.take()], ["terminate", "load-cert", "load-conn"])

    def begun(self):
        self.world.wait("it begins", lambda: any(command == "initiate" for command, _ in self.charon.requests))

    def test_waits_for_the_plugin(self):
        """A connection that begins by itself would fail without its secret, and the SAs of others be the kernel's."""
        self.apply(acme(site(ike={"start": "start"})))
        self.world.wait("it has asked", lambda: len(self.charon.requests) >= 3)
        self.world.wait("it says what is missing", lambda: any("plugin" in text for text in self.told()))
        state = self.call("system.status")["charon"]
        self.assertEqual((state["wanted"], state["connected"], state["plugin"], state["settled"]), (1, True, False, False))
        self.assertEqual(state["socket"], self.world.path("ike.sock"))
        self.assertEqual(self.charon.take(), [])
        plugin = self.open_plugin()
        self.begun()
        self.assertEqual(self.charon.take(), [("load-conn", "kaido.acme.one"), ("initiate", "kaido.acme.one")])
        secrets = plugin.line()
        self.assertEqual(secrets["method"], "ike.secrets")
        self.assertEqual(secrets["params"]["secrets"], [{"kind": "psk", "local": "192.0.2.1", "remote": "one.example",
                                                         "secret": PSK.encode().hex()}])

    def test_sas_of_each_cpu(self):
        """A charon that doesn't know them is not told of them, but the operator is."""
        def child():
            return self.charon.conns["kaido.acme.one"]["children"]["one"]

        plugin = self.open_plugin("strongSwan 6.0.1")
        self.apply(acme(site(ike={"start": "start", "per-cpu": True}), site("two")))
        self.settled()
        self.assertNotIn("per_cpu_sas", child())
        self.assertEqual(child()["start_action"], b"none")
        self.assertEqual([text for text in self.told() if "per-cpu" in text],
                         ["per-cpu needs strongSwan 6.0.2 or newer: with the charon that is there 'one' has one SA each "
                          "way for all workers"])
        plugin.close()
        self.open_plugin("strongSwan 6.0.2")
        self.world.wait("charon is told", lambda: "per_cpu_sas" in child())
        self.settled()
        self.assertEqual((child()["per_cpu_sas"], child()["start_action"]), (b"yes", b"trap"))
        self.assertNotIn("per_cpu_sas", self.charon.conns["kaido.acme.two"]["children"]["two"])

    def test_begins_again(self):
        """Who said no may say yes later; nobody begins with a tunnel that is the peer's to begin with."""
        plugin = self.open_plugin()
        self.apply(acme(site(ike={"start": "start"}), site("two")))
        self.settled()
        self.begun()
        self.charon.take()
        for name in ("kaido.acme.one", "kaido.acme.two", "kaido.acme.gone"):
            plugin.call("ike.event", kind="failed", reason="authentication", name=name, remote="198.51.100.7",
                        remote_port=500, text="no")
        self.world.wait("it begins again", lambda: any(command == "initiate" for command, _ in
                                                       list(self.charon.requests)))
        self.assertEqual(self.charon.take(), [("initiate", "kaido.acme.one")])

    def test_refused(self):
        self.charon.refuse["load-pool"] = b"it is in use\x1b[2J"
        self.charon.refuse["load-conn"] = b"why not"
        self.open_plugin()
        self.apply(acme(**laptops("10.9.0.0/16")))
        self.settled()
        pool, connection = self.told()
        self.assertIn("'kaido.acme.laptops': it is in use?[2J;", pool)
        self.assertIn("'kaido.acme.laptops': why not", connection)
        self.assertEqual(self.call("system.status")["charon"]["refused"], 2)
        self.charon.refuse = {}
        self.apply(acme(**laptops("10.10.0.0/16")))
        self.settled()
        self.assertEqual(self.charon.pools["kaido.acme.laptops"], {"addrs": b"10.10.0.0/16"})
        self.assertEqual(sorted(self.charon.conns), [])  # the same that it refused: not asked again ...
        self.apply(acme(site(), **laptops("10.10.0.0/16")))
        self.settled()
        self.assertEqual(sorted(self.charon.conns), ["kaido.acme.one"])

    def test_nonsense(self):
        """It is not taken; kaidod connects again, and goes on."""
        def packet(data):
            return struct.pack("!I", len(data)) + data

        answer = bytes([RESPONSE])
        nonsense = (struct.pack("!I", 0), struct.pack("!I", 1 << 20), struct.pack("!I", 0xffffffff), packet(b"\7\1x"),
                    packet(b"\3"), packet(b"\xff"), packet(answer + b"\5\0\0"), packet(answer + b"\3\1k\xff\xff"),
                    packet(answer + b"\1\1s" * 100), packet(answer + encode({"success": b"yes"})[:-1]),
                    packet(answer) + packet(answer), os.urandom(64))
        self.open_plugin()
        for number, text in enumerate(nonsense):
            self.charon.raw.append(text)
            self.apply(acme(site(ike={"dpd": 10 + number})))
            self.world.wait("it was sent", lambda: not self.charon.raw)
            self.settled()
            self.assertEqual(self.charon.conns["kaido.acme.one"]["dpd_delay"], b"%us" % (10 + number))

    def test_what_ends_is_told(self):
        now = datetime.datetime.utcnow()
        soon, over, late = (now + datetime.timedelta(days=days) for days in (5, -1, 20))
        makers = authority("makers")
        certificate, key = makers.issue("gw.example", end=soon)
        ike = {"certificate": certificate, "key": key, "ca": makers.pem, "crl": makers.revoke(end=over),
               "local-id": "gw.example"}
        one = site(ike=ike)
        certificate, key = makers.issue("gw2.example", end=late)
        two = site("two", ike={"certificate": certificate, "key": key, "ca": makers.pem, "local-id": "gw2.example"})
        for tunnel in (one, two):
            del tunnel["ike"]["psk"]
        self.apply(acme(one, two))
        self.world.stop_kaidod()
        self.world.start_kaidod("--vici", self.charon.path)
        self.world.wait("it is told", lambda: len(self.told()) >= 2)
        told = self.told()
        self.assertEqual(len(told), 2, told)
        self.assertIn(f"certificate of 'one' of tenant 'acme' ends on {soon:%Y-%m-%d}", told[0])
        self.assertIn(f"revocation list of 'one' of tenant 'acme' has ended on {over:%Y-%m-%d}", told[1])

    def test_the_file(self):
        self.open_plugin()
        self.apply(acme(site(ike={"remote-id": "C=JP, O=Acme, CN=gw"}), **laptops("10.9.0.0/16")))
        self.settled()
        folder = os.path.join(self.world.state, "ike")
        conf = os.path.join(folder, "swanctl.conf")
        self.world.wait("it is written", lambda: os.path.exists(conf))
        with open(conf, encoding="utf-8") as file:
            text = file.read()
        self.assertIn('id = "C=JP, O=Acme, CN=gw"', text)
        self.assertNotIn(PSK, text)
        (name,) = [name for name in os.listdir(folder) if name != "swanctl.conf"]
        self.assertIn(os.path.join(folder, name), text)
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            self.assertEqual(file.read(), issued("vpn.acme.example")[0])
        self.apply(acme(site()))
        self.world.wait("the certificate goes", lambda: os.listdir(folder) == ["swanctl.conf"])


if __name__ == "__main__":
    run()
