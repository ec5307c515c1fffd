/* SPDX-License-Identifier: BSD-3-Clause */
/* The main lcore's part of lifetimes. Where an SA stands is the state of its record. */
#include "lifetime.h"

#include <arpa/inet.h>

#include "deadline.h"
#include "event.h"
#include "gateway.h"
#include "log.h"
#include "rate.h"
#include "worker.h"

#define SECONDS_MAX UINT32_MAX /* 136 years: longer is no limit */
#define LINE_MS     100        /* between two lines of the log, on average */
#define LINES_BURST 50

/* Are packets or bytes limited? Without, the entry of the table means nothing. */
static bool is_counted(const struct abi_lifetime *soft, const struct abi_lifetime *hard)
{
	return (soft->bytes | soft->packets | hard->bytes | hard->packets) != 0;
}

static void limit_store(uint64_t *to, uint64_t limit)
{
	__atomic_store_n(to, limit != 0 ? limit : UINT64_MAX, __ATOMIC_RELAXED);
}

static void limits_store(struct lifetime *l, const struct abi_lifetime *soft,
			 const struct abi_lifetime *hard)
{
	limit_store(&l->soft_bytes, soft->bytes);
	limit_store(&l->soft_packets, soft->packets);
	limit_store(&l->hard_bytes, hard->bytes);
	limit_store(&l->hard_packets, hard->packets);
}

/* What the workers' counters say that the SA has carried so far. */
static void counts_adopt(struct lifetime *l, const struct gateway *gw, uint32_t sa)
{
	l->bytes = l->packets = 0;
	for (uint32_t i = 0; i < gw->workers; i++) {
		const struct counters_sa *row = &gw->worker[i]->stats.sa[sa];

		l->bytes += __atomic_load_n(&row->bytes, __ATOMIC_RELAXED);
		l->packets += __atomic_load_n(&row->packets, __ATOMIC_RELAXED);
	}
}

bool lifetime_init(struct lifetime *l, const struct abi_sa *r)
{
	if (!is_counted(&r->soft, &r->hard))
		return false;
	*l = (struct lifetime){ 0 };
	limits_store(l, &r->soft, &r->hard);
	return true;
}

static uint8_t *sa_flags(const struct gateway *gw, uint32_t sa)
{
	union sa *slot = &gw->tables->sa[sa];

	return gw->sa[sa].direction == ABI_SA_IN ? &slot->in.flags : &slot->out.flags;
}

void lifetime_change(struct gateway *gw, uint32_t sa)
{
	const struct object_life *life = &gw->life[sa];
	struct lifetime *l = &gw->tables->lifetime[sa];
	uint8_t *flags = sa_flags(gw, sa);

	if (is_counted(&life->soft, &life->hard)) {
		if (!(*flags & SA_LIFETIME))
			counts_adopt(l, gw, sa);
		limits_store(l, &life->soft, &life->hard);
		__atomic_store_n(flags, (uint8_t)(*flags | SA_LIFETIME), __ATOMIC_RELEASE);
	} else {
		__atomic_store_n(flags, (uint8_t)(*flags & ~SA_LIFETIME), __ATOMIC_RELEASE);
	}
	deadline_set(gw->deadlines, sa, 0); /* looked at when the transaction is over */
}

/* When so many seconds are over; UINT64_MAX: never. */
static uint64_t end_of(const struct gateway *gw, uint32_t sa, uint64_t seconds)
{
	return seconds == 0 || seconds > SECONDS_MAX ? UINT64_MAX
						     : gw->life[sa].since + seconds * 1000;
}

void lifetime_start(struct gateway *gw, uint32_t sa)
{
	const struct object_sa *o = &gw->sa[sa];
	const struct object_life *life = &gw->life[sa];
	uint64_t next = end_of(gw, sa, life->hard.seconds);
	uint64_t soft = end_of(gw, sa, life->soft.seconds);

	if (o->state == ABI_SA_LIVE && soft < next)
		next = soft;
	if (o->state != ABI_SA_HARD && next != UINT64_MAX)
		deadline_set(gw->deadlines, sa, next);
}

