# SPDX-License-Identifier: BSD-3-Clause
"""Builds the records of a transaction from readable arguments."""

import ipaddress

from . import kaido_abi as abi

PORTS_ANY, PORTS_OPAQUE = (0, 65535), (65535, 0)


def selector(local, remote, protocol=0, local_ports=PORTS_ANY, remote_ports=PORTS_ANY):
    """Local and remote as prefixes, or as 'first-last'; ports as (first, last)."""
    record = abi.Selector(protocol=protocol)
    record.local_port_first, record.local_port_last = local_ports
    record.remote_port_first, record.remote_port_last = remote_ports
    for side, text in (("local", local), ("remote", remote)):
        if "-" in text:
            first, last = (ipaddress.ip_address(end) for end in text.split("-"))
        else:
            network = ipaddress.ip_network(text)
            first, last = network[0], network[-1]
        record.family = first.version
        abi.fill(getattr(record, f"{side}_first"), first.packed)
        abi.fill(getattr(record, f"{side}_last"), last.packed)
    return record


class Config:
    """A list of (type, record) in the order of the calls, for Client.transaction()."""

    def __init__(self):
        self.records = []

    def add(self, kind, record):
        self.records.append((kind, record))
        return record

    def tenant(self, number, cookie=1):
        return self.add(abi.TENANT_SET, abi.Tenant(id=number, cookie=cookie))

    def attachment(self, number, tenant, port, addresses, vlan=0, mtu=0, netdev=""):
        record = abi.Attachment(id=number, tenant=tenant, port=port.encode(), vlan=vlan, mtu=mtu,
                                netdev=netdev.encode(), cookie=1)
        for i, text in enumerate(addresses):
            record.address[i] = abi.address(text)
        return self.add(abi.ATTACHMENT_SET, record)

    def neighbour(self, attachment, address, mac):
        record = abi.Neighbour(attachment=attachment, address=abi.address(address))
        abi.fill(record.mac, abi.mac_bytes(mac))
        return self.add(abi.NEIGHBOUR_SET, record)

    def tunnel(self, number, tenant, local, remote, udp=None, mtu=0):
        record = abi.Tunnel(id=number, tenant=tenant, local=abi.address(local),
                            remote=abi.address(remote), mtu=mtu, cookie=1)
        if udp:
            record.flags = abi.TUNNEL_UDP
            record.local_port, record.remote_port = udp
        return self.add(abi.TUNNEL_SET, record)

    def selectors(self, tunnel, *selectors):
        """All that a tunnel has from now on."""
        record = abi.Selectors(tunnel=tunnel, count=len(selectors))
        for i, one in enumerate(selectors):
            record.selector[i] = one
        return self.add(abi.SELECTORS_SET, record)

    def _sa(self, number, tunnel, sa, direction):
        record = abi.Sa(id=number, tunnel=tunnel, direction=direction, key_len=len(sa.key),
                        flags=abi.SA_ESN if sa.esn else 0, cookie=number)
        abi.fill(record.spi, sa.spi.to_bytes(4, "big"))
        abi.fill(record.salt, sa.salt)
        abi.fill(record.key, sa.key)
        return self.add(abi.SA_SET, record)

    def sa_in(self, number, tunnel, sa, window=1024):
        record = self._sa(number, tunnel, sa, abi.SA_IN)
        record.window = window
        return record

    def sa_out(self, number, tunnel, sa, sequence=1, limit=1 << 32):
        record = self._sa(number, tunnel, sa, abi.SA_OUT)
        record.sequence, record.sequence_limit = sequence, limit
        return record

    def route_tunnel(self, tenant, prefix, tunnel):
        return self._route(tenant, prefix, abi.ROUTE_TUNNEL, tunnel)

    def route_gateway(self, tenant, prefix, attachment, via):
        return self._route(tenant, prefix, abi.ROUTE_GATEWAY, attachment, via)

    def route_blackhole(self, tenant, prefix):
        return self._route(tenant, prefix, abi.ROUTE_BLACKHOLE, 0)

    def _route(self, tenant, prefix, kind, target, via=""):
        return self.add(abi.ROUTE_SET, abi.Route(
            tenant=tenant, kind=kind, target=target, prefix=abi.address(prefix),
            via=abi.address(via)))
