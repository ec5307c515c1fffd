#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who speaks IKE and is up to no good: `half-open COUNT` begins so many IKE SAs, each from an address of its own, proves
with the cookie that it is there, and never goes on; `malformed` sends what is no IKE message. The gateway is 192.0.2.1."""

import ipaddress
import os
import random
import socket
import struct
import sys

GATEWAY = "192.0.2.1"
FIRST = ipaddress.ip_address("100.64.0.1")
SA, KE, NONCE, NOTIFY = 33, 34, 40, 41  # RFC 7296, 3.2
INIT, INITIATOR = 34, 8
COOKIE = 16390


def payload(following, body):
    return struct.pack("!BBH", following, 0, 4 + len(body)) + body


def transform(last, kind, number, attributes=b""):
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attributes), kind, 0, number) + attributes


def init(spi, cookie=None):
    """IKE_SA_INIT that offers AES-GCM-256, HMAC-SHA-384 and Curve25519."""
    transforms = (transform(False, 1, 20, struct.pack("!HH", 0x800e, 256)) + transform(False, 2, 6)
                  + transform(True, 4, 31))
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms
    body = (payload(KE, proposal) + payload(NONCE, struct.pack("!HH", 31, 0) + os.urandom(32))
            + payload(0, os.urandom(32)))
    following = SA
    if cookie is not None:
        body = payload(SA, struct.pack("!BBH", 0, 0, COOKIE) + cookie) + body
        following = NOTIFY
    return spi + bytes(8) + struct.pack("!BBBBII", following, 0x20, INIT, INITIATOR, 0, 28 + len(body)) + body


def cookie_of(answer):
    """Of an answer that has a notification in front; None if it is not that one."""
    if len(answer) < 36 or answer[16] != NOTIFY:
        return None
    length, kind = struct.unpack_from("!2xH2xH", answer, 28)
    return answer[36:28 + length] if kind == COOKIE else None


def half_open(count):
    """One after another, so that none goes missing in a queue; prints how many were answered with an SA."""
    answered = 0
    for number in range(count):
        spi = os.urandom(8)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(5)
            one.bind((str(FIRST + number), 500))
            one.connect((GATEWAY, 500))
            try:
                one.send(init(spi))
                answer = one.recv(4096)
                cookie = cookie_of(answer)
                if cookie is not None:
                    packet = init(spi, cookie)
                    one.send(packet)
                    answer = one.recv(4096)
            except OSError:
                continue
            answered += answer[16] == SA
    print(answered)


def malformed():
    """Cut, too long, with payloads that lie about their length, and noise; on both ports."""
    dice = random.Random(5)
    good = init(os.urandom(8))
    cases = [good[:n] for n in range(0, len(good), 3)]
    cases += [good[:24] + struct.pack("!I", n) + good[28:] for n in (0, 27, 28, len(good) - 1, len(good) + 1, 0xffffffff)]
    cases += [good[:n] + bytes([dice.randrange(256)]) + good[n + 1:] for n in range(16, len(good))]
    cases += [dice.randbytes(dice.randrange(1, 1400)) for _ in range(200)]
    cases += [good[:28] + payload(SA, b"") * 200]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((str(FIRST), 0))
        for case in cases:
            one.sendto(case, (GATEWAY, 500))
            one.sendto(bytes(4) + case, (GATEWAY, 4500))
    print(2 * len(cases))


def main():
    if sys.argv[1] == "half-open":
        half_open(int(sys.argv[2]))
    else:
        malformed()


if __name__ == "__main__":
    main()
