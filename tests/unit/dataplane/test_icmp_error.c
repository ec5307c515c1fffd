/* SPDX-License-Identifier: BSD-3-Clause */
/* What senders are told about packets that were dropped, by whom, and when they are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "ip_header.h"
#include "testbed.h"

#define PROTO_UDP 17

static void add_addresses(struct testbed *bed)
{
	struct attachment *at = &bed->tables->attachment[1];

	memcpy(at->ipv4, "\x0a\0\0\x01", 4);
	memcpy(at->ipv6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	bed->worker->tsc_hz = 1000; /* tokens without end */
}

/* A UDP packet of 60 bytes from the tenant's host; the destination's second byte tells networks apart. */
static uint32_t make_frame(uint8_t *frame, enum ip_family family, uint8_t network, uint8_t proto)
{
	uint32_t len = testbed_frame(frame, family, 60, true);
	uint8_t *l3 = frame + 14;

	if (family == IP_V4) {
		l3[17] = network;
		l3[9] = proto;
		store16(l3 + 10, 0);
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
	} else {
		l3[25] = network;
		l3[6] = proto;
	}
	return len;
}

/* The one packet that leaves on the tenant's port is this error, from its address there. */
static void expect(struct testbed *bed, enum ip_family family, uint8_t type, uint8_t code)
{
	uint32_t header = family == IP_V4 ? 20 : 40;
	struct rte_mbuf *out[BURST_MAX];
	const uint8_t *l3, *icmp;

	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	l3 = rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14);
	icmp = l3 + header;
	assert_int_equal(family == IP_V4 ? l3[9] : l3[6], family == IP_V4 ? 1 : 58);
	assert_int_equal(icmp[0], type);
	assert_int_equal(icmp[1], code);
	assert_int_equal(load32(icmp + 4), 0);
	assert_memory_equal(l3 + (family == IP_V4 ? 12 : 8),
			    family == IP_V4 ? bed->tables->attachment[1].ipv4
					    : bed->tables->attachment[1].ipv6,
			    family == IP_V4 ? 4 : 16);
	rte_pktmbuf_free(out[0]);
}

static void expect_nothing(struct testbed *bed)
{
	struct rte_mbuf *out[BURST_MAX];

	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
}

static void test_unreachable(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t frame[2048];

	add_addresses(bed);
	for (int i = 0; i < 2; i++) {
		enum ip_family family = i == 0 ? IP_V4 : IP_V6;
		uint8_t type = i == 0 ? 3 : 1;
		uint32_t len = make_frame(frame, family, 9, PROTO_UDP);

		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		expect(bed, family, type, 0);

		bed->tables->tunnel[1].sa_out = 0;
		len = make_frame(frame, family, 1, PROTO_UDP);
		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		expect(bed, family, type, i == 0 ? 1 : 3);
		bed->tables->tunnel[1].sa_out = 1;

		/* No way to the peer: the MTU that underlay.c sets is 0 then. */
		bed->tables->sa[1].out.outer[0].adjacency = 0;
		bed->tables->sa[1].out.outer[0].inner_mtu = 0;
		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		expect(bed, family, type, i == 0 ? 1 : 3);
		bed->tables->sa[1].out.outer[0].adjacency = BED_ADJ_UNDERLAY;
		bed->tables->sa[1].out.outer[0].inner_mtu = 1400;
	}
	assert_int_equal(testbed_drops(bed, 1, DROP_no_route), 2);
	assert_int_equal(testbed_drops(bed, 1, DROP_no_sa), 2);
	assert_int_equal(testbed_drops(bed, 1, DROP_no_underlay), 2);
	testbed_conserved(bed, 1, 0);
	testbed_destroy(bed);
}

/* To the gateway itself: there is no such port; but nothing is said about an ICMP message. */
static void test_port_unreachable(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t frame[2048];
	uint32_t len;

	add_addresses(bed);
	len = make_frame(frame, IP_V4, 0, PROTO_UDP);
	memcpy(frame + 14 + 16, "\x0a\0\0\x01", 4);
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect(bed, IP_V4, 3, 3);

	frame[14 + 9] = 1; /* an echo request whose checksum is wrong */
	store64(frame + 14 + 20, 0x0123456789abcd08ull);
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_nothing(bed);
	frame[14 + 9] = 50; /* nothing with ports */
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_nothing(bed);
	assert_int_equal(testbed_drops(bed, 1, DROP_local_unhandled), 3);
	testbed_conserved(bed, 1, 0);
	testbed_destroy(bed);
}

/* Reasons about which a sender learns nothing. */
static void test_silent(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t frame[2048];
	uint32_t len, old;

	add_addresses(bed);
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
				   ip_load(IP_V4, (const uint8_t *)"\x0a\x08\0\0"), 16,
				   route_value(ROUTE_KIND_BLACKHOLE, 0), &old),
			 0);
	len = make_frame(frame, IP_V4, 8, PROTO_UDP);
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_nothing(bed);
	assert_int_equal(testbed_drops(bed, 1, DROP_blackhole), 1);

	/* The gateway has no address of this family here. */
	memset(bed->tables->attachment[1].ipv6, 0, 16);
	len = make_frame(frame, IP_V6, 9, PROTO_UDP);
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_nothing(bed);

	/* Another tenant's attachment does not speak for this one. */
	bed->tables->speaker[1].attachment[1] = 2;
	bed->tables->attachment[2].tenant = 2;
	memcpy(bed->tables->attachment[2].ipv6, "\xfd\x0f", 2);
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_nothing(bed);
	assert_int_equal(testbed_drops(bed, 1, DROP_no_route), 2);
	testbed_conserved(bed, 1, 0);
	testbed_destroy(bed);
}

