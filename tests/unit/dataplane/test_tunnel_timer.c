/* SPDX-License-Identifier: BSD-3-Clause */
/* NAT keepalives and dummy packets: when they are due, by a clock of the test's, and what they are. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "house.h"
#include "ip_header.h"
#include "testbed.h"
#include "tunnel_timer.h"
#include "vrf.h"

#define START 1000000 /* ms: the clock does not begin at 0 */

struct fixture_state {
	struct house *h;
	uint64_t now;
};

static void tunnel_set(struct house *h, uint32_t id, bool v6, uint32_t flags, uint16_t keepalive,
		       uint16_t dummy_ms, uint16_t pad_to)
{
	struct abi_tunnel r = v6 ? make_tunnel(id, 1, "2001:db8::1", "2001:db8::7")
				 : make_tunnel(id, 1, "192.0.2.1", "192.0.2.7");

	r.flags = flags;
	if (flags & ABI_TUNNEL_UDP) {
		r.local_port = 4500;
		r.remote_port = 40000;
	}
	r.keepalive = keepalive;
	r.dummy_ms = dummy_ms;
	r.pad_to = pad_to;
	house_set(h, ABI_TUNNEL_SET, &r);
}

static void sa_set(struct house *h, uint32_t id, uint32_t tunnel)
{
	struct abi_sa r = make_sa_out(id, tunnel, 0x2000 + id);

	house_set(h, ABI_SA_SET, &r);
}

static struct fixture_state setup(void)
{
	struct house *h = house_create();
	struct abi_neighbour near[2] = { make_neighbour(4, "192.0.2.7", 7),
					 make_neighbour(4, "2001:db8::7", 7) };

	assert_int_equal(tunnel_timer_create(h->gw), 0);
	tunnel_timer_poll(h->gw, START);
	for (int i = 0; i < 2; i++)
		house_set(h, ABI_NEIGHBOUR_SET, &near[i]);
	return (struct fixture_state){ h, START };
}

static void teardown(struct fixture_state *s)
{
	tunnel_timer_destroy(s->h->gw);
	house_destroy(s->h);
}

/* Lets time go by in steps of a millisecond; returns how many packets were sent. */
static uint32_t elapse(struct fixture_state *s, uint32_t ms)
{
	uint32_t n = 0;

	while (ms-- != 0) {
		tunnel_timer_poll(s->h->gw, ++s->now);
		n += house_sent_free(s->h);
	}
	return n;
}

static void sent_by_worker(struct fixture_state *s, uint32_t tunnel)
{
	s->h->worker->stats.tunnel[tunnel].out_packets++;
}

static void keepalive_after_silence(void **state)
{
	struct fixture_state s = setup();

	tunnel_set(s.h, 1, false, ABI_TUNNEL_UDP, 20, 0, 0);
	sa_set(s.h, 11, 1);
	/* One an interval, and none before. */
	assert_int_equal(elapse(&s, 19999), 0);
	assert_int_equal(elapse(&s, 1), 1);
	assert_int_equal(elapse(&s, 19999), 0);
	assert_int_equal(elapse(&s, 1), 1);
	assert_int_equal(elapse(&s, 200000), 10);
	/* A tunnel that sends, however little, needs none: silence counts from its last packet. */
	for (int i = 0; i < 10; i++) {
		assert_int_equal(elapse(&s, 15000), 0);
		sent_by_worker(&s, 1);
	}
	assert_int_equal(elapse(&s, 20000), 0);
	assert_int_equal(elapse(&s, 5000), 1);
	/* Changed, turned off, gone. */
	tunnel_set(s.h, 1, false, ABI_TUNNEL_UDP, 1, 0, 0);
	assert_int_equal(elapse(&s, 10000), 10);
	tunnel_set(s.h, 1, false, ABI_TUNNEL_UDP, 0, 0, 0);
	assert_int_equal(elapse(&s, 10000), 0);
	tunnel_set(s.h, 1, false, ABI_TUNNEL_UDP, 65535, 0, 0);
	assert_int_equal(elapse(&s, 70000), 0);
	house_delete(s.h, ABI_SA_DELETE, 11);
	house_delete(s.h, ABI_TUNNEL_DELETE, 1);
	assert_int_equal(elapse(&s, 10000), 0);
	teardown(&s);
}

static void keepalive_needs_a_way(void **state)
{
	struct fixture_state s = setup();
	struct abi_tunnel lost = make_tunnel(2, 1, "192.0.2.1", "203.0.113.9");

	tunnel_set(s.h, 1, false, ABI_TUNNEL_UDP, 1, 1, 0);
	assert_int_equal(elapse(&s, 5000), 0); /* no SA */
	lost.flags = ABI_TUNNEL_UDP;
	lost.local_port = lost.remote_port = 4500;
	lost.keepalive = 1;
	lost.dummy_ms = 1;
	house_set(s.h, ABI_TUNNEL_SET, &lost);
	sa_set(s.h, 12, 2);
	assert_int_equal(elapse(&s, 5000), 0); /* no route */
	/* The clock stands still, or jumps. */
	sa_set(s.h, 11, 1);
	elapse(&s, 1000);
	tunnel_timer_poll(s.h->gw, s.now);
	tunnel_timer_poll(s.h->gw, s.now);
	assert_int_equal(house_sent_free(s.h), 0);
	s.now += 3600000;
	tunnel_timer_poll(s.h->gw, s.now);
	assert_int_equal(house_sent_free(s.h), 2);
	teardown(&s);
}