void lifetime_stop(struct gateway *gw, uint32_t sa)
{
	deadline_clear(gw->deadlines, sa);
}

/* The first of the limits that is reached; 0: none. */
static enum abi_limit limit_reached(const struct gateway *gw, uint32_t sa,
				    const struct abi_lifetime *limit)
{
	const struct lifetime *l = &gw->tables->lifetime[sa];

	if (limit->bytes != 0 && __atomic_load_n(&l->bytes, __ATOMIC_RELAXED) >= limit->bytes)
		return ABI_LIMIT_BYTES;
	if (limit->packets != 0 && __atomic_load_n(&l->packets, __ATOMIC_RELAXED) >= limit->packets)
		return ABI_LIMIT_PACKETS;
	if (gw->now_ms >= end_of(gw, sa, limit->seconds))
		return ABI_LIMIT_SECONDS;
	return 0;
}

/* Each is reached once, whatever limit comes first. */
static void state_reach(struct gateway *gw, uint32_t sa, enum abi_sa_state state,
			enum abi_limit limit)
{
	static const char *const name[] = { [ABI_LIMIT_BYTES] = "bytes",
					    [ABI_LIMIT_PACKETS] = "packets",
					    [ABI_LIMIT_SECONDS] = "seconds" };
	struct object_sa *o = &gw->sa[sa];
	bool hard = state == ABI_SA_HARD;
	struct abi_event event = event_of_sa(gw, sa, hard ? ABI_EVENT_SA_HARD : ABI_EVENT_SA_SOFT);
	uint8_t *flags = sa_flags(gw, sa);

	if (limit == 0 || o->state >= state)
		return;
	o->state = (uint8_t)state;
	if (hard)
		__atomic_store_n(flags, (uint8_t)(*flags | SA_EXPIRED), __ATOMIC_RELAXED);
	event.value = limit;
	event_raise(gw->events, &event);
	if (rate_allows(&gw->lifetime_ready, gw->now_ms, LINE_MS, LINES_BURST))
		log_info("SA %u, SPI 0x%x, of tunnel %u: its %s lifetime in %s is over%s", sa,
			 ntohl(o->spi), o->tunnel, hard ? "hard" : "soft", name[limit],
			 hard ? ": it carries nothing more" : "");
}

/* A soft lifetime that was made longer is not over any more; a hard one stays over. */
static void sa_look(struct gateway *gw, uint32_t sa)
{
	struct object_sa *o = &gw->sa[sa];
	enum abi_limit soft = limit_reached(gw, sa, &gw->life[sa].soft);

	deadline_clear(gw->deadlines, sa);
	if (o->state == ABI_SA_SOFT && soft == 0)
		o->state = ABI_SA_LIVE;
	state_reach(gw, sa, ABI_SA_SOFT, soft);
	state_reach(gw, sa, ABI_SA_HARD, limit_reached(gw, sa, &gw->life[sa].hard));
	lifetime_start(gw, sa);
}

/* The counts say what it is about: meanwhile the limits may have become others. */
void lifetime_note(struct gateway *gw, const struct event_note *note)
{
	sa_look(gw, note->sa);
}

void lifetime_tick(struct gateway *gw)
{
	uint32_t sa;

	while (deadline_due(gw->deadlines, gw->now_ms, &sa))
		sa_look(gw, sa);
}

/* The counts are ahead of the notes. */
enum abi_sa_state lifetime_state(const struct gateway *gw, uint32_t sa)
{
	const struct object_life *life = &gw->life[sa];
	uint8_t state = gw->sa[sa].state;

	if (state == ABI_SA_HARD || limit_reached(gw, sa, &life->hard) != 0)
		return ABI_SA_HARD;
	if (state == ABI_SA_SOFT || limit_reached(gw, sa, &life->soft) != 0)
		return ABI_SA_SOFT;
	return ABI_SA_LIVE;
}
