#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What IKE negotiates: from charon's plugin, played here, to a dataplane without packets."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402
from ike_plugin import Plugin, ts, whole  # noqa: E402
from kaidod_world import Case, config, run, tenant  # noqa: E402
from pki import issued  # noqa: E402


def site(name="branch-1", remote="198.51.100.7", **more):
    made = {"name": name, "local": "192.0.2.1", "networks": ["10.1.0.0/24"], "ike": {"psk": "a secret of branch 1"},
            **more}
    if remote is not None:
        made["remote"] = remote
    return made


def laptops(name="laptops", **more):
    certificate, key = issued("vpn.acme.example")
    return {"name": name, "local": "192.0.2.1", "local-id": "vpn.acme.example", "auth": "eap-mschapv2",
            "certificate": certificate, "key": key, "pool": ["10.9.0.0/16", "fd00:9::/112"],
            "users": [{"name": name, "password": f"{name}'s secret"} for name in ("alice", "bob")],
            "lockout": {"failures": 3, "seconds": 900}, **more}


class Sessions(Case):
    def setUp(self):
        super().setUp()
        self.plugins = []
        self.addCleanup(lambda: [plugin.close() for plugin in self.plugins])

    def plugin(self, instance=None):
        self.plugins.append(Plugin(self.world.path("rpc"), instance))
        return self.plugins[-1]

    def configure(self, *tunnels, access=(), name="acme", **more):
        made = tenant(name, 1, list(tunnels), **more)
        if access:
            made["remote-access"] = list(access)
        return self.apply(config(made))

    def dump(self, kind):
        with abi.Client(self.world.path("dataplane")) as client:
            return client.dump(kind)

    def if_id(self, name, of="acme"):
        """As kaidod wrote it for charon."""
        for tunnel in self.call("tunnel.list", tenant=of)["tunnels"]:
            if tunnel["name"] == name:
                return tunnel["id"]
        for access in self.call("remote-access.list", tenant=of)["remote-access"]:
            if access["name"] == name:
                return access["id"]
        raise AssertionError(f"there is no {name}")

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


if __name__ == "__main__":
    run()
