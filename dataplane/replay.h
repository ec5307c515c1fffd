/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Anti-replay window of one inbound SA: RFC 4303 section 3.4.3 and appendix A2 (ESN), as a ring of
 * words like RFC 6479. A window of 0 turns the check off but still tracks the highest number, which
 * ESN needs.
 *
 * A worker first asks replay_check() (read-only, may be stale), decrypts, and then settles what was
 * authenticated with replay_commit() under the lock, once per run of packets of one SA.
 *
 * Lost: a number counts when it leaves the window and no packet had brought it. What left the window
 * of the first packet does not count, for an SA may be taken over in mid-stream; the numbers inside
 * that first window do. A packet that comes after all (REPLAY_LATE) stays counted. Without a window
 * nothing counts.
 */
#ifndef KAIDO_REPLAY_H
#define KAIDO_REPLAY_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_WINDOW_MAX 4096

struct replay {
	uint64_t top;    /* highest authenticated number, 0: none yet */
	uint64_t lost;   /* numbers that left the window (or were jumped over) unseen, see below */
	uint32_t window; /* packets */
	uint32_t mask;   /* words in the ring - 1 */
	uint32_t lock;   /* held by replay_lock() */
	uint32_t failed; /* ICV failures in a row; of ESN SAs, see esn_recovery.h (atomic) */
	uint64_t bits[]; /* bit n of word (seq / 64 & mask) is seq % 64 */
};
static_assert(sizeof(struct replay) == 32, "the head and 256 bits of window in one cache line");

enum replay_verdict {
	REPLAY_NEW = 0,
	REPLAY_SEEN,
	REPLAY_LATE, /* left of the window */
	REPLAY_ZERO, /* number 0 is never sent */
};

/* Bytes that a window needs; window is rounded up to whole words by the ring, not by the check. */
size_t replay_size(uint32_t window);
void replay_init(struct replay *r, uint32_t window);

/*
 * The whole 64-bit number of a packet that carries its low half, by where the window stands
 * (RFC 4303 appendix A2.2). Belongs to the packet: nothing is stored.
 */
static inline uint64_t replay_guess(const struct replay *r, uint32_t low);
static inline enum replay_verdict replay_check(const struct replay *r, uint64_t seq);
/* Under the lock, for an authenticated packet. Marks it when it is new. */
static inline enum replay_verdict replay_commit(struct replay *r, uint64_t seq);
static inline void replay_lock(struct replay *r);
static inline void replay_unlock(struct replay *r);

#include "replay_inline.h"

#endif /* KAIDO_REPLAY_H */
