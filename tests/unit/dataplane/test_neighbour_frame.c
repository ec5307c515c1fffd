/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ip_header.h"
#include "neighbour_frame.h"
#include "random.h"

static const uint8_t from_mac[6] = { 2, 1, 2, 3, 4, 5 }, to_mac[6] = { 2, 9, 8, 7, 6, 5 };

struct message {
	uint8_t l3[NEIGHBOUR_FRAME_MAX];
	uint32_t len;
	uint8_t destination[6];
	uint16_t ethertype;
};

static struct ip_addr address(enum ip_family family, uint8_t last)
{
	return family == IP_V4 ? (struct ip_addr){ (0x0a000000ull | last) << 32, 0 }
			       : (struct ip_addr){ 0xfd00000000000000ull, last };
}

static struct message write_message(enum neighbour_kind kind, enum ip_family family, uint8_t to,
				    bool known)
{
	struct message w = { 0 };

	w.len = neighbour_message_write(
		w.l3, kind, family, address(family, 1), from_mac,
		to != 0 ? address(family, to) : (struct ip_addr){ 0, 0 }, known ? to_mac : NULL,
		kind == NEIGHBOUR_REQUEST ? address(family, to) : address(family, 1), w.destination,
		&w.ethertype);
	assert_true(w.len <= NEIGHBOUR_FRAME_MAX);
	return w;
}

static bool read_message(const struct message *w, struct neighbour_message *m)
{
	return neighbour_message_read(w->l3, w->len, w->ethertype == 0x0806, m);
}

static void test_round_trip(void **state)
{
	for (enum ip_family f = IP_V4; f <= IP_V6; f++)
		for (enum neighbour_kind kind = NEIGHBOUR_REQUEST; kind <= NEIGHBOUR_REPLY; kind++)
			for (int known = 0; known < 2; known++) {
				struct message w = write_message(kind, f, 2, known);
				struct neighbour_message m;

				assert_true(read_message(&w, &m));
				assert_int_equal(m.kind, kind);
				assert_int_equal(m.family, f);
				assert_true(ip_equal(m.sender, address(f, 1)));
				assert_true(ip_equal(
					m.target, address(f, kind == NEIGHBOUR_REQUEST ? 2 : 1)));
				assert_true(m.has_mac);
				assert_memory_equal(m.mac, from_mac, 6);
				if (known)
					assert_memory_equal(w.destination, to_mac, 6);
				else
					assert_true(w.destination[0] & 1);
				assert_int_equal(w.ethertype, f == IP_V4 ? 0x0806 : 0x86dd);
			}
}

