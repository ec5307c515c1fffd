/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "acquire.h"
#include "reclaim.h"
#include "sad.h"
#include "vrf.h"

#define HUGE_PAGE ((size_t)2 << 20)

static size_t array_bytes(uint32_t entries, size_t entry_size)
{
	size_t bytes = entries * entry_size;

	return (bytes + 4095) & ~(size_t)4095;
}

/*
 * Zeroed address space; pages are taken when they are first written. An array that fills huge pages
 * starts on one and asks for them, so that a look-up doesn't miss in the TLB as well.
 */
static void *array_map(uint32_t entries, size_t entry_size)
{
	size_t bytes = array_bytes(entries, entry_size);
	size_t slack = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
	size_t head;
	uint8_t *p;

	p = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (slack == 0)
		return p;

	head = -(uintptr_t)p & (HUGE_PAGE - 1);
	if (head != 0)
		munmap(p, head);
	if (slack != head)
		munmap(p + head + bytes, slack - head);
	/* Best effort: without huge pages it only runs slower. */
	(void)madvise(p + head, bytes, MADV_HUGEPAGE);
	return p + head;
}

static void array_unmap(void *array, uint32_t entries, size_t entry_size)
{
	if (array != NULL)
		munmap(array, array_bytes(entries, entry_size));
}

static int arrays_create(struct tables *t)
{
	t->vrf = array_map(t->max_tenants, sizeof(*t->vrf));
	t->attachment = array_map(t->max_attachments, sizeof(*t->attachment));
	t->tunnel = array_map(t->max_tunnels, sizeof(*t->tunnel));
	t->selectors = array_map(t->max_tunnels, sizeof(*t->selectors));
	t->acquire = array_map(t->max_tunnels, sizeof(*t->acquire));
	t->sa = array_map(t->max_sas, sizeof(*t->sa));
	t->lifetime = array_map(t->max_sas, sizeof(*t->lifetime));
	t->adjacency = array_map(t->max_adjacencies, sizeof(*t->adjacency));
	t->speaker = array_map(t->max_tenants, sizeof(*t->speaker));
	t->worker_sa = array_map(t->max_tunnels, t->workers * sizeof(*t->worker_sa));
	if (t->vrf == NULL || t->speaker == NULL || t->attachment == NULL || t->tunnel == NULL ||
	    t->selectors == NULL || t->acquire == NULL || t->sa == NULL || t->lifetime == NULL ||
	    t->adjacency == NULL || t->worker_sa == NULL)
		return -ENOMEM;
	return 0;
}

static bool size_valid(const struct tables_size *size)
{
	const uint32_t max[] = { size->max_tenants, size->max_attachments, size->max_tunnels,
				 size->max_sas, size->max_adjacencies };

	for (size_t i = 0; i < sizeof(max) / sizeof(max[0]); i++)
		if (max[i] == 0 || max[i] > ROUTE_INDEX_MAX)
			return false;
	return true;
}

int tables_create(const struct tables_size *size, const struct aead_engine *aead, uint32_t workers,
		  struct tables **tables)
{
	struct tables *t;

	if (!size_valid(size))
		return -EINVAL;
	t = aligned_alloc(64, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	*t = (struct tables){
		.aead = aead,
		.max_tenants = size->max_tenants,
		.max_attachments = size->max_attachments,
		.max_tunnels = size->max_tunnels,
		.max_sas = size->max_sas,
		.max_adjacencies = size->max_adjacencies,
		.workers = workers,
	};
	if (arrays_create(t) != 0)
		goto fail;
	if (getrandom(t->flow_key, sizeof(t->flow_key), 0) != sizeof(t->flow_key))
		goto fail;
	t->reclaim = reclaim_create(workers);
	if (t->reclaim == NULL)
		goto fail;
	t->routes = route_pool_create(size->route_bytes, t->reclaim);
	if (t->routes == NULL)
		goto fail;
	t->sad = sad_create(size->max_sas);
	if (t->sad == NULL)
		goto fail;
	*tables = t;
	return 0;
fail:
	tables_destroy(t);
	return -ENOMEM;
}

void tables_destroy(struct tables *t)
{
	if (t == NULL)
		return;
	/* First, for what waits there belongs to the pools below. */
	reclaim_destroy(t->reclaim);
	if (t->sad != NULL)
		sad_destroy(t->sad);
	if (t->routes != NULL)
		route_pool_destroy(t->routes);
	for (uint32_t i = 0; i < t->ports; i++)
		free(t->port[i].vlan);
	array_unmap(t->vrf, t->max_tenants, sizeof(*t->vrf));
	array_unmap(t->speaker, t->max_tenants, sizeof(*t->speaker));
	array_unmap(t->attachment, t->max_attachments, sizeof(*t->attachment));
	array_unmap(t->tunnel, t->max_tunnels, sizeof(*t->tunnel));
	array_unmap(t->selectors, t->max_tunnels, sizeof(*t->selectors));
	array_unmap(t->acquire, t->max_tunnels, sizeof(*t->acquire));
	array_unmap(t->sa, t->max_sas, sizeof(*t->sa));
	array_unmap(t->lifetime, t->max_sas, sizeof(*t->lifetime));
	array_unmap(t->adjacency, t->max_adjacencies, sizeof(*t->adjacency));
	array_unmap(t->worker_sa, t->max_tunnels, t->workers * sizeof(*t->worker_sa));
	free(t);
}

int tables_add_port(struct tables *t, uint32_t index, const uint8_t mac[6])
{
	struct table_port *port;
	uint64_t low48 = 0;

	if (index >= PORTS_MAX)
		return -EINVAL;
	port = &t->port[index];
	if (port->vlan != NULL)
		return -EEXIST;
	port->vlan = calloc(VLANS, sizeof(*port->vlan));
	if (port->vlan == NULL)
		return -ENOMEM;
	memcpy(&low48, mac, 6);
	port->mac = low48;
	if (index >= t->ports)
		t->ports = index + 1;
	return 0;
}
