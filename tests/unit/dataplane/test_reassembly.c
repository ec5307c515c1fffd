/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments of ESP, native and in UDP, over both families: in any order they become what was cut, once;
 * what overlaps, is missing, empty, too long or too much is dropped with its reason; what is the
 * host's reaches it as it came. No buffer is lost and every piece is accounted for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ip_header.h"
#include "random.h"
#include "reassembly.h"
#include "testbed.h"

#define PIECE_MAX  1600
#define PIECES_MAX 12
#define CYCLES     (1ull << 60) /* never, unless a test says so */

static uint64_t seed = 2;

/* An ESP frame, and one piece of it. */
struct whole {
	uint8_t frame[9000];
	uint32_t len;
	uint32_t header_len; /* Ethernet and IP */
	bool v6;
	uint32_t id;
};

struct piece {
	uint8_t frame[PIECE_MAX];
	uint32_t len;
};

static struct testbed *bed_create(uint32_t flags, uint32_t buffers)
{
	static const uint8_t v4[4] = { 192, 0, 2, 2 }, v6[16] = { 0x20, [15] = 2 };
	struct testbed *bed = testbed_create(flags, 16, 64);
	uint32_t old;

	bed->tables->adjacency[BED_ADJ_UNDERLAY].mtu = 9216;
	bed->tables->adjacency[BED_ADJ_TENANT].mtu = 9216;
	bed->tables->sa[1].out.outer[0].inner_mtu = 9000;
	bed->tables->sa[1].out.outer[0].outer_mtu = 9216;
	bed->worker->tx[0].segments = bed->worker->tx[1].segments = true;
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[0], IP_V4,
				   ip_load(IP_V4, v4), 32, route_value(ROUTE_KIND_LOCAL, 2), &old),
			 0);
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[0], IP_V6,
				   ip_load(IP_V6, v6), 128, route_value(ROUTE_KIND_LOCAL, 2), &old),
			 0);
	assert_int_equal(reassembly_create(CYCLES, buffers, 0, &bed->worker->reassembly), 0);
	return bed;
}

/* Nothing is held for ever: what is left counts as timed out, and row 0 adds up. */
static void bed_destroy(struct testbed *bed)
{
	reassembly_expire(bed->worker, UINT64_MAX);
	assert_int_equal(reassembly_held(bed->worker->reassembly), 0);
	testbed_conserved(bed, 0, 0);
	reassembly_destroy(bed->worker->reassembly);
	bed->worker->reassembly = NULL;
	testbed_destroy(bed);
}

/* What the tunnel sent may come back out of it: its networks change sides (see test_walk.c). */
static void routes_swap(struct testbed *bed)
{
	for (uint8_t i = 0; i < 2; i++) {
		const uint8_t v4[4] = { 10, i };
		uint32_t value = i == 0 ? route_value(ROUTE_KIND_TUNNEL, 1)
					: route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT),
			 old;

		assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
					   ip_load(IP_V4, v4), 16, value, &old),
				 0);
	}
}

static uint32_t frame_flat(struct rte_mbuf *m, uint8_t *flat)
{
	const char *reason = "";
	uint32_t len = m->pkt_len;
	const void *at;

	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("the mbuf is not sound: %s", reason);
	at = rte_pktmbuf_read(m, 0, len, flat);
	if (at != flat)
		memcpy(flat, at, len);
	rte_pktmbuf_free(m);
	return len;
}