/* RFC 4291 section 2.7.1, RFC 2464 section 7; RFC 4861 section 7.2.4 for who has no address yet. */
static void test_groups(void **state)
{
	struct message w = write_message(NEIGHBOUR_REQUEST, IP_V6, 2, false);
	struct neighbour_message m;

	assert_memory_equal(w.l3 + 24, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\0\0\x02", 16);
	assert_memory_equal(w.destination, "\x33\x33\xff\0\0\x02", 6);
	w = write_message(NEIGHBOUR_REPLY, IP_V6, 0, true);
	assert_memory_equal(w.l3 + 24, "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	assert_memory_equal(w.destination, "\x33\x33\0\0\0\x01", 6);
	assert_int_equal(w.l3[40 + 4], 0x80 | 0x20); /* Router, Override */
	assert_true(read_message(&w, &m));
	assert_false(m.solicited);
	assert_true(m.override);
}

static void checksum_repair(struct message *w)
{
	uint32_t len = w->len - 40;

	store16(w->l3 + 42, 0);
	store16(w->l3 + 42,
		(uint16_t)~checksum_fold(checksum_sum(
			w->l3 + 40, len,
			checksum_sum(w->l3 + 8, 32, __builtin_bswap32(len)) + (58u << 24))));
}

static void test_malformed_nd(void **state)
{
	/* One byte changed at a time, with the checksum right. */
	static const struct {
		uint8_t kind, at, value;
	} c[] = {
		{ NEIGHBOUR_REQUEST, 7, 254 },   /* hop limit: came by a router */
		{ NEIGHBOUR_REQUEST, 41, 1 },    /* code */
		{ NEIGHBOUR_REQUEST, 40, 133 },  /* a router solicitation */
		{ NEIGHBOUR_REQUEST, 40, 137 },  /* a redirect */
		{ NEIGHBOUR_REQUEST, 48, 0xff }, /* target is a group */
		{ NEIGHBOUR_REQUEST, 65, 0 },    /* option of no length */
		{ NEIGHBOUR_REQUEST, 65, 2 },    /* option beyond the end */
		{ NEIGHBOUR_REPLY, 65, 0 },      { NEIGHBOUR_REPLY, 65, 255 },
		{ NEIGHBOUR_REPLY, 24, 0xff }, /* solicited, but to a group */
	};
	struct neighbour_message m;
	struct message w;

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		w = write_message(c[i].kind, IP_V6, 2, true);
		assert_true(read_message(&w, &m));
		w.l3[c[i].at] = c[i].value;
		checksum_repair(&w);
		assert_false(read_message(&w, &m));
	}
	/* The checksum covers every byte from the addresses on. */
	w = write_message(NEIGHBOUR_REQUEST, IP_V6, 2, true);
	for (uint32_t bit = 8 * 8; bit < w.len * 8; bit++) {
		w.l3[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(read_message(&w, &m));
		w.l3[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* Duplicate address detection has no link-layer address (RFC 4861 section 7.1.1). */
	w = write_message(NEIGHBOUR_REQUEST, IP_V6, 2, false);
	memset(w.l3 + 8, 0, 16);
	checksum_repair(&w);
	assert_false(read_message(&w, &m));
	w.len -= 8;
	checksum_repair(&w);
	assert_true(read_message(&w, &m));
	assert_false(m.has_mac);
	assert_true(m.sender.hi == 0 && m.sender.lo == 0);
	/* A group's address is nobody's. */
	w = write_message(NEIGHBOUR_REPLY, IP_V6, 2, true);
	w.l3[66] |= 1;
	checksum_repair(&w);
	assert_true(read_message(&w, &m));
	assert_false(m.has_mac);
}

static void test_malformed_arp(void **state)
{
	static const struct {
		uint8_t at, value;
	} c[] = { { 0, 1 }, { 1, 6 }, { 2, 0x86 }, { 3, 1 }, { 4, 8 }, { 5, 16 },
		  { 6, 1 }, { 7, 0 }, { 7, 3 },    { 7, 8 }, { 8, 3 } };
	struct neighbour_message m;

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct message w = write_message(NEIGHBOUR_REQUEST, IP_V4, 2, false);

		w.l3[c[i].at] = c[i].value;
		assert_false(read_message(&w, &m));
	}
}

/* Every length, in memory that ends there. */
static void test_cut_short(void **state)
{
	for (enum ip_family f = IP_V4; f <= IP_V6; f++) {
		struct message w = write_message(NEIGHBOUR_REPLY, f, 2, true);
		uint32_t least = f == IP_V4 ? 28 : w.len;

		for (uint32_t len = 1; len <= w.len; len++) {
			uint8_t *cut = malloc(len);
			struct neighbour_message m;

			assert_non_null(cut);
			memcpy(cut, w.l3, len);
			assert_int_equal(neighbour_message_read(cut, len, f == IP_V4, &m),
					 len >= least);
			free(cut);
		}
	}
}

static void test_garbage(void **state)
{
	uint64_t random = 5;

	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t len = 1 + random_below(&random, NEIGHBOUR_FRAME_MAX);
		struct message w = write_message(random_below(&random, 2) ? NEIGHBOUR_REPLY
									  : NEIGHBOUR_REQUEST,
						 IP_V6, 2, random_below(&random, 2));
		uint8_t *copy = malloc(len);
		struct neighbour_message m;

		for (uint32_t k = random_below(&random, 6); k != 0; k--)
			w.l3[random_below(&random, w.len)] = (uint8_t)random_next(&random);
		if (w.len > 48 && random_below(&random, 2))
			checksum_repair(&w);
		memcpy(copy, w.l3, len);
		if (neighbour_message_read(copy, len, random_below(&random, 2), &m))
			assert_false(m.has_mac && (m.mac[0] & 1));
		free(copy);
	}
}

static void test_link_local(void **state)
{
	static const uint8_t mac[6] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55 };
	struct ip_addr a = ipv6_link_local(mac);

	assert_true(a.hi == 0xfe80000000000000ull && a.lo == 0x021122fffe334455ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_groups),
		cmocka_unit_test(test_malformed_nd), cmocka_unit_test(test_malformed_arp),
		cmocka_unit_test(test_cut_short),    cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_link_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