/* An ICMPv6 error stays one behind extension headers, and in pieces: RFC 4443 section 2.4 (e). */
static void test_behind_extensions(void **state)
{
	static const struct {
		uint8_t extension, proto, type;
		uint16_t place; /* of a fragment header */
		bool answered;
	} cases[] = {
		{ 60, PROTO_UDP, 0, 0, true },  { 60, 58, 128, 0, true },
		{ 60, 58, 1, 0, false },        { 60, 58, 127, 0, false },
		{ 44, 58, 128, 0x0001, true },  { 44, 58, 2, 0x0001, false },
		{ 44, 58, 128, 0x0008, false }, { 44, PROTO_UDP, 0, 0x0008, true },
	};
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t frame[2048], *l3 = frame + 14;

	add_addresses(bed);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len = make_frame(frame, IP_V6, 9, cases[i].extension);

		memcpy(l3 + 40, ((uint8_t[]){ cases[i].proto, 0, 1, 4, 0, 0, 0, 0 }), 8);
		if (cases[i].extension == 44)
			store_be16(l3 + 42, cases[i].place);
		l3[48] = cases[i].type;
		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		if (cases[i].answered)
			expect(bed, IP_V6, 1, 0);
		else
			expect_nothing(bed);
		assert_int_equal(testbed_drops(bed, 1, DROP_no_route), i + 1);
	}
	testbed_conserved(bed, 1, 0);
	testbed_destroy(bed);
}

/* What came out of a tunnel and goes nowhere is answered through the tunnel, by the tenant's speaker. */
static void test_from_a_tunnel(void **state)
{
	for (uint32_t speaks = 0; speaks < 2; speaks++) {
		struct testbed *bed = testbed_create(0, 16, 64);
		struct rte_mbuf *out[BURST_MAX];
		uint8_t frame[2048], sealed[2048];
		uint32_t len, n;

		add_addresses(bed);
		/* The tunnel is a loop: make the packet from its far side and seal it. */
		len = make_frame(frame, IP_V4, 9, PROTO_UDP);
		memcpy(frame + 14 + 12, "\x0a\x01\0\x07", 4);
		store16(frame + 24, 0);
		store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
		assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
					   ip_load(IP_V4, (const uint8_t *)"\x0a\x09\0\0"), 16,
					   route_value(ROUTE_KIND_TUNNEL, 1), &(uint32_t){ 0 }),
				 0);
		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
		n = out[0]->data_len;
		memcpy(sealed, rte_pktmbuf_mtod(out[0], void *), n);
		rte_pktmbuf_free(out[0]);
		memcpy(sealed, &bed->tables->port[1].mac, 6);
		assert_int_equal(route_delete(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
					      ip_load(IP_V4, (const uint8_t *)"\x0a\x09\0\0"), 16,
					      &(uint32_t){ 0 }),
				 0);

		bed->tables->speaker[1].attachment[0] = speaks;
		testbed_walk(bed, BED_PORT_UNDERLAY, sealed, n);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), speaks);
		if (speaks)
			rte_pktmbuf_free(out[0]);
		assert_int_equal(testbed_drops(bed, 1, DROP_no_route), 1);
		testbed_destroy(bed);
	}
}

/* One tenant's errors take nothing of another's: each has a bucket of its own. */
static void test_budget(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t frame[2048];
	uint32_t len = make_frame(frame, IP_V4, 9, PROTO_UDP);
	struct rte_mbuf *out[BURST_MAX];
	uint32_t errors = 0;

	add_addresses(bed);
	bed->worker->tsc_hz = 1ull << 50; /* no new tokens while this runs */
	for (uint32_t i = 0; i < 100; i++) {
		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		if (testbed_out(bed, BED_PORT_TENANT, out) == 1) {
			rte_pktmbuf_free(out[0]);
			errors++;
		}
	}
	assert_int_equal(errors, 32);
	/* The same port, now another tenant's. */
	bed->tables->attachment[1].tenant = 2;
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[2], IP_V4,
				   ip_load(IP_V4, (const uint8_t *)"\x0a\0\0\0"), 16,
				   route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT),
				   &(uint32_t){ 0 }),
			 0);
	bed->tables->adjacency[BED_ADJ_TENANT].tenant = 2;
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect(bed, IP_V4, 3, 0);
	testbed_destroy(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unreachable), cmocka_unit_test(test_port_unreachable),
		cmocka_unit_test(test_silent),      cmocka_unit_test(test_from_a_tunnel),
		cmocka_unit_test(test_budget),      cmocka_unit_test(test_behind_extensions),
	};

	testbed_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
