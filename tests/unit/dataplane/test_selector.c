/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic selectors against a reading of RFC 4301 that knows how each packet was made and never
 * parses one: millions of random packets and lists, from few values so that many match.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply.h"
#include "gateway_fixture.h"
#include "ip_header.h"
#include "selector.h"

#define LISTS       40000
#define PACKETS     64 /* per list */
#define PACKET_ROOM 512

enum piece { WHOLE, FIRST, LATER };

/* How a packet is made. */
struct plan {
	uint8_t family; /* ABI_IPV4, ABI_IPV6 */
	uint8_t protocol;
	uint8_t source[16];
	uint8_t destination[16];
	uint16_t port[2]; /* or ICMP type and code in the first */
	enum piece piece;
	bool unknown; /* the protocol can't be told */
	bool cut;     /* ends before its ports */
	uint32_t length;
	uint8_t bytes[PACKET_ROOM];
};

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % n);
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == 1 || protocol == 58;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 ||
	       protocol == 136;
}

static uint8_t draw_protocol(void)
{
	static const uint8_t v[] = { 6, 17, 1, 58, 132, 47, 135, 50, 17, 6 };

	return v[draw(sizeof(v))];
}

static uint16_t draw_port(uint8_t protocol)
{
	static const uint16_t port[] = { 0, 1, 79, 80, 81, 4500, 65534, 65535 };
	static const uint16_t icmp[] = { 8 << 8, 0,      3 << 8 | 4, 3 << 8 | 1, 11 << 8,
					 5 << 8, 1 << 8, 2 << 8,     128 << 8,   129 << 8 };

	if (protocol == 135)
		return (uint16_t)(draw(4) << 8);
	return is_icmp(protocol) ? icmp[draw(10)] : port[draw(8)];
}

static void draw_address(uint8_t family, uint8_t *a)
{
	memset(a, 0, 16);
	if (family == ABI_IPV4) {
		a[0] = 10;
		a[2] = (uint8_t)draw(2);
		a[3] = (uint8_t)draw(8);
	} else {
		a[0] = 0xfd;
		a[7] = (uint8_t)draw(3);
		a[8] = (uint8_t)(draw(2) * 0x80);
		a[15] = (uint8_t)draw(4);
	}
}

/* ---- selectors ---- */

static void draw_range(uint8_t family, uint8_t *first, uint8_t *last)
{
	draw_address(family, first);
	if (draw(4) == 0) {
		memset(first, 0, 16);
		memset(last, 0, 16);
		memset(last, 0xff, family == ABI_IPV4 ? 4 : 16);
		return;
	}
	do
		draw_address(family, last);
	while (memcmp(first, last, 16) > 0);
}

static void draw_ports(uint8_t protocol, uint16_t *first, uint16_t *last)
{
	uint32_t kind = draw(4);

	*first = 0;
	*last = 65535;
	if (kind == 0) {
		*first = 65535;
		*last = 0;
	} else if (kind != 1 && (has_ports(protocol) || is_icmp(protocol) || protocol == 135)) {
		*first = draw_port(protocol);
		do
			*last = draw_port(protocol);
		while (*last < *first && draw(20) != 0);
		if (*last < *first)
			*last = *first;
	}
}

static struct abi_selectors draw_list(void)
{
	struct abi_selectors r = { .tunnel = 1, .count = draw(4) == 0 ? draw(17) : draw(4) };

	for (uint32_t i = 0; i < r.count; i++) {
		struct abi_selector *s = &r.selector[i];

		s->family = draw(2) ? ABI_IPV4 : ABI_IPV6;
		s->protocol = draw(4) == 0 ? 0 : draw_protocol();
		draw_range(s->family, s->local_first, s->local_last);
		draw_range(s->family, s->remote_first, s->remote_last);
		draw_ports(s->protocol, &s->local_port_first, &s->local_port_last);
		draw_ports(s->protocol, &s->remote_port_first, &s->remote_port_last);
	}
	return r;
}

/* ---- packets ---- */

