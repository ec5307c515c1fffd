/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments of ESP that come by the underlay are put together (RFC 791, RFC 8200 section 4.5) before
 * anything else is done with them: native ESP, and UDP, because only the first piece of ESP in UDP
 * shows what it is. DPDK's librte_ip_frag keeps the pieces; they lie in a chain afterwards, and are not
 * copied. Each worker has its own; who polls a shared queue (rx_share.h) uses
 * that of the queue's worker, hence the lock.
 *
 * Only what is addressed to the gateway itself is kept: bounded packets, buffers and time. Who needs
 * room pushes out what has waited longest. Pieces that overlap are dropped with all that belongs to
 * them (RFC 5722), and so is a packet in more pieces than the library takes (RTE_LIBRTE_IP_FRAG_MAX_FRAG).
 *
 * Counters: a piece is a packet of the underlay (row 0) that ends here: as `local`, when it became
 * part of a whole, which then counts as one that came in; or with its drop reason.
 */
#ifndef KAIDO_REASSEMBLY_H
#define KAIDO_REASSEMBLY_H

#include <stdint.h>

#define REASSEMBLY_PACKETS 1024 /* unfinished ones, of native ESP and of UDP each */

struct packet;
struct reassembly;
struct worker;

/*
 * `cycles`: how long a piece waits for the others, in TSC cycles. `buffers`: how many may be held.
 * `socket`: where the memory is. -ENOMEM.
 */
int reassembly_create(uint64_t cycles, uint32_t buffers, int socket, struct reassembly **out);
/* Frees what is held, too. NULL is allowed. */
void reassembly_destroy(struct reassembly *r);

enum reassembly_result {
	REASSEMBLY_TAKEN, /* it waits for others, or was dropped, or handed to the host with them */
	REASSEMBLY_WHOLE, /* p is a whole ESP packet now, esp_offset and all, not yet counted as in */
	REASSEMBLY_REFUSED, /* not a piece for us; nothing was done with it, p->reason says why */
};

/* p is a fragment of protocol 50 or 17. */
enum reassembly_result reassembly_take(struct worker *w, struct packet *p, uint8_t proto);

/* Drops what waited for too long, by a TSC value. */
void reassembly_expire(struct worker *w, uint64_t now);
/* Buffers that are held. */
uint32_t reassembly_held(const struct reassembly *r);

#endif /* KAIDO_REASSEMBLY_H */
