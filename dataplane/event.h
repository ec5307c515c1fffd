/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Things that happen by themselves and that the control plane wants to hear of (struct abi_event).
 *
 * A worker that comes upon one leaves a note in its own ring with event_note_push(): never waits, and
 * when the ring is full the note is lost, which shows as a gap in the events' numbers. It may be
 * called at unlikely places only. The main lcore takes the notes out (event_notes.h), looks whether
 * the SA or tunnel that one speaks of is still the same, and acts on it.
 *
 * The main lcore keeps the newest ABI_EVENTS_KEPT events in a log and answers ABI_EVENT_READ from it.
 * Its own modules add to it with event_raise(), from event_of_sa() or event_of_tunnel().
 */
#ifndef KAIDO_EVENT_H
#define KAIDO_EVENT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "ip_header.h"

struct event_log;
struct event_ring;
struct gateway;

/* ---- from a worker to the main lcore ---- */

/*
 * About one SA, or, ABI_EVENT_ACQUIRE, a tunnel without one. What the fields mean goes by kind, as in
 * struct abi_event.
 */
struct event_note {
	uint64_t value; /* for example the ESP sequence number; ACQUIRE: the TSC */
	union {
		uint32_t sa; /* id */
		uint32_t tunnel;
	};
	uint32_t generation; /* of the SA: sa_in.generation or sa_out.generation */
	uint32_t count;
	uint16_t port;  /* UDP source, host byte order; 0: none */
	uint8_t kind;   /* enum abi_event_kind */
	uint8_t family; /* enum abi_family of `address`; 0: none */
	uint8_t address[16];
	uint8_t to[16]; /* of the same family, as far as there is one */
	uint16_t to_port;
	uint8_t protocol;
	uint8_t pad[5];
};
static_assert(sizeof(struct event_note) == 64, "a note is one cache line");

/* One worker puts in, the main lcore takes out. NULL: no memory. */
struct event_ring *event_ring_create(void);
void event_ring_destroy(struct event_ring *ring); /* NULL is allowed */

/* The worker. Without a ring (NULL), nothing is noted. */
void event_note_push(struct event_ring *ring, const struct event_note *note);

/* Where an ESP packet came from: `outer` its IP header, `udp` the UDP header behind it or NULL. */
static inline void event_note_source(struct event_note *note, const uint8_t *outer,
				     enum ip_family family, const uint8_t *udp)
{
	note->family = family == IP_V4 ? ABI_IPV4 : ABI_IPV6;
	ip_store(family, ip_source(outer, family), note->address);
	note->port = udp != NULL ? load_be16(udp) : 0;
}

/* The main lcore. False: there is none. */
bool event_note_take(struct event_ring *ring, struct event_note *note);
/* How many were lost since the last call. */
uint64_t event_ring_lost(struct event_ring *ring);

/* ---- the log of the main lcore ---- */

int event_log_create(struct event_log **log);
void event_log_destroy(struct event_log *log); /* NULL is allowed */

/* An event with tenant, tunnel (and SA, SPI) filled in; the object must be there. */
struct abi_event event_of_sa(const struct gateway *gw, uint32_t sa, enum abi_event_kind kind);
struct abi_event event_of_tunnel(const struct gateway *gw, uint32_t tunnel,
				 enum abi_event_kind kind);

/* The event that a note is about; its SA is current. */
struct abi_event event_of_note(const struct gateway *gw, const struct event_note *note);

/* Number and time are given here. */
void event_raise(struct event_log *log, const struct abi_event *event);
/* So many can't be told of: leaves a gap in the numbers. */
void event_skip(struct event_log *log, uint64_t events);

/*
 * The oldest of those kept with a number above `after`, in order, at most `max`. Returns how many.
 * Nothing is taken out.
 */
uint32_t event_read(const struct event_log *log, uint64_t after, struct abi_event *events,
		    uint32_t max);

#endif /* KAIDO_EVENT_H */
