/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_rcu_qsbr.h>

#include "address.h"
#include "aead.h"
#include "apply_calls.h"
#include "gateway_fixture.h"
#include "neighbour.h"
#include "reclaim.h"
#include "replay.h"
#include "sa_template.h"
#include "sad.h"
#include "underlay.h"
#include "vrf.h"

static struct apply *begin(struct fixture *f)
{
	struct apply *a;

	assert_int_equal(apply_create(&f->gw, &a), 0);
	return a;
}

static void end(struct fixture *f, struct apply *a)
{
	apply_destroy(a);
	fixture_destroy(f);
}

#define REFUSE(a, what, record, error)                                    \
	do {                                                              \
		typeof(record) set_record = (record);                     \
		assert_int_equal(try(a, ABI_##what, &set_record), error); \
	} while (0)

static uint32_t lookup(struct gateway *gw, uint32_t tenant, const char *text)
{
	struct abi_address address = make_address(text);

	return route_lookup(gw->tables->routes, &gw->tables->vrf[tenant], address_family(&address),
			    address_ip(&address));
}

#define assert_route(gw, tenant, text, kind, index) \
	assert_int_equal(lookup(gw, tenant, text), route_value(kind, index))

/* An underlay and two tenants with the same addresses, a tunnel each, SAs and routes. */
static void world_build(struct apply *a)
{
	SET(a, ATTACHMENT, make_attachment(1, 0, "wan", 0, "192.0.2.1/24", "2001:db8::1/64"));
	SET(a, NEIGHBOUR, make_neighbour(1, "192.0.2.254", 254));
	SET(a, ROUTE, make_route_gateway(0, "0.0.0.0/0", 1, "192.0.2.254"));
	for (uint32_t t = 1; t <= 2; t++) {
		SET(a, TENANT, make_tenant(t));
		SET(a, ATTACHMENT,
		    make_attachment(10 + t, t, "lan", (uint16_t)(100 + t), "10.0.0.1/24",
				    "fd00:1::1/64"));
		SET(a, TUNNEL, make_tunnel(t, t, "192.0.2.1", "198.51.100.7"));
		SET(a, SA, make_sa_in(10 * t + 1, t, 0x1000 + t));
		SET(a, SA, make_sa_out(10 * t + 2, t, 0x2000 + t));
		SET(a, ROUTE, make_route_tunnel(t, "10.1.0.0/24", t));
		SET(a, ROUTE, make_route_tunnel(t, "fd00:2::/64", t));
		SET(a, ROUTE, make_route_gateway(t, "172.16.0.0/12", 10 + t, "10.0.0.254"));
		SET(a, ROUTE, make_route_blackhole(t, "192.168.0.0/16"));
		SET(a, NEIGHBOUR, make_neighbour(10 + t, "10.0.0.9", (uint8_t)t));
	}
	apply_commit(a);
}

static void objects_reach_the_tables(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct gateway *gw = &f->gw;
	struct tables *t = gw->tables;
	struct apply *a = begin(f);
	const struct sa_out *out = &t->sa[12].out;
	const struct sa_in *in = &t->sa[11].in;
	uint32_t adjacency;

	world_build(a);
	assert_route(gw, 1, "10.0.0.1", ROUTE_KIND_LOCAL, 11);
	assert_route(gw, 2, "10.0.0.1", ROUTE_KIND_LOCAL, 12);
	assert_route(gw, 1, "10.0.0.77", ROUTE_KIND_ONLINK, 11);
	assert_route(gw, 1, "fd00:1::77", ROUTE_KIND_ONLINK, 11);
	/* 02:00:00:00:01:00 with its bit flipped and ff:fe in the middle */
	assert_route(gw, 1, "fe80::ff:fe00:100", ROUTE_KIND_LOCAL, 11);
	assert_route(gw, 1, "10.1.0.5", ROUTE_KIND_TUNNEL, 1);
	assert_route(gw, 2, "fd00:2::5", ROUTE_KIND_TUNNEL, 2);
	assert_route(gw, 1, "192.168.3.4", ROUTE_KIND_BLACKHOLE, 0);
	assert_int_equal(lookup(gw, 1, "8.8.8.8"), ROUTE_NONE);
	adjacency = lookup(gw, 2, "172.16.5.5");
	assert_int_equal(route_kind(adjacency), ROUTE_KIND_ADJACENCY);
	assert_int_equal(t->adjacency[route_index(adjacency)].attachment, 12);
	assert_int_equal(t->adjacency[route_index(adjacency)].state, ADJACENCY_INCOMPLETE);
	adjacency = lookup(gw, 1, "10.0.0.9");
	assert_int_equal(t->adjacency[route_index(adjacency)].state, ADJACENCY_COMPLETE);

	assert_int_equal(t->port[0].vlan[101], 11);
	assert_int_equal(t->port[1].vlan[0], 1);
	assert_int_equal(t->attachment[12].tenant, 2);
	assert_int_equal(t->attachment[12].vlan, 102);
	assert_int_equal(t->attachment[12].mtu, 1500);

	assert_int_equal(sad_lookup(t->sad, htonl(0x1001)), 11);
	assert_int_equal(in->tunnel, 1);
	assert_int_equal(in->tenant, 1);
	assert_int_equal(in->flags, SA_ESN);
	assert_int_equal((uintptr_t)in->replay % 64, 0);
	assert_int_equal(t->tunnel[1].sa_out, 12);
	assert_int_equal(out->spi, htonl(0x2001));
	assert_int_equal(out->sequence, 1);
	assert_int_equal(out->sequence_limit, 1 << 20);
	assert_int_equal(out->active, 0);
	assert_int_equal(out->outer[0].header_len, 36);
	assert_int_equal(t->adjacency[out->outer[0].adjacency].attachment, 1);
	assert_int_not_equal(out->outer[0].inner_mtu, 0);
	/* No key is kept where it isn't needed. */
	for (uint32_t spi = 0x1001; spi <= 0x2001; spi += 0x1000) {
		struct abi_sa sa = make_sa_in(1, 1, spi);

		assert_null(memmem(gw->sa, gw->size.max_sas * sizeof(*gw->sa), sa.key, 8));
		assert_null(memmem(gw->life, gw->size.max_sas * sizeof(*gw->life), sa.key, 8));
		assert_null(memmem(gw->tables->sa, gw->size.max_sas * sizeof(union sa), sa.key, 8));
	}
	end(f, a);
}

/* What must not be, with what it is refused. */
static void conflicts_are_refused(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	struct digest before, after;
	struct abi_attachment attachment;
	struct abi_tunnel tunnel;
	struct abi_sa sa;

	world_build(a);
	before = digest_take(&f->gw);

	/* port and VLAN, networks, addresses */
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 2, "lan", 101, "10.7.0.1/24", NULL), -EEXIST);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "dmz", 7, NULL, NULL), -ENOENT);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 9, "lan", 7, NULL, NULL), -ENOENT);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 7, "10.0.0.129/25", NULL), -EEXIST);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 7, "10.9.9.9/8", NULL), -EEXIST);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 7, "10.1.0.1/24", NULL), -EEXIST);
	REFUSE(a, ATTACHMENT_SET, make_attachment(11, 2, "lan", 101, NULL, NULL), -EEXIST);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 7, "10.7.0.0/24", NULL), -EINVAL);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 7, "10.7.0.255/24", NULL), -EINVAL);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 7, "224.0.0.1/24", NULL), -EINVAL);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 7, NULL, "fe80::1/64"), -EINVAL);
	REFUSE(a, ATTACHMENT_SET, make_attachment(20, 1, "lan", 4095, NULL, NULL), -EINVAL);
	attachment = make_attachment(20, 1, "lan", 7, "10.7.0.1/24", NULL);
	attachment.mtu = 9000;
	REFUSE(a, ATTACHMENT_SET, attachment, -EINVAL);
	attachment = make_attachment(20, 0, "lan", 7, NULL, NULL);
	memcpy(attachment.netdev, "lan0", 5);
	REFUSE(a, ATTACHMENT_SET, attachment, -ENOTSUP); /* there is no netlink in this test */
	attachment.tenant = 1;
	REFUSE(a, ATTACHMENT_SET, attachment, -EINVAL);
	/* in use */
	assert_int_equal(remove_id(a, ABI_TENANT_DELETE, 1), -EBUSY);
	assert_int_equal(remove_id(a, ABI_TUNNEL_DELETE, 1), -EBUSY);
	assert_int_equal(remove_id(a, ABI_ATTACHMENT_DELETE, 11), -EBUSY);
	assert_int_equal(remove_id(a, ABI_TENANT_DELETE, 9), -ENOENT);
	assert_int_equal(remove_id(a, ABI_TENANT_DELETE, 0), -EINVAL);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 0xffffffff), -ENOENT);
	/* moved or renumbered under its routes */
	REFUSE(a, ATTACHMENT_SET, make_attachment(11, 1, "lan", 103, "10.0.0.1/24", "fd00:1::1/64"),
	       -EBUSY);
	REFUSE(a, ATTACHMENT_SET, make_attachment(11, 1, "lan", 101, "10.0.9.1/24", "fd00:1::1/64"),
	       -EBUSY);
	/* tunnels */
	REFUSE(a, TUNNEL_SET, make_tunnel(1, 2, "192.0.2.1", "198.51.100.7"), -EEXIST);
	REFUSE(a, TUNNEL_SET, make_tunnel(3, 9, "192.0.2.1", "198.51.100.7"), -ENOENT);
	REFUSE(a, TUNNEL_SET, make_tunnel(3, 0, "192.0.2.1", "198.51.100.7"), -EINVAL);
	REFUSE(a, TUNNEL_SET, make_tunnel(3, 1, "192.0.2.1", "2001:db8::9"), -EINVAL);
	REFUSE(a, TUNNEL_SET, make_tunnel(3, 1, "192.0.2.1", "192.0.2.1"), -EINVAL);
	REFUSE(a, TUNNEL_SET, make_tunnel(3, 1, "192.0.2.1", "239.1.1.1"), -EINVAL);
	tunnel = make_tunnel(3, 1, "192.0.2.1", "198.51.100.7");
	tunnel.flags = ABI_TUNNEL_UDP;
	REFUSE(a, TUNNEL_SET, tunnel, -EINVAL);
	tunnel.local_port = 4501; /* nothing that came there would be seen as ESP */
	tunnel.remote_port = 4500;
	REFUSE(a, TUNNEL_SET, tunnel, -EINVAL);
	/* SAs */
	REFUSE(a, SA_SET, make_sa_in(50, 1, 0x1002), -EEXIST);
	REFUSE(a, SA_SET, make_sa_in(50, 9, 0x5000), -ENOENT);
	REFUSE(a, SA_SET, make_sa_in(50, 1, 255), -EINVAL);
	sa = make_sa_in(11, 1, 0x1001);
	sa.cookie++;
	REFUSE(a, SA_SET, sa, -EEXIST);
	sa = make_sa_in(50, 1, 0x5000);
	sa.key_len = 20;
	REFUSE(a, SA_SET, sa, -EINVAL);
	sa.key_len = 16;
	sa.window = 4097;
	REFUSE(a, SA_SET, sa, -EINVAL);
	sa = make_sa_out(50, 1, 0x5000);
	sa.sequence = 0;
	REFUSE(a, SA_SET, sa, -EINVAL);
	sa.sequence = sa.sequence_limit;
	REFUSE(a, SA_SET, sa, -EINVAL);
	sa.sequence = 1;
	sa.flags = 0;
	sa.sequence_limit = (1ull << 32) + 1;
	REFUSE(a, SA_SET, sa, -EINVAL);
	/* routes */
	REFUSE(a, ROUTE_SET, make_route_tunnel(1, "10.2.0.0/24", 2), -ENOENT);
	REFUSE(a, ROUTE_SET, make_route_tunnel(0, "10.2.0.0/24", 1), -EINVAL);
	REFUSE(a, ROUTE_SET, make_route_tunnel(1, "10.0.0.0/24", 1), -EEXIST);
	REFUSE(a, ROUTE_SET, make_route_tunnel(1, "10.0.0.1/32", 1), -EEXIST);
	REFUSE(a, ROUTE_SET, make_route_tunnel(1, "10.2.0.1/24", 1), -EINVAL);
	REFUSE(a, ROUTE_SET, make_route_tunnel(1, "fe80::/64", 1), -EINVAL);
	REFUSE(a, ROUTE_SET, make_route_gateway(1, "10.2.0.0/24", 12, "10.0.0.254"), -ENOENT);
	REFUSE(a, ROUTE_SET, make_route_gateway(1, "10.2.0.0/24", 11, "10.0.1.254"), -EINVAL);
	REFUSE(a, ROUTE_SET, make_route_gateway(1, "10.2.0.0/24", 11, "10.0.0.1"), -EINVAL);
	REFUSE(a, ROUTE_SET, make_route_gateway(1, "10.0.0.8/32", 11, "10.0.0.8"), -EINVAL);
	REFUSE(a, ROUTE_DELETE, make_route_blackhole(1, "10.77.0.0/16"), -ENOENT);
	REFUSE(a, ROUTE_DELETE, make_route_blackhole(1, "10.0.0.0/24"), -ENOENT);
	REFUSE(a, ROUTE_DELETE, make_route_blackhole(1, "10.0.0.9/32"), -ENOENT);
	/* neighbours */
	REFUSE(a, NEIGHBOUR_SET, make_neighbour(11, "10.0.1.9", 1), -EINVAL);
	REFUSE(a, NEIGHBOUR_SET, make_neighbour(11, "10.0.0.1", 1), -EINVAL);
	REFUSE(a, NEIGHBOUR_SET, make_neighbour(30, "10.0.0.9", 1), -ENOENT);
	REFUSE(a, NEIGHBOUR_DELETE, make_neighbour(11, "10.0.0.10", 0), -ENOENT);

	after = digest_take(&f->gw);
	assert_digest_equal(&before, &after);
	digest_free(&before);
	digest_free(&after);
	end(f, a);
}

