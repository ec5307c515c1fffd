/* SPDX-License-Identifier: BSD-3-Clause */
/* From what stands in a VRF back to the record that set it. */
#ifndef KAIDO_ROUTE_RECORD_H
#define KAIDO_ROUTE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "ip.h"

struct gateway;

/*
 * False for routes that no record set: an attachment's own, a neighbour's host route, and those of
 * the underlay that are mirrored from the host.
 */
bool route_record(const struct gateway *gw, uint32_t tenant, enum ip_family family,
		  struct ip_addr prefix, uint8_t len, uint32_t value, struct abi_route *record);

#endif /* KAIDO_ROUTE_RECORD_H */
