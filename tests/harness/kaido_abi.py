# SPDX-License-Identifier: BSD-3-Clause
"""The southbound socket of kaido-dataplane, spoken in Python.

Records are ctypes structures, so they have the C layout; tests/conformance/abi_layout compares them with
what a C compiler makes of the headers. Reserved fields can be set, to see that they are refused.
"""

import array
import contextlib
import ctypes
import errno
import ipaddress
import mmap
import os
import socket

MAGIC = 0x4B41494F
VERSION = 3
MESSAGE_MAX = 65536
ALL_TENANTS = 0xFFFFFFFF

COUNTERS_MAGIC = 0x4B41494F434E5431
COUNTERS_VERSION = 1
COUNTERS_REASONS = 64
COUNTERS_STAGES = 12
COUNTERS_BURSTS = 8

HELLO, HELLO_REPLY, REPLY, BEGIN, COMMIT, ABORT = range(1, 7)
DUMP, DUMP_RECORDS, DUMP_END, COUNTERS, COUNTERS_REPLY = range(7, 12)
TRACE_START, TRACE_STOP, TRACE_READ, TRACE_RECORDS, EVENT_READ, EVENTS = range(12, 18)
(TENANT_SET, TENANT_DELETE, ATTACHMENT_SET, ATTACHMENT_DELETE, TUNNEL_SET, TUNNEL_DELETE, SA_SET,
 SA_DELETE, SA_LEASE, ROUTE_SET, ROUTE_DELETE, NEIGHBOUR_SET, NEIGHBOUR_DELETE,
 SELECTORS_SET) = range(32, 46)

SA_IN, SA_OUT = 1, 2
SA_ESN = 1
(TUNNEL_UDP, TUNNEL_FOLLOW, TUNNEL_SELECTORS, TUNNEL_MSS_OFF, TUNNEL_DSCP_IN,
 TUNNEL_ACQUIRE) = 1, 2, 4, 8, 16, 32
DSCP_COPY, DSCP_SET = 0, 0x80
DF_COPY, DF_SET, DF_CLEAR = range(3)
FLOW_LABEL_SA, FLOW_LABEL_INNER, FLOW_LABEL_ZERO = range(3)
SELECTORS_MAX = 16
SA_LIVE, SA_SOFT, SA_HARD = range(3)
(EVENT_SA_SOFT, EVENT_SA_HARD, EVENT_SA_SEQUENCE, EVENT_ICV_FAILED, EVENT_PEER_MOVED,
 EVENT_PATH_MTU, EVENT_ESN_RECOVERED, EVENT_ACQUIRE) = range(1, 9)
LIMIT_BYTES, LIMIT_PACKETS, LIMIT_SECONDS = range(1, 4)
ROUTE_TUNNEL, ROUTE_GATEWAY, ROUTE_BLACKHOLE = 1, 2, 3

u8, u16, u32, u64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class Record(ctypes.Structure):
    """A structure of the headers; `c_name` is what C calls it."""

    c_name = None

    def __repr__(self):
        fields = ", ".join(f"{f[0]}={_plain(getattr(self, f[0]))!r}" for f in self._fields_)
        return f"{self.c_name}({fields})"


def _plain(value):
    return bytes(value) if isinstance(value, ctypes.Array) and value._type_ is u8 else value


def _record(c_name, *fields):
    return type(c_name, (Record,), {"c_name": c_name, "_fields_": list(fields)})


Header = _record(
    "abi_header", ("magic", u32), ("version", u16), ("type", u16), ("length", u32),
    ("count", u32), ("request", u64), ("generation", u64))
Hello = _record("abi_hello", ("client", ctypes.c_char * 32))
HelloReply = _record(
    "abi_hello_reply", ("version", ctypes.c_char * 32), ("boot", u64), ("generation", u64),
    ("max_tenants", u32), ("max_attachments", u32), ("max_tunnels", u32), ("max_sas", u32),
    ("ports", u32), ("workers", u32), ("reserved", u64))
Reply = _record(
    "abi_reply", ("error", ctypes.c_int32), ("index", u32), ("text", ctypes.c_char * 160))
