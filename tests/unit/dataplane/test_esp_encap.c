/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What esp_encap() lays out, read field by field against RFC 4303 figure 1, RFC 4106 sections 3 and 5,
 * RFC 3948 section 2.1 and RFC 4301 section 5.1.2: every combination of flags, both inner families,
 * every length of a link.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "abi/message.h"
#include "esp_encap.h"
#include "random.h"
#include "sa_template.h"

#define ROOM  256u
#define GUARD 32u

static const uint64_t flow_key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

/* An SA of a tunnel with these policies. */
static struct sa_out make_sa(uint32_t flags, const struct abi_tunnel *policy)
{
	struct abi_tunnel tunnel = *policy;
	struct sa_out sa = { .spi = htonl(0x12345678), .flags = (uint8_t)(flags & SA_ESN) };

	tunnel.flags = flags & SA_UDP ? ABI_TUNNEL_UDP : 0;
	tunnel.local.family = tunnel.remote.family = flags & SA_OUTER_V6 ? ABI_IPV6 : ABI_IPV4;
	memset(tunnel.local.addr, 0x51, flags & SA_OUTER_V6 ? 16 : 4);
	memset(tunnel.remote.addr, 0x52, flags & SA_OUTER_V6 ? 16 : 4);
	if (flags & SA_UDP) {
		tunnel.local_port = 4500;
		tunnel.remote_port = 40001;
	}
	sa_template_build(&sa, 0, &tunnel);
	assert_int_equal((sa.flags | sa.outer[0].flags) & (SA_ESN | SA_UDP | SA_OUTER_V6), flags);
	return sa;
}

/* What the policies make of the inner fields, by RFC 4301 section 5.1.2.1 and 8.1. */
static uint8_t expected_class(const struct abi_tunnel *policy, uint8_t class)
{
	return policy->dscp & ABI_DSCP_SET ? (uint8_t)((policy->dscp & 63) << 2 | (class & 3))
					   : class;
}

static bool expected_df(const struct abi_tunnel *policy, enum ip_family family, bool df)
{
	switch (policy->df) {
	case ABI_DF_SET:
		return true;
	case ABI_DF_CLEAR:
		return false;
	default:
		return family == IP_V6 || df;
	}
}

struct inner {
	enum ip_family family;
	uint16_t length;
	uint8_t class;
	bool df;
};

/* Returns where ESP starts. */
static const uint8_t *check_outer(const struct packet *p, uint32_t flags,
				  const struct abi_tunnel *policy, const struct inner *inner)
{
	uint8_t protocol = flags & SA_UDP ? 17 : 50, ttl = policy->ttl != 0 ? policy->ttl : 64;
	uint8_t class = expected_class(policy, inner->class);
	const uint8_t *h = p->l3;

	if (flags & SA_OUTER_V6) {
		uint32_t first = ntohl(load32(h));

		assert_int_equal(p->family, IP_V6);
		assert_int_equal(first >> 20, 0x600 | class);
		/* 0 says that there is none (RFC 6437 section 2). */
		assert_int_equal((first & 0xfffff) == 0, policy->flow_label == ABI_FLOW_LABEL_ZERO);
		assert_int_equal(load_be16(h + 4), p->length - 40);
		assert_int_equal(h[6], protocol);
		assert_int_equal(h[7], ttl);
		for (int i = 0; i < 32; i++)
			assert_int_equal(h[8 + i], i < 16 ? 0x51 : 0x52);
		h += 40;
	} else {
		bool df = expected_df(policy, inner->family, inner->df);

		assert_int_equal(p->family, IP_V4);
		assert_int_equal(h[0], 0x45);
		assert_int_equal(h[1], class);
		assert_int_equal(load_be16(h + 2), p->length);
		assert_int_equal(load_be16(h + 6), df ? 0x4000 : 0);
		assert_int_equal(h[8], ttl);
		assert_int_equal(h[9], protocol);
		assert_int_equal(checksum_fold(ipv4_checksum_sum(h, 20)), 0xffff);
		assert_memory_equal(h + 12, "\x51\x51\x51\x51\x52\x52\x52\x52", 8);
		h += 20;
	}
	if (flags & SA_UDP) {
		assert_int_equal(load_be16(h), 4500);
		assert_int_equal(load_be16(h + 2), 40001);
		assert_int_equal(load_be16(h + 4), p->length - (h - p->l3));
		assert_int_equal(load_be16(h + 6), 0);
		h += 8;
	}
	return h;
}

