/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps of a plan into messages. */
#include "plan.h"

#include <stddef.h>
#include <string.h>

#include <sodium.h>

#include "plan_order.h"
#include "vault.h"

static bool type_deletes_by_id(uint16_t type)
{
	return type == ABI_TENANT_DELETE || type == ABI_ATTACHMENT_DELETE ||
	       type == ABI_TUNNEL_DELETE || type == ABI_SA_DELETE;
}

static int key_put(const struct plan *plan, const struct plan_object *object, uint8_t *record)
{
	uint8_t identity[MODEL_IDENTITY_MAX];
	uint8_t secret[MODEL_KEY_MAX];
	size_t size = sa_identity(object->tenant_name, object->tunnel->name, object->sa, identity);
	int ret = vault_unseal(plan->vault, identity, size, object->sa->sealed,
			       sa_sealed_size(object->sa), secret);

	if (ret == 0) {
		memcpy(record + offsetof(struct abi_sa, key), secret, object->sa->key_len);
		memcpy(record + offsetof(struct abi_sa, salt), secret + object->sa->key_len, 4);
	}
	sodium_memzero(secret, sizeof(secret));
	return ret;
}

static size_t step_size(const struct plan_step *step)
{
	if (type_deletes_by_id(step->type))
		return sizeof(struct abi_id);
	if (step->type == ABI_SELECTORS_SET)
		return sizeof(struct abi_selectors);
	return plan_record_size(step->object->kind);
}

static void selectors_put(const struct plan_object *object, uint8_t *record)
{
	struct abi_selectors selectors = { .tunnel = object->as.tunnel.id };
	const struct tunnel *tunnel = object->tunnel;

	selectors.count = (uint32_t)tunnel->n_selectors;
	if (tunnel->n_selectors > 0)
		memcpy(selectors.selector, tunnel->selectors,
		       tunnel->n_selectors * sizeof(*tunnel->selectors));
	memcpy(record, &selectors, sizeof(selectors));
}

static int record_put(const struct plan *plan, const struct plan_step *step, uint8_t *record)
{
	struct abi_id id = { 0 };

	if (type_deletes_by_id(step->type)) {
		id.id = plan_id_of(step->object);
		memcpy(record, &id, sizeof(id));
		return 0;
	}
	if (step->type == ABI_SELECTORS_SET) {
		selectors_put(step->object, record);
		return 0;
	}
	memcpy(record, &step->object->as, plan_record_size(step->object->kind));
	if (step->object->kind == PLAN_NEIGHBOUR)
		record[offsetof(struct abi_neighbour, state)] = 0;
	return step->type == ABI_SA_SET ? key_put(plan, step->object, record) : 0;
}

long plan_fill(struct plan *plan, void *records, size_t room, uint16_t *type, uint32_t *count)
{
	size_t size, used = 0;
	int ret;

	*count = 0;
	if (plan->next == plan->n)
		return 0;
	*type = plan->steps[plan->next].type;
	size = step_size(&plan->steps[plan->next]);
	while (plan->next < plan->n && plan->steps[plan->next].type == *type &&
	       used + size <= room) {
		ret = record_put(plan, &plan->steps[plan->next], (uint8_t *)records + used);
		if (ret < 0)
			return ret;
		used += size;
		plan->next++;
		++*count;
	}
	return (long)used;
}