/* The tenant's packet of `length` bytes as the tunnel sends it. */
static void whole_make(struct testbed *bed, struct whole *w, uint16_t length, uint32_t id)
{
	struct rte_mbuf *out[BURST_MAX], *head = NULL;
	static uint8_t frame[9100];
	uint32_t len = testbed_frame(frame, IP_V4, length, true);

	for (uint32_t from = 0; from < len; from += 2000) {
		struct rte_mbuf *m =
			testbed_mbuf(bed, frame + from, len - from < 2000 ? len - from : 2000);

		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	worker_walk(bed->worker, BED_PORT_TENANT, &head, 1);
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
	w->len = frame_flat(out[0], w->frame);
	memcpy(w->frame, "\x02\0\0\0\0\x20", 6);
	w->v6 = w->frame[14] >> 4 == 6;
	w->header_len = 14 + (w->v6 ? 40 : 20);
	w->id = id;
}

/* Bytes from .. from + n of its payload; `place`: offset and flags as they are to be. */
static void piece_write(const struct whole *w, struct piece *p, uint32_t from, uint32_t n,
			uint16_t place)
{
	uint8_t *l3 = p->frame + 14;
	uint32_t head = w->header_len + (w->v6 ? 8 : 0);

	assert_true(head + n <= sizeof(p->frame));
	memcpy(p->frame, w->frame, w->header_len);
	memcpy(p->frame + head, w->frame + w->header_len + from, n);
	p->len = head + n;
	if (w->v6) {
		uint8_t *f = l3 + 40;

		f[0] = l3[6];
		f[1] = 0;
		store_be16(f + 2, place);
		store32(f + 4, w->id);
		l3[6] = 44;
		store_be16(l3 + 4, (uint16_t)(8 + n));
	} else {
		store_be16(l3 + 2, (uint16_t)(20 + n));
		store_be16(l3 + 4, (uint16_t)w->id);
		store_be16(l3 + 6, place);
		store16(l3 + 10, 0);
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
	}
}

static uint16_t place_of(const struct whole *w, uint32_t from, bool more)
{
	return w->v6 ? (uint16_t)(from | more) : (uint16_t)(from / 8 | (more ? 0x2000 : 0));
}

static void piece_of(const struct whole *w, struct piece *p, uint32_t from, uint32_t n)
{
	bool more = from + n < w->len - w->header_len;

	piece_write(w, p, from, n, place_of(w, from, more));
}

/* Into n pieces, or as many more as it takes; returns how many. */
static uint32_t whole_cut(const struct whole *w, struct piece *pieces, uint32_t n)
{
	uint32_t payload = w->len - w->header_len, from = 0, made = 0;

	while (from < payload) {
		uint32_t left = payload - from, size = left;

		if (made + 1 < n)
			size = 8 * (1 + random_below(&seed, left / 8 / (n - made) + 1));
		size = size > 1504 ? 1504 : size;
		size = size > left ? left : size;
		assert_true(made < PIECES_MAX);
		piece_of(w, &pieces[made++], from, size);
		from += size;
	}
	return made;
}

static void shuffle(struct piece *pieces, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t k = random_below(&seed, i);
		struct piece t = pieces[i - 1];

		pieces[i - 1] = pieces[k];
		pieces[k] = t;
	}
}

/* In one buffer, in two, or with Ethernet padding. */
static void piece_walk(struct testbed *bed, const struct piece *p)
{
	uint32_t cut = random_below(&seed, p->len), how = random_below(&seed, 3);
	struct rte_mbuf *m = testbed_mbuf(bed, p->frame, how == 0 ? cut : p->len);

	if (how == 0)
		assert_int_equal(
			rte_pktmbuf_chain(m, testbed_mbuf(bed, p->frame + cut, p->len - cut)), 0);
	else if (how == 1)
		memset(rte_pktmbuf_append(m, 13), 0xee, 13);
	worker_walk(bed->worker, BED_PORT_UNDERLAY, &m, 1);
	host_burst(bed->worker);
	drop_burst(bed->worker);
}

static uint64_t underlay_drops(const struct testbed *bed, enum drop_reason reason)
{
	return testbed_drops(bed, 0, reason);
}

/* Random cuts and orders; the tenant gets what it sent. */
static void test_any_order(void **state)
{
	static struct whole whole[20];
	static uint8_t frame[9100], flat[9100];
	struct piece pieces[PIECES_MAX];
	struct rte_mbuf *out[BURST_MAX];

	for (uint32_t flags = 0; flags < 8; flags++) {
		struct testbed *bed = bed_create(flags, 256);
		uint64_t made = 0;
		uint16_t length[20];

		for (uint32_t i = 0; i < 20; i++) {
			length[i] = (uint16_t)(i < 5 ? 60 + i : 60 + random_below(&seed, 8000));
			whole_make(bed, &whole[i], length[i], 77 + i);
		}
		routes_swap(bed);
		for (uint32_t i = 0; i < 20; i++) {
			uint32_t n, last;

			do { /* as many as are allowed */
				n = whole_cut(&whole[i], pieces, 2 + random_below(&seed, 7));
			} while (n > 8);
			made += n;
			shuffle(pieces, n);
			for (uint32_t k = 0; k < n; k++) {
				piece_walk(bed, &pieces[k]);
				last = testbed_out(bed, BED_PORT_TENANT, out);
				assert_int_equal(last, k == n - 1);
			}
			assert_int_equal(frame_flat(out[0], flat), 14 + length[i]);
			testbed_frame(frame, IP_V4, length[i], true);
			assert_true(ip_hop(frame + 14, IP_V4) && ip_hop(frame + 14, IP_V4));
			assert_memory_equal(flat + 14, frame + 14, length[i]);
		}
		assert_int_equal(bed->worker->stats.tenant[0].in_packets, made);
		assert_int_equal(bed->worker->stats.tenant[0].local_packets, made);
		assert_int_equal(bed->worker->stats.tenant[0].reassembled, 20);
		testbed_conserved(bed, 1, 40);
		bed_destroy(bed);
	}
}

