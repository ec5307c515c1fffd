/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Security associations. The key of a record is expanded into crypto's arena and copied nowhere
 * else; a deleted SA's key and window are kept until its transaction is over, and its entry of the
 * table (with the next sequence number) is left as it is, so that undoing needs no key.
 *
 * Which outbound SA sends changes only when the transaction is over. A new one must not send before:
 * were it undone then, its client might set it again with the same key and the same first sequence
 * number, and nonces would repeat. And the deleted one goes on sending until the new one does, so
 * that a rekey in one transaction loses nothing; unless its id or its next hop is needed before.
 */
#include "apply_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "log.h"
#include "object_sa.h"
#include "reclaim.h"
#include "replay.h"
#include "sa_template.h"
#include "sad.h"
#include "tables.h"
#include "underlay.h"

#define LINE                 64u
#define SEQUENCE_LIMIT_SHORT (1ull << 32)

/* A worker's const pointer is the owner's. */
static struct aead_key *slot_key(const union sa *slot, uint8_t direction)
{
	const struct aead_key *key = direction == ABI_SA_IN ? slot->in.key : slot->out.key;

	return (struct aead_key *)(uintptr_t)key;
}

/* What is to be freed of an SA's window: nothing where it stands in the slot. */
static struct replay *slot_replay(const union sa *slot, uint8_t direction)
{
	if (direction != ABI_SA_IN || (const void *)slot->in.replay == (const void *)slot->room)
		return NULL;
	return slot->in.replay;
}

static void secrets_free(void *owner, uint64_t key, uint64_t replay)
{
	struct apply *a = owner;

	aead_key_destroy(a->gw->aead, (struct aead_key *)(uintptr_t)key);
	free((void *)(uintptr_t)replay);
}

static void secrets_release(struct apply *a, struct aead_key *key, struct replay *replay)
{
	reclaim_defer(a->gw->tables->reclaim, secrets_free, a, (uintptr_t)key, (uintptr_t)replay);
}

/* The record without its secrets, field by field: a copy to wipe never comes to be. */
static struct abi_sa record_of(const struct abi_sa *r)
{
	return (struct abi_sa){
		.id = r->id,
		.tunnel = r->tunnel,
		.spi = r->spi,
		.direction = r->direction,
		.flags = r->flags,
		.key_len = r->key_len,
		.window = r->window,
		.cpu = r->cpu,
		.sequence = r->sequence,
		.sequence_limit = r->sequence_limit,
		.cookie = r->cookie,
		.soft = r->soft,
		.hard = r->hard,
	};
}

static uint32_t *list_head(struct gateway *gw, const struct abi_sa *r)
{
	struct object_tunnel *t = &gw->tunnel[r->tunnel];

	return r->direction == ABI_SA_IN ? &t->newest_in : &t->newest_out;
}

static uint32_t *list_count(struct gateway *gw, const struct abi_sa *r)
{
	struct object_tunnel *t = &gw->tunnel[r->tunnel];

	return r->direction == ABI_SA_IN ? &t->sas_in : &t->sas_out;
}

/* Puts an SA behind `newer` in its tunnel's list (0: in front), and where inbound packets find it. */
static int sa_link(struct apply *a, const struct abi_sa *r, uint32_t newer)
{
	struct gateway *gw = a->gw;
	struct object_sa *o = &gw->sa[r->id];
	uint32_t *link = newer != 0 ? &gw->sa[newer].next : list_head(gw, r);
	int error;

	if (r->direction == ABI_SA_IN) {
		error = sad_add(gw->tables->sad, r->spi, r->id);
		if (error != 0)
			return error;
	}
	object_sa_store(gw, r);
	o->next = *link;
	*link = r->id;
	++*list_count(gw, r);
	lifetime_start(gw, r->id);
	if (r->direction == ABI_SA_OUT) {
		path_mtu_sa_added(gw, r->id);
		underlay_resolve_sa(gw, r->id);
	}
	return 0;
}

/*
 * The reverse; returns the next newer one. The table's entry stays as it is, and what an outbound
 * one holds of the underlay is the caller's now.
 */
