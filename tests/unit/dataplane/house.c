/* SPDX-License-Identifier: BSD-3-Clause */
#include "house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "address.h"
#include "ip_header.h"
#include "reclaim.h"

struct house *house_create(void)
{
	struct house *h = calloc(1, sizeof(*h));
	struct abi_tenant tenant[2] = { make_tenant(1), make_tenant(2) };
	struct abi_attachment at[4] = {
		make_attachment(1, 1, "lan", 0, "10.0.0.1/24", "fd00::1/64"),
		make_attachment(2, 1, "lan", 20, "10.0.20.1/24", NULL),
		make_attachment(3, 2, "lan", 30, "10.0.0.1/24", "fd00::1/64"),
		make_attachment(4, 0, "wan", 0, "192.0.2.1/24", "2001:db8::1/64"),
	};
	char name[24];

	assert_non_null(h);
	h->f = fixture_create(NULL, 1);
	h->gw = &h->f->gw;
	snprintf(name, sizeof(name), "house_%lx", (unsigned long)(uintptr_t)h);
	h->pool = rte_pktmbuf_pool_create(name, HOUSE_MBUFS, 0, 64, 2048 + 128, 0);
	h->inbox = rte_ring_create(name, 1024, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	h->worker = aligned_alloc(64, sizeof(*h->worker));
	assert_true(h->pool != NULL && h->inbox != NULL && h->worker != NULL);
	memset(h->worker, 0, sizeof(*h->worker));
	h->worker->tables = h->gw->tables;
	h->worker->stats = stats_writer(h->gw->stats, 1);
	h->worker->inbox = h->inbox;
	h->workers[0] = h->worker;
	h->gw->worker = h->workers;
	h->gw->workers = 1;
	h->gw->pool = h->pool;
	assert_int_equal(apply_create(h->gw, &h->apply), 0);
	for (int i = 0; i < 2; i++)
		house_set(h, ABI_TENANT_SET, &tenant[i]);
	for (int i = 0; i < 4; i++)
		house_set(h, ABI_ATTACHMENT_SET, &at[i]);
	return h;
}

void house_destroy(struct house *h)
{
	house_sent_free(h);
	apply_destroy(h->apply);
	fixture_destroy(h->f);
	assert_int_equal(rte_mempool_avail_count(h->pool), HOUSE_MBUFS);
	rte_ring_free(h->inbox);
	rte_mempool_free(h->pool);
	free(h->worker);
	free(h);
}

void house_set(struct house *h, uint16_t type, const void *record)
{
	char text[ABI_TEXT_LEN] = "";
	int error = apply_check(h->apply, type, record, text, sizeof(text));

	if (error == 0)
		error = apply_record(h->apply, type, record, text, sizeof(text));
	if (error != 0)
		fail_msg("%d: %s", error, text);
	apply_commit(h->apply);
	reclaim_poll(h->gw->tables->reclaim);
}

void house_delete(struct house *h, uint16_t type, uint32_t id)
{
	struct abi_id record = { .id = id };

	house_set(h, type, &record);
}

void house_wait(struct house *h, uint32_t ms)
{
	for (uint64_t until = h->now + ms; h->now < until; h->now += 100) {
		/* As often as it takes to see every entry once. */
		for (uint32_t i = 0; i < 2; i++)
			neighbour_tick(h->gw->neighbours, h->now + 100);
		reclaim_poll(h->gw->tables->reclaim);
	}
}

struct rte_mbuf *house_packet(struct house *h, uint32_t tenant, const char *to, uint32_t route)
{
	struct abi_address address = make_address(to);
	enum ip_family family = address_family(&address);
	struct rte_mbuf *m = rte_pktmbuf_alloc(h->pool);
	uint8_t *l3;
	struct packet *p;

	assert_non_null(m);
	l3 = (uint8_t *)rte_pktmbuf_append(m, 14 + 60) + 14;
	memset(l3 - 14, 0, 14 + 60);
	if (family == IP_V4) {
		memcpy(l3, (uint8_t[]){ 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17 }, 10);
		memcpy(l3 + 12, (uint8_t[]){ 10, 9, 9, 9 }, 4);
		memcpy(l3 + 16, address.addr, 4);
	} else {
		memcpy(l3, (uint8_t[]){ 0x60, 0, 0, 0, 0, 20, 17, 64, 0xfd, 9 }, 10);
		l3[23] = 9;
		memcpy(l3 + 24, address.addr, 16);
	}
	p = mbuf_packet(m);
	*p = (struct packet){
		.mbuf = m,
		.l3 = l3,
		.tenant = tenant,
		.route = route,
		.length = 60,
		.family = (uint8_t)family,
		.walk = ABI_TRACE_OUTBOUND,
	};
	p->generation = handoff_generation(h->gw->tables, p);
	return m;
}

struct rte_mbuf *house_message(struct house *h, uint32_t attachment, enum neighbour_kind kind,
			       const char *from, const uint8_t mac[6], const char *to,
			       const char *target)
{
	struct abi_address address[3] = { make_address(from), make_address(to),
					  make_address(target) };
	enum ip_family family = address_family(&address[0]);
	const struct attachment *at = &h->gw->tables->attachment[attachment];
	struct rte_mbuf *m = rte_pktmbuf_alloc(h->pool);
	uint8_t *eth, destination[6];
	uint16_t ethertype;
	struct packet *p;
	uint32_t len;

	assert_non_null(m);
	eth = (uint8_t *)rte_pktmbuf_append(m, 14 + NEIGHBOUR_FRAME_MAX);
	len = neighbour_message_write(eth + 14, kind, family, address_ip(&address[0]), mac,
				      address_ip(&address[1]),
				      kind == NEIGHBOUR_REPLY ? h->gw->port[at->port].mac : NULL,
				      address_ip(&address[2]), destination, &ethertype);
	store_be16(eth + 12, ethertype);
	p = mbuf_packet(m);
	*p = (struct packet){
		.mbuf = m,
		.l3 = eth + 14,
		.tenant = at->tenant,
		.route = HANDOFF_NEIGHBOUR,
		.attachment = attachment,
		.length = (uint16_t)len,
		.rx_port = (uint8_t)at->port,
		.family = (uint8_t)family,
		.walk = ABI_TRACE_LOCAL,
	};
	p->generation = handoff_generation(h->gw->tables, p);
	return m;
}

struct rte_mbuf *house_sent(struct house *h)
{
	void *m;

	while (rte_ring_dequeue(h->inbox, &m) == 0) {
		struct packet *p = mbuf_packet(m);

		if (p->route != HANDOFF_UNREACHABLE)
			return m;
		/* As the worker would. */
		p->reason = DROP_neighbour_failed;
		drop_count(&h->worker->stats, p);
		rte_pktmbuf_free(m);
	}
	return NULL;
}

uint32_t house_sent_free(struct house *h)
{
	struct rte_mbuf *m;
	uint32_t n = 0;

	for (; (m = house_sent(h)) != NULL; n++)
		rte_pktmbuf_free(m);
	return n;
}

uint32_t house_route(const struct house *h, uint32_t tenant, const char *to)
{
	struct abi_address address = make_address(to);

	return route_lookup(h->gw->tables->routes, &h->gw->tables->vrf[tenant],
			    address_family(&address), address_ip(&address));
}

uint64_t house_drops(const struct house *h, uint32_t tenant, enum drop_reason reason)
{
	return h->gw->own.tenant_drops[tenant].reason[reason] +
	       h->worker->stats.tenant_drops[tenant].reason[reason];
}