/* Many packets' pieces among each other. */
static void test_interleaved(void **state)
{
	static struct whole whole[16];
	static struct piece pieces[16 * 4];
	struct testbed *bed = bed_create(SA_OUTER_V6, 256);
	struct rte_mbuf *out[BURST_MAX];
	uint32_t n = 0, got = 0;
	uint8_t flat[9100];

	for (uint32_t i = 0; i < 16; i++)
		whole_make(bed, &whole[i], 1300, i);
	routes_swap(bed);
	for (uint32_t i = 0; i < 16; i++)
		n += whole_cut(&whole[i], &pieces[n], 4);
	shuffle(pieces, n);
	for (uint32_t k = 0; k < n; k++) {
		uint32_t sent;

		piece_walk(bed, &pieces[k]);
		sent = testbed_out(bed, BED_PORT_TENANT, out);
		got += sent;
		if (sent != 0)
			assert_int_equal(frame_flat(out[0], flat), 14 + 1300);
	}
	assert_int_equal(got, 16);
	bed_destroy(bed);
}

/*
 * An attacker who knows addresses and identification mixes his pieces in, with any place and any
 * bytes: nothing but what the peer sealed comes out.
 */
static void test_overlap_attack(void **state)
{
	static const uint32_t all_flags[] = { 0, SA_OUTER_V6, SA_UDP, SA_UDP | SA_OUTER_V6 };
	uint32_t delivered = 0;

	for (uint32_t round = 0; round < 400; round++) {
		struct testbed *bed = bed_create(all_flags[round % 4], 64);
		static struct piece pieces[PIECES_MAX + 8];
		struct rte_mbuf *out[BURST_MAX];
		static struct whole w, evil;
		uint8_t flat[9100], frame[2000];
		uint32_t n, payload, attacks = random_below(&seed, 6);

		whole_make(bed, &w, 900, round);
		routes_swap(bed);
		payload = w.len - w.header_len;
		n = whole_cut(&w, pieces, 2 + random_below(&seed, 4));
		evil = w;
		for (uint32_t i = 0; i < payload; i++)
			if (random_below(&seed, 8) == 0)
				evil.frame[w.header_len + i] ^= 0x55;
		for (uint32_t i = 0; i < attacks; i++) {
			uint32_t from = 8 * random_below(&seed, payload / 8), size;
			const struct whole *of = random_below(&seed, 3) != 0 ? &evil : &w;

			size = 8 * (1 + random_below(&seed, (payload - from) / 8));
			size = from + size > payload ? payload - from : size;
			piece_write(of, &pieces[n++], from, size,
				    place_of(&w, from,
					     random_below(&seed, 4) == 0
						     ? random_below(&seed, 2) != 0
						     : from + size < payload));
		}
		shuffle(pieces, n);
		testbed_frame(frame, IP_V4, 900, true);
		assert_true(ip_hop(frame + 14, IP_V4) && ip_hop(frame + 14, IP_V4));
		for (uint32_t k = 0; k < n; k++) {
			piece_walk(bed, &pieces[k]);
			if (testbed_out(bed, BED_PORT_TENANT, out) == 0)
				continue;
			assert_int_equal(frame_flat(out[0], flat), 14 + 900);
			assert_memory_equal(flat + 14, frame + 14, 900);
			delivered++;
		}
		assert_int_equal(underlay_drops(bed, DROP_fragment_table), 0);
		bed_destroy(bed);
	}
	assert_true(delivered > 50); /* those that were left alone, at least */
}

