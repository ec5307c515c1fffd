/* SPDX-License-Identifier: BSD-3-Clause */
/* ARP and ND between the main lcore and a worker: who is resolved, what waits, what is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "house.h"
#include "ip_header.h"
#include "reclaim.h"
#include "testbed.h"
#include "vrf.h"

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 0xaa };
static const uint8_t mac_b[6] = { 2, 0, 0, 0, 0, 0xbb };

static uint32_t onlink(uint32_t attachment)
{
	return route_value(ROUTE_KIND_ONLINK, attachment);
}

static void answer(struct house *h, uint32_t attachment, const char *who, const uint8_t mac[6])
{
	neighbour_receive(h->gw->neighbours,
			  house_message(h, attachment, NEIGHBOUR_REPLY, who, mac, "10.0.0.1", who));
}

/*
 * A packet of tenant 1 waits in a ring while its attachment goes and the id is given to tenant 2:
 * it must not come out there, nor may an ARP message be believed there.
 */
static void test_attachment_reused(void **state)
{
	struct abi_attachment other = make_attachment(1, 2, "lan", 40, "10.0.7.1/24", NULL);
	struct house *h = house_create();
	struct rte_mbuf *waits = house_packet(h, 1, "10.0.7.7", onlink(1));
	struct rte_mbuf *claim =
		house_message(h, 1, NEIGHBOUR_REQUEST, "10.0.7.9", mac_a, "0.0.0.0", "10.0.7.1");

	house_delete(h, ABI_ATTACHMENT_DELETE, 1);
	house_set(h, ABI_ATTACHMENT_SET, &other);
	neighbour_wait(h->gw->neighbours, waits);
	neighbour_receive(h->gw->neighbours, claim);
	assert_int_equal(house_sent_free(h), 0);
	assert_int_equal(house_drops(h, 1, DROP_detached), 1);
	assert_int_equal(house_route(h, 2, "10.0.7.9"), onlink(1));
	house_destroy(h);
}

/* The same on the way back: the packet was released to the worker, which has not come to it yet. */
static void test_adjacency_reused(void **state)
{
	struct house *h = house_create();
	uint32_t before, after;

	neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.0.7", onlink(1)));
	assert_int_equal(house_sent_free(h), 1); /* the question */
	answer(h, 1, "10.0.0.7", mac_a);
	before = house_route(h, 1, "10.0.0.7");
	assert_int_equal(route_kind(before), ROUTE_KIND_ADJACENCY);
	assert_int_equal(rte_ring_count(h->inbox), 1);

	house_delete(h, ABI_ATTACHMENT_DELETE, 1);
	reclaim_wait(h->gw->tables->reclaim);
	neighbour_receive(h->gw->neighbours, house_message(h, 3, NEIGHBOUR_REQUEST, "10.0.0.8",
							   mac_b, "0.0.0.0", "10.0.0.1"));
	after = house_route(h, 2, "10.0.0.8");
	assert_int_equal(after, before); /* the index is another tenant's now */
	assert_int_equal(rte_ring_count(h->inbox), 2);
	assert_int_equal(h->gw->tables->adjacency[route_index(after)].state, ADJACENCY_COMPLETE);

	/* Only the answer to tenant 2's question, a frame for a port, is taken out first here. */
	{
		struct rte_mbuf *packet = house_sent(h);

		assert_int_equal(house_sent_free(h), 1);
		assert_int_equal(rte_ring_enqueue(h->inbox, packet), 0);
	}
	assert_int_equal(worker_inbox(h->worker), 1);
	assert_int_equal(house_drops(h, 1, DROP_detached), 1);
	house_destroy(h);
}

static void ask(struct house *h, uint32_t attachment, const char *from, const uint8_t mac[6],
		const char *target)
{
	neighbour_receive(h->gw->neighbours, house_message(h, attachment, NEIGHBOUR_REQUEST, from,
							   mac, "0.0.0.0", target));
}

/* Who asks is learnt, in a network of the attachment: a host route to 10.1.0.10 would take traffic
 * of the tunnel that leads there, or of the other attachment. */
