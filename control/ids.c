/* SPDX-License-Identifier: BSD-3-Clause */
#include "ids.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ids_close(struct ids *ids)
{
	for (unsigned int kind = 0; kind < ID_KINDS; kind++) {
		free(ids->used[kind]);
		ids->used[kind] = NULL;
		ids->size[kind] = 0;
	}
}

void ids_clear(struct ids *ids)
{
	for (unsigned int kind = 0; kind < ID_KINDS; kind++) {
		if (ids->used[kind] != NULL)
			memset(ids->used[kind], 0, ids->size[kind]);
	}
}

/* A dataplane that came since may be larger. */
static int bits_reserve(struct ids *ids, enum id_kind kind)
{
	uint32_t size = ids->capacity[kind] / 8 + 1;
	uint8_t *bigger;

	if (size <= ids->size[kind])
		return 0;
	bigger = realloc(ids->used[kind], size);
	if (bigger == NULL)
		return -ENOMEM;
	memset(bigger + ids->size[kind], 0, size - ids->size[kind]);
	ids->used[kind] = bigger;
	ids->size[kind] = size;
	return 0;
}

static void bit_set(struct ids *ids, enum id_kind kind, uint32_t id)
{
	if (id < ids->capacity[kind])
		ids->used[kind][id / 8] |= (uint8_t)(1u << (id % 8));
}

static void tenant_mark(struct ids *ids, const struct tenant *tenant)
{
	bit_set(ids, ID_TENANT, tenant->id);
	for (size_t i = 0; i < tenant->n_attachments; i++)
		bit_set(ids, ID_ATTACHMENT, tenant->attachments[i]->id);
	for (size_t i = 0; i < tenant->n_remote_access; i++)
		bit_set(ids, ID_TUNNEL, tenant->remote_access[i]->id);
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		const struct tunnel *tunnel = tenant->tunnels[i];

		bit_set(ids, ID_TUNNEL, tunnel->id);
		for (size_t k = 0; k < tunnel->n_sas; k++)
			bit_set(ids, ID_SA, tunnel->sas[k].id);
	}
}

int ids_mark(struct ids *ids, const struct model *model)
{
	for (unsigned int kind = 0; kind < ID_KINDS; kind++) {
		if (bits_reserve(ids, kind) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < model->n_underlay; i++)
		bit_set(ids, ID_ATTACHMENT, model->underlay[i]->id);
	for (size_t i = 0; i < model->n_tenants; i++)
		tenant_mark(ids, model->tenants[i]);
	return 0;
}

uint32_t ids_take(struct ids *ids, enum id_kind kind)
{
	uint32_t id = ids->last[kind];

	if (bits_reserve(ids, kind) < 0)
		return 0;
	for (uint32_t tries = 1; tries < ids->capacity[kind]; tries++) {
		id = id + 1 < ids->capacity[kind] ? id + 1 : 1;
		if ((ids->used[kind][id / 8] & (1u << (id % 8))) != 0)
			continue;
		bit_set(ids, kind, id);
		ids->last[kind] = id;
		return id;
	}
	return 0;
}

void ids_free(struct ids *ids, enum id_kind kind, uint32_t id)
{
	if (ids->used[kind] != NULL && id / 8 < ids->size[kind])
		ids->used[kind][id / 8] &= (uint8_t) ~(1u << (id % 8));
}