static void test_reasons(void **state)
{
	for (uint32_t flags = 0; flags <= SA_OUTER_V6; flags += SA_OUTER_V6) {
		struct testbed *bed = bed_create(flags, 256);
		struct piece pieces[PIECES_MAX], odd;
		struct rte_mbuf *out[BURST_MAX];
		static struct whole w;
		uint32_t n;

		whole_make(bed, &w, 600, 1);
		routes_swap(bed);
		/* One comes twice. */
		n = whole_cut(&w, pieces, 2);
		assert_int_equal(n, 2);
		piece_walk(bed, &pieces[0]);
		piece_walk(bed, &pieces[0]);
		assert_int_equal(underlay_drops(bed, DROP_fragment_overlap), 2);
		/* The rest of it waits in vain. */
		piece_walk(bed, &pieces[1]);
		assert_int_equal(reassembly_held(bed->worker->reassembly) != 0, 1);
		reassembly_expire(bed->worker, rte_rdtsc() + CYCLES + 1);
		assert_int_equal(reassembly_held(bed->worker->reassembly), 0);
		assert_int_equal(underlay_drops(bed, DROP_fragment_timeout), 1);
		/* More pieces than the library takes. */
		w.id++;
		for (uint32_t i = 0; i < 10; i++) {
			piece_of(&w, &pieces[0], i * 8, 8);
			piece_walk(bed, &pieces[0]);
		}
		assert_true(underlay_drops(bed, DROP_fragment_overlap) >= 2 + 8);
		/* Empty; not a multiple of 8; beyond the end of any packet. */
		w.id++;
		piece_write(&w, &odd, 0, 0, place_of(&w, 0, true));
		piece_walk(bed, &odd);
		piece_write(&w, &odd, 0, 20, place_of(&w, 0, true));
		piece_walk(bed, &odd);
		piece_write(&w, &odd, 0, 64, place_of(&w, 65528, false));
		piece_walk(bed, &odd);
		piece_write(&w, &odd, 0, 64, place_of(&w, 65472, true));
		piece_walk(bed, &odd);
		assert_int_equal(underlay_drops(bed, DROP_fragment_malformed), 4);
		/* To somebody else. */
		piece_of(&w, &odd, 0, 64);
		odd.frame[flags != 0 ? 14 + 39 : 14 + 19] ^= 0x40;
		if (flags == 0) {
			store16(odd.frame + 24, 0);
			store16(odd.frame + 24,
				(uint16_t)~checksum_fold(ipv4_checksum_sum(odd.frame + 14, 20)));
		}
		piece_walk(bed, &odd);
		assert_int_equal(underlay_drops(bed, DROP_outer_fragment), 1);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
		bed_destroy(bed);
	}
}

/* Whoever fills the table pushes out himself, not the pieces that have just come. */
static void test_flood(void **state)
{
	struct testbed *bed = bed_create(0, 100);
	struct piece pieces[PIECES_MAX], spoofed;
	struct rte_mbuf *out[BURST_MAX];
	static struct whole w, other;
	uint8_t flat[9100];
	uint32_t n;

	whole_make(bed, &w, 1000, 1);
	routes_swap(bed);
	n = whole_cut(&w, pieces, 3);
	other = w;
	for (uint32_t i = 0; i < 500; i++) {
		other.id = 1000 + i;
		piece_of(&other, &spoofed, 64, 64);
		piece_walk(bed, &spoofed);
		assert_true(reassembly_held(bed->worker->reassembly) <= 100);
		if (i >= 400 && i < 400 + n)
			piece_walk(bed, &pieces[i - 400]);
		if (i == 400 + n - 1) {
			assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
			assert_int_equal(frame_flat(out[0], flat), 14 + 1000);
		}
	}
	assert_true(underlay_drops(bed, DROP_fragment_table) >= 300);
	bed_destroy(bed);
}

static void sum_fix(struct whole *w)
{
	store16(w->frame + 24, 0);
	store16(w->frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(w->frame + 14, 20)));
}

