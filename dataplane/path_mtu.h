/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the paths of the tunnels take: ICMP "fragmentation needed" and ICMPv6 "packet too big" about
 * what a tunnel sent lower the MTU of all its outbound SAs, and the link's is tried again some time
 * later (RFC 4301 section 8.2.2, RFC 1191, RFC 8201).
 *
 * Anybody can send such a message. It is believed as far as it quotes a packet that only somebody on
 * the path can know: the tunnel's ends, the SPI of a live SA, a number that this SA sent lately.
 *
 * Owner and only caller: the main lcore.
 */
#ifndef KAIDO_PATH_MTU_H
#define KAIDO_PATH_MTU_H

#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

struct gateway;
struct path_mtu;

/* X(name, what it means) */
#define PATH_MTU_VERDICTS(X)                                                                       \
	X(LEARNT, "the tunnel's path takes less now")                                              \
	X(NOT_ONE, "no message about the size of an ESP packet")                                   \
	X(MALFORMED, "too short, or its checksum is wrong")                                        \
	X(NO_TUNNEL, "it quotes a packet of no tunnel here")                                       \
	X(AMBIGUOUS, "it quotes too little to tell which of several tunnels it is about")          \
	X(SEQUENCE, "it quotes a sequence number that was not sent lately")                        \
	X(BOUNDS, "the MTU that it tells is below the least there may be, or fits what it quotes") \
	X(NOT_BELOW, "the path's MTU is that small already")                                       \
	X(TOO_MANY, "too many for one tunnel")

enum path_mtu_verdict {
#define PATH_MTU_ENUM(name, text) PATH_MTU_##name,
	PATH_MTU_VERDICTS(PATH_MTU_ENUM)
#undef PATH_MTU_ENUM
		PATH_MTU_VERDICT_COUNT
};

const char *path_mtu_text(enum path_mtu_verdict verdict);

/* What is learnt about one tunnel's path; part of its object. Times in ms. */
struct tunnel_path {
	uint64_t until; /* when the link's MTU is tried again */
	uint64_t ready; /* as of when its messages are within their rate again */
	uint16_t mtu;   /* of the outer packet; 0: nothing is known, the link's holds */
};

/* What a message says: read from its bytes alone, nothing of it believed. */
struct path_mtu_quote {
	enum ip_family family;
	uint32_t mtu;    /* of the next hop; 0: a router that doesn't tell (RFC 1191 section 5) */
	uint32_t length; /* of the packet that did not fit, by its own account */
	struct ip_addr source;
	struct ip_addr destination;
	uint32_t spi;      /* network byte order */
	uint32_t sequence; /* low half */
	uint16_t source_port;
	uint16_t destination_port;
	bool udp;
	bool has_spi; /* without it there is no sequence number either */
	bool has_sequence;
};

/* From the type of an ICMP or ICMPv6 message on. LEARNT: *quote is filled; else NOT_ONE, MALFORMED. */
enum path_mtu_verdict path_mtu_parse(enum ip_family family, const uint8_t *icmp, uint32_t len,
				     struct path_mtu_quote *quote);

/* -ENOMEM. gw->size is set. */
int path_mtu_create(struct gateway *gw);
void path_mtu_destroy(struct gateway *gw);

/*
 * A message that came by the underlay: from its IP header on (any bytes; checksums are checked), or
 * from its type on with a checksum that was checked.
 */
enum path_mtu_verdict path_mtu_packet(struct gateway *gw, const uint8_t *l3, uint32_t avail);
enum path_mtu_verdict path_mtu_message(struct gateway *gw, enum ip_family family,
				       const uint8_t *icmp, uint32_t len);

/* The clock: lets what was learnt age. Any number of times a second. */
void path_mtu_tick(struct gateway *gw, uint64_t now_ms);

/* An outbound SA is there, or goes: to be found by its SPI. */
void path_mtu_sa_added(struct gateway *gw, uint32_t sa);
void path_mtu_sa_removed(struct gateway *gw, uint32_t sa);
/* The tunnel's ends are others now. Its SAs are to be resolved again by the caller. */
void path_mtu_forget(struct gateway *gw, uint32_t tunnel);

#endif /* KAIDO_PATH_MTU_H */
