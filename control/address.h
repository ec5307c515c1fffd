/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and prefixes as text, and how they lie to each other. IPv4 and IPv6 alike. */
#ifndef KAIDO_CONTROL_ADDRESS_H
#define KAIDO_CONTROL_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"

#define ADDRESS_TEXT_LEN 64

/* "10.0.0.1"; prefix_len becomes 0. -EINVAL. */
int address_parse(const char *text, struct abi_address *address);
/* "10.0.0.1/24", the host's bits as they are. -EINVAL. */
int prefix_parse(const char *text, struct abi_address *prefix);
const char *address_format(const struct abi_address *address, char text[ADDRESS_TEXT_LEN]);
const char *prefix_format(const struct abi_address *prefix, char text[ADDRESS_TEXT_LEN]);

static inline uint8_t address_bits(const struct abi_address *address)
{
	return address->family == ABI_IPV4 ? 32 : 128;
}

/* Same family and address; the prefix length doesn't count. */
bool address_equal(const struct abi_address *a, const struct abi_address *b);
/* Family, then address, then prefix length. */
int prefix_compare(const struct abi_address *a, const struct abi_address *b);
/* Does the address lie in the prefix (whose host bits don't count)? */
bool address_in(const struct abi_address *address, const struct abi_address *prefix);
bool prefix_overlaps(const struct abi_address *a, const struct abi_address *b);
/* Clears the bits behind prefix_len. */
void prefix_mask(struct abi_address *prefix);
bool prefix_is_masked(const struct abi_address *prefix);
/* What one host may have: not unspecified, loopback, multicast or broadcast. */
bool address_is_host(const struct abi_address *address);
/* The first or last address of an IPv4 prefix shorter than /31. */
bool address_is_edge(const struct abi_address *address);

#endif /* KAIDO_CONTROL_ADDRESS_H */