/* ---- undo ---- */

struct step {
	uint16_t type;
	union {
		struct abi_id id;
		struct abi_tenant tenant;
		struct abi_attachment attachment;
		struct abi_tunnel tunnel;
		struct abi_sa sa;
		struct abi_sa_lease lease;
		struct abi_route route;
		struct abi_neighbour neighbour;
	};
};

#define STEPS_MAX 128

/* Adding, changing, deleting and taking ids again, of every kind. */
static uint32_t script(struct step *s)
{
	struct abi_attachment moved = make_attachment(12, 2, "lan", 102, "10.0.0.2/24", NULL);
	struct abi_tunnel udp = make_tunnel(1, 1, "2001:db8::1", "2001:db8:7::7");
	uint32_t n = 0;

	udp.flags = ABI_TUNNEL_UDP;
	udp.local_port = udp.remote_port = 4500;
	moved.mtu = 1400;
#define STEP(what, field, ...) s[n++] = (struct step){ .type = ABI_##what, .field = __VA_ARGS__ }
	STEP(TENANT_SET, tenant, make_tenant(3));
	STEP(ATTACHMENT_SET, attachment,
	     make_attachment(13, 3, "lan", 103, "10.0.0.1/24", "fd00:1::1/64"));
	STEP(ATTACHMENT_SET, attachment,
	     make_attachment(14, 3, "lan", 104, "10.4.0.1/24", "fd00:4::1/64"));
	STEP(NEIGHBOUR_SET, neighbour, make_neighbour(13, "10.0.0.7", 7));
	STEP(TUNNEL_SET, tunnel, make_tunnel(3, 3, "192.0.2.1", "198.51.100.8"));
	STEP(SA_SET, sa, make_sa_in(31, 3, 0x1003));
	STEP(SA_SET, sa, make_sa_out(32, 3, 0x2003));
	STEP(SA_SET, sa, make_sa_out(33, 3, 0x2004));
	STEP(SA_LEASE, lease, { .id = 32, .sequence_limit = 1 << 21 });
	STEP(SA_DELETE, id, { .id = 33 });
	STEP(SA_SET, sa, make_sa_in(33, 3, 0x1033)); /* an id taken again, in the other direction */
	STEP(ROUTE_SET, route, make_route_tunnel(3, "10.0.0.7/32", 3)); /* over a neighbour's */
	STEP(ROUTE_SET, route, make_route_gateway(3, "10.0.0.7/32", 13, "10.0.0.8"));
	STEP(ROUTE_DELETE, route, make_route_blackhole(3, "10.0.0.7/32"));
	STEP(NEIGHBOUR_SET, neighbour, make_neighbour(13, "10.0.0.7", 8));
	STEP(NEIGHBOUR_DELETE, neighbour, make_neighbour(13, "10.0.0.7", 0));
	STEP(TUNNEL_SET, tunnel, udp);
	STEP(SA_DELETE, id, { .id = 12 });
	STEP(SA_SET, sa, make_sa_out(12, 1, 0x2222));
	STEP(SA_SET, sa, make_sa_out(51, 1, 0x2223));
	STEP(SA_SET, sa, make_sa_out(51, 1, 0x2223)); /* what is there already */
	STEP(SA_DELETE, id, { .id = 12 });
	STEP(SA_DELETE, id, { .id = 11 });
	STEP(SA_SET, sa, make_sa_in(52, 2, 0x1001)); /* an SPI goes to another tenant */
	STEP(ROUTE_SET, route, make_route_tunnel(2, "172.16.0.0/12", 2));
	STEP(ROUTE_SET, route, make_route_gateway(2, "10.1.0.0/24", 12, "10.0.0.253"));
	STEP(ROUTE_DELETE, route, make_route_blackhole(2, "10.1.0.0/24"));
	STEP(ATTACHMENT_SET, attachment, moved);
	STEP(NEIGHBOUR_DELETE, neighbour, make_neighbour(12, "10.0.0.9", 0));
	STEP(ROUTE_DELETE, route, make_route_blackhole(1, "172.16.0.0/12"));
	STEP(ATTACHMENT_SET, attachment,
	     make_attachment(11, 1, "wan", 111, "10.0.0.1/24", "fd00:1::1/64"));
	STEP(ATTACHMENT_DELETE, id, { .id = 11 });
	STEP(ATTACHMENT_SET, attachment,
	     make_attachment(11, 3, "lan", 101, "10.33.0.1/24", NULL)); /* another tenant's now */
	STEP(ROUTE_DELETE, route, make_route_blackhole(1, "10.1.0.0/24"));
	STEP(ROUTE_DELETE, route, make_route_blackhole(1, "fd00:2::/64"));
	STEP(ROUTE_DELETE, route, make_route_blackhole(1, "192.168.0.0/16"));
	STEP(SA_DELETE, id, { .id = 51 });
	STEP(TUNNEL_DELETE, id, { .id = 1 });
	STEP(TENANT_DELETE, id, { .id = 1 });
	STEP(TENANT_SET, tenant, make_tenant(1));
	STEP(TUNNEL_SET, tunnel, make_tunnel(1, 3, "192.0.2.1", "198.51.100.9"));
	STEP(SA_SET, sa, make_sa_out(12, 1, 0x2333));
	STEP(ROUTE_DELETE, route, make_route_blackhole(0, "0.0.0.0/0"));
	STEP(NEIGHBOUR_DELETE, neighbour, make_neighbour(1, "192.0.2.254", 0));
	STEP(ATTACHMENT_SET, attachment,
	     make_attachment(1, 0, "wan", 0, "192.0.3.1/24", "2001:db8::1/64"));
	STEP(ATTACHMENT_DELETE, id, { .id = 14 });
	STEP(ATTACHMENT_DELETE, id, { .id = 1 });
	STEP(ATTACHMENT_SET, attachment,
	     make_attachment(1, 0, "lan", 9, "192.0.3.1/24", "2001:db8::1/64"));
#undef STEP
	assert_true(n <= STEPS_MAX);
	return n;
}