Id = _record("abi_id", ("id", u32), ("reserved", u32))
Address = _record(
    "abi_address", ("family", u8), ("prefix_len", u8), ("reserved", u8 * 6), ("addr", u8 * 16))
Tenant = _record("abi_tenant", ("id", u32), ("reserved", u32), ("cookie", u64))
Attachment = _record(
    "abi_attachment", ("id", u32), ("tenant", u32), ("port", ctypes.c_char * 32),
    ("netdev", ctypes.c_char * 16), ("vlan", u16), ("mtu", u16), ("reserved", u32),
    ("cookie", u64), ("address", Address * 4))
Tunnel = _record(
    "abi_tunnel", ("id", u32), ("tenant", u32), ("local", Address), ("remote", Address),
    ("flags", u32), ("local_port", u16), ("remote_port", u16), ("mtu", u16), ("mss", u16),
    ("pad_to", u16), ("keepalive", u16), ("dummy_ms", u16), ("dscp", u8), ("df", u8),
    ("flow_label", u8), ("ttl", u8), ("reserved", u8 * 2), ("cookie", u64))
Selector = _record(
    "abi_selector", ("family", u8), ("protocol", u8), ("local_port_first", u16),
    ("local_port_last", u16), ("remote_port_first", u16), ("remote_port_last", u16),
    ("reserved", u8 * 6), ("local_first", u8 * 16), ("local_last", u8 * 16),
    ("remote_first", u8 * 16), ("remote_last", u8 * 16))
Selectors = _record(
    "abi_selectors", ("tunnel", u32), ("count", u32), ("selector", Selector * SELECTORS_MAX))
TunnelState = _record(
    "abi_tunnel_state", ("id", u32), ("path_mtu", u16), ("inner_mtu", u16), ("remote", Address),
    ("remote_port", u16), ("reserved", u16 * 3), ("moves", u64))
Lifetime = _record("abi_lifetime", ("bytes", u64), ("packets", u64), ("seconds", u64))
Sa = _record(
    "abi_sa", ("id", u32), ("tunnel", u32), ("spi", u8 * 4), ("direction", u8), ("flags", u8),
    ("key_len", u8), ("state", u8), ("window", u16), ("cpu", u16), ("salt", u8 * 4), ("key", u8 * 32),
    ("sequence", u64), ("sequence_limit", u64), ("cookie", u64), ("soft", Lifetime),
    ("hard", Lifetime))
SaLease = _record("abi_sa_lease", ("id", u32), ("reserved", u32), ("sequence_limit", u64))
Route = _record(
    "abi_route", ("tenant", u32), ("kind", u32), ("target", u32), ("reserved", u32),
    ("prefix", Address), ("via", Address), ("reserved2", u64))
Neighbour = _record(
    "abi_neighbour", ("attachment", u32), ("mac", u8 * 6), ("state", u8), ("reserved", u8),
    ("address", Address))
Dump = _record("abi_dump", ("kind", u32), ("tenant", u32))
Port = _record(
    "abi_port", ("name", ctypes.c_char * 32), ("driver", ctypes.c_char * 32),
    ("device", ctypes.c_char * 64), ("mac", u8 * 6), ("index", u16), ("speed", u32),
    ("mtu", u16), ("rx_queues", u16), ("tx_queues", u16), ("link", u8), ("xdp", u8),
    ("rx_offloads", u64), ("tx_offloads", u64), ("steered", u64 * 12))
Reason = _record(
    "abi_reason", ("number", u32), ("reserved", u32), ("name", ctypes.c_char * 32),
    ("text", ctypes.c_char * 88))
CountersReply = _record("abi_counters_reply", ("boot", u64), ("size", u64))
Event = _record(
    "abi_event", ("number", u64), ("time", u64), ("kind", u32), ("tenant", u32), ("tunnel", u32),
    ("sa", u32), ("spi", u8 * 4), ("count", u32), ("value", u64), ("address", Address),
    ("port", u16), ("to_port", u16), ("protocol", u8), ("reserved", u8 * 3), ("to", Address))
EventRead = _record("abi_event_read", ("after", u64))
TraceStart = _record(
    "abi_trace_start", ("tenant", u32), ("packets", u32), ("every", u32), ("reserved", u32))
