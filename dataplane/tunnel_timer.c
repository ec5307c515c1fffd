/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A wheel of one slot per millisecond; a tunnel is in the slot of the time when it is looked at next.
 * One that is due in a later turn of the wheel is passed over.
 */
#include "tunnel_timer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "gateway.h"
#include "tunnel_idle.h"
#include "worker.h"

#define SLOTS 4096
#define LOOKS 4   /* per interval: how exactly silence is measured */
#define BATCH 256 /* tunnels looked at in one go */
#define NEVER UINT64_MAX

struct timed {
	uint64_t due;       /* ms: the next look */
	uint64_t keepalive; /* when one is to be sent, unless something is sent before; or NEVER */
	uint64_t dummy;
	uint64_t sent; /* packets, at the last look */
	uint32_t keepalive_ms;
	uint32_t dummy_ms; /* both 0: it is not in the wheel */
	uint32_t next;     /* in its slot; tunnel ids, 0: none */
	uint32_t previous;
};

struct tunnel_timer {
	struct gateway *gw;
	uint64_t now;
	uint64_t at;         /* the first millisecond that isn't done */
	struct timed *timed; /* [max_tunnels] */
	uint32_t slot[SLOTS];
};

int tunnel_timer_create(struct gateway *gw)
{
	struct tunnel_timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->gw = gw;
	t->timed = calloc(gw->size.max_tunnels, sizeof(*t->timed));
	if (t->timed == NULL) {
		free(t);
		return -ENOMEM;
	}
	gw->tunnel_timer = t;
	return 0;
}

void tunnel_timer_destroy(struct gateway *gw)
{
	if (gw->tunnel_timer != NULL)
		free(gw->tunnel_timer->timed);
	free(gw->tunnel_timer);
	gw->tunnel_timer = NULL;
}

/* ---- the wheel ---- */

static void wheel_link(struct tunnel_timer *t, uint32_t id)
{
	struct timed *e = &t->timed[id];
	uint32_t *head = &t->slot[e->due % SLOTS];

	e->next = *head;
	e->previous = 0;
	if (*head != 0)
		t->timed[*head].previous = id;
	*head = id;
}

static void wheel_unlink(struct tunnel_timer *t, uint32_t id)
{
	const struct timed *e = &t->timed[id];

	if (e->next != 0)
		t->timed[e->next].previous = e->previous;
	if (e->previous != 0)
		t->timed[e->previous].next = e->next;
	else
		t->slot[e->due % SLOTS] = e->next;
}

/* ---- a tunnel ---- */

static uint64_t packets_sent(const struct gateway *gw, uint32_t id)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < gw->workers; i++)
		sum += __atomic_load_n(&gw->worker[i]->stats.tunnel[id].out_packets,
				       __ATOMIC_RELAXED);
	return sum;
}

static uint64_t after(uint64_t now, uint32_t ms)
{
	return ms != 0 ? now + ms : NEVER;
}

static void timed_next_look(struct tunnel_timer *t, uint32_t id)
{
	struct timed *e = &t->timed[id];
	uint32_t ms = e->keepalive_ms;

	if (ms == 0 || (e->dummy_ms != 0 && e->dummy_ms < ms))
		ms = e->dummy_ms;
	e->due = t->now + (ms >= LOOKS ? ms / LOOKS : 1);
	wheel_link(t, id);
}

static void timed_look(struct tunnel_timer *t, uint32_t id)
{
	struct timed *e = &t->timed[id];
	uint64_t sent = packets_sent(t->gw, id);

	if (sent != e->sent) {
		e->sent = sent;
		e->keepalive = after(t->now, e->keepalive_ms);
		e->dummy = after(t->now, e->dummy_ms);
		return;
	}
	if (t->now >= e->keepalive) {
		keepalive_send(t->gw, id);
		e->keepalive = after(t->now, e->keepalive_ms);
	}
	if (t->now >= e->dummy) {
		dummy_send(t->gw, id);
		e->dummy = after(t->now, e->dummy_ms);
	}
}

void tunnel_timer_update(struct gateway *gw, uint32_t id)
{
	struct tunnel_timer *t = gw->tunnel_timer;
	const struct abi_tunnel *r = &gw->tunnel[id].record;
	uint32_t keepalive_ms = r->keepalive * 1000u, dummy_ms = r->dummy_ms;
	struct timed *e;

	if (t == NULL)
		return;
	e = &t->timed[id];
	if (e->keepalive_ms == keepalive_ms && e->dummy_ms == dummy_ms)
		return;
	if (e->keepalive_ms != 0 || e->dummy_ms != 0)
		wheel_unlink(t, id);
	*e = (struct timed){
		.keepalive = after(t->now, keepalive_ms),
		.dummy = after(t->now, dummy_ms),
		.sent = packets_sent(gw, id),
		.keepalive_ms = keepalive_ms,
		.dummy_ms = dummy_ms,
	};
	if (keepalive_ms != 0 || dummy_ms != 0)
		timed_next_look(t, id);
}

/* False: there are more than the batch that is left takes. */
static bool slot_poll(struct tunnel_timer *t, uint32_t slot, uint32_t *left)
{
	uint32_t id = t->slot[slot], next;

	for (; id != 0; id = next) {
		next = t->timed[id].next;
		if (t->timed[id].due > t->now)
			continue;
		if (*left == 0)
			return false;
		--*left;
		wheel_unlink(t, id);
		timed_look(t, id);
		timed_next_look(t, id);
	}
	return true;
}

void tunnel_timer_poll(struct gateway *gw, uint64_t now_ms)
{
	struct tunnel_timer *t = gw->tunnel_timer;
	uint32_t left = BATCH;

	if (t == NULL)
		return;
	t->now = now_ms;
	/* Once round is enough, however long it has been. */
	if (now_ms >= SLOTS && t->at < now_ms - SLOTS + 1)
		t->at = now_ms - SLOTS + 1;
	while (t->at <= now_ms && slot_poll(t, t->at % SLOTS, &left))
		t->at++;
}
