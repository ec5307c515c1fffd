/* SPDX-License-Identifier: BSD-3-Clause */
#include "kaidoctl_columns.h"

const struct table_column show_tenant_columns[] = {
	{ "TENANT", "name", TABLE_TEXT },       { "SERVICE", "service", TABLE_TEXT },
	{ "CODE", "service-code", TABLE_TEXT }, { "ATTACHMENTS", "attachments", TABLE_COUNT },
	{ "TUNNELS", "tunnels", TABLE_COUNT },  { "SAS", "sas", TABLE_COUNT },
	{ "LABEL", "label", TABLE_TEXT },       { NULL, NULL, 0 },
};

const struct table_column show_tunnel_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },
	{ "TUNNEL", "name", TABLE_TEXT },
	{ "LOCAL", "local", TABLE_TEXT },
	{ "REMOTE", "remote", TABLE_TEXT },
	{ "PEER IS AT", "state.remote", TABLE_TEXT },
	{ "INNER MTU", "state.inner_mtu", TABLE_PLAIN },
	{ "ENCAP", "encapsulation", TABLE_TEXT },
	{ "SAS", "sas", TABLE_COUNT },
	{ "OUT", "counters.out_packets", TABLE_COUNT },
	{ "OUT BYTES", "counters.out_inner_bytes", TABLE_BYTES },
	{ "IN", "counters.in_packets", TABLE_COUNT },
	{ "IN BYTES", "counters.in_inner_bytes", TABLE_BYTES },
	{ "NETWORKS", "networks", TABLE_TEXT },
	{ NULL, NULL, 0 },
};

const struct table_column show_remote_access_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },     { "NAME", "name", TABLE_TEXT },
	{ "LOCAL", "local", TABLE_TEXT },       { "LOCAL ID", "local-id", TABLE_TEXT },
	{ "AUTH", "auth", TABLE_TEXT },         { "USERS", "users", TABLE_COUNT },
	{ "CLIENTS", "clients", TABLE_COUNT },  { "POOL", "pool", TABLE_TEXT },
	{ "NETWORKS", "networks", TABLE_TEXT }, { NULL, NULL, 0 },
};

const struct table_column show_sa_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },
	{ "TUNNEL", "tunnel", TABLE_TEXT },
	{ "DIR", "direction", TABLE_TEXT },
	{ "SPI", "spi", TABLE_HEX },
	{ "BITS", "key_bits", TABLE_PLAIN },
	{ "STATE", "state", TABLE_TEXT },
	{ "ESN", "esn", TABLE_TEXT },
	{ "WINDOW", "window", TABLE_PLAIN },
	{ "SEQUENCE", "sequence", TABLE_PLAIN },
	{ "LEASE", "lease", TABLE_PLAIN },
	{ "PACKETS", "counters.packets", TABLE_COUNT },
	{ "REPLAYED", "counters.replayed", TABLE_COUNT },
	{ "BAD ICV", "counters.icv_failed", TABLE_COUNT },
	{ "LOST", "counters.lost", TABLE_COUNT },
	{ "FINGERPRINT", "fingerprint", TABLE_TEXT },
	{ NULL, NULL, 0 },
};

const struct table_column show_ike_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },
	{ "NAME", "name", TABLE_TEXT },
	{ "WHO", "who", TABLE_TEXT },
	{ "STATE", "state", TABLE_TEXT },
	{ "REMOTE", "remote", TABLE_TEXT },
	{ "PORT", "remote_port", TABLE_PLAIN },
	{ "ADDRESSES", "addresses", TABLE_TEXT },
	{ "SINCE", "since", TABLE_TIME },
	{ "IN BYTES", "bytes_in", TABLE_BYTES },
	{ "OUT BYTES", "bytes_out", TABLE_BYTES },
	{ "ID", "id", TABLE_PLAIN },
	{ "SPIS", "spis", TABLE_TEXT },
	{ NULL, NULL, 0 },
};

const struct table_column show_attachment_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },
	{ "NAME", "name", TABLE_TEXT },
	{ "PORT", "port", TABLE_TEXT },
	{ "VLAN", "vlan", TABLE_PLAIN },
	{ "MTU", "mtu", TABLE_PLAIN },
	{ "RX", "counters.rx_packets", TABLE_COUNT },
	{ "RX BYTES", "counters.rx_bytes", TABLE_BYTES },
	{ "TX", "counters.tx_packets", TABLE_COUNT },
	{ "TX BYTES", "counters.tx_bytes", TABLE_BYTES },
	{ "NETDEV", "netdev", TABLE_TEXT },
	{ "ADDRESSES", "addresses", TABLE_TEXT },
	{ NULL, NULL, 0 },
};

const struct table_column show_route_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT }, { "PREFIX", "prefix", TABLE_TEXT },
	{ "KIND", "kind", TABLE_TEXT },     { "TUNNEL", "tunnel", TABLE_TEXT },
	{ "VIA", "via", TABLE_TEXT },       { NULL, NULL, 0 },
};

const struct table_column show_neighbour_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },   { "ATTACHMENT", "attachment", TABLE_TEXT },
	{ "ADDRESS", "address", TABLE_TEXT }, { "MAC", "mac", TABLE_TEXT },
	{ "STATE", "state", TABLE_TEXT },     { NULL, NULL, 0 },
};

