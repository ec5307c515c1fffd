/* SPDX-License-Identifier: BSD-3-Clause */
#include "sa_template.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>

#include "abi/message.h"
#include "ip_header.h"
#include "sa.h"

#define OUTER_TTL  64
#define ESP_LEN    8u /* SPI and sequence number */
#define ESP_IV_LEN 8u

static_assert(sizeof(struct ip6_hdr) + sizeof(struct udphdr) + ESP_LEN + ESP_IV_LEN == 64,
	      "the largest template fills the line");

static void ipv4_build(uint8_t *at, const struct abi_tunnel *tunnel, uint8_t protocol)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.frag_off = htons(IP_DF), /* and so an id of 0 is fine, RFC 6864 section 4.1 */
		.ttl = OUTER_TTL,
		.protocol = protocol,
	};

	memcpy(&ip.saddr, tunnel->local.addr, sizeof(ip.saddr));
	memcpy(&ip.daddr, tunnel->remote.addr, sizeof(ip.daddr));
	memcpy(at, &ip, sizeof(ip));
}

static void ipv6_build(uint8_t *at, const struct abi_tunnel *tunnel, uint8_t protocol)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28),
		.ip6_nxt = protocol,
		.ip6_hlim = OUTER_TTL,
	};

	memcpy(&ip.ip6_src, tunnel->local.addr, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, tunnel->remote.addr, sizeof(ip.ip6_dst));
	memcpy(at, &ip, sizeof(ip));
}

void sa_template_build(struct sa_out *sa, uint8_t n, const struct abi_tunnel *tunnel)
{
	bool udp = (tunnel->flags & ABI_TUNNEL_UDP) != 0;
	bool v6 = tunnel->local.family == ABI_IPV6;
	uint8_t protocol = udp ? IPPROTO_UDP : IPPROTO_ESP;
	size_t ip_len = v6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
	size_t udp_len = udp ? sizeof(struct udphdr) : 0;
	struct sa_outer *outer = &sa->outer[n];
	uint8_t *at;

	outer->header_len = (uint8_t)(ip_len + udp_len + ESP_LEN + ESP_IV_LEN);
	outer->flags = (udp ? SA_UDP : 0) | (v6 ? SA_OUTER_V6 : 0);
	memset(sa->header[n], 0, SA_TEMPLATE_LEN);
	at = sa->header[n] + SA_TEMPLATE_LEN - outer->header_len;

	if (v6)
		ipv6_build(at, tunnel, protocol);
	else
		ipv4_build(at, tunnel, protocol);
	outer->checksum = v6 ? 0 : checksum_fold(ipv4_checksum_sum(at, IPV4_HEADER_MIN));
	at += ip_len;
	if (udp) {
		struct udphdr header = {
			.source = htons(tunnel->local_port),
			.dest = htons(tunnel->remote_port),
		};

		memcpy(at, &header, sizeof(header));
		at += udp_len;
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
