/* SPDX-License-Identifier: BSD-3-Clause */
/* What ICMP may do to the MTU of a tunnel's path, and what it may not. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply.h"
#include "dump.h"
#include "event.h"
#include "gateway_fixture.h"
#include "ip_header.h"
#include "out_queue.h"
#include "path_mtu.h"
#include "random.h"
#include "reclaim.h"
#include "underlay.h"

#define SENT 5000 /* the next number of every SA */

/* Tunnels by id; SA 10 t + 1 comes in, 10 t + 2 goes out with SPI 0x2000 + t. */
enum {
	T_ESP = 1,   /* 192.0.2.1 -> 198.51.100.7 */
	T_UDP = 2,   /* the same ends, UDP 4500 -> 4500 */
	T_ESP6 = 3,  /* 2001:db8::1 -> 2001:db8::7 */
	T_UDP6 = 4,  /* the same ends, UDP */
	T_OTHER = 5, /* as T_ESP to 198.51.100.8, with the SPI of T_ESP */
};

struct world {
	struct fixture *f;
	struct gateway *gw;
	struct apply *a;
};

static void set(struct world *w, uint16_t type, const void *record)
{
	char text[ABI_TEXT_LEN] = "";

	if (apply_record(w->a, type, record, text, sizeof(text)) != 0)
		fail_msg("%s", text);
}

