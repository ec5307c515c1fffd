/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker with tables, without ports or threads: for tests of the walks. Port 0 is a tenant's side
 * (attachment 1, tenant 1, VLAN 0), port 1 the underlay (attachment 2). Tunnel 1 goes from tenant 1
 * to itself: what outbound SA 1 sends, inbound SA 2 takes, if the test feeds it back on port 1.
 */
#ifndef KAIDO_TESTBED_H
#define KAIDO_TESTBED_H

#include "reclaim.h"
#include "sad.h"
#include "vrf.h"
#include "worker.h"

#define BED_PORT_TENANT   0
#define BED_PORT_UNDERLAY 1
#define BED_ADJ_TENANT    1 /* adjacency of the host 02:..:aa behind port 0 */
#define BED_ADJ_UNDERLAY  2

struct testbed {
	struct worker *worker;
	struct tables *tables;
	struct stats *stats;
	struct aead_engine *aead;
	struct rte_mempool *pool;
	struct rte_ring *to_main;
	uint32_t replay_window;
	uint32_t fragment_id;
};

#define BED_WORKERS 5 /* that there are counters for, the testbed's own included */

/* EAL without hugepages and devices; once per process. */
void testbed_eal(void);
/* flags: SA_ESN, SA_UDP, SA_OUTER_V6. Fails the test when it can't. */
struct testbed *testbed_create(uint32_t flags, uint32_t key_len, uint32_t window);
void testbed_destroy(struct testbed *bed);
/* One more worker, 1 .. BED_WORKERS - 1, for a thread of its own. */
struct worker *testbed_worker(struct testbed *bed, uint32_t id);
void testbed_worker_free(struct worker *w);

/* A frame for a walk: copied into a fresh mbuf. */
struct rte_mbuf *testbed_mbuf(struct testbed *bed, const void *frame, uint32_t len);
/* One frame through worker_walk(). */
void testbed_walk(struct testbed *bed, uint8_t port, const void *frame, uint32_t len);
/* What left on a port, in order; drops are counted and freed, `out` is emptied by the caller. */
uint32_t testbed_out(struct testbed *bed, uint8_t port, struct rte_mbuf **mbufs);
/* Cuts what was too big and collects the pieces that leave on a port. */
void testbed_fragments(struct testbed *bed, uint8_t port, struct rte_mbuf **mbufs, uint32_t *n);
/* An Ethernet frame with an IP packet of `length` bytes from host x.x.x.10 to `to`. */
uint32_t testbed_frame(uint8_t *frame, enum ip_family family, uint16_t length, bool from_tenant);

/* The same of IPv4, 64 bytes, from the tenant, with `number` as its id. */
uint32_t testbed_numbered(uint8_t *frame, uint16_t number);

/* Sets DSCP and ECN of an IP header, and the checksum. */
void testbed_class(uint8_t *l3, enum ip_family family, uint8_t class);
/* Lets what goes in at the tenant's side come out of the tunnel for the same host. */
void testbed_swap(struct testbed *bed);
void testbed_swap_back(struct testbed *bed);
/* Out into the tunnel and addressed to the gateway again; returns the frame's length. */
uint32_t testbed_seal(struct testbed *bed, const uint8_t *frame, uint32_t len, uint8_t *esp);
/* The tunnel's record: what the template of SA 1 was built from. */
struct abi_tunnel testbed_tunnel(uint32_t flags);

/* A device that takes frames as they are told to be taken, in place of one of DPDK's. */
#define WIRE_MAX 1024
struct wire {
	uint16_t takes; /* in one burst, at most */
	uint32_t n;
	struct rte_mbuf *frame[WIRE_MAX];
	void *queue[1];
	void *callback[1];
};
void wire_attach(struct wire *wire, uint16_t dpdk_id, uint16_t takes);
void wire_free(struct wire *wire); /* what it took */

uint64_t testbed_drops(const struct testbed *bed, uint32_t tenant, enum drop_reason reason);
/* in = out + local + drops for a tenant; `out` as the test saw it. */
void testbed_conserved(const struct testbed *bed, uint32_t tenant, uint64_t out);

#endif /* KAIDO_TESTBED_H */
