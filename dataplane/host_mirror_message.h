/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of rtnetlink as plain structures. Pure functions: 0 when the message was understood and
 * is of interest, 1 when it is not for the mirror, -EBADMSG when it is malformed.
 */
#ifndef KAIDO_HOST_MIRROR_MESSAGE_H
#define KAIDO_HOST_MIRROR_MESSAGE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

struct nlmsghdr;

#define MIRROR_HOPS 16 /* next hops of a multipath route that are looked at */

struct mirror_link {
	char name[IFNAMSIZ];
	uint32_t ifindex;
	uint32_t mtu;
	uint8_t mac[6];
	bool up;
	bool present;
};

struct mirror_address {
	struct ip_addr addr;
	uint32_t ifindex;
	enum ip_family family;
	uint8_t len;
	bool present; /* also false while it may not be used */
};

struct mirror_hop {
	struct ip_addr gateway;
	uint32_t ifindex;
	enum ip_family gateway_family;
	bool has_gateway;
	bool usable; /* neither dead nor without carrier nor encapsulated */
};

struct mirror_route {
	struct ip_addr prefix;
	enum ip_family family;
	uint8_t len;
	bool present;
	bool replace; /* takes the place of the first route of the same prefix and metric */
	bool multipath;
	uint32_t metric;
	uint32_t hops; /* 0 for what is not unicast */
	struct mirror_hop hop[MIRROR_HOPS];
};

struct mirror_neighbour {
	struct ip_addr addr;
	uint32_t ifindex;
	uint16_t state; /* NUD_* */
	enum ip_family family;
	bool present;
	bool usable; /* mac may be sent to */
	uint8_t mac[6];
};

int mirror_read_link(const struct nlmsghdr *nlh, struct mirror_link *link);
int mirror_read_address(const struct nlmsghdr *nlh, struct mirror_address *address);
int mirror_read_route(const struct nlmsghdr *nlh, struct mirror_route *route);
int mirror_read_neighbour(const struct nlmsghdr *nlh, struct mirror_neighbour *neighbour);

#endif /* KAIDO_HOST_MIRROR_MESSAGE_H */
