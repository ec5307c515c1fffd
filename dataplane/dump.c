/* SPDX-License-Identifier: BSD-3-Clause */
#include "dump.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "apply.h"
#include "drop.h"
#include "gateway.h"
#include "object_sa.h"
#include "neighbour.h"
#include "out_queue.h"
#include "port.h"
#include "route_record.h"
#include "route_table.h"

#define TENANT_ALL UINT32_MAX

struct dump {
	const struct gateway *gw;
	struct out_queue messages; /* so far */
	uint64_t request;
	size_t size; /* of a record */
	uint32_t room;
	uint32_t used; /* records in the last message */
	uint32_t tenant;
};

/* Room for the next record, zeroed. NULL: no memory. */
static void *dump_next(struct dump *d)
{
	struct out_message *m = d->messages.last;

	if (m == NULL || d->used == d->room) {
		m = out_message_make(ABI_DUMP_RECORDS, d->request, d->gw->generation, d->size,
				     d->room);
		if (m == NULL)
			return NULL;
		out_queue_add(&d->messages, m);
		d->used = 0;
	}
	return (uint8_t *)out_message_records(m) + d->used++ * d->size;
}

static int dump_add(struct dump *d, const void *record)
{
	void *to = dump_next(d);

	if (to == NULL)
		return -ENOMEM;
	memcpy(to, record, d->size);
	return 0;
}

static int dump_tenants(struct dump *d)
{
	int error = 0;

	for (uint32_t id = 1; id < d->gw->size.max_tenants && error == 0; id++)
		if (d->gw->tenant[id].record.id != 0)
			error = dump_add(d, &d->gw->tenant[id].record);
	return error;
}

static int dump_attachments(struct dump *d)
{
	int error = 0;

	for (uint32_t id = 1; id < d->gw->size.max_attachments && error == 0; id++)
		if (d->gw->attachment[id].record.id != 0)
			error = dump_add(d, &d->gw->attachment[id].record);
	return error;
}

static int dump_tunnels(struct dump *d)
{
	int error = 0;

	for (uint32_t id = 1; id < d->gw->size.max_tunnels && error == 0; id++)
		if (d->gw->tunnel[id].record.id != 0)
			error = dump_add(d, &d->gw->tunnel[id].record);
	return error;
}

static int dump_selectors(struct dump *d)
{
	struct abi_selectors *record;

	for (uint32_t id = 1; id < d->gw->size.max_tunnels; id++) {
		if (d->gw->tables->selectors[id] == NULL)
			continue;
		record = dump_next(d);
		if (record == NULL)
			return -ENOMEM;
		selectors_record(d->gw, id, record);
	}
	return 0;
}

/* The records never had key and salt; the sequence number is the workers'. */
static int dump_sas(struct dump *d)
{
	struct abi_sa *record;

	for (uint32_t id = 1; id < d->gw->size.max_sas; id++) {
		if (d->gw->sa[id].id == 0)
			continue;
		record = dump_next(d);
		if (record == NULL)
			return -ENOMEM;
		*record = object_sa_record(d->gw, id);
		record->state = (uint8_t)lifetime_state(d->gw, id);
		if (record->direction == ABI_SA_OUT)
			record->sequence = __atomic_load_n(&d->gw->tables->sa[id].out.sequence,
							   __ATOMIC_RELAXED);
	}
	return 0;
}

struct vrf_walk {
	struct dump *dump;
	uint32_t tenant;
};

static int dump_route(void *arg, enum ip_family family, struct ip_addr prefix, uint8_t len,
		      uint32_t value)
{
	struct vrf_walk *walk = arg;
	struct abi_route record;

	if (!route_record(walk->dump->gw, walk->tenant, family, prefix, len, value, &record))
		return 0;
	return dump_add(walk->dump, &record);
}

static int dump_routes(struct dump *d)
{
	const struct tables *t = d->gw->tables;
	int error = 0;

	for (uint32_t id = 0; id < d->gw->size.max_tenants && error == 0; id++) {
		struct vrf_walk walk = { .dump = d, .tenant = id };

		if ((d->tenant == TENANT_ALL || d->tenant == id) && d->gw->tenant[id].routes != 0)
			error = route_walk(t->routes, &t->vrf[id], dump_route, &walk);
	}
	return error;
}

