/* SPDX-License-Identifier: BSD-3-Clause */
/* Both walks, burst by burst: what goes out as ESP comes back as it was, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "ip_header.h"
#include "rx_share.h"
#include "sa_template.h"
#include "testbed.h"

/* Sends one inner packet through the tunnel; returns the ESP frame's length. */
static uint32_t encrypt_one(struct testbed *bed, enum ip_family family, uint16_t length,
			    uint8_t *esp)
{
	uint8_t frame[2048];
	struct rte_mbuf *out[BURST_MAX];
	uint32_t len;

	testbed_walk(bed, BED_PORT_TENANT, frame, testbed_frame(frame, family, length, true));
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
	len = out[0]->data_len;
	memcpy(esp, rte_pktmbuf_mtod(out[0], void *), len);
	rte_pktmbuf_free(out[0]);
	return len;
}

/*
 * The ESP comes back on the underlay. Its inner source is then the tenant's own side, which the
 * tunnel may not send: so the tests that want it through swap the tunnel's routes first.
 */
static void routes_swap(struct testbed *bed)
{
	static const uint8_t net[2][2] = { { 10, 0 }, { 10, 1 } };
	uint32_t old;

	for (int i = 0; i < 2; i++) {
		uint8_t v4[4] = { net[i][0], net[i][1] }, v6[16] = { 0xfd, (uint8_t)i };
		uint32_t value = i == 0 ? route_value(ROUTE_KIND_TUNNEL, 1)
					: route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT);

		assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
					   ip_load(IP_V4, v4), 16, value, &old),
				 0);
		assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V6,
					   ip_load(IP_V6, v6), 16, value, &old),
				 0);
	}
}

/* By which SA does it go? */
static uint32_t spi_sent(struct testbed *bed)
{
	uint8_t esp[2048];
	uint32_t spi;

	encrypt_one(bed, IP_V4, 100, esp);
	memcpy(&spi, esp + 14 + 20, sizeof(spi));
	return __builtin_bswap32(spi);
}

/* Of the worker that has the queue, also where another one carries the burst. */
static void test_sa_of_the_worker(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rx_share share = { .worker = 1 };
	struct abi_tunnel tunnel = testbed_tunnel(0);
	union sa *sa = bed->tables->sa;

	for (uint32_t id = 3; id <= 4; id++) {
		sa[id] = sa[1];
		sa[id].out.spi = __builtin_bswap32(0x1000 + id);
		sa_template_build(&sa[id].out, 0, &tunnel);
		sa[id].out.outer[0] = sa[1].out.outer[0];
		*tables_worker_sa(bed->tables, 1, id - 3) = id;
	}
	assert_int_equal(spi_sent(bed), 0x1001);
	sa[1].out.spread = 1;
	assert_int_equal(spi_sent(bed), 0x1003);
	bed->worker->share = &share;
	assert_int_equal(spi_sent(bed), 0x1004);
	bed->worker->share = NULL;
	sa[1].out.spread = 0;
	assert_int_equal(spi_sent(bed), 0x1001);
	assert_int_equal(sa[3].out.sequence, 2);
	testbed_destroy(bed);
}

static void test_there_and_back(void **state)
{
	static const uint32_t key_lens[] = { 16, 24, 32 };

	for (uint32_t flags = 0; flags < 8; flags++) {
		for (uint32_t k = 0; k < 3; k++) {
			struct testbed *bed = testbed_create(flags, key_lens[k], 64);
			uint8_t esp[64][2048], frame[2048];
			struct rte_mbuf *out[BURST_MAX];
			uint32_t len[64], n = 0;
			uint16_t lengths[64];

			for (uint32_t i = 0; i < 64; i++) {
				lengths[i] = (uint16_t)(48 + i * 21);
				len[i] =
					encrypt_one(bed, i % 2 ? IP_V6 : IP_V4, lengths[i], esp[i]);
				assert_int_equal((len[i] - 14) % 4, 0);
			}
			routes_swap(bed);
			for (uint32_t i = 0; i < 64; i++) {
				memcpy(esp[i], "\x02\0\0\0\0\x20", 6);
				testbed_walk(bed, BED_PORT_UNDERLAY, esp[i], len[i]);
				assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
				testbed_frame(frame, i % 2 ? IP_V6 : IP_V4, lengths[i], true);
				assert_int_equal(out[0]->data_len, 14 + lengths[i]);
				/* Two routers on the way: two hops less. */
				assert_true(ip_hop(frame + 14, i % 2 ? IP_V6 : IP_V4));
				assert_true(ip_hop(frame + 14, i % 2 ? IP_V6 : IP_V4));
				assert_memory_equal(rte_pktmbuf_mtod_offset(out[0], void *, 14),
						    frame + 14, lengths[i]);
				rte_pktmbuf_free(out[0]);
				n++;
			}
			assert_int_equal(bed->worker->stats.tunnel[1].in_packets, 64);
			assert_int_equal(bed->worker->stats.sa[1].packets, 64);
			testbed_conserved(bed, 1, 64 + n);
			testbed_destroy(bed);
		}
	}
}

