/* SPDX-License-Identifier: BSD-3-Clause */
/* Route tables against a list that is searched from end to end. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <rte_rcu_qsbr.h>

#include "random.h"
#include "reclaim.h"
#include "route_table.h"

#define LIST_MAX 1500

struct listed {
	struct ip_addr prefix;
	uint32_t value;
	uint8_t family;
	uint8_t len;
};

struct list {
	struct listed routes[LIST_MAX];
	uint32_t count;
};

struct world {
	struct reclaim *reclaim;
	struct route_pool *pool;
	struct route_table table;
	struct list list;
	uint64_t seed;
};

static struct world *world_create(uint64_t pool_bytes, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->reclaim = reclaim_create(4);
	assert_non_null(w->reclaim);
	w->pool = route_pool_create(pool_bytes, w->reclaim);
	assert_non_null(w->pool);
	w->seed = seed;
	return w;
}

/* Ends with everything given back. */
static void world_destroy(struct world *w)
{
	route_table_clear(w->pool, &w->table);
	reclaim_wait(w->reclaim);
	assert_int_equal(route_pool_used(w->pool), 0);
	route_pool_destroy(w->pool);
	reclaim_destroy(w->reclaim);
	free(w);
}

static uint64_t used(struct world *w)
{
	reclaim_wait(w->reclaim);
	return route_pool_used(w->pool);
}

static struct listed *list_find(struct list *list, uint8_t family, struct ip_addr prefix,
				uint8_t len)
{
	for (uint32_t i = 0; i < list->count; i++) {
		struct listed *r = &list->routes[i];

		if (r->family == family && r->len == len && ip_equal(r->prefix, prefix))
			return r;
	}
	return NULL;
}

static uint32_t list_lookup(const struct list *list, uint8_t family, struct ip_addr addr)
{
	const struct listed *best = NULL;

	for (uint32_t i = 0; i < list->count; i++) {
		const struct listed *r = &list->routes[i];

		if (r->family == family && ip_equal(r->prefix, ip_prefix(addr, r->len)) &&
		    (best == NULL || r->len > best->len))
			best = r;
	}
	return best != NULL ? best->value : ROUTE_NONE;
}

static struct ip_addr addr_mask(uint8_t family, struct ip_addr addr)
{
	return ip_prefix(addr, ip_bits(family));
}

/* Any address at all, or one that differs from that of a route in a few of its last bits. */
static struct ip_addr random_addr(struct world *w, uint8_t family)
{
	struct ip_addr addr = { random_next(&w->seed), random_next(&w->seed) };
	uint32_t keep;

	if (w->list.count != 0 && random_below(&w->seed, 8) != 0) {
		const struct listed *r = &w->list.routes[random_below(&w->seed, w->list.count)];
		struct ip_addr kept;

		keep = random_below(&w->seed, ip_bits(family) + 1u);
		if (random_below(&w->seed, 2) && r->len < keep)
			keep = r->len;
		kept = ip_prefix(r->prefix, (uint8_t)keep);
		addr.hi ^= ip_prefix(addr, (uint8_t)keep).hi ^ kept.hi;
		addr.lo ^= ip_prefix(addr, (uint8_t)keep).lo ^ kept.lo;
	}
	return addr_mask(family, addr);
}

static uint32_t random_value(struct world *w)
{
	return 1 + random_below(&w->seed, UINT32_MAX);
}

/* Adds or replaces one and checks what that says of the route before. */
static void world_set(struct world *w, uint8_t family, struct ip_addr addr, uint8_t len)
{
	struct ip_addr prefix = ip_prefix(addr, len);
	struct listed *r = list_find(&w->list, family, prefix, len);
	uint32_t value = random_value(w), old = 12345;

	assert_int_equal(route_set(w->pool, &w->table, family, addr, len, value, &old), 0);
	assert_int_equal(old, r != NULL ? r->value : ROUTE_NONE);
	if (r == NULL) {
		assert_true(w->list.count < LIST_MAX);
		r = &w->list.routes[w->list.count++];
	}
	*r = (struct listed){ prefix, value, family, len };
}

