/* SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "tunnel_share.h"

struct attachment *attachment_hold(struct attachment *attachment)
{
	attachment->references++;
	return attachment;
}

void attachment_release(struct attachment *attachment)
{
	if (attachment == NULL || --attachment->references > 0)
		return;
	free(attachment->neighbours);
	free(attachment->routes);
	free(attachment);
}

struct tunnel *tunnel_hold(struct tunnel *tunnel)
{
	tunnel->references++;
	return tunnel;
}

void tunnel_release(struct tunnel *tunnel)
{
	if (tunnel == NULL || --tunnel->references > 0)
		return;
	free(tunnel->label);
	free(tunnel->selectors);
	free(tunnel->networks);
	free(tunnel->local_networks);
	ike_release(tunnel->ike);
	free(tunnel->sas);
	free(tunnel);
}

struct tenant *tenant_hold(struct tenant *tenant)
{
	tenant->references++;
	return tenant;
}

void tenant_release(struct tenant *tenant)
{
	if (tenant == NULL || --tenant->references > 0)
		return;
	for (size_t i = 0; i < tenant->n_attachments; i++)
		attachment_release(tenant->attachments[i]);
	for (size_t i = 0; tenant->share == NULL && i < tenant->n_tunnels; i++)
		tunnel_release(tenant->tunnels[i]);
	tunnel_share_destroy(tenant->share);
	tenant_release(tenant->base);
	for (size_t i = 0; i < tenant->n_remote_access; i++)
		remote_access_release(tenant->remote_access[i]);
	free(tenant->attachments);
	free(tenant->tunnels);
	free(tenant->remote_access);
	free(tenant->routes);
	free(tenant->label);
	free(tenant->service);
	free(tenant->service_code);
	free(tenant);
}

static char *text_copy(const char *text, bool *failed)
{
	char *copy = text == NULL ? NULL : strdup(text);

	*failed |= text != NULL && copy == NULL;
	return copy;
}

static void *array_copy(const void *array, size_t n, size_t size, bool *failed)
{
	void *copy = calloc(n + 1, size);

	if (copy == NULL)
		*failed = true;
	else if (n > 0)
		memcpy(copy, array, n * size);
	return copy;
}

struct tunnel *tunnel_copy(const struct tunnel *tunnel)
{
	struct tunnel *copy = malloc(sizeof(*copy));
	bool failed = false;

	if (copy == NULL)
		return NULL;
	*copy = *tunnel;
	copy->references = 1;
	copy->label = text_copy(tunnel->label, &failed);
	copy->networks = array_copy(tunnel->networks, tunnel->n_networks, sizeof(*tunnel->networks),
				    &failed);
	copy->local_networks = array_copy(tunnel->local_networks, tunnel->n_local_networks,
					  sizeof(*tunnel->local_networks), &failed);
	if (copy->ike != NULL)
		ike_hold(copy->ike);
	copy->selectors = array_copy(tunnel->selectors, tunnel->n_selectors,
				     sizeof(*tunnel->selectors), &failed);
	copy->sas = array_copy(tunnel->sas, tunnel->n_sas, sizeof(*tunnel->sas), &failed);
	if (!failed)
		return copy;
	tunnel_release(copy);
	return NULL;
}

/* All but its tunnels, for which there is room. */
static struct tenant *tenant_copy_empty(const struct tenant *tenant, size_t room)
{
	struct tenant *copy = malloc(sizeof(*copy));
	bool failed = false;

