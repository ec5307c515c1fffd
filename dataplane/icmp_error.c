/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors for packets that were dropped: too big, with the MTU that would fit, time exceeded,
 * unreachable (RFC 792, RFC 1191, RFC 1812 section 5.2.7, RFC 4443). The dropped packet's own buffer
 * becomes the error, which then takes the way of any other packet through its tenant's VRF.
 */
#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "ip_header.h"
#include "segments.h"
#include "upper.h"
#include "vrf.h"
#include "worker.h"

#define ICMPV6_INFORMATIONAL 128

#define ICMP_LEN     8
#define ERROR_HOPS   64
#define QUOTE_IPV4   548  /* RFC 1812 section 4.3.2.3: at most 576 bytes in all */
#define QUOTE_IPV6   1232 /* RFC 4443 section 2.4 (c): at most the least MTU, 1280 */
#define ERRORS_BURST 32   /* per tenant and worker: this many at once, and so many in a */
#define ERRORS_HZ    100  /* second on average */

/* What the sender is told about a reason; type 0: nothing. */
struct error_message {
	uint8_t type[2]; /* by family: IPv4, IPv6 */
	uint8_t code[2];
};

static const struct error_message error_messages[DROP_COUNT] = {
	[DROP_too_big] = { { 3, 2 }, { 4, 0 } },
	[DROP_ttl_expired] = { { 11, 3 }, { 0, 0 } },
	[DROP_no_route] = { { 3, 1 }, { 0, 0 } }, /* net; no route */
	[DROP_no_sa] = { { 3, 1 }, { 1, 3 } },    /* host; address */
	[DROP_no_underlay] = { { 3, 1 }, { 1, 3 } },
	[DROP_neighbour_failed] = { { 3, 1 }, { 1, 3 } },
	[DROP_local_unhandled] = { { 3, 1 }, { 3, 4 } }, /* port */
	[DROP_selector] = { { 3, 1 }, { 13, 1 } },       /* prohibited; RFC 4301 section 5.1.1 */
};

/* An index into what is said by family. */
static inline uint32_t by_family(enum ip_family family)
{
	return family == IP_V4 ? 0 : 1;
}

/*
 * Not about what a tunnel's other end may not send through it: that is between the two gateways.
 * Not about what has been encrypted already (a link whose MTU fell meanwhile): that is a packet of
 * the underlay, none of which may be shown to a tenant.
 */
static bool error_wanted(const struct packet *p)
{
	return error_messages[p->reason].type[0] != 0 && p->tenant != 0 && p->inner_length == 0 &&
	       (p->reason != DROP_selector || p->walk == ABI_TRACE_OUTBOUND) &&
	       !(p->flags & (PACKET_ORIGINATED | PACKET_PIECE));
}

/* Is anything behind the header that has ports? Nothing else asks for one that isn't there. */
static bool has_ports(const struct packet *p)
{
	uint8_t proto = p->family == IP_V4 ? p->l3[9] : p->l3[6];

	return proto == PROTO_TCP || proto == PROTO_UDP;
}

/* Never about an error, a fragment that isn't the first, or to a group (RFC 1122 s. 3.2.2). */
static bool error_allowed(const struct packet *p)
{
	const uint8_t *l3 = p->l3;
	uint32_t readable = packet_contiguous(p);
	struct upper u = upper_find(l3, p->family, readable);
	bool shows_type = !u.later && readable > u.offset;
	struct ip_addr source = ip_source(l3, p->family);

	if (ip_bad_source(source, p->family) ||
	    ip_is_multicast(ip_destination(l3, p->family), p->family) ||
	    (p->reason == DROP_local_unhandled && !has_ports(p)))
		return false;
	if (p->family == IP_V4) {
		if (u.later)
			return false;
		return u.proto != PROTO_ICMP ||
		       (shows_type && (l3[u.offset] == 8 || l3[u.offset] == 0));
	}
	/* RFC 4443 section 2.4 (e): behind whatever extension headers. */
	return u.proto != PROTO_ICMPV6 || (shows_type && l3[u.offset] >= ICMPV6_INFORMATIONAL);
}

/* A bucket of tokens per worker and tenant: errors never become the load, and a tenant that causes
 * many of them takes none from the others. */
static bool error_token(struct worker *w, uint32_t tenant)
{
	uint64_t now = rte_rdtsc(), each = w->tsc_hz / ERRORS_HZ;
	uint64_t *empty = &w->error_refill[tenant];
	uint64_t tokens;

	if (*empty == 0)
		*empty = now - ERRORS_BURST * each;
	tokens = each != 0 ? (now - *empty) / each : 0;
	if (tokens == 0)
		return false;
	if (tokens > ERRORS_BURST)
		*empty = now - ERRORS_BURST * each;
	*empty += each;
	return true;
}

/* The attachment's address, or NULL when it is another tenant's or has none of the family. */
static const uint8_t *speaker_address(const struct worker *w, const struct packet *p, uint32_t id)
{
	static const uint8_t none[16];
	const struct attachment *at = &w->tables->attachment[id];
	const uint8_t *own = p->family == IP_V4 ? at->ipv4 : at->ipv6;

	if (at->tenant != p->tenant || memcmp(own, none, p->family == IP_V4 ? 4 : 16) == 0)
		return NULL;
	return own;
}

