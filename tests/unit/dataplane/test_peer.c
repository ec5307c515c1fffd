/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers that move: what of a worker's note is believed, and what a SET leaves of it. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"
#include "apply.h"
#include "event.h"
#include "gateway_fixture.h"
#include "peer.h"
#include "reclaim.h"
#include "sa_template.h"

#define SA_OLD 11
#define SA_NEW 12
#define SA_OUT 13

struct world {
	struct fixture *f;
	struct gateway *gw;
	struct apply *apply;
};

static void set(struct world *w, uint16_t type, const void *record)
{
	char text[ABI_TEXT_LEN];

	assert_int_equal(apply_record(w->apply, type, record, text, sizeof(text)), 0);
}

static struct abi_tunnel follower(uint32_t more)
{
	struct abi_tunnel tunnel = make_tunnel(1, 1, "192.0.2.1", "198.51.100.7");

	tunnel.flags = ABI_TUNNEL_FOLLOW | more;
	if (more & ABI_TUNNEL_UDP) {
		tunnel.local_port = 4500;
		tunnel.remote_port = 4500;
	}
	return tunnel;
}

static struct world world_create(uint32_t more)
{
	struct world w = { .f = fixture_create(NULL, 1) };
	struct abi_attachment wan = make_attachment(1, 0, "wan", 0, "192.0.2.1/24", NULL);
	struct abi_route way = make_route_gateway(0, "198.51.100.0/24", 1, "192.0.2.254");
	struct abi_tunnel tunnel = follower(more);
	struct abi_tenant tenant = make_tenant(1);
	struct abi_sa sa;

	w.gw = &w.f->gw;
	wan.address[2] = make_address("192.0.2.9/32");
	assert_int_equal(apply_create(w.gw, &w.apply), 0);
	set(&w, ABI_ATTACHMENT_SET, &wan);
	set(&w, ABI_ROUTE_SET, &way);
	set(&w, ABI_TENANT_SET, &tenant);
	set(&w, ABI_TUNNEL_SET, &tunnel);
	sa = make_sa_in(SA_OLD, 1, 0x1001);
	set(&w, ABI_SA_SET, &sa);
	sa = make_sa_in(SA_NEW, 1, 0x1002);
	set(&w, ABI_SA_SET, &sa);
	sa = make_sa_out(SA_OUT, 1, 0x2001);
	set(&w, ABI_SA_SET, &sa);
	apply_commit(w.apply);
	return w;
}

static void world_destroy(struct world *w)
{
	apply_destroy(w->apply);
	fixture_destroy(w->f);
}

static void note(struct world *w, uint32_t sa, uint64_t sequence, const char *from, uint16_t port)
{
	struct abi_address address = make_address(from);
	struct event_note n = {
		.kind = ABI_EVENT_PEER_MOVED,
		.sa = sa,
		.generation = w->gw->tables->sa[sa].in.generation,
		.count = 1,
		.value = sequence,
		.family = address.family,
		.port = port,
	};

	memcpy(n.address, address.addr, sizeof(n.address));
	peer_note(w->gw, &n);
}

/* Everything that says where the peer is says this. */
static void expect_at(struct world *w, const char *where, uint16_t port, uint64_t moves)
{
	const struct tunnel_peer *peer = &w->gw->tunnel[1].peer;
	const struct sa_out *out = &w->gw->tables->sa[SA_OUT].out;
	struct abi_address address = make_address(where);
	struct abi_event events[8];
	enum ip_family family;

	reclaim_wait(w->gw->tables->reclaim);
	assert_memory_equal(&peer->remote, &address, sizeof(address));
	assert_int_equal(peer->port, port);
	assert_int_equal(peer->moves, moves);
	assert_true(ip_equal(sa_template_remote(out, out->active, &family), address_ip(&address)));
	if (port != 0)
		assert_int_equal(ntohs(*(const uint16_t *)(const void *)(out->header[out->active] +
									 SA_TEMPLATE_LEN - 22)),
				 port);
	for (uint32_t sa = SA_OLD; sa <= SA_NEW; sa++) {
		assert_memory_equal(w->gw->tables->sa[sa].in.peer, address.addr, 16);
		assert_int_equal(w->gw->tables->sa[sa].in.peer_port, htons(port));
	}
	assert_int_equal(event_read(w->gw->events, 0, events, 8), moves);
	if (moves == 0)
		return;
	assert_int_equal(events[moves - 1].kind, ABI_EVENT_PEER_MOVED);
	assert_int_equal(events[moves - 1].tunnel, 1);
	assert_int_equal(events[moves - 1].tenant, 1);
}

