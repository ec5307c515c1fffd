# SPDX-License-Identifier: BSD-3-Clause
"""ESP without any of kaido's code: by scapy, by tshark, and bare (RFC 4303, 4106) for what scapy won't make."""

import os
import struct
import subprocess
import tempfile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

conf.verb = 0

PROTO_ESP, PROTO_UDP = 50, 17
NEXT_IPV4, NEXT_IPV6, NEXT_DUMMY = 4, 41, 59
ICV_LEN = 16


def ip_class(address):
    return IPv6 if ":" in address else IP


def ip_packet(data):
    """Bytes as IP or IPv6."""
    return (IPv6 if data[0] >> 4 == 6 else IP)(data)


class Sa:
    """One direction of a tunnel as a peer would hold it."""

    def __init__(self, spi, key, salt, source, destination, esn=False, udp=None):
        self.spi, self.key, self.salt = spi, key, salt
        self.source, self.destination = source, destination
        self.esn = esn
        self.udp = udp  # (source port, destination port) or None
        self.gcm = AESGCM(key)

    def scapy(self):
        tunnel = ip_class(self.destination)(src=self.source, dst=self.destination)
        if isinstance(tunnel, IPv6):
            tunnel.hlim = 64
        # Without nat_t_header, which scapy handles for IPv4 alone: the UDP header is put and taken here.
        return SecurityAssociation(ESP, spi=self.spi, crypt_algo="AES-GCM",
                                   crypt_key=self.key + self.salt, tunnel_header=tunnel,
                                   esn_en=self.esn)

    def encrypt(self, inner, sequence):
        """scapy's ESP packet (an IP packet) around an inner IP packet."""
        packet = self.scapy().encrypt(
            inner, seq_num=sequence & 0xFFFFFFFF, iv=struct.pack("!Q", sequence),
            esn_en=self.esn, esn=sequence >> 32)
        return self.encapsulate(bytes(packet.payload)) if self.udp else packet

    def decrypt(self, packet, sequence_high=0):
        """The inner packet by scapy's check and decryption; raises IPSecIntegrityError."""
        outer, _, esp = esp_of(packet)
        packet = ip_class(self.destination)(src=outer.src, dst=outer.dst) / ESP(esp)
        return self.scapy().decrypt(packet, esn_en=self.esn, esn=sequence_high)

    # Without scapy

    def aad(self, sequence):
        if self.esn:
            return struct.pack("!IQ", self.spi, sequence)
        return struct.pack("!II", self.spi, sequence & 0xFFFFFFFF)

    def seal(self, payload, sequence, next_header, padding=None, pad_length=None):
        """ESP header, IV, ciphertext and ICV. Padding and its length may be wrong on purpose."""
        if padding is None:
            padding = bytes(range(1, -(len(payload) + 2) % 4 + 1))
        if pad_length is None:
            pad_length = len(padding)
        iv = struct.pack("!Q", sequence)
        plain = bytes(payload) + padding + bytes((pad_length & 0xFF, next_header))
        return (struct.pack("!II", self.spi, sequence & 0xFFFFFFFF) + iv
                + self.gcm.encrypt(self.salt + iv, plain, self.aad(sequence)))

    def open(self, esp, sequence_high=0):
        """(sequence, payload, padding, next header) of ESP bytes; raises InvalidTag."""
        spi, low = struct.unpack_from("!II", esp)
        if spi != self.spi:
            raise ValueError(f"SPI {spi:#x}, not {self.spi:#x}")
        sequence = sequence_high << 32 | low
        plain = self.gcm.decrypt(self.salt + esp[8:16], esp[16:], self.aad(sequence))
        pad_length = plain[-2]
        end = len(plain) - 2 - pad_length
        if end < 0:
            raise ValueError("the padding is longer than the packet")
        return sequence, plain[:end], plain[end:-2], plain[-1]

    def encapsulate(self, esp):
        """An outer IP packet around ESP bytes (in UDP where the tunnel has it)."""
        outer = ip_class(self.destination)(src=self.source, dst=self.destination)
        if self.udp:
            upper = UDP(sport=self.udp[0], dport=self.udp[1], chksum=0) / esp
            return outer / upper
        if isinstance(outer, IPv6):
            outer.nh = PROTO_ESP
        else:
            outer.proto = PROTO_ESP
        return outer / esp


def esp_of(packet):
    """(outer IP header, UDP header or None, ESP bytes) of an IP packet's bytes."""
    packet = ip_packet(bytes(packet))
    upper = packet.nh if isinstance(packet, IPv6) else packet.proto
    if upper == PROTO_UDP:
        return packet, packet[UDP], bytes(packet[UDP].payload)
    if upper != PROTO_ESP:
        raise ValueError(f"protocol {upper} is neither ESP nor UDP")
    return packet, None, bytes(packet.payload)


def tshark_verdicts(frames, sas, linktype_ethernet=True):
    """What tshark says of each frame: 'good', 'bad' or 'none' (no ICV was checked).

    tshark knows no ESN: leave such SAs out. Each SA is matched by its SPI.
    """
    with tempfile.TemporaryDirectory() as folder:
        capture = os.path.join(folder, "frames.pcap")
        wrpcap(capture, [Ether(bytes(frame)) if linktype_ethernet else frame for frame in frames])
        # Keys go by a file, not by the command line, which everyone may read.
        os.mkdir(os.path.join(folder, "config"))
        with open(os.path.join(folder, "config", "esp_sa"), "w", encoding="ascii") as file:
            for sa in sas:
                family = "IPv6" if ":" in sa.destination else "IPv4"
                file.write(f'"{family}","*","*","0x{sa.spi:08x}",'
                           f'"AES-GCM with 16 octet ICV [RFC4106]",'
                           f'"0x{(sa.key + sa.salt).hex()}","NULL",""\n')
        output = subprocess.run(
            ["tshark", "-n", "-r", capture, "-o", "esp.enable_encryption_decode:TRUE",
             "-o", "esp.enable_authentication_check:TRUE", "-T", "fields", "-E", "separator=,",
             "-e", "frame.number", "-e", "esp.icv_good", "-e", "esp.icv_bad"],
            check=True, capture_output=True, text=True, timeout=300,
            env=dict(os.environ, WIRESHARK_CONFIG_DIR=os.path.join(folder, "config"),
                     HOME=folder)).stdout
    verdicts = []
    for line in output.splitlines():
        _, good, bad = line.split(",")
        true = ("1", "True")
        verdicts.append("good" if good in true else "bad" if bad in true else "none")
    if len(verdicts) != len(frames):
        raise ValueError(f"tshark saw {len(verdicts)} of {len(frames)} frames")
    return verdicts
