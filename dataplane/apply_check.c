/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be said of a record by itself: ranges, reserved bytes, canonical addresses. */
#include "apply_internal.h"

#include <arpa/inet.h>
#include <string.h>

#include "address.h"
#include "replay.h"

#define MTU_MIN_V4 576u  /* RFC 1122 section 3.3.3 */
#define MTU_MIN_V6 1280u /* RFC 8200 section 5 */
#define MSS_MIN    88u   /* of what RFC 791's least MTU holds, and TCP options */
#define TUNNEL_FLAGS                                                                      \
	(ABI_TUNNEL_UDP | ABI_TUNNEL_FOLLOW | ABI_TUNNEL_SELECTORS | ABI_TUNNEL_MSS_OFF | \
	 ABI_TUNNEL_DSCP_IN | ABI_TUNNEL_ACQUIRE)
#define SPI_MIN              256u /* RFC 4303 section 2.1: those below are reserved */
#define SEQUENCE_LIMIT_SHORT (1ull << 32)

static int reserved_set(struct answer *answer)
{
	return refuse(answer, -EINVAL, "a reserved field is not zero");
}

static int id_range(struct answer *answer, const char *what, uint32_t id, uint32_t max)
{
	if (id == 0 || id >= max)
		return refuse(answer, -EINVAL, "%s id %u is not within 1 and %u", what, id,
			      max - 1);
	return 0;
}

/* Zero-terminated, and nothing behind the terminator. */
static bool name_canonical(const char *name, size_t size)
{
	size_t n = strnlen(name, size);

	for (size_t i = n; i < size; i++)
		if (name[i] != '\0')
			return false;
	return n < size;
}

static bool host_bits_zero(const struct abi_address *address)
{
	struct ip_addr ip = address_ip(address);

	return ip_equal(ip, ip_prefix(ip, address->prefix_len));
}

int check_id(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_id *r = record;

	/* Whether it is there is another question; no table is larger than this. */
	if (r->reserved != 0)
		return reserved_set(answer);
	if (r->id == 0)
		return refuse(answer, -EINVAL, "id 0 can't be deleted");
	return 0;
}

int check_tenant(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_tenant *r = record;

	if (r->reserved != 0)
		return reserved_set(answer);
	return id_range(answer, "tenant", r->id, gw->size.max_tenants);
}

/* The first and the last address of an IPv4 subnet are not a station's, but see RFC 3021. */
static bool is_subnet_or_broadcast(const struct abi_address *address)
{
	struct ip_addr ip = address_ip(address);
	struct ip_addr inverse = { ~ip.hi & 0xffffffff00000000u, 0 };

	if (address->family != ABI_IPV4 || address->prefix_len >= 31)
		return false;
	return host_bits_zero(address) ||
	       ip_equal(inverse, ip_prefix(inverse, address->prefix_len));
}

static int check_own_address(const struct abi_address *address, struct answer *answer)
{
	if (!address_canonical(address))
		return refuse(answer, -EINVAL, "an address of the attachment is malformed");
	if (address->prefix_len == 0)
		return refuse(answer, -EINVAL, "%s has no prefix length", address_text(address).s);
	if (!address_unicast(address) || is_subnet_or_broadcast(address))
		return refuse(answer, -EINVAL, "%s can't be the address of a gateway",
			      address_text(address).s);
	if (address_link_local_v6(address))
		return refuse(answer, -EINVAL,
			      "%s: the link-local address is made from the port's MAC address, "
			      "leave it out",
			      address_text(address).s);
	return 0;
}

