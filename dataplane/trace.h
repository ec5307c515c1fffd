/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Per-packet trace on demand: what became of a packet, its headers, never its payload. Off: one
 * predictable branch per burst. Workers write to one ring (many producers), the main lcore reads.
 */
#ifndef KAIDO_TRACE_H
#define KAIDO_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "packet.h"

struct trace;

int trace_create(struct trace **out);
void trace_destroy(struct trace *t);

/* Main lcore. A start replaces a trace that runs. */
int trace_start(struct trace *t, const struct abi_trace_start *how);
void trace_stop(struct trace *t);
/* Takes up to `max` records out; returns how many. */
uint32_t trace_read(struct trace *t, struct abi_trace_record *records, uint32_t max);

/* Workers. */
bool trace_active(const struct trace *t);
/* tx_port: index, or 0xffff where it was not sent (p->reason says why). */
void trace_packet(struct trace *t, const struct packet *p, uint8_t worker, uint16_t tx_port);

#endif /* KAIDO_TRACE_H */
