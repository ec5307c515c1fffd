/* SPDX-License-Identifier: BSD-3-Clause */
#include "testbed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "event.h"
#include "ip_header.h"
#include "replay.h"
#include "sa_template.h"

#define TENANT  1
#define TENANTS 16

static const uint8_t mac_tenant[6] = { 2, 0, 0, 0, 0, 0x10 };
static const uint8_t mac_underlay[6] = { 2, 0, 0, 0, 0, 0x20 };
static const uint8_t mac_host[6] = { 2, 0, 0, 0, 0, 0xaa };
static const uint8_t mac_router[6] = { 2, 0, 0, 0, 0, 0xbb };

void testbed_eal(void)
{
	char name[] = "test", huge[] = "--no-huge", pci[] = "--no-pci", shconf[] = "--no-shconf",
	     lcore[] = "--lcores=0@0", memory[] = "-m", size[] = "256",
	     telemetry[] = "--no-telemetry", level[] = "--log-level=4";
	char *argv[] = { name, huge, pci, shconf, lcore, memory, size, telemetry, level, NULL };

	assert_true(rte_eal_init(9, argv) >= 0);
}

static void bed_route(struct testbed *bed, uint32_t vrf, enum ip_family family, const char *bytes,
		      uint8_t len, uint32_t value)
{
	uint32_t old;

	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[vrf], family,
				   ip_load(family, (const uint8_t *)bytes), len, value, &old),
			 0);
}

static void bed_adjacency(struct testbed *bed, uint32_t i, uint16_t port, const uint8_t from[6],
			  const uint8_t to[6], uint32_t attachment, uint32_t tenant)
{
	struct adjacency *a = &bed->tables->adjacency[i];

	memcpy(a->header, to, 6);
	memcpy(a->header + 6, from, 6);
	a->header_len = 14;
	a->port = port;
	a->mtu = 1500;
	a->attachment = attachment;
	a->tenant = tenant;
	a->state = ADJACENCY_COMPLETE;
}

/* From 192.0.2.1 to 192.0.2.2, or from 2000::1 to 2000::2, as any tunnel that asks for nothing else. */
struct abi_tunnel testbed_tunnel(uint32_t flags)
{
	struct abi_tunnel tunnel = { .id = 1, .tenant = TENANT };
	bool v6 = (flags & SA_OUTER_V6) != 0;

	tunnel.local.family = tunnel.remote.family = v6 ? ABI_IPV6 : ABI_IPV4;
	memcpy(tunnel.local.addr, v6 ? "\x20" : "\xc0\0\2", v6 ? 1 : 3);
	tunnel.remote = tunnel.local;
	tunnel.local.addr[v6 ? 15 : 3] = 1;
	tunnel.remote.addr[v6 ? 15 : 3] = 2;
	if (flags & SA_UDP) {
		tunnel.flags = ABI_TUNNEL_UDP;
		tunnel.local_port = tunnel.remote_port = ABI_UDP_PORT;
	}
	return tunnel;
}

static void bed_sa_out(struct testbed *bed, const struct aead_key *key, uint32_t flags)
{
	struct abi_tunnel tunnel = testbed_tunnel(flags);
	struct sa_out *sa = &bed->tables->sa[1].out;

	sa->key = key;
	sa->sequence = 1;
	sa->sequence_limit = 1000000;
	sa->spi = __builtin_bswap32(0x1001);
	sa->flags = flags & SA_ESN;
	sa_template_build(sa, 0, &tunnel);
	sa->outer[0].adjacency = BED_ADJ_UNDERLAY;
	sa->outer[0].inner_mtu = 1400;
	sa->outer[0].outer_mtu = 1500;
}

static void bed_sa_in(struct testbed *bed, const struct aead_key *key, uint32_t flags)
{
	struct sa_in *sa = &bed->tables->sa[2].in;

	sa->key = key;
	sa->replay = aligned_alloc(64, (replay_size(bed->replay_window) + 63) & ~63ul);
	assert_non_null(sa->replay);
	replay_init(sa->replay, bed->replay_window);
	sa->spi = __builtin_bswap32(0x1001);
	sa->tunnel = 1;
	sa->tenant = TENANT;
	sa->flags = (uint8_t)flags;
	assert_int_equal(sad_add(bed->tables->sad, sa->spi, 2), 0);
}

struct worker *testbed_worker(struct testbed *bed, uint32_t id)
{
	struct worker *w = aligned_alloc(64, sizeof(*w));

	assert_non_null(w);
	memset(w, 0, sizeof(*w));
	w->error_refill = calloc(TENANTS, sizeof(uint64_t));
	w->events = event_ring_create();
	assert_true(w->error_refill != NULL && w->events != NULL);
	w->tables = bed->tables;
	w->stats = stats_writer(bed->stats, 1 + id);
	w->to_main = bed->to_main;
	w->fragment_id = &bed->fragment_id;
	w->id = id;
	return w;
}

void testbed_worker_free(struct worker *w)
{
	free(w->error_refill);
	event_ring_destroy(w->events);
	free(w);
}

