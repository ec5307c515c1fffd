/* SPDX-License-Identifier: BSD-3-Clause */
/* What is counted when packets leave, and what becomes of those that a port doesn't take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "exception.h"
#include "gateway.h"
#include "ip_header.h"
#include "random.h"
#include "testbed.h"

static struct testbed *bed_with_wires(struct wire wire[2], uint16_t takes)
{
	struct testbed *bed = testbed_create(0, 16, 64);

	for (uint16_t i = 0; i < 2; i++) {
		wire_attach(&wire[i], i, takes);
		bed->worker->tx[i] = (struct worker_tx){ .dpdk_id = i };
	}
	return bed;
}

/* Into the tunnel and to the host next door by turns, in runs of random length. */
static uint32_t make_burst(struct testbed *bed, uint64_t *random, struct rte_mbuf **in,
			   uint32_t expected[2], uint64_t bytes[2])
{
	uint32_t n = 1 + random_below(random, BURST_MAX), to = 0, run = 0;

	for (uint32_t i = 0; i < n; i++, run--) {
		uint16_t length = (uint16_t)(48 + random_below(random, 1000));
		uint8_t frame[2048];
		uint32_t len =
			testbed_frame(frame, random_below(random, 2) ? IP_V6 : IP_V4, length, true);

		if (run == 0) {
			to = random_below(random, 2);
			run = 1 + random_below(random, 8);
		}
		if (to == 0) { /* inside: 10.0.0.10 to 10.0.0.10 */
			if (frame[14] == 0x45) {
				frame[14 + 17] = 0;
				store16(frame + 24, 0);
				store16(frame + 24, (uint16_t)~checksum_fold(
							    ipv4_checksum_sum(frame + 14, 20)));
			} else {
				frame[14 + 25] = 0;
			}
		}
		expected[to]++;
		bytes[to] += length;
		in[i] = testbed_mbuf(bed, frame, len);
	}
	return n;
}

static void test_counted_by_run(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, BURST_MAX);
	const struct stats_writer *s = &bed->worker->stats;
	uint32_t n = 0, expected[2] = { 0 };
	uint64_t random = 7, bytes[2] = { 0 }, outer = 0;
	struct rte_mbuf *in[BURST_MAX];

	for (int burst = 0; burst < 200; burst++) {
		uint32_t m = make_burst(bed, &random, in, expected, bytes);

		worker_walk(bed->worker, BED_PORT_TENANT, in, m);
		worker_finish(bed->worker);
		n += m;
		for (uint32_t i = 0; i < wire[1].n; i++)
			outer += wire[1].frame[i]->data_len - 14u;
		wire_free(&wire[0]);
		wire_free(&wire[1]);
	}
	assert_int_equal(s->port[0].tx_packets, expected[0]);
	assert_int_equal(s->port[1].tx_packets, expected[1]);
	assert_int_equal(s->port[1].tx_bytes, outer + 14u * expected[1]);
	assert_int_equal(s->attachment[1].tx_packets, expected[0]);
	assert_int_equal(s->attachment[1].tx_bytes, bytes[0]);
	assert_int_equal(s->attachment[2].tx_packets, expected[1]);
	assert_int_equal(s->attachment[2].tx_bytes, outer);
	assert_int_equal(s->tunnel[1].out_packets, expected[1]);
	assert_int_equal(s->tunnel[1].out_inner_bytes, bytes[1]);
	assert_int_equal(s->tunnel[1].out_outer_bytes, outer);
	assert_int_equal(s->tunnel[1].out_drops, 0);
	assert_int_equal(s->tenant[1].in_bytes, bytes[0] + bytes[1]);
	assert_int_equal(s->tenant[1].out_bytes, bytes[0] + outer);
	assert_int_equal(s->tenant[1].out_packets, n);
	assert_int_equal(s->tenant[1].originated_packets, 0);
	testbed_conserved(bed, 1, n);
	testbed_destroy(bed);
}

