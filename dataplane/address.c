/* SPDX-License-Identifier: BSD-3-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct address_text address_text(const struct abi_address *address)
{
	int family = address->family == ABI_IPV4 ? AF_INET : AF_INET6;
	struct address_text text = { "none" };
	size_t n;

	if (address->family == 0 ||
	    inet_ntop(family, address->addr, text.s, sizeof(text.s)) == NULL)
		return text;
	n = strlen(text.s);
	if (address->prefix_len != 0 || ip_equal(address_ip(address), (struct ip_addr){ 0, 0 }))
		snprintf(text.s + n, sizeof(text.s) - n, "/%u", address->prefix_len);
	return text;
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

bool address_canonical(const struct abi_address *address)
{
	if (!all_zero(address->reserved, sizeof(address->reserved)))
		return false;
	if (address->family == ABI_IPV4)
		return address->prefix_len <= 32 && all_zero(address->addr + 4, 12);
	return address->family == ABI_IPV6 && address->prefix_len <= 128;
}

bool address_absent(const struct abi_address *address)
{
	return all_zero((const uint8_t *)address, sizeof(*address));
}

bool address_unicast(const struct abi_address *address)
{
	static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *b = address->addr;

	/* RFC 1122 section 3.2.1.3; 240/4 holds the limited broadcast address. */
	if (address->family == ABI_IPV4)
		return b[0] != 0 && b[0] != 127 && b[0] < 224;
	/* RFC 4291 section 2.5: ::, ::1 and the old forms that hold an IPv4 address; section 2.7. */
	return b[0] != 0xff && !all_zero(b, 12) && memcmp(b, v4_mapped, sizeof(v4_mapped)) != 0;
}

bool address_link_local_v6(const struct abi_address *address)
{
	return address->family == ABI_IPV6 && address->addr[0] == 0xfe &&
	       (address->addr[1] & 0xc0) == 0x80;
}
