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

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attachment_reused),   cmocka_unit_test(test_adjacency_reused),
		cmocka_unit_test(test_learnt_on_link_only), cmocka_unit_test(test_learnt_share),
		cmocka_unit_test(test_waiting_bounded),     cmocka_unit_test(test_override),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
