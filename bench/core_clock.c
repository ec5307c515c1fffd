/* SPDX-License-Identifier: BSD-3-Clause */
#include "core_clock.h"

#include <time.h>
#include <x86intrin.h>

#define ADDS   1000000u /* each waits for the one before: one core cycle each */
#define TRIES  20
#define WAIT_S 0.02

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t adds_time(void)
{
	uint64_t began = __rdtsc(), x = 0;

	for (uint32_t i = 0; i < ADDS / 8; i++)
		__asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
				 "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0"
				 : "+r"(x));
	return __rdtsc() - began;
}

struct core_clock core_clock_measure(void)
{
	uint64_t least = UINT64_MAX, began;
	struct core_clock clock;
	double start, end;

	for (uint32_t i = 0; i < TRIES; i++) {
		uint64_t cycles = adds_time();

		if (cycles < least)
			least = cycles;
	}
	start = now();
	began = __rdtsc();
	do {
		end = now();
	} while (end - start < WAIT_S);
	clock.tsc_hz = (uint64_t)((double)(__rdtsc() - began) / (end - start));
	clock.core_hz = (uint64_t)((double)clock.tsc_hz * ADDS / (double)least);
	return clock;
}
