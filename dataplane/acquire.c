/* SPDX-License-Identifier: BSD-3-Clause */
/* The workers' part of acquires. */
#include "acquire.h"

#include <rte_cycles.h>

#include "event.h"
#include "rate.h"
#include "segments.h"
#include "selector.h"
#include "worker.h"

#define WORKER_RATE 256 /* notes a second of one worker, and at once */

static bool acquire_due(struct worker *w, struct acquire *a)
{
	uint64_t now = rte_rdtsc(), ready = __atomic_load_n(&a->ready, __ATOMIC_RELAXED);

	return now >= ready &&
	       rate_allows(&w->acquire_ready, now, w->tsc_hz / WORKER_RATE, WORKER_RATE) &&
	       /* Of several workers one tells. */
	       __atomic_compare_exchange_n(&a->ready, &ready, now + w->tsc_hz, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static uint16_t port_of(const struct selector_key *k, enum selector_end end)
{
	return k->port[end] <= SELECTOR_PORTS ? (uint16_t)k->port[end] : 0;
}

void acquire_ask(struct worker *w, const struct packet *p)
{
	struct acquire *a = &w->tables->acquire[p->tunnel];
	struct event_note note = { .kind = ABI_EVENT_ACQUIRE, .tunnel = p->tunnel, .count = 1 };
	struct selector_key k;

	if (!__atomic_load_n(&a->wanted, __ATOMIC_RELAXED) || (p->flags & PACKET_DUMMY) ||
	    (__atomic_load_n(&a->selectors, __ATOMIC_RELAXED) &&
	     !selectors_allow(w, p, SELECTOR_LOCAL)) ||
	    !acquire_due(w, a))
		return;
	k = selector_key_of(p->l3, p->family, packet_contiguous(p));
	note.value = rte_rdtsc();
	note.family = p->family == IP_V4 ? ABI_IPV4 : ABI_IPV6;
	note.protocol = k.protocol;
	ip_store(p->family, ip_source(p->l3, p->family), note.address);
	ip_store(p->family, ip_destination(p->l3, p->family), note.to);
	note.port = port_of(&k, SOURCE);
	note.to_port = port_of(&k, DESTINATION);
	event_note_push(w->events, &note);
}