/* IPv6 extension headers in front of the protocol; where they end. */
static uint32_t extensions_make(struct plan *p)
{
	static const uint8_t type[] = { 0, 43, 60 };
	uint32_t n = draw(3) == 0 ? draw(6) : 0, at = 40, fragment = draw(n + 1);
	uint8_t *next = &p->bytes[6];

	for (uint32_t i = 0; i <= n; i++) {
		if (i == fragment && p->piece != WHOLE) {
			*next = 44;
			store_be16(p->bytes + at + 2, p->piece == FIRST ? 1 : 8 * 5);
			next = &p->bytes[at];
			at += 8;
			if (p->piece == LATER) {
				/* What was cut up begins here; it may be another extension. */
				p->unknown = i < n;
				*next = i < n ? type[draw(3)] : p->protocol;
				return at;
			}
		}
		if (i == n)
			break;
		*next = type[draw(3)];
		next = &p->bytes[at];
		p->bytes[at + 1] = (uint8_t)draw(3);
		at += 8 + 8u * p->bytes[at + 1];
	}
	*next = p->protocol;
	return at;
}

static uint32_t header_make(struct plan *p)
{
	uint32_t words = draw(3) == 0 ? 5 + draw(11) : 5;

	if (p->family == ABI_IPV6) {
		p->bytes[0] = 0x60;
		memcpy(p->bytes + 8, p->source, 16);
		memcpy(p->bytes + 24, p->destination, 16);
		return extensions_make(p);
	}
	p->bytes[0] = (uint8_t)(0x40 | words);
	p->bytes[9] = p->protocol;
	if (p->piece != WHOLE)
		store_be16(p->bytes + 6, p->piece == FIRST ? 0x2000 : draw(2) ? 0x2003 : 0x0003);
	memcpy(p->bytes + 12, p->source, 4);
	memcpy(p->bytes + 16, p->destination, 4);
	return words * 4;
}

static void plan_draw(struct plan *p)
{
	uint32_t at;

	memset(p, 0, sizeof(*p));
	p->family = draw(2) ? ABI_IPV4 : ABI_IPV6;
	p->protocol = draw_protocol();
	draw_address(p->family, p->source);
	draw_address(p->family, p->destination);
	p->port[0] = draw_port(p->protocol);
	p->port[1] = draw_port(p->protocol);
	p->piece = draw(3) == 0 ? FIRST + draw(2) : WHOLE;
	at = header_make(p);
	if (p->protocol == 135) {
		p->bytes[at + 2] = (uint8_t)(p->port[0] >> 8);
		p->bytes[at + 3] = (uint8_t)draw(256);
	} else {
		store_be16(p->bytes + at, p->port[0]);
		if (has_ports(p->protocol))
			store_be16(p->bytes + at + 2, p->port[1]);
	}
	p->cut = draw(8) == 0;
	p->length = at + (p->cut ? draw(4) : 8);
}

/* ---- what RFC 4301 says ---- */

static bool ports_right(uint16_t first, uint16_t last, const struct plan *p, uint16_t port)
{
	bool any = first == 0 && last == 65535, opaque = first == 65535 && last == 0;
	bool some = has_ports(p->protocol) || is_icmp(p->protocol) || p->protocol == 135;

	if (any)
		return true;
	if (p->piece == LATER || (p->cut && some))
		return opaque;
	return !p->unknown && some && !opaque && port >= first && port <= last;
}

static bool inside(const uint8_t *first, const uint8_t *last, const uint8_t *a)
{
	return memcmp(first, a, 16) <= 0 && memcmp(a, last, 16) <= 0;
}

static bool selector_right(const struct abi_selector *s, const struct plan *p, bool out)
{
	uint16_t other = is_icmp(p->protocol) || p->protocol == 135 ? p->port[0] : p->port[1];
	bool one = is_icmp(s->protocol) || s->protocol == 135;

	if (s->family != p->family ||
	    (s->protocol != 0 && (p->unknown || s->protocol != p->protocol)))
		return false;
	if (out)
		return inside(s->local_first, s->local_last, p->source) &&
		       inside(s->remote_first, s->remote_last, p->destination) &&
		       ports_right(s->local_port_first, s->local_port_last, p, p->port[0]) &&
		       (one || ports_right(s->remote_port_first, s->remote_port_last, p, other));
	return inside(s->remote_first, s->remote_last, p->source) &&
	       inside(s->local_first, s->local_last, p->destination) &&
	       ports_right(s->remote_port_first, s->remote_port_last, p, p->port[0]) &&
	       (one || ports_right(s->local_port_first, s->local_port_last, p, other));
}

