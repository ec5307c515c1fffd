/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "sa.h"
#include "trace.h"

#define PAYLOAD 0xa5

/* A packet in a buffer of its own; everything behind its headers is PAYLOAD. */
struct sample {
	struct rte_mbuf mbuf;
	struct packet p;
	uint8_t bytes[512];
};

static void sample_make(struct sample *s, const uint8_t *headers, uint32_t len, uint16_t total)
{
	memset(s, 0, sizeof(*s));
	memset(s->bytes, PAYLOAD, sizeof(s->bytes));
	memcpy(s->bytes + 64, headers, len);
	s->mbuf.buf_addr = s->bytes;
	s->mbuf.buf_len = sizeof(s->bytes);
	s->mbuf.data_off = 64;
	s->mbuf.data_len = total;
	s->p.mbuf = &s->mbuf;
	s->p.l3 = s->bytes + 64;
	s->p.length = total;
	s->p.tenant = 3;
	s->p.family = headers[0] >> 4 == 6 ? IP_V6 : IP_V4;
}

static struct trace *started(uint32_t tenant, uint32_t packets, uint32_t every)
{
	struct abi_trace_start how = { .tenant = tenant, .packets = packets, .every = every };
	struct trace *t;

	assert_int_equal(trace_create(&t), 0);
	assert_false(trace_active(t));
	assert_int_equal(trace_start(t, &how), 0);
	assert_true(trace_active(t));
	return t;
}

static struct abi_trace_record one(struct sample *s)
{
	struct trace *t = started(UINT32_MAX, 1, 1);
	struct abi_trace_record record;

	trace_packet(t, &s->p, 1, 0xffff);
	assert_int_equal(trace_read(t, &record, 1), 1);
	assert_false(trace_active(t));
	trace_destroy(t);
	return record;
}

static uint32_t ipv4(uint8_t *h, uint8_t words, uint16_t fragment, uint8_t protocol)
{
	memset(h, 0, words * 4u);
	h[0] = 0x40 | words;
	h[6] = (uint8_t)(fragment >> 8);
	h[7] = (uint8_t)fragment;
	h[9] = protocol;
	return words * 4u;
}

/* So many bytes are taken, and no payload is among them. */
static void assert_captured(struct sample *s, uint32_t expected)
{
	struct abi_trace_record record = one(s);

	assert_int_equal(record.captured, expected);
	for (uint32_t i = 0; i < ABI_TRACE_HEADERS; i++)
		assert_int_equal(record.headers[i], i < expected ? s->bytes[64 + i] : 0);
}

static void headers_and_no_payload(void **state)
{
	struct sample s;
	uint8_t h[128];
	uint32_t n;

	n = ipv4(h, 5, 0, IPPROTO_TCP);
	memset(h + n, 1, 20);
	sample_make(&s, h, n + 20, 200);
	assert_captured(&s, 40);
	n = ipv4(h, 15, 0, IPPROTO_TCP); /* options fill the rest */
	sample_make(&s, h, n + 20, 200);
	assert_captured(&s, 80);
	n = ipv4(h, 5, 0, IPPROTO_UDP);
	sample_make(&s, h, n + 8, 200);
	assert_captured(&s, 28);
	n = ipv4(h, 5, 0, IPPROTO_ICMP);
	sample_make(&s, h, n + 8, 200);
	assert_captured(&s, 28);
	n = ipv4(h, 5, 0, IPPROTO_ESP);
	sample_make(&s, h, n + 8, 200);
	assert_captured(&s, 28);
	n = ipv4(h, 5, 0, 99); /* unknown: what follows may be anything */
	sample_make(&s, h, n, 200);
	assert_captured(&s, 20);
	n = ipv4(h, 5, 0x2000, IPPROTO_UDP); /* first fragment */
	sample_make(&s, h, n + 8, 200);
	assert_captured(&s, 28);
	n = ipv4(h, 5, 0x00b9, IPPROTO_UDP); /* a later one holds payload there */
	sample_make(&s, h, n, 200);
	assert_captured(&s, 20);
}

static void ipv6_extensions_are_bounded(void **state)
{
	uint8_t h[160] = { 0x60 };
	struct sample s;

	h[6] = IPPROTO_TCP;
	sample_make(&s, h, 60, 200);
	assert_captured(&s, 60);
	h[6] = IPPROTO_HOPOPTS;
	h[40] = IPPROTO_UDP; /* 8 bytes long */
	sample_make(&s, h, 56, 200);
	assert_captured(&s, 56);
	h[6] = IPPROTO_FRAGMENT;
	h[43] = 0x08; /* offset 1 */
	sample_make(&s, h, 48, 200);
	assert_captured(&s, 48);
	/* A chain without an end, and one longer than the record. */
	memset(h + 40, 0, sizeof(h) - 40);
	h[6] = IPPROTO_HOPOPTS;
	sample_make(&s, h, sizeof(h), 200);
	assert_captured(&s, 80);
	h[41] = 255;
	sample_make(&s, h, sizeof(h), 200);
	assert_captured(&s, 80);
}

