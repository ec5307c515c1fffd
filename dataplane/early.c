/* SPDX-License-Identifier: BSD-3-Clause */
#include "early.h"

#include <errno.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "flow_label.h"
#include "ip_header.h"
#include "sad.h"
#include "trace.h"
#include "worker.h"

#define NONE UINT32_MAX

/* Of its whole time: how often it is looked for those that have waited for it. */
#define EXPIRE_PART 32

/* A packet that waits; its descriptor is in the mbuf. */
struct entry {
	struct rte_mbuf *mbuf;
	uint64_t until; /* TSC */
	uint32_t spi;   /* network byte order */
	uint32_t next;  /* of its share, or of the free ones; NONE: the last */
};

/* First in, first out. */
struct share {
	uint32_t first; /* NONE: empty */
	uint32_t last;
};

struct early {
	uint64_t cycles;
	uint64_t pause;
	uint64_t look_at;   /* TSC, as the next; not before */
	uint64_t expire_at; /* not before */
	uint32_t announced; /* sad_announced() before the last look, which found SAs up to it */
	uint32_t max;       /* buffers */
	uint32_t held;      /* buffers */
	uint32_t free;      /* first of the free entries */
	bool going_on;      /* what is in the walk has waited already */
	struct share share[EARLY_SHARES];
	uint32_t buffers[EARLY_SHARES]; /* of each share */
	struct entry entry[];           /* [max] */
};

int early_create(uint32_t buffers, uint64_t cycles, uint64_t pause, int socket, struct early **out)
{
	struct early *e = rte_zmalloc_socket("early", sizeof(*e) + buffers * sizeof(struct entry),
					     64, socket);

	if (e == NULL)
		return -ENOMEM;
	e->cycles = cycles;
	e->pause = pause;
	e->max = buffers;
	for (uint32_t i = 0; i < EARLY_SHARES; i++)
		e->share[i].first = NONE;
	for (uint32_t i = 0; i < buffers; i++)
		e->entry[i].next = i + 1 < buffers ? i + 1 : NONE;
	*out = e;
	return 0;
}

void early_destroy(struct early *e)
{
	if (e == NULL)
		return;
	for (uint32_t s = 0; s < EARLY_SHARES; s++)
		for (uint32_t i = e->share[s].first; i != NONE; i = e->entry[i].next)
			rte_pktmbuf_free(e->entry[i].mbuf);
	rte_free(e);
}

/* ---- shares ---- */

static uint32_t share_of(const struct worker *w, const struct packet *p)
{
	uint64_t source = p->family == IP_V4 ? load32(p->l3 + 12) : load64(p->l3 + 8);

	return siphash(w->tables->flow_key, &source, 1) % EARLY_SHARES;
}

static uint32_t share_fullest(const struct early *e)
{
	uint32_t fullest = 0;

	for (uint32_t s = 1; s < EARLY_SHARES; s++)
		if (e->buffers[s] > e->buffers[fullest])
			fullest = s;
	return fullest;
}

static void share_add(struct worker *w, uint32_t s, const struct packet *p, uint32_t spi)
{
	struct early *e = w->early;
	struct share *share = &e->share[s];
	uint32_t i = e->free, buffers = p->mbuf->nb_segs;

	e->free = e->entry[i].next;
	e->entry[i] = (struct entry){ p->mbuf, rte_rdtsc() + e->cycles, spi, NONE };
	if (share->first == NONE)
		share->first = i;
	else
		e->entry[share->last].next = i;
	share->last = i;
	e->buffers[s] += buffers;
	e->held += buffers;
	w->early_held++;
}

/* The one behind `before` (NONE: the first one) is taken out. */
static struct rte_mbuf *share_take(struct worker *w, uint32_t s, uint32_t before)
{
	struct early *e = w->early;
	struct share *share = &e->share[s];
	uint32_t *link = before == NONE ? &share->first : &e->entry[before].next, i = *link;
	struct rte_mbuf *m = e->entry[i].mbuf;

	*link = e->entry[i].next;
	if (share->last == i)
		share->last = before;
	e->entry[i].next = e->free;
	e->free = i;
	e->buffers[s] -= m->nb_segs;
	e->held -= m->nb_segs;
	w->early_held--;
	return m;
}

/* ---- the end of the wait ---- */

static void underlay_count(struct worker *w, const struct packet *p)
{
	w->stats.tenant[0].in_packets++;
	w->stats.tenant[0].in_bytes += p->length;
}

