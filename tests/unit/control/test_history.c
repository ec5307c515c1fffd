/* SPDX-License-Identifier: BSD-3-Clause */
/* Usage: test_history PATH-OF-KAIDO-GRAPH */
#include "graph.h"
#include "history.h"
#include "history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <rrd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STEP 10

static const char *graph_helper;

struct world {
	struct graph_service *graphs;
	char dir[64];
	struct history *history;
	time_t now; /* on a step */
	struct history_row rows[2];
};

static int world_setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/kaido-test-history.XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	assert_int_equal(history_open(world->dir, STEP, &world->history), 0);
	assert_int_equal(graph_service_start(graph_helper, world->dir, &world->graphs), 0);
	world->now = (1700000000 / 300 + 1) * 300;
	snprintf(world->rows[0].tenant, HISTORY_NAME_LEN, "acme");
	snprintf(world->rows[1].tenant, HISTORY_NAME_LEN, "acme");
	snprintf(world->rows[1].tunnel, HISTORY_NAME_LEN, "branch-1");
	*state = world;
	return 0;
}

static int world_teardown(void **state)
{
	struct world *world = *state;

	graph_service_stop(world->graphs);
	history_close(world->history);
	assert_int_equal(history_open(world->dir, STEP, &world->history), 0);
	assert_int_equal(history_erase(world->history, "acme", NULL), 0);
	assert_int_equal(history_erase(world->history, "other", NULL), 0);
	history_close(world->history);
	char path[128];
	snprintf(path, sizeof(path), "%s/tenants", world->dir);
	rmdir(path);
	assert_int_equal(rmdir(world->dir), 0);
	free(world);
	return 0;
}

/* `steps` samples, `rate` more bytes and a tenth of it more packets a second. */
static void samples_add(struct world *world, int steps, uint64_t rate)
{
	int i, row, series;

	for (i = 0; i < steps; i++) {
		for (row = 0; row < 2; row++)
			for (series = 0; series < HISTORY_SERIES; series++)
				world->rows[row].total[series] += rate * STEP;
		assert_int_equal(history_sample(world->history, world->now, world->rows, 2), 0);
		history_flush(world->history);
		world->now += STEP;
	}
}

/* Rates of a series between two times, one a step, into `rate`. Returns how many. */
static size_t rates_fetch(const struct world *world, const char *tunnel, time_t from, time_t to,
			  const char *cf, unsigned long step, const char *series, double *rate,
			  size_t max)
{
	unsigned long sources, i, column = 99;
	rrd_value_t *data;
	char **names, path[256];
	size_t n = 0;
	time_t t;

	assert_int_equal(history_file_path(path, sizeof(path), world->dir, "acme", tunnel), 0);
	assert_int_equal(rrd_fetch_r(path, cf, &from, &to, &step, &sources, &names, &data), 0);
	for (i = 0; i < sources; i++) {
		if (strcmp(names[i], series) == 0)
			column = i;
		rrd_freemem(names[i]);
	}
	assert_int_not_equal(column, 99);
	for (t = from; t < to && n < max; t += (time_t)step, n++)
		rate[n] = data[n * sources + column];
	rrd_freemem(names);
	rrd_freemem(data);
	return n;
}

static void sampled_rates_come_back(void **state)
{
	struct world *world = *state;
	struct history_status status;
	time_t start = world->now;
	double rate[64];
	size_t n, i;

	samples_add(world, 40, 1000);
	n = rates_fetch(world, "branch-1", start, start + 300, "AVERAGE", STEP, "in_inner_bytes",
			rate, 64);
	assert_true(n >= 30);
	for (i = 0; i < 30; i++)
		assert_float_equal(rate[i], 1000.0, 0.001);
	n = rates_fetch(world, NULL, start, start + 300, "AVERAGE", STEP, "out_drops", rate, 64);
	assert_true(n >= 30);
	assert_float_equal(rate[29], 1000.0, 0.001);
	n = rates_fetch(world, NULL, start, start + 300, "MAX", 300, "out_packets", rate, 64);
	assert_true(n >= 1);
	assert_float_equal(rate[0], 1000.0, 0.001);
	history_status(world->history, &status);
	assert_int_equal(status.rounds, 40);
	assert_int_equal(status.files, 80);
	assert_int_equal(status.errors, 0);
	assert_int_equal(status.pending, 0);
}

