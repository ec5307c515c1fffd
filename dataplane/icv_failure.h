/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets whose integrity check failed are auditable events (RFC 4303 section 3.4.4.1). All are
 * counted per SA by each worker; they are told of rarely, as anybody who sees an SPI can cause them:
 * once in 10 s per SA, with the number since the last time, and so many a second in all.
 *
 * A worker only keeps itself from filling its ring: it remembers in few slots of which SAs it told
 * within the last second. The main lcore, which knows all counters, decides.
 */
#ifndef KAIDO_ICV_FAILURE_H
#define KAIDO_ICV_FAILURE_H

#include <stdint.h>

#define ICV_SLOTS 64 /* a power of two */

struct event_note;
struct gateway;
struct packet;
struct worker;

/* A worker's: which SAs it told of, and until when (TSC) it is silent about them. */
struct icv_told {
	uint64_t ready; /* of its rate over all SAs */
	struct {
		uint64_t until;
		uint32_t sa;
	} slot[ICV_SLOTS]; /* by SA id modulo the number */
};

/* Of an SA, kept by the main lcore; zero at first. */
struct icv_state {
	uint64_t ready; /* ms: no event before */
	uint64_t told;  /* packets in the events so far */
};

/* Worker: p, which still has its outer header, failed. */
void icv_failure_count(struct worker *w, const struct packet *p);
/* Main lcore. */
void icv_failure_note(struct gateway *gw, const struct event_note *note);

#endif /* KAIDO_ICV_FAILURE_H */