/* Counters that must be there again when an id was lent to another object meanwhile. */
static void counters_mark(struct gateway *gw)
{
	struct stats_writer worker = stats_writer(gw->stats, 1);

	for (uint32_t i = 1; i <= 2; i++) {
		gw->own.tenant[i].in_packets = 100 + i;
		worker.tenant[i].in_packets = 150 + i;
		gw->own.tunnel[i].out_packets = 200 + i;
		gw->own.attachment[10 + i].rx_packets = 300 + i;
	}
	gw->own.sa[12].packets = 412;
}

static void failure_at_any_record_undoes_all(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	struct step steps[STEPS_MAX];
	struct digest before, after;
	uint32_t n;

	world_build(a);
	counters_mark(&f->gw);
	f->gw.tables->sa[12].out.sequence = 4711; /* as workers would */
	underlay_poll(&f->gw);
	before = digest_take(&f->gw);
	n = script(steps);
	for (uint32_t k = 0; k <= n; k++) {
		for (uint32_t i = 0; i < k; i++)
			assert_int_equal(try(a, steps[i].type, &steps[i].id), 0);
		REFUSE(a, TENANT_SET, ((struct abi_tenant){ .id = FIXTURE_TENANTS }), -EINVAL);
		apply_rollback(a);
		underlay_poll(&f->gw);
		after = digest_take(&f->gw);
		assert_digest_equal(&before, &after);
		digest_free(&after);
	}
	digest_free(&before);
	/* And once for good. */
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(try(a, steps[i].type, &steps[i].id), 0);
	apply_commit(a);
	assert_int_equal(f->gw.own.tenant[1].in_packets, 0);
	assert_int_equal(f->gw.own.tunnel[2].out_packets, 202);
	assert_int_equal(sad_lookup(f->gw.tables->sad, htonl(0x1001)), 52);
	end(f, a);
}

