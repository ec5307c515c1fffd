/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whatever comes in by either port, good, spoilt or garbage: every frame is counted once, and
 * in + fragments = out + local + drops for every tenant, with ports that take less than they are given, a full
 * ring to the main lcore and every kind of exception interface. And no buffer is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ip_header.h"
#include "random.h"
#include "testbed.h"

#define BURSTS 10000
#define KEPT   64

struct chaos {
	struct testbed *bed;
	struct wire wire[2];
	uint64_t random;
	/* ESP that went out, to come back. */
	uint8_t esp[KEPT][2048];
	uint32_t esp_len[KEPT];
	uint32_t esp_n;
	uint32_t received;   /* frames */
	uint64_t waiting[3]; /* by tenant: packets that were handed over to wait */
};

static uint32_t below(struct chaos *c, uint32_t limit)
{
	return random_below(&c->random, limit);
}

static void checksum_set(uint8_t *l3)
{
	store16(l3 + 10, 0);
	store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
}

/* From a tenant's host: into the tunnel, next door, to us, to nowhere; sometimes an echo or ND. */
static uint32_t frame_ip(struct chaos *c, uint8_t *frame)
{
	enum ip_family family = below(c, 2) ? IP_V6 : IP_V4;
	uint32_t length = 60 + below(c, 1441),
		 len = testbed_frame(frame, family, (uint16_t)length, true);
	uint8_t *l3 = frame + 14;

	if (family == IP_V4) {
		static const uint8_t to[][4] = {
			{ 10, 1, 0, 10 },  { 10, 0, 0, 10 }, { 10, 0, 0, 1 },
			{ 172, 16, 0, 1 }, { 224, 0, 0, 1 }, { 10, 2, 0, 1 },
		};

		memcpy(l3 + 16, to[below(c, 6)], 4);
		l3[8] = (uint8_t)below(c, 4);
		l3[9] = below(c, 4) == 0 ? 1 : 17;
		if (l3[9] == 1) {
			store64(l3 + 20, 8);
			store16(l3 + 22,
				(uint16_t)~checksum_fold(checksum_sum(l3 + 20, length - 20, 0)));
		}
		checksum_set(l3);
	} else {
		static const uint8_t type[] = { 128, 129, 133, 135, 136, 137, 1, 2 };

		l3[7] = (uint8_t)below(c, 4);
		l3[25] = (uint8_t)below(c, 3);
		if (below(c, 4) == 0) {
			l3[6] = 58;
			l3[40] = type[below(c, sizeof(type))];
		}
		if (below(c, 16) == 0)
			store16(l3 + 24, below(c, 2) ? 0x80fe : 0x02ff);
	}
	return len;
}

static uint32_t frame_arp(struct chaos *c, uint8_t *frame)
{
	for (uint32_t i = 0; i < 60; i++)
		frame[i] = (uint8_t)random_next(&c->random);
	memset(frame, 0xff, 6);
	memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00", 9);
	frame[21] = (uint8_t)below(c, 3);
	return 60;
}

static uint32_t frame_esp(struct chaos *c, uint8_t *frame)
{
	uint32_t i = below(c, KEPT), len = c->esp_len[i];

	if (c->esp_n == 0 || len == 0)
		return frame_ip(c, frame);
	memcpy(frame, c->esp[i], len);
	if (below(c, 4) == 0) /* another SPI */
		frame[14 + 20 + 3] ^= 1;
	return len;
}

/* One in four is spoilt: bits, bytes, its length, a tag. */
static uint32_t spoil(struct chaos *c, uint8_t *frame, uint32_t len)
{
	uint32_t n;

	switch (below(c, 16)) {
	case 0:
		for (n = 1 + below(c, 8); n != 0; n--)
			frame[below(c, len)] ^= (uint8_t)(1u << below(c, 8));
		return len;
	case 1: /* headers only */
		for (n = 1 + below(c, 8); n != 0; n--)
			frame[below(c, 60)] = (uint8_t)random_next(&c->random);
		return len;
	case 2:
		return 1 + below(c, len);
	case 3:
		memmove(frame + 16, frame + 12, len - 12);
		store_be16(frame + 12, below(c, 4) == 0 ? 0x88a8 : 0x8100);
		store_be16(frame + 14, (uint16_t)(below(c, 4) == 0 ? below(c, 65536) : 7));
		return len + 4;
	default:
		return len;
	}
}