static void test_forged_and_replayed(void **state)
{
	struct testbed *bed = testbed_create(SA_ESN, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t esp[2048], bad[2048];
	uint32_t len = encrypt_one(bed, IP_V4, 100, esp), flipped = 0;

	routes_swap(bed);
	memcpy(esp, "\x02\0\0\0\0\x20", 6);
	/* Every bit behind the SPI. The high half of the ESN is guessed from the low one. */
	for (uint32_t bit = (14 + 20 + 4) * 8; bit < len * 8; bit++) {
		memcpy(bad, esp, len);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		testbed_walk(bed, BED_PORT_UNDERLAY, bad, len);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
		flipped++;
	}
	assert_int_equal(testbed_drops(bed, 1, DROP_icv_failed) +
				 testbed_drops(bed, 1, DROP_replay_zero),
			 flipped);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	rte_pktmbuf_free(out[0]);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
	assert_int_equal(testbed_drops(bed, 1, DROP_replay_seen), 1);
	testbed_conserved(bed, 1, 2);
	testbed_destroy(bed);
}

static void test_replay_within_one_burst(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX], *in[8];
	uint8_t esp[2048];
	uint32_t len = encrypt_one(bed, IP_V4, 100, esp);

	routes_swap(bed);
	memcpy(esp, "\x02\0\0\0\0\x20", 6);
	for (uint32_t i = 0; i < 8; i++)
		in[i] = testbed_mbuf(bed, esp, len);
	worker_walk(bed->worker, BED_PORT_UNDERLAY, in, 8);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	rte_pktmbuf_free(out[0]);
	assert_int_equal(testbed_drops(bed, 1, DROP_replay_seen), 7);
	testbed_destroy(bed);
}

static void test_inner_source(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t esp[2048];
	uint32_t len = encrypt_one(bed, IP_V4, 100, esp);

	/* Without the swap the inner source is one that this tunnel may not send. */
	memcpy(esp, "\x02\0\0\0\0\x20", 6);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
	assert_int_equal(testbed_drops(bed, 1, DROP_inner_source), 1);
	assert_int_equal(bed->worker->stats.tunnel[1].in_drops, 1);
	testbed_conserved(bed, 1, 1);
	testbed_destroy(bed);
}

static void test_lease(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *in[BURST_MAX], *out[BURST_MAX];
	struct sa_out *sa = &bed->tables->sa[1].out;
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 64, true);

	sa->sequence_limit = 11; /* 1 .. 10 may be sent */
	for (uint32_t i = 0; i < 64; i++)
		in[i] = testbed_mbuf(bed, frame, len);
	worker_walk(bed->worker, BED_PORT_TENANT, in, 64);
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 10);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(load_be16(rte_pktmbuf_mtod_offset(out[i], uint8_t *, 14 + 26)),
				 1 + i);
		rte_pktmbuf_free(out[i]);
	}
	assert_int_equal(testbed_drops(bed, 1, DROP_lease_used_up), 54);
	assert_int_equal(bed->worker->stats.sa[1].sequence, 10);
	testbed_conserved(bed, 1, 10);
	testbed_destroy(bed);
}

static void dont_fragment(uint8_t *l3)
{
	l3[6] |= 0x40;
	store16(l3 + 10, 0);
	store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
}

static void test_drops(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048], esp[2048];
	uint32_t len;

	len = testbed_frame(frame, IP_V4, 1401, true);
	dont_fragment(frame + 14);
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	testbed_out(bed, BED_PORT_UNDERLAY, out);
	assert_int_equal(testbed_drops(bed, 1, DROP_too_big), 1);

	len = testbed_frame(frame, IP_V4, 100, true);
	frame[14 + 10] ^= 1;
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	testbed_out(bed, BED_PORT_UNDERLAY, out);
	assert_int_equal(testbed_drops(bed, 1, DROP_ip_checksum), 1);

	len = testbed_frame(frame, IP_V6, 100, true);
	frame[14 + 7] = 1;
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	testbed_out(bed, BED_PORT_UNDERLAY, out);
	assert_int_equal(testbed_drops(bed, 1, DROP_ttl_expired), 1);

	len = testbed_frame(frame, IP_V4, 100, true);
	testbed_walk(bed, BED_PORT_TENANT, frame, len - 1);
	testbed_out(bed, BED_PORT_UNDERLAY, out);
	assert_int_equal(testbed_drops(bed, 1, DROP_frame_short), 1);
	testbed_conserved(bed, 1, 0);

	len = encrypt_one(bed, IP_V4, 100, esp);
	memcpy(esp, "\x02\0\0\0\0\x20", 6);
	esp[14 + 20 + 3] ^= 1;
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	testbed_out(bed, BED_PORT_TENANT, out);
	assert_int_equal(testbed_drops(bed, 0, DROP_spi_unknown), 1);
	testbed_conserved(bed, 0, 0);
	testbed_destroy(bed);
}

