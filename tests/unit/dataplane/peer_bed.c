/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "deadline.h"
#include "event_notes.h"
#include "ip_header.h"

#define OUTER_MAC "\x02\0\0\0\0\x20\x02\0\0\0\0\xbb"

static void object_sa(struct peer_bed *p, uint32_t id, uint8_t direction, uint32_t flags)
{
	p->gw.sa[id] = (struct object_sa){
		.id = id,
		.tunnel = 1,
		.spi = __builtin_bswap32(0x1001),
		.direction = direction,
		.flags = flags & SA_ESN ? ABI_SA_ESN : 0,
	};
}

struct peer_bed *peer_bed_create(uint32_t flags, uint32_t window)
{
	struct peer_bed *p = calloc(1, sizeof(*p));
	struct gateway *gw;

	assert_non_null(p);
	gw = &p->gw;
	p->bed = testbed_create(flags, 16, window);
	p->bed->worker->tsc_hz = 1000; /* nothing is rare */
	p->workers[0] = p->bed->worker;
	gw->tables = p->bed->tables;
	gw->stats = p->bed->stats;
	gw->own = stats_writer(gw->stats, 0);
	gw->worker = p->workers;
	gw->workers = 1;
	gw->size = (struct tables_size){ 16, 16, 16, 16, 16, 0 };
	gw->sa = calloc(16, sizeof(*gw->sa));
	gw->tunnel = calloc(16, sizeof(*gw->tunnel));
	gw->life = calloc(16, sizeof(*gw->life));
	assert_true(gw->sa != NULL && gw->tunnel != NULL && gw->life != NULL);
	gw->tunnel[1].record = (struct abi_tunnel){ .id = 1, .tenant = 1 };
	object_sa(p, PEER_OUT, ABI_SA_OUT, flags);
	object_sa(p, PEER_IN, ABI_SA_IN, flags);
	assert_int_equal(event_log_create(&gw->events), 0);
	gw->deadlines = deadlines_create(16);
	assert_non_null(gw->deadlines);
	return p;
}

void peer_bed_destroy(struct peer_bed *p)
{
	event_log_destroy(p->gw.events);
	deadlines_destroy(p->gw.deadlines);
	free(p->gw.sa);
	free(p->gw.life);
	free(p->gw.tunnel);
	testbed_destroy(p->bed);
	free(p);
}

void peer_lifetime(struct peer_bed *p, uint32_t sa, const struct abi_lifetime *soft,
		   const struct abi_lifetime *hard)
{
	p->gw.life[sa].soft = *soft;
	p->gw.life[sa].hard = *hard;
	lifetime_change(&p->gw, sa);
}

/* The outer headers up to ESP; returns their length. */
static uint32_t outer_write(uint8_t *frame, uint32_t flags, uint32_t esp_len)
{
	uint8_t *l3 = frame + 14, *udp;
	uint32_t udp_len = flags & SA_UDP ? 8 : 0, ip_len = flags & SA_OUTER_V6 ? 40 : 20;

	memset(frame, 0, 14 + 40 + 8);
	memcpy(frame, OUTER_MAC, 12);
	store_be16(frame + 12, flags & SA_OUTER_V6 ? 0x86dd : 0x0800);
	if (flags & SA_OUTER_V6) {
		l3[0] = 0x60;
		store_be16(l3 + 4, (uint16_t)(udp_len + esp_len));
		l3[6] = flags & SA_UDP ? 17 : 50;
		l3[7] = 64;
		l3[8] = l3[24] = 0x20;
		l3[23] = 2;
		l3[39] = 1;
	} else {
		memcpy(l3, (uint8_t[]){ 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 50 }, 10);
		memcpy(l3 + 12, (uint8_t[]){ 192, 0, 2, 2, 192, 0, 2, 1 }, 8);
		l3[9] = flags & SA_UDP ? 17 : 50;
		store_be16(l3 + 2, (uint16_t)(20 + udp_len + esp_len));
		store16(l3 + 10, (uint16_t)~checksum_fold(ipv4_checksum_sum(l3, 20)));
	}
	udp = l3 + ip_len;
	if (udp_len != 0) {
		store_be16(udp, 31337);
		store_be16(udp + 2, 4500);
		store_be16(udp + 4, (uint16_t)(8 + esp_len));
	}
	return 14 + ip_len + udp_len;
}

