#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""`ike` and `remote-access` of the configuration: what is taken, kept, shown, and every mistake."""

import copy
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from kaidod_world import Case, config, run, sa, tenant  # noqa: E402
from pki import authority, issued  # noqa: E402

PSK = "correct horse battery staple"


def site(name="branch-1", remote="198.51.100.7", ike=None, **more):
    made = {"name": name, "local": "192.0.2.1", "networks": ["10.1.0.0/24"],
            "ike": {"psk": PSK} if ike is None else ike, **more}
    if remote is not None:
        made["remote"] = remote
    return made


def certified(local="gw.acme.example", **more):
    certificate, key = issued(local)
    return {"certificate": certificate, "key": key, "ca": authority().pem, "local-id": local,
            "remote-id": "branch-1.acme.example", **more}


def logs_in(**more):
    """EAP where the peer begins: it logs in."""
    certificate, key = issued("gw.acme.example")
    return {"eap": "mschapv2", "user": "branch-2", "password": "branch 2's secret", "certificate": certificate,
            "key": key, "local-id": "gw.acme.example", **more}


def provider(**more):
    """EAP where the gateway begins: it logs in."""
    return {"eap": "mschapv2", "user": "acme-42", "password": "a provider's secret", "ca": authority().pem,
            "remote-id": "gw.provider.example", "start": "start", **more}


def provider_tls(**more):
    certificate, key = issued("acme.provider.example")
    made = provider(eap="tls", user="acme.provider.example", certificate=certificate, key=key, **more)
    del made["password"]
    return made


def laptops(name="laptops", **more):
    certificate, key = issued("vpn.acme.example")
    return {"name": name, "local": "192.0.2.1", "local-id": "vpn.acme.example", "auth": "eap-mschapv2",
            "certificate": certificate, "key": key, "pool": ["10.9.0.0/16", "fd00:9::/112"], "dns": ["10.0.0.53"],
            "networks": ["10.0.0.0/8"],
            "users": [{"name": "bob", "password": "bob's secret"},
                      {"name": "alice", "password": "alice's secret", "groups": ["staff"]}], **more}


def acme(*tunnels, access=(), **more):
    made = tenant("acme", 1, list(tunnels), **more)
    if access:
        made["remote-access"] = list(access)
    return made


