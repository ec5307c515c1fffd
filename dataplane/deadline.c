/* SPDX-License-Identifier: BSD-3-Clause */
#include "deadline.h"

#include <stdlib.h>

struct entry {
	uint64_t at;
	uint32_t id;
};

struct deadlines {
	uint32_t n;
	uint32_t *place; /* [max] by id: place in the heap + 1; 0: none */
	struct entry
		*heap; /* [max]; children of i are 2 i + 1 and 2 i + 2, none is earlier than i */
};

struct deadlines *deadlines_create(uint32_t max)
{
	struct deadlines *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->place = calloc(max, sizeof(*d->place));
	d->heap = calloc(max, sizeof(*d->heap));
	if (d->place == NULL || d->heap == NULL) {
		deadlines_destroy(d);
		return NULL;
	}
	return d;
}

void deadlines_destroy(struct deadlines *d)
{
	if (d == NULL)
		return;
	free(d->place);
	free(d->heap);
	free(d);
}

static void put(struct deadlines *d, uint32_t i, struct entry e)
{
	d->heap[i] = e;
	d->place[e.id] = i + 1;
}

/* Place i is empty: e goes there, or up or down from there. */
static void settle(struct deadlines *d, uint32_t i, struct entry e)
{
	while (i > 0 && e.at < d->heap[(i - 1) / 2].at) {
		put(d, i, d->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < d->n && d->heap[child + 1].at < d->heap[child].at)
			child++;
		if (child >= d->n || d->heap[child].at >= e.at)
			break;
		put(d, i, d->heap[child]);
		i = child;
	}
	put(d, i, e);
}

void deadline_set(struct deadlines *d, uint32_t id, uint64_t at)
{
	uint32_t i = d->place[id] != 0 ? d->place[id] - 1 : d->n++;

	settle(d, i, (struct entry){ .at = at, .id = id });
}

void deadline_clear(struct deadlines *d, uint32_t id)
{
	uint32_t i = d->place[id] - 1;

	if (d->place[id] == 0)
		return;
	d->place[id] = 0;
	d->n--;
	if (i != d->n)
		settle(d, i, d->heap[d->n]);
}

bool deadline_due(struct deadlines *d, uint64_t now, uint32_t *id)
{
	if (d->n == 0 || d->heap[0].at > now)
		return false;
	*id = d->heap[0].id;
	deadline_clear(d, *id);
	return true;
}

uint32_t deadline_count(const struct deadlines *d)
{
	return d->n;
}