	if (copy == NULL)
		return NULL;
	*copy = *tenant;
	copy->references = 1;
	copy->n_tunnels = 0;
	copy->share = NULL;
	copy->base = NULL;
	copy->label = text_copy(tenant->label, &failed);
	copy->service = text_copy(tenant->service, &failed);
	copy->service_code = text_copy(tenant->service_code, &failed);
	copy->routes =
		array_copy(tenant->routes, tenant->n_routes, sizeof(*tenant->routes), &failed);
	copy->attachments = array_copy(tenant->attachments, tenant->n_attachments,
				       sizeof(*tenant->attachments), &failed);
	copy->tunnels = calloc(room + 1, sizeof(struct tunnel *));
	failed |= copy->tunnels == NULL;
	copy->remote_access = array_copy(tenant->remote_access, tenant->n_remote_access,
					 sizeof(*tenant->remote_access), &failed);
	for (size_t i = 0; copy->attachments != NULL && i < copy->n_attachments; i++)
		attachment_hold(copy->attachments[i]);
	for (size_t i = 0; copy->remote_access != NULL && i < copy->n_remote_access; i++)
		remote_access_hold(copy->remote_access[i]);
	if (copy->remote_access == NULL)
		copy->n_remote_access = 0;
	if (copy->attachments == NULL)
		copy->n_attachments = 0;
	if (!failed)
		return copy;
	tenant_release(copy);
	return NULL;
}

struct tenant *tenant_copy(const struct tenant *tenant)
{
	struct tenant *copy = tenant_copy_empty(tenant, tenant->n_tunnels);

	for (size_t i = 0; copy != NULL && i < tenant->n_tunnels; i++)
		copy->tunnels[copy->n_tunnels++] = tunnel_hold(tenant->tunnels[i]);
	return copy;
}

struct tenant *tenant_derive(struct tenant *base, size_t room, struct tunnel_share *share)
{
	struct tenant *tenant = share == NULL ? NULL : tenant_copy_empty(base, room);

	if (tenant == NULL) {
		tunnel_share_destroy(share);
		return NULL;
	}
	tenant->share = share;
	tenant->base = tenant_hold(base);
	return tenant;
}

struct model *model_create(void)
{
	return calloc(1, sizeof(struct model));
}

struct model *model_copy(const struct model *model)
{
	struct model *copy = model_create();

	if (copy == NULL)
		return NULL;
	copy->generation = model->generation;
	copy->tenants = calloc(model->n_tenants + 1, sizeof(struct tenant *));
	copy->underlay = calloc(model->n_underlay + 1, sizeof(struct attachment *));
	if (copy->tenants == NULL || copy->underlay == NULL) {
		model_destroy(copy);
		return NULL;
	}
	for (size_t i = 0; i < model->n_tenants; i++)
		copy->tenants[copy->n_tenants++] = tenant_hold(model->tenants[i]);
	for (size_t i = 0; i < model->n_underlay; i++)
		copy->underlay[copy->n_underlay++] = attachment_hold(model->underlay[i]);
	return copy;
}

void model_destroy(struct model *model)
{
	if (model == NULL)
		return;
	for (size_t i = 0; i < model->n_tenants; i++)
		tenant_release(model->tenants[i]);
	for (size_t i = 0; i < model->n_underlay; i++)
		attachment_release(model->underlay[i]);
	free(model->tenants);
	free(model->underlay);
	free(model);
}

