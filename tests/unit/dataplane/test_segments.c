/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets in several buffers, cut anywhere: they take every walk as if they lay in one, leave with
 * lengths that are right, and no buffer is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "random.h"
#include "segments.h"
#include "testbed.h"

#define FRAME_MAX  9400
#define JUMBO      9000
#define PIECES_MAX 24

static uint64_t seed = 1;

/* How much room a buffer has before its data and behind; pieces lie somewhere in it. */
static struct rte_mbuf *piece_alloc(struct testbed *bed, const uint8_t *bytes, uint32_t n,
				    bool full)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(bed->pool);

	assert_non_null(m);
	if (full) /* nothing behind it */
		m->data_off = (uint16_t)(m->buf_len - n);
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), bytes, n);
	return m;
}

/* cut[i]: where piece i ends; the rest is one more. */
static struct rte_mbuf *frame_cut(struct testbed *bed, const uint8_t *frame, uint32_t len,
				  const uint32_t *cut, uint32_t cuts)
{
	struct rte_mbuf *head = NULL;
	uint32_t from = 0;

	for (uint32_t i = 0; i <= cuts; i++) {
		uint32_t end = i < cuts ? cut[i] : len;
		struct rte_mbuf *m =
			piece_alloc(bed, frame + from, end - from, head != NULL && (i & 1));

		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		from = end;
	}
	return head;
}

/* Pieces of at most 2000 bytes, some of them small or empty, the first and the last as well. */
static struct rte_mbuf *frame_in_pieces(struct testbed *bed, const uint8_t *frame, uint32_t len)
{
	uint32_t cut[PIECES_MAX], cuts = 0, at = 0;

	while (len - at > 2000 || (cuts < PIECES_MAX - 8 && random_below(&seed, 4) != 0)) {
		uint32_t left = len - at, most = left < 2000 ? left : 2000;

		assert_true(cuts < PIECES_MAX);
		switch (cuts < PIECES_MAX - 8 ? random_below(&seed, 4) : 3) {
		case 0:
			at += random_below(&seed, left < 40 ? left + 1 : 40);
			break;
		case 1: /* something short is left: padding, trailer or tag are cut */
			at += left > 50 && left - 50 < 1950 ? left - random_below(&seed, 50) : 0;
			break;
		case 2:
			at += random_below(&seed, most + 1);
			break;
		default:
			at += most;
		}
		cut[cuts++] = at;
	}
	return frame_cut(bed, frame, len, cut, cuts);
}

/* What left in one or more buffers; checked to be a sound chain. */
static uint32_t frame_flat(struct rte_mbuf *m, uint8_t *flat)
{
	const char *reason = "";
	uint32_t len = m->pkt_len;
	const void *at;

	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("the mbuf is not sound: %s", reason);
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next)
		assert_int_not_equal(s->data_len, 0);
	assert_true(len <= FRAME_MAX);
	at = rte_pktmbuf_read(m, 0, len, flat);
	if (at != flat)
		memcpy(flat, at, len);
	rte_pktmbuf_free(m);
	return len;
}

static struct testbed *jumbo_bed(uint32_t flags)
{
	struct testbed *bed = testbed_create(flags, 16, 64);

	for (uint32_t i = 1; i <= 2; i++) {
		bed->tables->adjacency[i].mtu = 9216;
		bed->tables->attachment[i].mtu = 9216;
		bed->worker->tx[i - 1].segments = true;
	}
	bed->tables->sa[1].out.outer[0].inner_mtu = 9100;
	return bed;
}

static void walk_pieces(struct testbed *bed, uint8_t port, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = frame_in_pieces(bed, frame, len);

	worker_walk(bed->worker, port, &m, 1);
}

/* The tunnel's networks change sides: what it sent may come back out of it (see test_walk.c). */
static void routes_swap(struct testbed *bed)
{
	for (uint8_t i = 0; i < 2; i++) {
		const uint8_t v4[4] = { 10, i }, v6[16] = { 0xfd, i };
		uint32_t value = i == 0 ? route_value(ROUTE_KIND_TUNNEL, 1)
					: route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT),
			 old;

		assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
					   ip_load(IP_V4, v4), 16, value, &old),
				 0);
		assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V6,
					   ip_load(IP_V6, v6), 16, value, &old),
				 0);
	}
}