struct testbed *testbed_create(uint32_t flags, uint32_t key_len, uint32_t window)
{
	static const uint8_t raw[AEAD_KEY_MAX] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	static const uint8_t salt[4] = { 0xa, 0xb, 0xc, 0xd };
	struct tables_size size = { TENANTS, 16, 16, 16, 16, 64ull << 20 };
	struct testbed *bed = calloc(1, sizeof(*bed));
	struct aead_key *key;
	char name[24];

	assert_non_null(bed);
	bed->replay_window = window;
	assert_int_equal(aead_engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, 16, &bed->aead), 0);
	assert_int_equal(tables_create(&size, bed->aead, BED_WORKERS, &bed->tables), 0);
	assert_int_equal(stats_create(&size, 1 + BED_WORKERS, 1, &bed->stats), 0);
	/* A name of its own, so that a test that failed does not fail the next. */
	snprintf(name, sizeof(name), "bed_%lx", (unsigned long)(uintptr_t)bed);
	/*
	 * A stack without locks: a thread that is preempted in the middle of it keeps nobody spinning,
	 * and what the others give back finds room (in a ring that is as full it may not).
	 */
	bed->pool = rte_pktmbuf_pool_create_by_ops(name, 511, 0, 64, 2048 + 128, 0, "lf_stack");
	bed->to_main = rte_ring_create(name, 64, 0, 0);
	assert_true(bed->pool != NULL && bed->to_main != NULL);
	bed->worker = testbed_worker(bed, 0);

	assert_int_equal(tables_add_port(bed->tables, 0, mac_tenant), 0);
	assert_int_equal(tables_add_port(bed->tables, 1, mac_underlay), 0);
	bed->tables->port[0].vlan[0] = 1;
	bed->tables->port[1].vlan[0] = 2;
	bed->tables->attachment[1] = (struct attachment){ .tenant = TENANT, .mtu = 1500 };
	bed->tables->attachment[2] = (struct attachment){ .port = 1, .mtu = 1500 };
	bed_adjacency(bed, BED_ADJ_TENANT, 0, mac_tenant, mac_host, 1, TENANT);
	bed_adjacency(bed, BED_ADJ_UNDERLAY, 1, mac_underlay, mac_router, 2, 0);

	/* 10.1/16 and fd01::/16 through the tunnel, 10.0/16 and fd00::/16 on the attachment. */
	bed_route(bed, TENANT, IP_V4, "\x0a\x01\0\0", 16, route_value(ROUTE_KIND_TUNNEL, 1));
	bed_route(bed, TENANT, IP_V4, "\x0a\0\0\0", 16,
		  route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT));
	bed_route(bed, TENANT, IP_V4, "\x0a\0\0\x01", 32, route_value(ROUTE_KIND_LOCAL, 1));
	bed_route(bed, TENANT, IP_V6, "\xfd\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16,
		  route_value(ROUTE_KIND_TUNNEL, 1));
	bed_route(bed, TENANT, IP_V6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16,
		  route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT));

	assert_int_equal(aead_key_create(bed->aead, raw, key_len, salt, &key), 0);
	bed_sa_out(bed, key, flags);
	bed_sa_in(bed, key, flags);
	bed->tables->tunnel[1] = (struct tunnel){ .sa_out = 1, .tenant = TENANT };
	return bed;
}

void testbed_destroy(struct testbed *bed)
{
	void *m;

	while (rte_ring_dequeue(bed->to_main, &m) == 0)
		rte_pktmbuf_free(m);
	assert_int_equal(rte_mempool_avail_count(bed->pool), 511); /* no buffer was lost */
	free(bed->tables->sa[2].in.replay);
	tables_destroy(bed->tables);
	stats_destroy(bed->stats);
	aead_engine_destroy(bed->aead);
	rte_ring_free(bed->to_main);
	rte_mempool_free(bed->pool);
	testbed_worker_free(bed->worker);
	free(bed);
}

