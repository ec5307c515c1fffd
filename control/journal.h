/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happened, kept for a time: events of kaidod and of the dataplane, by name.
 *
 * Entries wait in memory and are written together, within a second. How far the dataplane's events
 * were read is written with them, so that each is kept once whoever dies. A tenant can't push out
 * the entries of others: each may have so many. With a tenant or a tunnel its entries go.
 */
#ifndef KAIDO_CONTROL_JOURNAL_H
#define KAIDO_CONTROL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <jansson.h>

#define JOURNAL_DAYS    90
#define JOURNAL_ROWS    5000    /* of a tenant; as many of no tenant */
#define JOURNAL_ALL     1000000 /* rows, of whomever */
#define JOURNAL_WAITING 8192    /* entries in memory, while the disk can't be written */

struct journal_entry;
struct model;
struct store;

struct journal {
	struct store *store;
	unsigned int days;
	unsigned int rows; /* a tenant */
	STAILQ_HEAD(, journal_entry) waiting;
	uint32_t n_waiting;
	uint64_t lost; /* that did not fit into memory */
	uint64_t boot; /* of the dataplane whose events were read last, ... */
	uint64_t read; /* ... the number of the last one, ... */
	bool moved;    /* ... and whether that is to be written */
	bool trouble;  /* the last writing failed */
	int64_t pruned;
};

/* Reads how far the dataplane's events were read. */
int journal_open(struct journal *journal, struct store *store, unsigned int days,
		 unsigned int rows);
/* What could not be written is lost. */
void journal_close(struct journal *journal);

/* An event as subscribers get it, with `time` and maybe `tenant` and `tunnel`. Borrows it. */
void journal_add(struct journal *journal, const json_t *event);
/* The last event of that dataplane that was read, 0: none of this boot was. */
uint64_t journal_read(const struct journal *journal, uint64_t boot);
void journal_read_to(struct journal *journal, uint64_t boot, uint64_t number);
/* Writes what waits, and removes what is too old or too much. */
int journal_flush(struct journal *journal);
/* Removes what belongs to tenants and tunnels that the model doesn't have. */
int journal_erase(struct journal *journal, const struct model *model);

#endif /* KAIDO_CONTROL_JOURNAL_H */
