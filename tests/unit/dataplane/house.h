/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gateway with its main lcore's side whole (apply, neighbours) and a worker without ports beside
 * it: for tests of what goes on between the two. Attachment 1 is tenant 1's, on port "lan" untagged:
 * 10.0.0.1/24 and fd00::1/64; attachment 2 is tenant 1's on VLAN 20: 10.0.20.1/24; attachment 3 is
 * tenant 2's on VLAN 30 with the addresses of attachment 1; attachment 4 is the underlay's, on port
 * "wan": 192.0.2.1/24 and 2001:db8::1/64.
 */
#ifndef KAIDO_TEST_HOUSE_H
#define KAIDO_TEST_HOUSE_H

#include "apply.h"
#include "gateway_fixture.h"
#include "neighbour.h"
#include "neighbour_frame.h"
#include "worker.h"

#define HOUSE_MBUFS 4095

struct house {
	struct fixture *f;
	struct gateway *gw;
	struct apply *apply;
	struct worker *worker;
	struct worker *workers[1];
	struct rte_mempool *pool;
	struct rte_ring *inbox;
	uint64_t now; /* ms */
};

struct house *house_create(void);
/* Fails the test when a buffer was lost. */
void house_destroy(struct house *h);

/* One record of a transaction of its own. */
void house_set(struct house *h, uint16_t type, const void *record);
void house_delete(struct house *h, uint16_t type, uint32_t id);
/* Lets the main lcore's clock go on, tick by tick. */
void house_wait(struct house *h, uint32_t ms);

/* A packet from 10.9.9.9 or fd09::9 to `to`, as a worker hands it over, not counted as come in. */
struct rte_mbuf *house_packet(struct house *h, uint32_t tenant, const char *to, uint32_t route);
/* An ARP or ND message of a station on an attachment, as a worker hands it over. */
struct rte_mbuf *house_message(struct house *h, uint32_t attachment, enum neighbour_kind kind,
			       const char *from, const uint8_t mac[6], const char *to,
			       const char *target);
/* The next mbuf on its way to the worker; NULL: none. */
struct rte_mbuf *house_sent(struct house *h);
/* Frees all of those; returns how many. */
uint32_t house_sent_free(struct house *h);

uint32_t house_route(const struct house *h, uint32_t tenant, const char *to);
/* As the main lcore and the worker counted it. */
uint64_t house_drops(const struct house *h, uint32_t tenant, enum drop_reason reason);

#endif /* KAIDO_TEST_HOUSE_H */
