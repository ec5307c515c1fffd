/* SPDX-License-Identifier: BSD-3-Clause */
#include "route_record.h"

#include "address.h"
#include "gateway.h"
#include "neighbour.h"
#include "vrf.h"

static bool gateway_record(const struct gateway *gw, uint32_t adjacency, struct abi_route *record)
{
	enum ip_family family;
	uint32_t attachment;
	struct ip_addr via;

	if (neighbour_of(gw->neighbours, adjacency, &attachment, &family, &via) != 0)
		return false;
	if (gw->attachment[attachment].record.netdev[0] != '\0')
		return false;
	/* An address routed via itself is a neighbour that was learnt; see check_route(). */
	if (record->prefix.prefix_len == ip_bits(family) &&
	    ip_equal(address_ip(&record->prefix), via))
		return false;
	record->kind = ABI_ROUTE_GATEWAY;
	record->target = attachment;
	record->via = address_make(family, via, 0);
	return true;
}

bool route_record(const struct gateway *gw, uint32_t tenant, enum ip_family family,
		  struct ip_addr prefix, uint8_t len, uint32_t value, struct abi_route *record)
{
	*record = (struct abi_route){
		.tenant = tenant,
		.prefix = address_make(family, prefix, len),
	};
	switch (route_kind(value)) {
	case ROUTE_KIND_TUNNEL:
		record->kind = ABI_ROUTE_TUNNEL;
		record->target = route_index(value);
		return true;
	case ROUTE_KIND_BLACKHOLE:
		record->kind = ABI_ROUTE_BLACKHOLE;
		return true;
	case ROUTE_KIND_ADJACENCY:
		return gateway_record(gw, route_index(value), record);
	case ROUTE_KIND_NONE:
	case ROUTE_KIND_ONLINK:
	case ROUTE_KIND_LOCAL:
		break;
	}
	return false;
}
