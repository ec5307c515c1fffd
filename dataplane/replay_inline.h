/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of replay.h that runs per packet. Include replay.h instead. */
#ifndef KAIDO_REPLAY_INLINE_H
#define KAIDO_REPLAY_INLINE_H

/* Counts what is lost and empties what is entered, for a seq right of the window. */
void replay_slide(struct replay *r, uint64_t seq);

/* Acquires, so that who sees a new top sees the words that were emptied for it. */
static inline uint64_t replay_load(const uint64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

/*
 * Appendix A2.2 in one line: of all numbers with this low half it is the only one in the 2^32
 * numbers from the left edge of the window on. Both of its cases follow from 64-bit arithmetic, and
 * a window that reaches below 0 starts at 0. Without a window: the one nearest to the top, or
 * reordered packets would be taken for ones of the next 2^32.
 */
static inline uint64_t replay_guess(const struct replay *r, uint32_t low)
{
	uint64_t top = replay_load(&r->top);
	uint64_t reach = r->window != 0 ? r->window - 1 : 1u << 31;
	uint64_t left = top > reach ? top - reach : 0;

	return left + (uint32_t)(low - (uint32_t)left);
}

/* The most frequent slide: by one number, within a word. One number leaves the window. */
static inline void replay_step(struct replay *r, uint64_t seq)
{
	uint64_t left = seq - r->window;
	uint64_t seen = r->bits[left / 64 & r->mask] >> left % 64 & 1;

	if (seen == 0 && r->window != 0)
		__atomic_store_n(&r->lost, r->lost + 1, __ATOMIC_RELAXED);
}

/*
 * While another core commits, this may take a number for new that no longer is, which
 * replay_commit() settles, or tell SEEN and LATE apart wrongly; never refuse one that is new.
 */
static inline enum replay_verdict replay_check(const struct replay *r, uint64_t seq)
{
	uint64_t top = replay_load(&r->top);

	if (seq == 0)
		return REPLAY_ZERO;
	if (seq > top || r->window == 0)
		return REPLAY_NEW;
	if (top - seq >= r->window)
		return REPLAY_LATE;
	if (replay_load(&r->bits[seq / 64 & r->mask]) >> seq % 64 & 1)
		return REPLAY_SEEN;
	return REPLAY_NEW;
}

static inline enum replay_verdict replay_commit(struct replay *r, uint64_t seq)
{
	enum replay_verdict verdict = replay_check(r, seq);
	uint64_t *word = &r->bits[seq / 64 & r->mask];

	if (verdict != REPLAY_NEW)
		return verdict;
	if (seq > r->top) {
		if (seq == r->top + 1 && seq % 64 != 0 && seq > r->window && r->top != 0)
			replay_step(r, seq);
		else if (r->window != 0)
			replay_slide(r, seq);
		__atomic_store_n(&r->top, seq, __ATOMIC_RELEASE);
	}
	__atomic_store_n(word, *word | 1ull << seq % 64, __ATOMIC_RELAXED);
	return REPLAY_NEW;
}

static inline void replay_lock(struct replay *r)
{
	while (__atomic_exchange_n(&r->lock, 1, __ATOMIC_ACQUIRE) != 0) {
		while (__atomic_load_n(&r->lock, __ATOMIC_RELAXED) != 0)
			__builtin_ia32_pause();
	}
}

static inline void replay_unlock(struct replay *r)
{
	__atomic_store_n(&r->lock, 0, __ATOMIC_RELEASE);
}

#endif /* KAIDO_REPLAY_INLINE_H */
