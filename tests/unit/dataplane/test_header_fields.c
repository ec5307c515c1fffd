/* SPDX-License-Identifier: BSD-3-Clause */
/* Fields that a tunnel corrects, such as the TCP MSS, and packets that are cut or have extra headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "ip_header.h"
#include "mss.h"
#include "testbed.h"

/* A TCP segment with `nops` before its MSS option and a right checksum; returns the frame's length. */
static uint32_t tcp_frame(uint8_t *frame, enum ip_family family, uint8_t flags, uint32_t nops,
			  uint16_t mss)
{
	uint32_t header = family == IP_V4 ? 20 : 40, tcp_len = 20 + 8;
	uint32_t len = testbed_frame(frame, family, (uint16_t)(header + tcp_len), true);
	uint8_t *l3 = frame + 14, *tcp = l3 + header;
	uint64_t sum;

	l3[family == IP_V4 ? 9 : 6] = 6;
	if (family == IP_V4)
		testbed_class(l3, family, 0);
	memset(tcp, 0, tcp_len);
	store_be16(tcp, 4000);
	store_be16(tcp + 2, 80);
	tcp[12] = (uint8_t)(tcp_len / 4 << 4);
	tcp[13] = flags;
	memset(tcp + 20, 1, nops);
	tcp[20 + nops] = 2;
	tcp[21 + nops] = 4;
	store_be16(tcp + 22 + nops, mss);
	sum = checksum_sum(family == IP_V4 ? l3 + 12 : l3 + 8, family == IP_V4 ? 8 : 32, 0);
	sum += (uint64_t)__builtin_bswap16((uint16_t)tcp_len) + (6u << 8);
	store16(tcp + 16, (uint16_t)~checksum_fold(checksum_sum(tcp, tcp_len, sum)));
	return len;
}

static void expect_tcp(const uint8_t *l3, enum ip_family family, uint32_t nops, uint16_t mss)
{
	const uint8_t *tcp = l3 + (family == IP_V4 ? 20 : 40);
	uint64_t sum =
		checksum_sum(family == IP_V4 ? l3 + 12 : l3 + 8, family == IP_V4 ? 8 : 32, 0);

	assert_int_equal(load_be16(tcp + 22 + nops), mss);
	sum += (uint64_t)__builtin_bswap16(28) + (6u << 8);
	assert_int_equal(checksum_fold(checksum_sum(tcp, 28, sum)), 0xffff);
}

struct mss_case {
	enum ip_family family;
	uint8_t flags;
	uint16_t mss;
	uint16_t expected;
	uint16_t most; /* the tunnel's policy */
	bool off;
};

static void mss_case(const struct mss_case *c, uint32_t nops)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048], esp[2048];
	uint32_t len = tcp_frame(frame, c->family, c->flags, nops, c->mss);

	bed->tables->sa[1].out.mss = c->most;
	if (c->off)
		bed->tables->sa[1].out.flags |= SA_MSS_OFF;
	len = testbed_seal(bed, frame, len, esp);
	testbed_swap(bed);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	expect_tcp(rte_pktmbuf_mtod_offset(out[0], const uint8_t *, 14), c->family, nops,
		   c->expected);
	rte_pktmbuf_free(out[0]);
	testbed_destroy(bed);
}

/* The testbed's tunnel takes 1400 bytes. */
static void test_mss(void **state)
{
	static const struct mss_case cases[] = {
		{ IP_V4, 0x02, 1460, 1360, 0, false },
		{ IP_V4, 0x12, 65535, 1360, 0, false },
		{ IP_V6, 0x02, 1440, 1340, 0, false },
		{ IP_V4, 0x02, 1200, 1200, 0, false }, /* small enough */
		{ IP_V4, 0x10, 1460, 1460, 0, false }, /* not a SYN */
		{ IP_V4, 0x02, 1460, 1000, 1000, false },
		{ IP_V6, 0x12, 1440, 1000, 1000, false },
		{ IP_V4, 0x02, 900, 900, 1000, false },
		{ IP_V4, 0x02, 1460, 1360, 1400, false }, /* more than fits is not promised */
		{ IP_V4, 0x02, 1460, 1460, 0, true },
		{ IP_V6, 0x02, 65535, 65535, 0, true },
	};

	for (uint32_t nops = 0; nops < 4; nops++)
		for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			mss_case(&cases[i], nops);
}

/* What comes out of the tunnel is clamped too: the other end may not have done it. */
static void test_mss_inbound(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048], esp[2048];
	uint32_t len = tcp_frame(frame, IP_V4, 0x02, 0, 1300);

	len = testbed_seal(bed, frame, len, esp);
	testbed_swap(bed);
	bed->tables->sa[1].out.outer[0].inner_mtu = 1000;
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	expect_tcp(rte_pktmbuf_mtod_offset(out[0], const uint8_t *, 14), IP_V4, 0, 960);
	rte_pktmbuf_free(out[0]);
	testbed_destroy(bed);
}