#define PACKETS 40

/* Lengths from small to jumbo, all flavours, cut anew before each walk. */
static void test_there_and_back(void **state)
{
	static uint8_t esp[PACKETS][FRAME_MAX], frame[FRAME_MAX], flat[FRAME_MAX];
	struct rte_mbuf *out[BURST_MAX];
	uint32_t len[PACKETS];
	uint16_t length[PACKETS];

	for (uint32_t flags = 0; flags < 8; flags++) {
		struct testbed *bed = jumbo_bed(flags);

		for (uint32_t i = 0; i < PACKETS; i++) {
			uint32_t n, padding = i % 3 == 0 ? random_below(&seed, 60) : 0;

			length[i] =
				(uint16_t)(i < 10 ? 48 + i : 48 + random_below(&seed, JUMBO - 47));
			n = testbed_frame(frame, i % 2 ? IP_V6 : IP_V4, length[i], true);
			memset(frame + n, 0xee, padding);
			walk_pieces(bed, BED_PORT_TENANT, frame, n + padding);
			assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
			len[i] = frame_flat(out[0], esp[i]);
			assert_int_equal((len[i] - 14) % 4, 0);
			memcpy(esp[i], "\x02\0\0\0\0\x20", 6);
		}
		routes_swap(bed);
		for (uint32_t i = 0; i < PACKETS; i++) {
			uint32_t padding = i % 3 == 1 ? random_below(&seed, 60) : 0;

			memset(esp[i] + len[i], 0xee, padding);
			walk_pieces(bed, BED_PORT_UNDERLAY, esp[i], len[i] + padding);
			assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
			assert_int_equal(frame_flat(out[0], flat), 14 + length[i]);
			testbed_frame(frame, i % 2 ? IP_V6 : IP_V4, length[i], true);
			assert_true(ip_hop(frame + 14, i % 2 ? IP_V6 : IP_V4));
			assert_true(ip_hop(frame + 14, i % 2 ? IP_V6 : IP_V4));
			assert_memory_equal(flat + 14, frame + 14, length[i]);
		}
		testbed_conserved(bed, 1, 2 * PACKETS);
		testbed_destroy(bed);
	}
}

/* One cut at every place of a small packet, both ways: headers, blocks, trailer, tag, padding. */
static void test_every_cut(void **state)
{
	uint8_t frame[256], esp[256], flat[FRAME_MAX];
	struct testbed *bed = jumbo_bed(SA_UDP | SA_OUTER_V6);
	uint32_t len = testbed_frame(frame, IP_V4, 99, true), sealed = 0;
	struct rte_mbuf *out[BURST_MAX], *m;
	static uint8_t kept[256][256];

	for (uint32_t cut = 0; cut <= len; cut++) {
		m = frame_cut(bed, frame, len, &cut, 1);
		worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
		sealed = frame_flat(out[0], flat);
		assert_true(sealed < sizeof(esp));
		memcpy(kept[cut], flat, sealed);
		memcpy(kept[cut], "\x02\0\0\0\0\x20", 6);
	}
	routes_swap(bed);
	assert_true(ip_hop(frame + 14, IP_V4) && ip_hop(frame + 14, IP_V4));
	for (uint32_t cut = 0; cut <= len; cut++) {
		/* From the front and from the end, so that all places are met. */
		uint32_t at[2] = { cut, sealed - cut };

		m = frame_cut(bed, kept[cut], sealed, &at[cut & 1], 1);
		worker_walk(bed->worker, BED_PORT_UNDERLAY, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
		assert_int_equal(frame_flat(out[0], flat), len);
		assert_memory_equal(flat + 14, frame + 14, len - 14);
	}
	testbed_conserved(bed, 1, 2 * (len + 1));
	testbed_destroy(bed);
}

/* A whole buffer without room behind it gets another one for trailer and ICV. */
static void test_no_tailroom(void **state)
{
	struct testbed *bed = jumbo_bed(0);
	struct rte_mbuf *out[BURST_MAX], *m, *taken[512];
	uint32_t n = 0, len;
	uint8_t frame[FRAME_MAX], flat[FRAME_MAX];

	len = testbed_frame(frame, IP_V4, 2000, true);
	for (int buffers_left = 1; buffers_left >= 0; buffers_left--) {
		m = piece_alloc(bed, frame, len, true);
		while (!buffers_left && (taken[n] = rte_pktmbuf_alloc(bed->pool)) != NULL)
			n++;
		worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), buffers_left);
		if (buffers_left) {
			assert_int_equal(out[0]->nb_segs, 2);
			assert_int_equal(frame_flat(out[0], flat), 14 + 20 + 16 + 2004 + 16);
		}
	}
	assert_int_equal(testbed_drops(bed, 1, DROP_no_buffer), 1);
	rte_pktmbuf_free_bulk(taken, n);
	testbed_conserved(bed, 1, 1);
	testbed_destroy(bed);
}

