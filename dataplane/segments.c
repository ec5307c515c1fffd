/* SPDX-License-Identifier: BSD-3-Clause */
#include "segments.h"

#include <rte_mbuf.h>

#define IP_LENGTH_MAX 65535u

static_assert(sizeof(struct aead_segment) <= sizeof(struct packet),
	      "it lies in the private area of an mbuf, which has room for a descriptor");

static uint8_t *mbuf_end(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, uint8_t *) + m->data_len;
}

static struct rte_mbuf *mbuf_last(struct rte_mbuf *m)
{
	while (m->next != NULL)
		m = m->next;
	return m;
}

/* Takes out the one behind m. */
static void next_free(struct rte_mbuf *head, struct rte_mbuf *m)
{
	struct rte_mbuf *next = m->next;

	m->next = next->next;
	head->nb_segs--;
	next->next = NULL;
	next->nb_segs = 1;
	rte_pktmbuf_free_seg(next);
}

/* The first n bytes into the first buffer, which gives up headroom where the tailroom is short. */
static bool mbuf_pull(struct rte_mbuf *m, uint32_t n)
{
	if (n > m->buf_len)
		return false;
	if (m->data_off > m->buf_len - n) {
		uint16_t data_off = (uint16_t)(m->buf_len - n);

		memmove((uint8_t *)m->buf_addr + data_off, rte_pktmbuf_mtod(m, uint8_t *),
			m->data_len);
		m->data_off = data_off;
	}
	while (m->next != NULL && (m->data_len < n || m->next->data_len == 0)) {
		struct rte_mbuf *next = m->next;
		uint16_t take = (uint16_t)RTE_MIN(n - RTE_MIN(n, m->data_len), next->data_len);

		memcpy(mbuf_end(m), rte_pktmbuf_mtod(next, uint8_t *), take);
		m->data_len = (uint16_t)(m->data_len + take);
		next->data_off = (uint16_t)(next->data_off + take);
		next->data_len = (uint16_t)(next->data_len - take);
		if (next->data_len == 0)
			next_free(m, m);
	}
	return true;
}

bool segments_receive(struct packet *p)
{
	struct rte_mbuf *m = p->mbuf;

	if (m->pkt_len > IP_LENGTH_MAX || !mbuf_pull(m, RTE_MIN(m->pkt_len, SEGMENTS_HEADERS)))
		return false;
	if (m->nb_segs != 1)
		p->flags |= PACKET_SEGMENTS;
	return true;
}

/* Into the first buffer, l3 with it. */
static bool packet_pull(struct packet *p, uint32_t n)
{
	struct rte_mbuf *m = p->mbuf;
	ptrdiff_t l2 = p->l3 - rte_pktmbuf_mtod(m, uint8_t *);

	if (!mbuf_pull(m, n))
		return false;
	p->l3 = rte_pktmbuf_mtod(m, uint8_t *) + l2;
	if (m->nb_segs == 1)
		p->flags &= (uint8_t)~PACKET_SEGMENTS;
	return true;
}

bool segments_gather(struct packet *p)
{
	return packet_pull(p, RTE_MIN(p->mbuf->pkt_len, SEGMENTS_HEADERS));
}

bool segments_linearize(struct packet *p)
{
	return packet_pull(p, p->mbuf->pkt_len);
}

void segments_linearize_behind(struct packet *p)
{
	const struct rte_mbuf *m = p->mbuf;

	if (m->data_off + m->pkt_len <= m->buf_len)
		(void)packet_pull(p, m->pkt_len);
}

uint32_t segments_first(const struct packet *p)
{
	return RTE_MIN((uint32_t)(mbuf_end(p->mbuf) - p->l3), p->length);
}

void segments_trim(struct packet *p)
{
	struct rte_mbuf *head = p->mbuf, *m = head;
	uint32_t first = segments_first(p), left = p->length - first;

	head->data_off = (uint16_t)(p->l3 - (uint8_t *)head->buf_addr);
	head->data_len = (uint16_t)first;
	head->pkt_len = p->length;
	while (m->next != NULL) {
		if (left == 0 || m->next->data_len == 0) {
			next_free(head, m);
			continue;
		}
		m = m->next;
		m->data_len = (uint16_t)RTE_MIN(m->data_len, left);
		left -= m->data_len;
	}
	if (head->nb_segs == 1)
		p->flags &= (uint8_t)~PACKET_SEGMENTS;
}