static void world_delete(struct world *w, uint32_t i)
{
	struct listed r = w->list.routes[i];
	uint32_t old = 0;

	assert_int_equal(route_delete(w->pool, &w->table, r.family, r.prefix, r.len, &old), 0);
	assert_int_equal(old, r.value);
	assert_int_equal(route_delete(w->pool, &w->table, r.family, r.prefix, r.len, &old),
			 -ENOENT);
	w->list.routes[i] = w->list.routes[--w->list.count];
}

static void check_addr(struct world *w, uint8_t family, struct ip_addr addr)
{
	uint32_t expected = list_lookup(&w->list, family, addr);

	assert_int_equal(route_lookup(w->pool, &w->table, family, addr), expected);
}

static void check_bursts(struct world *w, uint32_t bursts)
{
	const struct route_table empty = { 0 };
	struct route_query q[64];

	while (bursts-- != 0) {
		uint32_t n = 1 + random_below(&w->seed, 64);

		for (uint32_t i = 0; i < n; i++) {
			q[i].family = (uint8_t)random_below(&w->seed, 2);
			q[i].addr = random_addr(w, q[i].family);
			q[i].table = random_below(&w->seed, 16) != 0 ? &w->table : &empty;
			q[i].value = 1;
		}
		route_lookup_burst(w->pool, q, n);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t expected = q[i].table == &empty
						    ? ROUTE_NONE
						    : list_lookup(&w->list, q[i].family, q[i].addr);

			assert_int_equal(q[i].value, expected);
			check_addr(w, q[i].family, q[i].addr);
		}
	}
}

/* Every route is there, found at both its ends, and one off its ends as the list says. */
static void check_routes(struct world *w)
{
	for (uint32_t i = 0; i < w->list.count; i++) {
		struct listed r = w->list.routes[i];
		struct ip_addr ones = ip_prefix((struct ip_addr){ ~0ull, ~0ull }, r.len);
		struct ip_addr last =
			addr_mask(r.family, (struct ip_addr){ r.prefix.hi | ~ones.hi,
							      r.prefix.lo | ~ones.lo });
		struct ip_addr before = r.prefix, after = last;

		assert_int_equal(route_get(w->pool, &w->table, r.family, r.prefix, r.len), r.value);
		check_addr(w, r.family, r.prefix);
		check_addr(w, r.family, last);
		before.hi -= r.family == IP_V4 ? 1ull << 32 : before.lo == 0;
		before.lo -= r.family == IP_V6;
		after.lo += r.family == IP_V6;
		after.hi += r.family == IP_V4 ? 1ull << 32 : after.lo == 0;
		check_addr(w, r.family, before);
		check_addr(w, r.family, after);
	}
}

struct in_order {
	struct world *w;
	struct listed last;
	uint32_t seen;
	uint32_t stop_at;
};

static int check_order(void *arg, enum ip_family family, struct ip_addr prefix, uint8_t len,
		       uint32_t value)
{
	struct in_order *o = arg;
	struct listed *r = list_find(&o->w->list, family, prefix, len);
	struct listed *l = &o->last;

	assert_non_null(r);
	assert_int_equal(r->value, value);
	if (o->seen != 0) {
		bool after = family > l->family;

		if (family == l->family)
			after = prefix.hi > l->prefix.hi ||
				(prefix.hi == l->prefix.hi && prefix.lo > l->prefix.lo) ||
				(ip_equal(prefix, l->prefix) && len > l->len);
		assert_true(after);
	}
	*l = *r;
	return ++o->seen == o->stop_at ? 77 : 0;
}

static void check_walk(struct world *w)
{
	struct in_order o = { .w = w };

	assert_int_equal(route_walk(w->pool, &w->table, check_order, &o), 0);
	assert_int_equal(o.seen, w->list.count);
	assert_int_equal(w->table.routes[IP_V4] + w->table.routes[IP_V6], w->list.count);
	if (w->list.count > 1) {
		o = (struct in_order){ .w = w, .stop_at = w->list.count / 2 };
		assert_int_equal(route_walk(w->pool, &w->table, check_order, &o), 77);
		assert_int_equal(o.seen, w->list.count / 2);
	}
}