/*
 * Who speaks: the attachment where it came in (RFC 1812 section 4.3.2.4), or, from a tunnel, the one
 * where it would go, or, from tunnel to tunnel and to nowhere, one of the tenant's all the same.
 */
static const uint8_t *error_source(const struct worker *w, const struct packet *p)
{
	const struct tables *t = w->tables;
	const uint8_t *own = speaker_address(w, p, p->attachment);
	uint32_t onwards = 0;

	if (own != NULL)
		return own;
	if (route_kind(p->route) == ROUTE_KIND_ADJACENCY)
		onwards = t->adjacency[route_index(p->route)].attachment;
	else if (route_kind(p->route) == ROUTE_KIND_ONLINK)
		onwards = route_index(p->route);
	own = speaker_address(w, p, onwards);
	if (own != NULL)
		return own;
	return speaker_address(
		w, p,
		__atomic_load_n(&t->speaker[p->tenant].attachment[by_family(p->family)],
				__ATOMIC_RELAXED));
}

uint32_t packet_mtu(const struct worker *w, const struct packet *p)
{
	if (p->tunnel != 0 && p->walk == ABI_TRACE_OUTBOUND) {
		uint32_t mtu = sa_inner_mtu(&p->sa->out, p->outer);

		return RTE_MAX(mtu, ip_least_mtu(p->family));
	}
	return w->tables->adjacency[route_index(p->route)].mtu;
}

static void error_ipv4(const struct worker *w, struct packet *p, const uint8_t *own, uint32_t quote)
{
	const struct error_message *message = &error_messages[p->reason];
	uint8_t *icmp = p->l3 - ICMP_LEN, *ip = icmp - IPV4_HEADER_MIN;
	static const uint8_t template[IPV4_HEADER_MIN] = {
		0x45, 0xc0, [8] = ERROR_HOPS, [9] = PROTO_ICMP
	};

	memcpy(ip, template, sizeof(template));
	memcpy(ip + 12, own, 4);
	memcpy(ip + 16, p->l3 + 12, 4);
	store_be16(ip + 2, (uint16_t)(IPV4_HEADER_MIN + ICMP_LEN + quote));
	store16(ip + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(ip, IPV4_HEADER_MIN)));
	store64(icmp, 0);
	icmp[0] = message->type[0];
	icmp[1] = message->code[0];
	if (p->reason == DROP_too_big)
		store_be16(icmp + 6, (uint16_t)packet_mtu(w, p));
	store16(icmp + 2, (uint16_t)~checksum_fold(checksum_sum(icmp, ICMP_LEN + quote, 0)));
	p->l3 = ip;
	p->length = (uint16_t)(IPV4_HEADER_MIN + ICMP_LEN + quote);
}

static void error_ipv6(const struct worker *w, struct packet *p, const uint8_t *own, uint32_t quote)
{
	const struct error_message *message = &error_messages[p->reason];
	uint8_t *icmp = p->l3 - ICMP_LEN, *ip = icmp - IPV6_HEADER_LEN;
	uint32_t len = ICMP_LEN + quote;

	store64(ip, 0x60);
	store_be16(ip + 4, (uint16_t)len);
	ip[6] = PROTO_ICMPV6;
	ip[7] = ERROR_HOPS;
	memcpy(ip + 8, own, 16);
	memcpy(ip + 24, p->l3 + 8, 16);
	store64(icmp, 0);
	icmp[0] = message->type[1];
	icmp[1] = message->code[1];
	if (p->reason == DROP_too_big)
		store32(icmp + 4, __builtin_bswap32(packet_mtu(w, p)));
	store16(icmp + 2, (uint16_t)~checksum_fold(
				  checksum_sum(icmp, len,
					       checksum_sum(ip + 8, 32, __builtin_bswap32(len)) +
						       ((uint64_t)PROTO_ICMPV6 << 24))));
	p->l3 = ip;
	p->length = (uint16_t)(IPV6_HEADER_LEN + len);
}

/* True: p has become an error, to be routed. */
static bool error_make(struct worker *w, struct packet *p)
{
	const uint8_t *own = error_source(w, p);
	uint32_t most = p->family == IP_V4 ? QUOTE_IPV4 : QUOTE_IPV6;
	uint32_t room = (uint32_t)(p->l3 - (uint8_t *)p->mbuf->buf_addr);
	/* Of one in several buffers, what the first one holds: all its headers, and more. */
	uint32_t quote = RTE_MIN(packet_contiguous(p), most);

	if (own == NULL || room < IPV6_HEADER_LEN + ICMP_LEN + 18 || !error_allowed(p) ||
	    !error_token(w, p->tenant))
		return false;
	drop_count(&w->stats, p);
	if (p->family == IP_V4)
		error_ipv4(w, p, own, quote);
	else
		error_ipv6(w, p, own, quote);
	p->reason = DROP_NONE;
	p->flags |= PACKET_ORIGINATED;
	p->tunnel = 0;
	p->walk = ABI_TRACE_LOCAL;
	return true;
}

void icmp_error_burst(struct worker *w)
{
	struct packet_list *list = &w->dropped;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->n; i++) {
		struct packet *p = list->p[i];

		if (likely(!error_wanted(p)) || !error_make(w, p))
			list->p[kept++] = p;
		else
			packet_push(&w->forward, p);
	}
	list->n = kept;
}