static uint32_t pick(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(*seed >> 8) * n >> 24);
}

/* Anything, over few ids and prefixes, so that it often meets something. */
static struct step random_step(uint32_t *seed)
{
	static const char *const v4[] = { "10.0.0.1/24", "10.0.0.2/24", "10.5.0.1/16",
					  "10.6.0.1/32", NULL };
	static const char *const v6[] = { "fd00:1::1/64", "fd00:2::1/48", NULL };
	static const char *const prefix[] = { "10.9.0.0/16", "10.9.1.0/24", "10.0.0.9/32",
					      "fd00:9::/32", "0.0.0.0/0" };
	static const char *const via[] = { "10.0.0.9", "10.5.7.7", "10.0.0.10", "fd00:1::9" };
	uint32_t tenant = pick(seed, 3), tunnel = 1 + pick(seed, 4), sa = 1 + pick(seed, 12);
	uint32_t attachment = 1 + pick(seed, 6);
	struct step s = { 0 };

	switch (pick(seed, 14)) {
	case 0:
		s.type = ABI_TENANT_SET;
		s.tenant = make_tenant(1 + pick(seed, 3));
		s.tenant.cookie = pick(seed, 9);
		break;
	case 1:
		s.type = ABI_TENANT_DELETE;
		s.id.id = 1 + pick(seed, 3);
		break;
	case 2:
	case 3:
		s.type = ABI_ATTACHMENT_SET;
		s.attachment = make_attachment(attachment, tenant, pick(seed, 2) ? "lan" : "wan",
					       (uint16_t)pick(seed, 4), v4[pick(seed, 5)],
					       v6[pick(seed, 3)]);
		s.attachment.mtu = pick(seed, 4) == 0 ? 1300 : 0;
		break;
	case 4:
		s.type = ABI_ATTACHMENT_DELETE;
		s.id.id = attachment;
		break;
	case 5:
		s.type = ABI_TUNNEL_SET;
		s.tunnel = make_tunnel(tunnel, 1 + pick(seed, 2), "192.0.2.1",
				       pick(seed, 2) ? "10.0.0.9" : "10.9.1.1");
		if (pick(seed, 2)) {
			s.tunnel.flags = ABI_TUNNEL_UDP;
			s.tunnel.local_port = s.tunnel.remote_port = 4500;
		}
		break;
	case 6:
		s.type = ABI_TUNNEL_DELETE;
		s.id.id = tunnel;
		break;
	case 7:
	case 8:
		s.type = ABI_SA_SET;
		s.sa = pick(seed, 2) ? make_sa_in(sa, tunnel, 0x1000 + pick(seed, 8))
				     : make_sa_out(sa, tunnel, 0x2000 + sa);
		break;
	case 9:
		s.type = ABI_SA_DELETE;
		s.id.id = sa;
		break;
	case 10:
		s.type = ABI_SA_LEASE;
		s.lease = (struct abi_sa_lease){ .id = sa,
						 .sequence_limit = (1 << 20) + pick(seed, 99999) };
		break;
	case 11:
		s.type = ABI_ROUTE_SET;
		switch (pick(seed, 3)) {
		case 0:
			s.route = make_route_tunnel(tenant, prefix[pick(seed, 5)], tunnel);
			break;
		case 1:
			s.route = make_route_gateway(tenant, prefix[pick(seed, 5)], attachment,
						     via[pick(seed, 4)]);
			break;
		default:
			s.route = make_route_blackhole(tenant, prefix[pick(seed, 5)]);
		}
		break;
	case 12:
		s.type = ABI_ROUTE_DELETE;
		s.route = make_route_blackhole(tenant, prefix[pick(seed, 5)]);
		break;
	default:
		s.type = pick(seed, 3) ? ABI_NEIGHBOUR_SET : ABI_NEIGHBOUR_DELETE;
		s.neighbour = make_neighbour(attachment, via[pick(seed, 4)],
					     (uint8_t)(1 + pick(seed, 3)));
	}
	return s;
}

