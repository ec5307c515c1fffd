/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a packet was dropped: every drop has one of these reasons and is counted under it, per tenant
 * (or per port, as long as no tenant is known). Numbers are columns of counters_drops.
 */
#ifndef KAIDO_DROP_H
#define KAIDO_DROP_H

#include <assert.h>

#include "abi/counters.h"

/* X(name, what it means) */
#define DROP_REASONS(X)                                                                           \
	X(frame_short, "shorter than its Ethernet, IP or ESP header says")                        \
	X(multi_segment, "in several buffers, which can't be sent: raise --mbuf-size over MTU")   \
	X(not_for_us, "unicast to another station's MAC address")                                 \
	X(no_attachment, "no attachment on this port and VLAN")                                   \
	X(ethertype, "neither IPv4, IPv6 nor ARP")                                                \
	X(ip_header, "IP version or header length is wrong")                                      \
	X(ip_checksum, "IPv4 header checksum is wrong")                                           \
	X(ip_source, "source address can't be one: multicast, loopback or unspecified")           \
	X(ip_option, "its sender chooses the way: an IPv4 source route or IPv6 routing header 0") \
	X(multicast, "multicast or broadcast is not forwarded")                                   \
	X(no_route, "the tenant has no route to the destination")                                 \
	X(blackhole, "the route is a blackhole")                                                  \
	X(ttl_expired, "time to live or hop limit used up")                                       \
	X(too_big, "does not fit the next link and may not be fragmented")                        \
	X(no_headroom, "no room in the buffer for the tunnel's headers")                          \
	X(no_sa, "the tunnel has no outbound SA")                                                 \
	X(lease_used_up, "the outbound SA's sequence lease is used up: is kaidod running?")       \
	X(sequence_used_up, "the outbound SA has sent its last sequence number")                  \
	X(sa_expired, "the SA's hard lifetime is over")                                           \
	X(encrypt_failed, "the cipher could not run: out of memory (OpenSSL only)")               \
	X(no_underlay, "the underlay has no route to the tunnel's remote address")                \
	X(not_underlay, "forwarding between underlay networks is not done here")                  \
	X(spi_unknown, "no SA has this SPI")                                                      \
	X(outer_fragment, "a fragment of ESP that is not for us, or can't be put together")       \
	X(fragment_malformed, "an empty fragment of ESP, or one that ends within 8 bytes")        \
	X(fragment_overlap, "fragments of ESP overlap, came twice, or were more than 8")          \
	X(fragment_timeout, "the other fragments of an ESP packet did not come in time")          \
	X(fragment_table, "a fragment of ESP that gave way to newer ones")                        \
	X(keepalive, "a NAT keepalive (RFC 3948 section 2.3), discarded as it should be")         \
	X(replay_zero, "sequence number 0")                                                       \
	X(replay_seen, "sequence number was already received")                                    \
	X(replay_late, "sequence number is left of the anti-replay window")                       \
	X(icv_failed, "the integrity check failed: forged, damaged, or another key")              \
	X(padding, "ESP padding is wrong")                                                        \
	X(next_header, "ESP payload is neither IPv4 nor IPv6")                                    \
	X(dummy, "a dummy packet (ESP next header 59), discarded as it should be")                \
	X(inner_header, "the decrypted packet's IP header is wrong")                              \
	X(ecn, "congestion was marked on the way, which its sender does not understand")          \
	X(inner_source, "the inner source address is not one that this tunnel may send")          \
	X(selector, "no traffic selector of the tunnel names such a packet")                      \
	X(neighbour_wait, "too many packets wait for the next hop's MAC address")                 \
	X(neighbour_failed, "the next hop does not answer ARP or neighbour discovery")            \
	X(local_unhandled, "to one of our own addresses, but nothing here answers it")            \
	X(no_exception, "belongs to the host, but the port has no exception interface")           \
	X(main_busy, "the main lcore's queue is full")                                            \
	X(tx_full, "the port's transmit queue is full")                                           \
	X(detached, "what it was about to use was removed meanwhile")                             \
	X(no_buffer, "no free packet buffer")

enum drop_reason {
	DROP_NONE = 0, /* not dropped */
#define DROP_ENUM(name, text) DROP_##name,
	DROP_REASONS(DROP_ENUM)
#undef DROP_ENUM
		DROP_COUNT
};
static_assert(DROP_COUNT <= COUNTERS_REASONS, "a row of drops has a column for every reason");

const char *drop_name(enum drop_reason reason); /* "icv_failed"; "none" for 0 */
const char *drop_text(enum drop_reason reason);

#endif /* KAIDO_DROP_H */