static uint32_t frame_make(struct chaos *c, uint8_t *frame, uint8_t port)
{
	uint32_t len;

	switch (below(c, 8)) {
	case 0:
		len = frame_arp(c, frame);
		break;
	case 1:
		for (len = 0; len < 200; len++)
			frame[len] = (uint8_t)random_next(&c->random);
		break;
	case 2:
	case 3:
	case 4:
		len = port == BED_PORT_UNDERLAY ? frame_esp(c, frame) : frame_ip(c, frame);
		break;
	default:
		len = frame_ip(c, frame);
	}
	len = spoil(c, frame, len);
	if (below(c, 8) != 0 && len > 6 && !(frame[0] & 1))
		memcpy(frame, port == BED_PORT_TENANT ? "\x02\0\0\0\0\x10" : "\x02\0\0\0\0\x20", 6);
	return len;
}

static void tight_free(void *buffer, void *shared)
{
	free(buffer);
	free(shared);
}

/* A buffer that ends where the frame ends, so that AddressSanitizer sees who reads behind it. */
static struct rte_mbuf *tight_mbuf(struct testbed *bed, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(bed->pool);
	struct rte_mbuf_ext_shared_info *shared = malloc(sizeof(*shared));
	uint16_t size = (uint16_t)(RTE_PKTMBUF_HEADROOM + len);
	uint8_t *buffer = malloc(size);

	assert_true(m != NULL && shared != NULL && buffer != NULL);
	*shared = (struct rte_mbuf_ext_shared_info){ .free_cb = tight_free, .fcb_opaque = shared };
	rte_mbuf_ext_refcnt_set(shared, 1);
	rte_pktmbuf_attach_extbuf(m, buffer, 0, size, shared);
	rte_pktmbuf_reset_headroom(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	return m;
}

static uint32_t burst_make(struct chaos *c, uint8_t port, struct rte_mbuf **in)
{
	uint32_t n = 1 + below(c, BURST_MAX), len;
	uint8_t frame[2048];

	for (uint32_t i = 0; i < n; i++) {
		memset(frame, 0, sizeof(frame));
		len = frame_make(c, frame, port);
		in[i] = below(c, 4) ? testbed_mbuf(c->bed, frame, len)
				    : tight_mbuf(c->bed, frame, len);
		if (below(c, 32) == 0) {
			in[i]->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
			in[i]->vlan_tci = (uint16_t)(below(c, 2) ? 7 : below(c, 65536));
		}
		if (below(c, 64) == 0)
			in[i]->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	}
	return n;
}

static void wires_take(struct chaos *c)
{
	for (uint32_t i = 0; i < c->wire[1].n; i++) {
		struct rte_mbuf *m = c->wire[1].frame[i];
		uint32_t k = c->esp_n++ % KEPT;

		c->esp_len[k] = m->data_len;
		memcpy(c->esp[k], rte_pktmbuf_mtod(m, void *), m->data_len);
		memcpy(c->esp[k], "\x02\0\0\0\0\x20", 6);
	}
	wire_free(&c->wire[0]);
	wire_free(&c->wire[1]);
}

/* Takes some of what was handed over, or all; what was to wait is neither out nor dropped yet. */
static void ring_take(struct chaos *c, uint32_t n)
{
	void *m;

	for (; n != 0 && rte_ring_dequeue(c->bed->to_main, &m) == 0; n--) {
		const struct packet *p = mbuf_packet(m);
		enum route_kind kind = route_kind(p->route);

		if ((kind == ROUTE_KIND_ONLINK || kind == ROUTE_KIND_ADJACENCY) &&
		    !(p->flags & PACKET_ORIGINATED))
			c->waiting[p->tenant]++;
		rte_pktmbuf_free(m);
	}
}

static uint64_t drops_sum(const struct counters_drops *row)
{
	uint64_t sum = 0;

	for (uint32_t r = 0; r < COUNTERS_REASONS; r++)
		sum += row->reason[r];
	return sum;
}

static void check(struct chaos *c)
{
	const struct stats_writer *s = &c->bed->worker->stats;
	uint64_t in = 0;

	ring_take(c, UINT32_MAX);
	for (uint32_t t = 0; t < 3; t++) {
		assert_int_equal(s->tenant[t].in_packets + s->tenant[t].fragments,
				 s->tenant[t].out_packets + s->tenant[t].local_packets +
					 drops_sum(&s->tenant_drops[t]) + c->waiting[t]);
		in += s->tenant[t].in_packets;
	}
	assert_int_equal(s->port[0].rx_packets + s->port[1].rx_packets, c->received);
	assert_int_equal(in + drops_sum(&s->port_drops[0]) + drops_sum(&s->port_drops[1]),
			 c->received);
	assert_int_equal(s->tunnel[1].out_packets + s->port[0].tx_packets,
			 s->attachment[1].tx_packets + s->attachment[2].tx_packets +
				 s->attachment[3].tx_packets);
	/* No tunnel leads to tenant 2, and nobody opened the underlay to a tenant. */
	assert_int_equal(s->tenant[0].out_packets, 0);
}

static void world_open(struct chaos *c)
{
	struct testbed *bed = c->bed;
	uint32_t old;

	bed->worker->tsc_hz = 1000; /* ICMP errors without end */
	memcpy(bed->tables->attachment[1].ipv4, "\x0a\0\0\x01", 4);
	memcpy(bed->tables->attachment[1].ipv6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	bed->tables->port[0].vlan[7] = 3;
	bed->tables->attachment[3] = (struct attachment){ .tenant = 2, .vlan = 7, .mtu = 1500 };
	/* 10.2/16 has to be resolved; the underlay has an address of its own. */
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4,
				   ip_load(IP_V4, (const uint8_t *)"\x0a\x02\0\0"), 16,
				   route_value(ROUTE_KIND_ONLINK, 1), &old),
			 0);
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[0], IP_V4,
				   ip_load(IP_V4, (const uint8_t *)"\x0a\0\0\x01"), 32,
				   route_value(ROUTE_KIND_LOCAL, 2), &old),
			 0);
	bed->tables->sa[1].out.sequence_limit = UINT32_MAX;
}

