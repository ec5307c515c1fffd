/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The walks of a worker without ports, one SA, bursts of BURST_MAX packets that are in the caches: what
 * is charged to each stage. The cipher is one of the stages, so the others are seen without it.
 */
#ifndef KAIDO_ESP_HARNESS_H
#define KAIDO_ESP_HARNESS_H

#include <stdint.h>

#include "abi/counters.h"

struct esp_harness;

struct esp_pass {
	double seconds;
	uint64_t packets;
	uint64_t stage[COUNTERS_STAGES]; /* TSC cycles, by enum counters_stage */
};

/* EAL; once a process. */
void esp_harness_begin(void);
/* `size` of the inner packet: up to 1400. Ends the process when it can't. */
struct esp_harness *esp_harness_create(uint32_t size);
void esp_harness_destroy(struct esp_harness *harness);

/* From a tenant's frames to ESP, or back. Ends the process unless all packets come out. */
struct esp_pass esp_harness_outbound(struct esp_harness *harness);
struct esp_pass esp_harness_inbound(struct esp_harness *harness);

#endif /* KAIDO_ESP_HARNESS_H */