/* Where `name` stands or would stand. */
static size_t tenant_position(const struct model *model, const char *name)
{
	size_t low = 0, high = model->n_tenants;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(model->tenants[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t underlay_position(const struct model *model, const char *name)
{
	size_t i = 0;

	while (i < model->n_underlay && strcmp(model->underlay[i]->name, name) < 0)
		i++;
	return i;
}

struct tenant *model_tenant(const struct model *model, const char *name)
{
	size_t i = tenant_position(model, name);

	if (i == model->n_tenants || strcmp(model->tenants[i]->name, name) != 0)
		return NULL;
	return model->tenants[i];
}

struct attachment *model_underlay(const struct model *model, const char *name)
{
	size_t i = underlay_position(model, name);

	if (i == model->n_underlay || strcmp(model->underlay[i]->name, name) != 0)
		return NULL;
	return model->underlay[i];
}

struct attachment *tenant_attachment(const struct tenant *tenant, const char *name)
{
	for (size_t i = 0; i < tenant->n_attachments; i++) {
		if (strcmp(tenant->attachments[i]->name, name) == 0)
			return tenant->attachments[i];
	}
	return NULL;
}

size_t tenant_tunnel_position(const struct tenant *tenant, const char *name)
{
	size_t low = 0, high = tenant->n_tunnels;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(tenant->tunnels[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct tunnel *tenant_tunnel(const struct tenant *tenant, const char *name)
{
	size_t i = tenant_tunnel_position(tenant, name);

	if (i == tenant->n_tunnels || strcmp(tenant->tunnels[i]->name, name) != 0)
		return NULL;
	return tenant->tunnels[i];
}

struct sa *tunnel_sa(const struct tunnel *tunnel, enum abi_sa_direction direction, uint32_t spi)
{
	for (size_t i = 0; i < tunnel->n_sas; i++) {
		if (tunnel->sas[i].direction == direction && tunnel->sas[i].spi == spi)
			return &tunnel->sas[i];
	}
	return NULL;
}

int model_put_tenant(struct model *model, struct tenant *tenant)
{
	size_t i = tenant_position(model, tenant->name);
	struct tenant **bigger;

	if (i < model->n_tenants && strcmp(model->tenants[i]->name, tenant->name) == 0) {
		tenant_release(model->tenants[i]);
		model->tenants[i] = tenant;
		return 0;
	}
	bigger = reallocarray(model->tenants, model->n_tenants + 1, sizeof(struct tenant *));
	if (bigger == NULL) {
		tenant_release(tenant);
		return -ENOMEM;
	}
	model->tenants = bigger;
	memmove(bigger + i + 1, bigger + i, (model->n_tenants - i) * sizeof(struct tenant *));
	bigger[i] = tenant;
	model->n_tenants++;
	return 0;
}

int model_put_underlay(struct model *model, struct attachment *attachment)
{
	size_t i = underlay_position(model, attachment->name);
	struct attachment **bigger;

	if (i < model->n_underlay && strcmp(model->underlay[i]->name, attachment->name) == 0) {
		attachment_release(model->underlay[i]);
		model->underlay[i] = attachment;
		return 0;
	}
	bigger = reallocarray(model->underlay, model->n_underlay + 1, sizeof(struct attachment *));
	if (bigger == NULL) {
		attachment_release(attachment);
		return -ENOMEM;
	}
	model->underlay = bigger;
	memmove(bigger + i + 1, bigger + i, (model->n_underlay - i) * sizeof(struct attachment *));
	bigger[i] = attachment;
	model->n_underlay++;
	return 0;
}

void model_remove_tenant(struct model *model, const char *name)
{
	size_t i = tenant_position(model, name);

	if (i == model->n_tenants || strcmp(model->tenants[i]->name, name) != 0)
		return;
	tenant_release(model->tenants[i]);
	model->n_tenants--;
	memmove(model->tenants + i, model->tenants + i + 1,
		(model->n_tenants - i) * sizeof(struct tenant *));
}

void model_remove_underlay(struct model *model, const char *name)
{
	size_t i = underlay_position(model, name);

	if (i == model->n_underlay || strcmp(model->underlay[i]->name, name) != 0)
		return;
	attachment_release(model->underlay[i]);
	model->n_underlay--;
	memmove(model->underlay + i, model->underlay + i + 1,
		(model->n_underlay - i) * sizeof(struct attachment *));
}

bool lifetime_equal(const struct lifetime *a, const struct lifetime *b)
{
	static_assert(sizeof(*a) == 6 * sizeof(uint64_t), "there are no gaps to compare");

	return memcmp(a, b, sizeof(*a)) == 0;
}

bool lifetime_is_none(const struct lifetime *lifetime)
{
	static const struct lifetime none;

	return lifetime_equal(lifetime, &none);
}

size_t sa_identity(const char *tenant, const char *tunnel, const struct sa *sa,
		   uint8_t identity[MODEL_IDENTITY_MAX])
{
	int size = snprintf((char *)identity, MODEL_IDENTITY_MAX, "%s/%s/%u/%x", tenant, tunnel,
			    (unsigned int)sa->direction, sa->spi);

	return (size_t)size;
}

const struct attachment *tenant_on_link(const struct tenant *tenant,
					const struct abi_address *address)
{
	for (size_t i = 0; i < tenant->n_attachments; i++) {
		const struct attachment *attachment = tenant->attachments[i];

		for (uint32_t k = 0; k < attachment->n_addresses; k++) {
			if (address_in(address, &attachment->address[k]))
				return attachment;
		}
	}
	return NULL;
}
