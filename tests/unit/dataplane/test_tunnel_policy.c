/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a tunnel's policies do to packets that take both walks: DSCP and congestion marks (RFC 6040,
 * RFC 2983), the TCP MSS, padding (RFC 4303 section 2.7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "ecn.h"
#include "esp_encap.h"
#include "ip_header.h"
#include "sa_template.h"
#include "testbed.h"

/* RFC 6040 figure 4, as it is printed: [inner][outer], -1 drop. Not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3. */
static const int figure4[4][4] = {
	{ 0, 0, 0, -1 },
	{ 1, 1, 1, 3 },
	{ 2, 1, 2, 3 },
	{ 3, 3, 3, 3 },
};

struct class_case {
	uint32_t flags;
	enum ip_family family;
	uint8_t dscp;  /* the tunnel's policy */
	bool dscp_in;  /* of the way back */
	uint8_t inner; /* marks */
	uint8_t outer; /* as it arrives */
};

/* A packet with DSCP 46 goes out; on its way back the outer DSCP is 10. */
static void class_case(struct testbed *bed, const struct class_case *c)
{
	enum ip_family outside = c->flags & SA_OUTER_V6 ? IP_V6 : IP_V4;
	uint8_t sent = c->dscp == ABI_DSCP_COPY ? 46 << 2 : (uint8_t)(c->dscp << 2);
	uint8_t back = c->dscp_in ? 10 << 2 : 46 << 2;
	uint64_t drops = testbed_drops(bed, 1, DROP_ecn);
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048], esp[2048];
	uint32_t len = testbed_frame(frame, c->family, 100, true);
	const uint8_t *l3;
	uint16_t length;

	testbed_class(frame + 14, c->family, (uint8_t)(46 << 2 | c->inner));
	len = testbed_seal(bed, frame, len, esp);
	/* At the ingress the outer header has the inner mark, whatever its DSCP is. */
	assert_int_equal(ip_traffic_class(esp + 14, outside), sent | c->inner);
	assert_int_equal(ip_header_check(esp + 14, len - 14, outside, false, &length), DROP_NONE);

	testbed_class(esp + 14, outside, (uint8_t)(10 << 2 | c->outer));
	testbed_swap(bed);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	testbed_swap_back(bed);
	if (figure4[c->inner][c->outer] < 0) {
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
		assert_int_equal(testbed_drops(bed, 1, DROP_ecn), drops + 1);
		return;
	}
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	l3 = rte_pktmbuf_mtod_offset(out[0], const uint8_t *, 14);
	assert_int_equal(ip_traffic_class(l3, c->family), back | figure4[c->inner][c->outer]);
	assert_int_equal(ip_header_check(l3, 100, c->family, false, &length), DROP_NONE);
	if (c->family == IP_V6) /* the flow label is nobody's business */
		assert_int_equal(load_be16(l3) & 0xf, 0);
	rte_pktmbuf_free(out[0]);
}

/* All combinations of marks with all DSCP policies, both families inside and outside. */
static void test_class(void **state)
{
	static const uint8_t dscp[] = { ABI_DSCP_COPY, ABI_DSCP_SET, ABI_DSCP_SET | 34 };

	for (uint32_t k = 0; k < 2 * 3 * 2; k++) {
		uint32_t flags = k & 1 ? SA_OUTER_V6 : 0;
		struct testbed *bed = testbed_create(flags, 16, 64);
		struct abi_tunnel tunnel = testbed_tunnel(flags);

		tunnel.dscp = dscp[k / 2 % 3];
		sa_template_build(&bed->tables->sa[1].out, 0, &tunnel);
		if (k >= 6)
			bed->tables->sa[2].in.flags |= SA_DSCP_IN;
		for (uint32_t i = 0; i < 4 * 4 * 2; i++) {
			struct class_case c = { flags,       i & 16 ? IP_V6 : IP_V4,
						tunnel.dscp, k >= 6,
						i & 3,       i >> 2 & 3 };

			class_case(bed, &c);
		}
		testbed_destroy(bed);
	}
}

/* ---- padding ---- */

