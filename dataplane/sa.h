/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker needs of an SA, packed: two cache lines outbound, one inbound (and the replay
 * window and the key elsewhere). What only the control side needs stands in objects.h.
 *
 * Slots are indexed by SA id and used again only after a grace period.
 */
#ifndef KAIDO_SA_H
#define KAIDO_SA_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aead_key;
struct replay;

enum sa_flags {
	SA_ESN = 1u << 0,
	SA_UDP = 1u << 1,
	SA_OUTER_V6 = 1u << 2,
};

/* dataplane: ro, but for `sequence`; control: wo */
struct sa_out {
	const struct aead_key *key;
	uint64_t sequence;       /* next number to send; workers take blocks with an atomic add */
	uint64_t sequence_limit; /* first number that may not be sent; raised by the control side */
	uint32_t spi;            /* network byte order */
	uint32_t tunnel;
	uint32_t adjacency; /* of the next hop in the underlay; 0: none; changes while in use */
	uint32_t tenant;
	uint32_t checksum; /* of the IPv4 header in the template, length and TOS 0: unfolded sum */
	uint32_t generation; /* of the SAs that had this id; see event.h */
	uint16_t inner_mtu;  /* largest inner packet that fits; changes while in use, as does */
	uint8_t header_len;  /* of outer IP, UDP, ESP and IV: the used tail of `header` */
	uint8_t flags;
	uint16_t outer_mtu; /* what the path takes; 0: there is no next hop */
	uint8_t pad[10];
	/*
	 * The outer headers ready to be copied, right-aligned, so that one fixed copy of 64 bytes
	 * that ends at the inner packet serves every combination. What it writes before the outer
	 * header is room for the Ethernet header.
	 */
	uint8_t header[64];
};
static_assert(sizeof(struct sa_out) == 128, "an outbound SA is two cache lines");
static_assert(offsetof(struct sa_out, header) == 64, "the template has its own line");

/* dataplane: ro; control: wo */
struct sa_in {
	const struct aead_key *key;
	struct replay *replay;
	uint32_t spi; /* network byte order */
	uint32_t tunnel;
	uint32_t tenant;
	uint32_t generation; /* as above */
	uint8_t flags;
	uint8_t pad[31];
};
static_assert(sizeof(struct sa_in) == 64, "an inbound SA is one cache line");

union sa {
	struct sa_out out;
	struct sa_in in;
};
static_assert(sizeof(union sa) == 128, "a slot of the SA table is two cache lines");

/* dataplane: ro; control: wo */
struct tunnel {
	uint32_t sa_out; /* id of the SA that sends now; 0: none; changes while in use (atomic) */
	uint32_t tenant;
};
static_assert(sizeof(struct tunnel) == 8, "eight tunnels to a cache line");

#endif /* KAIDO_SA_H */
