/* SPDX-License-Identifier: BSD-3-Clause */
#include "esn_recovery.h"

#include <string.h>

#include "event.h"
#include "replay.h"
#include "worker.h"

#define NEXT_HIGH_HALF (1ull << 32)

/* The ciphertext of an operation to the copy or back, whatever pieces it lies in. */
static void copy_ciphertext(const struct aead_op *op, uint8_t *copy, bool back)
{
	const struct aead_segment whole = { .data = op->data, .len = op->len };
	const struct aead_segment *s = op->chain != NULL ? op->chain : &whole;

	for (uint32_t left = op->len, n; left != 0; left -= n, copy += n, s = s->next) {
		n = s->len < left ? s->len : left;
		memcpy(back ? s->data : copy, back ? copy : s->data, n);
	}
}

void esn_recovery_save(struct worker *w, const struct packet *p, const struct aead_op *op)
{
	uint32_t *failed = &p->sa->in.replay->failed;
	uint32_t n = __atomic_load_n(failed, __ATOMIC_RELAXED);

	if (w->esn.saved != NULL || op->len > ESN_COPY_MAX)
		return;
	/* The count begins anew, so that no other worker tries before so many more have failed. */
	if (n < ESN_FAILURES ||
	    !__atomic_compare_exchange_n(failed, &n, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	copy_ciphertext(op, w->esn.copy, false);
	w->esn.saved = p;
}

/* Another worker may have found it at the same time. */
static void recovered(struct worker *w, const struct packet *p)
{
	const struct sa_in *sa = &p->sa->in;
	struct event_note note = {
		.kind = ABI_EVENT_ESN_RECOVERED,
		.sa = p->sa_id,
		.generation = sa->generation,
		.value = p->sequence,
	};

	if (replay_guess(sa->replay, (uint32_t)p->sequence) == p->sequence)
		return;
	event_note_source(&note, p->l3, p->family,
			  p->flags & PACKET_UDP ? p->l3 + p->esp_offset - 8 : NULL);
	event_note_push(w->events, &note);
}

bool esn_recovery_try(struct worker *w, struct packet *p, struct aead_op *op)
{
	uint64_t sequence = p->sequence;

	for (uint32_t i = 0; i < ESN_TRIES && p == w->esn.saved; i++) {
		sequence += NEXT_HIGH_HALF;
		if (sequence < NEXT_HIGH_HALF) /* there is no such number */
			break;
		copy_ciphertext(op, w->esn.copy, true);
		memcpy(op->aad + 4, &(uint32_t){ __builtin_bswap32((uint32_t)(sequence >> 32)) },
		       sizeof(uint32_t));
		w->esn.tries++;
		if (aead_decrypt(w->tables->aead, op, 1) == 0) {
			p->sequence = sequence;
			recovered(w, p);
			return true;
		}
	}
	__atomic_fetch_add(&p->sa->in.replay->failed, 1, __ATOMIC_RELAXED);
	return false;
}
