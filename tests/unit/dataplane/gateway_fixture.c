/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway_fixture.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"
#include "aead.h"
#include "deadline.h"
#include "dump.h"
#include "event.h"
#include "neighbour.h"
#include "out_queue.h"
#include "reclaim.h"
#include "sad.h"
#include "trace.h"
#include "vrf.h"

/* The ports are no DPDK devices: what dumps say of them is this. */
void port_describe(const struct port *port, struct abi_port *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->name, port->name, sizeof(out->name));
	memcpy(out->mac, port->mac, sizeof(out->mac));
	out->index = port->index;
	out->mtu = port->mtu;
}

static void port_make(struct fixture *f, uint16_t index, const char *name)
{
	struct port *port = &f->port[index];

	memcpy(port->name, name, strlen(name));
	port->index = index;
	port->mtu = 1500;
	memcpy(port->mac, (uint8_t[]){ 2, 0, 0, 0, 1, (uint8_t)index }, 6);
	assert_int_equal(tables_add_port(f->gw.tables, index, port->mac), 0);
}

struct fixture *fixture_create(const struct tables_size *size, uint32_t readers)
{
	static const struct tables_size small = {
		.max_tenants = FIXTURE_TENANTS,
		.max_attachments = FIXTURE_ATTACHMENTS,
		.max_tunnels = FIXTURE_TUNNELS,
		.max_sas = FIXTURE_SAS,
		.max_adjacencies = 256,
		.route_bytes = 64 << 20,
	};
	struct fixture *f = calloc(1, sizeof(*f));
	struct gateway *gw;

	assert_non_null(f);
	gw = &f->gw;
	gw->size = size != NULL ? *size : small;
	gw->boot = 77;
	gw->port = f->port;
	gw->ports = 2;
	assert_int_equal(
		aead_engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, 2 * gw->size.max_sas, &gw->aead),
		0);
	assert_int_equal(tables_create(&gw->size, gw->aead, readers, &gw->tables), 0);
	assert_int_equal(stats_create(&gw->size, 2, gw->boot, &gw->stats), 0);
	gw->own = stats_writer(gw->stats, 0);
	port_make(f, 0, "lan");
	port_make(f, 1, "wan");
	gw->tenant = calloc(gw->size.max_tenants, sizeof(*gw->tenant));
	gw->attachment = calloc(gw->size.max_attachments, sizeof(*gw->attachment));
	gw->tunnel = calloc(gw->size.max_tunnels, sizeof(*gw->tunnel));
	gw->sa = calloc(gw->size.max_sas, sizeof(*gw->sa));
	gw->life = calloc(gw->size.max_sas, sizeof(*gw->life));
	assert_true(gw->tenant && gw->attachment && gw->tunnel && gw->sa && gw->life);
	assert_int_equal(neighbours_create(gw, &gw->neighbours), 0);
	assert_int_equal(trace_create(&gw->trace), 0);
	assert_int_equal(path_mtu_create(gw), 0);
	assert_int_equal(event_log_create(&gw->events), 0);
	gw->deadlines = deadlines_create(gw->size.max_sas);
	assert_non_null(gw->deadlines);
	return f;
}

void fixture_destroy(struct fixture *f)
{
	struct gateway *gw = &f->gw;

	reclaim_wait(gw->tables->reclaim);
	neighbours_destroy(gw->neighbours);
	tables_destroy(gw->tables);
	trace_destroy(gw->trace);
	path_mtu_destroy(gw);
	event_log_destroy(gw->events);
	deadlines_destroy(gw->deadlines);
	stats_destroy(gw->stats);
	aead_engine_destroy(gw->aead);
	free(gw->tenant);
	free(gw->attachment);
	free(gw->tunnel);
	free(gw->sa);
	free(gw->life);
	free(f);
}

/* ---- digest ---- */

