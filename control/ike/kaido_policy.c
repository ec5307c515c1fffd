/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <collections/hashtable.h>
#include <threading/mutex.h>

#include "kaido_policy.h"

struct policy {
	policy_dir_t dir;
	uint32_t if_id;
	traffic_selector_t *src, *dst;
	/* charon adds a policy once for each CHILD_SA that has it, and for a trap. */
	unsigned int uses, traps;
	uint32_t reqid, trap_reqid;
	bool per_cpu; /* of what was added last, which is no trap */
};

struct kaido_policies {
	mutex_t *lock;
	hashtable_t *all;
	linked_list_t *traps; /* outbound ones */
};

static u_int policy_hash(const void *key)
{
	const struct policy *policy = key;

	return policy->src->hash(policy->src,
				 policy->dst->hash(policy->dst, policy->if_id * 4 + policy->dir));
}

static bool policy_equals(const void *a, const void *b)
{
	const struct policy *x = a, *y = b;

	return x->dir == y->dir && x->if_id == y->if_id && x->src->equals(x->src, y->src) &&
	       x->dst->equals(x->dst, y->dst);
}

struct kaido_policies *kaido_policies_create(void)
{
	struct kaido_policies *policies = calloc(1, sizeof(*policies));

	if (!policies)
		return NULL;
	policies->lock = mutex_create(MUTEX_TYPE_DEFAULT);
	policies->all = hashtable_create(policy_hash, policy_equals, 64);
	policies->traps = linked_list_create();
	return policies;
}

void kaido_policies_destroy(struct kaido_policies *policies)
{
	if (!policies)
		return;
	kaido_policies_flush(policies);
	policies->traps->destroy(policies->traps);
	policies->all->destroy(policies->all);
	policies->lock->destroy(policies->lock);
	free(policies);
}

static struct policy *policy_find(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id)
{
	struct policy key = {
		.dir = id->dir,
		.if_id = id->if_id,
		.src = id->src_ts,
		.dst = id->dst_ts,
	};

	return policies->all->get(policies->all, &key);
}

static struct policy *policy_create(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id)
{
	struct policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return NULL;
	policy->dir = id->dir;
	policy->if_id = id->if_id;
	policy->src = id->src_ts->clone(id->src_ts);
	policy->dst = id->dst_ts->clone(id->dst_ts);
	policies->all->put(policies->all, policy, policy);
	return policy;
}

static void policy_free(struct policy *policy)
{
	policy->src->destroy(policy->src);
	policy->dst->destroy(policy->dst);
	free(policy);
}

bool kaido_policy_add(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id,
		      policy_priority_t priority, uint32_t reqid, bool per_cpu)
{
	struct policy *policy;

	policies->lock->lock(policies->lock);
	policy = policy_find(policies, id);
	if (!policy)
		policy = policy_create(policies, id);
	if (policy && priority == POLICY_PRIORITY_ROUTED) {
		policy->trap_reqid = reqid;
		if (!policy->traps++ && policy->dir == POLICY_OUT)
			policies->traps->insert_last(policies->traps, policy);
	} else if (policy) {
		policy->reqid = reqid;
		policy->per_cpu = per_cpu;
		policy->uses++;
	}
	policies->lock->unlock(policies->lock);
	return policy;
}

bool kaido_policy_remove(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id,
			 policy_priority_t priority)
{
	struct policy *policy;

	policies->lock->lock(policies->lock);
	policy = policy_find(policies, id);
	if (policy && priority == POLICY_PRIORITY_ROUTED) {
		if (policy->traps && !--policy->traps)
			policies->traps->remove(policies->traps, policy, NULL);
	} else if (policy && policy->uses) {
		policy->uses--;
	}
	if (policy && !policy->uses && !policy->traps) {
		policies->all->remove(policies->all, policy);
		policy_free(policy);
	}
	policies->lock->unlock(policies->lock);
	return policy;
}

void kaido_policies_flush(struct kaido_policies *policies)
{
	enumerator_t *enumerator;
	struct policy *policy;
	void *trap;

	policies->lock->lock(policies->lock);
	while (policies->traps->remove_first(policies->traps, &trap) == SUCCESS)
		;
	enumerator = policies->all->create_enumerator(policies->all);
	while (enumerator->enumerate(enumerator, NULL, &policy)) {
		policies->all->remove_at(policies->all, enumerator);
		policy_free(policy);
	}
	enumerator->destroy(enumerator);
	policies->lock->unlock(policies->lock);
}

uint32_t kaido_policy_reqid(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id)
{
	struct policy *policy;
	uint32_t reqid = 0;

	policies->lock->lock(policies->lock);
	policy = policy_find(policies, id);
	if (policy)
		reqid = policy->uses ? policy->reqid : policy->trap_reqid;
	policies->lock->unlock(policies->lock);
	return reqid;
}

uint32_t kaido_policy_trap(struct kaido_policies *policies, uint32_t if_id, traffic_selector_t *src,
			   traffic_selector_t *dst)
{
	enumerator_t *enumerator;
	struct policy *policy;
	uint32_t reqid = 0;

	policies->lock->lock(policies->lock);
	enumerator = policies->traps->create_enumerator(policies->traps);
	while (!reqid && enumerator->enumerate(enumerator, &policy)) {
		if (policy->if_id == if_id && src->is_contained_in(src, policy->src) &&
		    dst->is_contained_in(dst, policy->dst))
			reqid = policy->trap_reqid;
	}
	enumerator->destroy(enumerator);
	policies->lock->unlock(policies->lock);
	return reqid;
}

uint32_t kaido_policy_per_cpu(struct kaido_policies *policies, uint32_t if_id)
{
	enumerator_t *enumerator;
	struct policy *policy;
	uint32_t reqid = 0;
	bool taken = false;

	policies->lock->lock(policies->lock);
	enumerator = policies->all->create_enumerator(policies->all);
	while (enumerator->enumerate(enumerator, NULL, &policy)) {
		if (policy->if_id != if_id || policy->dir != POLICY_OUT)
			continue;
		taken |= policy->uses && policy->per_cpu;
		if (policy->traps)
			reqid = policy->trap_reqid;
	}
	enumerator->destroy(enumerator);
	policies->lock->unlock(policies->lock);
	return taken ? reqid : 0;
}
