/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long an SA may serve: RFC 4301 section 4.4.2.1. Soft: an event, and all goes on. Hard: an event,
 * and the SA carries nothing more, in either direction; also where it is the newest of its tunnel.
 *
 * Bytes are those of inner packets. Workers charge what they are about to carry to the SA's counts,
 * with one atomic addition per run of packets, which hands each of them a stretch of its own: so a
 * limit holds to the packet however many workers carry the SA, and exactly one of them sees that it is
 * reached. The first packet that does not fit ends the SA. Inbound only what was authenticated and is new to the
 * replay window is charged. An SA without limits has no flag SA_LIFETIME and costs nothing here.
 *
 * The main lcore hears of it by a note (event.h), raises the event and sets SA_EXPIRED, so that what comes
 * later isn't even decrypted; seconds it counts itself (deadline.h).
 */
#ifndef KAIDO_LIFETIME_H
#define KAIDO_LIFETIME_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"

struct event_note;
struct gateway;
struct packet;
struct packet_list;
struct worker;

/* Workers: rw, `bytes` and `packets`; control: wo, the rest. Of an SA, in a table of its own. */
struct lifetime {
	uint64_t bytes; /* charged so far, with the first packet that was too much */
	uint64_t packets;
	uint64_t soft_bytes; /* limits, which may change while in use; UINT64_MAX: none */
	uint64_t soft_packets;
	uint64_t hard_bytes;
	uint64_t hard_packets;
	uint64_t reserved[2];
};
static_assert(sizeof(struct lifetime) == 64, "a lifetime is one cache line");

/* ---- workers; of SAs with SA_LIFETIME ---- */

/* A run of packets of one SA: so many of the first may go. Outbound p->inner_length
 * is known by then, inbound p->length is that of the inner packet. */
uint32_t lifetime_take_packets(struct worker *w, const struct packet *first, uint32_t n);
uint32_t lifetime_take_bytes(struct worker *w, struct packet *const *run, uint32_t n);
/* Nothing may go any more. */
static inline bool lifetime_is_over(const struct lifetime *l)
{
	return __atomic_load_n(&l->packets, __ATOMIC_RELAXED) >=
		       __atomic_load_n(&l->hard_packets, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&l->bytes, __ATOMIC_RELAXED) >=
		       __atomic_load_n(&l->hard_bytes, __ATOMIC_RELAXED);
}
/* The inbound walk behind decapsulation: drops what the SA's bytes don't reach for. */
void lifetime_inbound(struct worker *w, struct packet_list *list);

/* ---- main lcore ---- */

/* A new SA. Returns whether its packets or bytes are limited: SA_LIFETIME. */
bool lifetime_init(struct lifetime *l, const struct abi_sa *r);
/* A live one was set again; what it has carried so far counts. */
void lifetime_change(struct gateway *gw, uint32_t sa);
/* The SA is there, or goes: its seconds. */
void lifetime_start(struct gateway *gw, uint32_t sa);
void lifetime_stop(struct gateway *gw, uint32_t sa);
/* A worker has seen that a limit was reached. Its SA is current. */
void lifetime_note(struct gateway *gw, const struct event_note *note);
/* The clock; costs nothing while no limit is reached. */
void lifetime_tick(struct gateway *gw);
/* Where a live SA stands. */
enum abi_sa_state lifetime_state(const struct gateway *gw, uint32_t sa);

#endif /* KAIDO_LIFETIME_H */