static uint8_t random_len(struct world *w, uint8_t family)
{
	static const uint8_t usual[2][8] = { { 0, 8, 16, 24, 24, 31, 32, 32 },
					     { 0, 32, 48, 56, 64, 64, 127, 128 } };

	if (random_below(&w->seed, 2))
		return usual[family][random_below(&w->seed, 8)];
	return (uint8_t)random_below(&w->seed, ip_bits(family) + 1u);
}

static void test_random(void **state)
{
	struct world *w;

	for (uint64_t round = 0; round < 12; round++) {
		w = world_create(64 << 20, round);
		while (w->list.count < 100 + 100 * round) {
			uint8_t family = (uint8_t)random_below(&w->seed, 2);

			world_set(w, family, random_addr(w, family), random_len(w, family));
			if (random_below(&w->seed, 6) == 0)
				world_delete(w, random_below(&w->seed, w->list.count));
			if (random_below(&w->seed, 50) == 0)
				check_bursts(w, 1);
		}
		check_routes(w);
		check_walk(w);
		check_bursts(w, 50);
		while (w->list.count != 0) {
			world_delete(w, random_below(&w->seed, w->list.count));
			if (random_below(&w->seed, 50) == 0)
				check_bursts(w, 1);
			if (w->list.count % 128 == 0) {
				check_routes(w);
				check_walk(w);
			}
		}
		assert_int_equal(used(w), 0);
		assert_int_equal(w->table.root[IP_V4] | w->table.root[IP_V6], 0);
		world_destroy(w);
	}
}

/* All lengths on one path, in both directions. */
static void test_every_length(void **state)
{
	struct world *w = world_create(64 << 20, 3);

	for (uint8_t family = IP_V4; family <= IP_V6; family++) {
		struct ip_addr addr = { random_next(&w->seed), random_next(&w->seed) };
		uint8_t bits = ip_bits(family);

		addr = addr_mask(family, addr);
		for (uint8_t len = 0; len <= bits; len++) {
			world_set(w, family, addr, len);
			check_routes(w);
		}
		check_walk(w);
		while (w->list.count != 0) {
			check_routes(w);
			world_delete(w, w->list.count / 2);
		}
		for (uint8_t len = bits + 1; len-- != 0;) {
			world_set(w, family, addr, len);
			check_routes(w);
		}
		while (w->list.count != 0)
			world_delete(w, 0);
		assert_int_equal(used(w), 0);
	}
	world_destroy(w);
}

/* One route a time of every length: nothing else may match. */
static void test_single(void **state)
{
	struct world *w = world_create(64 << 20, 4);

	for (uint32_t i = 0; i < 3000; i++) {
		uint8_t family = i & 1;
		uint8_t len = (uint8_t)random_below(&w->seed, ip_bits(family) + 1u);

		world_set(w, family, random_addr(w, family), len);
		check_routes(w);
		check_bursts(w, 1);
		assert_int_equal(route_lookup(w->pool, &w->table, !family, random_addr(w, !family)),
				 ROUTE_NONE);
		world_delete(w, 0);
		assert_int_equal(used(w), 0);
	}
	world_destroy(w);
}

/* What is added beside standing routes and taken away again leaves no memory behind. */
static void test_cycle(void **state)
{
	struct world *w = world_create(64 << 20, 5);

	for (uint32_t round = 0; round < 40; round++) {
		uint32_t base = w->list.count;
		uint64_t before = used(w);

		for (uint32_t i = 0; i < 60; i++) {
			uint8_t family = (uint8_t)random_below(&w->seed, 2);
			struct ip_addr addr = random_addr(w, family);
			uint8_t len = random_len(w, family);

			if (list_find(&w->list, family, ip_prefix(addr, len), len) == NULL)
				world_set(w, family, addr, len);
		}
		while (w->list.count != base)
			world_delete(w, base + random_below(&w->seed, w->list.count - base));
		assert_int_equal(used(w), before);
		check_routes(w);
		world_set(w, round & 1, random_addr(w, round & 1), random_len(w, round & 1));
	}
	world_destroy(w);
}

