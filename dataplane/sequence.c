/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequence.h"

#include "event.h"
#include "worker.h"

/* First number that the SA can never send, whatever it is leased. */
static uint64_t sequence_end(const struct sa_out *sa)
{
	return sa->flags & SA_ESN ? UINT64_MAX : 1ull << 32;
}

uint32_t sequence_take_near(struct worker *w, const struct packet *p, uint32_t n, uint64_t *first,
			    uint64_t limit)
{
	struct sa_out *sa = &p->sa->out;
	uint64_t next = __atomic_load_n(&sa->sequence, __ATOMIC_RELAXED), after;
	struct event_note note = {
		.kind = ABI_EVENT_SA_SEQUENCE,
		.sa = p->sa_id,
		.generation = sa->generation,
		.value = limit - 1,
	};

	do {
		if (next >= limit)
			return 0;
		after = n < limit - next ? next + n : limit;
	} while (!__atomic_compare_exchange_n(&sa->sequence, &next, after, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	*first = next;
	if (after == sequence_end(sa))
		event_note_push(w->events, &note);
	return (uint32_t)(after - next);
}

enum drop_reason sequence_stop_reason(const struct sa_out *sa)
{
	return __atomic_load_n(&sa->sequence, __ATOMIC_RELAXED) >= sequence_end(sa)
		       ? DROP_sequence_used_up
		       : DROP_lease_used_up;
}
