/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequence numbers of outbound SAs, which are their nonces, too: none is sent twice. RFC 4303
 * section 3.3.3: the counter must not cycle, so an SA ends with number 2^32 - 1, or with ESN
 * 2^64 - 2 (its limit, the first number that may not be sent, must fit into 64 bits itself).
 */
#ifndef KAIDO_SEQUENCE_H
#define KAIDO_SEQUENCE_H

#include <stdint.h>

#include <rte_branch_prediction.h>

#include "drop.h"
#include "packet.h"
#include "sa.h"
#include "worker.h"

/*
 * Far from the limit numbers are taken by an addition. Near it, and with limits so high that an
 * addition could go round one day, by an exchange that never goes beyond the limit: no number is then
 * skipped, and the counter stays where it ends.
 */
#define SEQUENCE_NEAR    (1u << 16)
#define SEQUENCE_ADD_MAX (1ull << 63)

/* Near the limit; says so when the SA ends. */
uint32_t sequence_take_near(struct worker *w, const struct packet *p, uint32_t n, uint64_t *first,
			    uint64_t limit);
/* Why nothing was granted. */
enum drop_reason sequence_stop_reason(const struct sa_out *sa);

/*
 * Takes a block for a run of n packets of p's SA. Returns how many were granted; none behind the
 * lease is ever used.
 */
static inline uint32_t sequence_take(struct worker *w, const struct packet *p, uint32_t n,
				     uint64_t *first)
{
	struct sa_out *sa = &p->sa->out;
	uint64_t limit = __atomic_load_n(&sa->sequence_limit, __ATOMIC_RELAXED);
	uint64_t next = __atomic_load_n(&sa->sequence, __ATOMIC_RELAXED);

	if (unlikely(next + SEQUENCE_NEAR >= limit || limit > SEQUENCE_ADD_MAX))
		return sequence_take_near(w, p, n, first, limit);
	if (likely(w->alone)) {
		*first = next;
		__atomic_store_n(&sa->sequence, next + n, __ATOMIC_RELAXED);
		return n;
	}
	*first = __atomic_fetch_add(&sa->sequence, n, __ATOMIC_RELAXED);
	if (likely(*first + n <= limit))
		return n;
	/* Others took all that was there since the look. */
	return *first < limit ? (uint32_t)(limit - *first) : 0;
}

#endif /* KAIDO_SEQUENCE_H */