uint32_t peer_seal(const struct peer_bed *p, uint64_t sequence, uint16_t length, uint8_t *frame)
{
	const struct sa_in *sa = &p->bed->tables->sa[PEER_IN].in;
	uint32_t pad = -(length + 2u) & 3, sealed = length + pad + 2, at;
	uint8_t inner[PEER_FRAME_MAX], *esp;
	struct aead_op op;

	testbed_frame(inner, IP_V4, length, false);
	at = outer_write(frame, sa->flags, 16 + sealed + AEAD_TAG_LEN);
	esp = frame + at;
	store32(esp, sa->spi);
	store32(esp + 4, __builtin_bswap32((uint32_t)sequence));
	store64(esp + 8, __builtin_bswap64(sequence));
	memcpy(esp + 16, inner + 14, length);
	for (uint32_t i = 0; i < pad; i++)
		esp[16 + length + i] = (uint8_t)(i + 1);
	esp[16 + length + pad] = (uint8_t)pad;
	esp[16 + length + pad + 1] = 4;
	op = (struct aead_op){
		.key = sa->key,
		.data = esp + 16,
		.tag = esp + 16 + sealed,
		.iv = load64(esp + 8),
		.len = sealed,
		.aad_len = sa->flags & SA_ESN ? 12 : 8,
	};
	store32(op.aad, sa->spi);
	if (sa->flags & SA_ESN)
		store64(op.aad + 4, __builtin_bswap64(sequence));
	else
		store32(op.aad + 4, load32(esp + 4));
	assert_int_equal(aead_encrypt(p->bed->aead, &op, 1), 0);
	return at + 16 + sealed + AEAD_TAG_LEN;
}

uint32_t peer_forge(const struct peer_bed *p, uint64_t sequence, uint16_t length, uint8_t *frame)
{
	uint32_t len = peer_seal(p, sequence, length, frame);

	frame[len - 1] ^= 1;
	return len;
}

/* What left on a port is freed and counted. */
static uint32_t out_free(struct peer_bed *p, uint8_t port)
{
	struct rte_mbuf *out[BURST_MAX];
	uint32_t n = testbed_out(p->bed, port, out);

	rte_pktmbuf_free_bulk(out, n);
	return n;
}

static uint32_t peer_burst(struct peer_bed *p, uint64_t first, uint32_t n, uint16_t length,
			   uint32_t (*make)(const struct peer_bed *, uint64_t, uint16_t, uint8_t *))
{
	struct rte_mbuf *in[BURST_MAX];
	uint8_t frame[PEER_FRAME_MAX];

	for (uint32_t i = 0; i < n; i++)
		in[i] = testbed_mbuf(p->bed, frame, make(p, first + i, length, frame));
	worker_walk(p->bed->worker, BED_PORT_UNDERLAY, in, n);
	return out_free(p, BED_PORT_TENANT);
}

uint32_t peer_sends(struct peer_bed *p, uint64_t first, uint32_t n, uint16_t length)
{
	return peer_burst(p, first, n, length, peer_seal);
}

uint32_t peer_forges(struct peer_bed *p, uint64_t first, uint32_t n, uint16_t length)
{
	return peer_burst(p, first, n, length, peer_forge);
}

uint32_t tenant_sends(struct peer_bed *p, uint32_t n, uint16_t length)
{
	struct rte_mbuf *in[BURST_MAX];
	uint8_t frame[PEER_FRAME_MAX];
	uint32_t len = testbed_frame(frame, IP_V4, length, true);

	for (uint32_t i = 0; i < n; i++)
		in[i] = testbed_mbuf(p->bed, frame, len);
	worker_walk(p->bed->worker, BED_PORT_TENANT, in, n);
	return out_free(p, BED_PORT_UNDERLAY);
}

uint32_t peer_events(struct peer_bed *p, uint64_t now_ms)
{
	p->gw.now_ms = now_ms;
	event_notes_drain(&p->gw);
	lifetime_tick(&p->gw);
	return event_read(p->gw.events, 0, p->event, PEER_EVENTS);
}
