/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments that go in by the underlay: whatever whole packets they can be put together to, without a
 * piece over another. A gateway may give up on any of them; nothing else may come of them.
 */
#include <string.h>

#include "fuzz.h"
#include "ip_header.h"
#include "oracle.h"

#define PROTO_UDP      17
#define PROTO_FRAGMENT 44
#define PROTO_ESP      50

#define PIECES_MAX 8
#define STEPS_MAX  20000 /* of looking, per piece that comes */

/* One way of putting them together. */
struct tiling {
	struct oracle *o;
	const struct oracle_fragment
		*newest; /* is one of the pieces: others have been tried before */
	const struct oracle_fragment *piece[PIECES_MAX];
	uint32_t pieces;
	uint32_t expected; /* packets, before this piece came */
	uint32_t steps;
};

static bool fragment_read(const uint8_t *l3, uint32_t len, struct oracle_fragment *f)
{
	uint16_t place;

	memset(f->key, 0, sizeof(f->key));
	f->v6 = l3[0] >> 4 == 6;
	if (f->v6) {
		if (l3[6] != PROTO_FRAGMENT || len < 48)
			return false;
		place = load_be16(l3 + 42);
		f->head = 48;
		f->from = place & 0xfff8;
		f->more = place & 1;
		f->proto = l3[40];
		f->mark = l3[1] >> 4 & 3;
		memcpy(f->key, l3 + 8, 32);
		memcpy(f->key + 32, l3 + 44, 4);
	} else {
		place = load_be16(l3 + 6);
		f->head = (l3[0] & 0xfu) * 4;
		f->from = (place & 0x1fffu) * 8;
		f->more = place & 0x2000;
		f->proto = l3[9];
		f->mark = l3[1] & 3;
		memcpy(f->key, l3 + 12, 8);
		memcpy(f->key + 8, l3 + 4, 2);
	}
	if (f->head < IPV4_HEADER_MIN || f->head > len)
		return false;
	f->size = len - f->head;
	return (f->more || f->from != 0) && (f->proto == PROTO_ESP || f->proto == PROTO_UDP);
}

/* RFC 3168 section 5.3. False: some piece met congestion, another says that nobody would understand. */
static bool mark_combine(const struct tiling *t, uint8_t *l3)
{
	bool congested = false, deaf = false;

	for (uint32_t i = 0; i < t->pieces; i++) {
		congested = congested || t->piece[i]->mark == 3;
		deaf = deaf || t->piece[i]->mark == 0;
	}
	if (congested && t->piece[0]->v6)
		l3[1] |= 3 << 4;
	else if (congested)
		l3[1] |= 3;
	return !(congested && deaf);
}

static void tiling_whole(struct tiling *t)
{
	const struct oracle_fragment *first = t->piece[0], *last = t->piece[t->pieces - 1];
	uint32_t head = first->v6 ? 40 : first->head, len = head + last->from + last->size;
	uint8_t l3[ORACLE_PACKET_MAX];

	if (len > sizeof(l3))
		return;
	memcpy(l3, first->bytes, head);
	for (uint32_t i = 0; i < t->pieces; i++)
		memcpy(l3 + head + t->piece[i]->from, t->piece[i]->bytes + t->piece[i]->head,
		       t->piece[i]->size);
	if (first->v6) {
		l3[6] = first->proto;
		store_be16(l3 + 4, (uint16_t)(len - 40));
	} else {
		store_be16(l3 + 2, (uint16_t)len);
		store16(l3 + 6, 0);
	}
	if (mark_combine(t, l3))
		oracle_underlay_in(t->o, l3, len, t->expected);
}

static void tiling_go_on(struct tiling *t, uint32_t from, bool has_newest)
{
	for (uint32_t i = 0; i < t->o->fragments && t->steps < STEPS_MAX; i++) {
		const struct oracle_fragment *f = &t->o->fragment[i];

		t->steps++;
		if (f->from != from || f->size == 0 || f->v6 != t->newest->v6 ||
		    f->proto != t->newest->proto ||
		    memcmp(f->key, t->newest->key, sizeof(f->key)) != 0)
			continue;
		t->piece[t->pieces++] = f;
		if (f->more && t->pieces < PIECES_MAX)
			tiling_go_on(t, from + f->size, has_newest || f == t->newest);
		else if (!f->more && (has_newest || f == t->newest))
			tiling_whole(t);
		t->pieces--;
	}
}

bool oracle_fragment_in(struct oracle *o, const uint8_t *l3, uint32_t len)
{
	struct oracle_fragment *f = &o->fragment[o->fragments];
	struct tiling t = { .o = o, .newest = f, .expected = o->packets };

	FUZZ_CHECK(o->fragments < ORACLE_PACKETS);
	if (len > sizeof(f->bytes) || !fragment_read(l3, len, f))
		return false;
	memcpy(f->bytes, l3, len);
	o->fragments++;
	tiling_go_on(&t, 0, false);
	if (t.steps == STEPS_MAX)
		o->lost = true;
	return true;
}
