/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tables.h"
#include "vrf.h"

static const struct tables_size small = {
	.max_tenants = 4,
	.max_attachments = 4,
	.max_tunnels = 4,
	.max_sas = 4,
	.max_adjacencies = 4,
	.route_bytes = 1 << 20,
};

/* Resident pages of this process. */
static unsigned long resident(void)
{
	unsigned long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
	fclose(f);
	return pages;
}

static void capacity_is_address_space_only(void **state)
{
	const struct tables_size large = {
		.max_tenants = 1 << 20,
		.max_attachments = 1 << 20,
		.max_tunnels = 1 << 20,
		.max_sas = 1 << 22,
		.max_adjacencies = 1 << 22,
		.route_bytes = 16ull << 30,
	};
	unsigned long before = resident();
	struct tables *t;

	assert_int_equal(tables_create(&large, NULL, 1, &t), 0);
	/* The SAD's buckets may be there; the 768 MiB of SAs and adjacencies may not. */
	assert_true((resident() - before) * (unsigned long)sysconf(_SC_PAGESIZE) < 256ul << 20);
	t->sa[(1 << 22) - 1].in.spi = 1;
	t->adjacency[(1 << 22) - 1].port = 1;
	t->vrf[(1 << 20) - 1].root[0] = 0;
	tables_destroy(t);
}

static void entries_start_zeroed_and_on_cache_lines(void **state)
{
	static const union sa none;
	struct tables *t;

	assert_int_equal(tables_create(&small, NULL, 1, &t), 0);
	assert_int_equal((uintptr_t)t % 64, 0);
	assert_int_equal((uintptr_t)t->sa % 64, 0);
	assert_int_equal((uintptr_t)t->adjacency % 64, 0);
	for (uint32_t i = 0; i < small.max_sas; i++)
		assert_memory_equal(&t->sa[i], &none, sizeof(none));
	tables_destroy(t);
}

static void capacities_are_checked(void **state)
{
	struct tables_size bad = small;
	struct tables *t;

	bad.max_tunnels = 0;
	assert_int_equal(tables_create(&bad, NULL, 1, &t), -EINVAL);
	bad.max_tunnels = ROUTE_INDEX_MAX + 1;
	assert_int_equal(tables_create(&bad, NULL, 1, &t), -EINVAL);
}

static void ports_are_added_once(void **state)
{
	static const uint8_t mac[6] = { 1, 2, 3, 4, 5, 6 };
	struct tables *t;

	assert_int_equal(tables_create(&small, NULL, 1, &t), 0);
	assert_int_equal(tables_add_port(t, PORTS_MAX, mac), -EINVAL);
	assert_int_equal(tables_add_port(t, 2, mac), 0);
	assert_int_equal(tables_add_port(t, 2, mac), -EEXIST);
	assert_int_equal(t->ports, 3);
	assert_int_equal(t->port[2].mac, 0x060504030201);
	assert_null(t->port[0].vlan);
	for (uint32_t i = 0; i < VLANS; i++)
		assert_int_equal(t->port[2].vlan[i], 0);
	tables_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capacity_is_address_space_only),
		cmocka_unit_test(entries_start_zeroed_and_on_cache_lines),
		cmocka_unit_test(capacities_are_checked),
		cmocka_unit_test(ports_are_added_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
