/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPU time of keeping the history: rounds of 1,000 tenants with ten tunnels each.
 * Usage: bench-history FOLDER [ROUNDS]     (FOLDER is made, and emptied at the end)
 */
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENANTS 1000
#define TUNNELS 10
#define ROWS    (TENANTS * (TUNNELS + 1))
#define STEP    10

static void rows_name(struct history_row *rows)
{
	for (int i = 0; i < ROWS; i++) {
		snprintf(rows[i].tenant, HISTORY_NAME_LEN, "bench-%d", i / (TUNNELS + 1));
		if (i % (TUNNELS + 1) > 0)
			snprintf(rows[i].tunnel, HISTORY_NAME_LEN, "tunnel-%d", i % (TUNNELS + 1));
	}
}

static int round_run(struct history *history, struct history_row *rows, time_t now, int round)
{
	struct history_status before, after;
	int i, series, rc;

	for (i = 0; i < ROWS; i++)
		for (series = 0; series < HISTORY_SERIES; series++)
			rows[i].total[series] += (uint64_t)(i + series) * 1000;
	history_status(history, &before);
	rc = history_sample(history, now, rows, ROWS);
	if (rc < 0)
		return rc;
	history_flush(history);
	history_status(history, &after);
	printf("round %3d  %6llu files  %7.3f s CPU  %5.1f %% of a core at %d s%s\n", round,
	       (unsigned long long)(after.files - before.files),
	       (double)(after.cpu_ns - before.cpu_ns) / 1e9,
	       (double)(after.cpu_ns - before.cpu_ns) / 1e7 / STEP, STEP,
	       round == 0 ? "  (makes the files)" : "");
	if (after.errors > before.errors)
		printf("           %llu errors, the last: %s\n",
		       (unsigned long long)(after.errors - before.errors), after.error);
	return after.files - before.files == ROWS ? 0 : -1;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 10, i, rc;
	struct history_row *rows = calloc(ROWS, sizeof(*rows));
	struct history *history;
	time_t now = time(NULL) / STEP * STEP;

	if (argc < 2 || rows == NULL) {
		fprintf(stderr, "usage: %s FOLDER [ROUNDS]\n", argv[0]);
		return 2;
	}
	rc = history_open(argv[1], STEP, &history);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-rc));
		return 1;
	}
	rows_name(rows);
	for (i = 0; i < rounds && rc == 0; i++)
		rc = round_run(history, rows, now + i * STEP, i);
	for (i = 0; i < ROWS; i += TUNNELS + 1)
		history_erase(history, rows[i].tenant, NULL);
	history_close(history);
	free(rows);
	return rc == 0 ? 0 : 1;
}
