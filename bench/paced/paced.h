/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port that receives at a fixed rate, for benchmarks: what a NIC does with a generator behind it.
 *
 * `LD_PRELOAD=libpaced.so KAIDO_PACED=FILE kaido-dataplane ...` puts it between the first port that is
 * started and its driver, which has to be one that always has packets (net_pcap with infinite_rx). FILE holds
 * struct paced, shared with who runs the benchmark. Packets fall due by the TSC; those that nobody has
 * taken wait in a ring of `depth`, those beyond it are missed, and told as the device's `imissed`. A receive takes no
 * more than are due, so the driver makes no packet in vain, and whatever keeps the worker away
 * shows as a backlog or as loss. The dataplane is the one that is shipped.
 */
#ifndef KAIDO_BENCH_PACED_H
#define KAIDO_BENCH_PACED_H

#include <assert.h>
#include <stdint.h>

struct paced {
	/* By the benchmark. */
	uint64_t rate;  /* packets in 2^32 cycles, from the next turn on; 0: as many as wanted */
	uint64_t depth; /* of the ring */
	uint64_t turn;  /* changed: the clock begins anew, with an empty ring */
	uint64_t reserved[5];
	/* By the port; since the beginning, but for `backlog`: in this turn. */
	uint64_t seen;    /* `turn`, once it holds */
	uint64_t offered; /* what fell due; without a rate what was taken */
	uint64_t taken;
	uint64_t missed;
	uint64_t backlog; /* most that waited at once, those that were missed included */
	uint64_t reserved2[3];
};
static_assert(sizeof(struct paced) == 128, "two cache lines, one for each writer");

#endif /* KAIDO_BENCH_PACED_H */