/* The totals go on where they stood; ours were away for five minutes. */
static void absence_is_an_average_without_spike(void **state)
{
	struct world *world = *state;
	time_t start = world->now;
	double rate[128];
	size_t n, i;
	int row, series;

	samples_add(world, 10, 1000);
	history_close(world->history);
	world->now += 300;
	for (row = 0; row < 2; row++)
		for (series = 0; series < HISTORY_SERIES; series++)
			world->rows[row].total[series] += 300 * 3000;
	assert_int_equal(history_open(world->dir, STEP, &world->history), 0);
	samples_add(world, 10, 1000);
	n = rates_fetch(world, "branch-1", start, start + 480, "AVERAGE", STEP, "in_packets", rate,
			128);
	assert_true(n >= 48);
	for (i = 0; i < 48; i++)
		assert_in_range((long)(rate[i] * 1000), 999000, 3000001);
	assert_float_equal(rate[20], 1000.0 * 10 / 310 + 3000.0 * 300 / 310, 0.01);
}

static void long_absence_is_a_gap(void **state)
{
	struct world *world = *state;
	double rate[512];
	time_t start = world->now;
	size_t n;

	samples_add(world, 5, 1000);
	world->now += 2 * HISTORY_HEARTBEAT;
	samples_add(world, 5, 1000);
	n = rates_fetch(world, "branch-1", start, world->now - STEP, "AVERAGE", STEP, "in_packets",
			rate, 512);
	assert_true(n > 100);
	assert_true(isnan(rate[50]));
	assert_float_equal(rate[2], 1000.0, 0.001);
}

/* A store that was lost starts its totals again: neither a spike nor a negative rate. */
static void fallen_total_is_a_gap(void **state)
{
	struct world *world = *state;
	double rate[64];
	time_t start = world->now;
	size_t n, i;

	samples_add(world, 10, 1000000);
	memset(world->rows[0].total, 0, sizeof(world->rows[0].total));
	memset(world->rows[1].total, 0, sizeof(world->rows[1].total));
	samples_add(world, 10, 1000);
	n = rates_fetch(world, "branch-1", start, start + 180, "AVERAGE", STEP, "in_inner_bytes",
			rate, 64);
	for (i = 0; i < n && i < 18; i++)
		assert_true(isnan(rate[i]) || (rate[i] > 999 && rate[i] < 1000001));
	assert_true(isnan(rate[9]));
}

static void clock_set_back_loses_no_later_sample(void **state)
{
	struct world *world = *state;
	struct history_status status;
	time_t start = world->now;
	double rate[64];

	samples_add(world, 10, 1000);
	world->now -= 60;
	samples_add(world, 12, 1000);
	history_status(world->history, &status);
	assert_int_equal(status.errors, 0);
	rates_fetch(world, "branch-1", start, start + 100, "AVERAGE", STEP, "in_packets", rate, 64);
	assert_false(isnan(rate[4]));
	rates_fetch(world, "branch-1", start + 110, start + 140, "AVERAGE", STEP, "in_packets",
		    rate, 64);
	assert_false(isnan(rate[0]));
}

/* What no sample was written to says so itself: `present` is zero or unknown there. */
static void time_before_the_first_sample_is_unknown(void **state)
{
	struct world *world = *state;
	time_t start = world->now;
	double present[512];
	size_t n, i;

	samples_add(world, 3, 1000);
	n = rates_fetch(world, "branch-1", start - 3600, start - 60, "AVERAGE", STEP,
			HISTORY_PRESENT, present, 512);
	assert_true(n > 300);
	for (i = 0; i < n; i++)
		assert_false(present[i] > 0.0);
}

static void new_file_takes_little_disk(void **state)
{
	struct world *world = *state;
	struct stat st;
	char path[256];

	samples_add(world, 2, 1000);
	history_file_path(path, sizeof(path), world->dir, "acme", "branch-1");
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= HISTORY_FILE_MAX);
	assert_true(st.st_blocks * 512 < 256 * 1024);
	assert_int_equal(st.st_mode & 07, 0);
}

