/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that lie in several buffers: frames that are larger than one, and packets that were put
 * together out of fragments. Nothing copies them as a whole. All headers that the walks read or
 * change lie in the first buffer, because segments_receive() sees to it; what lies further behind is
 * reached by the calls below alone.
 *
 * In the walk, l3 and length of the descriptor say what the packet is, as they do for any other. The
 * mbufs may hold more behind it until segments_trim() or segments_to_mbuf() brings them up to date;
 * the end of the first one's data stays where it is.
 */
#ifndef KAIDO_SEGMENTS_H
#define KAIDO_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "aead.h"
#include "ip_header.h"
#include "packet.h"

/* Ethernet, outer IP up to ESP (at most UINT8_MAX bytes), ESP; inner IP and TCP with all options. */
#define SEGMENTS_HEADERS 512

/*
 * A frame that came in several buffers: brings its headers into the first one and marks the packet.
 * False: they do not fit in there, or it is larger than any IP packet.
 */
bool segments_receive(struct packet *p);

/* The same of a packet that has become one of several buffers. */
bool segments_gather(struct packet *p);

/* All of it into the first buffer. False: it does not fit. */
bool segments_linearize(struct packet *p);

/* The same where it costs none of the headroom, in which other headers are still to stand. */
void segments_linearize_behind(struct packet *p);

/* The mbufs end where the packet does; those behind it are freed. It may be in one piece then. */
void segments_trim(struct packet *p);

/*
 * `room` bytes in one piece behind the packet, in a buffer more if need be: segments_tail() points to
 * them, and segments_grow() makes n of them part of the mbufs. DROP_no_buffer: none is free;
 * DROP_no_headroom: no buffer is that large.
 */
enum drop_reason segments_reserve(struct packet *p, uint32_t room);
uint8_t *segments_tail(const struct packet *p);
void segments_grow(struct packet *p, uint32_t n);

/* What the cipher is to go through: from `from`, in the first buffer, to the end of the mbufs. */
const struct aead_segment *segments_aead(const struct packet *p, uint8_t *from);

/* n bytes, `offset` behind l3: where they stand, or copied to `copy` if they are in several buffers. */
const uint8_t *segments_read(const struct packet *p, uint32_t offset, uint32_t n, uint8_t *copy);

/* As checksum_sum(). */
uint64_t segments_sum(const struct packet *p, uint32_t offset, uint32_t n, uint64_t sum);

/* As segments_trim(), and the l2 bytes before the packet belong to the mbufs, too. */
void segments_frame(struct packet *p, uint32_t l2);

/*
 * The mbufs say what the packet has become, with l2 bytes before it; in one buffer unless the port
 * takes several. False: it does not fit in one.
 */
bool segments_to_mbuf(struct packet *p, uint32_t l2, bool port_takes_several);

/* How much of the packet lies in the first buffer, from l3 on. */
uint32_t segments_first(const struct packet *p);

static inline uint32_t packet_contiguous(const struct packet *p)
{
	return likely(!(p->flags & PACKET_SEGMENTS)) ? p->length : segments_first(p);
}

/* For who wants to read all of it at l3. Returns how much stands there: less if it did not fit. */
static inline uint32_t packet_gather(struct packet *p)
{
	if (unlikely(p->flags & PACKET_SEGMENTS))
		segments_linearize_behind(p);
	return packet_contiguous(p);
}

static inline const uint8_t *packet_read(const struct packet *p, uint32_t offset, uint32_t n,
					 uint8_t *copy)
{
	return likely(!(p->flags & PACKET_SEGMENTS)) ? p->l3 + offset
						     : segments_read(p, offset, n, copy);
}

static inline uint64_t packet_sum(const struct packet *p, uint32_t offset, uint32_t n, uint64_t sum)
{
	return likely(!(p->flags & PACKET_SEGMENTS)) ? checksum_sum(p->l3 + offset, n, sum)
						     : segments_sum(p, offset, n, sum);
}

#endif /* KAIDO_SEGMENTS_H */
