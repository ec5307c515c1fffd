/* SPDX-License-Identifier: BSD-3-Clause */
/* A tunnel that lacks an SA when there is something to send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_cycles.h>

#include "acquire.h"
#include "ip_header.h"
#include "peer_bed.h"
#include "selector.h"

#define UDP 17

static const uint32_t hour = 3600;

/* The tunnel has no SA, as far as the worker and the main lcore know. */
static struct peer_bed *bed_without_sa(uint32_t flags)
{
	struct peer_bed *p = peer_bed_create(0, 64);

	p->bed->tables->tunnel[1].sa_out = 0;
	p->gw.tunnel[1].record.flags = flags;
	acquire_update(&p->gw, 1);
	/* Nothing is told twice within a test. */
	p->bed->worker->tsc_hz = rte_get_tsc_hz() * hour;
	return p;
}

static void packet_sends(struct peer_bed *p, enum ip_family family, uint8_t protocol, uint16_t from,
			 uint16_t to)
{
	uint8_t frame[256], *l3 = frame + 14, *l4 = l3 + (family == IP_V4 ? 20 : 40);
	uint32_t len = testbed_frame(frame, family, 100, true);

	l3[family == IP_V4 ? 9 : 6] = protocol;
	store_be16(l4, from);
	store_be16(l4 + 2, to);
	if (family == IP_V4) {
		store16(l3 + 10, 0);
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
	}
	testbed_walk(p->bed, BED_PORT_TENANT, frame, len);
	worker_finish(p->bed->worker);
}

static void once_again(struct peer_bed *p)
{
	p->bed->tables->acquire[1].ready = 0;
}

static void it_tells_what_wants_to_be_sent(void **state)
{
	struct peer_bed *p = bed_without_sa(ABI_TUNNEL_ACQUIRE);
	uint8_t frame[256];
	const struct abi_event *e = p->event;

	packet_sends(p, IP_V4, UDP, 4711, 53);
	assert_int_equal(peer_events(p, 1), 1);
	assert_int_equal(e->kind, ABI_EVENT_ACQUIRE);
	assert_int_equal(e->tenant, 1);
	assert_int_equal(e->tunnel, 1);
	assert_int_equal(e->sa, 0);
	assert_int_equal(e->protocol, UDP);
	assert_int_equal(e->port, 4711);
	assert_int_equal(e->to_port, 53);
	testbed_frame(frame, IP_V4, 100, true);
	assert_int_equal(e->address.family, ABI_IPV4);
	assert_memory_equal(e->address.addr, frame + 14 + 12, 4);
	assert_int_equal(e->to.family, ABI_IPV4);
	assert_memory_equal(e->to.addr, frame + 14 + 16, 4);

	once_again(p);
	packet_sends(p, IP_V6, UDP, 1, 65535);
	assert_int_equal(peer_events(p, 1), 2);
	testbed_frame(frame, IP_V6, 100, true);
	assert_int_equal(e[1].address.family, ABI_IPV6);
	assert_memory_equal(e[1].address.addr, frame + 14 + 8, 16);
	assert_memory_equal(e[1].to.addr, frame + 14 + 24, 16);
	assert_int_equal(e[1].port, 1);
	assert_int_equal(e[1].to_port, 65535);

	/* ICMP: type and code; a protocol without ports. */
	once_again(p);
	packet_sends(p, IP_V4, 1, 0x0803, 99);
	once_again(p);
	packet_sends(p, IP_V4, 89, 7, 7);
	assert_int_equal(peer_events(p, 1), 4);
	assert_int_equal(e[2].port, 0x0803);
	assert_int_equal(e[2].to_port, 0x0803);
	assert_int_equal(e[3].protocol, 89);
	assert_int_equal(e[3].port, 0);
	assert_int_equal(e[3].to_port, 0);
	/* All were dropped as without the flag. */
	assert_int_equal(testbed_drops(p->bed, 1, DROP_no_sa), 4);
	peer_bed_destroy(p);
}

static void a_flood_tells_once(void **state)
{
	struct peer_bed *p = bed_without_sa(ABI_TUNNEL_ACQUIRE);

	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(tenant_sends(p, 32, 80), 0);
	assert_int_equal(peer_events(p, 1), 1);
	assert_int_equal(testbed_drops(p->bed, 1, DROP_no_sa), 640);
	/* A second later, by that clock. */
	p->bed->tables->acquire[1].ready = rte_rdtsc();
	tenant_sends(p, 32, 80);
	assert_int_equal(peer_events(p, 1), 2);
	peer_bed_destroy(p);
}