/* Sends a packet and takes it in again; returns how long the ciphertext was. */
static uint32_t pad_case(struct testbed *bed, enum ip_family family, uint16_t length)
{
	struct rte_mbuf *out[BURST_MAX];
	uint8_t frame[2048], esp[2048], *l3;
	uint32_t len = testbed_frame(frame, family, length, true), sealed;

	sealed = testbed_seal(bed, frame, len, esp) - 14 - 20 - 16 - 16;
	testbed_swap(bed);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, sealed + 14 + 20 + 16 + 16);
	testbed_swap_back(bed);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	/* The padding is gone, and what came out is what went in, two hops later. */
	assert_int_equal(out[0]->data_len, len);
	l3 = rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14);
	l3[family == IP_V4 ? 8 : 7] += 2;
	if (family == IP_V4)
		testbed_class(l3, family, 0);
	assert_memory_equal(l3, frame + 14, length);
	rte_pktmbuf_free(out[0]);
	return sealed;
}

static void test_padding(void **state)
{
	static const uint16_t pad_to[] = { 0, 1, 40, 41, 43, 300, 1399, 1400, 1401, 9216, 65535 };
	struct testbed *bed = testbed_create(SA_ESN, 16, 64);
	struct sa_out *sa = &bed->tables->sa[1].out;

	for (uint32_t i = 0; i < sizeof(pad_to) / sizeof(pad_to[0]); i++)
		for (uint16_t length = 40; length <= 1400; length += 85) {
			uint32_t wanted = pad_to[i] < 1400 ? pad_to[i] : 1400;
			uint64_t bytes = bed->worker->stats.sa[1].bytes;

			wanted = (RTE_MAX(wanted, length) + 2 + 3) & ~3u;
			sa->pad_to = pad_to[i];
			assert_int_equal(pad_case(bed, length & 1 ? IP_V6 : IP_V4, length), wanted);
			/* Counted is what the tenant sent. */
			assert_int_equal(bed->worker->stats.sa[1].bytes - bytes, length);
		}
	testbed_destroy(bed);
}

/* Nothing of the buffer's last tenant goes along: the padding is zeros, by the cipher's operation. */
static void test_padding_is_zeros(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *m, *out[BURST_MAX];
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 60, true);
	struct aead_op op = { 0 };
	uint8_t *inner;

	bed->tables->sa[1].out.pad_to = 500;
	m = testbed_mbuf(bed, frame, len);
	memset(rte_pktmbuf_mtod_offset(m, uint8_t *, len), 0xa5, 1000);
	worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
	inner = rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14 + 20 + 16);
	op.key = bed->tables->sa[2].in.key;
	op.data = inner;
	op.len = 504;
	op.tag = inner + op.len;
	op.iv = load64(inner - 8);
	op.aad_len = 8;
	memcpy(op.aad, inner - 16, 8);
	assert_int_equal(aead_decrypt(bed->aead, &op, 1), 0);
	for (uint32_t i = 60; i < 500; i++)
		assert_int_equal(inner[i], 0);
	assert_memory_equal(inner + 500, "\1\2\2\4", 4);
	rte_pktmbuf_free(out[0]);
	testbed_destroy(bed);
}

/* What the buffer that holds the packet has no room for stands in another one, if one is that large. */
static void test_padding_wants_room(void **state)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	struct rte_mbuf *m, *out[BURST_MAX];
	uint8_t frame[2048];
	uint32_t len = testbed_frame(frame, IP_V4, 60, true);

	bed->tables->sa[1].out.pad_to = 1000;
	for (uint32_t room = 1000 + ESP_TRAILER_ROOM - 1; room <= 1000 + ESP_TRAILER_ROOM; room++) {
		m = rte_pktmbuf_alloc(bed->pool);
		assert_non_null(m);
		m->data_off = (uint16_t)(m->buf_len - 14 - room);
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
		worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
		assert_int_equal(out[0]->pkt_len, 14 + 20 + 16 + 1004 + 16);
		rte_pktmbuf_free(out[0]);
	}
	testbed_conserved(bed, 1, 2);
	bed->tables->sa[1].out.outer[0].inner_mtu = 9000;
	bed->tables->sa[1].out.pad_to = 8000;
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 0);
	assert_int_equal(testbed_drops(bed, 1, DROP_no_headroom), 1);
	testbed_conserved(bed, 1, 2);
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
		cmocka_unit_test(test_class),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_padding_is_zeros),
		cmocka_unit_test(test_padding_wants_room),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