TraceRecord = _record(
    "abi_trace_record", ("time", u64), ("tenant", u32), ("tunnel", u32), ("spi", u8 * 4),
    ("reason", u16), ("walk", u8), ("worker", u8), ("rx_port", u16), ("tx_port", u16),
    ("length", u16), ("captured", u16), ("sequence", u64), ("headers", u8 * 80),
    ("reserved", u8 * 8))

CountersTable = _record("counters_table", ("offset", u64), ("rows", u32), ("row_size", u32))
CountersHeader = _record(
    "counters_header", ("magic", u64), ("version", u32), ("writers", u32), ("boot", u64),
    ("region_offset", u64), ("region_size", u64), ("tsc_hz", u64), ("started", u64),
    ("reserved", u64 * 9), ("worker", CountersTable), ("port", CountersTable),
    ("port_drops", CountersTable), ("attachment", CountersTable), ("tenant", CountersTable),
    ("tenant_drops", CountersTable), ("tunnel", CountersTable), ("sa", CountersTable))
CountersWorker = _record(
    "counters_worker", ("busy_cycles", u64), ("idle_cycles", u64), ("polls", u64),
    ("busy_polls", u64), ("packets", u64), ("sleeps", u64), ("lcore", u64), ("reserved", u64),
    ("stage_cycles", u64 * COUNTERS_STAGES), ("stage_packets", u64 * COUNTERS_STAGES),
    ("bursts", u64 * COUNTERS_BURSTS), ("sampled_polls", u64), ("sampled_packets", u64),
    ("sampled_cycles", u64), ("early_packets", u64), ("reserved2", u64 * 4))
CountersPort = _record(
    "counters_port", ("rx_packets", u64), ("rx_bytes", u64), ("tx_packets", u64),
    ("tx_bytes", u64), ("punted", u64), ("injected", u64), ("rx_missed", u64),
    ("device_errors", u64))
CountersDrops = _record("counters_drops", ("reason", u64 * COUNTERS_REASONS))
CountersAttachment = _record(
    "counters_attachment", ("rx_packets", u64), ("rx_bytes", u64), ("tx_packets", u64),
    ("tx_bytes", u64), ("reserved", u64 * 4))
CountersTenant = _record(
    "counters_tenant", ("in_packets", u64), ("in_bytes", u64), ("out_packets", u64),
    ("out_bytes", u64), ("local_packets", u64), ("originated_packets", u64),
    ("fragments", u64), ("reassembled", u64))
CountersTunnel = _record(
    "counters_tunnel", ("out_packets", u64), ("out_inner_bytes", u64), ("out_outer_bytes", u64),
    ("out_drops", u64), ("in_packets", u64), ("in_inner_bytes", u64), ("in_outer_bytes", u64),
    ("in_drops", u64))
CountersSa = _record(
    "counters_sa", ("packets", u64), ("bytes", u64), ("sequence", u64), ("replayed", u64),
    ("icv_failed", u64), ("lost", u64), ("lease_stops", u64), ("epoch", u64))

# Kind of a dump, by name: number and record.
DUMPS = {
    "tenant": (1, Tenant), "attachment": (2, Attachment), "tunnel": (3, Tunnel), "sa": (4, Sa),
    "route": (5, Route), "neighbour": (6, Neighbour), "port": (7, Port), "reason": (8, Reason),
    "selectors": (9, Selectors), "tunnel_state": (10, TunnelState),
}

# The tables of the counters, by name.
COUNTER_ROWS = {
    "worker": CountersWorker, "port": CountersPort, "port_drops": CountersDrops,
    "attachment": CountersAttachment, "tenant": CountersTenant, "tenant_drops": CountersDrops,
    "tunnel": CountersTunnel, "sa": CountersSa,
}


def address(text):
    """'10.0.0.1', '10.0.0.0/24', 'fd00::1/64' or '' (none) as an abi_address."""
    result = Address()
    if not text:
        return result
    interface = ipaddress.ip_interface(text)
    packed = interface.ip.packed
    result.family = interface.version
    result.prefix_len = interface.network.prefixlen if "/" in text else 0
    ctypes.memmove(result.addr, packed, len(packed))
    return result


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def fill(array_field, data):
    """Copies bytes into a ctypes array, the rest stays zero."""
    ctypes.memmove(array_field, bytes(data), len(data))