class Taken(Case):
    def shown(self):
        return self.call("config.get", tenant="acme")["config"]["tenants"][0]

    def test_again_changes_nothing(self):
        """What a file says is applied once; config.get's answer, in which secrets are `set`, as well."""
        wanted = config(acme(site(), site("cert", "198.51.100.8", certified(crl=authority().revoke()),
                                          networks=["10.2.0.0/24"], **{"local-networks": ["10.0.0.0/24"]}),
                             site("any", None, {"psk": PSK, "remote-id": "any.acme.example"},
                                  networks=["10.3.0.0/24"]),
                             site("more", ike={"peer": "branch-1", "start": "trap"}, networks=["10.4.0.0/24"]),
                             site("logs-in", None, logs_in(), networks=["10.5.0.0/24"]),
                             site("provider", "203.0.113.7", provider(), networks=["10.6.0.0/24"]),
                             site("tls", "203.0.113.8", provider_tls(), networks=["10.8.0.0/24"]),
                             access=[laptops(follow=False)], lockout={"failures": 3, "seconds": 60}))
        first = self.apply(copy.deepcopy(wanted))
        self.assertIn({"op": "add", "kind": "remote-access", "tenant": "acme", "name": "laptops"}, first["changes"])
        self.assertEqual(self.apply(copy.deepcopy(wanted))["changes"], [])
        shown = self.call("config.get")["config"]
        self.assertEqual(self.apply(shown)["changes"], [])
        text = str(shown)
        self.assertNotIn("PRIVATE KEY", text)
        for secret in (PSK, "bob's secret", "alice's secret", "branch 2's secret", "a provider's secret"):
            self.assertNotIn(secret, text)
        ike = {tunnel["name"]: tunnel["ike"] for tunnel in self.shown()["tunnels"]}
        self.assertEqual([(ike[name]["eap"], ike[name]["user"], ike[name].get("password"))
                          for name in ("logs-in", "provider", "tls")],
                         [("mschapv2", "branch-2", "set"), ("mschapv2", "acme-42", "set"),
                          ("tls", "acme.provider.example", None)])
        (access,) = self.shown()["remote-access"]
        self.assertEqual([user["name"] for user in access["users"]], ["alice", "bob"])
        self.assertEqual(access["users"][0], {"name": "alice", "password": "set", "groups": ["staff"]})
        self.assertEqual(self.shown()["lockout"], {"failures": 3, "seconds": 60})
        self.assertIs(access["follow"], False)

        # So does what the store gives back.
        self.world.stop_kaidod()
        self.world.start_kaidod()
        self.assertEqual(self.apply(copy.deepcopy(wanted))["changes"], [])

    def test_secrets_are_sealed(self):
        self.apply(config(acme(site(), site("logs-in", None, logs_in(), networks=["10.5.0.0/24"]),
                               access=[laptops()])))
        self.world.stop_kaidod()
        stored = b""
        for folder, _, names in os.walk(self.world.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    stored += file.read()
        self.assertIn(b"branch-1", stored)
        for secret in (PSK, "alice's secret", "branch 2's secret", "PRIVATE KEY", PSK.encode().hex()):
            self.assertNotIn(secret.encode(), stored)
        for secret in (PSK, "alice's secret", "branch 2's secret", "PRIVATE KEY"):
            self.assertNotIn(secret, self.world.log())

    def test_changes_are_listed(self):
        self.apply(config(acme(site(), access=[laptops()])))

        def lines(*tunnels, access):
            found = self.apply(config(acme(*tunnels, access=[access])), dry_run=True)["changes"]
            return [(change["op"], change["kind"], change["name"], change.get("detail")) for change in found]

        self.assertEqual(lines(site(ike={"psk": "another, but long", "dpd": 10}), access=laptops()),
                         [("change", "tunnel", "branch-1", "ike psk, ike dpd")])
        self.assertEqual(lines(site(), access=laptops(users=[{"name": "alice", "password": "alice's secret"},
                                                             {"name": "carol", "password": "c"}])),
                         [("change", "user", "laptops alice", "groups"), ("delete", "user", "laptops bob", None),
                          ("add", "user", "laptops carol", None)])
        self.assertEqual(lines(site(), access=laptops(dns=["10.0.0.54"], mtu=1400)),
                         [("change", "remote-access", "laptops", "dns, mtu")])
        self.assertEqual(lines(site(), access=laptops(users=[{"name": "Alice", "password": "alice's secret",
                                                              "groups": ["staff"]},
                                                             {"name": "bob", "password": "bob's secret"}])),
                         [("change", "user", "laptops alice", "name")])
        limited = self.apply(config(acme(site(), access=[laptops()], lockout={"failures": 3})), dry_run=True)
        self.assertEqual([(change["kind"], change["detail"]) for change in limited["changes"]], [("tenant", "lockout")])

    def test_dataplane(self):
        """A peer that is known has a tunnel without SAs; what would go to another one is dropped."""
        self.apply(config(acme(site(), site("any", None, {"psk": PSK, "remote-id": "any.acme.example"},
                                            networks=["10.3.0.0/24"], keepalive=20),
                               access=[laptops()], routes=[{"prefix": "10.7.0.0/16", "tunnel": "any"}])))
        tables = self.tables()
        self.assertEqual(len(tables["tunnel"]), 1)
        self.assertEqual(len(tables["sa"]), 0)
        with abi.Client(self.world.path("dataplane")) as client:
            kinds = {}
            for route in client.dump("route"):
                kinds.setdefault(route.kind, []).append(route)
        self.assertEqual(len(kinds[abi.ROUTE_TUNNEL]), 1)
        self.assertEqual(len(kinds[abi.ROUTE_BLACKHOLE]), 4)

    def test_methods(self):
        self.apply(config(acme(site())))
        self.call("remote-access.set", tenant="acme", **{"remote-access": laptops()})
        self.call("user.set", tenant="acme", user={"name": "carol", "password": "c", "groups": ["guests"]},
                  **{"remote-access": "laptops"})
        (access,) = self.shown()["remote-access"]
        self.assertEqual([user["name"] for user in access["users"]], ["alice", "bob", "carol"])
        self.call("user.delete", tenant="acme", name="bob", **{"remote-access": "laptops"})
        (access,) = self.shown()["remote-access"]
        self.assertEqual([user["name"] for user in access["users"]], ["alice", "carol"])
        wrong = self.refused(-32602, "user.set", tenant="acme", user={"name": "a b", "password": "c"},
                             **{"remote-access": "laptops"})
        self.assertEqual([error["pointer"] for error in wrong.errors], ["/user/name"])
        self.refused(2, "user.delete", tenant="acme", name="bob", **{"remote-access": "laptops"})
        wrong = self.refused(-32602, "remote-access.set", tenant="acme", **{"remote-access": laptops(pool=[])})
        self.assertEqual([error["pointer"] for error in wrong.errors], ["/remote-access/pool"])
        self.call("remote-access.delete", tenant="acme", name="laptops")
        self.assertNotIn("remote-access", self.shown())
        self.refused(2, "remote-access.delete", tenant="acme", name="laptops")

    def test_lists(self):
        self.apply(config(acme(site(), site("any", None, certified(), networks=["10.3.0.0/24"]), access=[laptops()])))
        tunnels = {tunnel["name"]: tunnel for tunnel in self.call("tunnel.list")["tunnels"]}
        known, anywhere = tunnels["branch-1"], tunnels["any"]
        self.assertEqual((anywhere["remote"], anywhere["ike"]["auth"]), ("any", "certificate"))
        self.assertEqual((known["remote"], known["encapsulation"], known["ike"]),
                         ("198.51.100.7", "esp", {"auth": "psk"}))
        (access,) = self.call("remote-access.list", tenant="acme")["remote_access"]
        self.assertEqual((access["name"], access["users"], access["clients"]), ("laptops", 2, 0))
        for word in ("CERTIFICATE", "password", "key"):
            self.assertNotIn(word, str(access) + str(anywhere))

    def test_lists_eap(self):
        self.apply(config(acme(site("logs-in", None, logs_in()))))
        (tunnel,) = self.call("tunnel.list")["tunnels"]
        self.assertEqual(tunnel["ike"], {"auth": "eap-mschapv2", "eap": "mschapv2", "user": "branch-2",
                                         "local-id": "gw.acme.example"})

    def test_an_sa_by_hand(self):
        self.apply(config(acme(site())))
        wrong = self.refused(-32602, "sa.add", tenant="acme", tunnel="branch-1", sa=sa("in", 0x1001, 1))
        self.assertIn("IKE", wrong.errors[0]["message"])


class Mistakes(Case):
    dataplane = False

    def told(self, *tenants):
        wrong = self.refused(-32602, "config.apply", config=config(*tenants))
        return {error["pointer"].removeprefix("/tenants/0/"): error["message"] for error in wrong.errors}

    def one(self, pointer, word, *tenants):
        """Exactly this mistake, and the message has that word."""
        told = self.told(*tenants)
        self.assertEqual(list(told), [pointer], told)
        self.assertIn(word, told[pointer])

    def tunnel(self, pointer, word, ike=None, **more):
        with self.subTest(pointer=pointer, word=word):
            self.one("tunnels/0/" + pointer, word, acme(site(ike=ike, **more)))

    def access(self, pointer, word, **more):
        with self.subTest(pointer=pointer, word=word):
            wanted = laptops(**more)
            for member in [member for member, value in more.items() if value is None]:
                del wanted[member]
            self.one("remote-access/0/" + pointer, word, acme(access=[wanted]))

    def test_of_tunnels(self):
        self.tunnel("ike", "psk-file", {})
        self.tunnel("ike", "remove one", certified(psk=PSK))
        self.tunnel("ike/psk", "8 to", {"psk": "short"})
        self.tunnel("ike/psk", "ASCII", {"psk": "two\nlines of it"})
        self.tunnel("ike/psk", "0x", {"psk": "0xnothexadecimal"})
        self.tunnel("ike/psk", "'set'", {"psk": "set"})
        self.tunnel("ike/psk-file", "kaidoctl", {"psk-file": "/etc/passwd"})
        self.tunnel("ike/ca", "certificates", {"psk": PSK, "ca": authority().pem})
        self.tunnel("ike/start", "one of", {"psk": PSK, "start": "now"})
        self.tunnel("ike/start", "address", {"psk": PSK, "start": "start", "remote-id": "a.example"}, remote=None)
        self.tunnel("ike/remote-id", "anywhere", {"psk": PSK}, remote=None)
        self.tunnel("ike/rekey", "300", {"psk": PSK, "rekey": 10})
        self.tunnel("ike/dpd", "3600", {"psk": PSK, "dpd": 4000})
        self.tunnel("ike/version", "IKEv2", {"psk": PSK, "version": 1})
        self.tunnel("ike/auth", "IKEv2", {"psk": PSK, "auth": "XAuth"})
        self.tunnel("ike/aggressive", "IKEv2", {"psk": PSK, "aggressive": True})
        self.tunnel("ike/certificate", "damaged", certified(certificate="-----BEGIN CERTIFICATE-----\nAAAA\n"
                                                                        "-----END CERTIFICATE-----\n"))
        self.tunnel("ike/certificate", "holds 0", certified(certificate="hello"))
        self.tunnel("ike/certificate", "PRIVATE KEY", certified(certificate=issued("gw.acme.example")[1]))
        self.tunnel("ike/key", "not that of", certified(key=issued("other.example")[1]))
        self.tunnel("ike/key", "private key", certified(key="-" * 100))
        self.tunnel("ike/local-id", "subjectAltName", certified() | {"local-id": "gw.other.example"})
        self.tunnel("ike/ca", "CA", certified(ca=issued("gw.acme.example")[0] + authority().pem))
        self.tunnel("ike/crl", "signed", certified(crl=authority("other").revoke()))
        for member in ("key", "ca", "local-id", "remote-id"):
            ike = certified()
            del ike[member]
            self.tunnel("ike/" + member, "missing", ike)
        self.tunnel("encapsulation", "in ike", encapsulation="udp")
        self.tunnel("selectors", "negotiated", selectors=[])
        self.tunnel("networks", "missing", networks=[])
        self.tunnel("sas", "remove", sas=[sa("in", 0x1001, 1)])
        with self.subTest("local-networks"):
            manual = site(**{"local-networks": ["10.0.0.0/24"]})
            del manual["ike"]
            self.one("tunnels/0/local-networks", "add ike", acme(manual))

    def without(self, member, ike):
        self.tunnel("ike/" + member, "missing", {name: value for name, value in ike.items() if name != member})

    def test_of_eap(self):
        for member in ("user", "password", "certificate", "local-id"):
            ike = logs_in()
            if member == "certificate":
                del ike["key"]
            self.without(member, ike)
        for member in ("user", "password", "ca", "remote-id"):
            self.without(member, provider())
        tls = provider_tls()
        del tls["key"]
        self.without("certificate", tls)
        self.without("ca", {**{k: v for k, v in logs_in(eap="tls").items() if k != "password"}, "ca": authority().pem})
        self.tunnel("ike/eap", "one of", logs_in(eap="peap"))
        for old in ("md5", "EAP-MD5", "eap-gtc", "MSCHAP"):
            self.tunnel("ike/eap", "eap: mschapv2 or tls", logs_in(eap=old))
        self.tunnel("ike/user", "name of a user", logs_in(user="a b"))
        self.tunnel("ike/password", "'set'", logs_in(password="set"))
        self.tunnel("ike/password", "printable", logs_in(password="p\u00e4ssword"))
        self.tunnel("ike/password-file", "kaidoctl", logs_in(**{"password-file": "/etc/passwd"}))
        self.tunnel("ike/psk", "remove one", logs_in(psk=PSK))
        self.tunnel("ike/user", "give eap", {"psk": PSK, "user": "branch-2"})
        self.tunnel("ike/password", "give eap", {"psk": PSK, "password": "secret"})
        self.tunnel("ike/ca", "not used", logs_in(ca=authority().pem))
        self.tunnel("ike/remote-id", "can't stand", logs_in(user="ACME\\branch-2"))
        self.tunnel("ike/local-id", "can't stand", provider(user="ACME\\acme-42"))
        certificate, key = issued("gw.acme.example")
        self.tunnel("ike/certificate", "respond", provider(certificate=certificate, key=key))
        self.tunnel("ike/password", "tls", logs_in(eap="tls", ca=authority().pem))
        self.tunnel("ike/user", "subjectAltName", provider_tls() | {"user": "other.provider.example"})
        self.tunnel("ike/start", "address", provider(), remote=None)
        # Who begins logs in, so another start makes the gateway the other side.
        told = self.told(acme(site(ike=logs_in(start="trap"))))
        self.assertEqual(sorted(told), ["tunnels/0/ike/ca", "tunnels/0/ike/certificate", "tunnels/0/ike/remote-id"])
        self.assertIn("the gateway begins", told["tunnels/0/ike/ca"])

    def test_of_lockout(self):
        self.one("lockout/failures", "1000", acme(lockout={"failures": -1}))
        self.one("lockout/seconds", "86400", acme(lockout={"seconds": 0}))
        self.access("lockout", "set tenant acme lockout.failures", lockout={"failures": 3})

    def test_of_identities(self):
        for good in ("gw.acme.example", "a_b.example", "alice@acme.example", "198.51.100.7", "2001:db8::7",
                     "C=JP, O=Acme, CN=gw", "branch-1"):
            self.call("config.apply", config=config(acme(site(ike={"psk": PSK, "remote-id": good}))), dry_run=True)
        for bad in ("%any", "*", "*.acme.example", "0.0.0.0", "::", "@#0102", "keyid:01", "a b", "a\"b", "a;b", "a{b",
                    "198.51.100.0/24", "1.2.3", "a..b", "a@b@c", "CN=a\"", "CN=*", "x" * 300, "dns:a", "a\nb", "é"):
            with self.subTest(bad):
                told = self.told(acme(site(ike={"psk": PSK, "remote-id": bad})))
                self.assertEqual(list(told), ["tunnels/0/ike/remote-id"])

    def test_of_proposals(self):
        for member, bad, word in (("proposals", "aes256-sha1-modp2048", "sha256"),
                                  ("proposals", "3des-sha256-modp2048", "aes256"),
                                  ("proposals", "aes256-sha256-modp1024", "modp2048"),
                                  ("proposals", "aes256-sha256", "group"), ("proposals", "aes256-modp2048", "sha256"),
                                  ("proposals", "aes256gcm16-ecp384", "prfsha"), ("proposals", "", "1 to"),
                                  ("proposals", "aes256gcm16-prfsha384-ecp384-esn", "not known"),
                                  ("proposals", "aes256gcm16-aes256-prfsha256-sha256-x25519", "each"),
                                  ("proposals", "aes256gcm16-prfsha256-x25519-", "ends"),
                                  ("proposals", "aes256gcm16-prfsha256-x25519;x", "not known"),
                                  ("esp-proposals", "aes256-sha256", "aes256gcm16"),
                                  ("esp-proposals", "aes256gcm8", "aes256gcm16"),
                                  ("esp-proposals", "3des", "aes256gcm16"), ("esp-proposals", "x25519", "cipher"),
                                  ("esp-proposals", "aes256gmac", "aes256gcm16"),
                                  ("esp-proposals", "null-sha256", "aes256gcm16")):
            self.tunnel(f"ike/{member}/0", word, {"psk": PSK, member: [bad]})
        for member, good in (("proposals", "aes256gcm16-aes128gcm16-prfsha384-prfsha256-x25519-ecp384"),
                             ("proposals", "aes256-aes128-sha384-sha256-modp2048"),
                             ("esp-proposals", "aes128gcm16"), ("esp-proposals", "aes256gcm16-x25519-esn-noesn")):
            self.call("config.apply", config=config(acme(site(ike={"psk": PSK, member: [good]}))), dry_run=True)

    def test_of_peers(self):
        def pair(ike, **more):
            return acme(site(), site("more", ike=ike, networks=["10.2.0.0/24"], **more))

        self.one("tunnels/1/ike/peer", "no other tunnel", pair({"peer": "nobody"}))
        self.one("tunnels/1/ike/peer", "no other tunnel", pair({"peer": "more"}))
        self.one("tunnels/1/ike/psk", "remove it", pair({"peer": "branch-1", "psk": PSK}))
        self.one("tunnels/1/ike/peer", "other ends", pair({"peer": "branch-1"}, remote="198.51.100.9"))
        self.one("tunnels/2/ike/peer", "of its own",
                 acme(site(), site("more", ike={"peer": "branch-1"}, networks=["10.2.0.0/24"]),
                      site("third", ike={"peer": "more"}, networks=["10.3.0.0/24"])))

    def test_of_remote_access(self):
        self.access("auth", "missing", auth=None)
        self.access("auth", "one of", auth="password")
        for old in ("pptp", "l2tp", "sstp", "mschapv1", "ikev1", "xauth", "PAP"):
            self.access("auth", "eap-mschapv2", auth=old)
        self.access("certificate", "missing", certificate=None, key=None)
        self.access("ca", "missing", auth="eap-tls", users=[])
        self.access("ca", "remove", ca=authority().pem)
        self.access("local-id", "missing", **{"local-id": None})
        self.access("certificate-file", "kaidoctl", **{"certificate-file": "x"})
        self.access("pool", "missing", pool=None)
        self.access("pool/0", "/8 to /30", pool=["10.9.0.0/31"])
        self.access("pool/1", "overlaps", pool=["10.9.0.0/16", "10.9.1.0/24"])
        self.access("pool/0", "attachment", pool=["172.31.0.0/16"])
        self.access("dns/0", "name server", dns=["resolver"])
        self.access("users/0/name", "name of a user", users=[{"name": "a b", "password": "p"}])
        self.access("users/0/password", "password-file", users=[{"name": "alice"}])
        self.access("users/0/password", "printable", users=[{"name": "alice", "password": "pässword"}])
        self.access("users/0/groups/1", "group", users=[{"name": "alice", "password": "p", "groups": ["a", "B"]}])
        self.access("users/1/name", "two have", users=[{"name": "alice", "password": "p"},
                                                       {"name": "alice", "password": "q"}])
        self.access("users/0/password", "remove", auth="eap-tls", ca=authority().pem,
                    users=[{"name": "alice", "password": "p"}])
        self.one("remote-access/0/name", "rename", acme(site("laptops-12"), access=[laptops()]))
        self.one("remote-access/0/name", "rename", acme(site("laptops"), access=[laptops()]))
        self.one("remote-access/0/pool/0", "tunnel 'branch-1'",
                 acme(site(networks=["10.9.1.0/24"]), access=[laptops(pool=["10.9.0.0/16"])]))

    def test_over_tenants(self):
        """A peer's tenant follows from its identity, so no two of them may know the same one."""
        def globex(*tunnels, access=()):
            made = tenant("globex", 2, list(tunnels))
            if access:
                made["remote-access"] = list(access)
            return made

        told = self.told(acme(site()), globex(site()))
        self.assertEqual(list(told), ["/tenants/1/tunnels/0/ike/remote-id"])
        self.assertIn("'acme'", next(iter(told.values())))
        ike = {"psk": PSK, "local-id": "gw.example", "remote-id": "Branch.example"}
        told = self.told(acme(site(ike=ike)), globex(site(ike=ike | {"remote-id": "branch.EXAMPLE"})))
        self.assertEqual(list(told), ["/tenants/1/tunnels/0/ike/remote-id"])
        told = self.told(acme(access=[laptops()]), globex(access=[laptops(local="192.0.2.9", users=[
            {"name": "ALICE", "password": "another"}])]))
        self.assertEqual(list(told), ["/tenants/1/remote-access/0/local-id", "/tenants/1/remote-access/0/users/0/name"])
        told = self.told(acme(access=[laptops()]), globex(access=[laptops(users=[])]))
        self.assertEqual(list(told), ["/tenants/1/remote-access/0/local-id"])
        # A name that lets in anybody is one tenant's; else a secret or certificate of one would do for the other.
        both = laptops(local="192.0.2.9", users=[{"name": "carol", "password": "another"}])
        self.assertEqual(list(self.told(acme(access=[laptops()]), globex(access=[both]))),
                         ["/tenants/1/remote-access/0/local-id"])
        named = site(ike={"psk": PSK, "local-id": "VPN.acme.example", "remote-id": "carol"})
        for one, other, where in ((acme(access=[laptops()]), globex(named), "tunnels/0/ike"),
                                  (acme(named), globex(access=[laptops()]), "remote-access/0")):
            self.assertEqual(list(self.told(one, other)), [f"/tenants/1/{where}/local-id"])
        # Who logs in by EAP is one user towards one name, be it a site or a client; and so is the gateway.
        both = laptops("eap", local="192.0.2.9", users=[{"name": "Branch-2", "password": "p"}])
        vpn, vpn_key = issued("vpn.acme.example")
        known = logs_in(certificate=vpn, key=vpn_key, **{"local-id": "vpn.acme.example", "remote-id": "another"})
        self.assertEqual(list(self.told(acme(site(ike=known), access=[both]))), ["remote-access/0/users/0/name"])
        self.assertEqual(list(self.told(acme(site(ike=logs_in())), globex(site(ike=logs_in(**{
            "remote-id": "another"}))))), ["/tenants/1/tunnels/0/ike/user"])
        self.assertEqual(list(self.told(acme(site(ike=provider())), globex(site(ike=provider(**{
            "local-id": "another"}))))), ["/tenants/1/tunnels/0/ike/user"])
        # Who is locked out is so by any way to log in: the user must not be who another one is by its secret.
        secret = site(ike={"psk": PSK, "local-id": "gw.acme.example", "remote-id": "BRANCH-2"})
        user = site(ike=logs_in(**{"remote-id": "another"}))
        self.assertEqual(list(self.told(acme(secret), globex(user))), ["/tenants/1/tunnels/0/ike/user"])
        self.assertEqual(list(self.told(acme(user), globex(secret))), ["/tenants/1/tunnels/0/ike/remote-id"])
        # A certificate is found by the user's name: two tenants can't log in by one.
        self.assertEqual(list(self.told(acme(site(ike=provider_tls())), globex(site(ike=provider_tls(**{
            "remote-id": "gw.another.example"}))))), ["/tenants/1/tunnels/0/ike/user"])
        self.call("config.apply", config=config(
            acme(site(ike=logs_in())), globex(site(ike=logs_in(user="branch-3")))), dry_run=True)
        self.call("config.apply", config=config(acme(named, access=[laptops()])), dry_run=True)
        self.call("config.apply", config=config(acme(site(), access=[laptops()]),
                                                globex(site(local="192.0.2.9", ike={"psk": PSK}))), dry_run=True)


if __name__ == "__main__":
    run()
