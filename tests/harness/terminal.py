# SPDX-License-Identifier: BSD-3-Clause
"""A program at a terminal of its own."""

import contextlib
import os
import pty
import select

WAIT = 120  # seconds without a byte


class Terminal:
    """world.command is the program with its first arguments."""

    def __init__(self, world, *words):
        command = [*world.command, *words]
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(LC_ALL="C.UTF-8", TERM="xterm")
            os.execv(command[0], command)

    def until(self, part):
        while part not in self.text:
            if not select.select([self.fd], [], [], WAIT)[0]:
                raise AssertionError(f"{part!r} never came: {self.text!r}")
            self.text += os.read(self.fd, 4096).decode(errors="replace")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """Its exit status, once it has ended."""
        with contextlib.suppress(OSError):
            while data := os.read(self.fd, 4096):
                self.text += data.decode(errors="replace")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