/* Half of the transactions are committed, so that the undone ones meet every state. */
static void random_transactions_undo(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	struct digest before, after;
	uint32_t seed = 1, applied = 0, undone = 0;
	char text[ABI_TEXT_LEN];

	for (uint32_t round = 0; round < 4000; round++) {
		uint32_t records = 1 + pick(&seed, 40);
		bool keep = pick(&seed, 2);

		before = digest_take(&f->gw);
		for (uint32_t i = 0; i < records; i++) {
			struct step s = random_step(&seed);

			if (apply_record(a, s.type, &s.id, text, sizeof(text)) == 0)
				applied++;
			if (pick(&seed, 50) == 0)
				reclaim_poll(f->gw.tables->reclaim);
		}
		if (keep) {
			apply_commit(a);
			underlay_poll(&f->gw);
		} else {
			apply_rollback(a);
			underlay_poll(&f->gw);
			after = digest_take(&f->gw);
			assert_digest_equal(&before, &after);
			digest_free(&after);
			undone++;
		}
		digest_free(&before);
	}
	assert_true(applied > 10000);
	assert_true(undone > 1000);
	end(f, a);
}

/* ---- beside workers ---- */

struct reader {
	struct gateway *gw;
	uint32_t id;
	const bool *stop;
	uint64_t routes; /* that led somewhere */
	uint64_t sealed;
	uint64_t opened;
	uint64_t strangers; /* anything that belongs to another tenant, or to nothing */
};

/* What a worker does with a tunnel: the key and the template must be there to be used. */
static void reader_seal(struct reader *r, uint32_t tunnel)
{
	const struct tables *t = r->gw->tables;
	uint32_t id = __atomic_load_n(&t->tunnel[tunnel].sa_out, __ATOMIC_ACQUIRE);
	struct sa_out *sa = &t->sa[id].out;
	uint8_t packet[64 + 32] = { 0 }, n = sa_active(sa);
	struct aead_op op = { .aad_len = 8 };
	const struct sa_outer *outer;
	uint32_t index;

	if (id == 0)
		return;
	outer = &sa->outer[n];
	memcpy(packet, sa->header[n], SA_TEMPLATE_LEN);
	if (packet[64 - outer->header_len] >> 4 != (outer->flags & SA_OUTER_V6 ? 6 : 4) ||
	    memcmp(packet + 64 - 16, &sa->spi, 4) != 0)
		r->strangers++;
	index = __atomic_load_n(&outer->adjacency, __ATOMIC_RELAXED);
	r->strangers += t->adjacency[index].tenant != 0;
	op.key = sa->key;
	op.iv = __atomic_fetch_add(&sa->sequence, 1, __ATOMIC_RELAXED);
	op.data = packet + 64;
	op.len = 16;
	op.tag = packet + 80;
	aead_encrypt(r->gw->aead, &op, 1);
	__atomic_fetch_add(&r->sealed, 1, __ATOMIC_RELAXED);
}

static void reader_open(struct reader *r, uint32_t spi)
{
	const struct tables *t = r->gw->tables;
	uint32_t id = sad_lookup(t->sad, htonl(spi));
	const struct sa_in *sa = &t->sa[id].in;
	uint8_t packet[32] = { 0 };
	struct aead_op op = { .aad_len = 8, .len = 16, .data = packet, .tag = packet + 16 };

	if (id == 0)
		return;
	if (sa->spi != htonl(spi))
		r->strangers++;
	op.key = sa->key;
	replay_lock(sa->replay);
	replay_commit(sa->replay, sa->replay->top + 1);
	replay_unlock(sa->replay);
	if (aead_decrypt(r->gw->aead, &op, 1) != 1)
		r->strangers++;
	__atomic_fetch_add(&r->opened, 1, __ATOMIC_RELAXED);
}

static void reader_route(struct reader *r, uint32_t tenant, const char *to)
{
	const struct tables *t = r->gw->tables;
	uint32_t value = lookup(r->gw, tenant, to), index = route_index(value);

	switch (route_kind(value)) {
	case ROUTE_KIND_TUNNEL:
		r->strangers += t->tunnel[index].tenant != tenant;
		reader_seal(r, index);
		break;
	case ROUTE_KIND_LOCAL:
	case ROUTE_KIND_ONLINK:
		r->strangers += t->attachment[index].tenant != tenant;
		break;
	case ROUTE_KIND_ADJACENCY:
		r->strangers += t->adjacency[index].tenant != tenant;
		break;
	default:
		return;
	}
	__atomic_fetch_add(&r->routes, 1, __ATOMIC_RELAXED);
}

static void *reader_run(void *arg)
{
	static const char *const to[] = { "10.9.0.5", "10.9.1.5", "10.0.0.9",   "10.0.0.1",
					  "fd00:9::", "8.8.8.8",  "fd00:1::42", "10.6.0.1" };
	struct reader *r = arg;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(r->gw->tables->reclaim);
	uint32_t seed = r->id;

	rte_rcu_qsbr_thread_register(qsbr, r->id);
	rte_rcu_qsbr_thread_online(qsbr, r->id);
	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		for (uint32_t i = 0; i < 16; i++) {
			reader_route(r, pick(&seed, 3), to[pick(&seed, 8)]);
			reader_open(r, 0x1000 + pick(&seed, 8));
		}
		rte_rcu_qsbr_quiescent(qsbr, r->id);
		sched_yield();
	}
	rte_rcu_qsbr_thread_offline(qsbr, r->id);
	rte_rcu_qsbr_thread_unregister(qsbr, r->id);
	return NULL;
}

static bool readers_busy(const struct reader reader[2])
{
	for (uint32_t i = 0; i < 2; i++)
		if (__atomic_load_n(&reader[i].routes, __ATOMIC_RELAXED) < 1000 ||
		    __atomic_load_n(&reader[i].sealed, __ATOMIC_RELAXED) < 100 ||
		    __atomic_load_n(&reader[i].opened, __ATOMIC_RELAXED) < 100)
			return false;
	return true;
}

/*
 * Committed and undone transactions under readers: nothing is freed or reused while they hold it (which
 * is for the sanitizers to see), and none ever meets what belongs to another tenant.
 */
