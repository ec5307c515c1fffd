/* SPDX-License-Identifier: BSD-3-Clause */
#include "object_sa.h"

#include <string.h>

struct abi_sa object_sa_record(const struct gateway *gw, uint32_t id)
{
	const struct object_sa *o = &gw->sa[id];
	const struct object_life *life = &gw->life[id];
	struct abi_sa r = {
		.id = o->id,
		.tunnel = o->tunnel,
		.spi = o->spi,
		.direction = o->direction,
		.flags = o->flags,
		.key_len = o->key_len,
		.state = o->state,
		.window = o->window,
		.cpu = o->cpu,
		.sequence = o->sequence,
		.cookie = o->cookie,
		.soft = life->soft,
		.hard = life->hard,
	};

	if (o->direction == ABI_SA_OUT)
		r.sequence_limit = gw->tables->sa[id].out.sequence_limit;
	return r;
}

void object_sa_store(struct gateway *gw, const struct abi_sa *r)
{
	struct object_sa *o = &gw->sa[r->id];
	struct object_life life = gw->life[r->id];

	o->cookie = r->cookie;
	o->sequence = r->sequence;
	o->id = r->id;
	o->tunnel = r->tunnel;
	o->spi = r->spi;
	o->window = r->window;
	o->cpu = r->cpu;
	o->direction = r->direction;
	o->flags = r->flags;
	o->key_len = r->key_len;
	o->state = r->state;
	life.soft = r->soft;
	life.hard = r->hard;
	object_life_store(&gw->life[r->id], &life);
}

void object_sa_clear(struct gateway *gw, uint32_t id)
{
	gw->sa[id] = (struct object_sa){ 0 };
	object_life_store(&gw->life[id], &(struct object_life){ 0 });
}

void object_life_store(struct object_life *life, const struct object_life *from)
{
	if (memcmp(life, from, sizeof(*life)) != 0)
		*life = *from;
}
