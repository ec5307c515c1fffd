/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route tables filled with made-up routes, and addresses to look up in them. The address of each
 * packet falls into a route drawn at random from a table drawn at random.
 */
#ifndef KAIDO_ROUTE_HARNESS_H
#define KAIDO_ROUTE_HARNESS_H

#include <stdint.h>

enum route_plan {
	ROUTE_PLAN_TENANT_V4,   /* prefixes of 10.0.0.0/8 of 16 to 32 bits */
	ROUTE_PLAN_TENANT,      /* every other one of fd00::/40 instead, of 48 to 64 bits */
	ROUTE_PLAN_INTERNET_V4, /* lengths in about the shares of the Internet's table */
	ROUTE_PLAN_INTERNET_V6,
};

struct route_shape {
	enum route_plan plan;
	uint32_t tables;
	uint32_t routes;  /* a table */
	uint32_t packets; /* different ones; a multiple of 64 */
};

struct route_harness;

struct route_pass {
	uint64_t cycles; /* of the TSC */
	double seconds;
};

struct route_load {
	double seconds;  /* for adding all routes, one by one */
	double mib_used; /* in blocks */
	double mib_rss;  /* by which the process grew */
};

/* Checks all answers to come against single look-ups. NULL: no memory, or a wrong answer. */
struct route_harness *route_harness_create(const struct route_shape *shape);
void route_harness_destroy(struct route_harness *h);
struct route_load route_harness_load(const struct route_harness *h);

/* Looks each packet up once, in bursts of 64. */
struct route_pass route_harness_lookup(struct route_harness *h);
/* Deletes 1000 routes of very many and adds them again: 2000 changes. */
struct route_pass route_harness_change(struct route_harness *h);

#endif /* KAIDO_ROUTE_HARNESS_H */