static void bad_names_are_refused(void **state)
{
	static const char *const bad[] = { "", "-a", "A", "a/b", "..", "a b", "a\n" };
	struct world *world = *state;
	struct history_row row = { .tenant = "acme" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(history_name_check(bad[i]), -EINVAL);
		snprintf(row.tenant, sizeof(row.tenant), "%s", bad[i]);
		assert_int_equal(history_sample(world->history, world->now, &row, 1), -EINVAL);
		assert_int_equal(history_erase(world->history, bad[i], NULL), -EINVAL);
	}
	memset(row.tenant, 'a', sizeof(row.tenant));
	assert_int_equal(history_sample(world->history, world->now, &row, 1), -EINVAL);
	struct history *none;
	assert_int_equal(history_open(world->dir, 7, &none), -EINVAL);
	assert_int_equal(history_open(world->dir, 0, &none), -EINVAL);
}

static void erase_removes_what_is_named_only(void **state)
{
	struct world *world = *state;
	char tenant[256], tunnel[256], other[256];

	snprintf(world->rows[0].tenant, HISTORY_NAME_LEN, "other");
	samples_add(world, 2, 1000);
	snprintf(world->rows[0].tenant, HISTORY_NAME_LEN, "acme");
	samples_add(world, 2, 1000);
	history_file_path(tenant, sizeof(tenant), world->dir, "acme", NULL);
	history_file_path(tunnel, sizeof(tunnel), world->dir, "acme", "branch-1");
	history_file_path(other, sizeof(other), world->dir, "other", NULL);
	assert_int_equal(history_erase(world->history, "acme", "branch-1"), 0);
	assert_int_equal(access(tunnel, F_OK), -1);
	assert_int_equal(access(tenant, F_OK), 0);
	assert_int_equal(history_erase(world->history, "acme", "branch-1"), 0);
	/* What was handed over before goes too, however the threads run. */
	assert_int_equal(history_sample(world->history, world->now, world->rows, 2), 0);
	assert_int_equal(history_erase(world->history, "acme", NULL), 0);
	history_flush(world->history);
	assert_int_equal(access(tenant, F_OK), -1);
	assert_int_equal(access(tunnel, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0);
	assert_int_equal(history_erase(world->history, "never-was", NULL), 0);
}

static bool only_branch_1(const void *context, const char *tenant, const char *tunnel)
{
	return strcmp(tenant, "acme") == 0 && (tunnel == NULL || strcmp(tunnel, "branch-1") == 0);
}

static void sweep_removes_what_nobody_knows(void **state)
{
	struct world *world = *state;
	char tenant[256], tunnel[256], other[256], gone[256];

	history_file_path(tenant, sizeof(tenant), world->dir, "acme", NULL);
	history_file_path(tunnel, sizeof(tunnel), world->dir, "acme", "branch-1");
	history_file_path(other, sizeof(other), world->dir, "other", NULL);
	history_file_path(gone, sizeof(gone), world->dir, "acme", "branch-2");
	assert_int_equal(history_sweep(world->history, only_branch_1, NULL), 0);
	samples_add(world, 2, 1000);
	snprintf(world->rows[0].tenant, HISTORY_NAME_LEN, "other");
	snprintf(world->rows[1].tunnel, HISTORY_NAME_LEN, "branch-2");
	samples_add(world, 2, 1000);
	assert_int_equal(access(other, F_OK) | access(gone, F_OK), 0);
	/* Also what is on its way into a file. */
	assert_int_equal(history_sample(world->history, world->now, world->rows, 2), 0);
	assert_int_equal(history_sweep(world->history, only_branch_1, NULL), 0);
	history_flush(world->history);
	assert_int_equal(access(other, F_OK), -1);
	assert_int_equal(access(gone, F_OK), -1);
	assert_int_equal(access(tenant, F_OK) | access(tunnel, F_OK), 0);
	assert_int_equal(history_sweep(world->history, only_branch_1, NULL), 0);
}

static void damaged_file_is_put_aside(void **state)
{
	struct world *world = *state;
	struct history_status status;
	char path[256], aside[300];

	samples_add(world, 2, 1000);
	history_file_path(path, sizeof(path), world->dir, "acme", "branch-1");
	assert_int_equal(truncate(path, 100), 0);
	samples_add(world, 2, 1000);
	snprintf(aside, sizeof(aside), "%s.broken", path);
	assert_int_equal(access(aside, F_OK), 0);
	assert_int_equal(access(path, F_OK), 0);
	history_status(world->history, &status);
	assert_true(status.errors > 0);
	assert_non_null(strstr(status.error, "branch-1"));
}

static void folder_that_cannot_be_made_is_an_error(void **state)
{
	struct history *history = NULL;

	assert_true(history_open("/proc/kaido-history", STEP, &history) < 0);
	assert_true(history_open("/dev/null/kaido", STEP, &history) < 0);
	assert_null(history);
}

/* A small disk fills up: errors, no crash, and what is there can still be read. */
static void full_disk_is_an_error_not_a_crash(void **state)
{
	char dir[] = "/tmp/kaido-test-disk.XXXXXX", path[128];
	struct history_status status;
	struct history_row row = { .tenant = "acme" };
	struct history *history;
	struct statvfs fs;
	int i, fd;

	assert_non_null(mkdtemp(dir));
	if (mount("none", dir, "tmpfs", 0, "size=24m") < 0) {
		rmdir(dir);
		skip();
	}
	assert_int_equal(history_open(dir, STEP, &history), 0);
	for (i = 0; i < 3; i++) {
		history_sample(history, 1700000000 + i * STEP, &row, 1);
		history_flush(history);
	}
	history_status(history, &status);
	assert_int_equal(status.files, 3);
	snprintf(path, sizeof(path), "%s/fill", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(statvfs(dir, &fs), 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)(fs.f_bavail * fs.f_bsize)), 0);
	close(fd);
	for (; i < 6; i++) {
		history_sample(history, 1700000000 + i * STEP, &row, 1);
		history_flush(history);
	}
	history_status(history, &status);
	assert_int_equal(status.files, 3);
	assert_int_equal(status.errors, 3);
	assert_non_null(strstr(status.error, "free some disk space"));
	assert_int_equal(unlink(path), 0);
	history_sample(history, 1700000000 + i * STEP, &row, 1);
	history_flush(history);
	history_status(history, &status);
	assert_int_equal(status.files, 4);
	history_close(history);
	assert_int_equal(umount(dir), 0);
	rmdir(dir);
}

