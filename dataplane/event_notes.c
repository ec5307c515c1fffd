/* SPDX-License-Identifier: BSD-3-Clause */
#include "event_notes.h"

#include "acquire.h"
#include "gateway.h"
#include "icv_failure.h"
#include "worker.h"

#define NOTES_AT_ONCE 256 /* of a worker, in one turn of the main lcore's loop */

/*
 * A note waits in its ring, and meanwhile the SA may have been deleted and its id given to another
 * one: that one is not to blame.
 */
static bool note_is_current(const struct gateway *gw, const struct event_note *note)
{
	const union sa *slot = &gw->tables->sa[note->sa];

	switch (gw->sa[note->sa].direction) {
	case ABI_SA_IN:
		return slot->in.generation == note->generation;
	case ABI_SA_OUT:
		return slot->out.generation == note->generation;
	default: /* the id is free */
		return false;
	}
}

static void note_raise(struct gateway *gw, const struct event_note *note)
{
	struct abi_event event = event_of_note(gw, note);

	event_raise(gw->events, &event);
}

static void note_handle(struct gateway *gw, const struct event_note *note)
{
	if (note->kind == ABI_EVENT_ACQUIRE) {
		acquire_note(gw, note);
		return;
	}
	if (!note_is_current(gw, note))
		return;
	switch (note->kind) {
	case ABI_EVENT_SA_SOFT:
	case ABI_EVENT_SA_HARD:
		lifetime_note(gw, note);
		break;
	case ABI_EVENT_ICV_FAILED:
		icv_failure_note(gw, note);
		break;
	case ABI_EVENT_PEER_MOVED:
		peer_note(gw, note);
		break;
	default:
		note_raise(gw, note);
	}
}

void event_notes_drain(struct gateway *gw)
{
	struct event_note note;

	for (uint32_t i = 0; i < gw->workers; i++) {
		struct event_ring *ring = gw->worker[i]->events;

		for (uint32_t n = 0; n < NOTES_AT_ONCE && event_note_take(ring, &note); n++)
			note_handle(gw, &note);
		event_skip(gw->events, event_ring_lost(ring));
	}
}