struct rte_mbuf *testbed_mbuf(struct testbed *bed, const void *frame, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(bed->pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	return m;
}

void testbed_walk(struct testbed *bed, uint8_t port, const void *frame, uint32_t len)
{
	struct rte_mbuf *m = testbed_mbuf(bed, frame, len);

	worker_walk(bed->worker, port, &m, 1);
}

uint32_t testbed_out(struct testbed *bed, uint8_t port, struct rte_mbuf **mbufs)
{
	struct packet_list *out = &bed->worker->out[port];
	uint32_t n = out->n;

	for (uint32_t i = 0; i < n; i++)
		mbufs[i] = out->p[i]->mbuf;
	out->n = 0;
	bed->worker->out_ports &= ~(1u << port);
	host_burst(bed->worker);
	drop_burst(bed->worker);
	return n;
}

void testbed_fragments(struct testbed *bed, uint8_t port, struct rte_mbuf **mbufs, uint32_t *n)
{
	*n = 0;
	while (fragment_next(bed->worker)) {
		worker_send(bed->worker);
		*n += testbed_out(bed, port, mbufs + *n);
	}
}

/* From the tenant's host to 10.1.0.10 or fd01::a; or, inside a tunnel, the other way round. */
uint32_t testbed_frame(uint8_t *frame, enum ip_family family, uint16_t length, bool from_tenant)
{
	uint8_t *l3 = frame + 14;
	uint8_t source = from_tenant ? 0 : 1, destination = from_tenant ? 1 : 0;

	memcpy(frame, mac_tenant, 6);
	memcpy(frame + 6, mac_host, 6);
	store_be16(frame + 12, family == IP_V4 ? 0x0800 : 0x86dd);
	for (uint32_t i = 0; i < length; i++)
		l3[i] = (uint8_t)i;
	if (family == IP_V4) {
		static const uint8_t ip[20] = { 0x45, 0, 0,  0, 0, 0,  0,  0, 64, 17,
						0,    0, 10, 0, 0, 10, 10, 0, 0,  10 };

		memcpy(l3, ip, 20);
		l3[13] = source;
		l3[17] = destination;
		store_be16(l3 + 2, length);
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
	} else {
		memset(l3, 0, 40);
		l3[0] = 0x60;
		store_be16(l3 + 4, (uint16_t)(length - 40));
		l3[6] = 17;
		l3[7] = 64;
		l3[8] = l3[24] = 0xfd;
		l3[9] = source;
		l3[25] = destination;
		l3[23] = l3[39] = 10;
	}
	return 14u + length;
}

uint32_t testbed_numbered(uint8_t *frame, uint16_t number)
{
	uint32_t len = testbed_frame(frame, IP_V4, 64, true);

	store_be16(frame + 14 + 4, number);
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	return len;
}

void testbed_class(uint8_t *l3, enum ip_family family, uint8_t class)
{
	if (family == IP_V6) {
		store_be16(l3, (uint16_t)(0x6000 | class << 4));
		return;
	}
	l3[1] = class;
	store16(l3 + 10, 0);
	store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, (l3[0] & 0xfu) * 4)));
}

static void bed_turn(struct testbed *bed, bool swapped)
{
	const uint8_t v4[2][4] = { { 10, 0 }, { 10, 1 } }, v6[2][16] = { { 0xfd, 0 }, { 0xfd, 1 } };
	uint32_t old;

	for (int i = 0; i < 2; i++) {
		uint32_t value = (i == 0) == swapped
					 ? route_value(ROUTE_KIND_TUNNEL, 1)
					 : route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT);

		route_set(bed->tables->routes, &bed->tables->vrf[TENANT], IP_V4,
			  ip_load(IP_V4, v4[i]), 16, value, &old);
		route_set(bed->tables->routes, &bed->tables->vrf[TENANT], IP_V6,
			  ip_load(IP_V6, v6[i]), 16, value, &old);
	}
}

void testbed_swap(struct testbed *bed)
{
	bed_turn(bed, true);
}

void testbed_swap_back(struct testbed *bed)
{
	bed_turn(bed, false);
}

uint32_t testbed_seal(struct testbed *bed, const uint8_t *frame, uint32_t len, uint8_t *esp)
{
	struct rte_mbuf *out[BURST_MAX];

	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	assert_int_equal(testbed_out(bed, BED_PORT_UNDERLAY, out), 1);
	len = out[0]->data_len;
	memcpy(esp, rte_pktmbuf_mtod(out[0], void *), len);
	rte_pktmbuf_free(out[0]);
	memcpy(esp, mac_underlay, 6);
	return len;
}

static uint16_t wire_tx(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct wire *wire = queue;

	if (n > wire->takes)
		n = wire->takes;
	assert_true(wire->n + n <= WIRE_MAX);
	for (uint16_t i = 0; i < n; i++)
		wire->frame[wire->n++] = mbufs[i];
	return n;
}

void wire_attach(struct wire *wire, uint16_t dpdk_id, uint16_t takes)
{
	*wire = (struct wire){ .takes = takes };
	wire->queue[0] = wire;
	rte_eth_fp_ops[dpdk_id].tx_pkt_burst = wire_tx;
	rte_eth_fp_ops[dpdk_id].txq.data = wire->queue;
	rte_eth_fp_ops[dpdk_id].txq.clbk = wire->callback;
}

void wire_free(struct wire *wire)
{
	rte_pktmbuf_free_bulk(wire->frame, wire->n);
	wire->n = 0;
}

uint64_t testbed_drops(const struct testbed *bed, uint32_t tenant, enum drop_reason reason)
{
	return bed->worker->stats.tenant_drops[tenant].reason[reason];
}

void testbed_conserved(const struct testbed *bed, uint32_t tenant, uint64_t out)
{
	const struct counters_tenant *t = &bed->worker->stats.tenant[tenant];
	uint64_t drops = 0;

	for (uint32_t r = 0; r < COUNTERS_REASONS; r++)
		drops += bed->worker->stats.tenant_drops[tenant].reason[r];
	assert_int_equal(t->in_packets + t->fragments, out + t->local_packets + drops);
}