static void readers_never_meet_strangers(void **state)
{
	struct fixture *f = fixture_create(NULL, 2);
	struct apply *a = begin(f);
	struct reader reader[2];
	pthread_t thread[2];
	bool stop = false;
	uint32_t seed = 9;
	char text[ABI_TEXT_LEN];

	for (uint32_t i = 0; i < 2; i++) {
		reader[i] = (struct reader){ .gw = &f->gw, .id = i, .stop = &stop };
		assert_int_equal(pthread_create(&thread[i], NULL, reader_run, &reader[i]), 0);
	}
	/* As long as it takes both of them to come by often enough. */
	for (uint32_t round = 0; round < 1000 || !readers_busy(reader); round++) {
		for (uint32_t i = 1 + pick(&seed, 30); i > 0; i--) {
			struct step s = random_step(&seed);

			(void)apply_record(a, s.type, &s.id, text, sizeof(text));
		}
		if (pick(&seed, 3))
			apply_commit(a);
		else
			apply_rollback(a);
		underlay_poll(&f->gw);
		reclaim_poll(f->gw.tables->reclaim);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(reader[i].strangers, 0);
	}
	end(f, a);
}

/* ---- what each kind has of its own ---- */

static void newest_outbound_sa_sends(void **state)
{
	static const uint32_t order[][3] = { { 61, 60, 61 }, { 61, 61, 12 }, { 12, 12, 0 } };
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	const struct tunnel *tunnel = &f->gw.tables->tunnel[1];

	world_build(a);
	SET(a, SA, make_sa_out(60, 1, 0x6000));
	SET(a, SA, make_sa_out(61, 1, 0x6001));
	apply_commit(a);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(tunnel->sa_out, order[i][0]);
		assert_int_equal(remove_id(a, ABI_SA_DELETE, order[i][1]), 0);
		apply_rollback(a);
		assert_int_equal(tunnel->sa_out, order[i][0]);
		assert_int_equal(remove_id(a, ABI_SA_DELETE, order[i][1]), 0);
		apply_commit(a);
		assert_int_equal(tunnel->sa_out, order[i][2]);
	}
	end(f, a);
}

static struct abi_sa make_sa_of(uint32_t id, uint16_t cpu)
{
	struct abi_sa sa = make_sa_out(id, 1, 0x6000 + id);

	sa.cpu = cpu;
	return sa;
}

static void assert_senders(const struct tables *t, bool spread, uint32_t common, uint32_t first,
			   uint32_t second)
{
	assert_int_equal(t->tunnel[1].sa_out, common);
	assert_int_equal(t->sa[common].out.spread, spread);
	if (!spread)
		return;
	assert_int_equal(*tables_worker_sa(t, 1, 0), first);
	assert_int_equal(*tables_worker_sa(t, 1, 1), second);
}

/* The newest of each worker's own, else of those for all. */
static void workers_have_sas_of_their_own(void **state)
{
	struct fixture *f = fixture_create(NULL, 2);
	struct apply *a = begin(f);
	const struct tables *t = f->gw.tables;
	struct abi_sa in = make_sa_in(70, 1, 0x7000);

	world_build(a);
	assert_senders(t, false, 12, 0, 0);
	SET(a, SA, make_sa_of(60, 2));
	assert_senders(t, false, 12, 0, 0);
	apply_commit(a);
	assert_senders(t, true, 12, 12, 60);
	SET(a, SA, make_sa_of(61, 1));
	SET(a, SA, make_sa_of(62, 4)); /* of the second one, too, where there are two */
	SET(a, SA, make_sa_of(63, 0));
	apply_rollback(a);
	assert_senders(t, true, 12, 12, 60);
	SET(a, SA, make_sa_of(61, 1));
	SET(a, SA, make_sa_of(62, 4));
	SET(a, SA, make_sa_of(63, 0));
	apply_commit(a);
	assert_senders(t, true, 63, 61, 62);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 62), 0);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 61), 0);
	apply_commit(a);
	assert_senders(t, true, 63, 63, 60);
	REFUSE(a, SA_SET, make_sa_of(60, 1), -EEXIST);
	in.cpu = 1;
	REFUSE(a, SA_SET, in, -EINVAL);
	/* Where none is for all, the newest is. */
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 63), 0);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 12), 0);
	apply_commit(a);
	assert_senders(t, true, 60, 60, 60);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 60), 0);
	apply_commit(a);
	assert_int_equal(t->tunnel[1].sa_out, 0);
	SET(a, SA, make_sa_of(60, 0));
	apply_commit(a);
	assert_senders(t, false, 60, 0, 0);
	end(f, a);
}

/* Setting what is there neither renews its turn nor its sequence number. */
static void live_sa_is_left_alone(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);

	world_build(a);
	SET(a, SA, make_sa_out(60, 1, 0x6000));
	apply_commit(a);
	f->gw.tables->sa[12].out.sequence = 500;
	SET(a, SA, make_sa_out(12, 1, 0x2001));
	SET(a, SA, make_sa_in(11, 1, 0x1001));
	apply_commit(a);
	assert_int_equal(f->gw.tables->tunnel[1].sa_out, 60);
	assert_int_equal(f->gw.tables->sa[12].out.sequence, 500);
	end(f, a);
}

static int remove_route(struct apply *a, uint32_t tenant, const char *prefix)
{
	struct abi_route r = { .tenant = tenant, .prefix = make_address(prefix) };

	return try(a, ABI_ROUTE_DELETE, &r);
}

/*
 * Nothing may be sent under a key whose transaction can still fail, for the client may set the same
 * SA again from the same number on; and the old SA sends until the new one does.
 */
static void senders_change_when_the_transaction_is_over(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	const struct tables *t = f->gw.tables;
	uint32_t adjacency;

	world_build(a);
	adjacency = t->sa[12].out.outer[0].adjacency;
	for (uint32_t keep = 0; keep < 2; keep++) {
		SET(a, SA, make_sa_out(60, 1, 0x6000));
		assert_int_equal(t->tunnel[1].sa_out, 12);
		assert_int_equal(remove_id(a, ABI_SA_DELETE, 12), 0);
		reclaim_wait(t->reclaim);
		assert_int_equal(t->tunnel[1].sa_out, 12);
		assert_int_equal(t->sa[12].out.outer[0].adjacency, adjacency);
		assert_int_equal(t->adjacency[adjacency].state, ADJACENCY_COMPLETE);
		if (keep)
			apply_commit(a);
		else
			apply_rollback(a);
		assert_int_equal(t->tunnel[1].sa_out, keep ? 60 : 12);
	}
	/* Its id is taken again: then it must end before. */
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 60), 0);
	SET(a, SA, make_sa_out(60, 1, 0x6660));
	assert_int_equal(t->tunnel[1].sa_out, 0);
	apply_rollback(a);
	assert_int_equal(t->tunnel[1].sa_out, 60);
	assert_int_equal(t->sa[60].out.spi, htonl(0x6000));
	/* So it must when its tunnel's id goes to another tenant. */
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 60), 0);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 11), 0);
	assert_int_equal(remove_route(a, 1, "10.1.0.0/24"), 0);
	assert_int_equal(remove_route(a, 1, "fd00:2::/64"), 0);
	assert_int_equal(remove_id(a, ABI_TUNNEL_DELETE, 1), 0);
	assert_int_equal(t->tunnel[1].sa_out, 0);
	SET(a, TUNNEL, make_tunnel(1, 2, "192.0.2.1", "198.51.100.9"));
	assert_int_equal(t->tunnel[1].sa_out, 0);
	apply_rollback(a);
	assert_int_equal(t->tunnel[1].sa_out, 60);
	end(f, a);
}