static void check_op(const struct aead_op *op, uint32_t flags, const uint8_t *esp,
		     uint64_t sequence)
{
	uint8_t aad[12];

	assert_int_equal(load64((const uint8_t *)&op->iv), load64(esp + 8));
	assert_ptr_equal(op->data, esp + 16);
	assert_ptr_equal(op->tag, esp + 16 + op->len);
	memcpy(aad, esp, 4);
	if (flags & SA_ESN) {
		store32(aad + 4, htonl((uint32_t)(sequence >> 32)));
		store32(aad + 8, htonl((uint32_t)sequence));
	} else {
		store32(aad + 4, htonl((uint32_t)sequence));
	}
	assert_int_equal(op->aad_len, flags & SA_ESN ? 12 : 8);
	assert_memory_equal(op->aad, aad, op->aad_len);
}

/* Seals a packet; returns the outer one, which stands in a static buffer. */
static struct packet check_one(const struct sa_out *sa, const struct abi_tunnel *policy,
			       const struct inner *in, uint64_t sequence)
{
	static uint8_t buffer[ROOM + 9216 + ESP_TRAILER_ROOM + GUARD];
	uint32_t flags = (sa->flags | sa->outer[0].flags) & (SA_ESN | SA_UDP | SA_OUTER_V6);
	uint32_t length = in->length, pad;
	uint8_t *inner = buffer + ROOM, *tail;
	struct esp_run run;
	struct packet p = { .l3 = inner,
			    .length = in->length,
			    .inner_length = in->length,
			    .family = (uint8_t)in->family,
			    .sequence = sequence };
	struct aead_op op = { 0 };
	const uint8_t *esp;

	for (uint32_t i = 0; i < length + ESP_TRAILER_ROOM + GUARD; i++)
		inner[i] = (uint8_t)(i * 7);
	if (in->family == IP_V4) {
		store_be16(inner, (uint16_t)(0x4500 | in->class));
		inner[6] = in->df ? 0x40 : 0;
	} else {
		store_be16(inner, (uint16_t)(0x6000 | in->class << 4));
		inner[6] = in->df ? 0x40 : 0; /* says nothing there */
	}
	run = esp_run_of(sa, 0);
	esp_encap(&p, &run, flow_key, &op);
	esp = check_outer(&p, flags, policy, in);
	assert_int_equal(load32(esp), htonl(0x12345678));
	assert_int_equal(load32(esp + 4), htonl((uint32_t)sequence));
	assert_int_equal(__builtin_bswap64(load64(esp + 8)), sequence);
	assert_ptr_equal(esp + 16, inner);
	check_op(&op, flags, esp, sequence);
	assert_int_equal(p.length, inner - p.l3 + op.len + 16);
	assert_int_equal(!!(p.flags & PACKET_UDP_SUM),
			 (flags & (SA_UDP | SA_OUTER_V6)) == (SA_UDP | SA_OUTER_V6));

	/* The payload as it was, then 1, 2, 3, the pad length and the next header; on 4 bytes. */
	for (uint32_t i = 7; i < length; i += length / 16 + 1)
		assert_int_equal(inner[i], (uint8_t)(i * 7));
	assert_int_equal(op.len % 4, 0);
	tail = inner + op.len;
	assert_int_equal(tail[-1], in->family == IP_V4 ? 4 : 41);
	pad = tail[-2];
	assert_int_equal(op.len, length + pad + 2);
	assert_in_range(pad, 0, 3);
	for (uint32_t i = 0; i < pad; i++)
		assert_int_equal(inner[length + i], i + 1);
	/* Nothing behind what esp_encap_fits() asked for. */
	for (uint32_t i = length + ESP_TRAILER_ROOM; i < length + ESP_TRAILER_ROOM + GUARD; i++)
		assert_int_equal(inner[i], (uint8_t)(i * 7));
	return p;
}

