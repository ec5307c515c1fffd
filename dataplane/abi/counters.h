/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counters: one sealed memfd, mapped read-only by who was handed it (ABI_COUNTERS).
 *
 * After one header page come `writers` equal regions. A region belongs to one thread (0: the main
 * lcore, 1 .. : the workers), which alone writes to it, with plain 64-bit stores; whoever reads adds
 * the regions up. Within a region stand the tables at the offsets that the header gives, each an
 * array of rows indexed by id. Counters only grow for the life of an object and of this file
 * (`boot`); a row is zeroed when its id is given to a new object, and an SA's `epoch` changes then,
 * so that a reader can tell. Rows of SAs are the workers': the memory of what nobody writes is taken
 * by reading it, so who reads SAs leaves writer 0 out.
 *
 * Reading: 64-bit loads (relaxed atomics). No lock; a sum may be a burst behind.
 *
 * Conservation, per tenant, once packets in flight have left:
 *     in_packets + fragments = out_packets + local_packets + sum of the tenant's drops
 * `local` are packets that ended in the gateway (ARP, ND, ICMP to its own addresses, fragments of ESP
 * that were put together). What the gateway itself sends (replies, resolutions, ICMP errors, NAT
 * keepalives for the underlay, dummy packets for their tunnel's tenant) counts in originated_packets,
 * and in neither in nor out. A packet that is cut, before ESP or behind it, leaves as several: each
 * counts in out (of the tunnel, too), and those beyond the first in fragments.
 */
#ifndef KAIDO_ABI_COUNTERS_H
#define KAIDO_ABI_COUNTERS_H

#include <assert.h>
#include <stdint.h>

#define COUNTERS_MAGIC   0x4b41494f434e5431ull
#define COUNTERS_VERSION 1
#define COUNTERS_REASONS 64 /* columns in a row of drops; names by ABI_DUMP_REASON */
#define COUNTERS_STAGES  12
#define COUNTERS_BURSTS  8

struct counters_table {
	uint64_t offset; /* from the start of a region */
	uint32_t rows;
	uint32_t row_size;
};

struct counters_header {
	uint64_t magic;
	uint32_t version;
	uint32_t writers;       /* regions */
	uint64_t boot;          /* as in abi_hello_reply */
	uint64_t region_offset; /* of the first region, from the start of the file */
	uint64_t region_size;
	uint64_t tsc_hz;
	uint64_t started; /* CLOCK_REALTIME, ns */
	uint64_t reserved[9];
	struct counters_table worker;       /* one row: counters_worker */
	struct counters_table port;         /* counters_port, by port index */
	struct counters_table port_drops;   /* counters_drops, by port index: no tenant known */
	struct counters_table attachment;   /* counters_attachment, by id */
	struct counters_table tenant;       /* counters_tenant, by id; row 0: the underlay */
	struct counters_table tenant_drops; /* counters_drops, by tenant id */
	struct counters_table tunnel;       /* counters_tunnel, by id */
	struct counters_table sa; /* counters_sa, by id; writer 0 (main) has none in use */
};
static_assert(sizeof(struct counters_header) == 256, "counters_header is 256 bytes");

enum counters_stage {
	STAGE_RX, /* from the end of the poll before: rx burst and classification */
	STAGE_ROUTE,
	STAGE_ENCAP,
	STAGE_ENCRYPT,
	STAGE_SAD, /* SA look-up and replay check */
	STAGE_DECRYPT,
	STAGE_DECAP, /* replay commit, strip, inner check */
	STAGE_FORWARD,
	STAGE_TX,
	STAGE_OTHER, /* local, punt, drops */
	STAGE_LOOP,  /* to the end of the poll: quiescent state, counting */
};

struct counters_worker {
	uint64_t busy_cycles; /* TSC, of polls that found packets */
	uint64_t idle_cycles;
	uint64_t polls;
	uint64_t busy_polls;
	uint64_t packets;
	uint64_t sleeps;
	uint64_t lcore;
	uint64_t reserved;
	/*
	 * Of sampled polls, which are some of those that found packets. Every cycle of one belongs to
	 * a stage: the stages' cycles add up to sampled_cycles, those of busy_cycles in these polls.
	 */
	uint64_t stage_cycles[COUNTERS_STAGES];
	uint64_t stage_packets[COUNTERS_STAGES]; /* that the stage was given */
	/* Bursts that were taken from a queue, by packets: 1, 2-3, 4-7, ... 64; [log2(packets)]. */
	uint64_t bursts[COUNTERS_BURSTS];
	uint64_t sampled_polls;
	uint64_t sampled_packets;
	uint64_t sampled_cycles;
	uint64_t early_packets; /* ESP that was ahead of its SA and waited until it came */
	uint64_t reserved2[4];
};
static_assert(sizeof(struct counters_worker) == 384, "counters_worker is six cache lines");

struct counters_port {
	uint64_t rx_packets; /* by software: what this writer took from the port */
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t punted;    /* handed to the exception interface */
	uint64_t injected;  /* from the exception interface to the port */
	uint64_t rx_missed; /* main's row only: the device's own counters */
	uint64_t device_errors;
};
static_assert(sizeof(struct counters_port) == 64, "counters_port is one cache line");

struct counters_drops {
	uint64_t reason[COUNTERS_REASONS]; /* packets */
};
static_assert(sizeof(struct counters_drops) == 512, "counters_drops is eight cache lines");

struct counters_attachment {
	uint64_t rx_packets;
	uint64_t rx_bytes; /* from the IP header on */
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t reserved[4];
};
static_assert(sizeof(struct counters_attachment) == 64, "counters_attachment is one cache line");

struct counters_tenant {
	uint64_t in_packets; /* from attachments and from tunnels (ESP matched to an SA) */
	uint64_t in_bytes; /* IP packets as they came: inner at an attachment, outer at a tunnel */
	uint64_t out_packets;
	uint64_t out_bytes;
	uint64_t local_packets;
	uint64_t originated_packets;
	uint64_t fragments; /* pieces beyond the first that packets were cut into */
	/* Row 0: packets put together; each counts as one that came in, and its pieces as local. */
	uint64_t reassembled;
};
static_assert(sizeof(struct counters_tenant) == 64, "counters_tenant is one cache line");

/* Survives a rekey: it belongs to the tunnel, not to the SA. Dummy packets are in none of it. */
struct counters_tunnel {
	uint64_t out_packets; /* encrypted and handed to the port */
	uint64_t out_inner_bytes;
	uint64_t out_outer_bytes; /* from the outer IP header on */
	uint64_t out_drops;
	uint64_t in_packets; /* authenticated, checked and accepted */
	uint64_t in_inner_bytes;
	uint64_t in_outer_bytes;
	uint64_t in_drops;
};
static_assert(sizeof(struct counters_tunnel) == 64, "counters_tunnel is one cache line");

struct counters_sa {
	uint64_t packets;  /* out: encrypted; in: authenticated and within the window */
	uint64_t bytes;    /* inner */
	uint64_t sequence; /* highest that this writer sent or accepted; take the maximum */
	uint64_t replayed; /* in: seen before, or left of the window */
	uint64_t icv_failed;
	uint64_t lost;        /* in: numbers that left the window unseen */
	uint64_t lease_stops; /* out: packets dropped because the lease was used up */
	uint64_t epoch;       /* counts the objects that had this row; the same with every worker */
};
static_assert(sizeof(struct counters_sa) == 64, "counters_sa is one cache line");

#endif /* KAIDO_ABI_COUNTERS_H */