static void test_port_takes_less(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, 5);
	const struct stats_writer *s = &bed->worker->stats;
	uint64_t random = 9, bytes[2] = { 0 }, sent[2] = { 0 }, n = 0;
	uint32_t expected[2] = { 0 };
	struct rte_mbuf *in[BURST_MAX];

	for (int burst = 0; burst < 200; burst++) {
		uint32_t m = make_burst(bed, &random, in, expected, bytes);

		worker_walk(bed->worker, BED_PORT_TENANT, in, m);
		worker_finish(bed->worker);
		n += m;
		for (int i = 0; i < 2; i++) {
			sent[i] += wire[i].n;
			wire_free(&wire[i]);
		}
	}
	assert_true(sent[0] + sent[1] < n);
	assert_int_equal(s->port[0].tx_packets, sent[0]);
	assert_int_equal(s->port[1].tx_packets, sent[1]);
	assert_int_equal(s->tunnel[1].out_packets, sent[1]);
	assert_int_equal(s->tunnel[1].out_drops, expected[1] - sent[1]);
	assert_int_equal(testbed_drops(bed, 1, DROP_tx_full), n - sent[0] - sent[1]);
	assert_int_equal(s->tenant[1].out_packets, sent[0] + sent[1]);
	testbed_conserved(bed, 1, sent[0] + sent[1]);
	testbed_destroy(bed);
}

/* The host gets the tag back that the device took off. */
static void test_punt_restores_tag(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, BURST_MAX);
	struct port port[2] = { { .exception = 1 }, { .dpdk_id = 1, .exception = -1 } };
	struct gateway gw = { .port = port, .ports = 2, .own = stats_writer(bed->stats, 0) };
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 100, true);
	struct rte_mbuf *m = testbed_mbuf(bed, frame, len);

	m->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_VLAN;
	m->vlan_tci = 0x6007;
	*mbuf_packet(m) = (struct packet){ .mbuf = m, .rx_port = 0 };
	exception_punt(&gw, m);
	assert_int_equal(wire[1].n, 1);
	assert_int_equal(wire[1].frame[0]->data_len, len + 4);
	assert_memory_equal(rte_pktmbuf_mtod(wire[1].frame[0], void *), frame, 12);
	assert_memory_equal(rte_pktmbuf_mtod_offset(wire[1].frame[0], void *, 12), "\x81\0\x60\x07",
			    4);
	assert_memory_equal(rte_pktmbuf_mtod_offset(wire[1].frame[0], void *, 16), frame + 12,
			    len - 12);
	wire_free(&wire[1]);

	/* Without an exception interface: counted with the port, and freed. */
	m = testbed_mbuf(bed, frame, len);
	*mbuf_packet(m) = (struct packet){ .mbuf = m, .rx_port = 1 };
	exception_punt(&gw, m);
	assert_int_equal(gw.own.port_drops[1].reason[DROP_no_exception], 1);
	testbed_destroy(bed);
}

/* Everything that a device may tell of a frame, and that another would take for a wish. */
static struct rte_mbuf *dirty_mbuf(struct testbed *bed, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = testbed_mbuf(bed, frame, len);

	m->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_IP_CKSUM_GOOD |
		      RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_LRO | RTE_MBUF_F_TX_VLAN |
		      RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG;
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_TUNNEL_ESP | RTE_PTYPE_INNER_L3_IPV4;
	m->vlan_tci = 77;
	return m;
}

static const uint8_t underlay_mac[6] = { 2, 0, 0, 0, 0, 0x20 };

/* A burst from the underlay: IKE, and at its end one frame of another kind. */
static void flood_walk(struct testbed *bed, uint32_t ike, const uint8_t *last, uint32_t last_len)
{
	struct rte_mbuf *in[BURST_MAX];
	uint8_t frame[256];
	uint32_t len = testbed_frame(frame, IP_V4, 100, false), n = 0;

	memcpy(frame, underlay_mac, 6);
	store_be16(frame + 36, 500);
	while (n < ike)
		in[n++] = testbed_mbuf(bed, frame, len);
	if (last != NULL)
		in[n++] = testbed_mbuf(bed, last, last_len);
	worker_walk(bed->worker, BED_PORT_UNDERLAY, in, n);
	worker_finish(bed->worker);
}

