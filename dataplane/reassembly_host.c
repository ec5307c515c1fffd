/* SPDX-License-Identifier: BSD-3-Clause */
#include "reassembly_host.h"

#include "flow_label.h"
#include "ip_header.h"
#include "packet.h"
#include "segments.h"
#include "udp.h"

static uint64_t packet_hash(const uint64_t secret[2], const struct packet *p)
{
	uint64_t words[5] = { load32(p->l3 + 12), load32(p->l3 + 16), load16(p->l3 + 4) };

	if (p->family == IP_V4)
		return siphash(secret, words, 3);
	for (uint32_t i = 0; i < 4; i++)
		words[i] = load64(p->l3 + 8 + 8 * i);
	words[4] = load32(p->l3 + IPV6_HEADER_LEN + 4);
	return siphash(secret, words, 5);
}

/* A first piece that shows that it is no ESP; one that is too short for that shows nothing. */
static bool shows_host(const struct packet *p, uint32_t header_len)
{
	const uint8_t *udp = p->l3 + header_len;
	uint32_t there = packet_contiguous(p);

	if (there < header_len + UDP_HEADER_LEN)
		return false;
	if (load_be16(udp + 2) != ABI_UDP_PORT)
		return true;
	return there >= header_len + UDP_HEADER_LEN + sizeof(uint32_t) &&
	       load32(udp + UDP_HEADER_LEN) == 0;
}

bool host_pieces_take(struct host_pieces *h, const uint64_t secret[2], const struct packet *p,
		      uint32_t header_len, bool first, uint64_t now, uint64_t until)
{
	uint64_t hash = packet_hash(secret, p), at = hash % HOST_PIECES;
	enum piece_place place = PIECE_UNKNOWN;

	if (h->packet[at].hash == hash && now < h->packet[at].until)
		place = h->packet[at].place;
	/* The identification of a first piece may have been another packet's. */
	if (first && place != PIECE_TABLE)
		place = shows_host(p, header_len) ? PIECE_HOST : PIECE_TABLE;
	else if (!first && place != PIECE_HOST)
		place = PIECE_TABLE;
	h->packet[at].hash = hash;
	h->packet[at].until = until;
	h->packet[at].place = (uint8_t)place;
	return place == PIECE_HOST;
}