static void test_learnt_on_link_only(void **state)
{
	struct house *h = house_create();

	ask(h, 1, "10.0.0.9", mac_a, "10.0.0.1");
	assert_int_equal(route_kind(house_route(h, 1, "10.0.0.9")), ROUTE_KIND_ADJACENCY);
	ask(h, 1, "10.1.0.10", mac_a, "10.0.0.1");
	assert_int_equal(house_route(h, 1, "10.1.0.10"), ROUTE_NONE);
	ask(h, 1, "10.0.20.9", mac_a, "10.0.0.1");
	assert_int_equal(house_route(h, 1, "10.0.20.9"), onlink(2));
	ask(h, 1, "fd00::9", mac_a, "fd00::1");
	assert_int_equal(route_kind(house_route(h, 1, "fd00::9")), ROUTE_KIND_ADJACENCY);
	ask(h, 1, "fd01::9", mac_a, "fd00::1");
	assert_int_equal(house_route(h, 1, "fd01::9"), ROUTE_NONE);
	ask(h, 4, "203.0.113.1", mac_a, "192.0.2.1");
	assert_int_equal(house_route(h, 0, "203.0.113.1"), ROUTE_NONE);
	assert_int_equal(house_sent_free(h), 6); /* each was answered */

	/* Nothing of it is the other tenant's, and nobody takes an address of ours. */
	assert_int_equal(house_route(h, 2, "10.0.0.9"), onlink(3));
	ask(h, 1, "10.0.0.1", mac_b, "10.0.0.1");
	assert_int_equal(house_sent_free(h), 0);
	assert_int_equal(house_route(h, 1, "10.0.0.1"), route_value(ROUTE_KIND_LOCAL, 1));
	house_destroy(h);
}

/* A station that speaks for a whole network gets a share of the table and no more. */
static void test_learnt_share(void **state)
{
	struct house *h = house_create();
	uint32_t known = 0;
	char from[32];

	for (uint32_t i = 2; i < 255; i++) {
		snprintf(from, sizeof(from), "10.0.0.%u", i);
		ask(h, 1, from, mac_a, "10.0.0.1");
		known += route_kind(house_route(h, 1, from)) == ROUTE_KIND_ADJACENCY;
	}
	assert_int_equal(known, 256 / 8 + 16);
	assert_int_equal(house_sent_free(h), 253);
	ask(h, 3, "10.0.0.9", mac_a, "10.0.0.1");
	assert_int_equal(route_kind(house_route(h, 2, "10.0.0.9")), ROUTE_KIND_ADJACENCY);
	house_destroy(h);
}

/* What waits: 8 packets a neighbour, 256 an attachment, and an eighth of the buffers in all. */
static void test_waiting_bounded(void **state)
{
	struct house *h = house_create();
	uint32_t bound = 0;
	char to[32];

	for (uint32_t i = 0; i < 20; i++)
		neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.0.9", onlink(1)));
	assert_int_equal(house_drops(h, 1, DROP_neighbour_wait), 12);
	assert_int_equal(house_sent_free(h), 1); /* one question */
	for (uint32_t i = 10; i < 48; i++) {
		snprintf(to, sizeof(to), "10.0.0.%u", i);
		for (uint32_t k = 0; k < 8; k++, bound++)
			neighbour_wait(h->gw->neighbours, house_packet(h, 1, to, onlink(1)));
	}
	assert_int_equal(house_drops(h, 1, DROP_neighbour_wait), 12 + bound - 248);
	assert_int_equal(house_sent_free(h), 38);
	assert_int_equal(HOUSE_MBUFS - rte_mempool_avail_count(h->pool), 256);

	/* Another one's still wait, and an answer still releases. */
	neighbour_wait(h->gw->neighbours, house_packet(h, 2, "10.0.0.9", onlink(3)));
	assert_int_equal(house_drops(h, 2, DROP_neighbour_wait), 0);
	house_sent_free(h);
	answer(h, 1, "10.0.0.9", mac_a);
	assert_int_equal(house_sent_free(h), 8);
	house_destroy(h);
}

