/* SPDX-License-Identifier: BSD-3-Clause */
#include "selector.h"

#include "segments.h"
#include "upper.h"
#include "worker.h"

#define PROTO_DCCP     33
#define PROTO_SCTP     132
#define PROTO_MOBILITY 135 /* RFC 6275 */
#define PROTO_UDPLITE  136

#define ICMP_UNREACHABLE       3
#define ICMP_SOURCE_QUENCH     4
#define ICMP_TIME_EXCEEDED     11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_ERROR_FIRST     1
#define ICMPV6_ERROR_LAST      4
#define ICMP_LEN               8

enum selector_ports selector_ports(uint8_t protocol)
{
	switch (protocol) {
	case PROTO_TCP:
	case PROTO_UDP:
	case PROTO_DCCP:
	case PROTO_SCTP:
	case PROTO_UDPLITE:
		return SELECTOR_PORTS_PAIR;
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		return SELECTOR_PORTS_ICMP;
	case PROTO_MOBILITY:
		return SELECTOR_PORTS_MOBILITY;
	default:
		return SELECTOR_PORTS_NONE;
	}
}

/* The ports at `header`, of which `readable` bytes are there; none where it is in another piece. */
static void key_ports(struct selector_key *k, const uint8_t *header, uint32_t readable,
		      bool elsewhere)
{
	enum selector_ports ports = selector_ports(k->protocol);

	if (!elsewhere && ports == SELECTOR_PORTS_NONE) {
		k->port[SOURCE] = k->port[DESTINATION] = SELECTOR_NONE;
	} else if (elsewhere || readable < 4) {
		k->port[SOURCE] = k->port[DESTINATION] = SELECTOR_HIDDEN;
	} else if (ports == SELECTOR_PORTS_PAIR) {
		k->port[SOURCE] = load_be16(header);
		k->port[DESTINATION] = load_be16(header + 2);
	} else {
		k->port[SOURCE] =
			ports == SELECTOR_PORTS_ICMP ? load_be16(header) : header[2] * 256u;
		k->port[DESTINATION] = k->port[SOURCE];
	}
}

static unsigned __int128 key_address(struct ip_addr a)
{
	return (unsigned __int128)a.hi << 64 | a.lo;
}

struct selector_key selector_key_of(const uint8_t *l3, enum ip_family family, uint32_t length)
{
	struct upper u = upper_find(l3, family, length);
	struct selector_key k = {
		.address = { key_address(ip_source(l3, family)),
			     key_address(ip_destination(l3, family)) },
		.family = (uint8_t)family,
		.protocol = u.proto,
	};

	if (family == IP_V6 && upper_is_extension(u.proto))
		k.protocol = 0;
	key_ports(&k, l3 + u.offset, length > u.offset ? length - u.offset : 0, u.later);
	return k;
}

static inline bool selector_matches(const struct selector *s, const struct selector_key *k,
				    enum selector_side source)
{
	enum selector_side destination = source ^ 1;

	return s->family == k->family && (s->protocol == 0 || s->protocol == k->protocol) &&
	       k->port[SOURCE] - s->port_first[source] <= s->port_span[source] &&
	       (s->source_only ||
		k->port[DESTINATION] - s->port_first[destination] <= s->port_span[destination]) &&
	       k->address[SOURCE] - s->first[source] <= s->span[source] &&
	       k->address[DESTINATION] - s->first[destination] <= s->span[destination];
}

static bool key_matches(const struct selectors *s, const struct selector_key *k,
			enum selector_side source)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (selector_matches(&s->v[i], k, source))
			return true;
	return false;
}

static bool icmp_is_error(uint8_t type, enum ip_family family)
{
	if (family == IP_V6)
		return type >= ICMPV6_ERROR_FIRST && type <= ICMPV6_ERROR_LAST;
	return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* The packet that a whole ICMP error is about, as far as it was quoted; NULL: this isn't one. */
static const uint8_t *error_quote(const uint8_t *l3, enum ip_family family, uint32_t length,
				  uint32_t *quoted)
{
	struct upper u = upper_find(l3, family, length);
	uint32_t header_len = family == IP_V4 ? IPV4_HEADER_MIN : IPV6_HEADER_LEN;
	const uint8_t *quote = l3 + u.offset + ICMP_LEN;

	if (u.proto != (family == IP_V4 ? PROTO_ICMP : PROTO_ICMPV6) || u.fragment ||
	    length < u.offset + ICMP_LEN + header_len || !icmp_is_error(l3[u.offset], family))
		return NULL;
	*quoted = length - u.offset - ICMP_LEN;
	if (quote[0] >> 4 != (family == IP_V4 ? 4 : 6))
		return NULL;
	if (family == IP_V4 &&
	    ((quote[0] & 0xfu) < IPV4_HEADER_MIN / 4 || (quote[0] & 0xfu) * 4 > *quoted))
		return NULL;
	return quote;
}

/* It goes to who sent what it is about, and that may go, or came, through here. */
static bool error_matches(const struct selectors *s, const uint8_t *l3, enum ip_family family,
			  uint32_t length, enum selector_side source)
{
	uint32_t quoted;
	const uint8_t *quote = error_quote(l3, family, length, &quoted);
	struct selector_key k;

	if (quote == NULL || !ip_equal(ip_destination(l3, family), ip_source(quote, family)))
		return false;
	k = selector_key_of(quote, family, quoted);
	return key_matches(s, &k, source ^ 1);
}

bool selectors_match(const struct selectors *s, const uint8_t *l3, enum ip_family family,
		     uint32_t length, enum selector_side source)
{
	struct selector_key k = selector_key_of(l3, family, length);

	return key_matches(s, &k, source) || error_matches(s, l3, family, length, source);
}

bool selectors_allow(const struct worker *w, const struct packet *p, enum selector_side source)
{
	const struct selectors *s =
		__atomic_load_n(&w->tables->selectors[p->tunnel], __ATOMIC_ACQUIRE);

	if (p->flags & PACKET_DUMMY)
		return true;
	return s != NULL && selectors_match(s, p->l3, p->family, packet_contiguous(p), source);
}
