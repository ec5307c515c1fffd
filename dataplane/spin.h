/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for another worker, which is never long unless it has lost its core: then this one's is
 * given away, for on a crowded machine it may be the one that the other needs.
 */
#ifndef KAIDO_SPIN_H
#define KAIDO_SPIN_H

#include <sched.h>
#include <stdint.h>

#include <rte_pause.h>

#define SPIN_YIELD 1024 /* turns */

static inline void spin_once(uint32_t *spins)
{
	if (++*spins % SPIN_YIELD == 0)
		sched_yield();
	else
		rte_pause();
}

static inline void spin_lock(uint32_t *lock)
{
	uint32_t spins = 0;

	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0)
		while (__atomic_load_n(lock, __ATOMIC_RELAXED) != 0)
			spin_once(&spins);
}

static inline void spin_unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif /* KAIDO_SPIN_H */
