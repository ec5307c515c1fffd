/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counters' memfd (layout: abi/counters.h). Made once by the main lcore; each writer then owns
 * the rows that stats_writer() gives it. Rows are plain memory of one writer: increment and go on.
 */
#ifndef KAIDO_STATS_H
#define KAIDO_STATS_H

#include <stdint.h>

#include "abi/counters.h"
#include "tables.h"

struct stats;

/* One writer's region. */
struct stats_writer {
	struct counters_worker *worker;
	struct counters_port *port;
	struct counters_drops *port_drops;
	struct counters_attachment *attachment;
	struct counters_tenant *tenant;
	struct counters_drops *tenant_drops;
	struct counters_tunnel *tunnel;
	struct counters_sa *sa;
};

/* writers: 1 (main) + workers. The memfd is sealed against resizing and further writers. */
int stats_create(const struct tables_size *size, uint32_t writers, uint64_t boot,
		 struct stats **stats);
void stats_destroy(struct stats *s);
/* For the header; known once EAL is up. */
void stats_set_tsc_hz(struct stats *s, uint64_t hz);
struct stats_writer stats_writer(struct stats *s, uint32_t writer);
/* To hand over read-only: the receiver can map it PROT_READ only. */
int stats_fd(const struct stats *s);
uint64_t stats_size(const struct stats *s);

/*
 * Zero the rows of a new object in all regions; before the object is published, when no worker can
 * write to them. stats_reset_sa() also counts the row's epoch up.
 */
void stats_reset_tenant(struct stats *s, uint32_t id);
void stats_reset_attachment(struct stats *s, uint32_t id);
void stats_reset_tunnel(struct stats *s, uint32_t id);
void stats_reset_sa(struct stats *s, uint32_t id);

/*
 * An object's rows of all regions, copied aside (the caller frees them; NULL: no memory) and put
 * back: for a change that reset them and is undone. Again, when no worker can write to them.
 */
enum stats_kind { STATS_TENANT, STATS_ATTACHMENT, STATS_TUNNEL, STATS_SA };
uint64_t *stats_keep(const struct stats *s, enum stats_kind kind, uint32_t id);
void stats_put_back(struct stats *s, enum stats_kind kind, uint32_t id, const uint64_t *kept);

#endif /* KAIDO_STATS_H */
