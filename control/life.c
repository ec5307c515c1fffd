/* SPDX-License-Identifier: BSD-3-Clause */
#include "life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "counters_map.h"

void lives_open(struct lives *lives, struct store *store)
{
	memset(lives, 0, sizeof(*lives));
	lives->store = store;
}

void lives_close(struct lives *lives)
{
	for (uint32_t id = 0; id < lives->size; id++)
		free(lives->by_id[id]);
	free(lives->by_id);
	lives->by_id = NULL;
	lives->size = 0;
}

const struct life *life_find(const struct lives *lives, uint32_t id)
{
	return id < lives->size ? lives->by_id[id] : NULL;
}

void life_forget(struct lives *lives, uint32_t id)
{
	if (id >= lives->size)
		return;
	free(lives->by_id[id]);
	lives->by_id[id] = NULL;
}

static struct life *life_put(struct lives *lives, uint32_t id)
{
	if (id >= lives->size) {
		uint32_t size = id + id / 2 + 64;
		struct life **bigger = reallocarray(lives->by_id, size, sizeof(*bigger));

		if (bigger == NULL)
			return NULL;
		memset(bigger + lives->size, 0, (size - lives->size) * sizeof(*bigger));
		lives->by_id = bigger;
		lives->size = size;
	}
	if (lives->by_id[id] == NULL)
		lives->by_id[id] = calloc(1, sizeof(struct life));
	return lives->by_id[id];
}

/* As it is on the disk, or just born. Returns whether it was there. */
static int record_get(struct store *store, const struct sa *sa, struct store_life *record)
{
	int ret = store_life_get(store, sa->digest, record);

	if (ret == 0)
		*record = (struct store_life){ .born = time(NULL), .state = ABI_SA_LIVE };
	return ret;
}

/* A clock that was set back doesn't make it younger than new. */
static uint64_t age_of(const struct store_life *record)
{
	int64_t age = time(NULL) - record->born;

	return age < 0 ? 0 : (uint64_t)age;
}

/* What is left of a limit; 0 with *over set: nothing. */
static uint64_t left_of(uint64_t limit, uint64_t used, bool *over)
{
	if (limit == 0 || used < limit)
		return limit == 0 ? 0 : limit - used;
	*over = true;
	return 0;
}

/* What is left when so much is used. Returns whether a limit has been reached. */
static bool limits_left(const struct abi_lifetime *limits, const struct store_use *use,
			struct abi_lifetime *left)
{
	bool over = false;

	left->bytes = left_of(limits->bytes, use->bytes, &over);
	left->packets = left_of(limits->packets, use->packets, &over);
	left->seconds = left_of(limits->seconds, use->seconds, &over);
	return over;
}

static enum abi_sa_state state_of(const struct lifetime *lifetime, const struct store_use *use)
{
	struct abi_lifetime left;

	return limits_left(&lifetime->hard, use, &left)   ? ABI_SA_HARD
	       : limits_left(&lifetime->soft, use, &left) ? ABI_SA_SOFT
							  : ABI_SA_LIVE;
}

static bool is_limited(const struct lifetime *lifetime)
{
	return (lifetime->soft.bytes | lifetime->soft.packets | lifetime->hard.bytes |
		lifetime->hard.packets) != 0;
}

static void life_fill(struct lives *lives, struct life *life, const struct sa *sa,
		      const struct lifetime *lifetime, const struct store_life *record)
{
	life->id = sa->id;
	memcpy(life->digest, sa->digest, sizeof(life->digest));
	life->live = true;
	life->limited = is_limited(lifetime);
	life->unsaved = false;
	life->record = *record;
	life->record.boot = lives->boot;
}

int life_install(struct lives *lives, const struct sa *sa, const struct lifetime *lifetime,
		 bool writable, struct abi_sa *record, enum abi_sa_state *became)
{
	struct store_life known;
	enum abi_sa_state state;
	struct life *life;
	int ret = record_get(lives->store, sa, &known);

	*became = ABI_SA_LIVE;
	if (ret < 0)
		return ret;
	if (known.state == ABI_SA_HARD)
		return -ETIME;
	known.before = known.used;
	known.before.seconds = age_of(&known);
	known.boot = lives->boot;
	state = state_of(lifetime, &known.before);
	if (state > known.state)
		*became = state;
	known.state = state;
	ret = writable ? store_life_set(lives->store, sa->digest, &known) : 0;
	if (ret < 0 || state == ABI_SA_HARD)
		return ret < 0 ? ret : -ETIME;
	limits_left(&lifetime->soft, &known.before, &record->soft);
	limits_left(&lifetime->hard, &known.before, &record->hard);
	life = life_put(lives, sa->id);
	if (life == NULL)
		return -ENOMEM;
	life_fill(lives, life, sa, lifetime, &known);
	return 0;
}

int life_adopt(struct lives *lives, const struct sa *sa, const struct lifetime *lifetime,
	       const struct abi_sa *record)
{
	struct life *life = life_put(lives, sa->id);
	struct store_life known;
	int ret = life == NULL ? -ENOMEM : record_get(lives->store, sa, &known);
	bool news = ret == 0;

	if (ret < 0)
		return ret;
	if (!news && known.boot != lives->boot) { /* the disk is from before this dataplane */
		known.before = known.used;
		known.before.seconds = age_of(&known);
		news = true;
	}
	known.boot = lives->boot;
	if (record->state > known.state && record->state <= ABI_SA_HARD) {
		known.state = record->state;
		news = true;
	}
	life_fill(lives, life, sa, lifetime, &known);
	return news ? store_life_set(lives->store, sa->digest, &known) : 0;
}

