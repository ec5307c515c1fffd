/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP that is ahead of its SA. Where we begin an exchange, many peers send with the new SA as soon as
 * they have answered (RFC 7296 section 2.8 has them wait when it is a rekey), while ours is there only
 * when IKE has read the answer. So a packet whose SPI no SA has is kept for a moment. When an SA comes
 * that has it, the packet goes on as if it had just been classified; else it is dropped as spi_unknown,
 * as it would have been at once.
 *
 * Nothing of such a packet is authenticated: anybody may send some, and fill the place. So it is bounded
 * in buffers and time, and it is everybody's by shares: by a keyed hash of the outer source (IPv6: its
 * /64) each belongs to one of EARLY_SHARES, and where there is no room the oldest of the fullest share
 * gives way. One source at whatever rate takes no more than what others leave; who can forge sources
 * can make the moment shorter for all, down to what it was without.
 *
 * Only a commit that brings inbound SAs makes a worker look whether one is waited for, and the next
 * time not before a time that grows with the number of those that wait: it costs a worker a few
 * hundredths of its time at most. Until it has looked, what comes for an SA that is new waits behind: a
 * packet must not overtake so many that they are left of the window then. Nothing of the tables is held
 * but the attachment's id, with its generation.
 *
 * Counters: a packet that waits is in its port's and attachment's rows alone; the underlay's or the
 * tenant's have it when that is decided, and so has a trace.
 *
 * Threads: each worker has its own, and no other touches it. What a worker took from another one's
 * queue (rx_share.h) waits with who took it, without an order between the two.
 */
#ifndef KAIDO_EARLY_H
#define KAIDO_EARLY_H

#include <stdbool.h>
#include <stdint.h>

#define EARLY_SHARES 64

struct early;
struct packet;
struct worker;

/*
 * `buffers`: how many may be held, at least 1. `cycles`: how long, and `pause`: for each that is held,
 * how long until the next look, in TSC cycles. `socket`: where the memory is. -ENOMEM.
 */
int early_create(uint32_t buffers, uint64_t cycles, uint64_t pause, int socket, struct early **out);
/* Frees what is held, too. NULL is allowed. */
void early_destroy(struct early *e);

/* p, not yet counted as in, has an SPI that no SA has. False: it isn't kept, nothing was done with it. */
bool early_hold(struct worker *w, struct packet *p);

/*
 * p's SA was found, and w->early_held is not 0: does p wait all the same, because others of its SA may?
 * True: taken.
 */
bool early_queue(struct worker *w, struct packet *p);

/*
 * To be called in every poll while w->early_held is not 0, at a TSC value: those whose SA has come go
 * through the walk to its end, those that waited for too long are dropped. Returns how many.
 */
uint32_t early_poll(struct worker *w, uint64_t now);

/* The worker stops: all are dropped and counted. */
void early_end(struct worker *w);

#endif /* KAIDO_EARLY_H */
