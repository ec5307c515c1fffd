/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway_fixture.h"
#include "sa.h"
#include "sa_template.h"

static const uint8_t *header_of(const struct sa_out *sa, uint8_t n)
{
	return sa->header[n] + SA_TEMPLATE_LEN - sa->outer[n].header_len;
}

/* Laid out by hand from RFC 791, 8200, 768 and 4303; but for the id, which may be anything. */
static void ipv4_esp(void **state)
{
	uint8_t expected[36] = {
		0x45, 0x2e << 2, 0, 0, 0,   0,  0,   0, 7,    50,   0,    0,
		192,  0,         2, 1, 198, 51, 100, 7, 0x11, 0x22, 0x33, 0x44,
	};
	struct abi_tunnel tunnel = make_tunnel(1, 1, "192.0.2.1", "198.51.100.7");
	struct sa_out sa = { .spi = htonl(0x11223344), .flags = SA_ESN };

	tunnel.dscp = ABI_DSCP_SET | 0x2e;
	tunnel.ttl = 7;
	memset(sa.header, 0xee, sizeof(sa.header));
	sa_template_build(&sa, 0, &tunnel);
	assert_int_equal(sa.outer[0].header_len, 36);
	assert_int_equal(sa.flags, SA_ESN);
	assert_int_equal(sa.outer[0].flags, OUTER_DF_COPY);
	memcpy(expected + 4, header_of(&sa, 0) + 4, 2);
	assert_memory_equal(header_of(&sa, 0), expected, 36);
	for (uint32_t i = 0; i < 64 - 36; i++)
		assert_int_equal(sa.header[0][i], 0);
	for (uint32_t i = 0; i < sizeof(sa.header[1]); i++) /* the other one is left alone */
		assert_int_equal(sa.header[1][i], 0xee);
}

/* What the sender does with the sum gives a header whose words add up to 0xffff. */
static void ipv4_checksum(void **state)
{
	struct abi_tunnel tunnel = make_tunnel(1, 1, "192.0.2.1", "223.254.253.252");
	struct sa_out sa = { .spi = htonl(0x11223344) };
	uint8_t ip[20];
	uint32_t sum;
	uint16_t word, id;

	sa_template_build(&sa, 0, &tunnel);
	for (uint32_t length = 64; length < 9000; length += 311) {
		uint8_t tos = (uint8_t)(length * 4);

		memcpy(ip, header_of(&sa, 0), sizeof(ip));
		memcpy(&id, ip + 4, sizeof(id));
		ip[1] = tos;
		ip[2] = (uint8_t)(length >> 8);
		ip[3] = (uint8_t)length;
		sum = sa.outer[0].checksum + htons((uint16_t)length) + ((uint32_t)tos << 8) + id;
		while (sum > 0xffff)
			sum = (sum & 0xffff) + (sum >> 16);
		word = (uint16_t)~sum;
		memcpy(ip + 10, &word, sizeof(word));
		sum = 0;
		for (uint32_t i = 0; i < sizeof(ip); i += 2)
			sum += (uint32_t)ip[i] << 8 | ip[i + 1];
		while (sum > 0xffff)
			sum = (sum & 0xffff) + (sum >> 16);
		assert_int_equal(sum, 0xffff);
	}
}

static void ipv6_udp_fills_the_line(void **state)
{
	static const uint8_t
		expected[64] = {
			0x60, 0,    0,    0,    0,    0, 17, 64, 0x20, 1, 0x0d, 0xb8, 0,
			0,    0,    0,    0,    0,    0, 0,  0,  0,    0, 1,    0x20, 1,
			0x0d, 0xb8, 0,    7,    0,    0, 0,  0,  0,    0, 0,    0,    0,
			7,    0x11, 0x94, 0x27, 0x10, 0, 0,  0,  0, /* 4500 to 10000 */
			0xaa, 0xbb, 0xcc, 0xdd, 0,    0, 0,  0,
		};
	struct abi_tunnel tunnel = make_tunnel(1, 1, "2001:db8::1", "2001:db8:7::7");
	struct sa_out sa = { .spi = htonl(0xaabbccdd) };

	tunnel.flags = ABI_TUNNEL_UDP;
	tunnel.local_port = 4500;
	tunnel.remote_port = 10000;
	tunnel.flow_label = ABI_FLOW_LABEL_ZERO;
	sa_template_build(&sa, 1, &tunnel);
	assert_int_equal(sa.outer[1].header_len, 64);
	assert_int_equal(sa.outer[1].flags, SA_UDP | SA_OUTER_V6 | OUTER_DSCP_COPY | OUTER_DF_COPY);
	assert_int_equal(sa.outer[1].checksum, 0);
	assert_memory_equal(sa.header[1], expected, 64);
	/* Built anew for another tunnel, nothing of it is left. */
	tunnel = make_tunnel(1, 1, "192.0.2.1", "198.51.100.7");
	tunnel.df = ABI_DF_SET;
	sa_template_build(&sa, 1, &tunnel);
	assert_int_equal(sa.outer[1].header_len, 36);
	assert_int_equal(sa.outer[1].flags, OUTER_DSCP_COPY | OUTER_DF_SET);
	for (uint32_t i = 0; i < 28; i++)
		assert_int_equal(sa.header[1][i], 0);
}

/* One flow label per SA: the same whenever it is built, and hardly ever that of another SA. */
static void flow_label_of_an_sa(void **state)
{
	struct abi_tunnel tunnel = make_tunnel(1, 1, "2001:db8::1", "2001:db8:7::7");
	uint32_t labels[64] = { 0 }, same = 0;

	for (uint32_t i = 0; i < 64; i++) {
		struct sa_out sa = { .spi = htonl(0x1000 + i) };
		uint32_t first[2];

		for (uint8_t n = 0; n < 2; n++) {
			sa_template_build(&sa, n, &tunnel);
			memcpy(&first[n], header_of(&sa, n), sizeof(first[n]));
		}
		assert_int_equal(first[0], first[1]);
		labels[i] = ntohl(first[0]) & 0xfffff;
		assert_int_not_equal(labels[i], 0);
		for (uint32_t k = 0; k < i; k++)
			same += labels[k] == labels[i];
	}
	assert_in_range(same, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_esp),
		cmocka_unit_test(ipv4_checksum),
		cmocka_unit_test(ipv6_udp_fills_the_line),
		cmocka_unit_test(flow_label_of_an_sa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