static bool list_right(const struct abi_selectors *r, const struct plan *p, bool out)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (selector_right(&r->selector[i], p, out))
			return true;
	return false;
}

/* ---- */

/* Tunnel 1 of tenant 1. */
static struct apply *world(struct fixture *f)
{
	struct abi_tenant tenant = make_tenant(1);
	struct abi_tunnel tunnel = make_tunnel(1, 1, "192.0.2.1", "198.51.100.7");
	struct apply *a;
	char text[ABI_TEXT_LEN];

	assert_int_equal(apply_create(&f->gw, &a), 0);
	assert_int_equal(apply_record(a, ABI_TENANT_SET, &tenant, text, sizeof(text)), 0);
	assert_int_equal(apply_record(a, ABI_TUNNEL_SET, &tunnel, text, sizeof(text)), 0);
	apply_commit(a);
	return a;
}

static const struct selectors *list_set(struct fixture *f, struct apply *a,
					const struct abi_selectors *r)
{
	struct abi_selectors back;
	char text[ABI_TEXT_LEN] = "";

	assert_int_equal(apply_record(a, ABI_SELECTORS_SET, r, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	apply_commit(a);
	selectors_record(&f->gw, 1, &back);
	assert_memory_equal(&back, r, sizeof(back));
	return f->gw.tables->selectors[1];
}

static bool passes(const struct selectors *s, const uint8_t *l3, uint32_t length, bool out)
{
	enum ip_family family = l3[0] >> 4 == 4 ? IP_V4 : IP_V6;
	/* Of its own size, so that a sanitizer sees a look beyond it. */
	uint8_t *copy = malloc(length);
	bool pass;

	assert_non_null(copy);
	memcpy(copy, l3, length);
	pass = s != NULL &&
	       selectors_match(s, copy, family, length, out ? SELECTOR_LOCAL : SELECTOR_REMOTE);
	free(copy);
	return pass;
}

static void any_list_and_packet(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = world(f);
	uint64_t matched = 0, all = 0;

	seed = 0x5e1ec7051;
	for (uint32_t i = 0; i < LISTS; i++) {
		struct abi_selectors r = draw_list();
		const struct selectors *s = list_set(f, a, &r);
		struct plan p;

		for (uint32_t k = 0; k < PACKETS; k++) {
			bool out = draw(2), right;

			plan_draw(&p);
			right = list_right(&r, &p, out);
			if (passes(s, p.bytes, p.length, out) != right)
				fail_msg("list %u, packet %u: %s", i, k,
					 right ? "stopped" : "let by");
			matched += right;
			all++;
		}
	}
	/* Neither verdict is rare. */
	assert_true(matched > all / 50 && matched < all / 2);
	apply_destroy(a);
	fixture_destroy(f);
}

/* An ICMP error from anybody to whoever sent what it is about, which came the other way. */
static uint32_t error_make(const struct plan *about, uint32_t quoted, uint8_t type, uint8_t *bytes)
{
	uint32_t at = about->family == ABI_IPV4 ? 20 : 40;

	memset(bytes, 0, PACKET_ROOM);
	bytes[0] = about->family == ABI_IPV4 ? 0x45 : 0x60;
	if (about->family == ABI_IPV4) {
		bytes[9] = 1;
		memcpy(bytes + 12, "\xc0\0\2\x63", 4);
		memcpy(bytes + 16, about->source, 4);
	} else {
		bytes[6] = 58;
		memcpy(bytes + 8, "\x20\x01\x0d\xb8", 4);
		memcpy(bytes + 24, about->source, 16);
	}
	bytes[at] = type;
	memcpy(bytes + at + 8, about->bytes, quoted);
	return at + 8 + quoted;
}

/* The error's own header matches a selector of all ICMP, or of any protocol, from anywhere. */
static bool error_by_itself(const struct abi_selectors *r, const struct plan *about, uint8_t type,
			    bool out)
{
	struct plan p = { .family = about->family, .protocol = about->family == ABI_IPV4 ? 1 : 58 };

	memcpy(p.source, about->family == ABI_IPV4 ? "\xc0\0\2\x63" : "\x20\x01\x0d\xb8", 4);
	memcpy(p.destination, about->source, 16);
	p.port[0] = (uint16_t)(type << 8);
	return list_right(r, &p, out);
}

static void errors_about_what_may_pass(void **state)
{
	static const uint8_t error_v4[] = { 3, 4, 11, 12 }, error_v6[] = { 1, 2, 3, 4 };
	static const uint8_t other_v4[] = { 0, 5, 8, 13 }, other_v6[] = { 128, 129, 135, 137 };
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = world(f);
	uint64_t passed = 0, all = 0;

	seed = 0xe4404;
	for (uint32_t i = 0; i < LISTS / 4; i++) {
		struct abi_selectors r = draw_list();
		const struct selectors *s = list_set(f, a, &r);

		for (uint32_t k = 0; k < PACKETS; k++) {
			bool out = draw(2), error = draw(4) != 0, right;
			struct plan p;
			uint8_t bytes[PACKET_ROOM], type;
			uint32_t length;

			plan_draw(&p);
			type = p.family == ABI_IPV4 ? (error ? error_v4 : other_v4)[draw(4)]
						    : (error ? error_v6 : other_v6)[draw(4)];
			length = error_make(&p, p.length, type, bytes);
			right = error_by_itself(&r, &p, type, out) ||
				(error && list_right(&r, &p, !out));
			if (passes(s, bytes, length, out) != right)
				fail_msg("list %u, error %u: %s", i, k,
					 right ? "stopped" : "let by");
			passed += right;
			all++;
			/* Nothing beyond the end is looked at, whatever is missing. */
			(void)passes(s, bytes,
				     length - draw(length - (p.family == ABI_IPV4 ? 20 : 40)), out);
		}
	}
	assert_true(passed > all / 50 && passed < all / 2);
	apply_destroy(a);
	fixture_destroy(f);
}

/* Someone else than the sender of the packet that it is about has no business with the error. */
static void errors_to_another(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = world(f);
	struct abi_selectors r = { .tunnel = 1, .count = 1 };
	struct abi_selector *s = &r.selector[0];
	const struct selectors *list;
	struct plan p;
	uint8_t bytes[PACKET_ROOM];
	uint32_t length;

	*s = (struct abi_selector){ .family = ABI_IPV4, .protocol = 6 };
	memset(s->local_last, 0xff, 4);
	memset(s->remote_last, 0xff, 4);
	s->local_port_last = s->remote_port_last = 65535;
	s->remote_port_first = s->remote_port_last = 443;
	list = list_set(f, a, &r);
	seed = 1;
	do
		plan_draw(&p);
	while (p.family != ABI_IPV4 || p.protocol != 6 || p.piece != WHOLE || p.cut ||
	       p.bytes[0] != 0x45);
	store_be16(p.bytes + 22, 443);
	assert_true(passes(list, p.bytes, p.length, true));
	length = error_make(&p, p.length, 3, bytes);
	assert_true(passes(list, bytes, length, false));
	assert_false(passes(list, bytes, length, true)); /* this way it came itself */
	bytes[19] ^= 1;
	assert_false(passes(list, bytes, length, false));
	bytes[19] ^= 1;
	bytes[7] = 3; /* a piece of an error */
	assert_false(passes(list, bytes, length, false));
	bytes[7] = 0;
	bytes[28] = 0x65; /* about something else than IPv4 */
	assert_false(passes(list, bytes, length, false));
	bytes[28] = 0x44; /* a header that is too short */
	assert_false(passes(list, bytes, length, false));
	bytes[28] = 0x4f; /* or longer than what was quoted */
	assert_false(passes(list, bytes, length, false));
	apply_destroy(a);
	fixture_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_list_and_packet),
		cmocka_unit_test(errors_about_what_may_pass),
		cmocka_unit_test(errors_to_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