static int dump_neighbour(void *arg, const struct abi_neighbour *neighbour)
{
	struct dump *d = arg;
	const struct abi_attachment *at = &d->gw->attachment[neighbour->attachment].record;
	struct abi_neighbour record = *neighbour;

	if (at->id == 0 || (d->tenant != TENANT_ALL && d->tenant != at->tenant))
		return 0;
	record.address.prefix_len = 0; /* as it is set */
	if (record.state == ABI_NEIGHBOUR_INCOMPLETE)
		memset(record.mac, 0, sizeof(record.mac)); /* what it was says nothing */
	return dump_add(d, &record);
}

static int dump_neighbours(struct dump *d)
{
	return neighbour_walk(d->gw->neighbours, dump_neighbour, d);
}

static int dump_ports(struct dump *d)
{
	for (uint32_t i = 0; i < d->gw->ports; i++) {
		struct abi_port *record = dump_next(d);

		if (record == NULL)
			return -ENOMEM;
		port_describe(&d->gw->port[i], record);
	}
	return 0;
}

static int dump_reasons(struct dump *d)
{
	for (uint32_t i = 0; i < DROP_COUNT; i++) {
		struct abi_reason *record = dump_next(d);

		if (record == NULL)
			return -ENOMEM;
		record->number = i;
		snprintf(record->name, sizeof(record->name), "%s", drop_name(i));
		snprintf(record->text, sizeof(record->text), "%s", drop_text(i));
	}
	return 0;
}

/* Of the SA that was set last. */
static uint16_t tunnel_inner_mtu(const struct gateway *gw, const struct object_tunnel *tunnel)
{
	const struct sa_out *sa = &gw->tables->sa[tunnel->newest_out].out;

	return tunnel->newest_out != 0 ? sa_inner_mtu(sa, sa_active(sa)) : 0;
}

static int dump_tunnel_states(struct dump *d)
{
	for (uint32_t id = 1; id < d->gw->size.max_tunnels; id++) {
		const struct object_tunnel *tunnel = &d->gw->tunnel[id];
		struct abi_tunnel_state *record;

		if (tunnel->record.id == 0)
			continue;
		record = dump_next(d);
		if (record == NULL)
			return -ENOMEM;
		record->id = id;
		record->path_mtu = tunnel->path.mtu;
		record->inner_mtu = tunnel_inner_mtu(d->gw, tunnel);
		record->remote = tunnel->peer.remote;
		record->remote_port = tunnel->peer.port;
		record->moves = tunnel->peer.moves;
	}
	return 0;
}

static const struct dump_kind {
	size_t size;
	int (*write)(struct dump *d);
} kinds[] = {
	[ABI_DUMP_TENANT] = { sizeof(struct abi_tenant), dump_tenants },
	[ABI_DUMP_ATTACHMENT] = { sizeof(struct abi_attachment), dump_attachments },
	[ABI_DUMP_TUNNEL] = { sizeof(struct abi_tunnel), dump_tunnels },
	[ABI_DUMP_SA] = { sizeof(struct abi_sa), dump_sas },
	[ABI_DUMP_ROUTE] = { sizeof(struct abi_route), dump_routes },
	[ABI_DUMP_NEIGHBOUR] = { sizeof(struct abi_neighbour), dump_neighbours },
	[ABI_DUMP_PORT] = { sizeof(struct abi_port), dump_ports },
	[ABI_DUMP_REASON] = { sizeof(struct abi_reason), dump_reasons },
	[ABI_DUMP_SELECTORS] = { sizeof(struct abi_selectors), dump_selectors },
	[ABI_DUMP_TUNNEL_STATE] = { sizeof(struct abi_tunnel_state), dump_tunnel_states },
};

int dump_queue(const struct gateway *gw, const struct abi_dump *what, uint64_t request,
	       struct out_queue *queue)
{
	struct dump d = { .gw = gw, .request = request, .tenant = what->tenant };
	struct out_message *end, *m;
	int error;

	if (what->kind >= sizeof(kinds) / sizeof(kinds[0]) || kinds[what->kind].size == 0)
		return -EINVAL;
	d.size = kinds[what->kind].size;
	d.room = (uint32_t)((ABI_MESSAGE_MAX - sizeof(struct abi_header)) / d.size);
	error = kinds[what->kind].write(&d);
	end = error == 0 ? out_message_make(ABI_DUMP_END, request, gw->generation, 0, 0) : NULL;
	if (end == NULL) {
		out_queue_clear(&d.messages);
		return -ENOMEM;
	}
	if (d.messages.last != NULL)
		out_message_shorten(d.messages.last, d.size, d.used);
	out_queue_add(&d.messages, end);
	while ((m = d.messages.first) != NULL) {
		d.messages.first = m->next;
		out_queue_add(queue, m);
	}
	return 0;
}