enum drop_reason segments_reserve(struct packet *p, uint32_t room)
{
	struct rte_mbuf *last, *more;

	segments_trim(p);
	p->flags |= PACKET_SEGMENTS;
	last = mbuf_last(p->mbuf);
	if (rte_pktmbuf_tailroom(last) >= room)
		return DROP_NONE;
	more = rte_pktmbuf_alloc(p->mbuf->pool);
	if (more == NULL)
		return DROP_no_buffer;
	if (rte_pktmbuf_tailroom(more) < room) {
		rte_pktmbuf_free(more);
		return DROP_no_headroom;
	}
	last->next = more;
	p->mbuf->nb_segs++;
	return DROP_NONE;
}

uint8_t *segments_tail(const struct packet *p)
{
	return mbuf_end(mbuf_last(p->mbuf));
}

void segments_grow(struct packet *p, uint32_t n)
{
	struct rte_mbuf *last = mbuf_last(p->mbuf);

	last->data_len = (uint16_t)(last->data_len + n);
	p->mbuf->pkt_len += n;
}

const struct aead_segment *segments_aead(const struct packet *p, uint8_t *from)
{
	struct aead_segment *first = rte_mbuf_to_priv(p->mbuf), *s = first;

	*first = (struct aead_segment){ from, (uint32_t)(mbuf_end(p->mbuf) - from), NULL };
	for (struct rte_mbuf *m = p->mbuf->next; m != NULL; m = m->next) {
		struct aead_segment *next = rte_mbuf_to_priv(m);

		*next = (struct aead_segment){ rte_pktmbuf_mtod(m, uint8_t *), m->data_len, NULL };
		s->next = next;
		s = next;
	}
	return first;
}

/* A piece of a packet in one buffer; m is the one behind it. */
struct piece {
	const struct rte_mbuf *m;
	const uint8_t *data;
	uint32_t n;
};

static bool piece_next(struct piece *piece)
{
	if (piece->m == NULL)
		return false;
	piece->data = rte_pktmbuf_mtod(piece->m, const uint8_t *);
	piece->n = piece->m->data_len;
	piece->m = piece->m->next;
	return true;
}

/* The one that the byte at `offset` is in, from there on. */
static struct piece piece_at(const struct packet *p, uint32_t offset)
{
	struct piece piece = { p->mbuf->next, p->l3, (uint32_t)(mbuf_end(p->mbuf) - p->l3) };

	while (offset >= piece.n) {
		offset -= piece.n;
		if (!piece_next(&piece))
			return (struct piece){ 0 };
	}
	piece.data += offset;
	piece.n -= offset;
	return piece;
}

const uint8_t *segments_read(const struct packet *p, uint32_t offset, uint32_t n, uint8_t *copy)
{
	struct piece piece = piece_at(p, offset);
	uint32_t done = 0;

	if (n <= piece.n)
		return piece.data;
	do {
		uint32_t take = RTE_MIN(n - done, piece.n);

		if (take != 0)
			memcpy(copy + done, piece.data, take);
		done += take;
	} while (done < n && piece_next(&piece));
	return copy;
}

uint64_t segments_sum(const struct packet *p, uint32_t offset, uint32_t n, uint64_t sum)
{
	struct piece piece = piece_at(p, offset);
	bool odd = false;

	do {
		uint32_t take = RTE_MIN(n, piece.n);
		uint16_t part = checksum_fold(checksum_sum(piece.data, take, 0));

		/* The words of a piece that begins at an odd place stand the other way round. */
		sum += odd ? __builtin_bswap16(part) : part;
		odd ^= take & 1;
		n -= take;
	} while (n != 0 && piece_next(&piece));
	return sum;
}

void segments_frame(struct packet *p, uint32_t l2)
{
	struct rte_mbuf *m = p->mbuf;

	segments_trim(p);
	m->data_off = (uint16_t)(m->data_off - l2);
	m->data_len = (uint16_t)(m->data_len + l2);
	m->pkt_len += l2;
}

bool segments_to_mbuf(struct packet *p, uint32_t l2, bool port_takes_several)
{
	segments_frame(p, l2);
	return port_takes_several || segments_linearize(p);
}
