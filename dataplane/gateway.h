/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the main lcore: the tables' control side and everything that isn't per packet. What
 * the control plane set is kept as the records of its messages, by id; dumps return them.
 */
#ifndef KAIDO_GATEWAY_H
#define KAIDO_GATEWAY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "icv_failure.h"
#include "path_mtu.h"
#include "peer.h"
#include "port.h"
#include "stats.h"
#include "tables.h"

struct aead_engine;
struct deadlines;
struct event_log;
struct host_mirror;
struct neighbours;
struct rte_mempool;
struct trace;
struct tunnel_timer;
struct worker;

/*
 * Control side of an SA: of its record what the workers' table doesn't have (object_sa.h puts them
 * together). Key and salt are kept nowhere but in crypto's arena. There are many of these.
 */
struct object_sa {
	uint64_t cookie;
	uint64_t sequence; /* outbound: the first that was sent */
	uint32_t id;       /* 0: free */
	uint32_t tunnel;
	uint32_t spi;       /* network byte order */
	uint32_t next;      /* the next older one of its tunnel and direction; 0: none */
	uint32_t adjacency; /* outbound: the reference that underlay.c holds; 0: none */
	uint32_t same_spi;  /* outbound: the next one in path_mtu.c's index; 0: none */
	uint16_t window;
	uint8_t direction;
	uint8_t flags;
	uint8_t key_len;
	uint8_t state; /* enum abi_sa_state */
	uint16_t cpu;  /* as in abi_sa */
};
static_assert(sizeof(struct object_sa) == 48, "the control side of an SA stays small");

/* What few SAs have. All zero where it isn't used: then it takes no memory, and none is written. */
struct object_life {
	struct abi_lifetime soft;
	struct abi_lifetime hard;
	uint64_t since; /* now_ms when it was set last: its seconds begin */
	struct icv_state icv;
};

struct object_tunnel {
	struct abi_tunnel record; /* id 0: free */
	uint32_t sas_in;
	uint32_t sas_out;
	uint32_t newest_in;  /* heads of the lists over object_sa.next; */
	uint32_t newest_out; /* of the outbound ones this one sends */
	uint32_t routes;     /* that point here */
	struct tunnel_path path;
	struct tunnel_peer peer;
	uint8_t renewal; /* enum renewal */
};

struct object_tenant {
	struct abi_tenant record; /* id 0: free */
	uint32_t attachments;
	uint32_t tunnels;
	uint32_t routes;           /* that were set */
	uint32_t first_attachment; /* head of the list over object_attachment.next */
};

struct object_attachment {
	struct abi_attachment record; /* id 0: free */
	uint32_t routes;              /* GATEWAY routes that go by it */
	uint32_t next;                /* another one of its tenant, 0: none */
};

struct gateway {
	struct tables *tables;
	struct stats *stats;
	struct stats_writer own; /* the main lcore's region */
	struct aead_engine *aead;
	struct neighbours *neighbours;
	struct host_mirror *mirror; /* NULL: no netlink here */
	struct trace *trace;
	struct path_mtu *path_mtu;
	struct event_log *events;
	struct deadlines *deadlines;       /* of SAs, the next end of a lifetime in seconds */
	struct tunnel_timer *tunnel_timer; /* NULL: tunnels may be silent */
	struct rte_mempool *pool;          /* for frames of our own */
	struct tables_size size;

	struct object_tenant *tenant; /* [max_tenants]; [0] is the underlay and always there */
	struct object_attachment *attachment; /* [max_attachments] */
	struct object_tunnel *tunnel;         /* [max_tunnels] */
	struct object_sa *sa;                 /* [max_sas] */
	struct object_life *life;             /* [max_sas] */

	struct port *port; /* [ports] by index */
	uint32_t ports;
	struct worker **worker; /* [workers] */
	uint32_t workers;

	uint64_t boot;
	uint64_t generation;
	uint64_t now_ms;         /* CLOCK_MONOTONIC, of this turn of the main lcore's loop */
	uint64_t lifetime_ready; /* of the rate of lines about lifetimes */
	uint64_t icv_ready;      /* of the rate of ABI_EVENT_ICV_FAILED */
	uint32_t sa_generations; /* SAs that there have been; tells those apart that had one id */
	bool underlay_dirty;
};

#endif /* KAIDO_GATEWAY_H */