/* What is read as a whole keeps the room for the headers that will stand before it. */
static void test_options_keep_headroom(void **state)
{
	uint8_t frame[FRAME_MAX], flat[FRAME_MAX];
	struct rte_mbuf *out[BURST_MAX];

	for (uint32_t len = 2000; len < 2200; len++) {
		struct testbed *bed = jumbo_bed(0);
		struct adjacency *a = &bed->tables->adjacency[BED_ADJ_TENANT];
		uint32_t cut = 1800;
		struct rte_mbuf *m;

		testbed_frame(frame, IP_V6, (uint16_t)(len - 14), true);
		frame[14 + 6] = 60; /* destination options */
		memcpy(frame + 14 + 40, ((uint8_t[]){ 17, 0, 1, 4, 0, 0, 0, 0 }), 8);
		m = frame_cut(bed, frame, len, &cut, 1);
		worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
		frame_flat(out[0], flat);
		routes_swap(bed);
		a->header_len = 18;
		m = frame_cut(bed, frame, len, &cut, 1);
		worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
		assert_int_equal(frame_flat(out[0], flat), len + 4);
		testbed_conserved(bed, 1, 2);
		testbed_destroy(bed);
	}
}

/* A port that sends single buffers gets one, if it fits. */
static void test_port_takes_one_buffer(void **state)
{
	struct testbed *bed = jumbo_bed(0);
	uint8_t frame[FRAME_MAX], flat[FRAME_MAX];
	struct rte_mbuf *out[BURST_MAX];

	bed->worker->tx[BED_PORT_UNDERLAY].segments = false;
	walk_pieces(bed, BED_PORT_TENANT, frame, testbed_frame(frame, IP_V4, 1400, true));
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
	assert_int_equal(out[0]->nb_segs, 1);
	assert_int_equal(frame_flat(out[0], flat), 14 + 20 + 16 + 1404 + 16);
	walk_pieces(bed, BED_PORT_TENANT, frame, testbed_frame(frame, IP_V4, JUMBO, true));
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 0);
	assert_int_equal(testbed_drops(bed, 1, DROP_multi_segment), 1);
	testbed_conserved(bed, 1, 1);
	testbed_destroy(bed);
}

