/* SPDX-License-Identifier: BSD-3-Clause */
#include "lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "counters_map.h"
#include "store.h"

void leases_open(struct leases *leases, struct store *store)
{
	memset(leases, 0, sizeof(*leases));
	leases->store = store;
}

void leases_close(struct leases *leases)
{
	for (uint32_t id = 0; id < leases->size; id++)
		free(leases->by_id[id]);
	free(leases->by_id);
	leases->by_id = NULL;
	leases->size = 0;
}

static uint64_t least_of(bool esn)
{
	return esn ? LEASE_FIRST_ESN : LEASE_FIRST;
}

static uint64_t end_of(bool esn)
{
	return esn ? LEASE_END_ESN : LEASE_END;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct lease *lease_put(struct leases *leases, uint32_t id)
{
	if (id >= leases->size) {
		uint32_t size = id + id / 2 + 64;
		struct lease **bigger = reallocarray(leases->by_id, size, sizeof(*bigger));

		if (bigger == NULL)
			return NULL;
		memset(bigger + leases->size, 0, (size - leases->size) * sizeof(*bigger));
		leases->by_id = bigger;
		leases->size = size;
	}
	if (leases->by_id[id] == NULL)
		leases->by_id[id] = calloc(1, sizeof(struct lease));
	return leases->by_id[id];
}

const struct lease *lease_find(const struct leases *leases, uint32_t id)
{
	return id < leases->size ? leases->by_id[id] : NULL;
}

void lease_forget(struct leases *leases, uint32_t id)
{
	if (id >= leases->size)
		return;
	free(leases->by_id[id]);
	leases->by_id[id] = NULL;
}

/* Where a key goes on: above all that was ever granted, or above what its dead user left. */
static int start_find(struct leases *leases, const struct sa *sa, uint64_t *start)
{
	const struct lease *before = lease_find(leases, sa->id);
	uint64_t granted;
	int ret = store_lease_get(leases->store, sa->digest, &granted);

	if (ret < 0)
		return ret;
	*start = granted == 0 ? 1 : granted;
	if (before != NULL && !before->live && before->resume != 0 && before->limit == granted &&
	    memcmp(before->digest, sa->digest, sizeof(sa->digest)) == 0)
		*start = smaller(before->resume, *start);
	return 0;
}

static void lease_fill(struct lease *lease, uint64_t boot, const struct sa *sa, uint64_t start,
		       uint64_t limit)
{
	memset(lease, 0, sizeof(*lease));
	lease->id = sa->id;
	memcpy(lease->digest, sa->digest, sizeof(lease->digest));
	lease->esn = sa->esn;
	lease->live = true;
	lease->boot = boot;
	lease->start = start;
	lease->limit = limit;
	lease->size = limit - start;
	lease->seen = start;
}

int lease_install(struct leases *leases, const struct sa *sa, struct abi_sa *record)
{
	struct lease *lease;
	uint64_t start, limit;
	int ret = start_find(leases, sa, &start);

	if (ret < 0)
		return ret;
	if (start >= end_of(sa->esn))
		return -EDQUOT;
	limit = smaller(start + least_of(sa->esn), end_of(sa->esn));
	ret = store_lease_raise(leases->store, sa->digest, limit);
	if (ret < 0)
		return ret;
	lease = lease_put(leases, sa->id);
	if (lease == NULL)
		return -ENOMEM;
	lease_fill(lease, leases->boot, sa, start, limit);
	/* The disk's record never falls, so a later start_find() has to know it. */
	ret = store_lease_get(leases->store, sa->digest, &lease->limit);
	record->sequence = start;
	record->sequence_limit = lease->limit = smaller(lease->limit, end_of(sa->esn));
	lease->size = lease->limit - start;
	return ret;
}

int lease_adopt(struct leases *leases, const struct sa *sa, const struct abi_sa *record)
{
	struct lease *lease = lease_put(leases, sa->id);

	if (lease == NULL)
		return -ENOMEM;
	lease_fill(lease, leases->boot, sa, record->sequence, record->sequence_limit);
	/* More than the disk says can only be when the disk's state is an older one. */
	return store_lease_raise(leases->store, sa->digest, record->sequence_limit);
}

void lease_repeat(const struct leases *leases, struct abi_sa *record)
{
	const struct lease *lease = lease_find(leases, record->id);

	if (record->direction != ABI_SA_OUT || lease == NULL)
		return;
	record->sequence = lease->limit - 1; /* not looked at where the SA is there */
	record->sequence_limit = lease->limit;
}

uint64_t lease_next(const struct lease *lease, const struct counters_map *map)
{
	uint64_t used = counters_sequence(map, lease->id);

	/* What can't be of this SA is not believed. */
	if (used < lease->start || used >= lease->limit)
		return lease->seen;
	return used + 1;
}

void leases_lost(struct leases *leases)
{
	for (uint32_t id = 0; id < leases->size; id++) {
		if (leases->by_id[id] != NULL)
			leases->by_id[id]->live = false;
	}
}

void leases_settle(struct leases *leases, const struct counters_map *map)
{
	if (map == NULL)
		return;
	for (uint32_t id = 0; id < leases->size; id++) {
		struct lease *lease = leases->by_id[id];
		uint64_t used;

		/* Only what ran under these very counters; a row of others is no witness. */
		if (lease == NULL || lease->live || lease->resume != 0 ||
		    lease->boot != map->header.boot)
			continue;
		used = counters_sequence(map, id);
		if (used == 0)
			used = lease->start - 1;
		if (used + 1 < lease->start || used >= lease->limit)
			continue;
		lease->resume = smaller(used + 1 + LEASE_MARGIN, lease->limit);
	}
}

void leases_sweep(struct leases *leases)
{
	for (uint32_t id = 0; id < leases->size; id++) {
		if (leases->by_id[id] != NULL && !leases->by_id[id]->live)
			lease_forget(leases, id);
	}
}

/* The limit that the lease should have now; not above the present one: enough remains. */
static uint64_t limit_wanted(struct lease *lease, uint64_t next, double seconds)
{
	uint64_t least = least_of(lease->esn), most = lease->esn ? LEASE_MOST_ESN : LEASE_MOST;
	uint64_t size, reserve = lease->size / 2;
	double rate = seconds > 0 ? (double)(next - lease->seen) / seconds : 0;

	lease->rate = rate > lease->rate ? rate : 0.9 * lease->rate + 0.1 * rate;
	lease->seen = next;
	if (lease->rate * LEASE_RESERVE_S > (double)reserve)
		reserve = (uint64_t)(lease->rate * LEASE_RESERVE_S);
	if (lease->limit - next >= reserve)
		return lease->limit;
	size = lease->rate * LEASE_HOUR_S > (double)most ? most
							 : (uint64_t)(lease->rate * LEASE_HOUR_S);
	if (size < least)
		size = least;
	return smaller(next + size, end_of(lease->esn));
}

static int grants_record(struct leases *leases, const struct abi_sa_lease *grants, size_t n)
{
	int ret = store_begin(leases->store);

	for (size_t i = 0; i < n && ret == 0; i++)
		ret = store_lease_raise(leases->store, leases->by_id[grants[i].id]->digest,
					grants[i].sequence_limit);
	if (ret == 0)
		ret = store_commit(leases->store);
	if (ret < 0)
		store_abort(leases->store);
	return ret;
}

static int grant_add(struct abi_sa_lease **grants, size_t *n, uint32_t id, uint64_t limit)
{
	if ((*n & (*n - 1)) == 0) {
		struct abi_sa_lease *bigger = reallocarray(*grants, 2 * *n + 1, sizeof(*bigger));

		if (bigger == NULL)
			return -ENOMEM;
		*grants = bigger;
	}
	(*grants)[(*n)++] = (struct abi_sa_lease){ .id = id, .sequence_limit = limit };
	return 0;
}

int leases_poll(struct leases *leases, const struct counters_map *map, double seconds,
		struct abi_sa_lease **grants, size_t *n,
		void (*used_up)(void *context, const struct lease *lease), void *context)
{
	int ret = 0;

	*grants = NULL;
	*n = 0;
	for (uint32_t id = 0; id < leases->size && ret == 0; id++) {
		struct lease *lease = leases->by_id[id];
		uint64_t limit;

		if (lease == NULL || !lease->live)
			continue;
		limit = limit_wanted(lease, lease_next(lease, map), seconds);
		if (limit > lease->limit) {
			ret = grant_add(grants, n, id, limit);
		} else if (lease->limit == end_of(lease->esn) && !lease->told) {
			lease->told = true;
			used_up(context, lease);
		}
	}
	if (ret == 0 && *n > 0)
		ret = grants_record(leases, *grants, *n);
	if (ret < 0) {
		free(*grants);
		*grants = NULL;
		*n = 0;
		return ret;
	}
	for (size_t i = 0; i < *n; i++) {
		struct lease *lease = leases->by_id[(*grants)[i].id];

		lease->limit = (*grants)[i].sequence_limit;
		lease->size = lease->limit - lease->seen;
	}
	return 0;
}

void leases_look(const struct leases *leases, const struct counters_map *map,
		 struct leases_health *health)
{
	*health = (struct leases_health){ .seconds = LEASES_LONG };
	for (uint32_t id = 0; id < leases->size; id++) {
		const struct lease *lease = leases->by_id[id];
		double seconds;

		if (lease == NULL || !lease->live)
			continue;
		health->live++;
		health->ending += lease->limit == end_of(lease->esn);
		if (map == NULL || lease->rate < 1)
			continue;
		seconds = (double)(lease->limit - lease_next(lease, map)) / lease->rate;
		if (seconds < health->seconds)
			health->seconds = seconds;
	}
}
