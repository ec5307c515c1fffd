/* SPDX-License-Identifier: BSD-3-Clause */
/* What a tunnel must carry though its path is too narrow: cut behind ESP, whole again for the peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ip_header.h"
#include "testbed.h"

#define WHOLE_MAX 2048

static struct testbed *bed_with_wires(struct wire wire[2], uint32_t flags, uint16_t inner,
				      uint16_t outer)
{
	struct testbed *bed = testbed_create(flags, 16, 64);

	for (uint16_t i = 0; i < 2; i++) {
		wire_attach(&wire[i], i, BURST_MAX);
		bed->worker->tx[i] = (struct worker_tx){ .dpdk_id = i };
	}
	bed->tables->sa[1].out.outer[0].inner_mtu = inner;
	bed->tables->sa[1].out.outer[0].outer_mtu = outer;
	return bed;
}

static void send(struct testbed *bed, const uint8_t *frame, uint32_t len)
{
	testbed_walk(bed, BED_PORT_TENANT, frame, len);
	worker_finish(bed->worker);
}

/* Where the piece at l3 belongs in the payload, and whose it is. */
struct place {
	uint32_t header_len, from, size, id;
	uint8_t protocol;
	bool more;
};

static struct place place_of(const uint8_t *l3, uint32_t avail)
{
	struct place at = { 0 };
	uint16_t length = 0, field;

	if (l3[0] >> 4 == 4) {
		assert_int_equal(ip_header_check(l3, avail, IP_V4, false, &length), DROP_NONE);
		field = load_be16(l3 + 6);
		at = (struct place){ 20,    (field & 0x1fff) * 8u, length - 20u, load_be16(l3 + 4),
				     l3[9], field & 0x2000 };
		assert_false(field & 0xc000);
	} else {
		assert_int_equal(ip_header_check(l3, avail, IP_V6, false, &length), DROP_NONE);
		assert_int_equal(l3[6], 44);
		field = load_be16(l3 + 42);
		at = (struct place){ 48,     field & 0xfff8u, length - 48u, load32(l3 + 44),
				     l3[40], field & 1 };
		assert_int_equal(field & 6, 0);
	}
	assert_int_equal(length, avail);
	return at;
}

/* One packet of the wire's pieces from `first` on, as a frame for the peer; how many they were. */
static uint32_t reassemble(const struct wire *wire, uint32_t first, uint32_t outer_mtu,
			   uint8_t *frame, uint32_t *len)
{
	uint32_t i = first, total = 0, id = 0, head = 0;
	bool more = true;

	for (; more; i++) {
		const uint8_t *l3 = rte_pktmbuf_mtod_offset(wire->frame[i], const uint8_t *, 14);
		uint32_t avail = wire->frame[i]->data_len - 14u;
		struct place at = place_of(l3, avail);

		assert_true(i < wire->n);
		assert_true(avail <= outer_mtu);
		assert_int_equal(at.from, total);
		if (i == first) {
			id = at.id;
			head = l3[0] >> 4 == 4 ? 20 : 40;
			memcpy(frame, "\x02\0\0\0\0\x20\x02\0\0\0\0\xbb", 12);
			memcpy(frame + 12, rte_pktmbuf_mtod_offset(wire->frame[i], void *, 12),
			       2 + head);
			if (head == 40)
				frame[14 + 6] = at.protocol;
		}
		assert_int_equal(at.id, id);
		more = at.more;
		if (more)
			assert_int_equal(at.size % 8, 0);
		memcpy(frame + 14 + head + total, l3 + at.header_len, at.size);
		total += at.size;
	}
	if (head == 20) {
		store_be16(frame + 16, (uint16_t)(head + total));
		store16(frame + 20, 0);
		store16(frame + 24, 0);
		store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	} else {
		store_be16(frame + 18, (uint16_t)total);
	}
	*len = 14 + head + total;
	return i - first;
}

/* Tenant and tunnel change sides: what the gateway sent comes in, and belongs to the host. */
static void routes_swap(struct testbed *bed)
{
	static const uint8_t v4[2][4] = { { 10, 0 }, { 10, 1 } };
	static const uint8_t v6[2][16] = { { 0xfd, 0 }, { 0xfd, 1 } };
	uint32_t old;

	for (int i = 0; i < 2; i++) {
		uint32_t value = i == 0 ? route_value(ROUTE_KIND_TUNNEL, 1)
					: route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT);

		route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V4, ip_load(IP_V4, v4[i]),
			  16, value, &old);
		route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V6, ip_load(IP_V6, v6[i]),
			  16, value, &old);
	}
}

/* The peer opens it: the packet that the host sent, two hops later. */
static void opens_to(struct testbed *bed, const struct wire *lan, const uint8_t *esp, uint32_t len,
		     const uint8_t *sent, uint32_t length)
{
	const uint8_t *l3;

	assert_true(len <= 2048);
	testbed_walk(bed, BED_PORT_UNDERLAY, esp, len);
	worker_finish(bed->worker);
	assert_int_equal(lan->n, 1);
	l3 = rte_pktmbuf_mtod_offset(lan->frame[0], const uint8_t *, 14);
	assert_int_equal(lan->frame[0]->data_len, 14 + length);
	assert_memory_equal(l3 + 40, sent + 14 + 40, length - 40);
}

