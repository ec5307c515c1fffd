/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP in pieces that is the host's (IKE, as a rule) need not be whole to be known: its first piece
 * shows the port, and on port 4500 the marker. That piece and those behind it go to the host, which has
 * a reassembly of its own and may allow more pieces than ours.
 *
 * What comes before the first piece waits in our tables, and the others of its packet then have to
 * join it there. Both is remembered here, by a keyed hash of what all pieces of a packet show. Strangers can
 * make entries, but no more of them than there are: a newer one takes an older one's place, and the pieces
 * that lose theirs go the longer way, or time out.
 */
#ifndef KAIDO_REASSEMBLY_HOST_H
#define KAIDO_REASSEMBLY_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_PIECES 4096 /* packets that are remembered; a power of two */

struct packet;

enum piece_place {
	PIECE_UNKNOWN,
	PIECE_HOST,  /* the first one went to the host */
	PIECE_TABLE, /* one that came before the first is in our tables */
};

struct host_pieces {
	struct {
		uint64_t hash;
		uint64_t until; /* TSC */
		uint8_t place;  /* enum piece_place */
	} packet[HOST_PIECES];
};

/*
 * Is p, a sound piece of UDP with `header_len` bytes up to what was cut, to be handed to the host as it
 * is? `first`: it begins the packet. What is found out is remembered until the TSC is `until`.
 */
bool host_pieces_take(struct host_pieces *h, const uint64_t secret[2], const struct packet *p,
		      uint32_t header_len, bool first, uint64_t now, uint64_t until);

#endif /* KAIDO_REASSEMBLY_HOST_H */