/* RFC 4861 section 7.2.5: an advertisement without Override doesn't replace another address. */
static void test_override(void **state)
{
	struct house *h = house_create();
	const struct adjacency *a;
	struct rte_mbuf *m;

	ask(h, 1, "fd00::9", mac_a, "fd00::1");
	a = &h->gw->tables->adjacency[route_index(house_route(h, 1, "fd00::9"))];
	for (int override = 0; override < 2; override++) {
		uint8_t *icmp;

		m = house_message(h, 1, NEIGHBOUR_REPLY, "fd00::9", mac_b, "fd00::1", "fd00::9");
		icmp = mbuf_packet(m)->l3 + 40;
		if (!override) { /* the checksum rises by what the flags fall */
			icmp[4] &= (uint8_t)~0x20;
			store16(icmp + 2, checksum_fold((uint64_t)load16(icmp + 2) + 0x20));
		}
		neighbour_receive(h->gw->neighbours, m);
		assert_memory_equal(a->header, override ? mac_b : mac_a, 6);
	}
	house_destroy(h);
}

/* An advertisement without its option, as Linux answers to a question by unicast. */
static struct rte_mbuf *bare_advertisement(struct house *h, const char *who, bool solicited)
{
	struct rte_mbuf *m = house_message(h, 1, NEIGHBOUR_REPLY, who, mac_b, "fd00::1", who);
	struct packet *p = mbuf_packet(m);
	uint8_t *icmp = p->l3 + 40;

	p->length = 40 + 24;
	store_be16(p->l3 + 4, 24);
	icmp[4] = solicited ? 0x40 : 0;
	store16(icmp + 2, 0);
	store16(icmp + 2, (uint16_t)~checksum_fold(checksum_sum(
				  p->l3 + 8, 32 + 24, __builtin_bswap32(24) + (58ull << 24))));
	return m;
}

/* RFC 4861 section 7.2.5: such an answer confirms the address that is known, and can't make one up. */
static void test_answer_without_address(void **state)
{
	struct house *h = house_create();
	const struct adjacency *a;

	ask(h, 1, "fd00::9", mac_a, "fd00::1");
	a = &h->gw->tables->adjacency[route_index(house_route(h, 1, "fd00::9"))];
	house_sent_free(h);
	house_wait(h, 60500);
	for (int minute = 0; minute < 3; minute++) {
		assert_int_equal(house_sent_free(h), 1); /* the question */
		neighbour_receive(h->gw->neighbours, bare_advertisement(h, "fd00::9", true));
		house_wait(h, 5000);
		assert_int_equal(house_sent_free(h), 0); /* no other */
		assert_int_equal(a->state, ADJACENCY_COMPLETE);
		assert_memory_equal(a->header, mac_a, 6);
		house_wait(h, 55500);
	}
	/* One that wasn't asked for says nothing of whether we are heard (section 7.3.1). */
	neighbour_receive(h->gw->neighbours, bare_advertisement(h, "fd00::9", false));
	house_wait(h, 5500);
	assert_int_equal(a->state, ADJACENCY_FAILED);
	neighbour_receive(h->gw->neighbours, bare_advertisement(h, "fd00::9", true));
	assert_int_equal(a->state, ADJACENCY_FAILED);
	house_destroy(h);
}

/* Nobody answers: three questions, then what waits is dropped, and no more is asked for a while. */
static void test_failure_and_hold(void **state)
{
	struct house *h = house_create();

	neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.0.9", onlink(1)));
	house_wait(h, 4500);
	assert_int_equal(house_sent_free(h), 3);
	assert_int_equal(house_drops(h, 1, DROP_neighbour_failed), 1);
	neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.0.9", onlink(1)));
	assert_int_equal(house_sent_free(h), 0);
	assert_int_equal(house_drops(h, 1, DROP_neighbour_failed), 2);
	house_wait(h, 6000); /* the hold is over, nobody wants it: it is forgotten */
	assert_int_equal(house_sent_free(h), 0);
	neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.0.9", onlink(1)));
	assert_int_equal(house_sent_free(h), 1);
	answer(h, 1, "10.0.0.9", mac_a);
	assert_int_equal(house_sent_free(h), 1);
	assert_int_equal(route_kind(house_route(h, 1, "10.0.0.9")), ROUTE_KIND_ADJACENCY);
	house_destroy(h);
}