/* What has to be known of the next hops gets through a flood of what is the host's. */
static void test_neighbours_are_not_crowded_out(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t arp[60] = "\x02\0\0\0\0\x20\x02\0\0\0\0\xbb\x08\x06", nd[86];
	uint64_t busy;
	uint32_t len, places;
	void *m;

	bed->tables->port[BED_PORT_UNDERLAY].exception = EXCEPTION_TAP;
	len = testbed_frame(nd, IP_V6, 72, false);
	memcpy(nd, underlay_mac, 6);
	nd[14 + 6] = 58;
	nd[14 + 7] = 255;
	nd[14 + 40] = 136;
	flood_walk(bed, 40, NULL, 0);
	places = rte_ring_count(bed->to_main);
	assert_int_equal(places, 40); /* more than half of 63 */
	flood_walk(bed, 10, arp, sizeof(arp));
	assert_int_equal(rte_ring_count(bed->to_main), places + 2);
	flood_walk(bed, 10, nd, len);
	assert_int_equal(rte_ring_count(bed->to_main), places + 4);
	/* From another network: anybody's. */
	nd[14 + 7] = 254;
	flood_walk(bed, 10, nd, len);
	assert_int_equal(rte_ring_count(bed->to_main), places + 5);
	busy = testbed_drops(bed, 0, DROP_main_busy);
	assert_int_equal(busy, 9 + 9 + 10);
	while (rte_ring_dequeue(bed->to_main, &m) == 0)
		rte_pktmbuf_free(m);
	testbed_conserved(bed, 0, 0);
	testbed_destroy(bed);
}

static void expect_clean(struct wire *wire)
{
	assert_int_equal(wire->n, 1);
	assert_int_equal(wire->frame[0]->ol_flags, 0);
	assert_int_equal(wire->frame[0]->packet_type, 0);
	assert_int_equal(wire->frame[0]->vlan_tci, 0);
}

static void test_nothing_told_goes_along(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, BURST_MAX);
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 100, true);
	struct rte_mbuf *m = dirty_mbuf(bed, frame, len);

	worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
	worker_finish(bed->worker);
	expect_clean(&wire[1]);
	/* And in again, as if the device had looked into it. */
	len = wire[1].frame[0]->data_len;
	memcpy(frame, rte_pktmbuf_mtod(wire[1].frame[0], void *), len);
	memcpy(frame, "\x02\0\0\0\0\x20", 6);
	wire_free(&wire[1]);
	testbed_swap(bed);
	m = dirty_mbuf(bed, frame, len);
	worker_walk(bed->worker, BED_PORT_UNDERLAY, &m, 1);
	worker_finish(bed->worker);
	expect_clean(&wire[0]);
	wire_free(&wire[0]);
	testbed_destroy(bed);
}

/*
 * Checksums that the device found right are those of the outer packet: the inner header is looked at,
 * whatever it said.
 */
static void test_checksum_told_is_the_outer_one(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, BURST_MAX);
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 100, true);
	struct rte_mbuf *m;

	frame[24] ^= 1; /* the checksum is wrong, and the device says that it is right */
	m = dirty_mbuf(bed, frame, len);
	worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
	worker_finish(bed->worker);
	assert_int_equal(wire[1].n, 1);
	len = wire[1].frame[0]->data_len;
	memcpy(frame, rte_pktmbuf_mtod(wire[1].frame[0], void *), len);
	memcpy(frame, "\x02\0\0\0\0\x20", 6);
	wire_free(&wire[1]);
	testbed_swap(bed);
	m = dirty_mbuf(bed, frame, len);
	worker_walk(bed->worker, BED_PORT_UNDERLAY, &m, 1);
	worker_finish(bed->worker);
	assert_int_equal(wire[0].n, 0);
	assert_int_equal(testbed_drops(bed, 1, DROP_inner_header), 1);
	testbed_destroy(bed);
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_told_goes_along),
		cmocka_unit_test(test_checksum_told_is_the_outer_one),
		cmocka_unit_test(test_counted_by_run),
		cmocka_unit_test(test_port_takes_less),
		cmocka_unit_test(test_punt_restores_tag),
		cmocka_unit_test(test_neighbours_are_not_crowded_out),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
