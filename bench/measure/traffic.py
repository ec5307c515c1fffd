# SPDX-License-Identifier: BSD-3-Clause
"""Which packets a run takes, and the configuration that goes with them, for any program.

Tunnel i leads to 10.128.0.0 + i of a tenant that is drawn for it; each packet goes into a tunnel
drawn at random. All draws are always the same. Each tenant has a VLAN of its own; a port has room
for 4,000 of them, so 10,000 tenants stand on three ports. A single tenant is untagged.

Inbound, what comes in was sealed by another implementation. It comes again and again, so windows
are 0.
"""

import functools
import os
import random
from collections import namedtuple

from harness.config import Config
from harness.esp import Sa
from harness.pcap import write_pcap

IMIX = "imix"
IMIX_SIZES = [64] * 28 + [570] * 16 + [1518] * 4
VLANS = 4000  # a port
LOCAL, REMOTE = "192.0.2.1", "192.0.2.2"
GATEWAY_MAC = "020000000002"  # the next hop of the underlay
STATION_MAC = "020000000109"
STATION = (10 << 24) + 9
WAN = 1
LAN = 2  # the attachment of tenant 1; tenant n's is LAN + n - 1
MOST_BYTES = 160 << 20  # of frames, all together

# size: of the inner packet, or IMIX; key_bits: 128, 192, 256 or 0: of these in turn
Shape = namedtuple("Shape", "direction size key_bits sas tenants")


def describe(shape):
    bits = f"AES-{shape.key_bits}" if shape.key_bits else "AES mixed"
    return f"{shape.direction} {shape.size} B, {bits}, {spread(shape.sas, shape.tenants)}"


def spread(sas, tenants):
    return f"{sas} SA{'s' * (sas > 1)} of {tenants} tenant{'s' * (tenants > 1)}"


def mean_size(size):
    return sum(IMIX_SIZES) / len(IMIX_SIZES) if size == IMIX else size


def payload(size):
    """What of a packet is encrypted: with padding to four bytes, its length and next header."""
    return (size + 2 + 3) // 4 * 4


def frames_of(shape):
    """So many frames: several times the SAs, so that nearly all of them get some, but no more than
    is sensible to keep in memory."""
    wanted = 4096
    while wanted < 2 * shape.sas and wanted < 65536:
        wanted *= 2
    while wanted > 4096 and wanted * (mean_size(shape.size) + 100) > MOST_BYTES:
        wanted //= 2
    return wanted


def ports_of(shape):
    return -(-shape.tenants // VLANS)


def vlan_of(shape, tenant):
    """(number of the port, VLAN) of a tenant 1 .. n."""
    if shape.tenants == 1:
        return 0, 0
    return (tenant - 1) // VLANS, 1 + (tenant - 1) % VLANS


def key_bits_of(shape, number):
    return shape.key_bits or (128, 192, 256)[number % 3]


@functools.lru_cache(maxsize=200000)
def sa_of(number, bits):
    key = random.Random(number).randbytes(bits // 8)
    return Sa(0x10000 + number, key, number.to_bytes(4, "big"), LOCAL, REMOTE)


@functools.lru_cache(maxsize=16)
def tenants_of(sas, tenants):
    """The tenant of each tunnel; tunnel 0 does not exist."""
    picker = random.Random(sas * 31 + tenants)
    return [0] + [picker.randint(1, tenants) for _ in range(sas)]


def target(number):
    return (10 << 24) + (128 << 16) + number


def address(value):
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def ones_sum(data):
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(size, protocol, source, destination):
    header = bytearray(bytes([0x45, 0]) + size.to_bytes(2, "big") + bytes(4) + bytes([64, protocol]) +
                       bytes(2) + source.to_bytes(4, "big") + destination.to_bytes(4, "big"))
    header[10:12] = ones_sum(header).to_bytes(2, "big")
    return bytes(header)


def packet(size, source, destination):
    udp = (1000).to_bytes(2, "big") * 2 + (size - 20).to_bytes(2, "big") + bytes(2)
    return ipv4(size, 17, source, destination) + udp + bytes(size - 28)


def port_mac(port):
    """Of the net_pcap device of that number."""
    return bytes.fromhex("0270636170") + bytes([port])


def ethernet(mac, source, vlan):
    tag = b"\x81\x00" + vlan.to_bytes(2, "big") if vlan else b""
    return mac + bytes.fromhex(source) + tag + b"\x08\x00"


def clear_frame(shape, size, tunnel):
    """(port, frame) from a tenant's station into a tunnel."""
    port, vlan = vlan_of(shape, tenants_of(shape.sas, shape.tenants)[tunnel])
    return port, (ethernet(port_mac(port), STATION_MAC, vlan) +
                  packet(size, STATION, target(tunnel)))


def sealed_frame(shape, size, tunnel, sequence):
    """(0, frame) out of a tunnel, for the tenant's station."""
    inner = packet(size, target(tunnel), STATION)
    esp = sa_of(tunnel, key_bits_of(shape, tunnel)).seal(inner, sequence, 4)
    outer = ipv4(20 + len(esp), 50, (192 << 24) + 514, (192 << 24) + 513)
    return 0, ethernet(port_mac(0), GATEWAY_MAC, 0) + outer + esp


def draw(shape, count):
    """(size, tunnel) of so many packets."""
    picker = random.Random(1)
    for _ in range(count):
        size = picker.choice(IMIX_SIZES) if shape.size == IMIX else shape.size
        yield size, picker.randint(1, shape.sas)


def frames(shape, count):
    """(port, frame), one after another."""
    for number, (size, tunnel) in enumerate(draw(shape, count)):
        if shape.direction == "out":
            yield clear_frame(shape, size, tunnel)
        else:
            yield sealed_frame(shape, size, tunnel, number + 1)


def write_captures(shape, folder):
    """The paths of the captures, one for each receiving port; they are made once."""
    count = frames_of(shape)
    ports = ports_of(shape) if shape.direction == "out" else 1
    name = "-".join(str(field) for field in shape)
    paths = [os.path.join(folder, f"{name}-{port}.pcap") for port in range(ports)]
    if not os.path.exists(paths[0]):
        by_port = [[] for _ in paths]
        for port, frame in frames(shape, count):
            by_port[port].append(frame)
        for path, of_port in zip(paths, by_port):
            write_pcap(path, of_port)
    return paths


@functools.lru_cache(maxsize=2)
def configuration(shape):
    """kaido's records. `size` does not matter: pass Shape(...)._replace(size=0) to find it again."""
    config = Config()
    tenant_of = tenants_of(shape.sas, shape.tenants)
    for tenant in range(1, shape.tenants + 1):
        config.tenant(tenant)
    config.attachment(WAN, 0, "wan", [f"{LOCAL}/24"])
    config.neighbour(WAN, REMOTE, GATEWAY_MAC)
    for tenant in range(1, shape.tenants + 1):
        port, vlan = vlan_of(shape, tenant)
        config.attachment(LAN + tenant - 1, tenant, f"lan{port}", ["10.0.0.1/24"], vlan)
        config.neighbour(LAN + tenant - 1, address(STATION), STATION_MAC)
    for i in range(1, shape.sas + 1):
        config.tunnel(i, tenant_of[i], LOCAL, REMOTE)
        config.route_tunnel(tenant_of[i], f"{address(target(i))}/32", i)
    for i in range(1, shape.sas + 1):
        sa = sa_of(i, key_bits_of(shape, i))
        if shape.direction == "out":
            config.sa_out(i, i, sa)
        else:
            config.sa_in(i, i, sa, window=0)
    return config.records
