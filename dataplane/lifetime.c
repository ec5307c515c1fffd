/* SPDX-License-Identifier: BSD-3-Clause */
/* The workers' part: see lifetime_watch.c for the main lcore's. */
#include "lifetime.h"

#include "event.h"
#include "worker.h"

static void lifetime_tell(struct worker *w, const struct packet *p, enum abi_event_kind kind,
			  enum abi_limit limit)
{
	struct event_note note = {
		.kind = (uint8_t)kind,
		.sa = p->sa_id,
		.generation = p->walk == ABI_TRACE_OUTBOUND ? p->sa->out.generation
							    : p->sa->in.generation,
		.value = limit,
	};

	event_note_push(w->events, &note);
}

/*
 * Charges `amount` and returns what was charged before. Behind the hard limit nothing is added, so
 * that the count can't wrap; it is as far behind as all workers' runs at most.
 */
static uint64_t charge(struct worker *w, const struct packet *p, uint64_t *used, uint64_t amount,
		       uint64_t soft, uint64_t hard, enum abi_limit limit)
{
	uint64_t before = __atomic_load_n(used, __ATOMIC_RELAXED);

	if (before >= hard)
		return before;
	before = __atomic_fetch_add(used, amount, __ATOMIC_RELAXED);
	if (before < soft && before + amount >= soft)
		lifetime_tell(w, p, ABI_EVENT_SA_SOFT, limit);
	if (before < hard && before + amount >= hard)
		lifetime_tell(w, p, ABI_EVENT_SA_HARD, limit);
	return before;
}

uint32_t lifetime_take_packets(struct worker *w, const struct packet *first, uint32_t n)
{
	struct lifetime *l = &w->tables->lifetime[first->sa_id];
	uint64_t soft = __atomic_load_n(&l->soft_packets, __ATOMIC_RELAXED);
	uint64_t hard = __atomic_load_n(&l->hard_packets, __ATOMIC_RELAXED);
	uint64_t before;

	if (n == 0 || (soft == UINT64_MAX && hard == UINT64_MAX))
		return n;
	before = charge(w, first, &l->packets, n, soft, hard, ABI_LIMIT_PACKETS);
	if (before >= hard)
		return 0;
	return n < hard - before ? n : (uint32_t)(hard - before);
}

/* What pads a packet that goes out is not the tenant's. */
static uint32_t inner_bytes(const struct packet *p)
{
	return p->walk == ABI_TRACE_OUTBOUND ? p->inner_length : p->length;
}

uint32_t lifetime_take_bytes(struct worker *w, struct packet *const *run, uint32_t n)
{
	struct lifetime *l = &w->tables->lifetime[run[0]->sa_id];
	uint64_t soft = __atomic_load_n(&l->soft_bytes, __ATOMIC_RELAXED);
	uint64_t hard = __atomic_load_n(&l->hard_bytes, __ATOMIC_RELAXED);
	uint64_t before, bytes = 0;

	if (n == 0 || (soft == UINT64_MAX && hard == UINT64_MAX))
		return n;
	for (uint32_t i = 0; i < n; i++)
		bytes += inner_bytes(run[i]);
	before = charge(w, run[0], &l->bytes, bytes, soft, hard, ABI_LIMIT_BYTES);
	if (before >= hard)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (inner_bytes(run[i]) > hard - before)
			return i;
		before += inner_bytes(run[i]);
	}
	return n;
}

void lifetime_inbound(struct worker *w, struct packet_list *list)
{
	uint32_t i = 0, kept = 0;

	while (i < list->n) {
		uint32_t first = i, id = list->p[i]->sa_id, granted;

		while (i < list->n && list->p[i]->sa_id == id)
			i++;
		granted = i - first;
		if (w->tables->sa[id].in.flags & SA_LIFETIME)
			granted = lifetime_take_bytes(w, &list->p[first], i - first);
		for (uint32_t k = first; k < i; k++) {
			if (k - first >= granted) {
				packet_drop(w, list->p[k], DROP_sa_expired);
				continue;
			}
			list->p[kept++] = list->p[k];
		}
	}
	list->n = kept;
	w->ageing = false;
}
