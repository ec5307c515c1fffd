/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may leave a gateway, given what went in: every packet that is forwarded is one that came, of
 * the same tenant, one hop older and otherwise the same (but for congestion marks, a SYN's MSS, and
 * IPv4 that is cut into fragments); once. ESP is opened and closed here by the
 * reference implementation of the cipher, with code that shares nothing with the walks; where it was
 * cut itself, once all pieces have come.
 */
#ifndef KAIDO_FUZZ_ORACLE_H
#define KAIDO_FUZZ_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "abi/message.h"
#include "aead.h"

#define ORACLE_PACKETS    64 /* in one input */
#define ORACLE_PACKET_MAX 2176
#define ORACLE_TUNNELS    6    /* ids 1 .. 5 */
#define ORACLE_SEQUENCES  8192 /* more than an input may use */
#define ORACLE_WHOLES     256

/* The hard lifetime of each of a mortal tunnel's SAs. */
#define ORACLE_LIFETIME_PACKETS 20
#define ORACLE_LIFETIME_BYTES   9000

/* How one tunnel's SAs are, in both directions. */
struct oracle_tunnel {
	struct aead_key *in;
	struct aead_key *out;
	uint32_t spi_in; /* host byte order */
	uint32_t spi_out;
	uint32_t tenant;
	bool esn;
	bool udp;
	bool v6;                  /* outside */
	bool selectors;           /* those of oracle_selectors() */
	bool mortal;              /* has ORACLE_LIFETIME_* */
	uint32_t packets;         /* that were sent */
	uint64_t bytes;           /* of their inner packets */
	struct abi_tunnel policy; /* dscp, df, flow_label, ttl, pad_to and flags count */
	bool seen;                /* one that went in one piece, with */
	uint32_t label;           /* this flow label, or */
	uint16_t id;              /* IPv4 id, less the sequence number */
	uint64_t last_sent;       /* of those that went in one piece */
	uint64_t sent[ORACLE_SEQUENCES / 64]; /* a bit for each number */
};

struct oracle_packet {
	uint32_t tenant;
	uint32_t len;
	bool used;
	bool cut;                                      /* some fragment of it came out */
	uint64_t sent[ORACLE_PACKET_MAX / 8 / 64 + 1]; /* a bit for 8 bytes of payload */
	uint8_t bytes[ORACLE_PACKET_MAX];
};

/* An ESP packet that was cut behind ESP, as far as its pieces have come. */
struct oracle_whole {
	uint32_t id;
	bool v6;
	uint32_t len; /* from the IP header on; 0: the last piece is not there */
	uint32_t got; /* bytes of payload */
	uint64_t there[ORACLE_PACKET_MAX / 8 / 64 + 1];
	uint8_t bytes[ORACLE_PACKET_MAX];
};

/* One that went in by the underlay. */
struct oracle_fragment {
	bool v6;
	bool more;
	uint8_t proto;
	uint8_t mark;    /* ECN */
	uint8_t key[36]; /* addresses, identification */
	uint32_t head;   /* bytes before what was cut */
	uint32_t from;
	uint32_t size;
	uint8_t bytes[ORACLE_PACKET_MAX];
};

struct oracle {
	struct aead_engine *aead;
	struct oracle_tunnel tunnel[ORACLE_TUNNELS];
	struct oracle_packet packet[ORACLE_PACKETS];
	uint32_t packets;
	struct oracle_whole whole[ORACLE_WHOLES];
	uint32_t wholes;
	struct oracle_fragment fragment[ORACLE_PACKETS];
	uint32_t fragments;
	bool lost;        /* there were more ways to put fragments together than were looked at */
	uint32_t matched; /* that came out, fragments by themselves */
	uint32_t own;     /* that came from the gateway itself */
};

/* Forgets the packets and sequence numbers of an input. */
void oracle_begin(struct oracle *o);
/* A frame goes in by the tenants' port or the underlay's. */
void oracle_lan_in(struct oracle *o, const uint8_t *frame, uint32_t len);
void oracle_wan_in(struct oracle *o, const uint8_t *frame, uint32_t len);
/* A frame came out. Ends the program when it may not. */
void oracle_lan_out(struct oracle *o, const uint8_t *frame, uint32_t len);
void oracle_wan_out(struct oracle *o, const uint8_t *frame, uint32_t len);

/* True: it is a fragment, and what it can be put together to with others has come in by it. */
bool oracle_fragment_in(struct oracle *o, const uint8_t *l3, uint32_t len);
/* A whole packet of the underlay; what of it may go out is expected once behind packet `since`. */
void oracle_underlay_in(struct oracle *o, const uint8_t *l3, uint32_t len, uint32_t since);

/* What a tunnel with `selectors` has, and whether a packet may take it: out to the peer, or in. */
struct abi_selectors oracle_selectors(uint32_t tunnel);
bool oracle_selects(const uint8_t *l3, uint32_t len, bool out);

/*
 * Seals `len` bytes (inner packet, padding, pad length, next header) as the tunnel's peer would;
 * `class` is the outer header's DSCP and ECN. Writes the whole frame, at most 94 bytes longer, and
 * returns its length.
 */
uint32_t oracle_seal(struct oracle *o, uint32_t tunnel, uint64_t sequence, uint8_t class,
		     const uint8_t *payload, uint32_t len, uint8_t *frame);

#endif /* KAIDO_FUZZ_ORACLE_H */