/* A worker tells of 256 at once, of however many tunnels. */
static void a_worker_has_its_rate(void **state)
{
	struct peer_bed *p = bed_without_sa(ABI_TUNNEL_ACQUIRE);

	p->bed->worker->tsc_hz = rte_get_tsc_hz() * 256 * hour;
	for (uint32_t i = 0; i < 300; i++) {
		once_again(p);
		tenant_sends(p, 1, 80);
	}
	assert_int_equal(peer_events(p, 1), PEER_EVENTS); /* as many as it reads */
	assert_int_equal(event_read(p->gw.events, 255, p->event, 10), 1);
	peer_bed_destroy(p);
}

static void only_who_wants_it_hears(void **state)
{
	struct peer_bed *p = bed_without_sa(0);

	tenant_sends(p, 8, 80);
	assert_int_equal(peer_events(p, 1), 0);
	/* Turned on and off while it is there. */
	p->gw.tunnel[1].record.flags = ABI_TUNNEL_ACQUIRE;
	acquire_update(&p->gw, 1);
	tenant_sends(p, 8, 80);
	assert_int_equal(peer_events(p, 1), 1);
	p->gw.tunnel[1].record.flags = 0;
	acquire_update(&p->gw, 1);
	once_again(p);
	tenant_sends(p, 8, 80);
	assert_int_equal(peer_events(p, 1), 1);
	peer_bed_destroy(p);
}

static void what_selectors_refuse_asks_for_nothing(void **state)
{
	const struct selector dns = { .span = { -1, -1 },
				      .port_span = { SELECTOR_NONE, 0 },
				      .port_first = { 0, 53 },
				      .family = IP_V4,
				      .protocol = UDP };
	struct peer_bed *p = bed_without_sa(ABI_TUNNEL_ACQUIRE | ABI_TUNNEL_SELECTORS);
	struct selectors *list = calloc(1, sizeof(*list) + sizeof(dns));

	list->n = 1;
	list->v[0] = dns;
	packet_sends(p, IP_V4, UDP, 1, 53); /* none are set: nothing may pass */
	p->bed->tables->selectors[1] = list;
	packet_sends(p, IP_V4, UDP, 1, 54);
	packet_sends(p, IP_V6, UDP, 1, 53);
	assert_int_equal(peer_events(p, 1), 0);
	packet_sends(p, IP_V4, UDP, 1, 53);
	assert_int_equal(peer_events(p, 1), 1);
	p->bed->tables->selectors[1] = NULL;
	free(list);
	peer_bed_destroy(p);
}

/* What waits in the ring while the tunnel gets an SA, or its id another tunnel. */
static void an_old_note_says_nothing(void **state)
{
	struct peer_bed *p = bed_without_sa(ABI_TUNNEL_ACQUIRE);

	tenant_sends(p, 1, 80);
	p->gw.tunnel[1].newest_out = PEER_OUT;
	assert_int_equal(peer_events(p, 1), 0);
	p->gw.tunnel[1].newest_out = 0;
	once_again(p);
	tenant_sends(p, 1, 80);
	p->gw.tunnel[1].record = (struct abi_tunnel){ 0 };
	acquire_update(&p->gw, 1);
	p->gw.tunnel[1].record =
		(struct abi_tunnel){ .id = 1, .tenant = 2, .flags = ABI_TUNNEL_ACQUIRE };
	acquire_update(&p->gw, 1);
	assert_int_equal(peer_events(p, 1), 0);
	tenant_sends(p, 1, 80);
	assert_int_equal(peer_events(p, 1), 1);
	peer_bed_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_tells_what_wants_to_be_sent),
		cmocka_unit_test(a_flood_tells_once),
		cmocka_unit_test(a_worker_has_its_rate),
		cmocka_unit_test(only_who_wants_it_hears),
		cmocka_unit_test(what_selectors_refuse_asks_for_nothing),
		cmocka_unit_test(an_old_note_says_nothing),
	};

	testbed_eal();
	return cmocka_run_group_tests_name("acquire", tests, NULL, NULL);
}