static void leases_only_rise(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	const struct sa_out *out = &f->gw.tables->sa[12].out;
	struct abi_sa_lease lease = { .id = 12, .sequence_limit = 1 << 20 };
	struct abi_sa again = make_sa_out(12, 1, 0x2001);

	world_build(a);
	REFUSE(a, SA_LEASE, lease, -EINVAL);
	lease.sequence_limit = 1 << 22;
	assert_int_equal(try(a, ABI_SA_LEASE, &lease), 0);
	assert_int_equal(out->sequence_limit, 1 << 22);
	again.sequence_limit = 1 << 21;
	assert_int_equal(try(a, ABI_SA_SET, &again), 0);
	assert_int_equal(out->sequence_limit, 1 << 22);
	again.sequence_limit = 1 << 23;
	assert_int_equal(try(a, ABI_SA_SET, &again), 0);
	assert_int_equal(out->sequence_limit, 1 << 23);
	apply_rollback(a);
	assert_int_equal(out->sequence_limit, 1 << 20);
	lease.id = 11;
	REFUSE(a, SA_LEASE, lease, -EINVAL);
	end(f, a);
}

/* Where an SA's packets go, as they are sent now. */
static void assert_sends_to(const struct sa_out *sa, const char *remote)
{
	struct abi_address address = make_address(remote);
	enum ip_family family;
	struct ip_addr to = sa_template_remote(sa, sa->active, &family);

	assert_int_equal(family, address_family(&address));
	assert_true(ip_equal(to, address_ip(&address)));
}

/*
 * Other ends come without a gap, and a template is never rewritten while a worker could copy it: a
 * second change waits for the readers of the first, and of several that wait the last counts.
 */
static void tunnel_changes_leave_no_gap(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	struct tables *t = f->gw.tables;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(t->reclaim);
	const struct sa_out *old = &t->sa[12].out, *new = &t->sa[60].out;
	uint8_t header[2][SA_TEMPLATE_LEN];

	world_build(a);
	SET(a, ROUTE, make_route_gateway(0, "::/0", 1, "2001:db8::fe"));
	memcpy(header[0], old->header[0], SA_TEMPLATE_LEN);
	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	SET(a, TUNNEL, make_tunnel(1, 1, "2001:db8::1", "2001:db8:7::7"));
	assert_int_equal(t->tunnel[1].sa_out, 12);
	assert_int_equal(old->active, 1);
	assert_int_equal(old->outer[1].header_len, 56);
	assert_int_not_equal(old->outer[1].adjacency, 0);
	assert_int_not_equal(old->outer[1].adjacency, old->outer[0].adjacency);
	assert_sends_to(old, "2001:db8:7::7");
	assert_memory_equal(old->header[0], header[0], SA_TEMPLATE_LEN);
	assert_int_equal(t->adjacency[old->outer[0].adjacency].state, ADJACENCY_COMPLETE);

	/* Nothing of either is touched, whatever comes; a new SA has the newest ends at once. */
	memcpy(header[1], old->header[1], SA_TEMPLATE_LEN);
	SET(a, TUNNEL, make_tunnel(1, 1, "192.0.2.1", "198.51.100.8"));
	SET(a, TUNNEL, make_tunnel(1, 1, "192.0.2.1", "198.51.100.9"));
	SET(a, SA, make_sa_out(60, 1, 0x6000));
	apply_commit(a);
	underlay_changed(&f->gw);
	underlay_poll(&f->gw);
	assert_int_equal(t->tunnel[1].sa_out, 60);
	assert_int_equal(old->active, 1);
	assert_memory_equal(old->header, header, sizeof(header));
	assert_int_not_equal(old->outer[1].adjacency, 0);
	assert_sends_to(new, "198.51.100.9");

	rte_rcu_qsbr_quiescent(qsbr, 0);
	reclaim_poll(t->reclaim);
	assert_int_equal(t->tunnel[1].sa_out, 60);
	assert_sends_to(old, "198.51.100.9");
	assert_sends_to(new, "198.51.100.9");
	assert_int_equal(old->active, 0);
	assert_int_equal(old->outer[0].adjacency, new->outer[new->active].adjacency);
	assert_memory_equal(old->header[1], header[1], SA_TEMPLATE_LEN);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	end(f, a);
}

/* Undone while the change that is undone still waits for readers. */
static void tunnel_changes_undo(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = begin(f);
	struct tables *t = f->gw.tables;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(t->reclaim);
	struct digest before, after;

	world_build(a);
	before = digest_take(&f->gw);
	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	SET(a, TUNNEL, make_tunnel(1, 1, "192.0.2.1", "198.51.100.8"));
	SET(a, TUNNEL, make_tunnel(1, 1, "192.0.2.1", "198.51.100.9"));
	assert_int_equal(remove_id(a, ABI_SA_DELETE, 12), 0);
	apply_rollback(a);
	assert_int_equal(t->tunnel[1].sa_out, 12);
	assert_sends_to(&t->sa[12].out, "198.51.100.8");
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	after = digest_take(&f->gw);
	assert_digest_equal(&before, &after);
	digest_free(&before);
	digest_free(&after);
	end(f, a);
}

