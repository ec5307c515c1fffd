/* SPDX-License-Identifier: BSD-3-Clause */
#include "route_harness.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "reclaim.h"
#include "route_table.h"

#define BURST 64u

struct route {
	struct ip_addr prefix;
	uint8_t family;
	uint8_t len;
};

struct route_harness {
	struct route_shape shape;
	struct reclaim *reclaim;
	struct route_pool *pool;
	struct route_table *tables;
	struct route *routes; /* table by table */
	struct route_query *trace;
	struct route_load load;
	uint64_t seed;
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint32_t below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((next_random(state) >> 32) * limit >> 32);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double rss_mib(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static struct route random_route(struct route_harness *h, uint32_t i)
{
	static const uint8_t v4[20] = { 24, 24, 24, 24, 24, 24, 24, 24, 24, 24,
					24, 24, 23, 23, 22, 22, 21, 20, 19, 16 };
	static const uint8_t v6[20] = { 48, 48, 48, 48, 48, 48, 48, 48, 48, 48,
					44, 44, 40, 40, 36, 32, 32, 32, 29, 46 };
	static const uint8_t tenant_v4[4] = { 16, 24, 24, 32 };
	static const uint8_t tenant_v6[4] = { 48, 56, 64, 64 };
	uint64_t bits = next_random(&h->seed);
	struct route r = { .family = IP_V4 };

	switch (h->shape.plan) {
	case ROUTE_PLAN_INTERNET_V4:
		r.len = v4[below(&h->seed, 20)];
		r.prefix.hi = (1ull + below(&h->seed, 223)) << 56 | bits >> 8;
		break;
	case ROUTE_PLAN_INTERNET_V6: /* below some ten thousand /32 */
		r.family = IP_V6;
		r.len = v6[below(&h->seed, 20)];
		r.prefix.hi =
			0x2000000000000000ull | (uint64_t)below(&h->seed, 40000) << 36 | bits >> 32;
		break;
	default:
		if (h->shape.plan == ROUTE_PLAN_TENANT && i % 2 != 0) {
			r.family = IP_V6;
			r.len = tenant_v6[below(&h->seed, 4)];
			r.prefix.hi = 0xfd00000000000000ull | bits >> 40;
		} else {
			r.len = tenant_v4[below(&h->seed, 4)];
			r.prefix.hi = 0x0a00000000000000ull | bits >> 8;
		}
	}
	r.prefix = ip_prefix(r.prefix, r.len);
	if (r.family == IP_V4)
		r.prefix = ip_prefix(r.prefix, 32);
	return r;
}

static bool harness_fill(struct route_harness *h)
{
	double began, rss = rss_mib();
	uint32_t old;

	began = now();
	for (uint32_t t = 0; t < h->shape.tables; t++) {
		struct route *routes = &h->routes[(size_t)t * h->shape.routes];

		for (uint32_t i = 0; i < h->shape.routes;) {
			struct route *r = &routes[i];

			if (route_set(h->pool, &h->tables[t], r->family, r->prefix, r->len, 1 + i,
				      &old) != 0)
				return false;
			if (old == ROUTE_NONE)
				i++;
			else
				*r = random_route(h, i); /* there already: another one */
		}
	}
	reclaim_wait(h->reclaim);
	h->load.seconds = now() - began;
	h->load.mib_rss = rss_mib() - rss;
	h->load.mib_used = (double)route_pool_used(h->pool) / (1 << 20);
	return true;
}

static void trace_draw(struct route_harness *h)
{
	for (uint32_t i = 0; i < h->shape.packets; i++) {
		uint32_t table = below(&h->seed, h->shape.tables);
		const struct route *r = &h->routes[(size_t)table * h->shape.routes +
						   below(&h->seed, h->shape.routes)];
		struct ip_addr addr = { next_random(&h->seed), next_random(&h->seed) };
		struct ip_addr mask = ip_prefix((struct ip_addr){ ~0ull, ~0ull }, r->len);

		addr.hi = (addr.hi & ~mask.hi) | r->prefix.hi;
		addr.lo = (addr.lo & ~mask.lo) | r->prefix.lo;
		h->trace[i] = (struct route_query){
			.table = &h->tables[table],
			.addr = ip_prefix(addr, ip_bits((enum ip_family)r->family)),
			.family = r->family,
		};
	}
}

static bool trace_is_right(const struct route_harness *h)
{
	for (uint32_t i = 0; i < h->shape.packets; i++) {
		const struct route_query *q = &h->trace[i];
		uint32_t value =
			route_lookup(h->pool, q->table, (enum ip_family)q->family, q->addr);

		if (value == ROUTE_NONE || value != q->value)
			return false;
	}
	return true;
}

struct route_harness *route_harness_create(const struct route_shape *shape)
{
	struct route_harness *h = calloc(1, sizeof(*h));
	size_t routes = (size_t)shape->tables * shape->routes;

	if (h == NULL)
		return NULL;
	h->shape = *shape;
	h->reclaim = reclaim_create(1);
	h->pool = route_pool_create(4ull << 30, h->reclaim);
	h->tables = calloc(shape->tables, sizeof(*h->tables));
	h->routes = calloc(routes, sizeof(*h->routes));
	h->trace = calloc(shape->packets, sizeof(*h->trace));
	if (h->reclaim == NULL || h->pool == NULL || h->tables == NULL || h->routes == NULL ||
	    h->trace == NULL)
		goto destroy;
	memset(h->tables, 0, shape->tables * sizeof(*h->tables));
	for (size_t i = 0; i < routes; i++)
		h->routes[i] = random_route(h, (uint32_t)i);
	if (!harness_fill(h))
		goto destroy;
	trace_draw(h);
	route_harness_lookup(h);
	if (!trace_is_right(h))
		goto destroy;
	return h;

destroy:
	route_harness_destroy(h);
	return NULL;
}

void route_harness_destroy(struct route_harness *h)
{
	if (h == NULL)
		return;
	route_pool_destroy(h->pool);
	reclaim_destroy(h->reclaim);
	free(h->trace);
	free(h->routes);
	free(h->tables);
	free(h);
}

struct route_load route_harness_load(const struct route_harness *h)
{
	return h->load;
}

struct route_pass route_harness_lookup(struct route_harness *h)
{
	struct route_pass pass = { 0 };
	uint64_t began;
	double start = now();

	for (uint32_t i = 0; i < h->shape.packets; i += BURST) {
		struct route_query burst[BURST];

		/* A worker has just written its queries: they are in the cache. */
		memcpy(burst, &h->trace[i], sizeof(burst));
		_mm_lfence();
		began = __rdtsc();
		route_lookup_burst(h->pool, burst, BURST);
		_mm_lfence();
		pass.cycles += __rdtsc() - began;
		for (uint32_t k = 0; k < BURST; k++)
			h->trace[i + k].value = burst[k].value;
	}
	pass.seconds = now() - start;
	return pass;
}

struct route_pass route_harness_change(struct route_harness *h)
{
	uint64_t routes = (uint64_t)h->shape.tables * h->shape.routes, picks[1000], began;
	struct route_pass pass;
	double start = now();
	uint32_t old[1000];

	began = __rdtsc();
	for (uint32_t i = 0; i < 1000; i++) {
		struct route *r;

		picks[i] = next_random(&h->seed) % routes;
		r = &h->routes[picks[i]];
		old[i] = ROUTE_NONE;
		route_delete(h->pool, &h->tables[picks[i] / h->shape.routes],
			     (enum ip_family)r->family, r->prefix, r->len, &old[i]);
		reclaim_poll(h->reclaim);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		struct route *r = &h->routes[picks[i]];

		if (old[i] != ROUTE_NONE) /* drawn twice: deleted once */
			route_set(h->pool, &h->tables[picks[i] / h->shape.routes],
				  (enum ip_family)r->family, r->prefix, r->len, old[i], NULL);
		reclaim_poll(h->reclaim);
	}
	pass.cycles = __rdtsc() - began;
	pass.seconds = now() - start;
	return pass;
}
