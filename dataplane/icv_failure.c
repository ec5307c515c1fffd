/* SPDX-License-Identifier: BSD-3-Clause */
#include "icv_failure.h"

#include <arpa/inet.h>
#include <string.h>

#include <rte_cycles.h>

#include "address.h"
#include "event.h"
#include "gateway.h"
#include "log.h"
#include "rate.h"
#include "worker.h"

#define WORKER_RATE   64    /* notes a second of one worker */
#define SA_SILENCE_MS 10000 /* between two events of one SA */
#define EVENT_MS      250   /* between two events of any SAs, on average */
#define EVENT_BURST   32

/* Most failures of a flood end here. */
static bool worker_tells(struct worker *w, uint32_t sa)
{
	struct icv_told *told = &w->icv_told;
	uint64_t now = rte_rdtsc();

	if (told->slot[sa % ICV_SLOTS].sa == sa && now < told->slot[sa % ICV_SLOTS].until)
		return false;
	if (!rate_allows(&told->ready, now, w->tsc_hz / WORKER_RATE, WORKER_RATE))
		return false;
	told->slot[sa % ICV_SLOTS].sa = sa;
	told->slot[sa % ICV_SLOTS].until = now + w->tsc_hz;
	return true;
}

void icv_failure_count(struct worker *w, const struct packet *p)
{
	struct event_note note = {
		.kind = ABI_EVENT_ICV_FAILED,
		.sa = p->sa_id,
		.generation = p->sa->in.generation,
		.value = p->sequence,
	};

	w->stats.sa[p->sa_id].icv_failed++;
	if (!worker_tells(w, p->sa_id))
		return;
	event_note_source(&note, p->l3, p->family,
			  p->flags & PACKET_UDP ? p->l3 + p->esp_offset - 8 : NULL);
	event_note_push(w->events, &note);
}

static uint64_t failures(const struct gateway *gw, uint32_t sa)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < gw->workers; i++)
		n += __atomic_load_n(&gw->worker[i]->stats.sa[sa].icv_failed, __ATOMIC_RELAXED);
	return n;
}

void icv_failure_note(struct gateway *gw, const struct event_note *note)
{
	struct icv_state *icv = &gw->life[note->sa].icv;
	struct abi_event event = event_of_note(gw, note);
	uint64_t all = failures(gw, note->sa);

	if (gw->now_ms < icv->ready || all <= icv->told ||
	    !rate_allows(&gw->icv_ready, gw->now_ms, EVENT_MS, EVENT_BURST))
		return;
	event.count = all - icv->told < UINT32_MAX ? (uint32_t)(all - icv->told) : UINT32_MAX;
	icv->told = all;
	icv->ready = gw->now_ms + SA_SILENCE_MS;
	event_raise(gw->events, &event);
	log_warn("SA %u, SPI 0x%x, of tunnel %u: the integrity check of %u packets failed; the "
		 "last came from %s port %u with sequence number %llu",
		 event.sa, ntohl(event.spi), event.tunnel, event.count,
		 address_text(&event.address).s, event.port, (unsigned long long)event.value);
}