static void test_refusals(void **state)
{
	struct world *w = world_create(1 << 20, 6);
	struct ip_addr a = { 0x0a00000000000000, 0 };
	uint32_t old = 99;

	assert_int_equal(route_set(w->pool, &w->table, IP_V4, a, 33, 1, &old), -EINVAL);
	assert_int_equal(route_set(w->pool, &w->table, IP_V6, a, 129, 1, &old), -EINVAL);
	assert_int_equal(route_set(w->pool, &w->table, IP_V4, a, 8, ROUTE_NONE, &old), -EINVAL);
	assert_int_equal(route_delete(w->pool, &w->table, IP_V4, a, 8, &old), -ENOENT);
	assert_int_equal(route_set(w->pool, &w->table, IP_V4, a, 8, 5, NULL), 0);
	assert_int_equal(route_delete(w->pool, &w->table, IP_V4, a, 255, &old), -ENOENT);
	assert_int_equal(route_delete(w->pool, &w->table, IP_V4, a, 9, &old), -ENOENT);
	assert_int_equal(route_delete(w->pool, &w->table, IP_V4, a, 32, &old), -ENOENT);
	assert_int_equal(route_get(w->pool, &w->table, IP_V4, a, 9), ROUTE_NONE);
	assert_int_equal(route_get(w->pool, &w->table, IP_V4, a, 200), ROUTE_NONE);
	assert_int_equal(old, 99);
	assert_int_equal(route_get(w->pool, &w->table, IP_V4, a, 8), 5);
	world_destroy(w);
}

/* A pool that fills up: the table stays whole, and can be emptied. */
static void test_full(void **state)
{
	for (uint32_t kb = 1; kb <= 32; kb *= 2) {
		struct world *w = world_create(kb * 1024, kb);
		uint32_t refused = 0;

		for (uint32_t i = 0; i < 400; i++) {
			uint8_t family = (uint8_t)random_below(&w->seed, 2);
			struct ip_addr addr = random_addr(w, family);
			uint8_t len = random_len(w, family);
			uint64_t before = used(w);
			uint32_t value = random_value(w), old = 99;
			struct listed *r = list_find(&w->list, family, ip_prefix(addr, len), len);
			int err = route_set(w->pool, &w->table, family, addr, len, value, &old);

			if (err == 0 && r == NULL)
				r = &w->list.routes[w->list.count++];
			if (err == 0) {
				*r = (struct listed){ ip_prefix(addr, len), value, family, len };
				continue;
			}
			assert_int_equal(err, -ENOSPC);
			assert_int_equal(old, 99);
			assert_int_equal(used(w), before);
			if (refused++ % 16 == 0) {
				check_routes(w);
				check_walk(w);
			}
		}
		assert_true(refused != 0);
		while (w->list.count != 0)
			world_delete(w, random_below(&w->seed, w->list.count));
		assert_int_equal(used(w), 0);
		world_destroy(w);
	}
}

static void test_many_tables(void **state)
{
	enum { TABLES = 1000 };
	struct route_table *tables = calloc(TABLES, sizeof(*tables));
	struct world *w = world_create(64 << 20, 8);
	struct ip_addr prefix = { 0x0a00000000000000, 0 }, addr = { 0x0a00000500000000, 0 };
	struct route_query q[64];

	assert_non_null(tables);
	for (uint32_t i = 0; i < TABLES; i++)
		assert_int_equal(route_set(w->pool, &tables[i], IP_V4, prefix, 24, 1 + i, NULL), 0);
	for (uint32_t i = 0; i + 64 <= TABLES; i += 64) {
		for (uint32_t k = 0; k < 64; k++)
			q[k] = (struct route_query){ .table = &tables[i + k], .addr = addr };
		route_lookup_burst(w->pool, q, 64);
		for (uint32_t k = 0; k < 64; k++)
			assert_int_equal(q[k].value, 1 + i + k);
	}
	for (uint32_t i = 0; i < TABLES; i++)
		route_table_clear(w->pool, &tables[i]);
	assert_int_equal(used(w), 0);
	free(tables);
	world_destroy(w);
}