/* Which side the tunnel's networks are on: what was sent may come back, or may not. */
static void routes_turn(struct chaos *c)
{
	static const uint8_t net[2][4] = { { 10, 0 }, { 10, 1 } };
	static const uint8_t net6[2][16] = { { 0xfd, 0 }, { 0xfd, 1 } };
	uint32_t side = below(c, 2), old;

	for (uint32_t i = 0; i < 2; i++) {
		uint32_t value = i == side ? route_value(ROUTE_KIND_TUNNEL, 1)
					   : route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT);

		assert_int_equal(route_set(c->bed->tables->routes, &c->bed->tables->vrf[1], IP_V4,
					   ip_load(IP_V4, net[i]), 16, value, &old),
				 0);
		assert_int_equal(route_set(c->bed->tables->routes, &c->bed->tables->vrf[1], IP_V6,
					   ip_load(IP_V6, net6[i]), 16, value, &old),
				 0);
	}
}

static void chaos_run(uint32_t flags, uint64_t seed)
{
	struct chaos *c = calloc(1, sizeof(*c));
	struct rte_mbuf *in[BURST_MAX];

	assert_non_null(c);
	c->random = seed;
	c->bed = testbed_create(flags, 16, 1024);
	world_open(c);
	for (uint16_t i = 0; i < 2; i++) {
		wire_attach(&c->wire[i], i, BURST_MAX);
		c->bed->worker->tx[i] = (struct worker_tx){ .dpdk_id = i };
	}
	for (uint32_t burst = 0; burst < BURSTS; burst++) {
		uint8_t port = (uint8_t)below(c, 2);
		uint32_t n = burst_make(c, port, in);

		c->wire[0].takes = (uint16_t)(below(c, 4) ? BURST_MAX : below(c, BURST_MAX));
		c->wire[1].takes = (uint16_t)(below(c, 4) ? BURST_MAX : below(c, BURST_MAX));
		c->bed->tables->port[1].exception = (uint8_t)below(c, 3);
		c->bed->tables->adjacency[1].state =
			below(c, 8) ? ADJACENCY_COMPLETE : (uint8_t)below(c, 4);
		c->bed->tables->adjacency[2].state =
			below(c, 8) ? ADJACENCY_COMPLETE : (uint8_t)below(c, 4);
		c->bed->tables->adjacency[2].mtu = below(c, 8) ? 1500 : 600;
		c->bed->tables->adjacency[1].mtu = below(c, 8) ? 1500 : (uint16_t)below(c, 1500);
		c->bed->tables->sa[1].out.outer[0].inner_mtu =
			below(c, 8) ? 1400 : (uint16_t)below(c, 1400);
		if (below(c, 16) == 0)
			routes_turn(c);
		worker_walk(c->bed->worker, port, in, n);
		worker_finish(c->bed->worker);
		c->received += n;
		wires_take(c);
		ring_take(c, below(c, 4) == 0 ? 63 : below(c, 8));
		if (burst % 64 == 0)
			check(c);
	}
	check(c);
	/* It was not all garbage. */
	assert_true(c->bed->worker->stats.tunnel[1].in_packets > 100);
	assert_true(c->bed->worker->stats.tunnel[1].out_packets > 1000);
	assert_true(c->bed->worker->stats.tenant[1].fragments > 1000);
	assert_true(c->bed->worker->stats.tenant[1].originated_packets > 100);
	assert_true(c->waiting[1] > 100);
	testbed_destroy(c->bed);
	free(c);
}

static void test_conservation(void **state)
{
	for (uint32_t flags = 0; flags < 8; flags += 3) /* none, ESN and UDP, UDP6, ... */
		chaos_run(flags, 1000 + flags);
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_conservation) };

	return cmocka_run_group_tests(tests, setup, NULL);
}
