/* SPDX-License-Identifier: BSD-3-Clause */
/* The walks where packets leave the straight way: the main lcore, our own addresses, VLANs, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ip_header.h"
#include "neighbour_frame.h"
#include "testbed.h"
#include "trace.h"

static const uint8_t mac_station[6] = { 2, 0, 0, 0, 0, 0xcc };

static const struct ip_addr station_ll = { 0xfe80ull << 48, 9 };
static const struct ip_addr own_ll = { 0xfe80ull << 48, 1 };

static uint32_t echo_request_v6(uint8_t *frame, struct ip_addr from, struct ip_addr to)
{
	uint8_t *l3 = frame + 14;

	testbed_frame(frame, IP_V6, 60, true);
	l3[6] = 58;
	ip_store(IP_V6, from, l3 + 8);
	ip_store(IP_V6, to, l3 + 24);
	store64(l3 + 40, 128);
	store16(l3 + 42, (uint16_t)~checksum_fold(checksum_sum(
				 l3 + 40, 20,
				 checksum_sum(l3 + 8, 32, __builtin_bswap32(20)) + (58u << 24))));
	return 14 + 60;
}

static struct packet *handed_over(struct testbed *bed)
{
	void *m;

	return rte_ring_dequeue(bed->to_main, &m) == 0 ? mbuf_packet(m) : NULL;
}

/* The answer to fe80::9 has no route; it goes back to the link that the request came by. */
static void test_echo_link_local(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048];
	struct packet *p;
	uint32_t old;

	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V6, own_ll, 128,
				   route_value(ROUTE_KIND_LOCAL, 1), &old),
			 0);
	testbed_walk(bed, BED_PORT_TENANT, frame, echo_request_v6(frame, station_ll, own_ll));
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
	p = handed_over(bed);
	assert_non_null(p);
	assert_int_equal(p->route, route_value(ROUTE_KIND_ONLINK, 1));
	assert_true(ip_equal(ip_destination(p->l3, IP_V6), station_ll));
	assert_int_equal(p->l3[40], 129);
	rte_pktmbuf_free(p->mbuf);
	assert_int_equal(bed->worker->stats.tenant[1].local_packets, 1);
	testbed_conserved(bed, 1, 0);

	/* The link, not the tenant: by another attachment of it. */
	bed->tables->attachment[1].tenant = 2;
	bed->tables->port[0].vlan[0] = 2;
	bed->tables->attachment[2].tenant = 1;
	bed->tables->attachment[2].port = 0;
	testbed_walk(bed, BED_PORT_TENANT, frame, echo_request_v6(frame, station_ll, own_ll));
	testbed_out(bed, BED_PORT_TENANT, out);
	p = handed_over(bed);
	assert_non_null(p);
	assert_int_equal(p->route, route_value(ROUTE_KIND_ONLINK, 2));
	rte_pktmbuf_free(p->mbuf);
	testbed_destroy(bed);
}

/* An underlay without a host stack: the dataplane answers neighbour discovery there, too. */
static void test_underlay_neighbour_discovery(void **state)
{
	static const struct ip_addr own = { 0x2001000000000000ull, 1 };
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t frame[2048] = { 0 }, destination[6];
	struct rte_mbuf *out[BURST_MAX];
	uint16_t ethertype;
	struct packet *p;
	uint32_t len;

	len = 14 + neighbour_message_write(frame + 14, NEIGHBOUR_REQUEST, IP_V6, station_ll,
					   mac_station, own, NULL, own, destination, &ethertype);
	memcpy(frame, destination, 6);
	store_be16(frame + 12, ethertype);
	for (uint8_t exception = EXCEPTION_NONE; exception <= EXCEPTION_TAP; exception++) {
		bed->tables->port[BED_PORT_UNDERLAY].exception = exception;
		testbed_walk(bed, BED_PORT_UNDERLAY, frame, len);
		testbed_out(bed, BED_PORT_UNDERLAY, out);
		p = handed_over(bed);
		assert_non_null(p);
		assert_int_equal(p->route,
				 exception == EXCEPTION_NONE ? HANDOFF_NEIGHBOUR : HANDOFF_PUNT);
		rte_pktmbuf_free(p->mbuf);
	}
	testbed_conserved(bed, 0, 0);
	testbed_destroy(bed);
}

/*
 * The MTU of a link in the underlay falls: what was encrypted for the old one is dropped, and the
 * tenant is shown nothing of the outer packet, though its VRF would route an error about it.
 */