/*
 * A writer gives the routes even and odd values in turns, and takes more specific ones away and puts
 * them back. Whatever a reader sees, it must be a value that the address has had.
 */
enum { READERS = 2, BASES = 64, CHANGES = 40000 };

struct reader {
	struct world *w;
	uint32_t id;
	uint64_t lookups;
	uint64_t wrong;
	bool *stop;
};

static struct ip_addr base_addr(uint32_t i)
{
	return (struct ip_addr){ 0x20010db800000000ull | (uint64_t)i << 13, 0 };
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(r->w->reclaim);
	struct route_query q[BASES];

	rte_rcu_qsbr_thread_online(qsbr, r->id);
	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		for (uint32_t i = 0; i < BASES; i++) {
			q[i] = (struct route_query){ .table = &r->w->table, .family = IP_V6 };
			q[i].addr = base_addr(i);
			q[i].addr.lo = r->lookups & 0xff;
		}
		route_lookup_burst(r->w->pool, q, BASES);
		for (uint32_t i = 0; i < BASES; i++)
			r->wrong += q[i].value % BASES != i || q[i].value == ROUTE_NONE ||
				    q[i].value >= 4 * BASES;
		__atomic_add_fetch(&r->lookups, BASES, __ATOMIC_RELAXED);
		rte_rcu_qsbr_quiescent(qsbr, r->id);
	}
	rte_rcu_qsbr_thread_offline(qsbr, r->id);
	return NULL;
}

/*
 * Values: index + BASES × (1 or 2) for the base route, + BASES × 3 for more specific ones. Of each
 * address one of two routes stands at any time: a mixture of two states would find none.
 */
static void change_route(struct world *w, uint32_t n)
{
	uint32_t i = random_below(&w->seed, BASES);
	uint8_t cover = (uint8_t)(51 + random_below(&w->seed, 10));
	struct ip_addr addr = base_addr(i);

	assert_int_equal(route_set(w->pool, &w->table, IP_V6, addr, 128 - 8, 3 * BASES + i, NULL),
			 0);
	for (uint8_t len = 51; len <= 60; len++)
		route_delete(w->pool, &w->table, IP_V6, addr, len, NULL);
	assert_int_equal(
		route_set(w->pool, &w->table, IP_V6, addr, cover, BASES * (1 + n % 2) + i, NULL),
		0);
	assert_int_equal(route_delete(w->pool, &w->table, IP_V6, addr, 128 - 8, NULL), 0);
	reclaim_poll(w->reclaim);
}

static void test_concurrent(void **state)
{
	struct world *w = world_create(64 << 20, 9);
	struct reader readers[READERS];
	pthread_t threads[READERS];
	bool stop = false;

	for (uint32_t i = 0; i < BASES; i++)
		assert_int_equal(
			route_set(w->pool, &w->table, IP_V6, base_addr(i), 51, BASES + i, NULL), 0);
	for (uint32_t i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .w = w, .id = i, .stop = &stop };
		assert_int_equal(rte_rcu_qsbr_thread_register(reclaim_qsbr(w->reclaim), i), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &readers[i]), 0);
	}
	for (uint32_t i = 0; i < READERS; i++) {
		while (__atomic_load_n(&readers[i].lookups, __ATOMIC_RELAXED) == 0)
			sched_yield();
	}
	for (uint32_t n = 0; n < CHANGES; n++)
		change_route(w, n);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),      cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_single),      cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_refusals),    cmocka_unit_test(test_full),
		cmocka_unit_test(test_many_tables), cmocka_unit_test(test_concurrent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