/* Options that lie about their length, and headers cut short, change nothing and read nothing else. */
static void test_mss_malformed(void **state)
{
	uint8_t frame[256], copy[256];

	for (uint32_t length = 20; length <= 48; length++) {
		for (int value = 0; value < 256; value++) {
			uint8_t *exact = malloc(length);

			tcp_frame(frame, IP_V4, 0x02, 0, 1460);
			frame[14 + 20 + 21] = (uint8_t)value; /* the option's length */
			memcpy(copy, frame, sizeof(copy));
			assert_non_null(exact);
			memcpy(exact, frame + 14, length);
			mss_clamp_syn(exact, length, IP_V4, 1400, 0);
			if (value != 4 || length < 48)
				assert_memory_equal(exact, copy + 14, length);
			free(exact);
		}
	}
}

/* Puts fragments together again, in the order given; returns the packet's length. */
static uint32_t reassemble(struct rte_mbuf **mbufs, uint32_t n, uint8_t *packet)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *l3 = rte_pktmbuf_mtod_offset(mbufs[i], const uint8_t *, 14);
		uint32_t header = (l3[0] & 0xfu) * 4, place = load_be16(l3 + 6);
		uint16_t length = 0;

		assert_int_equal(
			ip_header_check(l3, mbufs[i]->data_len - 14u, IP_V4, false, &length),
			DROP_NONE);
		assert_int_equal((place & 0x1fff) * 8, total);
		assert_int_equal(!!(place & 0x2000), i + 1 < n);
		memcpy(packet + header + total, l3 + header, length - header);
		if (i == 0)
			memcpy(packet, l3, header);
		total += length - header;
		rte_pktmbuf_free(mbufs[i]);
	}
	return total;
}

/* A packet that may be cut goes through the tunnel in pieces, each sealed on its own. */
static void fragments_case(uint32_t flags, uint16_t length, uint32_t pieces)
{
	struct testbed *bed = testbed_create(flags, 16, 64);
	struct rte_mbuf *out[BURST_MAX], *inner[BURST_MAX], *one;
	uint8_t frame[2048], packet[2048], esp[2048];
	uint32_t len = testbed_frame(frame, IP_V4, length, true), n = 0;

	bed->tables->sa[1].out.outer[0].inner_mtu = 600;
	one = testbed_mbuf(bed, frame, len);
	worker_walk(bed->worker, BED_PORT_TENANT, &one, 1);
	assert_int_equal(bed->worker->oversize.n, 1);
	testbed_fragments(bed, BED_PORT_UNDERLAY, out, &n);
	assert_int_equal(n, pieces);
	testbed_conserved(bed, 1, n);
	assert_int_equal(bed->worker->stats.tenant[1].fragments, pieces - 1);
	testbed_swap(bed);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t esp_len = out[i]->data_len;

		memcpy(esp, rte_pktmbuf_mtod(out[i], void *), esp_len);
		memcpy(esp, "\x02\0\0\0\0\x20", 6);
		rte_pktmbuf_free(out[i]);
		testbed_walk(bed, BED_PORT_UNDERLAY, esp, esp_len);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, &inner[i]), 1);
		assert_true(inner[i]->data_len - 14 <= 600);
	}
	assert_int_equal(reassemble(inner, n, packet), length - 20);
	assert_memory_equal(packet + 20, frame + 34, length - 20u);
	testbed_destroy(bed);
}

static void test_fragments(void **state)
{
	fragments_case(0, 601, 2);
	fragments_case(SA_UDP | SA_ESN, 1172, 2); /* 576 + 576 behind two headers */
	fragments_case(SA_OUTER_V6, 1173, 3);
	fragments_case(0, 1500, 3);
}

/* With options: all of them in the first piece, only the copied ones in the others. */
static void test_fragment_options(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX], *one;
	uint8_t frame[2048], options[8] = { 7, 3, 4, 0x88, 4, 1, 2, 0 };
	uint8_t thinned[8] = { 1, 1, 1, 0x88, 4, 1, 2, 0 };
	uint32_t len = testbed_frame(frame, IP_V4, 1000, true), n = 0;
	uint8_t *l3 = frame + 14;

	/* To the attachment's side this time, where the pieces can be read. */
	bed->tables->adjacency[BED_ADJ_TENANT].mtu = 600;
	l3[0] = 0x47;
	l3[17] = 0;
	memcpy(l3 + 20, options, 8);
	store16(l3 + 10, 0);
	store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 28)));
	one = testbed_mbuf(bed, frame, len);
	worker_walk(bed->worker, BED_PORT_TENANT, &one, 1);
	testbed_fragments(bed, BED_PORT_TENANT, out, &n);
	assert_int_equal(n, 2);
	assert_memory_equal(rte_pktmbuf_mtod_offset(out[0], uint8_t *, 34), options, 8);
	assert_memory_equal(rte_pktmbuf_mtod_offset(out[1], uint8_t *, 34), thinned, 8);
	assert_int_equal(reassemble(out, 2, frame), 972);
	testbed_conserved(bed, 1, 2);
	testbed_destroy(bed);
}