/* A line of text: what it is, and its bytes in hexadecimal. */
static void digest_add(struct digest *d, const char *what, const void *bytes, size_t size)
{
	const uint8_t *b = bytes;
	size_t need = strlen(what) + 2 * size + 3;

	if (d->size + need > d->room) {
		d->room = 2 * (d->size + need);
		d->text = realloc(d->text, d->room);
		assert_non_null(d->text);
	}
	d->size += (size_t)snprintf(d->text + d->size, need, "%s ", what);
	for (size_t i = 0; i < size; i++) {
		d->text[d->size++] = "0123456789abcdef"[b[i] >> 4];
		d->text[d->size++] = "0123456789abcdef"[b[i] & 15];
	}
	memcpy(d->text + d->size++, "\n", 2);
}

/* An adjacency by what it stands for: its index may be another one. */
static void digest_adjacency(struct digest *d, struct gateway *gw, uint32_t index)
{
	const struct adjacency *a = &gw->tables->adjacency[index];
	uint32_t attachment = 0;
	enum ip_family family = IP_V4;
	struct ip_addr addr = { 0, 0 };

	if (index != 0) {
		assert_int_equal(neighbour_of(gw->neighbours, index, &attachment, &family, &addr),
				 0);
		assert_int_not_equal(a->state, ADJACENCY_FREE);
		assert_int_equal(a->attachment, attachment);
		assert_int_equal(a->tenant, gw->attachment[attachment].record.tenant);
		/* The MAC address counts once it is known. */
		if (a->state == ADJACENCY_COMPLETE)
			digest_add(d, "destination", a->header, 6);
		digest_add(d, "header", a->header + 6, 12);
		digest_add(d, "state", &a->state, 1);
		digest_add(d, "port and mtu", &a->port, 4);
	}
	digest_add(d, "next hop on", &attachment, sizeof(attachment));
	digest_add(d, "next hop", &addr, sizeof(addr));
}

struct route_arg {
	struct digest *d;
	struct gateway *gw;
};

static int digest_route(void *arg, enum ip_family family, struct ip_addr prefix, uint8_t len,
			uint32_t value)
{
	struct route_arg *r = arg;
	uint32_t kind = route_kind(value);

	digest_add(r->d, "route of family", &family, sizeof(family));
	digest_add(r->d, "prefix", &prefix, sizeof(prefix));
	digest_add(r->d, "prefix length", &len, sizeof(len));
	digest_add(r->d, "route kind", &kind, sizeof(kind));
	if (kind == ROUTE_KIND_ADJACENCY)
		digest_adjacency(r->d, r->gw, route_index(value));
	else
		digest_add(r->d, "route value", &value, sizeof(value));
	return 0;
}

static int neighbour_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct abi_neighbour));
}

static void digest_records(struct digest *d, uint32_t kind, struct out_message *m)
{
	static const char *const name[] = { "",           "tenant",
					    "attachment", "tunnel",
					    "sa",         "route",
					    "neighbour",  [ABI_DUMP_SELECTORS] = "selectors" };
	size_t size = (m->size - sizeof(m->header)) / (m->header.count != 0 ? m->header.count : 1);

	for (uint32_t i = 0; i < m->header.count; i++)
		digest_add(d, name[kind], (uint8_t *)out_message_records(m) + i * size, size);
}

static void digest_dumps(struct digest *d, struct gateway *gw)
{
	for (uint32_t kind = ABI_DUMP_TENANT; kind <= ABI_DUMP_SELECTORS; kind++) {
		struct abi_dump what = { .kind = kind, .tenant = UINT32_MAX };
		struct out_queue q = { 0 };

		if (kind == ABI_DUMP_PORT || kind == ABI_DUMP_REASON)
			continue;
		assert_int_equal(dump_queue(gw, &what, 0, &q), 0);
		for (struct out_message *m = q.first; m != NULL; m = m->next) {
			if (kind == ABI_DUMP_NEIGHBOUR)
				qsort(out_message_records(m), m->header.count,
				      sizeof(struct abi_neighbour), neighbour_compare);
			digest_add(d, "records", &m->header.count, sizeof(m->header.count));
			digest_records(d, kind, m);
		}
		out_queue_clear(&q);
	}
}