static void it_moves(void **state)
{
	struct world w = world_create(0);
	struct abi_event event;

	expect_at(&w, "198.51.100.7", 0, 0);
	note(&w, SA_OLD, 5, "198.51.100.8", 0);
	expect_at(&w, "198.51.100.8", 0, 1);
	assert_int_equal(event_read(w.gw->events, 0, &event, 1), 1);
	assert_int_equal(event.sa, SA_OLD);
	assert_int_equal(event.spi, htonl(0x1001));
	assert_string_equal(address_text(&event.address).s, "198.51.100.8");
	note(&w, SA_OLD, 6, "198.51.100.8", 0); /* it is there already */
	expect_at(&w, "198.51.100.8", 0, 1);
	note(&w, SA_OLD, 7, "192.0.2.77", 0); /* on-link */
	expect_at(&w, "192.0.2.77", 0, 2);
	world_destroy(&w);
}

static void a_port_moves_too(void **state)
{
	struct world w = world_create(ABI_TUNNEL_UDP);

	expect_at(&w, "198.51.100.7", 4500, 0);
	note(&w, SA_OLD, 5, "198.51.100.7", 1024);
	expect_at(&w, "198.51.100.7", 1024, 1);
	note(&w, SA_OLD, 6, "198.51.100.8", 1024);
	expect_at(&w, "198.51.100.8", 1024, 2);
	note(&w, SA_OLD, 7, "198.51.100.9", 0); /* not in UDP */
	expect_at(&w, "198.51.100.8", 1024, 2);
	world_destroy(&w);
}

static void only_newer_packets_move_it(void **state)
{
	struct world w = world_create(0);

	note(&w, SA_OLD, 100, "198.51.100.8", 0);
	note(&w, SA_OLD, 100, "198.51.100.9", 0);
	note(&w, SA_OLD, 99, "198.51.100.9", 0);
	expect_at(&w, "198.51.100.8", 0, 1);
	/* A rekey begins anew at 1, and what is late under the old SA counts no longer. */
	note(&w, SA_NEW, 1, "198.51.100.9", 0);
	expect_at(&w, "198.51.100.9", 0, 2);
	note(&w, SA_OLD, 101, "198.51.100.8", 0);
	expect_at(&w, "198.51.100.9", 0, 2);
	world_destroy(&w);
}

