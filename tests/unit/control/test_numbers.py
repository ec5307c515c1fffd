#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sequence numbers and totals over kills of kaidod and of a dataplane without packets."""

import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from kaidod_world import Case, config, run, sa, tenant, tunnel  # noqa: E402


class Numbers(Case):
    """No sequence number is used twice under one key, whoever dies, and totals never fall."""

    KILLS = int(os.environ.get("KILLS", "120"))

    def used(self, log):
        """{key: [(from, to)]} in the order of use, of what the dataplanes sent."""
        ranges = {}
        with open(log) as file:
            for line in file:
                name, start, end = line.split()
                ranges.setdefault(name, []).append((int(start), int(end)))
        return ranges

    def check_ranges(self, log):
        numbers = 0
        for name, ranges in self.used(log).items():
            last = 1
            for start, end in ranges:
                self.assertGreaterEqual(start, last, f"{name} goes back")
                last = end
                numbers += end - start
        return numbers

    def totals(self):
        return {(t["tenant"], t["name"]): t["out_packets"] for t in self.call("counters.get")["tunnels"]}

    def watched(self, before):
        now = self.totals()
        for name, value in before.items():
            self.assertGreaterEqual(now.get(name, 0), value, name)
        return now

    def start_sender(self, appetite):
        self.world.start_dataplane("--log", self.log, "--appetite", str(appetite))

    def setUp(self):
        super().setUp()
        self.world.stop_dataplane()
        self.log = self.world.path("used")

    def test_kills(self):
        import random
        seed = int.from_bytes(os.urandom(4), "big")
        dice = random.Random(seed)
        self.start_sender(1 << 23)
        self.apply(config(tenant("acme", 1, [tunnel(f"t{i}", i + 1) for i in range(3)])))
        spare = tunnel("spare", 99)
        spare["sas"][1]["esn"] = True
        totals, present = {}, False
        for kill in range(self.KILLS):
            what = dice.randrange(4)
            if what == 0:
                self.world.stop_kaidod(signal.SIGKILL)
                self.world.start_kaidod()
            elif what == 1:
                self.world.stop_dataplane()
                self.start_sender(dice.choice((100, 1 << 16, 1 << 23)))
            elif what == 2:  # both, and the order in which they come back
                self.world.stop_kaidod(signal.SIGKILL)
                self.world.stop_dataplane()
                if dice.random() < 0.5:
                    self.start_sender(1 << 20)
                    self.world.start_kaidod()
                else:
                    self.world.start_kaidod()
                    self.start_sender(1 << 20)
            else:  # a key that goes and comes back
                if present:
                    self.call("tunnel.delete", tenant="acme", name="spare")
                else:
                    self.call("tunnel.set", tenant="acme", tunnel=spare)
                present = not present
            if dice.random() < 0.7:
                self.world.wait_converged()
            time.sleep(dice.random() * 0.1)
        self.world.wait_converged()
        size = os.path.getsize(self.log)
        self.world.wait("it goes on sending", lambda: os.path.getsize(self.log) > size)
        numbers = self.check_ranges(self.log)
        self.assertEqual(len(self.used(self.log)), 4)
        print(f"# {self.KILLS} kills and changes (seed {seed}): {numbers} numbers, none twice", file=sys.stderr)

    def test_totals_never_fall(self):
        self.start_sender(1000)
        self.apply(config(tenant("acme", 1, [tunnel("one", 1), tunnel("two", 2)])))
        totals = {}
        for kill in range(12):
            before = self.watched(totals)
            if kill % 3 == 0:
                self.world.stop_kaidod(signal.SIGKILL)
                self.world.start_kaidod()
            elif kill % 3 == 1:
                self.world.stop_dataplane()
                last = sum(end - start for ranges in self.used(self.log).values() for start, end in ranges)
                self.start_sender(1000)
                self.world.wait_converged()
                # All that the dead one counted is in; at most one burst was not counted.
                self.assertGreaterEqual(sum(self.watched(before).values()), last - 1000 * (kill // 3 + 1))
            else:
                self.call("sa.add", tenant="acme", tunnel="one", sa=sa("out", 0x40000 + kill, 500 + kill))
            self.world.wait_converged()
            self.world.wait("totals grow", lambda: all(self.totals()[n] > v for n, v in before.items()))
            totals = self.watched(before)
        sent = sum(end - start for ranges in self.used(self.log).values() for start, end in ranges)
        self.world.stop_dataplane()
        self.assertLessEqual(sum(totals.values()), sent + 10000)

    def test_a_key_that_comes_back_resumes_above(self):
        self.world.start_dataplane()
        self.world.wait_converged()
        wanted = tunnel("one", 1)
        self.apply(config(tenant("acme", 1, [wanted])))
        (first,) = [s for s in self.call("sa.list")["sas"] if s["direction"] == "out"]
        self.call("tenant.delete", name="acme")
        self.apply(config(tenant("other", 1, [{**wanted, "name": "again"}])))
        (second,) = [s for s in self.call("sa.list")["sas"] if s["direction"] == "out"]
        self.assertEqual(second["sequence"], first["lease"])

    def test_going_back_to_a_backup(self):
        """As docs/operations.md has it: new outbound SAs before the dataplane comes."""
        backup = self.world.path("backup")
        self.start_sender(1 << 23)
        self.apply(config(tenant("acme", 1, [tunnel("one", 1)])))
        self.world.wait("it sends", lambda: os.path.exists(self.log) and os.path.getsize(self.log) > 0)
        self.world.stop_kaidod()
        shutil.copytree(self.world.state, backup)
        size = os.path.getsize(self.log)
        self.world.start_kaidod()
        self.world.wait("numbers go beyond those of the backup", lambda: os.path.getsize(self.log) > size + 2000)
        self.world.stop_dataplane()
        self.world.stop_kaidod()
        shutil.rmtree(self.world.state)
        shutil.copytree(backup, self.world.state)
        self.world.start_kaidod()
        self.assertFalse(self.call("sa.add", tenant="acme", tunnel="one", sa=sa("out", 0x30000, 77))["applied"])
        self.call("sa.delete", tenant="acme", tunnel="one", direction="out", spi=0x20001)
        self.start_sender(1 << 23)
        self.world.wait_converged()
        self.world.wait("it sends under the new key", lambda: len(self.used(self.log)) == 2)
        self.assertEqual([s["direction"] for s in self.call("sa.list")["sas"]], ["in", "out"])
        self.check_ranges(self.log)

    def test_without_esn_the_numbers_end(self):
        self.start_sender(1 << 30)
        wanted = tunnel("one", 1)
        wanted["sas"][1]["esn"] = False
        events = self.world.client()
        events.call("event.subscribe")
        self.apply(config(tenant("acme", 1, [wanted])))
        while True:
            event = events.line()["params"]
            if event["kind"] == "rekey":
                break
        self.assertEqual((event["tenant"], event["tunnel"]), ("acme", "one"))
        self.world.wait("the last number is used",
                        lambda: any(end == 1 << 32 for r in self.used(self.log).values() for _, end in r))
        self.world.stop_dataplane()
        self.start_sender(1 << 30)
        self.world.wait_converged()
        self.assertEqual(len(self.tables()["sa"]), 1)
        self.call("tenant.delete", name="acme")
        error = self.refused(3, "config.apply", config=config(tenant("acme", 1, [wanted])))
        self.assertIn("make a new key", error.message)
        self.check_ranges(self.log)


if __name__ == "__main__":
    run()
