/* SPDX-License-Identifier: BSD-3-Clause */
/* What an inbound packet costs before its AEAD: the SA by its SPI, and the anti-replay window. */
#ifndef KAIDO_SA_HARNESS_H
#define KAIDO_SA_HARNESS_H

#include <stdint.h>

struct sa_harness;

struct sa_pass {
	uint64_t cycles; /* of the TSC */
	double seconds;
};

#define SA_HARNESS_PACKETS (1u << 16)

/* `sas` SAs of random SPIs in a table for 400,000, each with a window of that size. */
struct sa_harness *sa_harness_create(uint32_t sas, uint32_t window);
void sa_harness_destroy(struct sa_harness *h);

/* Looks up a random SPI for each of the packets, in bursts of 64. `miss`: SPIs that aren't there. */
struct sa_pass sa_harness_lookup(struct sa_harness *h, int miss);
/*
 * For each packet, in order, checks a random SA's window; then settles each run of 64 packets under
 * the lock of its SA (one SA), or each packet under its own (several).
 */
struct sa_pass sa_harness_replay(struct sa_harness *h);

#endif /* KAIDO_SA_HARNESS_H */
