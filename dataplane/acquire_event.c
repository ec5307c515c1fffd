/* SPDX-License-Identifier: BSD-3-Clause */
/* The main lcore's part of acquires. */
#include <string.h>

#include <rte_cycles.h>

#include "acquire.h"
#include "event.h"
#include "gateway.h"

void acquire_update(struct gateway *gw, uint32_t tunnel)
{
	uint32_t flags = gw->tunnel[tunnel].record.flags;
	struct acquire *a = &gw->tables->acquire[tunnel];
	uint8_t wanted = (flags & ABI_TUNNEL_ACQUIRE) != 0;
	uint8_t selectors = (flags & ABI_TUNNEL_SELECTORS) != 0;

	/* Those that never wanted it take no memory. */
	if (a->wanted == wanted && a->selectors == selectors)
		return;
	if (!a->wanted) {
		a->since = rte_rdtsc();
		__atomic_store_n(&a->ready, 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&a->selectors, selectors, __ATOMIC_RELAXED);
	__atomic_store_n(&a->wanted, wanted, __ATOMIC_RELAXED);
}

void acquire_note(struct gateway *gw, const struct event_note *note)
{
	const struct object_tunnel *o = &gw->tunnel[note->tunnel];
	struct abi_event event;

	/*
	 * It waited in its ring, and may be about what another tenant's tunnel, with that id before,
	 * had to send; or there is an SA by now.
	 */
	if (!(o->record.flags & ABI_TUNNEL_ACQUIRE) || o->newest_out != 0 ||
	    note->value < gw->tables->acquire[note->tunnel].since)
		return;
	event = event_of_tunnel(gw, note->tunnel, ABI_EVENT_ACQUIRE);
	event.count = note->count;
	event.protocol = note->protocol;
	event.port = note->port;
	event.to_port = note->to_port;
	event.address.family = note->family;
	event.to.family = note->family;
	memcpy(event.address.addr, note->address, sizeof(note->address));
	memcpy(event.to.addr, note->to, sizeof(note->to));
	event_raise(gw->events, &event);
}
