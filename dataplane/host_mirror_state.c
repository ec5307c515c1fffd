/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_mirror_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/neighbour.h>

int mirror_state_init(struct mirror_state *s, const struct host_mirror_events *events, void *ctx)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->events = events;
	s->ctx = ctx;
	for (int kind = MIRROR_ADDRESS; kind < MIRROR_KINDS; kind++) {
		ret = mirror_table_init(&s->table[kind]);
		if (ret) {
			mirror_state_free(s);
			return ret;
		}
	}
	return 0;
}

void mirror_state_free(struct mirror_state *s)
{
	struct mirror_watch *next;

	for (int kind = MIRROR_ADDRESS; kind < MIRROR_KINDS; kind++)
		mirror_table_free(&s->table[kind]);
	for (; s->watches; s->watches = next) {
		next = s->watches->next;
		free(s->watches);
	}
}

struct mirror_watch *mirror_watch_by_index(const struct mirror_state *s, uint32_t ifindex)
{
	struct mirror_watch *w = ifindex ? s->watches : NULL;

	while (w && w->ifindex != ifindex)
		w = w->next;
	return w;
}

static struct mirror_watch *watch_by_name(const struct mirror_state *s, const char *name)
{
	struct mirror_watch *w = s->watches;

	while (w && strcmp(w->name, name) != 0)
		w = w->next;
	return w;
}

struct mirror_watch *mirror_watch_of(const struct mirror_state *s, uint32_t device)
{
	struct mirror_watch *w = s->watches;

	while (w && w->device != device)
		w = w->next;
	return w;
}

/* The entry of one key on one device. */
static struct mirror_entry *entry_on(const struct mirror_table *t, const struct mirror_key *key,
				     const struct mirror_watch *w)
{
	struct mirror_entry *e = mirror_table_first(t, key);

	while (e && e->watch != w)
		e = mirror_entry_next(e);
	return e;
}

/* ---- addresses ---- */

static void address_remove(struct mirror_state *s, struct mirror_entry *e)
{
	const struct mirror_key key = e->key;
	uint32_t device = e->watch->device;

	mirror_table_remove(&s->table[MIRROR_ADDRESS], e);
	s->events->address(s->ctx, device, key.family, key.addr, key.len, false);
	s->silent = true; /* routes with that source address */
}

int mirror_state_address(struct mirror_state *s, const struct mirror_address *address)
{
	const struct mirror_key key = { address->addr, address->family, address->len };
	struct mirror_watch *w = mirror_watch_by_index(s, address->ifindex);
	struct mirror_entry *e;

	if (!w)
		return 0;
	e = entry_on(&s->table[MIRROR_ADDRESS], &key, w);
	if (!address->present) {
		if (e)
			address_remove(s, e);
		return 0;
	}
	if (!e) {
		e = mirror_table_add(&s->table[MIRROR_ADDRESS], &key);
		if (!e)
			return -ENOMEM;
		e->watch = w;
		s->events->address(s->ctx, w->device, key.family, key.addr, key.len, true);
	}
	e->generation = s->generation[MIRROR_ADDRESS];
	return 0;
}

/* ---- neighbours ---- */

static void neighbour_tell(const struct mirror_state *s, const struct mirror_entry *e)
{
	s->events->neighbour(s->ctx, e->watch->device, e->key.family, e->key.addr,
			     e->usable ? e->mac : NULL);
}

static void neighbour_remove(struct mirror_state *s, struct mirror_entry *e)
{
	const struct mirror_entry gone = *e;

	mirror_table_remove(&s->table[MIRROR_NEIGHBOUR], e);
	if (gone.usable || gone.wanted)
		s->events->neighbour(s->ctx, gone.watch->device, gone.key.family, gone.key.addr,
				     NULL);
}

static void neighbour_lost(struct mirror_state *s, struct mirror_entry *e, uint16_t state)
{
	bool tell = e->usable || (e->wanted && (state & NUD_FAILED));

	e->usable = false;
	if (state & NUD_FAILED)
		e->wanted = false;
	if (tell)
		neighbour_tell(s, e);
}

int mirror_state_neighbour(struct mirror_state *s, const struct mirror_neighbour *neighbour,
			   struct mirror_entry **again)
{
	const struct mirror_key key = { neighbour->addr, neighbour->family,
					ip_bits(neighbour->family) };
	struct mirror_watch *w = mirror_watch_by_index(s, neighbour->ifindex);
	struct mirror_entry *e;

	*again = NULL;
	if (!w)
		return 0;
	e = entry_on(&s->table[MIRROR_NEIGHBOUR], &key, w);
	if (!neighbour->present) {
		if (e)
			neighbour_remove(s, e);
		return 0;
	}
	if (!e && !neighbour->usable)
		return 0;
	if (!e) {
		e = mirror_table_add(&s->table[MIRROR_NEIGHBOUR], &key);
		if (!e)
			return -ENOMEM;
		e->watch = w;
	}
	e->generation = s->generation[MIRROR_NEIGHBOUR];
	e->permanent = neighbour->state & (NUD_PERMANENT | NUD_NOARP);
	if (!neighbour->usable) {
		neighbour_lost(s, e, neighbour->state);
		return 0;
	}
	if (e->wanted && (neighbour->state & NUD_STALE))
		*again = e;
	if (!e->usable || memcmp(e->mac, neighbour->mac, sizeof(e->mac)) != 0) {
		memcpy(e->mac, neighbour->mac, sizeof(e->mac));
		e->usable = true;
		neighbour_tell(s, e);
	}
	return 0;
}

