/* SPDX-License-Identifier: BSD-3-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int address_parse(const char *text, struct abi_address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, address->addr) == 1)
		address->family = ABI_IPV4;
	else if (inet_pton(AF_INET6, text, address->addr) == 1)
		address->family = ABI_IPV6;
	else
		return -EINVAL;
	return 0;
}

int prefix_parse(const char *text, struct abi_address *prefix)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	unsigned long length;
	char *end;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (address_parse(address, prefix) < 0 || slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	length = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || end - slash > 4 || length > address_bits(prefix))
		return -EINVAL;
	prefix->prefix_len = (uint8_t)length;
	return 0;
}

const char *address_format(const struct abi_address *address, char text[ADDRESS_TEXT_LEN])
{
	int family = address->family == ABI_IPV4 ? AF_INET : AF_INET6;

	if (inet_ntop(family, address->addr, text, ADDRESS_TEXT_LEN) == NULL)
		text[0] = '\0';
	return text;
}

const char *prefix_format(const struct abi_address *prefix, char text[ADDRESS_TEXT_LEN])
{
	size_t length;

	address_format(prefix, text);
	length = strlen(text);
	snprintf(text + length, ADDRESS_TEXT_LEN - length, "/%u", prefix->prefix_len);
	return text;
}

bool address_equal(const struct abi_address *a, const struct abi_address *b)
{
	return a->family == b->family && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

int prefix_compare(const struct abi_address *a, const struct abi_address *b)
{
	int order;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	order = memcmp(a->addr, b->addr, sizeof(a->addr));
	return order != 0 ? order : (int)a->prefix_len - (int)b->prefix_len;
}

/* Are the first `bits` bits the same? */
static bool bits_equal(const uint8_t *a, const uint8_t *b, uint8_t bits)
{
	uint8_t rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

bool address_in(const struct abi_address *address, const struct abi_address *prefix)
{
	return address->family == prefix->family &&
	       bits_equal(address->addr, prefix->addr, prefix->prefix_len);
}

bool prefix_overlaps(const struct abi_address *a, const struct abi_address *b)
{
	uint8_t bits = a->prefix_len < b->prefix_len ? a->prefix_len : b->prefix_len;

	return a->family == b->family && bits_equal(a->addr, b->addr, bits);
}

void prefix_mask(struct abi_address *prefix)
{
	for (uint8_t bit = prefix->prefix_len; bit < 128; bit++)
		prefix->addr[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
}

bool prefix_is_masked(const struct abi_address *prefix)
{
	struct abi_address masked = *prefix;

	prefix_mask(&masked);
	return memcmp(&masked, prefix, sizeof(masked)) == 0;
}

bool address_is_host(const struct abi_address *address)
{
	static const uint8_t zero[16];
	static const uint8_t loopback[16] = { [15] = 1 };

	if (memcmp(address->addr, zero, 16) == 0)
		return false;
	if (address->family == ABI_IPV4) /* 0/8, loopback, multicast and what is reserved */
		return address->addr[0] != 0 && address->addr[0] != 127 && address->addr[0] < 224;
	return address->addr[0] != 0xff && memcmp(address->addr, loopback, 16) != 0;
}

bool address_is_edge(const struct abi_address *address)
{
	uint32_t value, mask;

	if (address->family != ABI_IPV4 || address->prefix_len > 30)
		return false;
	memcpy(&value, address->addr, 4);
	mask = address->prefix_len == 0 ? 0 : ~0u << (32 - address->prefix_len);
	value = ntohl(value) & ~mask;
	return value == 0 || value == ~mask;
}