/* UDP that isn't ESP: the host gets every piece as it came; without a host it is dropped. */
static void test_not_esp(void **state)
{
	for (uint32_t how = 0; how < 6; how++) {
		struct testbed *bed = bed_create(SA_UDP | (how & 1 ? SA_OUTER_V6 : 0), 256);
		struct piece pieces[PIECES_MAX];
		struct rte_mbuf *out[BURST_MAX];
		static struct whole w;
		uint8_t flat[9100];
		uint32_t n, seen = 0;
		void *m;

		bed->tables->port[BED_PORT_UNDERLAY].exception = (uint8_t)(how / 2);
		whole_make(bed, &w, 2000, 9);
		memset(w.frame + w.header_len + 8, 0, 4); /* IKE's marker */
		if (!w.v6)
			sum_fix(&w);
		n = whole_cut(&w, pieces, 5);
		shuffle(pieces, n);
		for (uint32_t k = 0; k < n; k++) {
			piece_walk(bed, &pieces[k]);
			assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
		}
		while (rte_ring_dequeue(bed->to_main, &m) == 0) {
			const struct packet *p = mbuf_packet(m);
			uint32_t len, k = 0;

			assert_int_equal(p->route, HANDOFF_PUNT);
			len = frame_flat(m, flat);
			/* A device's padding went; DF of a piece is not the tunnel's. */
			while (k < n &&
			       (pieces[k].len != len || memcmp(pieces[k].frame, flat, len) != 0))
				k++;
			assert_true(k < n);
			pieces[k].len = 0;
			seen++;
		}
		assert_int_equal(seen, how / 2 == EXCEPTION_TAP ? n : 0);
		assert_int_equal(underlay_drops(bed, DROP_local_unhandled),
				 how / 2 == EXCEPTION_NONE ? n : 0);
		bed_destroy(bed);
	}
}

/* Takes what goes to the host; returns how many frames, which must be among the pieces. */
static uint32_t host_takes(struct testbed *bed, const struct piece *pieces, uint32_t n)
{
	uint8_t flat[9100];
	uint32_t took = 0;
	void *m;

	for (; rte_ring_dequeue(bed->to_main, &m) == 0; took++) {
		uint32_t len, k = 0;

		assert_int_equal(mbuf_packet(m)->route, HANDOFF_PUNT);
		len = frame_flat(m, flat);
		/* Perhaps with a device's padding. */
		while (k < n &&
		       (len < pieces[k].len || memcmp(pieces[k].frame, flat, pieces[k].len) != 0))
			k++;
		assert_true(k < n);
	}
	return took;
}

/* Pieces of `size` bytes each, in order. */
static uint32_t whole_slice(const struct whole *w, struct piece *pieces, uint32_t size)
{
	uint32_t payload = w->len - w->header_len, n = 0;

	assert_true(payload <= PIECES_MAX * size);
	for (uint32_t from = 0; from < payload; from += size)
		piece_of(w, &pieces[n++], from, payload - from < size ? payload - from : size);
	return n;
}

/*
 * What the first piece shows to be the host's goes there without waiting, in however many pieces; what came
 * before it waits for all. The next packet with that identification is looked at by itself.
 */
static void test_host_need_not_be_whole(void **state)
{
	for (uint32_t how = 0; how < 4; how++) {
		struct testbed *bed = bed_create(SA_UDP | (how & 1 ? SA_OUTER_V6 : 0), 256);
		static struct piece pieces[PIECES_MAX], esp[PIECES_MAX];
		static struct whole w, e;
		struct rte_mbuf *out[BURST_MAX];
		struct reassembly *r = bed->worker->reassembly;
		uint8_t flat[9100];
		uint32_t n;

		bed->tables->port[BED_PORT_UNDERLAY].exception = EXCEPTION_TAP;
		whole_make(bed, &w, 4000, 9);
		whole_make(bed, &e, 600, 9);
		routes_swap(bed);
		if (how & 2)
			store_be16(w.frame + w.header_len + 2, 500);
		else
			memset(w.frame + w.header_len + 8, 0, 4);
		n = whole_slice(&w, pieces, 400);
		assert_true(n > 8);
		for (uint32_t k = 0; k < n; k++) {
			piece_walk(bed, &pieces[k]);
			assert_int_equal(host_takes(bed, pieces, n), 1);
			assert_int_equal(reassembly_held(r), 0);
		}
		/* ESP, with the same identification. */
		n = whole_slice(&e, esp, 200);
		for (uint32_t k = 0; k < n; k++) {
			assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 0);
			piece_walk(bed, &esp[k]);
		}
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), 1);
		assert_int_equal(frame_flat(out[0], flat), 14 + 600);
		assert_int_equal(host_takes(bed, pieces, n), 0);
		/* The host's with its first piece second; one that is too short to show the marker. */
		w.id = 10;
		n = whole_slice(&w, pieces, 1400);
		piece_walk(bed, &pieces[1]);
		piece_walk(bed, &pieces[0]);
		assert_int_equal(host_takes(bed, pieces, n), 0);
		for (uint32_t k = 2; k < n; k++)
			piece_walk(bed, &pieces[k]);
		assert_int_equal(host_takes(bed, pieces, n), n);
		w.id = 11;
		piece_of(&w, &pieces[0], 0, 8);
		piece_walk(bed, &pieces[0]);
		assert_int_equal(host_takes(bed, pieces, 1), how & 2 ? 1 : 0);
		bed_destroy(bed);
	}
}

