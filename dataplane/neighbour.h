/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: whose MAC address is whose, on tenants' attachments (ARP and ND, RFC 826 and 4861) and
 * on the underlay (told by the host stack, or permanent). A resolved neighbour has an adjacency and
 * a host route in its VRF, so that workers need no look-up but the route's.
 *
 * Owner and only caller: the main lcore.
 */
#ifndef KAIDO_NEIGHBOUR_H
#define KAIDO_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "ip.h"
#include "packet.h"

struct gateway;
struct neighbours;

int neighbours_create(struct gateway *gw, struct neighbours **out);
void neighbours_destroy(struct neighbours *n);

/*
 * The adjacency towards a next hop, made (and being resolved) where there is none; holds a
 * reference that neighbour_put() gives back. 0: a table is full.
 */
uint32_t neighbour_get(struct neighbours *n, uint32_t attachment, enum ip_family family,
		       struct ip_addr addr);
/* Another reference to one that is there. */
void neighbour_hold(struct neighbours *n, uint32_t adjacency);
void neighbour_put(struct neighbours *n, uint32_t adjacency);
/* Whose next hop an adjacency is. */
int neighbour_of(const struct neighbours *n, uint32_t adjacency, uint32_t *attachment,
		 enum ip_family *family, struct ip_addr *addr);

/* Set by the operator: never ages. -ENOENT (attachment), -ENOSPC. */
int neighbour_set_permanent(struct neighbours *n, uint32_t attachment, enum ip_family family,
			    struct ip_addr addr, const uint8_t mac[6]);
/* Forgets a permanent one; -ENOENT. */
int neighbour_delete_permanent(struct neighbours *n, uint32_t attachment, enum ip_family family,
			       struct ip_addr addr);
/* Learnt from ARP / ND or from the host stack; mac NULL: it is gone. */
void neighbour_learn(struct neighbours *n, uint32_t attachment, enum ip_family family,
		     struct ip_addr addr, const uint8_t *mac);
/* Forgets what was learnt on an attachment that goes away or changes (permanent ones too). */
void neighbour_flush(struct neighbours *n, uint32_t attachment);

/* For dumps, in no order. A non-zero return of fn ends the walk and is returned. */
typedef int (*neighbour_walk_fn)(void *arg, const struct abi_neighbour *neighbour);
int neighbour_walk(const struct neighbours *n, neighbour_walk_fn fn, void *arg);

/* A packet that waits for an adjacency or an on-link destination; takes the mbuf. */
void neighbour_wait(struct neighbours *n, struct rte_mbuf *mbuf);
/* ARP or ND frame received on an attachment; takes the mbuf. */
void neighbour_receive(struct neighbours *n, struct rte_mbuf *mbuf);
/* Retries, ageing; `now` in milliseconds, monotonic. */
void neighbour_tick(struct neighbours *n, uint64_t now);

#endif /* KAIDO_NEIGHBOUR_H */