static void test_no_error_about_encrypted(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 1000, true), old;

	frame[14 + 6] = 0x40; /* DF, and so the outer header has it */
	testbed_class(frame + 14, IP_V4, 0);
	bed->worker->tsc_hz = 1000; /* tokens without end */
	memcpy(bed->tables->attachment[1].ipv4, "\x0a\0\0\x01", 4);
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
				   (struct ip_addr){ 0, 0 }, 0,
				   route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT), &old),
			 0);
	bed->tables->adjacency[BED_ADJ_UNDERLAY].mtu = 500;
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
	assert_int_equal(testbed_drops(bed, 1, DROP_too_big), 1);
	assert_int_equal(bed->worker->stats.tunnel[1].out_drops, 1);
	testbed_conserved(bed, 1, 0);
	testbed_destroy(bed);
}

static uint32_t arp_request(uint8_t *frame)
{
	static const struct ip_addr from = { 0x0a00000aull << 32, 0 },
				    to = { 0x0a000001ull << 32, 0 };
	uint16_t ethertype;

	memset(frame, 0, 64);
	neighbour_message_write(frame + 14, NEIGHBOUR_REQUEST, IP_V4, from, mac_station, to, NULL,
				to, frame, &ethertype);
	store_be16(frame + 12, ethertype);
	return 60;
}

/* One tenant floods ARP. Another one's question still finds room on the way to the main lcore. */
static void test_flood_leaves_room(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *in[BURST_MAX], *out[BURST_MAX];
	uint8_t frame[64];
	uint32_t len = arp_request(frame), of[3] = { 0 };
	struct packet *p;

	bed->tables->port[0].vlan[7] = 3;
	bed->tables->attachment[3] = (struct attachment){ .tenant = 2, .mtu = 1500, .vlan = 7 };
	for (uint32_t burst = 0; burst < 8; burst++) {
		uint32_t n = burst == 0 ? 48 : BURST_MAX - 1;

		for (uint32_t i = 0; i < n; i++)
			in[i] = testbed_mbuf(bed, frame, len);
		if (burst > 3) {
			in[n] = testbed_mbuf(bed, frame, len);
			in[n]->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
			in[n++]->vlan_tci = 7;
		}
		worker_walk(bed->worker, BED_PORT_TENANT, in, n);
		testbed_out(bed, BED_PORT_TENANT, out);
	}
	while ((p = handed_over(bed)) != NULL) {
		of[p->tenant]++;
		rte_pktmbuf_free(p->mbuf);
	}
	assert_int_equal(of[2], 4);
	assert_int_equal(of[1], 48 + 7);
	testbed_conserved(bed, 1, 0);
	testbed_conserved(bed, 2, 0);
	testbed_destroy(bed);
}

/* `tags` before the EtherType, in order. */
static uint32_t tagged(uint8_t *frame, const uint32_t *tags, uint32_t n)
{
	uint8_t plain[2048];
	uint32_t len = testbed_frame(plain, IP_V4, 100, true);

	memcpy(frame, plain, 12);
	for (uint32_t i = 0; i < n; i++) {
		store_be16(frame + 12 + 4 * i, (uint16_t)(tags[i] >> 16));
		store_be16(frame + 14 + 4 * i, (uint16_t)tags[i]);
	}
	memcpy(frame + 12 + 4 * n, plain + 12, len - 12);
	return len + 4 * n;
}

