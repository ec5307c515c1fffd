#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A dataplane without packets: the southbound socket, tables, and counters in a memfd.

It keeps what it is told, all or nothing, refuses ports it does not have, and "sends" with every outbound SA:
each range of sequence numbers that it uses is written to a log before its counters show it, as a worker may
die with a burst that nobody counted. It is meant to be killed.
"""

import argparse
import collections
import ctypes
import errno
import fcntl
import json
import mmap
import os
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from harness import kaido_abi as abi  # noqa: E402

ROWS = {"worker": 1, "port": 8, "port_drops": 8, "attachment": 32768, "tenant": 16384, "tenant_drops": 64,
        "tunnel": 32768, "sa": 65536}
F_ADD_SEALS, SEALS = 1033, 2 | 4 | 1  # shrink, grow, seal
BURST = 64
SET = {abi.TENANT_SET: ("tenant", abi.Tenant), abi.ATTACHMENT_SET: ("attachment", abi.Attachment),
       abi.TUNNEL_SET: ("tunnel", abi.Tunnel), abi.SA_SET: ("sa", abi.Sa), abi.ROUTE_SET: ("route", abi.Route),
       abi.NEIGHBOUR_SET: ("neighbour", abi.Neighbour), abi.SELECTORS_SET: ("selectors", abi.Selectors)}
DELETE = {abi.TENANT_DELETE: ("tenant", abi.Id), abi.ATTACHMENT_DELETE: ("attachment", abi.Id),
          abi.TUNNEL_DELETE: ("tunnel", abi.Id), abi.SA_DELETE: ("sa", abi.Id),
          abi.ROUTE_DELETE: ("route", abi.Route), abi.NEIGHBOUR_DELETE: ("neighbour", abi.Neighbour)}
KINDS = {number: name for name, (number, _) in abi.DUMPS.items()}
REASONS = [(1, b"no_route", b"no route"), (2, b"icv_failed", b"the ICV is wrong")]


class Refused(Exception):
    def __init__(self, number, text):
        super().__init__(text)
        self.number, self.text = number, text


class Counters:
    def __init__(self, boot):
        region, place = 0, {}
        for name, rows in ROWS.items():
            size = ctypes.sizeof(abi.COUNTER_ROWS[name])
            place[name] = abi.CountersTable(offset=region, rows=rows, row_size=size)
            region += rows * size
        self.size = 4096 + 2 * region
        self.region = region
        self.place = place
        self.fd = os.memfd_create("counters", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self.size)
        fcntl.fcntl(self.fd, F_ADD_SEALS, SEALS)
        self.map = mmap.mmap(self.fd, self.size)
        header = abi.CountersHeader(magic=abi.COUNTERS_MAGIC, version=abi.COUNTERS_VERSION, writers=2, boot=boot,
                                    region_offset=4096, region_size=region, **place)
        self.map[:ctypes.sizeof(header)] = bytes(header)

    def offset(self, table, row, column):
        return 4096 + self.region + self.place[table].offset + row * self.place[table].row_size + 8 * column

    def set(self, table, row, column, value):
        struct.pack_into("Q", self.map, self.offset(table, row, column), value)

    def add(self, table, row, column, value):
        at = self.offset(table, row, column)
        struct.pack_into("Q", self.map, at, struct.unpack_from("Q", self.map, at)[0] + value)

    def clear(self, table, row):
        at = self.offset(table, row, 0)
        self.map[at:at + self.place[table].row_size] = bytes(self.place[table].row_size)


class FakeDataplane:
    def __init__(self, options):
        self.options = options
        self.boot = int.from_bytes(os.urandom(8), "little") | 1
        self.generation = 0
        self.tables = {name: collections.OrderedDict() for name in abi.DUMPS}
        self.counters = Counters(self.boot)
        self.log = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if options.log else -1
        self.staged = None  # of the one client that has a transaction open
        self.owner_of_staged = None
        self.index = None
        self.undo = []
        self.users = collections.Counter()  # SAs by tunnel

    # -- tables --

    @staticmethod
    def key(name, record):
        if name == "route":
            return record.tenant, bytes(record.prefix)
        if name == "neighbour":
            return record.attachment, bytes(record.address)
        if name == "selectors":
            return record.tunnel
        return record.id

    def apply(self, kind, record):
        if kind == abi.SA_LEASE:
            sa = self.tables["sa"].get(record.id)
            if sa is None or record.sequence_limit <= sa.sequence_limit:
                raise Refused(errno.ENOENT, "there is no such SA or the lease is not above the present one")
            self.note("sa", record.id)
            sa.sequence_limit = record.sequence_limit
            return
        if kind in DELETE:
            name = DELETE[kind][0]
            key = self.key(name, record)
            self.note(name, key)
            gone = self.tables[name].pop(key, None)
            if gone is None:
                raise Refused(errno.ENOENT, f"there is no {name} {key}")
            self.forget(name, gone)
            if name == "tunnel":
                self.note("selectors", key)
                self.tables["selectors"].pop(key, None)
            self.check_free(name, key)
            return
        name = SET[kind][0]
        self.check(name, record)
        self.log_line(f"{name} {self.key(name, record)}")
        self.note(name, self.key(name, record))
        if name == "sa" and record.id in self.tables["sa"]:
            self.sa_again(record)
            return
        if name == "selectors" and record.count == 0:
            self.tables[name].pop(record.tunnel, None)
            return
        if name in ("sa", "tunnel", "tenant") and record.id not in self.tables[name]:
            self.counters.clear(name, record.id)
        if name == "sa":
            self.users[record.tunnel] += 1
        if self.key(name, record) in self.tables[name]:
            self.index = None
        self.tables[name][self.key(name, record)] = record
        self.remember(name, record)

    def sa_again(self, record):
        """The same SA once more: its lifetimes, and its lease where that is longer."""
        live = self.tables["sa"][record.id]
        live.soft, live.hard = record.soft, record.hard
        live.sequence_limit = max(live.sequence_limit, record.sequence_limit)

    def log_line(self, text):
        if self.options.sets:
            with open(self.options.sets, "a", encoding="ascii") as log:
                log.write(text + "\n")

    def check_free(self, name, key):
        tables = self.tables
        users = {"tunnel": lambda: self.users[key] > 0,
                 "attachment": lambda: any(r.kind == abi.ROUTE_GATEWAY and r.target == key
                                           for r in tables["route"].values()),
                 "tenant": lambda: any(o.tenant == key for kind in ("tunnel", "attachment", "route")
                                       for o in tables[kind].values())}
        if name in users and users[name]():
            raise Refused(errno.EBUSY, f"{name} {key} is still referred to")

    def check(self, name, record):
        if name == "attachment":
            if record.port.decode() not in self.options.ports.split(","):
                raise Refused(errno.EINVAL, f"there is no port {record.port.decode()}")
            if self.owner("attachment", (record.port, record.vlan)) not in (None, record.id):
                raise Refused(errno.EEXIST, "port and VLAN belong to another attachment")
        if name in ("tunnel", "sa") and record.id >= getattr(self.options, f"max_{name}s"):
            raise Refused(errno.ENOSPC, f"{name} {record.id} is beyond the table")
        if name == "tunnel" and self.options.refuse_remote and \
                bytes(record.remote) == bytes(abi.address(self.options.refuse_remote)):
            raise Refused(errno.EINVAL, f"{self.options.refuse_remote} is not to the dataplane's liking")
        if name in ("attachment", "tunnel") and record.tenant and record.tenant not in self.tables["tenant"]:
            raise Refused(errno.ENOENT, f"there is no tenant {record.tenant}")
        if name == "sa":
            self.check_sa(record)
        if name == "selectors" and record.tunnel not in self.tables["tunnel"]:
            raise Refused(errno.ENOENT, f"there is no tunnel {record.tunnel}")
        if name == "route" and record.kind == abi.ROUTE_TUNNEL and record.target not in self.tables["tunnel"]:
            raise Refused(errno.ENOENT, f"there is no tunnel {record.target}")
        if name == "route" and record.kind == abi.ROUTE_GATEWAY and record.target not in self.tables["attachment"]:
            raise Refused(errno.ENOENT, f"there is no attachment {record.target}")

    def check_sa(self, record):
        if record.tunnel not in self.tables["tunnel"]:
            raise Refused(errno.ENOENT, f"there is no tunnel {record.tunnel}")
        if int.from_bytes(bytes(record.spi), "big") == self.options.refuse_spi:
            raise Refused(errno.ENOSPC, "this SPI is not to the dataplane's liking")
        there = self.tables["sa"].get(record.id)
        if there is not None and there.cookie != record.cookie:
            raise Refused(errno.EEXIST, f"SA {record.id} is there")
        if bytes(record.key)[:record.key_len] == bytes(record.key_len) or record.key_len not in (16, 24, 32):
            raise Refused(errno.EINVAL, "an SA without a key")
        if record.direction == abi.SA_OUT and not 0 < record.sequence < record.sequence_limit:
            raise Refused(errno.EINVAL, "an outbound SA without a lease")
        if record.direction == abi.SA_IN and self.owner("sa", bytes(record.spi)) not in (None, record.id):
            raise Refused(errno.EEXIST, "the SPI belongs to another SA")

    def owner(self, name, wanted):
        """The id that has this port and VLAN, or this inbound SPI."""
        if self.index is None:
            self.index = {"attachment": {}, "sa": {}}
            for record in self.tables["attachment"].values():
                self.index["attachment"][record.port, record.vlan] = record.id
            for record in self.tables["sa"].values():
                if record.direction == abi.SA_IN:
                    self.index["sa"][bytes(record.spi)] = record.id
        return self.index[name].get(wanted)

    def forget(self, name, record):
        if name == "sa":
            self.users[record.tunnel] -= 1
        if self.index is not None and name == "attachment":
            self.index[name].pop((record.port, record.vlan), None)
        elif self.index is not None and name == "sa" and record.direction == abi.SA_IN:
            self.index[name].pop(bytes(record.spi), None)

    def remember(self, name, record):
        if self.index is not None and name == "attachment":
            self.index[name][record.port, record.vlan] = record.id
        elif self.index is not None and name == "sa" and record.direction == abi.SA_IN:
            self.index[name][bytes(record.spi)] = record.id

    def note(self, name, key):
        """How an object stood before the open transaction touches it."""
        record = self.tables[name].get(key)
        self.undo.append((name, key, None if record is None else type(record).from_buffer_copy(record)))

    def take_back(self):
        """Objects that were deleted come last then; what sends is the SA that was set last."""
        for name, key, record in reversed(self.undo):
            if record is None:
                self.tables[name].pop(key, None)
            else:
                self.tables[name][key] = record
        self.index = None
        self.recount()

    def recount(self):
        self.users = collections.Counter(sa.tunnel for sa in self.tables["sa"].values())

    def commit(self, generation):
        self.undo = []
        for index, (kind, record) in enumerate(self.staged):
            try:
                self.apply(kind, record)
            except Refused as refused:
                self.take_back()
                return refused.number, index, refused.text
        self.generation = generation
        return 0, 0, ""

    # -- what happens by itself: the lines of a file, JSON --

    def events(self):
        """{"kind": 1, "sa": 3, ...}: events, numbered from 1 on; {"skip": 5} leaves a gap."""
        found, number = [], 0
        if self.options.events and os.path.exists(self.options.events):
            with open(self.options.events, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
            for line in lines:
                number += line.pop("skip", 0)
                if not line:
                    continue
                number += 1
                found.append(self.event(number, **line))
        return found

    def event(self, number, kind, sa=0, tunnel=0, address="", to="", **more):
        record = abi.Event(number=number, time=time.time_ns(), kind=kind, sa=sa, tunnel=tunnel,
                           address=abi.address(address), to=abi.address(to), **more)
        if sa in self.tables["sa"]:
            of = self.tables["sa"][sa]
            record.tunnel, record.spi = of.tunnel, of.spi
            if kind in (abi.EVENT_SA_SOFT, abi.EVENT_SA_HARD):
                of.state = max(of.state, kind)
        if record.tunnel in self.tables["tunnel"]:
            record.tenant = self.tables["tunnel"][record.tunnel].tenant
        return record

    # -- sending --

    def send_some(self):
        """Each outbound SA uses up a part of its lease."""
        for sa in self.tables["sa"].values():
            if sa.direction != abi.SA_OUT or sa.sequence >= sa.sequence_limit:
                continue
            most = self.options.appetite
            end = min(sa.sequence + random.randint(1, most), sa.sequence_limit)
            key = bytes(sa.key[:sa.key_len]) + bytes(sa.salt)
            if end - BURST >= sa.sequence:
                self.counters.set("sa", sa.id, 2, end - BURST)
            if self.log >= 0:
                os.write(self.log, f"{key.hex()} {sa.sequence} {end}\n".encode())
            self.counters.set("sa", sa.id, 2, end - 1)
            self.counters.add("sa", sa.id, 0, end - sa.sequence)
            for table, row in (("tunnel", sa.tunnel), ("tenant", self.tables["tunnel"][sa.tunnel].tenant)):
                self.counters.add(table, row, 0, end - sa.sequence)
                self.counters.add(table, row, 1, 100 * (end - sa.sequence))
            sa.sequence = end

    # -- messages --

    def answer(self, connection, request, kind, records=b"", fds=()):
        if not isinstance(records, bytes):
            records = list(records)
        count = 0 if records == b"" else len(records)
        body = b"".join(bytes(r) for r in records) if count else b""
        header = abi.Header(magic=abi.MAGIC, version=abi.VERSION, type=kind, length=32 + len(body), count=count,
                            request=request, generation=self.generation)
        connection.setblocking(True)
        socket.send_fds(connection, [bytes(header) + body], list(fds))

    def reply(self, connection, request, number=0, index=0, text=""):
        self.answer(connection, request, abi.REPLY,
                    [abi.Reply(error=-number, index=index, text=text.encode()[:159])])

    def dump(self, connection, request, kind):
        name, record = KINDS[kind], abi.DUMPS[KINDS[kind]][1]
        if name == "port":
            found = [abi.Port(name=port.encode(), driver=b"fake", index=i, link=1)
                     for i, port in enumerate(self.options.ports.split(","))]
        elif name == "tunnel_state":
            found = [abi.TunnelState(id=r.id, path_mtu=1400, inner_mtu=1346, remote=r.remote, remote_port=r.remote_port,
                                     moves=r.id) for r in self.tables["tunnel"].values()]
        elif name == "reason":
            found = [abi.Reason(number=n, name=a, text=b) for n, a, b in REASONS]
        else:
            found = [record.from_buffer_copy(r) for r in self.tables[name].values()]
        for item in found:
            if name == "sa":
                item.key, item.salt = (abi.u8 * 32)(), (abi.u8 * 4)()
            if name == "neighbour":
                item.state = 3
        most = (abi.MESSAGE_MAX - 32) // ctypes.sizeof(record)
        for i in range(0, len(found), most):
            self.answer(connection, request, abi.DUMP_RECORDS, found[i:i + most])
        self.answer(connection, request, abi.DUMP_END)

    def message(self, connection, data):
        header = abi.Header.from_buffer_copy(data)
        body, kind, request = data[32:], header.type, header.request
        assert header.magic == abi.MAGIC and header.length == len(data), "a malformed message"
        if kind == abi.HELLO:
            self.answer(connection, request, abi.HELLO_REPLY, [abi.HelloReply(
                version=b"fake", boot=self.boot, generation=self.generation, max_tenants=16384,
                max_attachments=32768, max_tunnels=self.options.max_tunnels, max_sas=self.options.max_sas, ports=2,
                workers=self.options.workers)])
        elif kind == abi.COUNTERS:
            self.answer(connection, request, abi.COUNTERS_REPLY,
                        [abi.CountersReply(boot=self.boot, size=self.counters.size)], [self.counters.fd])
        elif kind == abi.DUMP:
            self.dump(connection, request, abi.Dump.from_buffer_copy(body).kind)
        elif kind == abi.BEGIN:
            if self.staged is not None:
                self.reply(connection, request, errno.EBUSY, 0, "another transaction is open")
                return
            self.staged, self.began, self.owner_of_staged = [], header.generation, connection
            self.reply(connection, request)
        elif kind == abi.ABORT:
            self.staged = None
            self.reply(connection, request)
        elif kind == abi.COMMIT:
            if self.options.crash == "commit":
                os._exit(9)
            error = self.commit(self.began) if self.staged is not None else (errno.EPROTO, 0, "no BEGIN")
            self.staged = None
            if self.options.crash == "committed":
                os._exit(9)
            self.reply(connection, request, *error)
        elif kind in SET or kind in DELETE or kind == abi.SA_LEASE:
            record = abi.SaLease if kind == abi.SA_LEASE else (SET.get(kind) or DELETE[kind])[1]
            size = ctypes.sizeof(record)
            assert self.staged is not None and header.count * size == len(body), "a bad staged message"
            self.staged += [(kind, record.from_buffer_copy(body, i * size)) for i in range(header.count)]
            if self.options.crash == "staged":
                os._exit(9)
        elif kind == abi.EVENT_READ:
            after = abi.EventRead.from_buffer_copy(body).after
            self.answer(connection, request, abi.EVENTS,
                        [e for e in self.events() if e.number > after][:self.options.event_most])
        elif kind in (abi.TRACE_START, abi.TRACE_STOP):
            self.reply(connection, request)
        elif kind == abi.TRACE_READ:
            self.answer(connection, request, abi.TRACE_RECORDS,
                        [abi.TraceRecord(tenant=1, walk=1, length=84, captured=2, rx_port=0, tx_port=0xffff, reason=1)])
        else:
            self.reply(connection, request, errno.EPROTO, 0, "an unknown type")

    def run(self):
        try:
            os.unlink(self.options.socket)
        except FileNotFoundError:
            pass
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(self.options.socket)
        server.listen(4)
        clients, due = [], time.monotonic()
        while True:
            ready, _, _ = select.select([server] + clients, [], [], 0.02 if self.options.appetite else 1.0)
            for one in ready:
                if one is server:
                    clients.append(server.accept()[0])
                    continue
                try:
                    data = one.recv(abi.MESSAGE_MAX)
                except ConnectionError:
                    data = b""
                if data:
                    try:
                        self.message(one, data)
                        continue
                    except (BrokenPipeError, ConnectionError):
                        pass
                if self.owner_of_staged is one:
                    self.staged = None
                clients.remove(one)
                one.close()
            if self.options.appetite and time.monotonic() >= due:
                self.send_some()
                due = time.monotonic() + 0.02


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--ports", default="wan,lan")
    parser.add_argument("--log")
    parser.add_argument("--events", help="a file of events")
    parser.add_argument("--event-most", type=int, default=629, help="in one answer")
    parser.add_argument("--sets", help="a file for a line with each object that is set")
    parser.add_argument("--appetite", type=int, default=0, help="numbers an SA uses at a time, at most")
    parser.add_argument("--refuse-spi", type=int, help="of an SA that is refused")
    parser.add_argument("--refuse-remote", help="an address where no tunnel may lead")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--max-tunnels", type=int, default=32768)
    parser.add_argument("--max-sas", type=int, default=65536)
    parser.add_argument("--crash", choices=["staged", "commit", "committed"])
    FakeDataplane(parser.parse_args()).run()