static void short_and_strange_packets(void **state)
{
	uint8_t h[40] = { 0x45 };
	struct sample s;

	h[9] = IPPROTO_TCP;
	for (uint16_t total = 0; total < 40; total++) {
		sample_make(&s, h, 40, total);
		assert_int_equal(one(&s).captured, total < 20 ? 0 : total);
	}
	/* The buffer holds less than the packet says. */
	sample_make(&s, h, 40, 30);
	s.p.length = 1500;
	assert_captured(&s, 30);
	sample_make(&s, h, 40, 40);
	s.p.l3 = NULL;
	assert_int_equal(one(&s).captured, 0);
	h[0] = 0x44; /* a header of 16 bytes */
	sample_make(&s, h, 40, 40);
	assert_int_equal(one(&s).captured, 0);
	h[0] = 0x65; /* the family is another */
	sample_make(&s, h, 40, 40);
	s.p.family = IP_V4;
	assert_int_equal(one(&s).captured, 0);
}

static void record_says_what_became_of_it(void **state)
{
	union sa sa = { .in = { .spi = 0x44332211 } };
	struct abi_trace_record record;
	struct sample s;
	uint8_t h[20];

	sample_make(&s, h, ipv4(h, 5, 0, IPPROTO_UDP), 28);
	s.p.sa = &sa;
	s.p.walk = ABI_TRACE_INBOUND;
	s.p.tunnel = 9;
	s.p.sequence = 77;
	s.p.reason = DROP_replay_seen;
	s.p.rx_port = 2;
	record = one(&s);
	assert_int_equal(record.tenant, 3);
	assert_int_equal(record.tunnel, 9);
	assert_int_equal(record.spi, 0x44332211);
	assert_int_equal(record.sequence, 77);
	assert_int_equal(record.reason, DROP_replay_seen);
	assert_int_equal(record.walk, ABI_TRACE_INBOUND);
	assert_int_equal(record.worker, 1);
	assert_int_equal(record.rx_port, 2);
	assert_int_equal(record.tx_port, 0xffff);
	assert_int_equal(record.length, 28);
	assert_int_not_equal(record.time, 0);
	for (uint32_t i = 0; i < sizeof(record.reserved); i++)
		assert_int_equal(record.reserved[i], 0);
}

static void sampling_filter_and_end(void **state)
{
	struct trace *t = started(3, 10, 4);
	struct abi_trace_start how = { .tenant = 5, .packets = 65536, .every = 1 };
	struct abi_trace_record records[64];
	struct sample s;
	uint8_t h[20];

	sample_make(&s, h, ipv4(h, 5, 0, IPPROTO_UDP), 28);
	s.p.tenant = 4;
	for (uint32_t i = 0; i < 100; i++)
		trace_packet(t, &s.p, 0, 1);
	assert_int_equal(trace_read(t, records, 64), 0);
	s.p.tenant = 3;
	for (uint32_t i = 0; i < 20; i++)
		trace_packet(t, &s.p, 0, 1);
	assert_int_equal(trace_read(t, records, 64), 5);
	assert_true(trace_active(t));
	for (uint32_t i = 0; i < 100; i++)
		trace_packet(t, &s.p, 0, 1);
	assert_false(trace_active(t));
	/* A new trace shows nothing of the one before. */
	assert_int_equal(trace_start(t, &how), 0);
	assert_int_equal(trace_read(t, records, 64), 0);
	s.p.tenant = 5;
	for (uint32_t i = 0; i < 70000; i++)
		trace_packet(t, &s.p, 0, 1);
	assert_false(trace_active(t));
	for (uint32_t n = 0; n < 65536; n += 64)
		assert_int_equal(trace_read(t, records, 64), 64);
	assert_int_equal(trace_read(t, records, 64), 0);
	trace_stop(t);
	trace_destroy(t);
}

static void bad_requests_are_refused(void **state)
{
	static const struct abi_trace_start bad[] = {
		{ .packets = 0, .every = 1 },
		{ .packets = 65537, .every = 1 },
		{ .packets = 1, .every = 0 },
		{ .packets = 1, .every = 1, .reserved = 1 },
	};
	struct trace *t = started(3, 10, 1);

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(trace_start(t, &bad[i]), -EINVAL);
	assert_true(trace_active(t)); /* the one that runs goes on */
	trace_destroy(t);
}

#define THREADS    4
#define PER_THREAD 20000

static void *producer(void *arg)
{
	struct trace *t = arg;
	struct sample s;
	uint8_t h[20];

	sample_make(&s, h, ipv4(h, 5, 0, IPPROTO_UDP), 28);
	for (uint32_t i = 0; i < PER_THREAD; i++) {
		s.p.sequence = i;
		s.p.tunnel = i ^ 0x5555;
		trace_packet(t, &s.p, 0, 1);
	}
	return NULL;
}

/* Records of several workers are whole, and as many as were asked for. */
static void workers_write_side_by_side(void **state)
{
	struct trace *t = started(UINT32_MAX, 50000, 1);
	struct abi_trace_record record;
	pthread_t thread[THREADS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, producer, t), 0);
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_false(trace_active(t));
	for (; trace_read(t, &record, 1) == 1; n++)
		assert_int_equal(record.tunnel, (uint32_t)record.sequence ^ 0x5555);
	assert_int_equal(n, 50000);
	trace_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_and_no_payload),
		cmocka_unit_test(ipv6_extensions_are_bounded),
		cmocka_unit_test(short_and_strange_packets),
		cmocka_unit_test(record_says_what_became_of_it),
		cmocka_unit_test(sampling_filter_and_end),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(workers_write_side_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
