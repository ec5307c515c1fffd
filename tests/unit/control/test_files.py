#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What kaidod keeps in files: what goes with a tenant, and what a full or read-only disk does."""

import os
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from ike_plugin import Plugin, ts, whole  # noqa: E402
from kaidod_world import WAIT, Case, RpcError, World, config, run, tenant, tunnel  # noqa: E402
from pki import issued  # noqa: E402


class Erasure(Case):
    """What was counted of a tenant or tunnel goes with it, as soon as nothing leads back to it."""

    def setUp(self):
        super().setUp()
        self.world.stop_dataplane()
        self.world.start_dataplane("--appetite", "1000")
        self.apply(config(tenant("acme", 1, [tunnel("one", 1), tunnel("two", 2)]),
                          tenant("bolt", 2, [tunnel("one", 3)])))
        for name in ("acme", "bolt"):
            self.world.wait(f"{name} is counted and has files",
                            lambda: self.history(name, "one") and self.totals(name) > 0)
        self.world.wait("two has a file", lambda: self.history("acme", "two"))

    def path(self, tenant, tunnel=None):
        return os.path.join(self.world.state, "history/tenants", tenant,
                            f"tunnels/{tunnel}.rrd" if tunnel else "tenant.rrd")

    def history(self, tenant, tunnel=None):
        return os.path.exists(self.path(tenant, tunnel))

    def totals(self, tenant, tunnel="one"):
        return next(t["out_packets"] for t in self.call("counters.get", tenant=tenant)["tunnels"]
                    if t["name"] == tunnel)

    def others_are_left(self):
        self.assertTrue(self.history("bolt") and self.history("bolt", "one"))

    def rows_saved(self):
        """Tenants and tunnels in the file of the totals, the underlay left out."""
        with open(self.world.state + "/totals", "rb") as file:
            tenants, tunnels = struct.unpack_from("2I", file.read(24), 16)
        return tenants - 1, tunnels

    def test_with_the_answer(self):
        self.call("tunnel.delete", tenant="acme", name="two")
        self.assertFalse(self.history("acme", "two"))
        self.assertTrue(self.history("acme") and self.history("acme", "one"))
        self.assertEqual(self.rows_saved(), (2, 2))
        self.call("tenant.delete", name="acme")
        self.assertFalse(os.path.exists(os.path.dirname(self.path("acme"))))
        self.assertEqual(self.rows_saved(), (1, 1))
        self.apply(config(), prune=True)
        self.assertEqual(os.listdir(self.world.state + "/history/tenants"), [])
        self.assertEqual(self.rows_saved(), (0, 0))

    def test_a_change_is_no_deletion(self):
        inode = os.stat(self.path("acme", "one")).st_ino
        before = self.totals("acme")
        self.apply(config(tenant("acme", 1, [tunnel("one", 1, label="new"), tunnel("two", 2)], label="new")))
        self.assertEqual(os.stat(self.path("acme", "one")).st_ino, inode)
        self.assertGreaterEqual(self.totals("acme"), before)

    def test_kept_until_confirmed(self):
        self.apply(config(tenant("acme", 1, [tunnel("one", 1)])), prune=True, confirm_within=600)
        self.world.stop_kaidod(signal.SIGKILL)
        self.world.start_kaidod()
        self.assertTrue(self.history("acme", "two"))
        self.others_are_left()
        self.call("config.confirm")
        self.assertFalse(self.history("acme", "two"))
        self.assertEqual(os.listdir(self.world.state + "/history/tenants"), ["acme"])

    def test_a_rollback_has_lost_nothing_and_leaves_nothing(self):
        before = self.totals("acme", "two")
        self.apply(config(tenant("acme", 1, [tunnel("one", 1)]), tenant("new", 4, [tunnel("x", 9)])),
                   prune=True, confirm_within=5)
        self.world.wait("what comes is sampled, or gone", lambda: self.history("new", "x") or
                        "confirm_within" not in self.call("system.status"))
        self.world.wait("it is taken back", lambda: "new" not in
                        [t["name"] for t in self.call("tenant.list")["tenants"]])
        self.world.wait_converged()
        self.assertTrue(self.history("acme", "two"))
        self.others_are_left()
        self.assertGreaterEqual(self.totals("acme", "two"), before)
        self.assertFalse(os.path.exists(os.path.dirname(self.path("new"))))

    def test_after_kaidod_was_down(self):
        self.world.stop_kaidod()
        os.rename(os.path.dirname(self.path("bolt")), os.path.dirname(self.path("gone")))
        os.link(self.path("acme", "two"), self.path("acme", "gone"))
        os.link(self.path("acme", "two"), self.path("acme", "gone") + ".broken")
        self.world.start_kaidod()
        self.world.wait("it is erased", lambda: not os.path.exists(os.path.dirname(self.path("gone"))) and
                        not self.history("acme", "gone"))
        self.assertFalse(os.path.exists(self.path("acme", "gone") + ".broken"))
        self.assertTrue(self.history("acme", "two"))