static void keepalive_is_right(void **state)
{
	struct fixture_state s = setup();

	for (int v6 = 0; v6 <= 1; v6++) {
		uint32_t head = v6 ? 40 : 20, length = head + 9;
		struct rte_mbuf *m;
		const struct packet *p;
		const uint8_t *udp;

		tunnel_set(s.h, 1 + (uint32_t)v6, v6, ABI_TUNNEL_UDP, 1, 0, 0);
		sa_set(s.h, 11 + (uint32_t)v6, 1 + (uint32_t)v6);
		for (uint32_t ms = 0; ms < 1000; ms++)
			tunnel_timer_poll(s.h->gw, ++s.now);
		m = house_sent(s.h);
		assert_non_null(m);
		p = mbuf_packet(m);
		assert_int_equal(p->length, length);
		assert_int_equal(p->tenant, 0);
		assert_int_equal(p->flags, PACKET_ORIGINATED);
		assert_int_equal(p->attachment, 4);
		assert_int_equal(route_kind(p->route), ROUTE_KIND_ADJACENCY);
		udp = p->l3 + head;
		assert_int_equal(load_be16(udp), 4500);
		assert_int_equal(load_be16(udp + 2), 40000);
		assert_int_equal(load_be16(udp + 4), 9);
		assert_int_equal(udp[8], 0xff);
		if (v6) {
			assert_int_equal(load_be16(p->l3 + 4), 9);
			assert_int_not_equal(load16(udp + 6), 0);
			assert_int_equal(
				checksum_fold(checksum_sum(p->l3 + 8, 32, 0) +
					      checksum_sum(udp, 9, htonl(9) + (17ull << 24))),
				0xffff);
		} else {
			assert_int_equal(load16(udp + 6), 0);
			assert_int_equal(load_be16(p->l3 + 2), length);
			assert_int_equal(checksum_fold(ipv4_checksum_sum(p->l3, 20)), 0xffff);
		}
		rte_pktmbuf_free(m);
		tunnel_set(s.h, 1 + (uint32_t)v6, v6, ABI_TUNNEL_UDP, 0, 0, 0);
	}
	teardown(&s);
}

static void dummy_lengths(void **state)
{
	struct fixture_state s = setup();
	uint32_t shortest = UINT32_MAX, longest = 0;
	uint16_t inner_mtu;
	struct rte_mbuf *m;

	tunnel_set(s.h, 1, false, 0, 0, 1, 0);
	sa_set(s.h, 11, 1);
	inner_mtu = sa_inner_mtu(&s.h->gw->tables->sa[11].out, 0);
	for (uint32_t i = 0; i < 2000; i++) {
		tunnel_timer_poll(s.h->gw, ++s.now);
		m = house_sent(s.h);
		assert_non_null(m);
		assert_true(mbuf_packet(m)->length >= 20 && mbuf_packet(m)->length <= inner_mtu);
		shortest = RTE_MIN(shortest, mbuf_packet(m)->length);
		longest = RTE_MAX(longest, mbuf_packet(m)->length);
		for (uint32_t k = 0; k < mbuf_packet(m)->length; k++)
			assert_int_equal(mbuf_packet(m)->l3[k], 0);
		memset(m->buf_addr, 0x5a, m->buf_len);
		rte_pktmbuf_free(m);
	}
	assert_true(shortest < 60 && longest > inner_mtu - 40u);
	/* Padded packets all have one length, and so have these. */
	tunnel_set(s.h, 1, false, 0, 0, 2, 600);
	for (uint32_t i = 0; i < 20; i++) {
		tunnel_timer_poll(s.h->gw, ++s.now);
		m = house_sent(s.h);
		if (m != NULL)
			assert_int_equal(mbuf_packet(m)->length, 600);
		rte_pktmbuf_free(m);
	}
	teardown(&s);
}