static void not_everywhere(void **state)
{
	static const char *const nowhere[] = {
		"224.0.0.1", "255.255.255.255", "127.0.0.1",   "0.0.0.0",   "192.0.2.1",
		"192.0.2.9", "203.0.113.5",     "2001:db8::9", "240.0.0.1",
	};
	struct world w = world_create(0);
	struct abi_tunnel still = follower(0);

	for (uint32_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
		note(&w, SA_OLD, 5 + i, nowhere[i], 0);
	note(&w, SA_OLD, 20, "198.51.100.8", 4500); /* UDP where there is none */
	expect_at(&w, "198.51.100.7", 0, 0);
	still.flags = 0;
	set(&w, ABI_TUNNEL_SET, &still);
	apply_commit(w.apply);
	note(&w, SA_OLD, 30, "198.51.100.8", 0);
	expect_at(&w, "198.51.100.7", 0, 0);
	world_destroy(&w);
}

/* A race between two senders of authentic packets makes few moves, and the last word is not lost. */
static void not_too_often(void **state)
{
	struct world w = world_create(0);
	uint64_t moves;

	for (uint32_t i = 0; i < 100; i++)
		note(&w, SA_OLD, 5 + i, i & 1 ? "198.51.100.8" : "198.51.100.9", 0);
	moves = w.gw->tunnel[1].peer.moves;
	assert_in_range(moves, 1, 50);
	w.gw->tunnel[1].peer.ready = 0; /* time goes by */
	note(&w, SA_OLD, 200, "198.51.100.10", 0);
	expect_at(&w, "198.51.100.10", 0, moves + 1);
	world_destroy(&w);
}

static void what_the_operator_says(void **state)
{
	struct world w = world_create(0);
	struct abi_tunnel tunnel = follower(0);
	struct abi_sa sa = make_sa_out(20, 1, 0x3001);
	struct digest before, after;

	note(&w, SA_OLD, 5, "198.51.100.8", 0);
	/* The same again, or another policy: the peer is where it is, for a new SA as well. */
	set(&w, ABI_TUNNEL_SET, &tunnel);
	tunnel.cookie++;
	set(&w, ABI_TUNNEL_SET, &tunnel);
	tunnel.ttl = 9;
	tunnel.local = make_address("192.0.2.9");
	set(&w, ABI_TUNNEL_SET, &tunnel);
	set(&w, ABI_SA_SET, &sa);
	apply_commit(w.apply);
	expect_at(&w, "198.51.100.8", 0, 1);
	/* Another remote is where it is from now on; unless it is undone. */
	before = digest_take(w.gw);
	tunnel.remote = make_address("198.51.100.20");
	set(&w, ABI_TUNNEL_SET, &tunnel);
	expect_at(&w, "198.51.100.20", 0, 1);
	apply_rollback(w.apply);
	expect_at(&w, "198.51.100.8", 0, 1);
	after = digest_take(w.gw);
	assert_digest_equal(&before, &after);
	digest_free(&before);
	digest_free(&after);
	set(&w, ABI_TUNNEL_SET, &tunnel);
	apply_commit(w.apply);
	expect_at(&w, "198.51.100.20", 0, 1);
	/* It may move again, but not by what was sent before it moved last. */
	note(&w, SA_OLD, 6, "198.51.100.8", 0);
	expect_at(&w, "198.51.100.8", 0, 2);
	tunnel.flags = 0;
	set(&w, ABI_TUNNEL_SET, &tunnel);
	apply_commit(w.apply);
	expect_at(&w, "198.51.100.20", 0, 2);
	world_destroy(&w);
}

/* IKE hears that the peer has moved, and has the tunnel moved there. */
static void told_what_it_knows(void **state)
{
	struct world w = world_create(ABI_TUNNEL_UDP);
	struct abi_tunnel tunnel = follower(ABI_TUNNEL_UDP);

	note(&w, SA_OLD, 5, "198.51.100.8", 1027);
	w.gw->tunnel[1].path.mtu = 1400;
	tunnel.remote = make_address("198.51.100.8");
	tunnel.remote_port = 1027;
	tunnel.cookie++;
	set(&w, ABI_TUNNEL_SET, &tunnel);
	apply_commit(w.apply);
	expect_at(&w, "198.51.100.8", 1027, 1);
	assert_int_equal(w.gw->tunnel[1].path.mtu, 1400);
	w.gw->tunnel[1].path.mtu = 0; /* which would be another event */
	/* What was sent before it moved still moves nothing. */
	note(&w, SA_OLD, 4, "198.51.100.7", 4500);
	expect_at(&w, "198.51.100.8", 1027, 1);
	note(&w, SA_OLD, 6, "198.51.100.9", 1028);
	expect_at(&w, "198.51.100.9", 1028, 2);
	world_destroy(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_moves),
		cmocka_unit_test(a_port_moves_too),
		cmocka_unit_test(only_newer_packets_move_it),
		cmocka_unit_test(not_everywhere),
		cmocka_unit_test(not_too_often),
		cmocka_unit_test(what_the_operator_says),
		cmocka_unit_test(told_what_it_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
