/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A testbed with the main lcore's side of its tunnel beside it, and a peer that seals packets with any
 * sequence number: outbound SA 1 and inbound SA 2 of tunnel 1 are objects of a gateway, whose worker
 * is the testbed's.
 */
#ifndef KAIDO_TEST_PEER_BED_H
#define KAIDO_TEST_PEER_BED_H

#include "event.h"
#include "gateway.h"
#include "testbed.h"

#define PEER_OUT       1
#define PEER_IN        2
#define PEER_FRAME_MAX 2048
#define PEER_EVENTS    64

struct peer_bed {
	struct testbed *bed;
	struct worker *workers[2];
	struct gateway gw;
	struct abi_event event[PEER_EVENTS]; /* as the last peer_events() found them */
};

/* flags: SA_ESN, SA_UDP, SA_OUTER_V6. */
struct peer_bed *peer_bed_create(uint32_t flags, uint32_t window);
void peer_bed_destroy(struct peer_bed *p);

/* A sealed packet of `length` bytes with that number, as it arrives on the underlay's port. */
uint32_t peer_seal(const struct peer_bed *p, uint64_t sequence, uint16_t length, uint8_t *frame);
/* The same, damaged. */
uint32_t peer_forge(const struct peer_bed *p, uint64_t sequence, uint16_t length, uint8_t *frame);
/* One burst of such packets, numbers first .. first + n - 1; returns how many reach the tenant. */
uint32_t peer_sends(struct peer_bed *p, uint64_t first, uint32_t n, uint16_t length);
uint32_t peer_forges(struct peer_bed *p, uint64_t first, uint32_t n, uint16_t length);
/* One burst of n packets of the tenant's; returns how many leave sealed. */
uint32_t tenant_sends(struct peer_bed *p, uint32_t n, uint16_t length);

/* As a SET of a live SA. */
void peer_lifetime(struct peer_bed *p, uint32_t sa, const struct abi_lifetime *soft,
		   const struct abi_lifetime *hard);

/* Lets the main lcore look, at `now_ms`; returns how many events there are, in p->event. */
uint32_t peer_events(struct peer_bed *p, uint64_t now_ms);

#endif /* KAIDO_TEST_PEER_BED_H */