#define SET(w, what, record)                           \
	do {                                           \
		typeof(record) set_record = (record);  \
		set(w, ABI_##what##_SET, &set_record); \
	} while (0)

static void settle(struct world *w)
{
	apply_commit(w->a);
	underlay_poll(w->gw);
	reclaim_wait(w->gw->tables->reclaim);
}

static struct abi_tunnel tunnel_record(uint32_t t)
{
	bool v6 = t == T_ESP6 || t == T_UDP6;
	struct abi_tunnel r = make_tunnel(t, 1, v6 ? "2001:db8::1" : "192.0.2.1",
					  v6             ? "2001:db8::7"
					  : t == T_OTHER ? "198.51.100.8"
							 : "198.51.100.7");

	if (t == T_UDP || t == T_UDP6) {
		r.flags = ABI_TUNNEL_UDP;
		r.local_port = r.remote_port = 4500;
	}
	return r;
}

static struct world world_create(void)
{
	struct world w = { .f = fixture_create(NULL, 1) };

	w.gw = &w.f->gw;
	assert_int_equal(apply_create(w.gw, &w.a), 0);
	SET(&w, ATTACHMENT, make_attachment(1, 0, "wan", 0, "192.0.2.1/24", "2001:db8::1/64"));
	SET(&w, NEIGHBOUR, make_neighbour(1, "192.0.2.254", 254));
	SET(&w, NEIGHBOUR, make_neighbour(1, "2001:db8::7", 254));
	SET(&w, ROUTE, make_route_gateway(0, "0.0.0.0/0", 1, "192.0.2.254"));
	SET(&w, TENANT, make_tenant(1));
	for (uint32_t t = T_ESP; t <= T_OTHER; t++) {
		SET(&w, TUNNEL, tunnel_record(t));
		SET(&w, SA, make_sa_in(10 * t + 1, t, 0x1000 + t));
		SET(&w, SA, make_sa_out(10 * t + 2, t, 0x2000 + (t == T_OTHER ? T_ESP : t)));
		w.gw->tables->sa[10 * t + 2].out.sequence = SENT;
	}
	settle(&w);
	path_mtu_tick(w.gw, 1000000);
	return w;
}

static void world_destroy(struct world *w)
{
	apply_destroy(w->a);
	fixture_destroy(w->f);
}

static struct sa_out *sa_of(struct world *w, uint32_t t)
{
	return &w->gw->tables->sa[10 * t + 2].out;
}

/* As it is sent now. */
static const struct sa_outer *outer_of(struct world *w, uint32_t t)
{
	const struct sa_out *sa = sa_of(w, t);

	return &sa->outer[sa->active];
}

/* An ICMP error with the IP header before it, and what it quotes. */
struct error {
	uint8_t bytes[1500];
	uint32_t len;
	enum ip_family family;
	uint32_t icmp;  /* offsets */
	uint32_t quote; /* the quoted IP header */
	uint32_t esp;
};

static void error_fix(struct error *e)
{
	uint8_t *l3 = e->bytes, *icmp = l3 + e->icmp;
	uint32_t len = e->len - e->icmp;
	uint64_t sum = 0;

	store16(icmp + 2, 0);
	if (e->family == IP_V4) {
		store_be16(l3 + 2, (uint16_t)e->len);
		store16(l3 + 10, 0);
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
	} else {
		store_be16(l3 + 4, (uint16_t)len);
		sum = checksum_sum(l3 + 8, 32, __builtin_bswap32(len)) + (58ull << 24);
	}
	store16(icmp + 2, (uint16_t)~checksum_fold(checksum_sum(icmp, len, sum)));
}

static void error_mtu(struct error *e, uint32_t mtu)
{
	store32(e->bytes + e->icmp + 4, htonl(mtu));
	error_fix(e);
}

/* About a packet of `size` bytes that the tunnel sent under `sequence`; `tail` bytes behind ESP's. */
static struct error error_make(struct world *w, uint32_t t, uint32_t mtu, uint32_t sequence,
			       uint32_t size, uint32_t tail)
{
	const struct sa_out *sa = sa_of(w, t);
	const struct sa_outer *outer = &sa->outer[sa->active];
	bool v6 = (outer->flags & SA_OUTER_V6) != 0;
	struct error e = { .family = v6 ? IP_V6 : IP_V4, .icmp = v6 ? 40 : 20 };
	uint8_t *l3 = e.bytes, *quote;

	e.quote = e.icmp + 8;
	quote = l3 + e.quote;
	memcpy(quote, sa->header[sa->active] + SA_TEMPLATE_LEN - outer->header_len,
	       outer->header_len);
	e.esp = e.quote + outer->header_len - 16;
	store32(l3 + e.esp + 4, htonl(sequence));
	if (v6) {
		store_be16(quote + 4, (uint16_t)(size - 40));
		l3[0] = 0x60;
		l3[6] = 58;
		l3[7] = 60;
		memcpy(l3 + 8, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x99", 16);
		memcpy(l3 + 24, quote + 8, 16);
		l3[e.icmp] = 2;
	} else {
		store_be16(quote + 2, (uint16_t)size);
		l3[0] = 0x45;
		l3[8] = 60;
		l3[9] = 1;
		memcpy(l3 + 12, "\xcb\x00\x71\x09", 4);
		memcpy(l3 + 16, quote + 12, 4);
		l3[e.icmp] = 3;
		l3[e.icmp + 1] = 4;
	}
	e.len = e.esp + 8 + tail;
	error_mtu(&e, mtu);
	return e;
}

/* Every byte that it says is there, and none more. */
static enum path_mtu_verdict take(struct world *w, const struct error *e)
{
	uint8_t *exact = malloc(e->len != 0 ? e->len : 1);
	enum path_mtu_verdict verdict;

	assert_non_null(exact);
	memcpy(exact, e->bytes, e->len);
	verdict = path_mtu_packet(w->gw, exact, e->len);
	free(exact);
	return verdict;
}

static enum path_mtu_verdict tell(struct world *w, uint32_t t, uint32_t mtu)
{
	struct error e = error_make(w, t, mtu, SENT - 1, 1500, 0);

	return take(w, &e);
}

static void expect_mtu(struct world *w, uint32_t t, uint32_t outer)
{
	const struct sa_outer *o = outer_of(w, t);

	assert_int_equal(o->outer_mtu, outer);
	assert_int_equal(o->inner_mtu, ((outer - o->header_len - 16u) & ~3u) - 2);
}

static void expect_nothing_learnt(struct world *w)
{
	for (uint32_t t = T_ESP; t <= T_OTHER; t++) {
		assert_int_equal(w->gw->tunnel[t].path.mtu, 0);
		expect_mtu(w, t, 1500);
	}
}

/* ---- what is believed ---- */

static void each_kind_lowers_its_own_tunnel(void **state)
{
	for (uint32_t t = T_ESP; t <= T_OTHER; t++) {
		struct world w = world_create();

		assert_int_equal(tell(&w, t, 1400), PATH_MTU_LEARNT);
		for (uint32_t u = T_ESP; u <= T_OTHER; u++)
			expect_mtu(&w, u, u == t ? 1400 : 1500);
		assert_int_equal(tell(&w, t, 1400), PATH_MTU_NOT_BELOW);
		assert_int_equal(tell(&w, t, 1450), PATH_MTU_NOT_BELOW);
		assert_int_equal(tell(&w, t, 1300), PATH_MTU_LEARNT);
		expect_mtu(&w, t, 1300);
		world_destroy(&w);
	}
}

/* A piece of what was cut behind ESP: the first shows the SPI, the others nothing. */
static void quotes_of_outer_fragments(void **state)
{
	struct world w = world_create();
	struct error e = error_make(&w, T_ESP6, 1300, SENT - 1, 1400, 16);
	uint8_t *quote = e.bytes + e.quote;

	memmove(quote + 48, quote + 40, 8);
	memcpy(quote + 40, (uint8_t[]){ 50, 0, 0, 1, 0, 0, 0, 9 }, 8);
	quote[6] = 44;
	error_fix(&e);
	store_be16(quote + 42, 8 | 1);
	error_fix(&e);
	assert_int_equal(take(&w, &e), PATH_MTU_MALFORMED);
	store_be16(quote + 42, 1);
	error_fix(&e);
	assert_int_equal(take(&w, &e), PATH_MTU_LEARNT);
	expect_mtu(&w, T_ESP6, 1300);

	e = error_make(&w, T_ESP, 1300, SENT - 1, 1400, 16);
	store_be16(e.bytes + e.quote + 6, 1);
	error_fix(&e);
	assert_int_equal(take(&w, &e), PATH_MTU_MALFORMED);
	world_destroy(&w);
}

/* Numbers: sent, and lately, whatever the high half is and wherever the low half wraps. */
static void sequence_numbers(void **state)
{
	static const struct {
		uint64_t first, next, quoted;
		bool good;
	} cases[] = {
		{ 1, 1, 0, false },
		{ 1, 1, 1, false },
		{ 1, 2, 1, true },
		{ 1, 2, 0, false },
		{ 1, 2, 2, false },
		{ 1, 2, UINT32_MAX, false },
		{ 1, 5000000, 5000000 - 1, true },
		{ 1, 5000000, 5000000, false },
		{ 1, 5000000, 5000000 - (1 << 20), true },
		{ 1, 5000000, 5000000 - (1 << 20) - 1, false },
		{ 1, 5000000, 1, false },
		{ 1ull << 32, (1ull << 32) + 3, 2, true },
		{ 1ull << 32, (1ull << 32) + 3, 3, false },
		{ 1ull << 32, (1ull << 32) + 3, UINT32_MAX, false },
		{ 1ull << 31, (1ull << 32) + 3, UINT32_MAX, true },
		{ 1ull << 31, (1ull << 32) + 3, (uint32_t)3 - (1 << 20), true },
		{ 1ull << 31, (1ull << 32) + 3, (uint32_t)2 - (1 << 20), false },
		{ 700, 710, 700, true },
		{ 700, 710, 699, false }, /* not by this process, maybe never */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w = world_create();
		struct error e = error_make(&w, T_ESP, 1400, (uint32_t)cases[i].quoted, 1500, 0);

		w.gw->sa[10 * T_ESP + 2].sequence = cases[i].first;
		sa_of(&w, T_ESP)->sequence_limit = cases[i].next + 100;
		sa_of(&w, T_ESP)->sequence = cases[i].next;
		assert_int_equal(take(&w, &e), cases[i].good ? PATH_MTU_LEARNT : PATH_MTU_SEQUENCE);
		world_destroy(&w);
	}
}

/* Behind the lease numbers may be taken, but none is sent. */
static void sequence_behind_the_lease(void **state)
{
	struct world w = world_create();
	struct error e = error_make(&w, T_ESP, 1400, SENT, 1500, 0);

	sa_of(&w, T_ESP)->sequence_limit = SENT;
	sa_of(&w, T_ESP)->sequence = SENT + 64;
	assert_int_equal(take(&w, &e), PATH_MTU_SEQUENCE);
	e = error_make(&w, T_ESP, 1400, SENT - 1, 1500, 0);
	assert_int_equal(take(&w, &e), PATH_MTU_LEARNT);
	world_destroy(&w);
}

/* RFC 792 asks for 8 bytes: of ESP in UDP that shows no SPI. Good enough for one tunnel, not for two. */
static void udp_without_spi(void **state)
{
	struct world w = world_create();
	struct error e = error_make(&w, T_UDP, 1400, SENT - 1, 1500, 0);
	struct abi_tunnel twin = tunnel_record(T_UDP);

	for (uint32_t short_of = 8; short_of > 4; short_of--) {
		e.len = e.esp + 8 - short_of;
		error_mtu(&e, 1400 + short_of);
		assert_int_equal(take(&w, &e), PATH_MTU_LEARNT);
		expect_mtu(&w, T_UDP, 1400 + short_of);
	}
	e.len = e.esp + 4; /* with the SPI, without a number */
	error_mtu(&e, 1390);
	assert_int_equal(take(&w, &e), PATH_MTU_LEARNT);

	twin.id = 6;
	SET(&w, TUNNEL, twin);
	settle(&w);
	e.len = e.esp;
	error_mtu(&e, 1300);
	assert_int_equal(take(&w, &e), PATH_MTU_AMBIGUOUS);
	expect_mtu(&w, T_UDP, 1390);
	e.len = e.esp + 4;
	error_mtu(&e, 1300);
	assert_int_equal(take(&w, &e), PATH_MTU_LEARNT);
	expect_mtu(&w, T_UDP, 1300);

	/* The rate of searches, and that it comes back. */
	e.len = e.esp;
	error_mtu(&e, 1200);
	for (uint32_t i = 0; i < 16; i++)
		take(&w, &e);
	assert_int_equal(take(&w, &e), PATH_MTU_TOO_MANY);
	path_mtu_tick(w.gw, 1000100);
	assert_int_equal(take(&w, &e), PATH_MTU_AMBIGUOUS);
	world_destroy(&w);
}

static void old_routers_and_bounds(void **state)
{
	static const struct {
		uint32_t tunnel, mtu, size;
		enum path_mtu_verdict verdict;
		uint32_t becomes;
	} cases[] = {
		{ T_ESP, 0, 1500, PATH_MTU_LEARNT, 1492 },
		{ T_ESP, 0, 1492, PATH_MTU_LEARNT, 1006 },
		{ T_ESP, 0, 1006, PATH_MTU_LEARNT, 576 },
		{ T_ESP, 0, 576, PATH_MTU_BOUNDS, 1500 },
		{ T_ESP, 0, 9000, PATH_MTU_LEARNT, 1492 }, /* never sent, but then harmless */
		{ T_ESP, 576, 1500, PATH_MTU_LEARNT, 576 },
		{ T_ESP, 575, 1500, PATH_MTU_BOUNDS, 1500 },
		{ T_ESP, 1, 1500, PATH_MTU_BOUNDS, 1500 },
		{ T_ESP, 1499, 1500, PATH_MTU_LEARNT, 1499 },
		{ T_ESP, 1400, 1400, PATH_MTU_BOUNDS, 1500 }, /* what fits needs no error */
		{ T_ESP, 1500, 1501, PATH_MTU_NOT_BELOW, 1500 },
		{ T_ESP, 65535, 1500, PATH_MTU_BOUNDS, 1500 },
		{ T_ESP6, 0, 1500, PATH_MTU_BOUNDS, 1500 },
		{ T_ESP6, 1279, 1500, PATH_MTU_BOUNDS, 1500 },
		{ T_ESP6, 1280, 1500, PATH_MTU_LEARNT, 1280 },
		{ T_ESP6, 0x10000 + 1300, 1500, PATH_MTU_BOUNDS, 1500 },
		{ T_ESP6, UINT32_MAX, 1500, PATH_MTU_BOUNDS, 1500 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w = world_create();
		struct error e =
			error_make(&w, cases[i].tunnel, cases[i].mtu, SENT - 1, cases[i].size, 0);

		assert_int_equal(take(&w, &e), cases[i].verdict);
		expect_mtu(&w, cases[i].tunnel, cases[i].becomes);
		world_destroy(&w);
	}
}

/* ---- what is not ---- */

/* Every length: nothing behind the end is read (ASan), and too little of a quote teaches nothing. */
static void every_length(void **state)
{
	for (uint32_t t = T_ESP; t <= T_UDP6; t++) {
		struct world w = world_create();
		struct error e = error_make(&w, t, 1400, SENT - 1, 1500, 0);
		uint32_t whole = e.len, enough = e.esp + (t == T_UDP || t == T_UDP6 ? 0 : 8);

		for (uint32_t len = 0; len < whole; len++) {
			uint16_t length = 0;

			e.len = len;
			if (len >= e.icmp + 8)
				error_fix(&e);
			if (len >= enough) {
				/* Enough of UDP alone; a number that was not sent is none. */
				store32(e.bytes + e.icmp + 4, htonl(1501));
				error_fix(&e);
			}
			assert_int_not_equal(take(&w, &e), PATH_MTU_LEARNT);
			if (ip_header_check(e.bytes, len, e.family, false, &length) == DROP_NONE &&
			    len >= e.icmp + 8 && len < enough)
				assert_int_equal(take(&w, &e), PATH_MTU_MALFORMED);
		}
		expect_nothing_learnt(&w);
		world_destroy(&w);
	}
}

/* One byte wrong where a plausible message can't have it so; each with what it is taken for. */
static void lies(void **state)
{
	static const struct {
		const char *what;
		enum path_mtu_verdict verdict;
		uint32_t tunnel;
		int from; /* 0: the ICMP header; 1: the quoted IP header; 2: what is behind */
		uint32_t at;
		uint8_t value; /* to exclusive-or with */
	} cases[] = {
		{ "type", PATH_MTU_NOT_ONE, T_ESP, 0, 0, 8 },
		{ "code", PATH_MTU_NOT_ONE, T_ESP, 0, 1, 1 },
		{ "type", PATH_MTU_NOT_ONE, T_ESP6, 0, 0, 1 },
		{ "quoted version", PATH_MTU_MALFORMED, T_ESP, 1, 0, 0x20 },
		{ "quoted header length", PATH_MTU_MALFORMED, T_ESP, 1, 0, 0x01 },
		{ "quoted version", PATH_MTU_MALFORMED, T_ESP6, 1, 0, 0x20 },
		{ "quoted protocol", PATH_MTU_NOT_ONE, T_ESP, 1, 9, 0xff },
		{ "quoted next header", PATH_MTU_NOT_ONE, T_ESP6, 1, 6, 0xff },
		{ "a later fragment", PATH_MTU_MALFORMED, T_ESP, 1, 7, 0x01 },
		{ "quoted source", PATH_MTU_NO_TUNNEL, T_ESP, 1, 15, 1 },
		{ "quoted destination", PATH_MTU_NO_TUNNEL, T_ESP, 1, 16, 1 },
		{ "quoted source", PATH_MTU_NO_TUNNEL, T_ESP6, 1, 23, 1 },
		{ "quoted destination", PATH_MTU_NO_TUNNEL, T_ESP6, 1, 39, 1 },
		{ "SPI", PATH_MTU_NO_TUNNEL, T_ESP, 2, 0, 1 },
		{ "SPI of the tunnel in UDP", PATH_MTU_NO_TUNNEL, T_ESP, 2, 3, T_ESP ^ T_UDP },
		{ "number", PATH_MTU_SEQUENCE, T_ESP, 2, 4, 0x80 },
		{ "source port", PATH_MTU_NOT_ONE, T_UDP, 2, 0, 1 },
		{ "destination port", PATH_MTU_NO_TUNNEL, T_UDP, 2, 3, 1 },
		{ "SPI", PATH_MTU_NO_TUNNEL, T_UDP, 2, 8, 1 },
		{ "number", PATH_MTU_SEQUENCE, T_UDP, 2, 12, 0x40 },
		{ "destination port", PATH_MTU_NO_TUNNEL, T_UDP6, 2, 3, 1 },
		{ "number", PATH_MTU_SEQUENCE, T_UDP6, 2, 12, 0x40 },
	};
	struct world w = world_create();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error e = error_make(&w, cases[i].tunnel, 1400, SENT - 1, 1500, 0);
		uint32_t behind = e.quote + (e.family == IP_V4 ? 20 : 40);
		uint32_t base = cases[i].from == 0 ? e.icmp : cases[i].from == 1 ? e.quote : behind;

		e.bytes[base + cases[i].at] ^= cases[i].value;
		error_fix(&e);
		if (take(&w, &e) != cases[i].verdict)
			fail_msg("%s: %s", cases[i].what, path_mtu_text(take(&w, &e)));
	}
	expect_nothing_learnt(&w);
	world_destroy(&w);
}

/* IKE's marker, an inbound SA's SPI, a deleted SA's; an error that is a fragment or damaged. */
static void more_lies(void **state)
{
	struct world w = world_create();
	struct error e = error_make(&w, T_UDP, 1400, SENT - 1, 1500, 0);
	struct abi_id id = { .id = 10 * T_ESP6 + 2 };

	memset(e.bytes + e.esp, 0, 4);
	error_fix(&e);
	assert_int_equal(take(&w, &e), PATH_MTU_NOT_ONE);
	e = error_make(&w, T_ESP, 1400, SENT - 1, 1500, 0);
	store32(e.bytes + e.esp, htonl(0x1000 + T_ESP));
	error_fix(&e);
	assert_int_equal(take(&w, &e), PATH_MTU_NO_TUNNEL);
	e = error_make(&w, T_ESP, 1400, SENT - 1, 1500, 20);
	e.bytes[e.len - 1] ^= 1;
	assert_int_equal(take(&w, &e), PATH_MTU_MALFORMED);
	e.bytes[e.len - 1] ^= 1;
	e.bytes[6] = 0x20;
	error_fix(&e);
	assert_int_equal(take(&w, &e), PATH_MTU_NOT_ONE);
	e = error_make(&w, T_ESP6, 1400, SENT - 1, 1500, 3);
	e.bytes[8] ^= 1; /* the pseudo-header */
	assert_int_equal(take(&w, &e), PATH_MTU_MALFORMED);
	e.bytes[8] ^= 1;
	set(&w, ABI_SA_DELETE, &id);
	settle(&w);
	assert_int_equal(take(&w, &e), PATH_MTU_NO_TUNNEL);
	SET(&w, SA, make_sa_out(id.id, T_ESP6, 0x2000 + T_ESP6));
	settle(&w);
	expect_nothing_learnt(&w);
	assert_int_equal(take(&w, &e), PATH_MTU_SEQUENCE); /* nothing sent yet */
	world_destroy(&w);
}

/* A tunnel's MTUs move only downwards, and never below the least, whatever comes. */
static void mutations(void **state)
{
	uint64_t r = 0x4d545505;
	struct world w = world_create();
	uint32_t learnt = 0;

	for (uint32_t i = 0; i < 300000; i++) {
		uint32_t t = 1 + random_below(&r, T_OTHER), sum = 0, before[T_OTHER + 1];
		struct error e =
			error_make(&w, t, 560 + random_below(&r, 1000), SENT - random_below(&r, 40),
				   1500, random_below(&r, 30));

		for (uint32_t k = random_below(&r, 4); k > 0; k--)
			e.bytes[random_below(&r, e.len)] = (uint8_t)random_below(&r, 256);
		if (random_below(&r, 8) == 0)
			e.len -= random_below(&r, e.len);
		if (random_below(&r, 4) != 0 && e.len >= e.icmp + 8)
			error_fix(&e);
		for (uint32_t u = T_ESP; u <= T_OTHER; u++)
			before[u] = outer_of(&w, u)->outer_mtu;
		learnt += take(&w, &e) == PATH_MTU_LEARNT;
		for (uint32_t u = T_ESP; u <= T_OTHER; u++) {
			uint32_t now = outer_of(&w, u)->outer_mtu;

			assert_true(now <= before[u]);
			assert_true(now >= (u == T_ESP6 || u == T_UDP6 ? 1280 : 576));
			sum += now != before[u];
		}
		assert_true(sum <= 1);
		if (i % 3000 == 0)
			path_mtu_tick(w.gw, 1000000 + i * 1000);
	}
	assert_true(learnt > 1000);
	world_destroy(&w);
}

/* ---- how long, and for what ---- */

static void it_ages(void **state)
{
	struct world w = world_create();

	assert_int_equal(tell(&w, T_ESP, 1400), PATH_MTU_LEARNT);
	path_mtu_tick(w.gw, 1300000);
	assert_int_equal(tell(&w, T_ESP6, 1300), PATH_MTU_LEARNT);
	path_mtu_tick(w.gw, 1599999);
	expect_mtu(&w, T_ESP, 1400);
	path_mtu_tick(w.gw, 1600000);
	expect_mtu(&w, T_ESP, 1500);
	expect_mtu(&w, T_ESP6, 1300);
	assert_int_equal(tell(&w, T_ESP, 1350), PATH_MTU_LEARNT);
	path_mtu_tick(w.gw, 1900000);
	expect_mtu(&w, T_ESP6, 1500);
	expect_mtu(&w, T_ESP, 1350);
	path_mtu_tick(w.gw, 2200000);
	expect_nothing_learnt(&w);
	world_destroy(&w);
}

static void a_new_sa_has_it_too(void **state)
{
	struct world w = world_create();

	assert_int_equal(tell(&w, T_ESP, 1400), PATH_MTU_LEARNT);
	SET(&w, SA, make_sa_out(99, T_ESP, 0x9999));
	settle(&w);
	assert_int_equal(w.gw->tables->sa[99].out.outer[0].outer_mtu, 1400);
	/* And both forget together. */
	path_mtu_tick(w.gw, 1600000);
	expect_mtu(&w, T_ESP, 1500);
	assert_int_equal(w.gw->tables->sa[99].out.outer[0].outer_mtu, 1500);
	/* The older one still counts as live. */
	assert_int_equal(tell(&w, T_ESP, 1380), PATH_MTU_LEARNT);
	assert_int_equal(w.gw->tables->sa[99].out.outer[0].outer_mtu, 1380);
	world_destroy(&w);
}

static void other_ends_forget_it(void **state)
{
	struct world w = world_create();
	struct abi_tunnel r = tunnel_record(T_ESP);
	struct abi_id sas[2] = { { .id = 10 * T_OTHER + 1 }, { .id = 10 * T_OTHER + 2 } };
	struct abi_id id = { .id = T_OTHER };

	assert_int_equal(tell(&w, T_ESP, 1400), PATH_MTU_LEARNT);
	r.cookie++;
	r.mtu = 1450; /* not an end */
	SET(&w, TUNNEL, r);
	settle(&w);
	expect_mtu(&w, T_ESP, 1400);
	r.remote = make_address("198.51.100.77");
	SET(&w, TUNNEL, r);
	settle(&w);
	expect_mtu(&w, T_ESP, 1450);
	assert_int_equal(w.gw->tunnel[T_ESP].path.mtu, 0);

	/* Nor does who has the id next. */
	assert_int_equal(tell(&w, T_OTHER, 1400), PATH_MTU_LEARNT);
	for (int i = 0; i < 2; i++)
		set(&w, ABI_SA_DELETE, &sas[i]);
	set(&w, ABI_TUNNEL_DELETE, &id);
	settle(&w);
	path_mtu_tick(w.gw, 1600000);
	SET(&w, TUNNEL, tunnel_record(T_OTHER));
	SET(&w, SA, make_sa_out(10 * T_OTHER + 2, T_OTHER, 0x2001));
	settle(&w);
	expect_mtu(&w, T_OTHER, 1500);
	world_destroy(&w);
}

/* The newest event; its number says how many there were. */
static struct abi_event last_event(struct world *w)
{
	struct abi_event events[64];
	uint32_t n = event_read(w->gw->events, 0, events, 64);

	assert_true(n > 0 && n < 64);
	return events[n - 1];
}

static void expect_event(struct world *w, uint64_t number, uint32_t tunnel, uint64_t mtu)
{
	struct abi_event event = last_event(w);

	assert_int_equal(event.number, number);
	assert_int_equal(event.kind, ABI_EVENT_PATH_MTU);
	assert_int_equal(event.tenant, 1);
	assert_int_equal(event.tunnel, tunnel);
	assert_int_equal(event.value, mtu);
}

static struct abi_tunnel_state state_of(struct world *w, uint32_t t)
{
	struct abi_dump what = { .kind = ABI_DUMP_TUNNEL_STATE, .tenant = UINT32_MAX };
	struct abi_tunnel_state state = { 0 };
	struct out_queue q = { 0 };

	assert_int_equal(dump_queue(w->gw, &what, 0, &q), 0);
	assert_int_equal(q.first->header.count, T_OTHER);
	memcpy(&state, (struct abi_tunnel_state *)out_message_records(q.first) + t - 1,
	       sizeof(state));
	out_queue_clear(&q);
	assert_int_equal(state.id, t);
	return state;
}

/* What is learnt, lowered, aged and forgotten is told, and dumped. */
static void it_is_told(void **state)
{
	struct world w = world_create();
	struct abi_tunnel r = tunnel_record(T_ESP);
	struct abi_tunnel_state s = state_of(&w, T_ESP);

	assert_int_equal(s.path_mtu, 0);
	assert_int_equal(s.inner_mtu, 1446);
	assert_int_equal(tell(&w, T_ESP, 1400), PATH_MTU_LEARNT);
	expect_event(&w, 1, T_ESP, 1400);
	s = state_of(&w, T_ESP);
	assert_int_equal(s.path_mtu, 1400);
	assert_int_equal(s.inner_mtu, 1346);
	assert_memory_equal(&s.remote, &r.remote, sizeof(s.remote));
	assert_int_equal(state_of(&w, T_OTHER).path_mtu, 0);
	assert_int_equal(state_of(&w, T_UDP).remote_port, 4500);
	tell(&w, T_ESP, 1400); /* nothing new */
	expect_event(&w, 1, T_ESP, 1400);
	assert_int_equal(tell(&w, T_UDP6, 1300), PATH_MTU_LEARNT);
	expect_event(&w, 2, T_UDP6, 1300);
	r.remote = make_address("198.51.100.77");
	r.cookie++;
	SET(&w, TUNNEL, r);
	settle(&w);
	expect_event(&w, 3, T_ESP, 0);
	path_mtu_tick(w.gw, 1600000);
	expect_event(&w, 4, T_UDP6, 0);
	assert_int_equal(state_of(&w, T_UDP6).path_mtu, 0);
	world_destroy(&w);
}

static void no_more_than_so_many(void **state)
{
	struct world w = world_create();
	uint32_t mtu = 1490;

	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(tell(&w, T_ESP, mtu--), PATH_MTU_LEARNT);
	assert_int_equal(tell(&w, T_ESP, mtu), PATH_MTU_TOO_MANY);
	assert_int_equal(tell(&w, T_OTHER, mtu), PATH_MTU_LEARNT);
	path_mtu_tick(w.gw, 1001000);
	assert_int_equal(tell(&w, T_ESP, mtu--), PATH_MTU_LEARNT);
	assert_int_equal(tell(&w, T_ESP, mtu), PATH_MTU_TOO_MANY);
	world_destroy(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_lowers_its_own_tunnel),
		cmocka_unit_test(quotes_of_outer_fragments),
		cmocka_unit_test(sequence_numbers),
		cmocka_unit_test(sequence_behind_the_lease),
		cmocka_unit_test(udp_without_spi),
		cmocka_unit_test(old_routers_and_bounds),
		cmocka_unit_test(every_length),
		cmocka_unit_test(lies),
		cmocka_unit_test(more_lies),
		cmocka_unit_test(mutations),
		cmocka_unit_test(it_ages),
		cmocka_unit_test(a_new_sa_has_it_too),
		cmocka_unit_test(other_ends_forget_it),
		cmocka_unit_test(it_is_told),
		cmocka_unit_test(no_more_than_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
