/* SPDX-License-Identifier: BSD-3-Clause */
#include "sa_template.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

#include "abi/message.h"
#include "flow_label.h"
#include "ip_header.h"
#include "sa.h"

#define OUTER_TTL  64
#define ESP_LEN    8u /* SPI and sequence number */
#define ESP_IV_LEN 8u

static_assert(sizeof(struct ip6_hdr) + sizeof(struct udphdr) + ESP_LEN + ESP_IV_LEN == 64,
	      "the largest template fills the line");

/* The same for all packets of an SA, and different from that of others: of its SPI, all bits of it. */
static uint32_t constant_of(const struct sa_out *sa)
{
	uint32_t x = ntohl(sa->spi);

	x = (x ^ x >> 16) * 0x85ebca6bu;
	x = (x ^ x >> 13) * 0xc2b2ae35u;
	return x ^ x >> 16;
}

static uint8_t ttl_of(const struct abi_tunnel *tunnel)
{
	return tunnel->ttl != 0 ? tunnel->ttl : OUTER_TTL;
}

static uint8_t dscp_of(const struct abi_tunnel *tunnel)
{
	return tunnel->dscp == ABI_DSCP_COPY ? 0 : tunnel->dscp & 0x3f;
}

static void ipv4_build(uint8_t *at, const struct abi_tunnel *tunnel, uint8_t protocol)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tos = (uint8_t)(dscp_of(tunnel) << 2),
		.ttl = ttl_of(tunnel),
		.protocol = protocol,
	};

	memcpy(&ip.saddr, tunnel->local.addr, sizeof(ip.saddr));
	memcpy(&ip.daddr, tunnel->remote.addr, sizeof(ip.daddr));
	memcpy(at, &ip, sizeof(ip));
}

static void ipv6_build(uint8_t *at, const struct abi_tunnel *tunnel, uint8_t protocol,
		       uint32_t label)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28 | (uint32_t)dscp_of(tunnel) << 22 | label),
		.ip6_nxt = protocol,
		.ip6_hlim = ttl_of(tunnel),
	};

	memcpy(&ip.ip6_src, tunnel->local.addr, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, tunnel->remote.addr, sizeof(ip.ip6_dst));
	memcpy(at, &ip, sizeof(ip));
}

static uint8_t outer_flags(const struct abi_tunnel *tunnel)
{
	uint8_t flags = tunnel->dscp == ABI_DSCP_COPY ? OUTER_DSCP_COPY : 0;

	if (tunnel->flags & ABI_TUNNEL_UDP)
		flags |= SA_UDP;
	if (tunnel->df == ABI_DF_SET)
		flags |= OUTER_DF_SET;
	else if (tunnel->df == ABI_DF_COPY)
		flags |= OUTER_DF_COPY;
	if (tunnel->local.family == ABI_IPV6) {
		flags |= SA_OUTER_V6;
		if (tunnel->flow_label == ABI_FLOW_LABEL_INNER)
			flags |= OUTER_FLOW_INNER;
	}
	return flags;
}

/* Returns its length. Of two SAs between the same addresses, ids start at different places. */
static size_t ip_build(const struct sa_out *sa, struct sa_outer *outer, uint8_t *at,
		       const struct abi_tunnel *tunnel, uint8_t protocol)
{
	uint32_t constant = constant_of(sa), label = constant & FLOW_LABEL_MASK;
	uint16_t id = (uint16_t)constant;

	if (outer->flags & SA_OUTER_V6) {
		ipv6_build(at, tunnel, protocol,
			   tunnel->flow_label != ABI_FLOW_LABEL_SA ? 0
			   : label != 0                            ? label
								   : 1);
		outer->checksum = 0;
		return sizeof(struct ip6_hdr);
	}
	ipv4_build(at, tunnel, protocol);
	outer->checksum = checksum_fold(ipv4_checksum_sum(at, IPV4_HEADER_MIN));
	store_be16(at + 4, id);
	return sizeof(struct iphdr);
}

void sa_template_build(struct sa_out *sa, uint8_t n, const struct abi_tunnel *tunnel)
{
	struct sa_outer *outer = &sa->outer[n];
	uint8_t *at;
	bool udp;

	outer->flags = outer_flags(tunnel);
	udp = (outer->flags & SA_UDP) != 0;
	outer->header_len = (uint8_t)((outer->flags & SA_OUTER_V6 ? sizeof(struct ip6_hdr)
								  : sizeof(struct iphdr)) +
				      (udp ? sizeof(struct udphdr) : 0) + ESP_LEN + ESP_IV_LEN);
	memset(sa->header[n], 0, SA_TEMPLATE_LEN);
	at = sa->header[n] + SA_TEMPLATE_LEN - outer->header_len;
	at += ip_build(sa, outer, at, tunnel, udp ? IPPROTO_UDP : IPPROTO_ESP);
	if (udp) {
		struct udphdr header = {
			.source = htons(tunnel->local_port),
			.dest = htons(tunnel->remote_port),
		};

		memcpy(at, &header, sizeof(header));
		at += sizeof(header);
	}
	memcpy(at, &sa->spi, sizeof(sa->spi));
}

struct ip_addr sa_template_remote(const struct sa_out *sa, uint8_t n, enum ip_family *family)
{
	const struct sa_outer *outer = &sa->outer[n];
	const uint8_t *ip = sa->header[n] + SA_TEMPLATE_LEN - outer->header_len;

	*family = outer->flags & SA_OUTER_V6 ? IP_V6 : IP_V4;
	return ip_destination(ip, *family);
}
