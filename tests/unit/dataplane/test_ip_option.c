/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 options and IPv6 extension headers of packets that are forwarded: which pass, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "ip_header.h"
#include "testbed.h"

struct header_case {
	const char *what;
	enum ip_family family;
	uint8_t first; /* IPv6: next header of the fixed one */
	uint8_t len;   /* a multiple of 4, or of 8 */
	uint8_t bytes[40];
	bool refused;
};

static const struct header_case cases[] = {
	{ "loose source route", IP_V4, 0, 8, { 131, 7, 4, 10, 1, 0, 9 }, true },
	{ "strict source route", IP_V4, 0, 8, { 137, 7, 4, 10, 1, 0, 9 }, true },
	{ "source route at its end", IP_V4, 0, 8, { 131, 7, 8, 10, 1, 0, 9 }, true },
	{ "source route behind others", IP_V4, 0, 12, { 1, 148, 4, 0, 0, 1, 137, 3, 4 }, true },
	{ "record route", IP_V4, 0, 8, { 7, 7, 4, 0, 0, 0, 0 }, false },
	{ "timestamp", IP_V4, 0, 8, { 68, 8, 5, 0 }, false },
	{ "router alert", IP_V4, 0, 4, { 148, 4, 0, 0 }, false },
	{ "nothing but padding", IP_V4, 0, 40, { 1, 1, 1, 0, 131, 7, 4 }, false },
	{ "an option without a length", IP_V4, 0, 4, { 1, 1, 1, 7 }, false },
	{ "an option of length 0", IP_V4, 0, 8, { 7, 0, 131, 7, 4 }, false },
	{ "an option beyond the header", IP_V4, 0, 8, { 7, 60, 131, 7, 4 }, false },
	{ "routing header 0", IP_V6, 43, 24, { 17, 2, 0, 1 }, true },
	{ "routing header 0 behind others",
	  IP_V6,
	  0,
	  24,
	  { 60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1 },
	  true },
	{ "routing header 0 in a first piece",
	  IP_V6,
	  60,
	  24,
	  { 44, 0, 1, 4, 0, 0, 0, 0, 43, 0, 0, 1, 9, 9, 9, 9, 17, 0, 0, 1 },
	  true },
	{ "routing header 0 in another piece",
	  IP_V6,
	  60,
	  24,
	  { 44, 0, 1, 4, 0, 0, 0, 0, 43, 0, 0, 9, 9, 9, 9, 9, 17, 0, 0, 1 },
	  false },
	{ "routing header 0 right behind the fragment header",
	  IP_V6,
	  44,
	  16,
	  { 43, 0, 0, 1, 9, 9, 9, 9, 17, 0, 0, 1 },
	  true },
	{ "the same in a packet of one piece",
	  IP_V6,
	  44,
	  16,
	  { 43, 0, 0, 0, 9, 9, 9, 9, 17, 0, 0, 1 },
	  true },
	{ "the same in another piece",
	  IP_V6,
	  44,
	  16,
	  { 43, 0, 0, 9, 9, 9, 9, 9, 17, 0, 0, 1 },
	  false },
	{ "routing header 0 at its end", IP_V6, 43, 24, { 17, 2, 0, 0 }, false },
	{ "routing header 2 (Mobile IPv6)", IP_V6, 43, 24, { 17, 2, 2, 1 }, false },
	{ "routing header 4 (segment routing)", IP_V6, 43, 24, { 17, 2, 4, 1 }, false },
	{ "hop-by-hop options", IP_V6, 0, 8, { 17, 0, 5, 2, 0, 0, 1, 0 }, false },
	{ "destination options", IP_V6, 60, 8, { 17, 0, 1, 4 }, false },
	{ "a header beyond the packet", IP_V6, 60, 8, { 43, 200, 1, 4 }, false },
};

/* The packet with the headers in it, from the tenant's host. */
static uint32_t make_frame(const struct header_case *c, uint8_t *frame)
{
	uint32_t fixed = c->family == IP_V4 ? IPV4_HEADER_MIN : IPV6_HEADER_LEN;
	uint32_t len = testbed_frame(frame, c->family, (uint16_t)(fixed + c->len + 60), true);
	uint8_t *l3 = frame + 14;

	memcpy(l3 + fixed, c->bytes, c->len);
	if (c->family == IP_V4) {
		l3[0] = (uint8_t)(0x45 + c->len / 4);
		testbed_class(l3, IP_V4, 0);
	} else {
		l3[6] = c->first;
	}
	return len;
}

/* Out of an attachment into a tunnel, and out of the tunnel to an attachment. */
static void run_case(const struct header_case *c)
{
	struct testbed *bed = testbed_create(0, 16, 64);
	uint8_t frame[2048], esp[2048], *l3;
	struct rte_mbuf *out[BURST_MAX];
	uint32_t len = make_frame(c, frame), sealed;

	if (c->refused) {
		testbed_walk(bed, BED_PORT_TENANT, frame, len);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 0);
		assert_int_equal(testbed_drops(bed, 1, DROP_ip_option), 1);
		testbed_conserved(bed, 1, 0);
		testbed_destroy(bed);
		return;
	}
	sealed = testbed_seal(bed, frame, len, esp);
	testbed_swap(bed);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, sealed);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	l3 = rte_pktmbuf_mtod_offset(out[0], uint8_t *, 14);
	l3[c->family == IP_V4 ? 8 : 7] += 2;
	if (c->family == IP_V4)
		testbed_class(l3, IP_V4, 0);
	assert_int_equal(out[0]->data_len, len);
	assert_memory_equal(l3, frame + 14, len - 14);
	rte_pktmbuf_free(out[0]);
	testbed_destroy(bed);
}

static void test_options(void **state)
{
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].what);
		run_case(&cases[i]);
	}
}

/* A tunnel's peer can't do it either: what is refused here was sealed by one that lets it pass. */
static void test_out_of_a_tunnel(void **state)
{
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct header_case *c = &cases[i];
		struct testbed *bed;
		uint32_t fixed = c->family == IP_V4 ? IPV4_HEADER_MIN : IPV6_HEADER_LEN, len, inner;
		struct rte_mbuf *out[BURST_MAX];
		uint8_t frame[2048], esp[2048];
		struct aead_op op = { .aad_len = 8 };

		if (!c->refused)
			continue;
		bed = testbed_create(0, 16, 64);
		/* An ordinary packet of the same size is sealed, opened, changed and sealed again. */
		inner = make_frame(c, frame) - 14;
		len = testbed_frame(esp, c->family, (uint16_t)inner, true);
		assert_int_equal(len, inner + 14);
		len = testbed_seal(bed, esp, len, esp);
		op.key = bed->tables->sa[2].in.key;
		op.data = esp + 14 + 20 + 16;
		op.len = len - 14 - 20 - 16 - 16;
		op.tag = op.data + op.len;
		op.iv = load64(op.data - 8);
		memcpy(op.aad, op.data - 16, 8);
		assert_int_equal(aead_decrypt(bed->aead, &op, 1), 0);
		memcpy(op.data, frame + 14, fixed + c->len);
		assert_int_equal(aead_encrypt(bed->aead, &op, 1), 0);
		testbed_swap(bed);
		testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
		assert_int_equal(testbed_drops(bed, 1, DROP_ip_option), 1);
		testbed_destroy(bed);
	}
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_out_of_a_tunnel),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
