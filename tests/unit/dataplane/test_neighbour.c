/* SPDX-License-Identifier: BSD-3-Clause */
/* ARP and ND between the main lcore and a worker: who is resolved, what waits, what is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