static uint32_t sa_unlink(struct apply *a, uint32_t id)
{
	struct gateway *gw = a->gw;
	struct abi_sa r = object_sa_record(gw, id);
	uint32_t *link = list_head(gw, &r);
	uint32_t newer = 0;

	while (*link != id) {
		newer = *link;
		link = &gw->sa[newer].next;
	}
	*link = gw->sa[id].next;
	--*list_count(gw, &r);
	lifetime_stop(gw, id);
	if (r.direction == ABI_SA_IN)
		sad_delete(gw->tables->sad, r.spi);
	else
		path_mtu_sa_removed(gw, id);
	object_sa_clear(gw, id);
	return newer;
}

/* When the arena is full, keys that are about to be freed may make room. */
static int key_create(struct apply *a, const struct abi_sa *r, struct aead_key **key,
		      struct answer *answer)
{
	int error = aead_key_create(a->gw->aead, r->key, r->key_len, r->salt, key);

	if (error == -ENOSPC) {
		reclaim_wait(a->gw->tables->reclaim);
		error = aead_key_create(a->gw->aead, r->key, r->key_len, r->salt, key);
	}
	if (error == -ENOSPC)
		return refuse(answer, error, "the arena of keys is full: raise the number of SAs");
	if (error != 0)
		return refuse(answer, error,
			      "SA %u: can't store its key: raise the limit of "
			      "locked memory (RLIMIT_MEMLOCK)",
			      r->id);
	return 0;
}

/* Memory for a window that has no room in its SA's slot. */
static int replay_create(const struct abi_sa *r, struct replay **replay, struct answer *answer)
{
	size_t size = (replay_size(r->window) + LINE - 1) & ~(size_t)(LINE - 1);

	if (size <= SA_ROOM)
		return 0;
	*replay = aligned_alloc(LINE, size);
	if (*replay == NULL)
		return refuse(answer, -ENOMEM, "SA %u: no memory for its window", r->id);
	return 0;
}

static void slot_fill(struct gateway *gw, const struct abi_sa *r, struct aead_key *key,
		      struct replay *replay)
{
	const struct object_tunnel *tunnel = &gw->tunnel[r->tunnel];
	union sa *slot = &gw->tables->sa[r->id];
	struct abi_tunnel present;
	uint8_t flags = r->flags & ABI_SA_ESN ? SA_ESN : 0;

	if (lifetime_init(&gw->tables->lifetime[r->id], r))
		flags |= SA_LIFETIME;
	memset(slot, 0, sizeof(*slot));
	if (r->direction == ABI_SA_IN) {
		if (replay == NULL)
			replay = (void *)slot->room;
		replay_init(replay, r->window);
		slot->in = (struct sa_in){
			.key = key,
			.replay = replay,
			.spi = r->spi,
			.tunnel = r->tunnel,
			.tenant = tunnel->record.tenant,
			.generation = ++gw->sa_generations,
			.flags = flags,
		};
		tunnel_policy(tunnel, slot, ABI_SA_IN);
		return;
	}
	slot->out = (struct sa_out){
		.key = key,
		.sequence = r->sequence,
		.sequence_limit = r->sequence_limit,
		.spi = r->spi,
		.generation = ++gw->sa_generations,
		.flags = flags,
	};
	tunnel_policy(tunnel, slot, ABI_SA_OUT);
	present = peer_tunnel(tunnel);
	sa_template_build(&slot->out, 0, &present);
}

static int sa_add(struct apply *a, const struct abi_sa *r, struct undo *undo, struct answer *answer)
{
	struct gateway *gw = a->gw;
	struct abi_sa record = record_of(r);
	struct aead_key *key = NULL;
	struct replay *replay = NULL;
	int error;

	error = key_create(a, r, &key, answer);
	if (error != 0)
		return error;
	if (r->direction == ABI_SA_IN) {
		error = replay_create(r, &replay, answer);
		if (error != 0)
			goto free_key;
	}
	error = id_take(a, STATS_SA, r->id, undo);
	if (error != 0) {
		refuse(answer, error, "no memory for SA %u", r->id);
		goto free_replay;
	}
	slot_fill(gw, r, key, replay);
	if ((r->soft.seconds | r->hard.seconds) != 0)
		gw->life[r->id].since = gw->now_ms;
	a->added[r->id] = a->transaction;
	error = sa_link(a, &record, 0);
	if (error != 0) {
		refuse(answer, error, "the table of SPIs is full");
		goto give_back;
	}
	undo->sa.record = record;
	return 0;

give_back:
	id_give_back(a, STATS_SA, r->id, undo);
	free(undo->rows);
	free(undo->slot);
free_replay:
	free(replay);
free_key:
	aead_key_destroy(gw->aead, key);
	return error;
}

