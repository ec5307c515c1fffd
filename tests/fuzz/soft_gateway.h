/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole dataplane in one thread: real tables filled by apply, a real worker in its poll loop, the
 * main lcore's part of it, and two ports made of memory. What a frame can reach in production it
 * reaches here, but for the drivers.
 *
 *   lan  untagged: attachment 11, tenant 1; VLAN 102: attachment 12, tenant 2; both have 10.0.0.1/16 and
 *        fd00::1/64, with the permanent neighbours 10.0.0.9 and fd00::9
 *   wan  attachment 1, the underlay: 192.0.2.1/24 and 2001:db8::1/64; the peers are .2 and ::2
 *
 *   tunnel  tenant  outside     key  ESN  window   networks
 *     1       1     IPv4 ESP    128  no      64    10.1.0.0/16, fd01::/16
 *     2       1     IPv4 UDP    192  yes   1024    10.2.0.0/16, fd02::/16
 *     3       1     IPv6 ESP    256  yes      0    10.3.0.0/16, fd03::/16
 *     4       1     IPv6 UDP    128  no      32    10.4.0.0/16, fd04::/16
 *     5       2     IPv4 ESP    256  yes   4096    10.1.0.0/16, fd01::/16
 *
 * SPIs are 0x1000 (in) or 0x2000 (out) and the tunnel's id.
 */
#ifndef KAIDO_FUZZ_SOFT_GATEWAY_H
#define KAIDO_FUZZ_SOFT_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway_fixture.h"
#include "oracle.h"
#include "worker.h"

#define SOFT_LAN       0
#define SOFT_WAN       1
#define SOFT_MTU       1500
#define SOFT_TENANTS   3 /* 0: the underlay */
#define SOFT_FRAME_MAX 2048

/* Options of an input: how the gateway is while it runs. */
#define SOFT_EXCEPTION(options) ((options)&3u) /* enum exception of the underlay's port; 3: none */
#define SOFT_TRACE              (1u << 2)
#define SOFT_TX_SHIFT           3 /* two bits: how full the ports' transmit queues are */
#define SOFT_CUT(options)       ((options) >> 5 & 3u) /* enum soft_cut of all frames */
#define SOFT_TX_SEGMENTS        (1u << 7)             /* ports send from several buffers */

/* Where frames that come in several buffers are cut. */
enum soft_cut { SOFT_WHOLE, SOFT_HALVES, SOFT_HEADERS, SOFT_END };

/* How a frame lies in its buffer. */
#define SOFT_AT_END   (1u << 0) /* ends with it: a read behind the frame is seen */
#define SOFT_SEGMENTS (1u << 1) /* in several buffers */
#define SOFT_STRIPPED (1u << 2) /* the device took the VLAN tag off, where there is one */

struct soft_port {
	struct soft_gateway *gateway;
	uint16_t index;
	uint16_t queued;
	uint32_t tx_room; /* frames that it takes in one burst */
	struct rte_mbuf *queue[BURST_MAX];
};

struct soft_gateway {
	struct fixture *f;
	struct apply *apply;
	struct worker *worker;
	struct worker *workers[1];
	struct rte_mempool *pool;
	struct rte_ring *to_main;
	struct soft_port port[2];
	struct replay
		*replay[ORACLE_TUNNELS]; /* windows of the inbound SAs; also to be found by LSan */
	const struct selectors *selectors[ORACLE_TUNNELS]; /* of the tunnels, for LSan again */
	struct oracle oracle;
	uint32_t fragment_id;
	uint8_t go;
	uint8_t stop;
	enum soft_cut cut;
	bool disturbed;    /* neighbours may have changed */
	uint64_t now;      /* ms; only ever grows */
	uint64_t path_now; /* the same, of what is learnt about paths */
	uint64_t frames;
};

/* EAL without hugepages, and the gateway; once a process. */
struct soft_gateway *soft_gateway_create(void);
/* Before an input: counters and sequence numbers at their start. */
void soft_gateway_begin(struct soft_gateway *g, uint8_t options);
/* Puts a frame into a port's queue; when it holds a burst, or 64 frames came, nothing happens. */
void soft_gateway_frame(struct soft_gateway *g, uint32_t port, const uint8_t *frame, uint32_t len,
			uint32_t how);
/* Worker and main lcore run until there is nothing left to do. */
void soft_gateway_run(struct soft_gateway *g);
/* Time goes by for the neighbours. */
void soft_gateway_tick(struct soft_gateway *g, uint32_t ms);
/* After an input: nothing is in flight any more, and every packet and buffer is accounted for. */
void soft_gateway_end(struct soft_gateway *g);

/* Of one drop reason, all tenants. */
uint64_t soft_gateway_drops(const struct soft_gateway *g, enum drop_reason reason);

#endif /* KAIDO_FUZZ_SOFT_GATEWAY_H */
