/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "stats.h"

static const struct tables_size size = {
	.max_tenants = 10,
	.max_attachments = 11,
	.max_tunnels = 100,
	.max_sas = 1000,
	.max_adjacencies = 10,
};

/* The header's tables stand one after the other. */
static const struct counters_table *tables_of(const struct counters_header *h)
{
	static_assert(offsetof(struct counters_header, sa) -
				      offsetof(struct counters_header, worker) ==
			      7 * sizeof(struct counters_table),
		      "eight tables side by side");
	return &h->worker;
}

static void layout_is_what_the_header_says(void **state)
{
	struct stats *s;
	const struct counters_header *h;
	const struct counters_table *t;
	uint64_t end = 0;

	assert_int_equal(stats_create(&size, 3, 42, &s), 0);
	stats_set_tsc_hz(s, 1234);
	h = mmap(NULL, stats_size(s), PROT_READ, MAP_SHARED, stats_fd(s), 0);
	assert_ptr_not_equal(h, MAP_FAILED);
	assert_int_equal(h->magic, COUNTERS_MAGIC);
	assert_int_equal(h->version, COUNTERS_VERSION);
	assert_int_equal(h->writers, 3);
	assert_int_equal(h->boot, 42);
	assert_int_equal(h->tsc_hz, 1234);
	assert_int_not_equal(h->started, 0);
	assert_int_equal(h->region_offset % 4096, 0);
	assert_int_equal(h->region_size % 4096, 0);
	assert_int_equal(stats_size(s), h->region_offset + 3 * h->region_size);
	t = tables_of(h);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(t[i].offset % 64, 0);
		assert_true(t[i].offset >= end);
		end = t[i].offset + (uint64_t)t[i].rows * t[i].row_size;
	}
	assert_true(end <= h->region_size);
	assert_int_equal(h->tenant.rows, size.max_tenants);
	assert_int_equal(h->sa.rows, size.max_sas);
	assert_int_equal(h->sa.row_size, sizeof(struct counters_sa));
	munmap((void *)(uintptr_t)h, stats_size(s));
	stats_destroy(s);
}

/* Each writer writes to rows of its own, which the reader finds by the header. */
static void writers_have_rows_of_their_own(void **state)
{
	struct stats *s;
	const uint8_t *map;
	const struct counters_header *h;

	assert_int_equal(stats_create(&size, 2, 1, &s), 0);
	map = mmap(NULL, stats_size(s), PROT_READ, MAP_SHARED, stats_fd(s), 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	h = (const struct counters_header *)map;
	for (uint32_t w = 0; w < 2; w++) {
		struct stats_writer writer = stats_writer(s, w);
		const uint8_t *region = map + h->region_offset + w * h->region_size;

		writer.tunnel[99].in_drops = 7 + w;
		writer.tenant_drops[9].reason[63] = 17 + w;
		writer.worker->polls = 27 + w;
		assert_int_equal(
			((const struct counters_tunnel *)(region + h->tunnel.offset))[99].in_drops,
			7 + w);
		assert_int_equal(
			((const struct counters_drops *)(region + h->tenant_drops.offset))[9]
				.reason[63],
			17 + w);
		assert_int_equal(
			((const struct counters_worker *)(region + h->worker.offset))->polls,
			27 + w);
	}
	munmap((void *)(uintptr_t)map, stats_size(s));
	stats_destroy(s);
}

static void receiver_can_only_read(void **state)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | 0x10 /* FUTURE_WRITE */ | F_SEAL_SEAL;
	struct stats *s;
	char path[64];
	int fd, again;

	assert_int_equal(stats_create(&size, 2, 1, &s), 0);
	fd = stats_fd(s);
	assert_int_equal(fcntl(fd, F_GET_SEALS), seals);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	/* Opened anew for writing: the seals belong to the file. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0),
				 MAP_FAILED);
		assert_int_equal(errno, EPERM);
		assert_int_equal(pwrite(again, "x", 1, 0), -1);
		assert_int_equal(ftruncate(again, 0), -1);
		close(again);
	}
	/* The maker goes on writing. */
	stats_writer(s, 1).port[0].rx_packets = 1;
	stats_destroy(s);
}

static void reset_zeroes_one_object_in_all_regions(void **state)
{
	struct stats_writer w[2];
	uint64_t *kept;
	struct stats *s;

	assert_int_equal(stats_create(&size, 2, 1, &s), 0);
	for (uint32_t i = 0; i < 2; i++) {
		w[i] = stats_writer(s, i);
		for (uint32_t id = 4; id <= 6; id++) {
			w[i].tenant[id].in_packets = 1 + i;
			w[i].tenant_drops[id].reason[5] = 1 + i;
			w[i].tunnel[id].out_packets = 1 + i;
			w[i].attachment[id].rx_bytes = 1 + i;
			w[i].sa[id].packets = 1 + i;
		}
	}
	kept = stats_keep(s, STATS_TENANT, 5);
	assert_non_null(kept);
	stats_reset_tenant(s, 5);
	stats_reset_tunnel(s, 5);
	stats_reset_attachment(s, 5);
	stats_reset_sa(s, 5);
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t id = 4; id <= 6; id++) {
			uint64_t expected = id == 5 ? 0 : 1 + i;

			assert_int_equal(w[i].tenant[id].in_packets, expected);
			assert_int_equal(w[i].tenant_drops[id].reason[5], expected);
			assert_int_equal(w[i].tunnel[id].out_packets, expected);
			assert_int_equal(w[i].attachment[id].rx_bytes, expected);
			/* The main lcore has no rows of SAs: they aren't touched. */
			assert_int_equal(w[i].sa[id].packets, i == 0 ? 1 : expected);
		}
	assert_int_equal(w[1].sa[5].epoch, 1);
	assert_int_equal(w[1].sa[4].epoch, 0);
	stats_reset_sa(s, 5);
	assert_int_equal(w[1].sa[5].epoch, 2);
	assert_int_equal(w[0].sa[5].epoch, 0);
	stats_put_back(s, STATS_TENANT, 5, kept);
	free(kept);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(w[i].tenant[5].in_packets, 1 + i);
		assert_int_equal(w[i].tenant_drops[5].reason[5], 1 + i);
	}
	stats_destroy(s);
}

/* Capacity costs address space, not memory. */
static void rows_take_memory_as_they_are_used(void **state)
{
	struct tables_size large = size;
	struct stat st;
	struct stats *s;

	large.max_sas = 4000000;
	assert_int_equal(stats_create(&large, 8, 1, &s), 0);
	assert_true(stats_size(s) > 8ull * 4000000 * 64);
	assert_int_equal(fstat(stats_fd(s), &st), 0);
	assert_true(st.st_blocks * 512 < 4 << 20);
	stats_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_is_what_the_header_says),
		cmocka_unit_test(writers_have_rows_of_their_own),
		cmocka_unit_test(receiver_can_only_read),
		cmocka_unit_test(reset_zeroes_one_object_in_all_regions),
		cmocka_unit_test(rows_take_memory_as_they_are_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
