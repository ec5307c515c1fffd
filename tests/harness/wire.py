# SPDX-License-Identifier: BSD-3-Clause
"""A port of a gateway that can be spoken with while it runs: a tap of DPDK's, in a network of our own.

    network_of_our_own()                    # once, before anything else
    gateway.port("lan", wire_device("lan"))
    gateway.start()
    lan = Wire("lan")
    lan.send(frame); lan.receive()
"""

import ctypes
import select
import socket
import time

from .gateway import PATIENCE

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
LIBC = ctypes.CDLL(None, use_errno=True)


def network_of_our_own():
    """Ends with the process. The kernel says nothing there by itself."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name in ("all", "default"):
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as file:
            file.write("1")


def wire_device(name):
    return f"net_tap_{name},iface=kaido-{name}"


class Wire:
    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        self.socket.bind((f"kaido-{name}", ETH_P_ALL))

    def send(self, frame):
        self.socket.send(bytes(frame))

    def receive(self, what="a frame", patience=PATIENCE):
        """The next frame that the gateway sent."""
        deadline = time.monotonic() + patience
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError(f"waited in vain for {what}")
            frame, address = self.socket.recvfrom(65536)
            if address[2] != PACKET_OUTGOING:
                return frame

    def close(self):
        self.socket.close()