/* Asks for a graph and waits for it; `data` holds what came, `image` points into it. */
static int graph_draw(struct world *world, const struct graph_request *request, uint8_t **data,
		      const uint8_t **image, size_t *len, char error[256])
{
	struct pollfd ready = { .events = POLLIN };
	size_t used = 0;
	ssize_t n;
	int rc;

	*data = NULL;
	rc = graph_start(world->graphs, request, &ready.fd, error, 256);
	if (rc < 0)
		return rc;
	*data = malloc(GRAPH_RESULT_MAX);
	while (poll(&ready, 1, 300000) == 1) {
		n = read(ready.fd, *data + used, GRAPH_RESULT_MAX - used);
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	close(ready.fd);
	return graph_result(*data, used, image, len, error, 256);
}

static void graph_is_an_image(void **state)
{
	static const uint8_t png[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	static const char *const all[] = { "10m", "1h", "1d", "7d", "30d", "13M" };
	struct world *world = *state;
	struct graph_request request = { .tenant = "acme",
					 .tunnel = "branch-1",
					 .title = "Acme: 50% \\ \"Sapporo\"\n 札幌" };
	char error[256] = "";
	const uint8_t *image;
	uint8_t *data;
	size_t len, i;

	samples_add(world, 60, 125000);
	request.end = world->now;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		request.period = all[i];
		assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), 0);
		assert_true(len > 1000);
		assert_memory_equal(image, png, sizeof(png));
		free(data);
	}
	request.format = "svg";
	request.period = "1h";
	request.timezone = "Asia/Tokyo";
	request.tunnel = NULL;
	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), 0);
	assert_non_null(memmem(image, len, "<svg", 4));
	assert_non_null(memmem(image, len, "</svg>", 6));
	free(data);
	/* No samples at that time: still an image. */
	request.end = 1000000000;
	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), 0);
	assert_non_null(memmem(image, len, "<svg", 4));
	free(data);
}