int check_attachment(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_attachment *r = record;
	bool v6 = false;
	int error = id_range(answer, "attachment", r->id, gw->size.max_attachments);

	if (error != 0)
		return error;
	if (r->reserved != 0)
		return reserved_set(answer);
	if (r->tenant >= gw->size.max_tenants)
		return refuse(answer, -EINVAL, "tenant id %u is above %u", r->tenant,
			      gw->size.max_tenants - 1);
	if (!name_canonical(r->port, sizeof(r->port)) || r->port[0] == '\0')
		return refuse(answer, -EINVAL, "the port's name is empty or malformed");
	if (!name_canonical(r->netdev, sizeof(r->netdev)))
		return refuse(answer, -EINVAL, "the network device's name is malformed");
	if (r->netdev[0] != '\0' && r->tenant != 0)
		return refuse(answer, -EINVAL, "only the underlay mirrors a network device");
	if (r->vlan >= VLANS - 1)
		return refuse(answer, -EINVAL, "VLAN %u is above 4094", r->vlan);

	for (uint32_t i = 0; i < ABI_ATTACHMENT_ADDRESSES; i++) {
		const struct abi_address *address = &r->address[i];

		if (address_absent(address))
			continue;
		error = check_own_address(address, answer);
		if (error != 0)
			return error;
		if (r->netdev[0] != '\0')
			return refuse(answer, -EINVAL,
				      "addresses are mirrored from %s, or given, but not both",
				      r->netdev);
		v6 |= address->family == ABI_IPV6;
	}
	if (r->mtu != 0 && r->mtu < (v6 ? MTU_MIN_V6 : MTU_MIN_V4))
		return refuse(answer, -EINVAL, "an MTU of %u is below %u", r->mtu,
			      v6 ? MTU_MIN_V6 : MTU_MIN_V4);
	return 0;
}

static int check_endpoint(const struct abi_address *address, const char *what,
			  struct answer *answer)
{
	if (!address_canonical(address) || address->prefix_len != 0)
		return refuse(answer, -EINVAL, "the %s address is malformed", what);
	if (!address_unicast(address) || address_link_local_v6(address))
		return refuse(answer, -EINVAL, "%s can't be the %s address of a tunnel",
			      address_text(address).s, what);
	return 0;
}

static int check_tunnel_ports(const struct abi_tunnel *r, struct answer *answer)
{
	if (r->flags & ABI_TUNNEL_UDP) {
		if (r->local_port == 0 || r->remote_port == 0)
			return refuse(answer, -EINVAL, "UDP encapsulation wants two ports");
		if (r->local_port != ABI_UDP_PORT)
			return refuse(answer, -EINVAL,
				      "local port %u: ESP in UDP is recognised on port %u only",
				      r->local_port, ABI_UDP_PORT);
	} else if (r->local_port != 0 || r->remote_port != 0) {
		return refuse(answer, -EINVAL, "ports are for UDP encapsulation only");
	}
	return 0;
}

/* How the outer headers are made. */
static int check_tunnel_policy(const struct abi_tunnel *r, struct answer *answer)
{
	if (r->dscp != ABI_DSCP_COPY && (r->dscp & ~0x3fu) != ABI_DSCP_SET)
		return refuse(answer, -EINVAL, "a DSCP is 0 to 63");
	if (r->df > ABI_DF_CLEAR)
		return refuse(answer, -EINVAL, "the DF policy is copy, set or clear");
	if (r->flow_label > ABI_FLOW_LABEL_ZERO)
		return refuse(answer, -EINVAL, "the flow label's policy is sa, inner or zero");
	if (r->mss != 0 && (r->mss < MSS_MIN || (r->flags & ABI_TUNNEL_MSS_OFF) != 0))
		return refuse(answer, -EINVAL,
			      "an MSS is at least %u, and there is none where clamping is off",
			      MSS_MIN);
	if (r->keepalive != 0 && (r->flags & ABI_TUNNEL_UDP) == 0)
		return refuse(answer, -EINVAL, "keepalives are for UDP encapsulation only");
	return 0;
}