static void attachments_share_a_link_local_address(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct gateway *gw = &f->gw;
	struct apply *a = begin(f);

	SET(a, TENANT, make_tenant(1));
	SET(a, ATTACHMENT, make_attachment(6, 1, "lan", 1, NULL, "fd00:6::1/64"));
	SET(a, ATTACHMENT, make_attachment(5, 1, "lan", 2, NULL, "fd00:5::1/64"));
	SET(a, ATTACHMENT, make_attachment(7, 1, "wan", 2, NULL, "fd00:7::1/64"));
	assert_route(gw, 1, "fe80::ff:fe00:100", ROUTE_KIND_LOCAL, 5);
	assert_route(gw, 1, "fe80::ff:fe00:101", ROUTE_KIND_LOCAL, 7);
	assert_int_equal(remove_id(a, ABI_ATTACHMENT_DELETE, 5), 0);
	assert_route(gw, 1, "fe80::ff:fe00:100", ROUTE_KIND_LOCAL, 6);
	assert_int_equal(remove_id(a, ABI_ATTACHMENT_DELETE, 6), 0);
	assert_int_equal(lookup(gw, 1, "fe80::ff:fe00:100"), ROUTE_NONE);
	apply_rollback(a);
	assert_int_equal(lookup(gw, 1, "fe80::ff:fe00:101"), ROUTE_NONE);
	end(f, a);
}

/* Errors that no attachment is concerned with are sent from one that is there. */
static void a_tenant_has_a_speaker(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct gateway *gw = &f->gw;
	struct apply *a = begin(f);
	const uint32_t *speaker = gw->tables->speaker[1].attachment;

	SET(a, TENANT, make_tenant(1));
	SET(a, ATTACHMENT, make_attachment(6, 1, "lan", 1, NULL, "fd00:6::1/64"));
	assert_true(speaker[0] == 0 && speaker[1] == 6);
	SET(a, ATTACHMENT, make_attachment(5, 1, "lan", 2, "10.5.0.1/24", "fd00:5::1/64"));
	assert_true(speaker[0] == 5 && speaker[1] == 6);
	SET(a, ATTACHMENT, make_attachment(7, 1, "lan", 3, "10.7.0.1/24", NULL));
	apply_commit(a);
	assert_int_equal(remove_id(a, ABI_ATTACHMENT_DELETE, 5), 0);
	assert_true(speaker[0] == 7 && speaker[1] == 6);
	SET(a, ATTACHMENT, make_attachment(6, 1, "lan", 1, "10.6.0.1/24", NULL));
	assert_true(speaker[0] == 7 && speaker[1] == 0);
	apply_rollback(a);
	assert_true(speaker[0] == 7 && speaker[1] != 0);
	assert_int_equal(remove_id(a, ABI_ATTACHMENT_DELETE, 7), 0);
	assert_true(speaker[0] == 5);
	end(f, a);
}

static void changed_attachment_keeps_what_still_fits(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct gateway *gw = &f->gw;
	struct apply *a = begin(f);
	struct abi_attachment r = make_attachment(11, 1, "lan", 101, "10.0.0.2/25", "fd00:1::1/64");
	uint32_t value;

	world_build(a);
	SET(a, NEIGHBOUR, make_neighbour(11, "10.0.0.200", 200));
	SET(a, NEIGHBOUR, make_neighbour(11, "10.0.0.100", 100));
	assert_int_equal(
		try(a, ABI_ROUTE_DELETE,
		    &(struct abi_route){ .tenant = 1, .prefix = make_address("172.16.0.0/12") }),
		0);
	r.mtu = 1400;
	SET(a, ATTACHMENT, r);
	apply_commit(a);
	assert_route(gw, 1, "10.0.0.2", ROUTE_KIND_LOCAL, 11);
	assert_route(gw, 1, "10.0.0.1", ROUTE_KIND_ONLINK, 11);
	assert_int_equal(lookup(gw, 1, "10.0.0.200"), ROUTE_NONE);
	value = lookup(gw, 1, "10.0.0.100");
	assert_int_equal(route_kind(value), ROUTE_KIND_ADJACENCY);
	assert_int_equal(gw->tables->adjacency[route_index(value)].state, ADJACENCY_COMPLETE);
	assert_int_equal(gw->tables->adjacency[route_index(value)].mtu, 1400);
	/* The MTU alone changes in place. */
	r.mtu = 1300;
	SET(a, ATTACHMENT, r);
	assert_int_equal(lookup(gw, 1, "10.0.0.100"), value);
	assert_int_equal(gw->tables->adjacency[route_index(value)].mtu, 1300);
	end(f, a);
}

/* A neighbour's host route gives way to one that was set, and comes back behind it. */
static void set_routes_beat_learnt_ones(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct gateway *gw = &f->gw;
	struct apply *a = begin(f);
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 5 };
	struct abi_address address = make_address("10.0.0.5");
	struct abi_route route = make_route_tunnel(1, "10.0.0.5/32", 1);
	uint32_t learnt;

	world_build(a);
	neighbour_learn(gw->neighbours, 11, IP_V4, address_ip(&address), mac);
	learnt = lookup(gw, 1, "10.0.0.5");
	assert_int_equal(route_kind(learnt), ROUTE_KIND_ADJACENCY);
	SET(a, ROUTE, route);
	assert_route(gw, 1, "10.0.0.5", ROUTE_KIND_TUNNEL, 1);
	apply_rollback(a);
	assert_int_equal(lookup(gw, 1, "10.0.0.5"), learnt);
	SET(a, ROUTE, route);
	apply_commit(a);
	neighbour_learn(gw->neighbours, 11, IP_V4, address_ip(&address), mac);
	assert_route(gw, 1, "10.0.0.5", ROUTE_KIND_TUNNEL, 1);
	assert_int_equal(try(a, ABI_ROUTE_DELETE, &route), 0);
	apply_commit(a);
	neighbour_learn(gw->neighbours, 11, IP_V4, address_ip(&address), mac);
	assert_int_equal(lookup(gw, 1, "10.0.0.5"), learnt);
	end(f, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_reach_the_tables),
		cmocka_unit_test(conflicts_are_refused),
		cmocka_unit_test(failure_at_any_record_undoes_all),
		cmocka_unit_test(random_transactions_undo),
		cmocka_unit_test(readers_never_meet_strangers),
		cmocka_unit_test(newest_outbound_sa_sends),
		cmocka_unit_test(workers_have_sas_of_their_own),
		cmocka_unit_test(live_sa_is_left_alone),
		cmocka_unit_test(senders_change_when_the_transaction_is_over),
		cmocka_unit_test(leases_only_rise),
		cmocka_unit_test(tunnel_changes_leave_no_gap),
		cmocka_unit_test(tunnel_changes_undo),
		cmocka_unit_test(attachments_share_a_link_local_address),
		cmocka_unit_test(a_tenant_has_a_speaker),
		cmocka_unit_test(changed_attachment_keeps_what_still_fits),
		cmocka_unit_test(set_routes_beat_learnt_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
