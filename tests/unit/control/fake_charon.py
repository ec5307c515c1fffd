# SPDX-License-Identifier: BSD-3-Clause
"""charon's side of vici, without charon: takes what it is given and remembers it, or answers as it is told to."""

import os
import socket
import struct
import threading

REQUEST, RESPONSE, UNKNOWN = 0, 1, 2


def decode(data):
    """A message as nested dicts and lists; values as bytes."""
    at = 0

    def name():
        nonlocal at
        size = data[at]
        at += 1 + size
        return data[at - size:at].decode()

    def value():
        nonlocal at
        (size,) = struct.unpack_from("!H", data, at)
        at += 2 + size
        return data[at - size:at]

    def section():
        nonlocal at
        found = {}
        while at < len(data):
            kind = data[at]
            at += 1
            if kind == 2:
                return found
            label = name()
            if kind == 1:
                found[label] = section()
            elif kind == 3:
                found[label] = value()
            else:
                assert kind == 4, kind
                found[label] = []
                while data[at] == 5:
                    at += 1
                    found[label].append(value())
                assert data[at] == 6
                at += 1
        return found

    return section()


def encode(message):
    out = b""
    for name, value in message.items():
        head = bytes([len(name)]) + name.encode()
        if isinstance(value, dict):
            out += b"\1" + head + encode(value) + b"\2"
        elif isinstance(value, list):
            out += b"\4" + head + b"".join(b"\5" + struct.pack("!H", len(item)) + item for item in value) + b"\6"
        else:
            out += b"\3" + head + struct.pack("!H", len(value)) + value
    return out


class Charon:
    def __init__(self, path):
        self.path = path
        self.requests = []  # (command, message), in order
        self.conns, self.pools, self.keys = {}, {}, set()
        self.refuse = {}  # command: why
        self.raw = []  # sent in the place of the next answers, as it is
        self.lock = threading.Condition()
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()
        os.unlink(self.path)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as file:
            while True:
                try:
                    head = file.read(4)
                    if len(head) < 4:
                        return
                    packet = file.read(struct.unpack("!I", head)[0])
                    connection.sendall(self.answer(packet))
                except OSError:
                    return

    def answer(self, packet):
        assert packet[0] == REQUEST
        command = packet[2:2 + packet[1]].decode()
        message = decode(packet[2 + packet[1]:])
        with self.lock:
            self.requests.append((command, message))
            self.lock.notify_all()
            if self.raw:
                return self.raw.pop(0)
            answer = bytes([RESPONSE]) + encode(self.act(command, message))
        return struct.pack("!I", len(answer)) + answer

    def act(self, command, message):
        yes = {"success": b"yes"}
        if command in self.refuse:
            return {"success": b"no", "errmsg": self.refuse[command]}
        if command == "get-conns":
            return {"conns": [name.encode() for name in self.conns]}
        if command == "get-pools":
            return {name: {"size": b"1"} for name in self.pools}
        if command == "get-keys":
            return {"keys": [key.encode() for key in self.keys]}
        if command == "load-conn":
            self.conns.update(message)
        elif command == "load-pool":
            self.pools.update(message)
        elif command == "unload-conn":
            self.conns.pop(message["name"].decode(), None)
        elif command == "unload-pool":
            self.pools.pop(message["name"].decode(), None)
        elif command == "load-key":
            self.keys.add("0123")
            return {**yes, "id": b"0123"}
        elif command == "unload-key":
            self.keys.discard(message["id"].decode())
        elif command == "clear-creds":
            self.keys.clear()
        return yes

    def take(self):
        """Names of the commands since the last look, with what they are about. Questions, which come by time as
        well, are left out."""
        with self.lock:
            found, self.requests = self.requests, []
        found = [(command, message) for command, message in found if not command.startswith("get-")]
        return [(command, (message.get("name") or message.get("ike") or b"").decode() or next(iter(message), ""))
                for command, message in found]
