# SPDX-License-Identifier: BSD-3-Clause
"""The whole walk: net_pcap -> one worker -> net_null, with the floor of the same devices, the cost of
AES-GCM alone and, where there is one, the peer, all in turn."""

import statistics
from contextlib import ExitStack

from harness.gateway import Gateway
from . import aead, traffic
from .programs import (Kaido, ProgramError, Secgw, Testpmd, memory_of, null_outputs, pcap_inputs,
                       room_of)

SAMPLE = 64  # packets that another implementation looks at
AEAD_SAMPLES = 3  # a turn


def takes(_):
    """These devices take any shape."""
    return True


def check(shape, options):
    """What is about to be measured is right: another implementation opens what kaido sealed, or
    sealed what kaido opens."""
    room, mtu = room_of(shape)
    frames = list(traffic.frames(shape, SAMPLE))
    lans = [f"lan{number}" for number in range(traffic.ports_of(shape))]
    inward = shape.direction == "in"
    with Gateway("--mtu", str(mtu), "--mbuf-size", str(room), "--memory",
                 str(memory_of(shape)[1]), *options) as gateway:
        # Frames are for the address of the net_pcap device of that number.
        for number, name in enumerate(["wan", *lans] if inward else [*lans, "wan"]):
            gateway.pcap_port(name, [f for port, f in frames if port == number])
        gateway.start()
        gateway.client.transaction(traffic.configuration(shape._replace(size=0)))
        gateway.drain()
        gateway.stop()
        if inward:
            came = [inner(bytes(frame)) for lan in lans for frame in gateway.sent(lan)]
        else:
            came = [opened(shape, bytes(frame)) for frame in gateway.sent("wan")]
    ends = [(traffic.target(tunnel), size) for size, tunnel in traffic.draw(shape, SAMPLE)]
    went = [traffic.packet(size, far, traffic.STATION) if inward else
            traffic.packet(size, traffic.STATION, far) for far, size in ends]
    if sorted(map(bare, came)) != sorted(map(bare, went)):
        raise ProgramError(f"{traffic.describe(shape)}: of {SAMPLE} packets {len(came)} came out, "
                           "or not as they went in")


def inner(frame):
    """The IP packet of a frame, which may have a tag and bytes behind it."""
    at = 18 if frame[12:14] == b"\x81\x00" else 14
    return frame[at:at + int.from_bytes(frame[at + 2:at + 4], "big")]


def opened(shape, frame):
    """The inner packet of ESP, by the tunnel that the SPI names."""
    tunnel = int.from_bytes(frame[34:38], "big") - 0x10000
    return traffic.sa_of(tunnel, traffic.key_bits_of(shape, tunnel)).open(inner(frame)[20:])[1]


def bare(packet):
    """Without what a hop changes: TTL and checksum."""
    return packet[:8] + packet[9:10] + packet[12:]


def three(values):
    return [min(values), statistics.median(values), max(values)]


def kaido_on_pcap(arguments, shape, captures):
    outputs = traffic.ports_of(shape) if shape.direction == "in" else 1
    return Kaido(arguments.place, shape, pcap_inputs(captures), null_outputs(outputs),
                 arguments.options)


def measure(arguments, shape, folder):
    """The records of one shape: kaido's, and the peer's where it takes such a shape."""
    captures = traffic.write_captures(shape, folder)
    if arguments.check:
        check(shape, arguments.options)
    turns = {}
    with ExitStack() as stack:
        programs = [kaido_on_pcap(arguments, shape, captures),
                    Testpmd(arguments.place, shape, captures)]
        if arguments.against:
            programs.append(kaido_on_pcap(arguments, shape, captures))
            programs[-1].name = "against"
            programs[-1].gateway.program = arguments.against
        if arguments.peer and Secgw.takes(shape):
            programs.append(Secgw(arguments.place, shape, captures, arguments.peer,
                                  arguments.peer_library))
        for program in programs:
            stack.enter_context(program).start()
        kaido = programs[0]
        hz = kaido.tsc_hz
        for _ in range(arguments.repeats):
            for program in programs:
                reading = program.run(arguments.seconds)
                turns.setdefault(program.name, []).append(hz * reading.seconds / reading.packets)
            turns.setdefault("aead", []).append(aead.alone(arguments.place.cpu, shape, AEAD_SAMPLES))
        drops = kaido.drops()
        if drops:
            raise ProgramError(f"{traffic.describe(shape)}: packets were dropped: {drops}")
    ours = record(shape, "walk", "pcap-null", turns["kaido"], hz,
                  aead=statistics.median(turns["aead"]), io=statistics.median(turns["testpmd"]))
    ours["rest"] = statistics.median(
        k - t - a for k, t, a in zip(turns["kaido"], turns["testpmd"], turns["aead"]))
    ours["stages"] = kaido.stage_cycles()
    records = [ours]
    if "against" in turns:
        ours["against"] = ratio(turns, "against")
        records.append(record(shape, "against", "kaido", turns["against"], hz))
    if "secgw" in turns:
        ours["ratio"] = ratio(turns, "secgw")
        records.append(record(shape, "peer", "ipsec-secgw", turns["secgw"], hz))
    return records


def ratio(turns, name):
    """Ours to another's, turn by turn."""
    return statistics.median(k / other for k, other in zip(turns["kaido"], turns[name]))


def record(shape, suite, name, cycles, hz, aead=None, io=None):
    mpps = hz / statistics.median(cycles) / 1e6
    return {
        "suite": suite, "name": name, "direction": shape.direction, "size": shape.size,
        "key_bits": shape.key_bits, "sas": shape.sas, "tenants": shape.tenants, "workers": 1,
        "cycles": three(cycles), "mpps": mpps,
        "gbps": mpps * traffic.mean_size(shape.size) * 8 / 1e3,
        "aead_cycles": aead, "io_cycles": io, "frames": traffic.frames_of(shape),
    }