/* At once: the list of drops has room for no more than a burst. */
static void first_drop(struct worker *w, uint32_t s)
{
	struct rte_mbuf *m = share_take(w, s, NONE);
	struct packet *p = mbuf_packet(m);

	p->outer_length = 0; /* it shares its place with the generation */
	p->reason = DROP_spi_unknown;
	underlay_count(w, p);
	if (unlikely(w->tracing))
		trace_packet(w->trace, p, (uint8_t)w->id, UINT16_MAX);
	drop_count(&w->stats, p);
	rte_pktmbuf_free(m);
}

/* One more of a burst that goes on, its n-th. */
static void burst_add(struct worker *w, uint32_t n, struct rte_mbuf *m)
{
	struct packet *p = &w->packet[n];

	*p = *mbuf_packet(m);
	if (unlikely(p->generation != handoff_generation(w->tables, p))) {
		underlay_count(w, p);
		packet_drop(w, p, DROP_detached);
		return;
	}
	p->outer_length = 0;
	packet_push(&w->inbound, p);
	w->stats.worker->early_packets++;
}

static void burst_end(struct worker *w, uint32_t n)
{
	w->early->going_on = true;
	worker_go_on(w, n);
	w->early->going_on = false;
}

/* It has come since the last look, or is still coming. */
static bool sa_is_young(const struct early *e, const struct sa_in *sa)
{
	return (int32_t)(sa->generation - e->announced) > 0;
}

static bool sa_has_come(const struct worker *w, uint32_t spi)
{
	uint32_t id = sad_lookup(w->tables->sad, spi);

	return id != 0 && !sa_is_young(w->early, &w->tables->sa[id].in);
}

/* Those whose SA has come. */
static uint32_t early_look(struct worker *w)
{
	struct early *e = w->early;
	uint32_t total = 0, n = 0;

	for (uint32_t s = 0; s < EARLY_SHARES; s++) {
		uint32_t before = NONE, i = e->share[s].first;

		while (i != NONE) {
			uint32_t next = e->entry[i].next;

			if (sa_has_come(w, e->entry[i].spi)) {
				burst_add(w, n++, share_take(w, s, before));
				total++;
			} else {
				before = i;
			}
			if (n == BURST_MAX) {
				burst_end(w, n);
				n = 0;
			}
			i = next;
		}
	}
	if (n != 0)
		burst_end(w, n);
	return total;
}

static uint32_t early_expire(struct worker *w, uint64_t now)
{
	const struct early *e = w->early;
	uint32_t before = w->early_held;

	for (uint32_t s = 0; s < EARLY_SHARES; s++)
		while (e->share[s].first != NONE && now >= e->entry[e->share[s].first].until)
			first_drop(w, s);
	return before - w->early_held;
}

static void packet_hold(struct worker *w, struct packet *p)
{
	p->generation = handoff_generation(w->tables, p);
	*mbuf_packet(p->mbuf) = *p;
	share_add(w, share_of(w, p), p, load32(p->l3 + p->esp_offset));
}

bool early_hold(struct worker *w, struct packet *p)
{
	struct early *e = w->early;
	uint32_t buffers = p->mbuf->nb_segs;

	if (e == NULL || e->going_on || buffers > e->max)
		return false;
	while (e->held + buffers > e->max)
		first_drop(w, share_fullest(e));
	packet_hold(w, p);
	return true;
}

bool early_queue(struct worker *w, struct packet *p)
{
	const struct early *e = w->early;

	if (e->going_on || e->held + p->mbuf->nb_segs > e->max || !sa_is_young(e, &p->sa->in))
		return false;
	p->sa = NULL;
	p->sa_id = 0;
	packet_hold(w, p);
	return true;
}

uint32_t early_poll(struct worker *w, uint64_t now)
{
	struct early *e = w->early;
	/* Before the look: what is announced during it is looked for again. */
	uint32_t announced = sad_announced(w->tables->sad), n = 0;

	if (announced != e->announced && now >= e->look_at) {
		e->announced = announced;
		e->look_at = now + w->early_held * e->pause;
		n = early_look(w);
	}
	if (now >= e->expire_at) {
		e->expire_at = now + e->cycles / EXPIRE_PART;
		n += early_expire(w, now);
	}
	return n;
}

void early_end(struct worker *w)
{
	if (w->early != NULL)
		early_expire(w, UINT64_MAX);
}
