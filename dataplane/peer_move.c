/* SPDX-License-Identifier: BSD-3-Clause */
/* The main lcore's part of following a peer. */
#include "peer.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "event.h"
#include "gateway.h"
#include "log.h"
#include "path_mtu.h"
#include "rate.h"
#include "tunnel_renew.h"
#include "vrf.h"

#define MOVE_MS    1000 /* of one tunnel, on average; */
#define MOVE_BURST 3    /* so many at once */

void peer_set(struct tunnel_peer *peer, const struct abi_tunnel *record)
{
	peer->remote = record->remote;
	peer->port = record->remote_port;
	peer->generation = 0;
	peer->sequence = 0;
}

struct abi_tunnel peer_tunnel(const struct object_tunnel *tunnel)
{
	struct abi_tunnel present = tunnel->record;

	present.remote = tunnel->peer.remote;
	present.remote_port = tunnel->peer.port;
	return present;
}

/* A worker that meets half of it asks once too often, or once too late. */
void peer_tell(const struct tunnel_peer *peer, struct sa_in *sa)
{
	uint64_t half[2];

	memcpy(half, peer->remote.addr, sizeof(half));
	__atomic_store_n((uint64_t *)(void *)sa->peer, half[0], __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)(void *)(sa->peer + 8), half[1], __ATOMIC_RELAXED);
	__atomic_store_n(&sa->peer_port, htons(peer->port), __ATOMIC_RELAXED);
}

/* One that a packet could be sent to: a station's, not our own, and there is a way. */
static bool could_be_remote(const struct gateway *gw, const struct abi_tunnel *record,
			    const struct abi_address *address)
{
	const struct tables *t = gw->tables;
	uint32_t value;

	if (address->family != record->local.family || !address_unicast(address) ||
	    address_link_local_v6(address) ||
	    ip_equal(address_ip(address), address_ip(&record->local)))
		return false;
	value = route_lookup(t->routes, &t->vrf[VRF_UNDERLAY], address_family(address),
			     address_ip(address));
	return route_kind(value) == ROUTE_KIND_ADJACENCY || route_kind(value) == ROUTE_KIND_ONLINK;
}

/* An SA that is younger than the one that moved the peer last is of a later rekey. */
static bool is_newer(const struct tunnel_peer *peer, const struct event_note *note)
{
	if (note->generation != peer->generation)
		return note->generation > peer->generation;
	return note->value > peer->sequence;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void peer_move(struct gateway *gw, const struct event_note *note,
		      const struct abi_address *to)
{
	uint32_t id = gw->sa[note->sa].tunnel;
	struct object_tunnel *o = &gw->tunnel[id];
	struct abi_event event = event_of_note(gw, note);

	log_info("tunnel %u: its peer has moved from %s port %u to %s port %u", id,
		 address_text(&o->peer.remote).s, o->peer.port, address_text(to).s, note->port);
	o->peer.remote = *to;
	o->peer.port = note->port;
	o->peer.generation = note->generation;
	o->peer.sequence = note->value;
	o->peer.moves++;
	path_mtu_forget(gw, id);
	for (uint32_t sa = o->newest_in; sa != 0; sa = gw->sa[sa].next)
		peer_tell(&o->peer, &gw->tables->sa[sa].in);
	tunnel_renew(gw, id);
	event_raise(gw->events, &event);
}

void peer_note(struct gateway *gw, const struct event_note *note)
{
	struct object_tunnel *o = &gw->tunnel[gw->sa[note->sa].tunnel];
	struct abi_address to = { .family = note->family };

	memcpy(to.addr, note->address, sizeof(to.addr));
	if (!(o->record.flags & ABI_TUNNEL_FOLLOW) ||
	    !(o->record.flags & ABI_TUNNEL_UDP) != (note->port == 0) || !is_newer(&o->peer, note))
		return;
	if (memcmp(&to, &o->peer.remote, sizeof(to)) == 0 && note->port == o->peer.port)
		return;
	if (!could_be_remote(gw, &o->record, &to))
		return;
	if (rate_allows(&o->peer.ready, now_ms(), MOVE_MS, MOVE_BURST))
		peer_move(gw, note, &to);
}