static void test_layout(void **state)
{
	static const struct abi_tunnel policy;
	uint64_t random = 3;

	for (uint32_t flags = 0; flags < 8; flags++) {
		struct sa_out sa = make_sa(flags, &policy);

		for (uint16_t length = 40; length <= 9000; length += length < 200 ? 1 : 97) {
			uint64_t sequence = random_next(&random) >> random_below(&random, 64);
			struct inner in = { length % 2 ? IP_V4 : IP_V6, length,
					    (uint8_t)random_next(&random), length & 2 };

			check_one(&sa, &policy, &in, sequence | 1);
			in.family = length % 2 ? IP_V6 : IP_V4;
			check_one(&sa, &policy, &in, UINT32_MAX);
		}
	}
}

/* Every DSCP policy with every class, each DF, label and TTL, over both families inside and outside. */
static void policy_cases(uint32_t flags, const struct abi_tunnel *policy)
{
	struct sa_out sa = make_sa(flags, policy);

	for (uint32_t class = 0; class < 256; class ++)
		for (uint32_t k = 0; k < 4; k++) {
			struct inner in = { k & 1 ? IP_V6 : IP_V4, (uint16_t)(80 + class % 4),
					    (uint8_t) class, k & 2 };

			check_one(&sa, policy, &in, class * 70001ull + k + 1);
		}
}

static void test_policies(void **state)
{
	static const uint8_t dscp[] = { ABI_DSCP_COPY, ABI_DSCP_SET, ABI_DSCP_SET | 46,
					ABI_DSCP_SET | 63 };
	static const uint8_t ttl[] = { 0, 1, 255 };

	for (uint32_t i = 0; i < 4 * 3 * 3 * 3; i++) {
		struct abi_tunnel policy = { .dscp = dscp[i % 4],
					     .df = (uint8_t)(i / 4 % 3),
					     .flow_label = (uint8_t)(i / 12 % 3),
					     .ttl = ttl[i / 36] };

		for (uint32_t flags = 0; flags < 8; flags += 2)
			policy_cases(flags, &policy);
	}
}

/* RFC 6864: packets that may be cut have ids of their own, as long as 16 bits allow it. */
static void test_ids(void **state)
{
	static const struct abi_tunnel policy = { .df = ABI_DF_CLEAR };
	struct sa_out sa = make_sa(0, &policy), other;
	struct inner in = { IP_V4, 64, 0, false };
	uint8_t *seen = calloc(1, 65536);
	uint16_t first = 0;

	assert_non_null(seen);
	for (uint64_t n = 1; n <= 65536; n++) {
		struct packet p = check_one(&sa, &policy, &in, n << 32 | n);
		uint16_t id = load_be16(p.l3 + 4);

		assert_int_equal(seen[id]++, 0);
		if (n == 1)
			first = id;
	}
	free(seen);
	/* Two SAs between the same ends, such as before and after a rekey, are not in step. */
	other = sa;
	other.spi = htonl(0x12345679);
	sa_template_build(&other, 0, &(struct abi_tunnel){ .local.family = ABI_IPV4 });
	assert_int_not_equal(load_be16(other.header[0] + SA_TEMPLATE_LEN - 36 + 4) ^ 1, first);
}

/* The label of what an outer IPv6 header got for an inner packet. */
static uint32_t label_of(const struct sa_out *sa, const uint8_t *packet, uint32_t length,
			 const uint64_t key[2])
{
	uint8_t buffer[ROOM + 256];
	struct packet p = { .l3 = buffer + ROOM,
			    .length = (uint16_t)length,
			    .inner_length = (uint16_t)length,
			    .family = packet[0] >> 4 == 4 ? IP_V4 : IP_V6,
			    .sequence = 1 };
	struct aead_op op;
	struct esp_run run;

	memcpy(p.l3, packet, length);
	run = esp_run_of(sa, 0);
	esp_encap(&p, &run, key, &op);
	return ntohl(load32(p.l3)) & 0xfffff;
}