struct mirror_entry *mirror_state_want(struct mirror_state *s, struct mirror_watch *watch,
				       enum ip_family family, struct ip_addr addr)
{
	const struct mirror_key key = { addr, family, ip_bits(family) };
	struct mirror_entry *e = entry_on(&s->table[MIRROR_NEIGHBOUR], &key, watch);

	if (!e) {
		e = mirror_table_add(&s->table[MIRROR_NEIGHBOUR], &key);
		if (!e)
			return NULL;
		e->watch = watch;
		e->generation = s->generation[MIRROR_NEIGHBOUR];
	}
	/* Who asks has forgotten what was told. It is told outside of its own call. */
	if (e->usable)
		e->tell_again = s->tell_again = true;
	return e;
}

void mirror_state_tell_again(struct mirror_state *s)
{
	const struct mirror_table *t = &s->table[MIRROR_NEIGHBOUR];

	if (!s->tell_again)
		return;
	s->tell_again = false;
	for (uint32_t i = 0; i < t->buckets; i++) {
		for (struct mirror_entry *e = t->bucket[i]; e; e = e->next) {
			if (e->tell_again && e->usable)
				neighbour_tell(s, e);
			e->tell_again = false;
		}
	}
}

/* ---- devices ---- */

static void entry_remove(struct mirror_state *s, enum mirror_kind kind, struct mirror_entry *e)
{
	switch (kind) {
	case MIRROR_ADDRESS:
		address_remove(s, e);
		break;
	case MIRROR_NEIGHBOUR:
		neighbour_remove(s, e);
		break;
	case MIRROR_ROUTE:
		mirror_route_remove(s, e);
		break;
	default:
		break;
	}
}

/* Of a table, what is on a device. */
static void watch_withdraw(struct mirror_state *s, const struct mirror_watch *w,
			   enum mirror_kind kind)
{
	struct mirror_table *t = &s->table[kind];
	struct mirror_entry *e;

	for (uint32_t i = 0; i < t->buckets; i++) {
		for (e = t->bucket[i]; e;) {
			if (e->watch != w) {
				e = e->next;
				continue;
			}
			entry_remove(s, kind, e);
			e = t->bucket[i]; /* the callback may have added one */
		}
	}
}

static void watch_tell(const struct mirror_state *s, const struct mirror_watch *w)
{
	s->events->link(s->ctx, w->device, w->mac, w->mtu, w->up);
}

/* The device is not there, or no longer under this name. */
static void watch_unbind(struct mirror_state *s, struct mirror_watch *w)
{
	if (!w->ifindex)
		return;
	watch_withdraw(s, w, MIRROR_ROUTE);
	watch_withdraw(s, w, MIRROR_NEIGHBOUR);
	watch_withdraw(s, w, MIRROR_ADDRESS);
	w->ifindex = 0;
	w->up = false;
	watch_tell(s, w);
	s->silent = true;
}

int mirror_watch_add(struct mirror_state *s, const char *name, uint32_t device)
{
	size_t len = strnlen(name, IFNAMSIZ);
	struct mirror_watch *w;

	if (len == 0 || len >= IFNAMSIZ)
		return -EINVAL;
	if (watch_by_name(s, name) || mirror_watch_of(s, device))
		return -EEXIST;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	memcpy(w->name, name, len);
	w->device = device;
	w->next = s->watches;
	s->watches = w;
	s->dirty |= MIRROR_ALL;
	return 0;
}

int mirror_watch_remove(struct mirror_state *s, uint32_t device)
{
	struct mirror_watch *w = mirror_watch_of(s, device);
	struct mirror_watch **link = &s->watches;

	if (!w)
		return -ENOENT;
	watch_unbind(s, w);
	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	free(w);
	return 0;
}

int mirror_state_link(struct mirror_state *s, const struct mirror_link *link)
{
	struct mirror_watch *w = mirror_watch_by_index(s, link->ifindex);
	bool changed;

	if (w && (!link->present || strcmp(w->name, link->name) != 0))
		watch_unbind(s, w);
	w = link->present ? watch_by_name(s, link->name) : NULL;
	if (!w)
		return 0;
	w->generation = s->generation[MIRROR_LINK];
	changed = w->ifindex != link->ifindex;
	if (changed) {
		watch_unbind(s, w);
		w->ifindex = link->ifindex;
		s->dirty |= MIRROR_ALL & ~(1u << MIRROR_LINK);
	}
	if (w->up != link->up) {
		changed = true;
		s->silent = true;
	}
	if (!changed && w->mtu == link->mtu && memcmp(w->mac, link->mac, sizeof(w->mac)) == 0)
		return 0;
	w->up = link->up;
	w->mtu = link->mtu;
	memcpy(w->mac, link->mac, sizeof(w->mac));
	watch_tell(s, w);
	if (!w->up)
		watch_withdraw(s, w, MIRROR_ROUTE);
	return 0;
}

/* ---- after a dump ---- */

static void sweep_links(struct mirror_state *s)
{
	for (struct mirror_watch *w = s->watches; w; w = w->next) {
		if (w->ifindex && w->generation != s->generation[MIRROR_LINK])
			watch_unbind(s, w);
	}
}

bool mirror_state_sweep(struct mirror_state *s, enum mirror_kind kind, uint32_t *bucket,
			uint32_t buckets)
{
	struct mirror_table *t = &s->table[kind];
	struct mirror_entry *e;

	if (kind == MIRROR_LINK) {
		sweep_links(s);
		return true;
	}
	for (; *bucket < t->buckets && buckets; (*bucket)++, buckets--) {
		for (e = t->bucket[*bucket]; e;) {
			if (e->generation == s->generation[kind]) {
				e = e->next;
				continue;
			}
			entry_remove(s, kind, e);
			e = t->bucket[*bucket];
		}
	}
	return *bucket >= t->buckets;
}