/* One that answers once and then no more is asked by unicast, stays in use meanwhile, and goes. */
static void test_ageing(void **state)
{
	struct house *h = house_create();
	struct rte_mbuf *question;

	ask(h, 1, "10.0.0.9", mac_a, "10.0.0.1");
	house_sent_free(h);
	house_wait(h, 59000);
	assert_int_equal(house_sent_free(h), 0);
	house_wait(h, 1500);
	question = house_sent(h);
	assert_non_null(question);
	assert_memory_equal(rte_pktmbuf_mtod(question, void *), mac_a, 6);
	rte_pktmbuf_free(question);
	assert_int_equal(route_kind(house_route(h, 1, "10.0.0.9")), ROUTE_KIND_ADJACENCY);
	answer(h, 1, "10.0.0.9", mac_a); /* for another while */
	house_wait(h, 59000);
	assert_int_equal(house_sent_free(h), 0);
	house_wait(h, 5500);
	assert_int_equal(house_sent_free(h), 3);
	assert_int_equal(house_route(h, 1, "10.0.0.9"), onlink(1));
	house_destroy(h);
}

static void test_permanent(void **state)
{
	struct abi_neighbour record = make_neighbour(1, "10.0.0.9", 7);
	struct house *h = house_create();
	const struct adjacency *a;

	house_set(h, ABI_NEIGHBOUR_SET, &record);
	a = &h->gw->tables->adjacency[route_index(house_route(h, 1, "10.0.0.9"))];
	house_wait(h, 200000);
	ask(h, 1, "10.0.0.9", mac_a, "10.0.0.1"); /* may ask, not change */
	answer(h, 1, "10.0.0.9", mac_b);
	assert_int_equal(house_sent_free(h), 1);
	assert_memory_equal(a->header, record.mac, 6);
	assert_int_equal(a->state, ADJACENCY_COMPLETE);
	house_set(h, ABI_NEIGHBOUR_DELETE, &record);
	assert_int_equal(house_route(h, 1, "10.0.0.9"), onlink(1));
	house_destroy(h);
}

/* An attachment that goes takes its neighbours and what waits for them along. */
static void test_flush(void **state)
{
	struct house *h = house_create();

	ask(h, 1, "10.0.0.9", mac_a, "10.0.0.1");
	ask(h, 3, "10.0.0.9", mac_a, "10.0.0.1");
	for (uint32_t i = 0; i < 3; i++)
		neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.0.8", onlink(1)));
	house_sent_free(h);
	house_delete(h, ABI_ATTACHMENT_DELETE, 1);
	assert_int_equal(house_drops(h, 1, DROP_detached), 3);
	assert_int_equal(house_route(h, 1, "10.0.0.9"), ROUTE_NONE);
	assert_int_equal(route_kind(house_route(h, 2, "10.0.0.9")), ROUTE_KIND_ADJACENCY);
	house_wait(h, 10000);
	assert_int_equal(house_sent_free(h), 0);
	house_destroy(h);
}