/* A worker takes it, seals it under a number of its own, and counts it as no tunnel's. */
static void dummy_leaves(void **state)
{
	struct fixture_state s = setup();
	struct worker *w = s.h->worker;
	struct wire wire;

	wire_attach(&wire, 0, WIRE_MAX);
	for (uint32_t i = 0; i < 2; i++)
		w->tx[i].dpdk_id = 0;
	tunnel_set(s.h, 1, false, ABI_TUNNEL_SELECTORS, 0, 10, 100);
	sa_set(s.h, 11, 1);
	for (uint32_t ms = 0; ms < 100; ms++)
		tunnel_timer_poll(s.h->gw, ++s.now);
	while (worker_inbox(w) != 0)
		;
	assert_int_equal(wire.n, 10);
	for (uint32_t i = 0; i < wire.n; i++) {
		const uint8_t *l3 = rte_pktmbuf_mtod_offset(wire.frame[i], uint8_t *, 14);

		/* 20 IP, 8 ESP, 8 IV, 100 and its trailer of 4, 16 ICV */
		assert_int_equal(load_be16(l3 + 2), 156);
		assert_int_equal(l3[9], 50);
		assert_int_equal(ntohl(load32(l3 + 24)), i + 1); /* the sequence number */
	}
	assert_int_equal(w->stats.tunnel[1].out_packets, 0);
	assert_int_equal(w->stats.tunnel[1].out_inner_bytes, 0);
	assert_int_equal(w->stats.tunnel[1].out_drops, 0);
	assert_int_equal(w->stats.tenant[1].out_packets, 0);
	assert_int_equal(w->stats.tenant[1].originated_packets, 10);
	assert_int_equal(w->stats.sa[11].packets, 10);
	wire_free(&wire);

	/* One on its way when its tunnel goes ends without being counted against anybody. */
	for (uint32_t ms = 0; ms < 10; ms++)
		tunnel_timer_poll(s.h->gw, ++s.now);
	house_delete(s.h, ABI_SA_DELETE, 11);
	house_delete(s.h, ABI_TUNNEL_DELETE, 1);
	while (worker_inbox(w) != 0)
		;
	assert_int_equal(wire.n, 0);
	assert_int_equal(house_drops(s.h, 1, DROP_no_sa), 0);
	teardown(&s);
}

/*
 * Padded to more than a buffer holds: the rest of it lies in another one, and nothing is written
 * behind the first.
 */
static void dummy_in_segments(void **state)
{
	struct fixture_state s = setup();
	struct worker *w = s.h->worker;
	static uint8_t flat[4000], copy[4000];
	struct aead_op op = {
		.data = flat + 14 + 36, .tag = flat + 14 + 36 + 3004, .len = 3004, .aad_len = 12
	};
	const char *why;
	struct wire wire;
	struct sa_outer *outer;
	struct rte_mbuf *m;

	wire_attach(&wire, 0, WIRE_MAX);
	for (uint32_t i = 0; i < 2; i++) {
		w->tx[i].dpdk_id = 0;
		w->tx[i].segments = true;
	}
	tunnel_set(s.h, 1, false, 0, 0, 10, 3000);
	sa_set(s.h, 11, 1);
	outer = &s.h->gw->tables->sa[11].out.outer[0];
	outer->inner_mtu = 8900;
	outer->outer_mtu = 9000;
	s.h->gw->tables->adjacency[outer->adjacency].mtu = 9000;
	for (uint32_t ms = 0; ms < 10; ms++)
		tunnel_timer_poll(s.h->gw, ++s.now);
	while (worker_inbox(w) != 0)
		;
	assert_int_equal(wire.n, 1);
	m = wire.frame[0];
	/* 20 IP, 8 ESP, 8 IV, 3000 and its trailer of 4, 16 ICV */
	assert_int_equal(m->pkt_len, 14 + 3056);
	assert_int_equal(rte_mbuf_check(m, 1, &why), 0);
	memcpy(flat, rte_pktmbuf_read(m, 0, m->pkt_len, copy), m->pkt_len);
	op.iv = load64(flat + 14 + 28);
	memcpy(op.aad, flat + 14 + 20, 4); /* with an extended number: SPI, high, low half */
	memcpy(op.aad + 8, flat + 14 + 24, 4);
	op.key = s.h->gw->tables->sa[11].out.key;
	assert_int_equal(aead_decrypt(s.h->gw->aead, &op, 1), 0);
	for (uint32_t i = 0; i < 3000; i++)
		assert_int_equal(op.data[i], 0);
	assert_memory_equal(op.data + 3000, ((uint8_t[]){ 1, 2, 2, 59 }), 4);
	wire_free(&wire);
	teardown(&s);
}

static void a_batch_at_a_time(void **state)
{
	struct fixture_state s = setup();

	/* As many as fit are due at once; nobody is forgotten. */
	for (uint32_t id = 1; id < FIXTURE_TUNNELS; id++) {
		tunnel_set(s.h, id, false, ABI_TUNNEL_UDP, 3, 0, 0);
		sa_set(s.h, id, id);
	}
	assert_int_equal(elapse(&s, 2999), 0);
	assert_int_equal(elapse(&s, 3), FIXTURE_TUNNELS - 1);
	assert_int_equal(elapse(&s, 30000), 10 * (FIXTURE_TUNNELS - 1));
	teardown(&s);
}

static int eal(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keepalive_after_silence),
		cmocka_unit_test(keepalive_needs_a_way),
		cmocka_unit_test(keepalive_is_right),
		cmocka_unit_test(dummy_lengths),
		cmocka_unit_test(dummy_leaves),
		cmocka_unit_test(dummy_in_segments),
		cmocka_unit_test(a_batch_at_a_time),
	};

	return cmocka_run_group_tests(tests, eal, NULL);
}