/* A limit that lies behind already is made to end at once: 0 would be none. */
static void ended_fill(const struct abi_lifetime *limits, struct abi_lifetime *left)
{
	left->bytes += limits->bytes != 0 && left->bytes == 0;
	left->packets += limits->packets != 0 && left->packets == 0;
	left->seconds += limits->seconds != 0 && left->seconds == 0;
}

static void left_fill(const struct life *life, const struct lifetime *lifetime,
		      struct abi_sa *record)
{
	limits_left(&lifetime->soft, &life->record.before, &record->soft);
	limits_left(&lifetime->hard, &life->record.before, &record->hard);
	ended_fill(&lifetime->soft, &record->soft);
	ended_fill(&lifetime->hard, &record->hard);
}

static bool limits_equal(const struct abi_sa *a, const struct abi_sa *b)
{
	return memcmp(&a->soft, &b->soft, sizeof(a->soft)) == 0 &&
	       memcmp(&a->hard, &b->hard, sizeof(a->hard)) == 0;
}

int life_repeat(struct lives *lives, const struct lifetime *lifetime, const struct abi_sa *told,
		bool writable, struct abi_sa *record)
{
	struct life *life = record->id < lives->size ? lives->by_id[record->id] : NULL;
	struct store_use use;

	if (life == NULL || life->record.state == ABI_SA_HARD)
		return -ETIME;
	life->limited = is_limited(lifetime);
	left_fill(life, lifetime, record);
	if (told != NULL && limits_equal(record, told))
		return -EALREADY;
	life->record.before.seconds = age_of(&life->record);
	left_fill(life, lifetime, record);
	use = life->record.used;
	use.seconds = life->record.before.seconds;
	/* A soft limit that was put later isn't reached any more. */
	if (life->record.state == ABI_SA_SOFT && state_of(lifetime, &use) == ABI_SA_LIVE)
		life->record.state = ABI_SA_LIVE;
	return writable ? store_life_set(lives->store, life->digest, &life->record) : 0;
}

int life_mark(struct lives *lives, uint32_t id, enum abi_sa_state state)
{
	struct life *life = id < lives->size ? lives->by_id[id] : NULL;

	if (life == NULL || life->record.state >= state)
		return 0;
	life->record.state = state;
	return store_life_set(lives->store, life->digest, &life->record);
}

void lives_lost(struct lives *lives)
{
	for (uint32_t id = 0; id < lives->size; id++) {
		if (lives->by_id[id] != NULL)
			lives->by_id[id]->live = false;
	}
}

void lives_sweep(struct lives *lives)
{
	for (uint32_t id = 0; id < lives->size; id++) {
		if (lives->by_id[id] != NULL && !lives->by_id[id]->live)
			life_forget(lives, id);
	}
}

static struct store_use use_of(const struct life *life, const struct counters_map *map)
{
	struct store_use use = life->record.before;
	uint64_t counted[2] = { 0 }; /* packets and bytes, as in counters_sa */

	if (map == NULL || map->header.boot != life->record.boot)
		return life->record.used;
	counters_sum(map, &map->header.sa, life->id, counted, 2);
	use.packets += counted[0];
	use.bytes += counted[1];
	return use;
}

/* Takes in what was counted; how many are to be written? */
static uint32_t uses_take(struct lives *lives, const struct counters_map *map)
{
	uint32_t unsaved = 0;

	for (uint32_t id = 0; id < lives->size; id++) {
		struct life *life = lives->by_id[id];
		struct store_use use;

		if (life == NULL)
			continue;
		use = use_of(life, map);
		life->unsaved |= life->limited && use.packets != life->record.used.packets;
		life->record.used = use;
		unsaved += life->unsaved;
	}
	return unsaved;
}

int lives_save(struct lives *lives, const struct counters_map *map)
{
	int ret;

	if (uses_take(lives, map) == 0)
		return 0;
	ret = store_begin(lives->store);
	for (uint32_t id = 0; id < lives->size && ret == 0; id++) {
		const struct life *life = lives->by_id[id];

		if (life != NULL && life->unsaved)
			ret = store_life_set(lives->store, life->digest, &life->record);
	}
	if (ret == 0)
		ret = store_commit(lives->store);
	if (ret < 0) {
		store_abort(lives->store);
		return ret;
	}
	for (uint32_t id = 0; id < lives->size; id++) {
		if (lives->by_id[id] != NULL)
			lives->by_id[id]->unsaved = false;
	}
	return 0;
}

int life_look(const struct lives *lives, const struct counters_map *map, const struct sa *sa,
	      struct store_life *look)
{
	const struct life *life = life_find(lives, sa->id);

	if (life == NULL || memcmp(life->digest, sa->digest, sizeof(sa->digest)) != 0)
		return store_life_get(lives->store, sa->digest, look);
	*look = life->record;
	look->used = use_of(life, map);
	return 1;
}

bool life_is_over(struct store *store, const struct sa *sa)
{
	struct store_life life;

	return store_life_get(store, sa->digest, &life) == 1 && life.state == ABI_SA_HARD;
}