static void digest_sa(struct digest *d, struct gateway *gw, uint32_t id)
{
	union sa slot = gw->tables->sa[id];

	if (gw->sa[id].id == 0)
		return;
	if (gw->sa[id].direction == ABI_SA_OUT) {
		/* Which of its templates sends is nobody's business. */
		if (slot.out.active == 1) {
			slot.out.outer[0] = slot.out.outer[1];
			memcpy(slot.out.header[0], slot.out.header[1], SA_TEMPLATE_LEN);
		}
		memset(&slot.out.outer[1], 0, sizeof(slot.out.outer[1]));
		memset(slot.out.header[1], 0, SA_TEMPLATE_LEN);
		slot.out.active = 0;
		digest_adjacency(d, gw, slot.out.outer[0].adjacency);
		assert_int_equal(slot.out.outer[0].adjacency, gw->sa[id].adjacency);
		slot.out.outer[0].adjacency = 0;
	} else {
		uint32_t found = sad_lookup(gw->tables->sad, slot.in.spi);

		digest_add(d, "found", &found, sizeof(found));
	}
	digest_add(d, "sa slot", &slot, sizeof(slot));
	digest_add(d, "sa counters", &gw->own.sa[id].packets, sizeof(uint64_t));
	digest_add(d, "sa next", &gw->sa[id].next, sizeof(uint32_t));
}

struct digest digest_take(struct gateway *gw)
{
	struct digest d = { 0 };
	struct tables *t = gw->tables;

	reclaim_wait(t->reclaim);
	digest_dumps(&d, gw);
	for (uint32_t i = 0; i < gw->size.max_tenants; i++) {
		struct route_arg arg = { &d, gw };

		route_walk(t->routes, &t->vrf[i], digest_route, &arg);
		digest_add(&d, "tenant counts", &gw->tenant[i].attachments, 3 * sizeof(uint32_t));
		if (gw->tenant[i].record.id != 0)
			digest_add(&d, "tenant counters", &gw->own.tenant[i],
				   sizeof(gw->own.tenant[i]));
	}
	for (uint32_t i = 0; i < gw->size.max_attachments; i++)
		if (gw->attachment[i].record.id != 0) {
			struct attachment entry = t->attachment[i];

			entry.generation = 0; /* an id taken and given back has had a use more */
			digest_add(&d, "attachment entry", &entry, sizeof(entry));
			digest_add(&d, "attachment routes", &gw->attachment[i].routes,
				   sizeof(uint32_t));
			digest_add(&d, "attachment counters", &gw->own.attachment[i],
				   sizeof(gw->own.attachment[i]));
		}
	for (uint32_t i = 0; i < gw->size.max_tunnels; i++)
		if (gw->tunnel[i].record.id != 0) {
			digest_add(&d, "tunnel entry", &t->tunnel[i], sizeof(t->tunnel[i]));
			digest_add(&d, "tunnel counts", &gw->tunnel[i].sas_in,
				   5 * sizeof(uint32_t));
			digest_add(&d, "tunnel counters", &gw->own.tunnel[i],
				   sizeof(gw->own.tunnel[i]));
		}
	for (uint32_t i = 0; i < gw->size.max_sas; i++)
		digest_sa(&d, gw, i);
	for (uint32_t i = 0; i < gw->ports; i++)
		digest_add(&d, "vlans", t->port[i].vlan, VLANS * sizeof(uint32_t));
	return d;
}

void digest_free(struct digest *d)
{
	free(d->text);
	*d = (struct digest){ 0 };
}

void assert_digest_equal(const struct digest *a, const struct digest *b)
{
	const char *x = a->text, *y = b->text;

	while (*x != '\0' && *x == *y) {
		const char *x_end = strchr(x, '\n'), *y_end = strchr(y, '\n');

		if (x_end - x != y_end - y || memcmp(x, y, (size_t)(x_end - x)) != 0)
			break;
		x = x_end + 1;
		y = y_end + 1;
	}
	if (*x != '\0' || *y != '\0')
		fail_msg("first difference:\n- %.*s\n+ %.*s", (int)strcspn(x, "\n"), x,
			 (int)strcspn(y, "\n"), y);
}

