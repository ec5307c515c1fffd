# SPDX-License-Identifier: BSD-3-Clause
"""Cases of a test script and the lines that scripts/test counts (tests/README.md).

    cases = Cases()
    with cases("what is shown"):
        assert ...
    cases.exit()
"""

import contextlib
import sys
import traceback


class Skip(Exception):
    """Raised inside a case that can't be run here; the argument says why."""


class Cases:
    def __init__(self):
        self.count = 0
        self.failed = 0

    @contextlib.contextmanager
    def __call__(self, title):
        self.count += 1
        try:
            yield
        except Skip as reason:
            print(f"ok {self.count} - {title} # SKIP {reason}", flush=True)
        except Exception:  # a failed case does not keep the next ones from running
            self.failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"not ok {self.count} - {title}", flush=True)
        else:
            print(f"ok {self.count} - {title}", flush=True)

    def exit(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed or not self.count else 0)


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")