static void ipv6_case(uint32_t flags, uint16_t length, uint16_t inner, uint16_t outer)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, flags, inner, outer);
	struct wire *lan = &wire[BED_PORT_TENANT], *wan = &wire[BED_PORT_UNDERLAY];
	const struct counters_tenant *row = &bed->worker->stats.tenant[1];
	const struct counters_tunnel *tunnel = &bed->worker->stats.tunnel[1];
	uint8_t frame[2048], esp[2][WHOLE_MAX];
	uint32_t len = testbed_frame(frame, IP_V6, length, true), n[2], esp_len[2];

	send(bed, frame, len);
	send(bed, frame, len);
	assert_true(wan->n >= 4);
	n[0] = reassemble(wan, 0, outer, esp[0], &esp_len[0]);
	n[1] = reassemble(wan, n[0], outer, esp[1], &esp_len[1]);
	assert_int_equal(n[0] + n[1], wan->n);
	/* Another packet, another identification. */
	assert_int_not_equal(place_of(rte_pktmbuf_mtod_offset(wan->frame[0], uint8_t *, 14),
				      wan->frame[0]->data_len - 14u)
				     .id,
			     place_of(rte_pktmbuf_mtod_offset(wan->frame[n[0]], uint8_t *, 14),
				      wan->frame[n[0]]->data_len - 14u)
				     .id);
	assert_int_equal(row->fragments, wan->n - 2);
	assert_int_equal(row->out_packets, wan->n);
	assert_int_equal(tunnel->out_packets, wan->n);
	assert_int_equal(tunnel->out_inner_bytes, 2 * length);
	testbed_conserved(bed, 1, wan->n);
	routes_swap(bed);
	opens_to(bed, lan, esp[0], esp_len[0], frame, length);
	wire_free(lan);
	opens_to(bed, lan, esp[1], esp_len[1], frame, length);
	wire_free(lan);
	wire_free(wan);
	testbed_destroy(bed);
}

static void ipv6_of_the_least_mtu(void **state)
{
	for (uint32_t flags = 0; flags < 8; flags++) {
		ipv6_case(flags, 1280, 1206, 1280);
		ipv6_case(flags, 1207, 1206, 1240);
		ipv6_case(flags, 1280, 500, 576);
		ipv6_case(flags, 1280, 0, 100);
	}
}

/* IPv4 that may be cut is, into what every link carries; each piece is sealed, and cut once more. */
static void ipv4_below_its_least_mtu(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, SA_ESN, 20, 80);
	struct wire *lan = &wire[BED_PORT_TENANT], *wan = &wire[BED_PORT_UNDERLAY];
	uint8_t frame[2048], esp[WHOLE_MAX];
	uint32_t len = testbed_frame(frame, IP_V4, 1000, true), esp_len, pieces = 0, got = 0;

	send(bed, frame, len);
	assert_int_equal(bed->worker->stats.tenant[1].fragments, wan->n - 1);
	testbed_conserved(bed, 1, wan->n);
	routes_swap(bed);
	for (uint32_t i = 0; i < wan->n; pieces++) {
		const uint8_t *l3;

		i += reassemble(wan, i, 80, esp, &esp_len);
		testbed_walk(bed, BED_PORT_UNDERLAY, esp, esp_len);
		worker_finish(bed->worker);
		assert_int_equal(lan->n, 1);
		l3 = rte_pktmbuf_mtod_offset(lan->frame[0], const uint8_t *, 14);
		assert_true(load_be16(l3 + 2) <= 68);
		assert_memory_equal(l3 + 20, frame + 34 + (load_be16(l3 + 6) & 0x1fff) * 8,
				    load_be16(l3 + 2) - 20u);
		got += load_be16(l3 + 2) - 20u;
		wire_free(lan);
	}
	assert_int_equal(pieces, (980 + 47) / 48);
	assert_int_equal(got, 980);
	wire_free(wan);
	testbed_destroy(bed);
}

