# SPDX-License-Identifier: BSD-3-Clause
"""Capture files of Ethernet frames as bytes: a million of them must not take minutes."""

import struct

HEADER = struct.Struct("<IHHiIII")
RECORD = struct.Struct("<IIII")
MAGIC, MAGIC_NANO = 0xA1B2C3D4, 0xA1B23C4D
ETHERNET = 1


def write_pcap(path, frames):
    """Returns how many there were. `frames` may be a generator of bytes."""
    count = 0
    with open(path, "wb", buffering=1 << 20) as file:
        file.write(HEADER.pack(MAGIC, 2, 4, 0, 0, 65535, ETHERNET))
        for frame in frames:
            file.write(RECORD.pack(0, 0, len(frame), len(frame)))
            file.write(frame)
            count += 1
    return count


def read_pcap(path):
    """The frames, one after another; raises ValueError where the file is cut short."""
    with open(path, "rb", buffering=1 << 20) as file:
        head = file.read(HEADER.size)
        if len(head) < HEADER.size or HEADER.unpack(head)[0] not in (MAGIC, MAGIC_NANO):
            raise ValueError(f"{path} is no capture file of this machine's byte order")
        while True:
            record = file.read(RECORD.size)
            if not record:
                return
            if len(record) < RECORD.size:
                raise ValueError(f"{path} ends within a record")
            _, _, captured, length = RECORD.unpack(record)
            frame = file.read(captured)
            if len(frame) < captured or captured != length:
                raise ValueError(f"{path} holds a frame that was cut")
            yield frame
