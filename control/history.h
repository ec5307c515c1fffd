/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * History: what each tenant and tunnel carried, kept in librrd files.
 *
 *     DIR/tenants/<tenant>/tenant.rrd
 *     DIR/tenants/<tenant>/tunnels/<tunnel>.rrd
 *
 * A file holds the rates of HISTORY_SERIES counters: every `step` seconds (10 as a rule) for two
 * days, and every five minutes, average and maximum, for thirteen months. It is a sparse file: it
 * takes disk as it fills, from 20 KiB at first to HISTORY_FILE_MAX in the end.
 *
 * The caller hands over totals that only grow: continuous over rekey and over restarts of either
 * process. Two totals up to HISTORY_HEARTBEAT seconds apart give the average between them, so a
 * shorter absence of the control plane leaves neither a gap nor a spike. A longer one is a gap, as
 * is a total that fell.
 *
 * Threads: files are written by a thread of the history's own, so that no call of the event loop
 * waits for a disk: history_sample() and history_status() only copy. history_erase() waits for at
 * most one file, and history_sweep() reads folders. All functions may be called from any thread but history_close(), which is last.
 */
#ifndef KAIDO_CONTROL_HISTORY_H
#define KAIDO_CONTROL_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HISTORY_NAME_LEN  32       /* zero-terminated, [a-z0-9][a-z0-9-]* */
#define HISTORY_HEARTBEAT 900      /* seconds */
#define HISTORY_FILE_MAX  18000000 /* bytes, at a step of 10 s */

/* In the order of struct counters_tunnel: `out` is what goes into the tunnel, `in` what comes out. */
enum history_series {
	HISTORY_OUT_PACKETS,
	HISTORY_OUT_INNER_BYTES,
	HISTORY_OUT_OUTER_BYTES,
	HISTORY_OUT_DROPS,
	HISTORY_IN_PACKETS,
	HISTORY_IN_INNER_BYTES,
	HISTORY_IN_OUTER_BYTES,
	HISTORY_IN_DROPS,
	HISTORY_SERIES,
};

struct history_row {
	char tenant[HISTORY_NAME_LEN];
	char tunnel[HISTORY_NAME_LEN]; /* empty: the tenant's own row */
	uint64_t total[HISTORY_SERIES];
};

struct history_status {
	uint64_t rounds;  /* samples of everything, finished */
	uint64_t skipped; /* rounds refused because the one before was still being written */
	uint64_t files;   /* files updated, over all rounds */
	uint64_t errors;  /* files that could not be updated */
	uint64_t cpu_ns;  /* CPU time of the writing thread */
	uint64_t pending; /* rounds handed over and not finished */
	char error[384];  /* the last failure, for the log; empty: none yet */
};

struct history;

/*
 * Opens or makes the folder `dir`. `step`: seconds between samples, a divisor of 300.
 * -EINVAL: step; -EACCES, -EROFS, -ENOSPC ...: the folder can't be written.
 */
int history_open(const char *dir, uint32_t step, struct history **history);

/* Finishes what was handed over, then frees. */
void history_close(struct history *history);

/*
 * Hands over totals as they stood at `now`; `rows` is copied. -EBUSY: the round before the last is
 * still being written (a slow disk); nothing is lost but resolution. -EINVAL: a bad name.
 */
int history_sample(struct history *history, time_t now, const struct history_row *rows, size_t n);

/* Waits until all that was handed over is in the files. */
void history_flush(struct history *history);

void history_status(struct history *history, struct history_status *status);

/*
 * Removes all history of a tenant, or of one of its tunnels (`tunnel` not NULL), also what is
 * handed over and not yet written. 0 also when there was none; negative errno when files are left.
 */
int history_erase(struct history *history, const char *tenant, const char *tunnel);

/* Is it to be kept? `tunnel` is NULL where the tenant itself is meant. */
typedef bool history_known(const void *context, const char *tenant, const char *tunnel);

/*
 * Removes all history that `known` says no to, also what is handed over and not yet written. It is
 * called with locks held: it must only look. Takes as long as reading the folders and removing what
 * goes; 0, or the first error, with as much removed as could be.
 */
int history_sweep(struct history *history, history_known *known, const void *context);

/* Whether `name` may be a tenant's or tunnel's name here. */
int history_name_check(const char *name);

#endif /* KAIDO_CONTROL_HISTORY_H */
