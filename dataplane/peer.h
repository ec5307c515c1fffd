/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the peer of a tunnel is. With ABI_TUNNEL_FOLLOW it may move: an inbound packet that is authentic,
 * new, and newer than all before it says by its outer source where answers go from then on, as dynamic
 * address update in IKE does it (RFC 7296 section 2.23).
 *
 * Who can't make an authentic packet can't move a peer, and an old packet moves nothing. Who stands on
 * the path can hold a packet back and be the first to show it here, from an address of his own. He then gets
 * ciphertext, which he saw anyway, until the peer's next packet moves it back; that is why moves are
 * limited in their rate, but none is refused for good: as long as newer packets come from elsewhere,
 * they ask again. Keys, replay windows and sequence numbers are not touched.
 */
#ifndef KAIDO_PEER_H
#define KAIDO_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"

struct event_note;
struct gateway;
struct object_tunnel;
struct packet;
struct sa_in;
struct worker;

/* Part of a tunnel's object. */
struct tunnel_peer {
	struct abi_address remote; /* the record's, unless the peer has moved */
	uint16_t port;             /* UDP, host byte order; else 0 */
	uint32_t generation;       /* of the SA whose packet moved it last; 0: none did */
	uint64_t sequence;         /* of that packet */
	uint64_t moves;            /* since the tunnel was made */
	uint64_t ready;            /* ms: as of when moves are within their rate again */
};

/* ---- workers: an SA with SA_FOLLOW ---- */

/* p is authentic, and newer than all before it. Is it from elsewhere? Then the main lcore hears of it. */
void peer_look(struct worker *w, const struct packet *p);

/* ---- the main lcore ---- */

/* As the record says; what moved it before is forgotten, how often is not. */
void peer_set(struct tunnel_peer *peer, const struct abi_tunnel *record);
/* The record with the ends that are in force. */
struct abi_tunnel peer_tunnel(const struct object_tunnel *tunnel);
/* Tells an inbound SA where its peer is. */
void peer_tell(const struct tunnel_peer *peer, struct sa_in *sa);
/* A worker's note; moves the peer if that is right. */
void peer_note(struct gateway *gw, const struct event_note *note);

#endif /* KAIDO_PEER_H */
