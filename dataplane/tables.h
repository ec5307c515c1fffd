/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything the walks look up. A worker holds a const pointer to it; only apply.c, neighbour.c
 * and underlay.c, all on the main lcore, change what it points to: entries are filled before they are
 * published (a route, a SAD entry, a tunnel's sa_out, a port's VLAN), and used again only after a
 * grace period.
 *
 * The arrays are address space of the configured capacity; memory is taken as it is used.
 */
#ifndef KAIDO_TABLES_H
#define KAIDO_TABLES_H

#include <assert.h>
#include <stdint.h>

#include "adjacency.h"
#include "lifetime.h"
#include "route_table.h"
#include "sa.h"

#define PORTS_MAX 32
#define VLANS     4096

struct acquire;
struct aead_engine;
struct reclaim;
struct sad;
struct selectors;

/* dataplane: ro; control: wo */
struct attachment {
	uint32_t tenant; /* 0: underlay */
	uint16_t port;
	uint16_t vlan;
	uint16_t mtu;
	uint16_t generation; /* counts the objects that had this id */
	uint8_t ipv4[4]; /* the gateway's first address of each family, to speak from; or zero */
	uint8_t ipv6[16];
};
static_assert(sizeof(struct attachment) == 32, "two attachments to a cache line");

/* dataplane: ro; control: wo. Whose address ICMP errors carry where no attachment is concerned. */
struct speaker {
	uint32_t attachment[2]; /* of the tenant, by family: IPv4, IPv6; 0: none has an address */
};

/* How what belongs to the host gets there from an underlay port. */
enum exception {
	EXCEPTION_NONE,   /* there is no host stack on this underlay: we answer ARP, ND and echo */
	EXCEPTION_TAP,    /* handed to the exception interface by the main lcore */
	EXCEPTION_SHARED, /* the device shows it to the host by itself (AF_XDP, AF_PACKET) */
};

/* What a worker needs of a port. */
struct table_port {
	uint64_t mac;      /* as the first six bytes of a frame load, little-endian, rest zero */
	uint32_t *vlan;    /* [VLANS] attachment id by VLAN, [0] for untagged frames; 0: none */
	uint8_t exception; /* enum exception */
	uint8_t pad[47];
};
static_assert(sizeof(struct table_port) == 64, "a port is one cache line");

struct tables {
	const struct aead_engine *aead;
	struct route_pool *routes;
	struct sad *sad;
	struct reclaim *reclaim;
	struct route_table *vrf;            /* [max_tenants] by tenant id */
	struct speaker *speaker;            /* [max_tenants] by tenant id */
	struct attachment *attachment;      /* [max_attachments] by id */
	struct tunnel *tunnel;              /* [max_tunnels] by id */
	const struct selectors **selectors; /* [max_tunnels] by id; NULL: none are set (atomic) */
	struct acquire *acquire;            /* [max_tunnels] by id; workers write, too */
	union sa *sa;                       /* [max_sas] by id */
	struct lifetime *lifetime;          /* [max_sas] by id; of those that have one */
	struct adjacency *adjacency;        /* [max_adjacencies] by index; 0 is never used */
	uint32_t *worker_sa;                /* see tables_worker_sa() */
	uint64_t flow_key[2];               /* secret, of this process; see flow_label.h */
	uint32_t max_tenants;
	uint32_t max_attachments;
	uint32_t max_tunnels;
	uint32_t max_sas;
	uint32_t max_adjacencies;
	uint32_t workers;
	uint32_t ports;
	struct table_port port[PORTS_MAX] __attribute__((aligned(64)));
};

/*
 * The id of the SA that a worker sends with where the tunnel's sa_out is spread (RFC 9611): its own, or
 * sa_out, too; changes while in use (atomic).
 */
static inline uint32_t *tables_worker_sa(const struct tables *t, uint32_t tunnel, uint32_t worker)
{
	return &t->worker_sa[(uint64_t)tunnel * t->workers + worker];
}

struct tables_size {
	uint32_t max_tenants;
	uint32_t max_attachments;
	uint32_t max_tunnels;
	uint32_t max_sas;
	uint32_t max_adjacencies;
	uint64_t route_bytes;
};

/*
 * `aead` stays the caller's. `workers`: threads that will register with the reclaim, 1 at least.
 * -EINVAL (a capacity is 0 or above ROUTE_INDEX_MAX), -ENOMEM. tables_destroy() runs when no reader does.
 */
int tables_create(const struct tables_size *size, const struct aead_engine *aead, uint32_t workers,
		  struct tables **tables);
void tables_destroy(struct tables *t);

/*
 * Makes port `index` known, before any worker runs. `mac` in the order of the wire.
 * -EINVAL (index), -EEXIST (added before), -ENOMEM.
 */
int tables_add_port(struct tables *t, uint32_t index, const uint8_t mac[6]);

#endif /* KAIDO_TABLES_H */