class AbiError(Exception):
    """A REPLY with an error."""

    def __init__(self, reply):
        self.errno = -reply.error
        self.index = reply.index
        self.text = reply.text.decode()
        name = errno.errorcode.get(self.errno, str(self.errno))
        super().__init__(f"{name}, record {self.index}: {self.text}")


class Client:
    """One connection. `with Client(path) as client:` says HELLO and closes."""

    def __init__(self, path, timeout=60.0, hello=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.request = 0
        self.generation = 0
        self.hello_reply = None
        try:
            self.socket.connect(path)
            if hello:
                self.hello()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # Messages

    def message(self, kind, records=b"", count=None, generation=0, **header):
        """The bytes of a message; keyword arguments overwrite fields of its header."""
        if not isinstance(records, (bytes, bytearray)):
            records = list(records)
            count = len(records) if count is None else count
            records = b"".join(bytes(record) for record in records)
        self.request += 1
        fields = dict(magic=MAGIC, version=VERSION, type=kind, length=32 + len(records),
                      count=count or 0, request=self.request, generation=generation)
        fields.update(header)
        return bytes(Header(**fields)) + records

    def send(self, kind, records=b"", **header):
        self.socket.sendall(self.message(kind, records, **header))

    def receive(self):
        """(header, payload, descriptors) of the next message; raises EOFError when closed."""
        data, ancillary, flags, _ = self.socket.recvmsg(MESSAGE_MAX + 1, socket.CMSG_SPACE(16))
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[:len(content) // 4 * 4])
        if not data:
            raise EOFError("the dataplane closed the connection")
        header = Header.from_buffer_copy(data)
        if flags & socket.MSG_TRUNC or header.length != len(data) or header.magic != MAGIC:
            raise ValueError(f"malformed answer: {header}")
        self.generation = header.generation
        return header, data[32:], list(descriptors)

    def expect(self, kind):
        header, payload, descriptors = self.receive()
        if header.type == REPLY and kind != REPLY:
            raise AbiError(Reply.from_buffer_copy(payload))
        if header.type != kind:
            raise ValueError(f"expected message {kind}, got {header}")
        return header, payload, descriptors

    def reply(self):
        """The next REPLY; raises AbiError unless it says 0."""
        header, payload, _ = self.expect(REPLY)
        reply = Reply.from_buffer_copy(payload)
        if reply.error:
            raise AbiError(reply)
        return header, reply

    # What a client says

    def hello(self, name=b"test"):
        self.send(HELLO, [Hello(client=name)])
        _, payload, _ = self.expect(HELLO_REPLY)
        self.hello_reply = HelloReply.from_buffer_copy(payload)
        self.generation = self.hello_reply.generation
        return self.hello_reply

    def transaction(self, records, generation=None):
        """BEGIN, the (type, record) pairs packed into as few messages as can be, COMMIT."""
        if generation is None:
            generation = self.generation + 1
        self.send(BEGIN, generation=generation)
        self.reply()
        for kind, run in _runs(records):
            self.send(kind, run)
        self.send(COMMIT, generation=generation)
        self.replies_until(self.request)
        return generation

    def replies_until(self, request):
        """Reads the REPLY to this request and those before it; raises the first error."""
        first = None
        while True:
            header, payload, _ = self.expect(REPLY)
            reply = Reply.from_buffer_copy(payload)
            if reply.error and first is None:
                first = AbiError(reply)
            if header.request == request:
                break
        if first is not None:
            raise first

    def dump(self, kind, tenant=ALL_TENANTS):
        number, record = DUMPS[kind]
        self.send(DUMP, [Dump(kind=number, tenant=tenant)])
        size = ctypes.sizeof(record)
        found = []
        while True:
            header, payload, _ = self.receive()
            if header.type == DUMP_END:
                return found
            if header.type == REPLY:
                raise AbiError(Reply.from_buffer_copy(payload))
            if header.type != DUMP_RECORDS or header.count * size != len(payload):
                raise ValueError(f"malformed dump: {header}")
            found += [record.from_buffer_copy(payload, i * size) for i in range(header.count)]

    def reasons(self):
        """Names of the drop reasons by number."""
        return {reason.number: reason.name.decode() for reason in self.dump("reason")}

    def snapshot(self):
        """All that was set, as comparable bytes by kind."""
        kinds = ("tenant", "attachment", "tunnel", "sa", "route", "neighbour", "selectors")
        return {kind: sorted(bytes(record) for record in self.dump(kind)) for kind in kinds}

    def events(self, after=0):
        """All events that are kept with a number above `after`, oldest first."""
        found = []
        while True:
            self.send(EVENT_READ, [EventRead(after=after)])
            header, payload, _ = self.expect(EVENTS)
            size = ctypes.sizeof(Event)
            if header.count * size != len(payload):
                raise ValueError(f"malformed events: {header}")
            if not header.count:
                return found
            found += [Event.from_buffer_copy(payload, i * size) for i in range(header.count)]
            after = found[-1].number

    def counters(self):
        self.send(COUNTERS)
        _, payload, descriptors = self.expect(COUNTERS_REPLY)
        if len(descriptors) != 1:
            raise ValueError(f"COUNTERS_REPLY came with {len(descriptors)} descriptors")
        return Counters(descriptors[0], CountersReply.from_buffer_copy(payload))


def _runs(records):
    """Neighbouring records of one type together, as many as fit into a message."""
    run, kind = [], None
    for record_kind, record in records:
        full = run and (len(run) + 1) * ctypes.sizeof(run[0]) + 32 > MESSAGE_MAX
        if run and (record_kind != kind or full):
            yield kind, run
            run = []
        kind = record_kind
        run.append(record)
    if run:
        yield kind, run


class Counters:
    """The mapped counters. Takes the descriptor over."""

    def __init__(self, descriptor, reply):
        try:
            if os.fstat(descriptor).st_size != reply.size:
                raise ValueError("the counters are not of the size that was told")
            self.map = mmap.mmap(descriptor, reply.size, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self.header = CountersHeader.from_buffer_copy(self.map)
        if self.header.magic != COUNTERS_MAGIC or self.header.version != COUNTERS_VERSION:
            raise ValueError(f"not counters that are known here: {self.header}")
        if self.header.boot != reply.boot:
            raise ValueError("the counters are of another boot")

    def close(self):
        self.map.close()

    def row(self, table, index, writer):
        place = getattr(self.header, table)
        if index >= place.rows:
            raise IndexError(f"{table} has {place.rows} rows")
        offset = (self.header.region_offset + writer * self.header.region_size + place.offset
                  + index * place.row_size)
        return COUNTER_ROWS[table].from_buffer_copy(self.map, offset)

    def sum(self, table, index=0):
        """A row as a dict, added up over the writers; `sequence` is the maximum."""
        total = {}
        for writer in range(self.header.writers):
            row = self.row(table, index, writer)
            for name, *_ in row._fields_:
                value = getattr(row, name)
                if isinstance(value, ctypes.Array):
                    old = total.get(name, [0] * len(value))
                    total[name] = [a + b for a, b in zip(old, value)]
                elif name == "sequence":
                    total[name] = max(total.get(name, 0), value)
                else:
                    total[name] = total.get(name, 0) + value
        return total

    def drops(self, table, index, names):
        """{reason: packets} of a row of tenant_drops or port_drops, those that are not 0."""
        counts = self.sum(table, index)["reason"]
        return {names.get(i, str(i)): n for i, n in enumerate(counts) if n}

    def polls(self):
        return [self.row("worker", 0, writer).polls for writer in range(1, self.header.writers)]


@contextlib.contextmanager
def expect_error(*numbers):
    """The block must raise an AbiError with one of these errno values; yields a list of it."""
    caught = []
    try:
        yield caught
    except AbiError as error:
        if error.errno not in numbers:
            raise AssertionError(f"expected {numbers}, got {error}") from error
        caught.append(error)
    else:
        raise AssertionError(f"no error; expected one of {numbers}")