int check_tunnel(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_tunnel *r = record;
	uint32_t mtu_min;
	int error = id_range(answer, "tunnel", r->id, gw->size.max_tunnels);

	if (error == 0)
		error = id_range(answer, "tenant", r->tenant, gw->size.max_tenants);
	if (error == 0)
		error = check_endpoint(&r->local, "local", answer);
	if (error == 0)
		error = check_endpoint(&r->remote, "remote", answer);
	if (error == 0)
		error = check_tunnel_ports(r, answer);
	if (error == 0)
		error = check_tunnel_policy(r, answer);
	if (error != 0)
		return error;
	if (r->reserved[0] != 0 || r->reserved[1] != 0 || (r->flags & ~TUNNEL_FLAGS) != 0)
		return reserved_set(answer);
	if (r->local.family != r->remote.family)
		return refuse(answer, -EINVAL, "local and remote address are of two families");
	if (ip_equal(address_ip(&r->local), address_ip(&r->remote)))
		return refuse(answer, -EINVAL, "local and remote address are the same");
	mtu_min = r->local.family == ABI_IPV6 ? MTU_MIN_V6 : MTU_MIN_V4;
	if (r->mtu != 0 && r->mtu < mtu_min)
		return refuse(answer, -EINVAL, "an outer MTU of %u is below %u", r->mtu, mtu_min);
	return 0;
}

static int check_sa_in(const struct abi_sa *r, struct answer *answer)
{
	if (r->window > REPLAY_WINDOW_MAX)
		return refuse(answer, -EINVAL, "an anti-replay window of %u is above %u", r->window,
			      REPLAY_WINDOW_MAX);
	if (r->sequence != 0 || r->sequence_limit != 0)
		return refuse(answer, -EINVAL, "sequence numbers are given to outbound SAs only");
	if (r->cpu != 0)
		return refuse(answer, -EINVAL, "only outbound SAs belong to one worker");
	return 0;
}

static int check_sa_out(const struct abi_sa *r, struct answer *answer)
{
	if (r->window != 0)
		return refuse(answer, -EINVAL, "an anti-replay window is for inbound SAs only");
	if (r->sequence == 0 || r->sequence >= r->sequence_limit)
		return refuse(answer, -EINVAL,
			      "an outbound SA wants a sequence number of at least 1 and below its "
			      "limit");
	if (!(r->flags & ABI_SA_ESN) && r->sequence_limit > SEQUENCE_LIMIT_SHORT)
		return refuse(answer, -EINVAL, "a sequence limit above 2^32 wants ESN");
	return 0;
}

int check_sa(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_sa *r = record;
	int error = id_range(answer, "SA", r->id, gw->size.max_sas);

	if (error == 0)
		error = id_range(answer, "tunnel", r->tunnel, gw->size.max_tunnels);
	if (error != 0)
		return error;
	if (r->state != 0 || (r->flags & ~ABI_SA_ESN) != 0)
		return reserved_set(answer);
	if (r->key_len != 16 && r->key_len != 24 && r->key_len != 32)
		return refuse(answer, -EINVAL, "a key has 16, 24 or 32 bytes, not %u", r->key_len);
	for (uint32_t i = r->key_len; i < sizeof(r->key); i++)
		if (r->key[i] != 0)
			return reserved_set(answer);
	if (ntohl(r->spi) < SPI_MIN)
		return refuse(answer, -EINVAL, "SPI 0x%x is below 0x100: reserved", ntohl(r->spi));
	if (r->direction == ABI_SA_IN)
		return check_sa_in(r, answer);
	if (r->direction == ABI_SA_OUT)
		return check_sa_out(r, answer);
	return refuse(answer, -EINVAL, "direction %u is neither in nor out", r->direction);
}

int check_lease(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_sa_lease *r = record;

	if (r->reserved != 0)
		return reserved_set(answer);
	return id_range(answer, "SA", r->id, gw->size.max_sas);
}

/* What names a route. */
int check_route_delete(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_route *r = record;

	if (r->reserved != 0 || r->reserved2 != 0)
		return reserved_set(answer);
	if (r->tenant >= gw->size.max_tenants)
		return refuse(answer, -EINVAL, "tenant id %u is above %u", r->tenant,
			      gw->size.max_tenants - 1);
	if (!address_canonical(&r->prefix))
		return refuse(answer, -EINVAL, "the prefix is malformed");
	if (!host_bits_zero(&r->prefix))
		return refuse(answer, -EINVAL, "%s has bits behind its prefix length",
			      address_text(&r->prefix).s);
	return 0;
}