/* What the ICMP error says, as the tenant's host sees it. */
static void expect_error(struct testbed *bed, enum ip_family family, uint8_t type, uint8_t code,
			 uint32_t mtu, const uint8_t *offending, uint32_t quoted)
{
	uint32_t header = family == IP_V4 ? 20 : 40;
	struct rte_mbuf *out[BURST_MAX];
	const uint8_t *l3, *icmp;
	uint64_t sum = 0;

	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	l3 = rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14);
	icmp = l3 + header;
	assert_int_equal(out[0]->data_len, 14 + header + 8 + quoted);
	assert_int_equal(icmp[0], type);
	assert_int_equal(icmp[1], code);
	assert_int_equal(family == IP_V4 ? load_be16(icmp + 6) : load_be16(icmp + 6), mtu);
	if (family == IP_V6)
		sum = checksum_sum(l3 + 8, 32, __builtin_bswap32(8 + quoted)) + (58u << 24);
	assert_int_equal(checksum_fold(checksum_sum(icmp, 8 + quoted, sum)), 0xffff);
	/* Quoted as it came, but for the hops and the IPv4 checksum. */
	assert_memory_equal(icmp + 8 + 12, offending + 14 + 12, quoted - 12);
	/* From the gateway, to who sent it. */
	assert_memory_equal(l3 + (family == IP_V4 ? 16 : 24),
			    offending + 14 + (family == IP_V4 ? 12 : 8), family == IP_V4 ? 4 : 16);
	assert_memory_equal(l3 + (family == IP_V4 ? 12 : 8),
			    family == IP_V4 ? bed->tables->attachment[1].ipv4
					    : bed->tables->attachment[1].ipv6,
			    family == IP_V4 ? 4 : 16);
	rte_pktmbuf_free(out[0]);
}

static void test_icmp_errors(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct attachment *at = &bed->tables->attachment[1];
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048];
	uint32_t len;

	bed->worker->tsc_hz = 1000; /* tokens without end */
	memcpy(at->ipv4, "\x0a\0\0\x01", 4);
	memcpy(at->ipv6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);

	len = testbed_frame(frame, IP_V4, 1401, true);
	dont_fragment(frame + 14);
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_error(bed, IP_V4, 3, 4, 1400, frame, 548);
	len = testbed_frame(frame, IP_V6, 1401, true);
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_error(bed, IP_V6, 2, 0, 1400, frame, 1232);
	assert_int_equal(testbed_drops(bed, 1, DROP_too_big), 2);

	len = testbed_frame(frame, IP_V4, 60, true);
	frame[14 + 8] = 1;
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_error(bed, IP_V4, 11, 0, 0, frame, 60);
	len = testbed_frame(frame, IP_V6, 60, true);
	frame[14 + 7] = 1;
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	expect_error(bed, IP_V6, 3, 0, 0, frame, 60);
	assert_int_equal(testbed_drops(bed, 1, DROP_ttl_expired), 2);

	/* No error about an error, nor about a fragment behind the first. */
	len = testbed_frame(frame, IP_V6, 60, true);
	frame[14 + 7] = 1;
	frame[14 + 6] = 58;
	frame[14 + 40] = 3;
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
	len = testbed_frame(frame, IP_V4, 60, true);
	frame[14 + 8] = 1;
	frame[14 + 7] = 9;
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
	testbed_conserved(bed, 1, 0);
	testbed_destroy(bed);
}

static void test_echo(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048], *icmp = frame + 14 + 20;
	uint32_t len = testbed_frame(frame, IP_V4, 101, true); /* odd on purpose */

	memcpy(frame + 14 + 16, "\x0a\0\0\x01", 4); /* LOCAL in the testbed's VRF */
	frame[14 + 9] = 1;
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	memset(icmp, 0, 4);
	icmp[0] = 8;
	store16(icmp + 2, (uint16_t)~checksum_fold(checksum_sum(icmp, 81, 0)));
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	assert_int_equal(*rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14 + 20), 0);
	assert_int_equal(checksum_fold(checksum_sum(
				 rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14 + 20), 81, 0)),
			 0xffff);
	assert_memory_equal(rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14 + 24), icmp + 4, 77);
	rte_pktmbuf_free(out[0]);
	assert_int_equal(bed->worker->stats.tenant[1].local_packets, 1);

	icmp[5] ^= 1; /* the checksum no longer fits */
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
	assert_int_equal(testbed_drops(bed, 1, DROP_local_unhandled), 1);
	testbed_conserved(bed, 1, 0);
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
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_forged_and_replayed),
		cmocka_unit_test(test_replay_within_one_burst),
		cmocka_unit_test(test_inner_source),
		cmocka_unit_test(test_sa_of_the_worker),
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_drops),
		cmocka_unit_test(test_icmp_errors),
		cmocka_unit_test(test_echo),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
