/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker needs of an SA, packed: outbound a cache line and one more for the headers, inbound
 * one, and the replay window (the key is elsewhere). What only the control side needs stands in gateway.h.
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
	SA_SELECTORS = 1u << 3, /* only what its tunnel's selectors name; changes while in use */
	SA_LIFETIME = 1u << 4,  /* its packets or bytes are limited; see lifetime.h */
	SA_EXPIRED = 1u << 5,   /* carries nothing more; set while in use */
	SA_DSCP_IN = 1u << 6,   /* inbound: the outer DSCP replaces the inner one */
	SA_MSS_OFF = 1u << 6,   /* outbound: TCP's MSS is none of ours */
	SA_FOLLOW = 1u << 7,    /* inbound: the peer may move; see peer.h */
};

/* Those that the tunnel says; they change while in use. */
#define SA_POLICIES (SA_UDP | SA_SELECTORS | SA_DSCP_IN | SA_MSS_OFF | SA_FOLLOW)

/* Of the outer headers, beside SA_UDP and SA_OUTER_V6. What the inner header adds to the template's: */
enum sa_outer_flags {
	OUTER_FLOW_INNER = 1u << 3, /* IPv6: a flow label by the inner flow */
	OUTER_DF_COPY = 1u << 5,    /* the inner DF bit */
	OUTER_DF_SET = 1u << 6,     /* DF as it stands in byte 6 of an IPv4 header */
	OUTER_DSCP_COPY = 1u << 7,  /* the inner DSCP; the congestion mark always */
};

/*
 * All that depends on where the tunnel's ends are, so that a packet which was measured for one pair of
 * ends never leaves with the header or towards the next hop of another.
 */
struct sa_outer {
	uint32_t adjacency; /* of the next hop in the underlay; 0: none; changes while in use */
	uint16_t inner_mtu; /* largest inner packet that fits; changes while in use, as does */
	uint16_t outer_mtu; /* what the path takes; 0: there is no next hop */
	uint16_t checksum;  /* sum of the template's IPv4 header without its id, folded */
	uint8_t header_len; /* of outer IP, UDP, ESP and IV: the used tail of the template */
	uint8_t flags;      /* SA_UDP, SA_OUTER_V6, enum sa_outer_flags */
};
static_assert(sizeof(struct sa_outer) == 12, "two of them leave room in the SA's first line");

#define SA_TEMPLATE_LEN 64

/*
 * dataplane: ro, but for `sequence`; control: wo
 *
 * There are two pairs of ends, outer[n] with header[n], of which one is `active`. To change them while
 * packets flow, the writer fills the other and flips `active` by one store; it touches the first again
 * only after a grace period. A worker loads `active` once for a packet.
 */
struct sa_out {
	const struct aead_key *key;
	uint64_t sequence;       /* next number to send; workers take blocks with an atomic add */
	uint64_t sequence_limit; /* first number that may not be sent; raised by the control side */
	struct sa_outer outer[2];
	uint32_t spi;        /* network byte order */
	uint32_t generation; /* of the SAs that had this id; see event.h */
	uint16_t mss;        /* most that a SYN may promise; 0: what the MTU allows */
	uint16_t pad_to;     /* TFC: shorter inner packets are padded to so many bytes */
	uint8_t active;      /* 0, 1 */
	uint8_t flags;       /* SA_ESN, SA_SELECTORS, SA_LIFETIME, SA_EXPIRED, SA_MSS_OFF */
	uint8_t spread;      /* of a tunnel's sa_out: workers have SAs of their own (atomic) */
	uint8_t pad;
	/*
	 * The outer headers ready to be copied, right-aligned, so that one fixed copy that ends at
	 * the inner packet serves every combination. What it writes before the outer header is room
	 * for the Ethernet header.
	 */
	uint8_t header[2][SA_TEMPLATE_LEN];
};
static_assert(sizeof(struct sa_out) == 192, "an outbound SA is three cache lines");
static_assert(offsetof(struct sa_out, header) == 64, "each template has its own line");

/* Which of the two a packet takes; acquires what was filled in before the flip. */
static inline uint8_t sa_active(const struct sa_out *sa)
{
	return __atomic_load_n(&sa->active, __ATOMIC_ACQUIRE);
}

static inline uint16_t sa_inner_mtu(const struct sa_out *sa, uint8_t outer)
{
	return __atomic_load_n(&sa->outer[outer].inner_mtu, __ATOMIC_RELAXED);
}

/* dataplane: ro; control: wo */
struct sa_in {
	const struct aead_key *key;
	struct replay *replay;
	uint32_t spi; /* network byte order */
	uint32_t tunnel;
	uint32_t tenant;
	uint32_t generation; /* as above */
	uint8_t flags;
	uint8_t pad;
	uint16_t peer_port; /* network byte order; where the peer is: changes while in use */
	uint8_t peer[16];
	uint32_t peer_asked; /* with SA_FOLLOW the dataplane's: when a worker told of it last */
	uint8_t pad2[4];
};
static_assert(sizeof(struct sa_in) == 64, "an inbound SA is one cache line");

#define SA_ROOM 128

union sa {
	struct sa_out out;
	struct {
		struct sa_in in;
		/* Where in.replay stands if its window is small enough; the lines beside the SA's own. */
		uint64_t room[SA_ROOM / 8];
	};
};
static_assert(sizeof(union sa) == 192, "a slot of the SA table is three cache lines");

/* dataplane: ro; control: wo */
struct tunnel {
	uint32_t sa_out; /* id of the SA that sends now; 0: none; changes while in use (atomic) */
	uint32_t tenant;
};
static_assert(sizeof(struct tunnel) == 8, "eight tunnels to a cache line");

#endif /* KAIDO_SA_H */