/* Larger than any IP packet. */
static void test_cannot_be_taken(void **state)
{
	struct testbed *bed = jumbo_bed(0);
	uint8_t frame[FRAME_MAX];
	struct rte_mbuf *head = NULL, *m;

	testbed_frame(frame, IP_V6, 2000, true);
	store_be16(frame + 14 + 4, 65535);
	for (uint32_t i = 0; i < 33; i++) {
		m = piece_alloc(bed, frame, 2000, false);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	worker_walk(bed->worker, BED_PORT_TENANT, &head, 1);
	drop_burst(bed->worker);
	assert_int_equal(bed->worker->stats.port_drops[0].reason[DROP_multi_segment], 1);
	testbed_destroy(bed);
}

/* IPv4 that may be cut: the pieces together are the packet, each in one buffer. */
static void test_fragments(void **state)
{
	static const uint32_t mtus[] = { 1400, 9100, 576 };
	uint8_t frame[FRAME_MAX], flat[FRAME_MAX], whole[FRAME_MAX];
	struct rte_mbuf *out[BURST_MAX];

	for (uint32_t i = 0; i < 3; i++) {
		struct testbed *bed = jumbo_bed(0);
		uint32_t n, got = 0, old;

		bed->tables->adjacency[BED_ADJ_TENANT].mtu = (uint16_t)mtus[i];
		assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
					   ip_load(IP_V4, (const uint8_t *)"\x0a\x01\0\0"), 16,
					   route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT), &old),
				 0);
		testbed_frame(frame, IP_V4, 9200, true);
		walk_pieces(bed, BED_PORT_TENANT, frame, 14 + 9200);
		testbed_fragments(bed, BED_PORT_TENANT, out, &n);
		assert_true(n >= 2);
		for (uint32_t k = 0; k < n; k++) {
			uint32_t len, at;

			assert_int_equal(out[k]->nb_segs, 1);
			len = frame_flat(out[k], flat) - 14 - 20;
			assert_true(len + 20 <= mtus[i]);
			at = (load_be16(flat + 14 + 6) & 0x1fff) * 8u;
			assert_int_equal(checksum_fold(ipv4_checksum_sum(flat + 14, 20)), 0xffff);
			memcpy(whole + at, flat + 34, len);
			got += len;
		}
		assert_int_equal(got, 9200 - 20);
		assert_memory_equal(whole, frame + 34, got);
		testbed_conserved(bed, 1, n);
		testbed_destroy(bed);
	}
}