/* RFC 3168 section 5.3: what one piece met is the packet's, unless another one is Not-ECT. */
static void test_ecn(void **state)
{
	static const struct {
		uint8_t first, last, inner; /* marks; what comes out, 0xff: dropped */
	} cases[] = { { 2, 3, 3 }, { 3, 2, 3 },    { 3, 3, 3 },
		      { 2, 2, 2 }, { 0, 3, 0xff }, { 3, 0, 0xff } };

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct testbed *bed = bed_create(SA_OUTER_V6, 64);
		struct rte_mbuf *out[BURST_MAX], *m;
		struct piece pieces[PIECES_MAX];
		uint8_t frame[700], flat[9100];
		static struct whole w;
		uint32_t len = testbed_frame(frame, IP_V4, 600, true);

		frame[15] = 2; /* ECT(0) */
		store16(frame + 24, 0);
		store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
		m = testbed_mbuf(bed, frame, len);
		worker_walk(bed->worker, BED_PORT_TENANT, &m, 1);
		assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
		w.len = frame_flat(out[0], w.frame);
		memcpy(w.frame, "\x02\0\0\0\0\x20", 6);
		w.v6 = true;
		w.header_len = 54;
		routes_swap(bed);
		assert_int_equal(whole_cut(&w, pieces, 2), 2);
		pieces[0].frame[15] = (uint8_t)((pieces[0].frame[15] & 0xcf) | cases[i].first << 4);
		pieces[1].frame[15] = (uint8_t)((pieces[1].frame[15] & 0xcf) | cases[i].last << 4);
		piece_walk(bed, &pieces[i & 1]);
		piece_walk(bed, &pieces[~i & 1]);
		assert_int_equal(testbed_out(bed, BED_PORT_TENANT, out), cases[i].inner != 0xff);
		assert_int_equal(underlay_drops(bed, DROP_ecn), cases[i].inner == 0xff ? 2 : 0);
		if (cases[i].inner != 0xff) {
			frame_flat(out[0], flat);
			assert_int_equal(flat[15] & 3, cases[i].inner);
			assert_int_equal(checksum_fold(ipv4_checksum_sum(flat + 14, 20)), 0xffff);
		}
		bed_destroy(bed);
	}
}

/* Without it fragments of ESP are dropped, and those of UDP are the host's. */
static void test_off(void **state)
{
	struct testbed *bed = bed_create(0, 64);
	struct piece pieces[PIECES_MAX];
	static struct whole w;
	uint32_t n;

	reassembly_destroy(bed->worker->reassembly);
	bed->worker->reassembly = NULL;
	whole_make(bed, &w, 600, 1);
	n = whole_cut(&w, pieces, 3);
	for (uint32_t i = 0; i < n; i++)
		piece_walk(bed, &pieces[i]);
	drop_burst(bed->worker);
	assert_int_equal(underlay_drops(bed, DROP_outer_fragment), n);
	testbed_conserved(bed, 0, 0);
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
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_overlap_attack),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_not_esp),
		cmocka_unit_test(test_host_need_not_be_whole),
		cmocka_unit_test(test_ecn),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests_name("reassembly", tests, group_setup, NULL);
}