/* Prefixes whose packets never come to a look-up, or that are the gateway's own. */
static bool prefix_unroutable(const struct abi_address *prefix)
{
	const uint8_t *b = prefix->addr;

	if (prefix->family == ABI_IPV4)
		return (prefix->prefix_len >= 3 && b[0] >= 224) ||
		       (prefix->prefix_len >= 8 && b[0] == 127);
	return (prefix->prefix_len >= 8 && b[0] == 0xff) ||
	       (prefix->prefix_len >= 10 && address_link_local_v6(prefix));
}

static int check_route_gateway(const struct abi_route *r, struct answer *answer)
{
	if (!address_canonical(&r->via) || r->via.prefix_len != 0)
		return refuse(answer, -EINVAL, "the next hop's address is malformed");
	if (r->via.family != r->prefix.family)
		return refuse(answer, -EINVAL, "prefix and next hop are of two families");
	if (!address_unicast(&r->via))
		return refuse(answer, -EINVAL, "%s can't be a next hop", address_text(&r->via).s);
	/* An on-link neighbour has such a route by itself. */
	if (r->prefix.prefix_len == ip_bits(address_family(&r->prefix)) &&
	    ip_equal(address_ip(&r->prefix), address_ip(&r->via)))
		return refuse(answer, -EINVAL, "%s is routed via itself", address_text(&r->via).s);
	return 0;
}

int check_route(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_route *r = record;
	int error = check_route_delete(gw, record, answer);

	if (error != 0)
		return error;
	if (prefix_unroutable(&r->prefix))
		return refuse(answer, -EINVAL, "%s is multicast, loopback or link-local",
			      address_text(&r->prefix).s);
	if (r->kind != ABI_ROUTE_GATEWAY && !address_absent(&r->via))
		return refuse(answer, -EINVAL, "only a gateway route has a next hop");
	switch (r->kind) {
	case ABI_ROUTE_TUNNEL:
		if (r->tenant == 0)
			return refuse(answer, -EINVAL, "the underlay has no routes into tunnels");
		return id_range(answer, "tunnel", r->target, gw->size.max_tunnels);
	case ABI_ROUTE_GATEWAY:
		error = id_range(answer, "attachment", r->target, gw->size.max_attachments);
		return error != 0 ? error : check_route_gateway(r, answer);
	case ABI_ROUTE_BLACKHOLE:
		if (r->target != 0)
			return refuse(answer, -EINVAL, "a blackhole has no target");
		return 0;
	default:
		return refuse(answer, -EINVAL, "route kind %u is unknown", r->kind);
	}
}

/* What names a neighbour. */
int check_neighbour_delete(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_neighbour *r = record;
	int error = id_range(answer, "attachment", r->attachment, gw->size.max_attachments);

	if (error != 0)
		return error;
	if (r->reserved != 0 || r->state != 0)
		return reserved_set(answer);
	if (!address_canonical(&r->address) || r->address.prefix_len != 0)
		return refuse(answer, -EINVAL, "the neighbour's address is malformed");
	return 0;
}

int check_neighbour(const struct gateway *gw, const void *record, struct answer *answer)
{
	static const uint8_t no_mac[6];
	const struct abi_neighbour *r = record;
	int error = check_neighbour_delete(gw, record, answer);

	if (error != 0)
		return error;
	if (!address_unicast(&r->address))
		return refuse(answer, -EINVAL, "%s can't be a neighbour's address",
			      address_text(&r->address).s);
	if ((r->mac[0] & 1) != 0 || memcmp(r->mac, no_mac, sizeof(no_mac)) == 0)
		return refuse(answer, -EINVAL, "the MAC address of %s is not that of a station",
			      address_text(&r->address).s);
	return 0;
}