/* Nobody is told less than that. */
static void the_errors_say_no_less(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, 0, 40, 100);
	struct wire *lan = &wire[BED_PORT_TENANT], *wan = &wire[BED_PORT_UNDERLAY];
	uint8_t frame[2048];
	const uint8_t *l3;

	bed->worker->tsc_hz = 1000; /* tokens without end */
	memcpy(bed->tables->attachment[1].ipv4, "\x0a\0\0\x01", 4);
	memcpy(bed->tables->attachment[1].ipv6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	send(bed, frame, testbed_frame(frame, IP_V6, 1281, true));
	assert_int_equal(lan->n, 1);
	l3 = rte_pktmbuf_mtod_offset(lan->frame[0], const uint8_t *, 14);
	assert_int_equal(l3[40], 2);
	assert_int_equal(load_be16(l3 + 46), 1280);
	wire_free(lan);

	testbed_frame(frame, IP_V4, 69, true);
	frame[14 + 6] = 0x40;
	store16(frame + 24, 0);
	store16(frame + 24, (uint16_t)~checksum_fold(ipv4_checksum_sum(frame + 14, 20)));
	send(bed, frame, 14 + 69);
	assert_int_equal(lan->n, 1);
	l3 = rte_pktmbuf_mtod_offset(lan->frame[0], const uint8_t *, 14);
	assert_int_equal(l3[20], 3);
	assert_int_equal(load_be16(l3 + 26), 68);
	wire_free(lan);
	assert_int_equal(wan->n, 0);
	testbed_conserved(bed, 1, 0);
	testbed_destroy(bed);
}

/* No next hop, no buffers, a path for which there are too many pieces, one that widened meanwhile. */
static void when_it_cannot_be_cut(void **state)
{
	static const struct {
		uint16_t outer;
		uint32_t buffers_left;
		bool next_hop;
		enum drop_reason reason;
		uint32_t sent;
	} cases[] = {
		{ 1280, 100, true, DROP_NONE, 2 },         { 1500, 100, true, DROP_NONE, 1 },
		{ 1280, 100, false, DROP_no_underlay, 0 }, { 1280, 1, true, DROP_no_buffer, 0 },
		{ 40, 100, true, DROP_too_big, 0 },        { 20, 100, true, DROP_too_big, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire wire[2];
		struct testbed *bed = bed_with_wires(wire, 0, 1000, cases[i].outer);
		struct rte_mbuf *taken[511], *one;
		uint8_t frame[2048];
		uint32_t len = testbed_frame(frame, IP_V6, 1280, true), n;

		if (!cases[i].next_hop) {
			bed->tables->sa[1].out.outer[0].adjacency = 0;
			bed->tables->sa[1].out.outer[0].inner_mtu = 0;
		}
		one = testbed_mbuf(bed, frame, len);
		n = 510 - cases[i].buffers_left;
		assert_int_equal(rte_pktmbuf_alloc_bulk(bed->pool, taken, n), 0);
		worker_walk(bed->worker, BED_PORT_TENANT, &one, 1);
		worker_finish(bed->worker);
		rte_pktmbuf_free_bulk(taken, n);
		assert_int_equal(wire[BED_PORT_UNDERLAY].n, cases[i].sent);
		if (cases[i].reason != DROP_NONE)
			assert_int_equal(testbed_drops(bed, 1, cases[i].reason), 1);
		testbed_conserved(bed, 1, cases[i].sent);
		wire_free(&wire[BED_PORT_UNDERLAY]);
		testbed_destroy(bed);
	}
}

/* Pieces wait for a next hop that never answers: the tenant is shown none of them. */
static void no_error_about_pieces(void **state)
{
	struct wire wire[2];
	struct testbed *bed = bed_with_wires(wire, SA_OUTER_V6, 1200, 1280);
	uint8_t frame[2048];
	uint32_t n = 0, old;
	void *m;

	bed->worker->tsc_hz = 1000; /* tokens without end */
	bed->worker->inbox = rte_ring_create("inbox", 64, 0, 0);
	assert_non_null(bed->worker->inbox);
	memcpy(bed->tables->attachment[1].ipv6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	/* There is a way for an error to who sent the pieces. */
	assert_int_equal(route_set(bed->tables->routes, &bed->tables->vrf[1], IP_V6,
				   (struct ip_addr){ 0, 0 }, 0,
				   route_value(ROUTE_KIND_ADJACENCY, BED_ADJ_TENANT), &old),
			 0);
	bed->tables->adjacency[BED_ADJ_UNDERLAY].state = ADJACENCY_INCOMPLETE;
	send(bed, frame, testbed_frame(frame, IP_V6, 1280, true));
	while (rte_ring_dequeue(bed->to_main, &m) == 0) {
		struct packet *p = mbuf_packet(m);

		p->route = HANDOFF_UNREACHABLE;
		p->generation = handoff_generation(bed->tables, p);
		assert_int_equal(rte_ring_enqueue(bed->worker->inbox, m), 0);
		n++;
	}
	assert_int_equal(n, 2);
	assert_int_equal(worker_inbox(bed->worker), 2);
	assert_int_equal(testbed_drops(bed, 1, DROP_neighbour_failed), 2);
	assert_int_equal(wire[BED_PORT_TENANT].n, 0);
	testbed_conserved(bed, 1, 0);
	rte_ring_free(bed->worker->inbox);
	testbed_destroy(bed);
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv6_of_the_least_mtu),
		cmocka_unit_test(ipv4_below_its_least_mtu),
		cmocka_unit_test(the_errors_say_no_less),
		cmocka_unit_test(when_it_cannot_be_cut),
		cmocka_unit_test(no_error_about_pieces),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