/* "Too big" quotes the beginning of it, and its checksum is right. */
static void test_too_big(void **state)
{
	uint8_t frame[FRAME_MAX], flat[FRAME_MAX];
	struct testbed *bed = jumbo_bed(0);
	struct rte_mbuf *out[BURST_MAX];

	bed->worker->tsc_hz = 100;
	bed->tables->sa[1].out.outer[0].inner_mtu = 1400;
	memcpy(bed->tables->attachment[1].ipv6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	for (uint32_t i = 0; i < 20; i++) {
		uint32_t len, icmp_len;

		testbed_frame(frame, IP_V6, 8000, true);
		walk_pieces(bed, BED_PORT_TENANT, frame, 14 + 8000);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
		len = frame_flat(out[0], flat);
		assert_true(len >= 14 + 40 + 8 + SEGMENTS_HEADERS - 14 && len <= 14 + 1280);
		icmp_len = len - 14 - 40;
		assert_int_equal(flat[14 + 40], 2);
		assert_int_equal(load_be16(flat + 14 + 4), icmp_len);
		assert_int_equal(__builtin_bswap32(load32(flat + 14 + 44)), 1400);
		assert_memory_equal(flat + 14 + 48, frame + 14, 7); /* then the hop limit */
		assert_memory_equal(flat + 14 + 56, frame + 14 + 8, icmp_len - 16);
		assert_int_equal(checksum_fold(checksum_sum(
					 flat + 54, icmp_len,
					 checksum_sum(flat + 22, 32, __builtin_bswap32(icmp_len)) +
						 (58u << 24))),
				 0xffff);
	}
	testbed_destroy(bed);
}

/* An echo request with an odd number of bytes everywhere is answered, its checksum right. */
static void test_echo(void **state)
{
	uint8_t frame[FRAME_MAX], flat[FRAME_MAX], *l3 = frame + 14;
	struct testbed *bed = jumbo_bed(0);
	struct rte_mbuf *out[BURST_MAX];

	for (uint32_t i = 0; i < 40; i++) {
		uint16_t length = (uint16_t)(28 + random_below(&seed, JUMBO));

		testbed_frame(frame, IP_V4, length, true);
		l3[9] = 1;
		memcpy(l3 + 16, "\x0a\0\0\x01", 4);
		store16(l3 + 10, 0);
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
		store32(l3 + 20, 8);
		store16(l3 + 22, (uint16_t)~checksum_fold(checksum_sum(l3 + 20, length - 20u, 0)));
		walk_pieces(bed, BED_PORT_TENANT, frame, 14u + length);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
		assert_int_equal(frame_flat(out[0], flat), 14 + length);
		assert_int_equal(flat[34], 0);
		assert_int_equal(checksum_fold(checksum_sum(flat + 34, length - 20u, 0)), 0xffff);
		assert_memory_equal(flat + 38, frame + 38, length - 24u);
	}
	testbed_destroy(bed);
}

/* A SYN that is cut within its options promises less, as it should. */
static void test_mss(void **state)
{
	uint8_t frame[FRAME_MAX], flat[FRAME_MAX], esp[FRAME_MAX];
	struct testbed *bed = jumbo_bed(0);
	struct rte_mbuf *out[BURST_MAX], *m;
	uint32_t len;

	bed->tables->sa[1].out.outer[0].inner_mtu = 1400;
	for (uint32_t cut = 14; cut < 14 + 64; cut++) {
		testbed_frame(frame, IP_V4, 64, true);
		frame[14 + 9] = 6;
		store16(frame + 24, 0);
		store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
		memset(frame + 34, 0, 44);
		frame[34 + 12] = 0x60;
		frame[34 + 13] = 2;
		memcpy(frame + 34 + 20, "\x02\x04\x23\x00", 4); /* 8960 */
		m = frame_cut(bed, frame, 78, &cut, 1);
		worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
		len = frame_flat(out[0], esp);
		memcpy(esp, "\x02\0\0\0\0\x20", 6);
		routes_swap(bed);
		/* The way back would lower it too; the sender had done so. */
		bed->tables->sa[1].out.outer[0].inner_mtu = 9100;
		walk_pieces(bed, BED_PORT_UNDERLAY, esp, len);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
		assert_int_equal(frame_flat(out[0], flat), 78);
		assert_int_equal(load_be16(flat + 34 + 22), 1360);
		testbed_destroy(bed);
		bed = jumbo_bed(0);
		bed->tables->sa[1].out.outer[0].inner_mtu = 1400;
	}
	testbed_destroy(bed);
}

/* What was forged in any byte, wherever it lies, comes out nowhere. */
static void test_forged(void **state)
{
	uint8_t frame[FRAME_MAX], esp[FRAME_MAX], flat[FRAME_MAX];
	struct testbed *bed = jumbo_bed(SA_ESN);
	struct rte_mbuf *out[BURST_MAX];
	uint32_t len;

	testbed_frame(frame, IP_V6, 3000, true);
	walk_pieces(bed, BED_PORT_TENANT, frame, 14 + 3000);
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
	len = frame_flat(out[0], esp);
	memcpy(esp, "\x02\0\0\0\0\x20", 6);
	routes_swap(bed);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t at = 14 + 20 + 16 + random_below(&seed, len - 50);

		esp[at] ^= 0x10;
		walk_pieces(bed, BED_PORT_UNDERLAY, esp, len);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
		esp[at] ^= 0x10;
	}
	assert_int_equal(testbed_drops(bed, 1, DROP_icv_failed), 200);
	walk_pieces(bed, BED_PORT_UNDERLAY, esp, len);
	assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
	assert_int_equal(frame_flat(out[0], flat), 14 + 3000);
	testbed_conserved(bed, 1, 2);
	testbed_destroy(bed);
}

static int group_setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_no_tailroom),
		cmocka_unit_test(test_options_keep_headroom),
		cmocka_unit_test(test_port_takes_one_buffer),
		cmocka_unit_test(test_cannot_be_taken),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests_name("packets in several buffers", tests, group_setup, NULL);
}