/* A gateway that routes go by is asked for again and again, and kept until the last one goes. */
static void test_gateway_references(void **state)
{
	struct house *h = house_create();
	struct abi_route r[2] = { make_route_gateway(1, "172.16.0.0/16", 1, "10.0.0.254"),
				  make_route_gateway(1, "172.17.0.0/16", 1, "10.0.0.254") };
	uint32_t value;

	for (int i = 0; i < 2; i++)
		house_set(h, ABI_ROUTE_SET, &r[i]);
	value = house_route(h, 1, "172.16.0.1");
	assert_int_equal(route_kind(value), ROUTE_KIND_ADJACENCY);
	assert_int_equal(house_route(h, 1, "172.17.0.1"), value);
	house_wait(h, 20000);
	assert_in_range(house_sent_free(h), 6, 12);
	assert_int_equal(house_route(h, 1, "172.16.0.1"), value);
	answer(h, 1, "10.0.0.254", mac_a);
	assert_int_equal(h->gw->tables->adjacency[route_index(value)].state, ADJACENCY_COMPLETE);
	neighbour_wait(h->gw->neighbours, house_packet(h, 1, "172.16.0.1", value));
	assert_int_equal(house_sent_free(h), 1);
	house_set(h, ABI_ROUTE_DELETE, &r[0]);
	house_wait(h, 70000);
	assert_true(house_sent_free(h) >= 3); /* it no longer answers, and is wanted still */
	assert_int_equal(house_route(h, 1, "172.17.0.1"), value);
	house_set(h, ABI_ROUTE_DELETE, &r[1]);
	house_wait(h, 20000);
	house_sent_free(h);
	assert_int_equal(h->gw->tables->adjacency[route_index(value)].state, ADJACENCY_FREE);
	house_destroy(h);
}

/* A scan of a network: so many unknown neighbours and no more, and they are forgotten again. */
static void test_scan(void **state)
{
	struct house *h = house_create();
	uint32_t asked;
	char to[32];

	for (uint32_t i = 2; i < 255; i++) {
		snprintf(to, sizeof(to), "10.0.0.%u", i);
		neighbour_wait(h->gw->neighbours, house_packet(h, 1, to, onlink(1)));
	}
	asked = house_sent_free(h);
	assert_int_equal(asked, 256 / 8 + 16);
	assert_int_equal(house_drops(h, 1, DROP_neighbour_wait), 253 - asked);
	house_wait(h, 20000);
	assert_int_equal(house_sent_free(h), 2 * asked);
	assert_int_equal(house_drops(h, 1, DROP_neighbour_failed), asked);
	neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.0.77", onlink(1)));
	assert_int_equal(house_sent_free(h), 1);
	house_destroy(h);
}

/* What goes out on a VLAN: tagged, padded to the least frame, from the address in that network. */
static void test_vlan_frames(void **state)
{
	struct house *h = house_create();
	struct adjacency_header header;
	const struct adjacency *a;
	struct rte_mbuf *m;
	uint8_t l3[20] = { 0 }, room[64];
	struct packet *p;

	neighbour_wait(h->gw->neighbours, house_packet(h, 1, "10.0.20.9", onlink(2)));
	m = house_sent(h);
	assert_non_null(m);
	assert_int_equal(m->data_len, 60);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *),
			    "\xff\xff\xff\xff\xff\xff\x02\0\0\0\x01\0\x81\0\0\x14\x08\x06", 18);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 18 + 14), "\x0a\0\x14\x01", 4);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 18 + 24), "\x0a\0\x14\x09", 4);
	p = mbuf_packet(m);
	assert_int_equal(p->route, HANDOFF_FRAME);
	assert_int_equal(p->tenant, 1);
	assert_int_equal(p->attachment, 2);
	assert_int_equal(p->flags, PACKET_ORIGINATED);
	rte_pktmbuf_free(m);

	answer(h, 2, "10.0.20.9", mac_a);
	assert_int_equal(house_sent_free(h), 1);
	a = &h->gw->tables->adjacency[route_index(house_route(h, 1, "10.0.20.9"))];
	memcpy(room + 18, l3, sizeof(l3));
	header = adjacency_header(a);
	assert_int_equal(header.len, 18);
	adjacency_write(&header, room + 18, 0x0008);
	assert_memory_equal(room, "\x02\0\0\0\0\xaa\x02\0\0\0\x01\0\x81\0\0\x14\x08\0", 18);
	house_destroy(h);
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attachment_reused),
		cmocka_unit_test(test_adjacency_reused),
		cmocka_unit_test(test_learnt_on_link_only),
		cmocka_unit_test(test_learnt_share),
		cmocka_unit_test(test_waiting_bounded),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_answer_without_address),
		cmocka_unit_test(test_failure_and_hold),
		cmocka_unit_test(test_ageing),
		cmocka_unit_test(test_permanent),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_gateway_references),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_vlan_frames),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