/* Cut once already: the pieces keep their place in the whole. */
static void test_fragment_of_fragment(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX], *one;
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 1020, true), n = 0;

	bed->tables->adjacency[BED_ADJ_TENANT].mtu = 600;
	frame[14 + 17] = 0;
	store_be16(frame + 14 + 6, 0x2000 | 100);
	testbed_class(frame + 14, IP_V4, 0);
	one = testbed_mbuf(bed, frame, len);
	worker_walk(bed->worker, BED_PORT_TENANT, &one, 1);
	testbed_fragments(bed, BED_PORT_TENANT, out, &n);
	assert_int_equal(n, 2);
	assert_int_equal(load_be16(rte_pktmbuf_mtod_offset(out[0], uint8_t *, 20)), 0x2000 | 100);
	assert_int_equal(load_be16(rte_pktmbuf_mtod_offset(out[1], uint8_t *, 20)),
			 0x2000 | (100 + 576 / 8));
	rte_pktmbuf_free(out[0]);
	rte_pktmbuf_free(out[1]);
	testbed_destroy(bed);
}

/* Puts extension headers between the outer IPv6 header and ESP; returns the frame's length. */
static uint32_t extend(uint8_t *esp, uint32_t len, const uint8_t *headers, uint32_t headers_len)
{
	uint8_t *l3 = esp + 14;

	memmove(l3 + 40 + headers_len, l3 + 40, len - 54);
	memcpy(l3 + 40, headers, headers_len);
	l3[6] = headers[headers_len]; /* what the first one is stands behind them */
	store_be16(l3 + 4, (uint16_t)(load_be16(l3 + 4) + headers_len));
	return len + headers_len;
}

static void extensions_case(const uint8_t *headers, uint32_t headers_len, uint32_t out_wanted,
			    enum drop_reason reason)
{
	struct testbed *bed = testbed_create(SA_OUTER_V6, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048], esp[2048];
	uint32_t len = testbed_seal(bed, frame, testbed_frame(frame, IP_V4, 100, true), esp);

	testbed_swap(bed);
	len = extend(esp, len, headers, headers_len);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), out_wanted);
	if (out_wanted == 1)
		rte_pktmbuf_free(out[0]);
	else
		assert_int_equal(testbed_drops(bed, 0, reason), 1);
	testbed_conserved(bed, 0, 0);
	testbed_destroy(bed);
}

/* ESP is found behind extension headers; in pieces it is not taken for anything else. */
static void test_extension_headers(void **state)
{
	static const uint8_t options[] = { 50, 0, 1, 4, 0, 0, 0, 0, 60 };
	static const uint8_t chain[] = { 43, 0, 1, 4,  0, 0, 0, 0, 60, 0, 4, 0, 0,
					 0,  0, 0, 50, 0, 1, 4, 0, 0,  0, 0, 0 };
	static const uint8_t atomic[] = { 50, 0, 0, 0, 1, 2, 3, 4, 44 };
	static const uint8_t first[] = { 50, 0, 0, 1, 1, 2, 3, 4, 44 };
	static const uint8_t later[] = { 50, 0, 0, 8, 1, 2, 3, 4, 44 };
	static const uint8_t endless[] = { 60, 200, 1, 4, 0, 0, 0, 0, 60 };

	extensions_case(options, 8, 1, DROP_NONE);
	extensions_case(chain, 24, 1, DROP_NONE);
	extensions_case(atomic, 8, 1, DROP_NONE);
	extensions_case(first, 8, 0, DROP_outer_fragment);
	extensions_case(later, 8, 0, DROP_outer_fragment);
	extensions_case(endless, 8, 0, DROP_not_underlay);
}

/* One tenant's errors are bounded, and leave those of another alone. */
static void test_error_budget(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V6, 100, true), sent = 0;

	frame[14 + 7] = 1;                /* hops */
	bed->worker->tsc_hz = 1ull << 60; /* no token comes back while this runs */
	bed->tables->attachment[1].ipv6[15] = 1;
	for (uint32_t i = 0; i < 200; i++) {
		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		if (testbed_out(bed, BED_PORT_TENANT, out) == 1) {
			rte_pktmbuf_free(out[0]);
			sent++;
		}
	}
	assert_in_range(sent, 1, 100);
	/* The attachment becomes another tenant's, whose budget is whole. */
	bed->tables->attachment[1].tenant = 2;
	bed->tables->vrf[2] = bed->tables->vrf[1];
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	rte_pktmbuf_free(out[0]);
	bed->tables->vrf[2] = (struct route_table){ 0 };
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
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_mss_inbound),
		cmocka_unit_test(test_mss_malformed),
		cmocka_unit_test(test_extension_headers),
		cmocka_unit_test(test_error_budget),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragment_options),
		cmocka_unit_test(test_fragment_of_fragment),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