/* Outbound only. */
static int limit_raise(struct gateway *gw, uint32_t id, uint64_t limit, struct undo *undo,
		       struct answer *answer)
{
	if (!(gw->sa[id].flags & ABI_SA_ESN) && limit > SEQUENCE_LIMIT_SHORT)
		return refuse(answer, -EINVAL, "SA %u: a sequence limit above 2^32 wants ESN", id);
	undo->id = id;
	undo->did = DID_CHANGE;
	undo->sa.record = object_sa_record(gw, id);
	undo->sa.since = gw->life[id].since;
	__atomic_store_n(&gw->tables->sa[id].out.sequence_limit, limit, __ATOMIC_RELEASE);
	return 0;
}

static void lifetimes_set(struct gateway *gw, uint32_t id, const struct abi_sa *r, uint64_t since)
{
	struct object_life *life = &gw->life[id];
	bool same = memcmp(&life->soft, &r->soft, sizeof(r->soft)) == 0 &&
		    memcmp(&life->hard, &r->hard, sizeof(r->hard)) == 0;

	if (same && (r->soft.seconds | r->hard.seconds) == 0)
		return;
	life->soft = r->soft;
	life->hard = r->hard;
	life->since = since;
	lifetime_change(gw, id);
}

/* A SET of what is there already may raise the lease and change the lifetimes. */
static int sa_set_again(struct apply *a, const struct abi_sa *r, struct undo *undo,
			struct answer *answer)
{
	const struct abi_sa live = object_sa_record(a->gw, r->id);
	uint64_t limit = live.sequence_limit;
	int error = 0;

	if (live.cookie != r->cookie || live.tunnel != r->tunnel || live.spi != r->spi ||
	    live.direction != r->direction || live.flags != r->flags ||
	    live.key_len != r->key_len || live.window != r->window || live.cpu != r->cpu)
		return refuse(answer, -EEXIST,
			      "SA %u is another one: SAs can't be changed, take a new id", r->id);
	if (r->direction == ABI_SA_IN) {
		undo->id = r->id;
		undo->did = DID_CHANGE;
		undo->sa.record = live;
		undo->sa.since = a->gw->life[r->id].since;
	} else {
		if (r->sequence_limit > limit)
			limit = r->sequence_limit;
		error = limit_raise(a->gw, r->id, limit, undo, answer);
	}
	if (error == 0)
		lifetimes_set(a->gw, r->id, r, a->gw->now_ms);
	return error;
}

int sa_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_sa *r = record;
	struct gateway *gw = a->gw;
	uint32_t other;

	if (gw->tunnel[r->tunnel].record.id == 0)
		return refuse(answer, -ENOENT, "SA %u: there is no tunnel %u", r->id, r->tunnel);
	if (gw->sa[r->id].id != 0)
		return sa_set_again(a, r, undo, answer);
	other = r->direction == ABI_SA_IN ? sad_lookup(gw->tables->sad, r->spi) : 0;
	if (other != 0)
		return refuse(answer, -EEXIST, "inbound SPI 0x%x belongs to SA %u of tunnel %u",
			      ntohl(r->spi), other, gw->sa[other].tunnel);
	undo->id = r->id;
	undo->did = DID_ADD;
	return sa_add(a, r, undo, answer);
}

static struct object_sa *sa_find(struct gateway *gw, uint32_t id, struct answer *answer)
{
	if (id >= gw->size.max_sas || gw->sa[id].id == 0) {
		refuse(answer, -ENOENT, "there is no SA %u", id);
		return NULL;
	}
	return &gw->sa[id];
}

int sa_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	uint32_t id = ((const struct abi_id *)record)->id;
	struct object_sa *o = sa_find(a->gw, id, answer);
	const union sa *slot = &a->gw->tables->sa[id];

	if (o == NULL)
		return -ENOENT;
	undo->id = id;
	undo->did = DID_REMOVE;
	undo->sa.record = object_sa_record(a->gw, id);
	undo->sa.key = slot_key(slot, o->direction);
	undo->sa.replay = slot_replay(slot, o->direction);
	undo->sa.adjacency = o->adjacency;
	undo->sa.icv = a->gw->life[id].icv;
	undo->sa.since = a->gw->life[id].since;
	undo->sa.newer = sa_unlink(a, id);
	id_release(a, STATS_SA, id);
	return 0;
}

