/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses of southbound messages: to and from those of the tables, and as text. */
#ifndef KAIDO_ADDRESS_H
#define KAIDO_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "ip.h"

/* "10.0.0.0/24", or "10.0.0.1" where prefix_len is 0 and the address is not. */
struct address_text {
	char s[64];
};
struct address_text address_text(const struct abi_address *address);

/* Family known, reserved bytes and unused tail zero, prefix_len not above the family's bits. */
bool address_canonical(const struct abi_address *address);
/* All zero: none is meant. */
bool address_absent(const struct abi_address *address);
/* Can be a station's own: not unspecified, loopback, multicast, broadcast or reserved. */
bool address_unicast(const struct abi_address *address);
bool address_link_local_v6(const struct abi_address *address);

static inline enum ip_family address_family(const struct abi_address *address)
{
	return address->family == ABI_IPV4 ? IP_V4 : IP_V6;
}

static inline struct ip_addr address_ip(const struct abi_address *address)
{
	return ip_load(address_family(address), address->addr);
}

static inline struct abi_address address_make(enum ip_family family, struct ip_addr addr,
					      uint8_t prefix_len)
{
	struct abi_address address = {
		.family = family == IP_V4 ? ABI_IPV4 : ABI_IPV6,
		.prefix_len = prefix_len,
	};

	ip_store(family, addr, address.addr);
	return address;
}

/* Is `addr` (of the same family) in the prefix that `address` and its prefix_len make? */
static inline bool address_covers(const struct abi_address *address, struct ip_addr addr)
{
	return ip_equal(ip_prefix(address_ip(address), address->prefix_len),
			ip_prefix(addr, address->prefix_len));
}

#endif /* KAIDO_ADDRESS_H */
