/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataplane's events are asked for ten times a second, for IKE waits for some of them (a peer that
 * moved, a packet that wants an SA), and whenever there were more than one answer holds.
 */
#include "reconcile_steps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane_client.h"
#include "log.h"
#include "store.h"

static enum abi_sa_state state_after(uint32_t kind)
{
	return kind == ABI_EVENT_SA_HARD   ? ABI_SA_HARD
	       : kind == ABI_EVENT_SA_SOFT ? ABI_SA_SOFT
					   : ABI_SA_LIVE;
}

/* What has ended stays dead, also in the next dataplane: to the disk before anything else. */
static int lives_mark(struct reconcile *reconcile, const struct abi_event *events, uint32_t count)
{
	bool open = false;
	int ret = 0;

	for (uint32_t i = 0; i < count && ret == 0; i++) {
		enum abi_sa_state state = state_after(events[i].kind);

		if (state == ABI_SA_LIVE)
			continue;
		if (!open)
			ret = store_begin(reconcile->store);
		open = true;
		if (ret == 0)
			ret = life_mark(&reconcile->lives, events[i].sa, state);
	}
	if (open && ret == 0)
		ret = store_commit(reconcile->store);
	if (open && ret < 0)
		store_abort(reconcile->store);
	return ret;
}

/* Some are gone that were never read. How SAs stand is then seen in a dump. */
static void gap_tell(struct reconcile *reconcile, uint64_t missed)
{
	char line[128];

	if (missed == 0)
		return;
	snprintf(line, sizeof(line), "%llu events of the dataplane were lost: too many at a time",
		 (unsigned long long)missed);
	reconcile_event(reconcile, "events-lost", NULL, NULL, line);
	reconcile_all(reconcile);
}

static void events_ask(struct reconcile *reconcile);

static void events_arrived(void *context, int error, const char *text,
			   const struct abi_event *records, uint32_t count)
{
	struct reconcile *reconcile = context;
	struct abi_event event;

	reconcile->events_asked = false;
	if (error != 0) {
		if (error != -ENOTCONN)
			log_error("the dataplane's events can't be read: %s", text);
		reconcile->events_refused = error != -ENOTCONN;
		return;
	}
	if (count == 0 || lives_mark(reconcile, records, count) < 0)
		return; /* asked for again in a second */
	for (uint32_t i = 0; i < count; i++) {
		event = records[i];
		if (event.number <= reconcile->events_read)
			continue;
		gap_tell(reconcile, event.number - reconcile->events_read - 1);
		reconcile->events_read = event.number;
		reconcile->hooks.happened(reconcile->hooks.context, &event);
	}
	reconcile->hooks.read(reconcile->hooks.context, reconcile->hello.boot,
			      reconcile->events_read);
	events_ask(reconcile);
}

static void events_ask(struct reconcile *reconcile)
{
	/* Until SAs were looked at, an event of one can't be laid to its life. */
	if (!reconcile->connected || reconcile->events_asked || reconcile->events_refused ||
	    reconcile->busy || reconcile->installed == NULL)
		return;
	reconcile->events_asked = dataplane_events(reconcile->client, reconcile->events_read,
						   events_arrived, reconcile) == 0;
}

void reconcile_events_due(int fd, short what, void *context)
{
	events_ask(context);
}