int sa_lease(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_sa_lease *r = record;
	struct object_sa *o = sa_find(a->gw, r->id, answer);
	uint64_t limit;

	if (o == NULL)
		return -ENOENT;
	if (o->direction != ABI_SA_OUT)
		return refuse(answer, -EINVAL, "SA %u is inbound and has no lease", r->id);
	limit = a->gw->tables->sa[r->id].out.sequence_limit;
	if (r->sequence_limit <= limit)
		return refuse(answer, -EINVAL, "SA %u: the lease must rise above %llu", r->id,
			      (unsigned long long)limit);
	return limit_raise(a->gw, r->id, r->sequence_limit, undo, answer);
}

static void sa_undo_add(struct apply *a, struct undo *undo)
{
	uint8_t direction = a->gw->sa[undo->id].direction;
	const union sa *slot = &a->gw->tables->sa[undo->id];
	struct aead_key *key = slot_key(slot, direction);
	struct replay *replay = slot_replay(slot, direction);

	if (direction == ABI_SA_OUT)
		underlay_release_sa(a->gw, undo->id);
	sa_unlink(a, undo->id);
	secrets_release(a, key, replay);
	id_give_back(a, STATS_SA, undo->id, undo);
}

void sa_undo(struct apply *a, struct undo *undo)
{
	const struct abi_sa *r = &undo->sa.record;
	struct object_life life;

	switch (undo->did) {
	case DID_ADD:
		sa_undo_add(a, undo);
		break;
	case DID_CHANGE:
		lifetimes_set(a->gw, undo->id, r, undo->sa.since);
		object_sa_store(a->gw, r);
		if (r->direction == ABI_SA_OUT)
			__atomic_store_n(&a->gw->tables->sa[undo->id].out.sequence_limit,
					 r->sequence_limit, __ATOMIC_RELEASE);
		break;
	case DID_REMOVE:
		a->gw->sa[undo->id].adjacency = undo->sa.adjacency;
		life = (struct object_life){ .since = undo->sa.since, .icv = undo->sa.icv };
		object_life_store(&a->gw->life[undo->id], &life);
		/* There was room for it before. */
		if (sa_link(a, r, undo->sa.newer) != 0)
			log_error("SA %u: can't be put back; restart the dataplane", r->id);
		break;
	}
}

void sa_settle(struct apply *a, struct undo *undo)
{
	if (undo->did == DID_CHANGE)
		return;
	if (undo->sa.record.direction == ABI_SA_OUT)
		tunnel_publish(a, undo->sa.record.tunnel);
	else
		sad_announce(a->gw->tables->sad, a->gw->sa_generations);
}

void sa_bury(struct apply *a)
{
	struct gateway *gw = a->gw;

	for (; a->buried < a->entries; a->buried++) {
		struct undo *undo = &a->journal[a->buried];

		if (undo->type->undo != sa_undo || undo->did != DID_REMOVE ||
		    undo->sa.record.direction != ABI_SA_OUT)
			continue;
		tunnel_publish(a, undo->sa.record.tunnel);
		/* Through the object, which is free until the id is taken. */
		gw->sa[undo->id].adjacency = undo->sa.adjacency;
		underlay_release_sa(gw, undo->id);
		undo->sa.adjacency = 0;
		id_release(a, STATS_SA, undo->id);
	}
}

void sa_commit(struct apply *a, struct undo *undo)
{
	secrets_release(a, undo->sa.key, undo->sa.replay);
}

/* At the end of the process, when no reader runs any more. */
void sa_destroy_all(struct apply *a)
{
	struct gateway *gw = a->gw;

	for (uint32_t id = 1; id < gw->size.max_sas; id++) {
		uint8_t direction = gw->sa[id].direction;
		const union sa *slot = &gw->tables->sa[id];

		if (gw->sa[id].id == 0)
			continue;
		aead_key_destroy(gw->aead, slot_key(slot, direction));
		free(slot_replay(slot, direction));
	}
}