/* A graph of nothing has no table, so as SVG it is smaller by all its letters. */
static void graph_shows_the_first_minute(void **state)
{
	static const char *const all[] = { "10m", "1h", "1d" };
	struct world *world = *state;
	struct graph_request request = { .tenant = "acme", .format = "svg" };
	const uint8_t *image;
	size_t empty, len, i;
	char error[256] = "";
	uint8_t *data;

	samples_add(world, 6, 125000);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		request.period = all[i];
		request.end = 1000000000;
		assert_int_equal(graph_draw(world, &request, &data, &image, &empty, error), 0);
		free(data);
		request.end = world->now;
		assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), 0);
		assert_true(len > empty + 20000);
		free(data);
	}
}

static void graph_refuses_what_it_cannot_draw(void **state)
{
	struct world *world = *state;
	struct graph_request request = { .tenant = "acme" };
	char error[256] = "", path[256];
	const uint8_t *image;
	uint8_t *data;
	size_t len;

	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), -ENOENT);
	free(data);
	samples_add(world, 2, 1000);
	request.tenant = "../acme";
	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), -EINVAL);
	assert_non_null(strstr(error, "../acme"));
	request.tenant = "acme";
	request.period = "2y";
	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), -EINVAL);
	assert_non_null(strstr(error, "13M"));
	request.period = "1d";
	request.timezone = "../../etc/passwd";
	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), -EINVAL);
	request.timezone = "UTC";
	request.format = "jpeg";
	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), -EINVAL);
	request.format = "png";
	history_file_path(path, sizeof(path), world->dir, "acme", NULL);
	assert_int_equal(truncate(path, 50), 0);
	assert_int_equal(graph_draw(world, &request, &data, &image, &len, error), -EIO);
	assert_true(strlen(error) > 10);
	free(data);
}

static void graph_cut_short_is_an_error(void **state)
{
	static const char *const bad[] = { "",          "ok",      "ok 5\nab",
					   "ok 2\nabc", "ok -1\n", "ok 99999999999999999999\n",
					   "\n\n" };
	const uint8_t *image;
	char error[256];
	size_t i, len;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(graph_result((const uint8_t *)bad[i], strlen(bad[i]), &image, &len,
					      error, sizeof(error)),
				 -EIO);
	assert_int_equal(
		graph_result((const uint8_t *)"ok 2\nab", 7, &image, &len, error, sizeof(error)),
		0);
	assert_int_equal(len, 2);
	assert_int_equal(image[0], 'a');
}

int main(int argc, char **argv)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		WORLD_TEST(sampled_rates_come_back),
		WORLD_TEST(absence_is_an_average_without_spike),
		WORLD_TEST(long_absence_is_a_gap),
		WORLD_TEST(fallen_total_is_a_gap),
		WORLD_TEST(clock_set_back_loses_no_later_sample),
		WORLD_TEST(time_before_the_first_sample_is_unknown),
		WORLD_TEST(new_file_takes_little_disk),
		WORLD_TEST(bad_names_are_refused),
		WORLD_TEST(erase_removes_what_is_named_only),
		WORLD_TEST(sweep_removes_what_nobody_knows),
		WORLD_TEST(damaged_file_is_put_aside),
		cmocka_unit_test(folder_that_cannot_be_made_is_an_error),
		cmocka_unit_test(full_disk_is_an_error_not_a_crash),
		WORLD_TEST(graph_is_an_image),
		WORLD_TEST(graph_shows_the_first_minute),
		WORLD_TEST(graph_refuses_what_it_cannot_draw),
		cmocka_unit_test(graph_cut_short_is_an_error),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s PATH-OF-KAIDO-GRAPH\n", argv[0]);
		return 2;
	}
	graph_helper = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
