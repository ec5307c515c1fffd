/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Addresses and where the layer above starts; they are of either family. */
struct ip_view {
	int family;
	const uint8_t *source;
	const uint8_t *destination;
	uint8_t protocol;
	uint8_t hop_limit;
	uint16_t length;   /* of the packet, as its header has it */
	uint16_t fragment; /* IPv4: offset and flags, RFC 791 */
	const uint8_t *next;
	size_t next_len;
};

static uint16_t read16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const uint8_t *p)
{
	return (uint32_t)read16(p) << 16 | read16(p + 2);
}

static int ip_view_read(struct ip_view *view, const uint8_t *p, size_t len)
{
	size_t header;

	if (len >= 20 && p[0] >> 4 == 4) {
		header = (size_t)(p[0] & 15) * 4;
		if (header < 20 || header > len)
			return -1;
		*view = (struct ip_view){ AF_INET,       p + 12,     p + 16,
					  p[9],          p[8],       read16(p + 2),
					  read16(p + 6), p + header, len - header };
		return 0;
	}
	if (len >= 40 && p[0] >> 4 == 6) {
		*view = (struct ip_view){ AF_INET6, p + 8,  p + 24,
					  p[6],     p[7],   (uint16_t)(read16(p + 4) + 40),
					  0,        p + 40, len - 40 };
		return 0;
	}
	return -1;
}

static void upper_text(char *text, size_t text_len, const struct ip_view *view)
{
	const uint8_t *p = view->next;
	size_t len = view->next_len;

	if ((view->fragment & 0x1fff) != 0)
		snprintf(text, text_len, "fragment at %u of protocol %u",
			 (view->fragment & 0x1fffu) * 8, view->protocol);
	else if (view->protocol == IPPROTO_TCP && len >= 14)
		snprintf(text, text_len, "TCP %u > %u%s%s%s%s seq %u", read16(p), read16(p + 2),
			 p[13] & TCP_SYN ? " SYN" : "", p[13] & TCP_FIN ? " FIN" : "",
			 p[13] & TCP_RST ? " RST" : "", p[13] & TCP_ACK ? " ACK" : "",
			 read32(p + 4));
	else if (view->protocol == IPPROTO_UDP && len >= 8)
		snprintf(text, text_len, "UDP %u > %u length %u", read16(p), read16(p + 2),
			 read16(p + 4));
	else if (view->protocol == IPPROTO_ESP && len >= 8)
		snprintf(text, text_len, "ESP spi 0x%x seq %u", read32(p), read32(p + 4));
	else if (view->protocol == IPPROTO_ICMP && len >= 2)
		snprintf(text, text_len, "ICMP type %u code %u", p[0], p[1]);
	else if (view->protocol == IPPROTO_ICMPV6 && len >= 2)
		snprintf(text, text_len, "ICMPv6 type %u code %u", p[0], p[1]);
	else
		snprintf(text, text_len, "protocol %u", view->protocol);
}

void packet_text(char *text, size_t text_len, const uint8_t *headers, size_t len)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], upper[96];
	struct ip_view view;

	if (ip_view_read(&view, headers, len) < 0) {
		snprintf(text, text_len, "no IP header (%zu bytes)", len);
		return;
	}
	inet_ntop(view.family, view.source, source, sizeof(source));
	inet_ntop(view.family, view.destination, destination, sizeof(destination));
	upper_text(upper, sizeof(upper), &view);
	snprintf(text, text_len, "%s > %s ttl %u length %u %s", source, destination, view.hop_limit,
		 view.length, upper);
}