class Disk(Case):
    """A state folder that is full, and one that is read-only."""

    def setUp(self):
        self.world = World(Case.kaidod)
        self.addCleanup(self.world.close)
        os.mkdir(self.world.state)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "none", self.world.state]).returncode:
            self.skipTest("may not mount")
        self.addCleanup(lambda: (self.world.stop_kaidod(), subprocess.run(["umount", self.world.state])))
        self.world.start_dataplane()
        self.world.start_kaidod()
        self.world.wait_converged()
        self.call = self.world.call

    def unchanged_by_a_change(self, before):
        error = self.refused(4, "tenant.set", tenant=tenant("other", 7, [tunnel("x", 7)]))
        self.assertIn("can't be written", error.message)
        self.assertEqual((self.call("config.get"), self.tables()), before)
        self.assertFalse(self.call("system.status")["store"]["writable"])
        self.refused(4, "trace.start", packets=5)
        # A charon that can't be noted has not opened: nothing that it says is done.
        client = self.world.client("ike.sock")
        with self.assertRaisesRegex(RpcError, "can't be written"):
            client.call("ike.open", protocol=1, instance="1234567812345678", version="x")
        with self.assertRaisesRegex(RpcError, "ike.open first"):
            client.call("ike.sync", sas=[])

    def fill(self):
        ballast = os.open(self.world.state + "/ballast", os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(ballast, b"x" * 4096)
        except OSError:
            os.close(ballast)

    def test_what_is_not_stored_takes_no_ids(self):
        self.world.stop_dataplane()
        self.world.start_dataplane("--max-sas", "20", "--max-tunnels", "20")
        self.world.wait_converged()
        certificate, key = issued("vpn.acme.example")
        self.apply(config(tenant("acme", 1, [], **{"remote-access": [
            {"name": "laptops", "local": "192.0.2.1", "local-id": "vpn.acme.example", "auth": "eap-mschapv2",
             "certificate": certificate, "key": key, "pool": ["10.9.0.0/16"]}]})))
        plugin = Plugin(self.world.path("ike.sock"))
        self.addCleanup(plugin.close)
        client = {"local_ts": [whole()], "remote_ts": [ts("10.9.0.1")]}
        self.fill()
        for _ in range(30):
            with self.assertRaisesRegex(RpcError, "^4: .*can't be written"):
                plugin.set("in", 1, **client)
        os.unlink(self.world.state + "/ballast")
        plugin.pair(1, **client)

    def test_full_and_read_only(self):
        self.call("tenant.set", tenant=tenant("acme", 1, [tunnel("one", 1)]))
        before = self.call("config.get"), self.tables()
        self.fill()
        self.unchanged_by_a_change(before)
        # A dataplane that comes now gets all but what would send without a lease on the disk.
        self.world.stop_dataplane()
        self.world.wait("it is lost", lambda: not self.call("system.status")["dataplane"]["connected"])
        self.world.start_dataplane()
        self.world.wait("it is there", lambda: os.path.exists(self.world.path("dataplane")) and
                        self.call("system.status")["dataplane"]["connected"])
        self.world.wait("it has the inbound SA", lambda: len(self.tables()["sa"]) == 1)
        self.assertFalse(self.world.converged())
        os.unlink(self.world.state + "/ballast")
        self.world.wait_converged()
        self.assertEqual(len(self.tables()["sa"]), 2)
        self.assertTrue(self.call("tenant.set", tenant=tenant("acme", 1, [tunnel("one", 1)], label="y"))["applied"])
        before = self.call("config.get"), self.tables()
        self.world.stop_kaidod()
        subprocess.run(["mount", "-o", "remount,ro", self.world.state], check=True)
        self.assertNotEqual(self.world.start_kaidod(wait=False).wait(WAIT), 0)
        self.assertIn("ead-only", self.world.log())
        self.assertEqual(self.tables(), before[1])
        subprocess.run(["mount", "-o", "remount,rw", self.world.state], check=True)
        self.world.start_kaidod()
        self.world.wait_converged()
        self.assertEqual((self.call("config.get"), self.tables()), before)


if __name__ == "__main__":
    run()
