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

static struct sa_out make_sa(uint32_t flags)
{
	struct abi_tunnel tunnel = { .flags = flags & SA_UDP ? ABI_TUNNEL_UDP : 0 };
	struct sa_out sa = { .spi = htonl(0x12345678), .flags = (uint8_t)(flags & SA_ESN) };

	tunnel.local.family = tunnel.remote.family = flags & SA_OUTER_V6 ? ABI_IPV6 : ABI_IPV4;
	memset(tunnel.local.addr, 0x51, flags & SA_OUTER_V6 ? 16 : 4);
	memset(tunnel.remote.addr, 0x52, flags & SA_OUTER_V6 ? 16 : 4);
	if (flags & SA_UDP) {
		tunnel.local_port = 4500;
		tunnel.remote_port = 40001;
	}
	sa_template_build(&sa, 0, &tunnel);
	assert_int_equal(sa.flags | sa.outer[0].flags, flags);
	return sa;
}

/* Returns where ESP starts. */
static const uint8_t *check_outer(const struct packet *p, uint32_t flags, uint8_t tos)
{
	uint8_t protocol = flags & SA_UDP ? 17 : 50;
	const uint8_t *h = p->l3;

	if (flags & SA_OUTER_V6) {
		assert_int_equal(p->family, IP_V6);
		assert_int_equal(load_be16(h), 0x6000 | tos << 4);
		assert_int_equal(load_be16(h + 2), 0);
		assert_int_equal(load_be16(h + 4), p->length - 40);
		assert_int_equal(h[6], protocol);
		assert_int_equal(h[7], 64);
		for (int i = 0; i < 32; i++)
			assert_int_equal(h[8 + i], i < 16 ? 0x51 : 0x52);
		h += 40;
	} else {
		assert_int_equal(p->family, IP_V4);
		assert_int_equal(h[0], 0x45);
		assert_int_equal(h[1], tos);
		assert_int_equal(load_be16(h + 2), p->length);
		assert_int_equal(load_be16(h + 6), 0x4000); /* don't fragment */
		assert_int_equal(h[8], 64);
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

static void check_one(const struct sa_out *sa, enum ip_family family, uint16_t length,
		      uint64_t sequence, uint8_t tos)
{
	static uint8_t buffer[ROOM + 9216 + ESP_TRAILER_ROOM + GUARD];
	uint8_t *inner = buffer + ROOM, *tail;
	struct packet p = {
		.l3 = inner, .length = length, .family = (uint8_t)family, .sequence = sequence
	};
	struct aead_op op = { 0 };
	const uint8_t *esp;
	uint32_t pad;

	for (uint32_t i = 0; i < length + ESP_TRAILER_ROOM + GUARD; i++)
		inner[i] = (uint8_t)(i * 7);
	if (family == IP_V4)
		store_be16(inner, (uint16_t)(0x4500 | tos));
	else
		store_be16(inner, (uint16_t)(0x6000 | tos << 4));
	esp_encap(&p, sa, 0, &op);
	esp = check_outer(&p, sa->flags | sa->outer[0].flags, tos);
	assert_int_equal(load32(esp), htonl(0x12345678));
	assert_int_equal(load32(esp + 4), htonl((uint32_t)sequence));
	assert_int_equal(__builtin_bswap64(load64(esp + 8)), sequence);
	assert_ptr_equal(esp + 16, inner);
	check_op(&op, sa->flags, esp, sequence);
	assert_int_equal(p.length, inner - p.l3 + op.len + 16);

	/* The payload as it was, then 1, 2, 3, the pad length and the next header; on 4 bytes. */
	for (uint32_t i = 2; i < length; i += length / 16 + 1)
		assert_int_equal(inner[i], (uint8_t)(i * 7));
	assert_int_equal(op.len % 4, 0);
	tail = inner + op.len;
	assert_int_equal(tail[-1], family == IP_V4 ? 4 : 41);
	pad = tail[-2];
	assert_int_equal(op.len, length + pad + 2);
	assert_in_range(pad, 0, 3);
	for (uint32_t i = 0; i < pad; i++)
		assert_int_equal(inner[length + i], i + 1);
	/* Nothing behind what esp_encap_fits() asked for. */
	for (uint32_t i = length + ESP_TRAILER_ROOM; i < length + ESP_TRAILER_ROOM + GUARD; i++)
		assert_int_equal(inner[i], (uint8_t)(i * 7));
}

static void test_layout(void **state)
{
	uint64_t random = 3;

	for (uint32_t flags = 0; flags < 8; flags++) {
		struct sa_out sa = make_sa(flags);

		for (uint16_t length = 40; length <= 9000; length += length < 200 ? 1 : 97) {
			uint64_t sequence = random_next(&random) >> random_below(&random, 64);

			check_one(&sa, length % 2 ? IP_V4 : IP_V6, length, sequence | 1,
				  (uint8_t)random_next(&random));
			check_one(&sa, length % 2 ? IP_V6 : IP_V4, length, UINT32_MAX,
				  (uint8_t)random_next(&random));
		}
	}
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
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
