/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast the time stamp counter and the core run: what TSC cycles mean on this machine. */
#ifndef KAIDO_CORE_CLOCK_H
#define KAIDO_CORE_CLOCK_H

#include <stdint.h>

struct core_clock {
	uint64_t tsc_hz;
	uint64_t core_hz; /* while it works hard, as it does in a benchmark */
};

/* Takes 30 ms. */
struct core_clock core_clock_measure(void);

#endif /* KAIDO_CORE_CLOCK_H */
