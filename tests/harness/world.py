# SPDX-License-Identifier: BSD-3-Clause
"""The small world of the packet tests: one gateway between a tenant's LAN and the provider's WAN.

    host 10.0.0.9 ── lan [10.0.0.1 gateway 192.0.2.1] wan ── router 192.0.2.254 ── sites 198.51.100.N
         fd00::9          fd00::1    2001:db8::1                    2001:db8::fe        2001:db8:1::N

Site N owns 10.1.N.0/24 or fd00:1:N::/64 and has a tunnel N. Keys differ and are the same in each run.
"""

import hashlib
import itertools

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from .config import Config
from .esp import Sa
from .kaido_abi import mac_bytes

HOST_MAC = "02:00:00:00:01:09"
ROUTER_MAC = "02:00:00:00:00:fe"
GATEWAY = {4: "10.0.0.1", 6: "fd00::1"}
HOST = {4: "10.0.0.9", 6: "fd00::9"}
LOCAL = {4: "192.0.2.1", 6: "2001:db8::1"}
ROUTER = {4: "192.0.2.254", 6: "2001:db8::fe"}
LAN_ATTACHMENT, WAN_ATTACHMENT = 1, 2
TENANT = 1


def bytes_of(what, length):
    """The same for the same name in every run."""
    return hashlib.shake_128(repr(what).encode()).digest(length)


class Site:
    """A tunnel's far end. `to_gateway` and `from_gateway` are its two SAs."""

    def __init__(self, number, inner, outer, key_len=16, esn=False, udp=False):
        self.number, self.inner, self.outer = number, inner, outer
        self.esn = esn
        self.udp = (4500, 4500) if udp else None
        self.remote = f"198.51.100.{number}" if outer == 4 else f"2001:db8:1::{number:x}"
        self.network = f"10.1.{number}.0/24" if inner == 4 else f"fd00:1:{number:x}::/64"
        self.host = f"10.1.{number}.7" if inner == 4 else f"fd00:1:{number:x}::7"
        self.to_gateway = self._sa("in", 0x1000 + number, key_len, self.remote, LOCAL[outer])
        self.from_gateway = self._sa("out", 0x2000 + number, key_len, LOCAL[outer], self.remote)

    def _sa(self, direction, spi, key_len, source, destination):
        return Sa(spi, bytes_of(("key", direction, self.number), key_len),
                  bytes_of(("salt", direction, self.number), 4), source, destination,
                  esn=self.esn, udp=self.udp)

    def __str__(self):
        return (f"IPv{self.inner} in IPv{self.outer}, {'UDP' if self.udp else 'ESP'}, "
                f"AES-{len(self.to_gateway.key) * 8}, {'ESN' if self.esn else 'no ESN'}")

    # Inner packets

    def packet_out(self, payload, ttl=64, tos=0):
        """From the LAN's host to the site's host."""
        return inner_packet(HOST[self.inner], self.host, payload, ttl, tos)

    def packet_in(self, payload, ttl=64, tos=0):
        return inner_packet(self.host, HOST[self.inner], payload, ttl, tos)


def inner_packet(source, destination, payload, ttl=64, tos=0):
    if ":" in source:
        header = IPv6(src=source, dst=destination, hlim=ttl, tc=tos)
    else:
        header = IP(src=source, dst=destination, ttl=ttl, tos=tos, id=0x1234)
    return header / UDP(sport=1000, dport=2000) / payload


def forwarded(packet):
    """The packet as one forwarding step leaves it."""
    packet = packet.copy()
    if isinstance(packet, IPv6):
        packet.hlim -= 1
    else:
        packet.ttl -= 1
        del packet.chksum
    return packet


def all_sites():
    """Every combination of families, encapsulation, key length and ESN."""
    combinations = itertools.product((4, 6), (4, 6), (False, True), (16, 24, 32), (False, True))
    return [Site(number, inner, outer, key_len, esn, udp)
            for number, (inner, outer, udp, key_len, esn) in enumerate(combinations, 1)]


def world(sites, window=1024, sequence=None, lan_mtu=0, wan_mtu=0):
    """The configuration. `sequence(site)`: the first number that its outbound SA sends."""
    config = Config()
    config.attachment(WAN_ATTACHMENT, 0, "wan", [LOCAL[4] + "/24", LOCAL[6] + "/64"], mtu=wan_mtu)
    for family, prefix in ((4, "0.0.0.0/0"), (6, "::/0")):
        config.neighbour(WAN_ATTACHMENT, ROUTER[family], ROUTER_MAC)
        config.route_gateway(0, prefix, WAN_ATTACHMENT, ROUTER[family])
    config.tenant(TENANT)
    config.attachment(LAN_ATTACHMENT, TENANT, "lan", [GATEWAY[4] + "/24", GATEWAY[6] + "/64"],
                      mtu=lan_mtu)
    for family in (4, 6):
        config.neighbour(LAN_ATTACHMENT, HOST[family], HOST_MAC)
    for site in sites:
        config.tunnel(site.number, TENANT, LOCAL[site.outer], site.remote, udp=site.udp)
        config.sa_in(2 * site.number, site.number, site.to_gateway, window=window)
        first = sequence(site) if sequence else 1
        config.sa_out(2 * site.number + 1, site.number, site.from_gateway, sequence=first,
                      limit=1 << 62 if site.esn else 1 << 32)
        config.route_tunnel(TENANT, site.network, site.number)
    return config


def ethernet(source, destination, packet, vlan=None):
    """An Ethernet frame as bytes."""
    data = bytes(packet)
    tag = b"" if vlan is None else b"\x81\x00" + vlan.to_bytes(2, "big")
    ethertype = b"\x86\xdd" if data[0] >> 4 == 6 else b"\x08\x00"
    return mac_bytes(destination) + mac_bytes(source) + tag + ethertype + data


def split_ethernet(frame):
    """(destination, source, ethertype, rest) of a frame."""
    def text(mac):
        return ":".join(f"{byte:02x}" for byte in mac)
    return text(frame[:6]), text(frame[6:12]), int.from_bytes(frame[12:14], "big"), frame[14:]