/* One label for a flow, another one for another flow, SA or key; pieces all have the whole's. */
static void test_flow_labels(void **state)
{
	static const struct abi_tunnel inner = { .flow_label = ABI_FLOW_LABEL_INNER };
	static const uint64_t other_key[2] = { 1, 2 };
	/* offset, of IPv4 and of IPv6, that tells one flow from another; and one that doesn't */
	static const uint8_t tells[2][6] = { { 12, 15, 16, 19, 21, 23 }, { 3, 8, 23, 24, 39, 43 } };
	static const uint8_t tells_not[2][4] = { { 1, 5, 8, 30 }, { 0, 5, 7, 50 } };
	struct sa_out sa = make_sa(SA_OUTER_V6, &inner), second = sa;
	uint8_t packet[64];

	second.spi ^= 1;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		uint32_t label, length = v6 ? 60 : 40;

		memset(packet, 0, sizeof(packet));
		packet[0] = v6 ? 0x60 : 0x45;
		packet[v6 ? 6 : 9] = 17;
		label = label_of(&sa, packet, length, flow_key);
		for (uint32_t i = 0; i < 6; i++) {
			packet[tells[v6][i]] ^= 1;
			assert_int_not_equal(label_of(&sa, packet, length, flow_key), label);
			packet[tells[v6][i]] ^= 1;
		}
		for (uint32_t i = 0; i < 4; i++) {
			packet[tells_not[v6][i]] ^= 1;
			assert_int_equal(label_of(&sa, packet, length, flow_key), label);
			packet[tells_not[v6][i]] ^= 1;
		}
		assert_int_not_equal(label_of(&second, packet, length, flow_key), label);
		assert_int_not_equal(label_of(&sa, packet, length, other_key), label);
	}
}

/* What stands in the first piece where ports do is anything in the others. */
static void test_flow_labels_of_pieces(void **state)
{
	static const struct abi_tunnel inner = { .flow_label = ABI_FLOW_LABEL_INNER };
	struct sa_out sa = make_sa(SA_OUTER_V6, &inner);
	uint8_t first[64] = { 0x45, [6] = 0x20, [9] = 17, [21] = 77 };
	uint8_t last[64] = { 0x45, [7] = 5, [9] = 17, [21] = 78 };

	assert_int_equal(label_of(&sa, first, 40, flow_key), label_of(&sa, last, 40, flow_key));
}

/* The function's own test vectors, which OpenSSL's agrees with: key 00 01 .. 0f, message 00 01 .. */
static void test_siphash(void **state)
{
	uint64_t message[7];
	uint8_t *bytes = (uint8_t *)message;

	for (uint32_t i = 0; i < sizeof(message); i++)
		bytes[i] = (uint8_t)i;
	assert_true(siphash(flow_key, message, 0) == 0x726fdb47dd0e0e31ull);
	assert_true(siphash(flow_key, message, 1) == 0x93f5f5799a932462ull);
	assert_true(siphash(flow_key, message, 7) == 0xb78dbfaf3a8d83bdull);
}

/* Exactly the room that the fixed-size copies need. */
static void test_fits(void **state)
{
	uint8_t buffer[1024];
	struct rte_mbuf m = { .buf_addr = buffer, .buf_len = sizeof(buffer) };
	struct packet p = { .mbuf = &m, .length = 100 };

	p.l3 = buffer + ESP_ROOM_BEFORE;
	assert_true(esp_encap_fits(&p));
	p.l3--;
	assert_false(esp_encap_fits(&p));
	p.l3 = buffer + sizeof(buffer) - 100 - ESP_TRAILER_ROOM;
	assert_true(esp_encap_fits(&p));
	p.length++;
	assert_false(esp_encap_fits(&p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_flow_labels),
		cmocka_unit_test(test_flow_labels_of_pieces),
		cmocka_unit_test(test_siphash),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
