/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared by the files of the neighbours: the table (neighbour.c), packets that wait for an entry
 * (neighbour_wait.c), what is asked and answered on the link (neighbour_ask.c).
 */
#ifndef KAIDO_NEIGHBOUR_INTERNAL_H
#define KAIDO_NEIGHBOUR_INTERNAL_H

#include "neighbour.h"

#include <rte_mbuf.h>

#include "drop.h"
#include "gateway.h"

#define WAITING_MAX 8 /* packets per neighbour, while it is being resolved */

struct neighbour {
	struct ip_addr addr;
	uint64_t due;        /* ms: when neighbour_tick() has to look at it */
	uint32_t attachment; /* 0: free */
	uint32_t next;       /* in the hash chain, or in the free list */
	uint32_t references;
	uint8_t family;
	uint8_t state; /* enum abi_neighbour_state */
	uint8_t probes;
	uint8_t waiting;
	uint8_t mac[6];
	bool routed; /* its host route is in the VRF */
	bool failed;
	struct rte_mbuf *packet[WAITING_MAX];
};

/* What an attachment takes of what all share. */
struct share {
	uint32_t entries;
	uint32_t unresolved;
	uint32_t waiting; /* buffers */
};

struct neighbours {
	struct gateway *gw;
	struct neighbour *entry; /* [max_adjacencies]; [0] unused */
	uint32_t *bucket;        /* heads of the hash chains */
	struct share *share;     /* [max_attachments] */
	uint32_t entries_max;    /* of an attachment, made by packets */
	uint32_t waiting;        /* buffers, in all */
	uint32_t mask;
	uint32_t free; /* head of the free list */
	uint32_t used; /* entries below were used once */
	uint32_t cursor;
	uint64_t now;
	uint64_t warn_due;
};

static inline const struct abi_attachment *neighbour_attachment(const struct neighbours *n,
								uint32_t id)
{
	return &n->gw->attachment[id].record;
}

static inline bool neighbour_is_hosts(const struct neighbours *n, uint32_t attachment)
{
	return neighbour_attachment(n, attachment)->netdev[0] != '\0';
}

/* ---- the table ---- */

/* 0: none. */
uint32_t neighbour_find(const struct neighbours *n, uint32_t attachment, enum ip_family family,
			struct ip_addr addr);
/* An unresolved one; 0: the table is full. */
uint32_t neighbour_new(struct neighbours *n, uint32_t attachment, enum ip_family family,
		       struct ip_addr addr);

/* ---- waiting packets ---- */

void neighbour_drop(struct neighbours *n, struct rte_mbuf *m, enum drop_reason reason);
/* To a worker: only workers send. */
void neighbour_send(struct neighbours *n, struct rte_mbuf *m);
/* What waits for entry i is sent, or dropped for a reason. */
void neighbour_release(struct neighbours *n, uint32_t i, enum drop_reason reason);

/* ---- asking ---- */

/* Asks for entry i once more. */
void neighbour_probe(struct neighbours *n, uint32_t i);

#endif /* KAIDO_NEIGHBOUR_INTERNAL_H */