static void test_vlans(void **state)
{
	/* Tags, their number, and the tenant that gets it; 0: nobody. */
	static const struct {
		uint32_t tag[2];
		uint32_t n;
		uint32_t tenant;
		enum drop_reason reason;
	} c[] = {
		{ { 0 }, 0, 1, DROP_NONE },
		{ { 0x81000000 }, 1, 1, DROP_NONE }, /* VLAN 0: a priority, no VLAN */
		{ { 0x8100e000 }, 1, 1, DROP_NONE },
		{ { 0x81000007 }, 1, 2, DROP_no_route },
		{ { 0x8100e007 }, 1, 2, DROP_no_route },
		{ { 0x81000008 }, 1, 0, DROP_no_attachment },
		{ { 0x81000fff }, 1, 0, DROP_no_attachment },
		{ { 0x81000007, 0x81000007 }, 2, 2, DROP_ethertype },
		{ { 0x81000000, 0x81000007 }, 2, 1, DROP_ethertype },
		{ { 0x88a80007, 0x81000007 }, 2, 1, DROP_ethertype },
	};

	for (uint32_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct testbed *bed = testbed_create(0, 16, 64);
		struct rte_mbuf *out[BURST_MAX];
		uint8_t frame[2048];
		uint32_t sent;

		bed->tables->port[0].vlan[7] = 3;
		bed->tables->attachment[3] = (struct attachment){ .tenant = 2, .vlan = 7 };
		testbed_walk(bed, BED_PORT_TENANT, frame, tagged(frame, c[i].tag, c[i].n));
		sent = testbed_out(bed, BED_PORT_UNDERLAY, out);
		assert_int_equal(sent, c[i].reason == DROP_NONE);
		for (uint32_t k = 0; k < sent; k++)
			rte_pktmbuf_free(out[k]);
		for (uint32_t tenant = 1; tenant <= 2; tenant++) {
			assert_int_equal(bed->worker->stats.tenant[tenant].in_packets,
					 tenant == c[i].tenant);
			testbed_conserved(bed, tenant, tenant == c[i].tenant ? sent : 0);
		}
		if (c[i].tenant != 0)
			assert_int_equal(testbed_drops(bed, c[i].tenant, c[i].reason),
					 c[i].reason != DROP_NONE);
		else
			assert_int_equal(bed->worker->stats.port_drops[0].reason[c[i].reason], 1);
		testbed_destroy(bed);
	}
}

/* UDP over IPv6 has a checksum (RFC 8200 section 8.1), over IPv4 none (RFC 3948 section 2.1). */
static void test_udp_checksum(void **state)
{
	for (uint32_t v6 = 0; v6 <= SA_OUTER_V6; v6 += SA_OUTER_V6) {
		struct testbed *bed = testbed_create(SA_UDP | v6, 16, 64);
		struct rte_mbuf *out[BURST_MAX];
		uint8_t frame[2048];

		for (uint16_t length = 60; length < 200; length++) {
			const uint8_t *ip, *udp;
			uint32_t len;

			testbed_walk(bed, BED_PORT_TENANT, frame,
				     testbed_frame(frame, IP_V4, length, true));
			assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
			ip = rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14);
			udp = ip + (v6 ? 40 : 20);
			len = out[0]->data_len - 14u - (v6 ? 40 : 20);
			assert_int_equal(load_be16(udp + 4), len);
			if (v6) {
				uint64_t sum = checksum_sum(ip + 8, 32, __builtin_bswap32(len)) +
					       (17u << 24);

				assert_int_not_equal(load16(udp + 6), 0);
				assert_int_equal(checksum_fold(checksum_sum(udp, len, sum)),
						 0xffff);
			} else {
				assert_int_equal(load16(udp + 6), 0);
			}
			rte_pktmbuf_free(out[0]);
		}
		testbed_destroy(bed);
	}
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

/* A descriptor serves one packet after another: what a trace tells of one is of no other. */
static void test_trace_of_this_packet(void **state)
{
	struct abi_trace_start how = { .tenant = UINT32_MAX, .packets = 3, .every = 1 };
	struct testbed *bed = testbed_create(0, 16, 64);
	struct abi_trace_record record[3];
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 100, true);

	assert_int_equal(trace_create(&bed->worker->trace), 0);
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
	assert_int_equal(bed->worker->packet[0].sa_id, 1);
	rte_pktmbuf_free(out[0]);

	assert_int_equal(trace_start(bed->worker->trace, &how), 0);
	bed->worker->tracing = true;
	frame[14 + 10] ^= 1; /* a checksum that is wrong: dropped before an SA is known */
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	drop_burst(bed->worker);
	testbed_walk(bed, BED_PORT_TENANT, frame, 20); /* too short to be anybody's */
	drop_burst(bed->worker);
	frame[0] ^= 4; /* another station's */
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	drop_burst(bed->worker);
	assert_int_equal(trace_read(bed->worker->trace, record, 3), 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(record[i].spi, 0);
		assert_int_equal(record[i].sequence, 0);
		assert_int_equal(record[i].tunnel, 0);
		assert_int_equal(record[i].tenant, i == 0 ? 1 : 0);
		assert_int_equal(record[i].captured, i == 0 ? 20 + 8 : 0);
	}
	trace_destroy(bed->worker->trace);
	testbed_destroy(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace_of_this_packet),
		cmocka_unit_test(test_echo_link_local),
		cmocka_unit_test(test_underlay_neighbour_discovery),
		cmocka_unit_test(test_no_error_about_encrypted),
		cmocka_unit_test(test_flood_leaves_room),
		cmocka_unit_test(test_vlans),
		cmocka_unit_test(test_udp_checksum),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
