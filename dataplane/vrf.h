/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the value of a route means. Each tenant id has one route table (VRF); table 0 is the
 * underlay's. The value alone says what is to be done, without another look-up.
 */
#ifndef KAIDO_VRF_H
#define KAIDO_VRF_H

#include <stdint.h>

#define VRF_UNDERLAY 0u

enum route_kind {
	ROUTE_KIND_NONE = 0,
	ROUTE_KIND_ADJACENCY = 1, /* index of an adjacency: a resolved or resolving next hop */
	ROUTE_KIND_TUNNEL = 2,    /* tunnel id */
	ROUTE_KIND_ONLINK = 3,    /* attachment id: the destination itself is to be resolved */
	ROUTE_KIND_LOCAL = 4,     /* attachment id: one of the gateway's own addresses */
	ROUTE_KIND_BLACKHOLE = 5,
};

#define ROUTE_INDEX_MAX ((1u << 28) - 1)

static inline uint32_t route_value(enum route_kind kind, uint32_t index)
{
	return (uint32_t)kind << 28 | index;
}

static inline enum route_kind route_kind(uint32_t value)
{
	return (enum route_kind)(value >> 28);
}

static inline uint32_t route_index(uint32_t value)
{
	return value & ROUTE_INDEX_MAX;
}

#endif /* KAIDO_VRF_H */