const struct table_column show_port_columns[] = {
	{ "PORT", "name", TABLE_TEXT },
	{ "DRIVER", "driver", TABLE_TEXT },
	{ "LINK", "link", TABLE_TEXT },
	{ "MBIT/S", "speed", TABLE_PLAIN },
	{ "MTU", "mtu", TABLE_PLAIN },
	{ "RXQ", "rx_queues", TABLE_PLAIN },
	{ "TXQ", "tx_queues", TABLE_PLAIN },
	{ "RX", "counters.rx_packets", TABLE_COUNT },
	{ "TX", "counters.tx_packets", TABLE_COUNT },
	{ "PUNTED", "counters.punted", TABLE_COUNT },
	{ "MISSED", "counters.rx_missed", TABLE_COUNT },
	{ "MAC", "mac", TABLE_TEXT },
	{ "DEVICE", "device", TABLE_TEXT },
	{ NULL, NULL, 0 },
};

const struct table_column show_worker_columns[] = {
	{ "WORKER", "worker", TABLE_PLAIN },
	{ "LCORE", "lcore", TABLE_PLAIN },
	{ "BUSY %", "recent.busy_percent", TABLE_TENTH },
	{ "PACKETS/S", "recent.packets_per_second", TABLE_COUNT },
	{ "CYCLES/PACKET", "recent.cycles_per_packet", TABLE_TENTH },
	{ "PACKETS/BURST", "recent.packets_per_burst", TABLE_TENTH },
	{ "SLEEPS", "recent.sleeps", TABLE_COUNT },
	{ "PACKETS IN ALL", "packets", TABLE_COUNT },
	{ NULL, NULL, 0 },
};

const struct table_column show_worker_stage_columns[] = {
	{ "WORKER", "worker", TABLE_PLAIN },
	{ "RX", "recent.stage_cycles_per_packet.rx", TABLE_TENTH },
	{ "ROUTE", "recent.stage_cycles_per_packet.route", TABLE_TENTH },
	{ "ENCAP", "recent.stage_cycles_per_packet.encap", TABLE_TENTH },
	{ "ENCRYPT", "recent.stage_cycles_per_packet.encrypt", TABLE_TENTH },
	{ "SAD", "recent.stage_cycles_per_packet.sad", TABLE_TENTH },
	{ "DECRYPT", "recent.stage_cycles_per_packet.decrypt", TABLE_TENTH },
	{ "DECAP", "recent.stage_cycles_per_packet.decap", TABLE_TENTH },
	{ "FORWARD", "recent.stage_cycles_per_packet.forward", TABLE_TENTH },
	{ "TX", "recent.stage_cycles_per_packet.tx", TABLE_TENTH },
	{ "OTHER", "recent.stage_cycles_per_packet.other", TABLE_TENTH },
	{ "LOOP", "recent.stage_cycles_per_packet.loop", TABLE_TENTH },
	{ NULL, NULL, 0 },
};

const struct table_column show_worker_burst_columns[] = {
	{ "WORKER", "worker", TABLE_PLAIN },
	{ "1", "recent.burst_percent.1", TABLE_TENTH },
	{ "2-3", "recent.burst_percent.2-3", TABLE_TENTH },
	{ "4-7", "recent.burst_percent.4-7", TABLE_TENTH },
	{ "8-15", "recent.burst_percent.8-15", TABLE_TENTH },
	{ "16-31", "recent.burst_percent.16-31", TABLE_TENTH },
	{ "32-63", "recent.burst_percent.32-63", TABLE_TENTH },
	{ "64", "recent.burst_percent.64", TABLE_TENTH },
	{ NULL, NULL, 0 },
};

const struct table_column show_tenant_counter_columns[] = {
	{ "TENANT", "name", TABLE_TEXT },
	{ "IN", "in_packets", TABLE_COUNT },
	{ "IN BYTES", "in_bytes", TABLE_BYTES },
	{ "OUT", "out_packets", TABLE_COUNT },
	{ "OUT BYTES", "out_bytes", TABLE_BYTES },
	{ "LOCAL", "local_packets", TABLE_COUNT },
	{ "ORIGINATED", "originated_packets", TABLE_COUNT },
	{ "FRAGMENTS", "fragments", TABLE_COUNT },
	{ "DROPPED", "dropped", TABLE_COUNT },
	{ NULL, NULL, 0 },
};

const struct table_column show_tunnel_counter_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },
	{ "TUNNEL", "name", TABLE_TEXT },
	{ "OUT", "out_packets", TABLE_COUNT },
	{ "INNER", "out_inner_bytes", TABLE_BYTES },
	{ "OUTER", "out_outer_bytes", TABLE_BYTES },
	{ "DROPPED", "out_drops", TABLE_COUNT },
	{ "IN", "in_packets", TABLE_COUNT },
	{ "INNER", "in_inner_bytes", TABLE_BYTES },
	{ "OUTER", "in_outer_bytes", TABLE_BYTES },
	{ "DROPPED", "in_drops", TABLE_COUNT },
	{ NULL, NULL, 0 },
};

const struct table_column show_drop_columns[] = {
	{ "TENANT", "tenant", TABLE_TEXT },
	{ "PACKETS", "packets", TABLE_COUNT },
	{ "REASON", "name", TABLE_TEXT },
	{ "MEANING", "text", TABLE_TEXT },
	{ NULL, NULL, 0 },
};

const struct table_column show_audit_columns[] = {
	{ "TIME", "time", TABLE_TIME },
	{ "WHO", "who", TABLE_TEXT },
	{ "ROLE", "role", TABLE_TEXT },
	{ "METHOD", "method", TABLE_TEXT },
	{ "RESULT", "result", TABLE_TEXT },
	{ "SUMMARY", "summary", TABLE_TEXT },
	{ NULL, NULL, 0 },
};
