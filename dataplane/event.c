/* SPDX-License-Identifier: BSD-3-Clause */
#include "event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "gateway.h"

#define NOTES_MAX 1024 /* what the workers find while the main lcore does something long */

struct event_ring {
	uint64_t lost; /* the worker's */
	uint64_t told; /* the main lcore's: how much of `lost` it has heard of */
	struct rte_ring *notes;
};

struct event_ring *event_ring_create(void)
{
	size_t size = (size_t)rte_ring_get_memsize_elem(sizeof(struct event_note), NOTES_MAX);
	struct event_ring *ring = calloc(1, sizeof(*ring));

	if (ring == NULL)
		return NULL;
	ring->notes = aligned_alloc(RTE_CACHE_LINE_SIZE,
				    RTE_ALIGN_CEIL(size, (size_t)RTE_CACHE_LINE_SIZE));
	if (ring->notes == NULL ||
	    rte_ring_init(ring->notes, "events", NOTES_MAX, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
		event_ring_destroy(ring);
		return NULL;
	}
	return ring;
}

void event_ring_destroy(struct event_ring *ring)
{
	if (ring == NULL)
		return;
	free(ring->notes);
	free(ring);
}

void event_note_push(struct event_ring *ring, const struct event_note *note)
{
	if (ring == NULL)
		return;
	if (rte_ring_sp_enqueue_elem(ring->notes, (void *)(uintptr_t)note, sizeof(*note)) != 0)
		__atomic_store_n(&ring->lost, ring->lost + 1, __ATOMIC_RELAXED);
}

bool event_note_take(struct event_ring *ring, struct event_note *note)
{
	return rte_ring_sc_dequeue_elem(ring->notes, note, sizeof(*note)) == 0;
}

uint64_t event_ring_lost(struct event_ring *ring)
{
	uint64_t lost = __atomic_load_n(&ring->lost, __ATOMIC_RELAXED) - ring->told;

	ring->told += lost;
	return lost;
}

/* ---- the log ---- */

struct event_log {
	uint64_t number;                         /* of the newest event, the lost ones included */
	uint64_t raised;                         /* in all; those kept are the last of them */
	struct abi_event event[ABI_EVENTS_KEPT]; /* by `raised` modulo the size */
};

int event_log_create(struct event_log **log)
{
	*log = calloc(1, sizeof(**log));
	return *log != NULL ? 0 : -ENOMEM;
}

void event_log_destroy(struct event_log *log)
{
	free(log);
}

struct abi_event event_of_tunnel(const struct gateway *gw, uint32_t tunnel,
				 enum abi_event_kind kind)
{
	return (struct abi_event){
		.kind = kind,
		.tenant = gw->tunnel[tunnel].record.tenant,
		.tunnel = tunnel,
	};
}

struct abi_event event_of_sa(const struct gateway *gw, uint32_t sa, enum abi_event_kind kind)
{
	const struct object_sa *o = &gw->sa[sa];
	struct abi_event event = event_of_tunnel(gw, o->tunnel, kind);

	event.sa = sa;
	event.spi = o->spi;
	return event;
}

struct abi_event event_of_note(const struct gateway *gw, const struct event_note *note)
{
	struct abi_event event = event_of_sa(gw, note->sa, note->kind);

	event.value = note->value;
	event.count = note->count;
	event.port = note->port;
	event.address.family = note->family;
	memcpy(event.address.addr, note->address, sizeof(note->address));
	return event;
}

void event_raise(struct event_log *log, const struct abi_event *event)
{
	struct abi_event *slot = &log->event[log->raised++ % ABI_EVENTS_KEPT];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*slot = *event;
	slot->number = ++log->number;
	slot->time = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void event_skip(struct event_log *log, uint64_t events)
{
	log->number += events;
}

uint32_t event_read(const struct event_log *log, uint64_t after, struct abi_event *events,
		    uint32_t max)
{
	uint64_t oldest = log->raised > ABI_EVENTS_KEPT ? log->raised - ABI_EVENTS_KEPT : 0;
	uint64_t from = log->raised;
	uint32_t n = 0;

	/* From the newest back: as a rule a reader has seen nearly all. */
	while (from > oldest && log->event[(from - 1) % ABI_EVENTS_KEPT].number > after)
		from--;
	while (from < log->raised && n < max)
		events[n++] = log->event[from++ % ABI_EVENTS_KEPT];
	return n;
}