/* ---- records ---- */

struct abi_address make_address(const char *text)
{
	struct abi_address address = { 0 };
	char buffer[64];
	char *slash;

	assert_true(strlen(text) < sizeof(buffer));
	memcpy(buffer, text, strlen(text) + 1);
	slash = strchr(buffer, '/');
	if (slash != NULL) {
		*slash = '\0';
		address.prefix_len = (uint8_t)strtoul(slash + 1, NULL, 10);
	}
	address.family = strchr(buffer, ':') != NULL ? ABI_IPV6 : ABI_IPV4;
	assert_int_equal(
		inet_pton(address.family == ABI_IPV6 ? AF_INET6 : AF_INET, buffer, address.addr),
		1);
	return address;
}

struct abi_tenant make_tenant(uint32_t id)
{
	return (struct abi_tenant){ .id = id, .cookie = 0x1000 + id };
}

struct abi_attachment make_attachment(uint32_t id, uint32_t tenant, const char *port, uint16_t vlan,
				      const char *v4, const char *v6)
{
	struct abi_attachment r = {
		.id = id,
		.tenant = tenant,
		.vlan = vlan,
		.cookie = 0x2000 + id,
	};

	memcpy(r.port, port, strlen(port));
	if (v4 != NULL)
		r.address[0] = make_address(v4);
	if (v6 != NULL)
		r.address[1] = make_address(v6);
	return r;
}

struct abi_tunnel make_tunnel(uint32_t id, uint32_t tenant, const char *local, const char *remote)
{
	return (struct abi_tunnel){
		.id = id,
		.tenant = tenant,
		.local = make_address(local),
		.remote = make_address(remote),
		.cookie = 0x3000 + id,
	};
}

static struct abi_sa make_sa(uint32_t id, uint32_t tunnel, uint32_t spi, uint8_t direction)
{
	struct abi_sa r = {
		.id = id,
		.tunnel = tunnel,
		.spi = htonl(spi),
		.direction = direction,
		.flags = ABI_SA_ESN,
		.key_len = 16,
		.cookie = 0x4000 + id,
	};

	memset(r.key, (int)(spi & 0xff), r.key_len);
	memset(r.salt, 9, sizeof(r.salt));
	return r;
}

struct abi_sa make_sa_in(uint32_t id, uint32_t tunnel, uint32_t spi)
{
	struct abi_sa r = make_sa(id, tunnel, spi, ABI_SA_IN);

	r.window = 1024;
	return r;
}

struct abi_sa make_sa_out(uint32_t id, uint32_t tunnel, uint32_t spi)
{
	struct abi_sa r = make_sa(id, tunnel, spi, ABI_SA_OUT);

	r.sequence = 1;
	r.sequence_limit = 1 << 20;
	return r;
}

struct abi_route make_route_tunnel(uint32_t tenant, const char *prefix, uint32_t tunnel)
{
	return (struct abi_route){
		.tenant = tenant,
		.kind = ABI_ROUTE_TUNNEL,
		.target = tunnel,
		.prefix = make_address(prefix),
	};
}

struct abi_route make_route_gateway(uint32_t tenant, const char *prefix, uint32_t attachment,
				    const char *via)
{
	return (struct abi_route){
		.tenant = tenant,
		.kind = ABI_ROUTE_GATEWAY,
		.target = attachment,
		.prefix = make_address(prefix),
		.via = make_address(via),
	};
}

struct abi_route make_route_blackhole(uint32_t tenant, const char *prefix)
{
	return (struct abi_route){
		.tenant = tenant,
		.kind = ABI_ROUTE_BLACKHOLE,
		.prefix = make_address(prefix),
	};
}

struct abi_neighbour make_neighbour(uint32_t attachment, const char *address, uint8_t mac_last)
{
	return (struct abi_neighbour){
		.attachment = attachment,
		.mac = { 2, 0, 0, 0, 9, mac_last },
		.address = make_address(address),
	};
}
