/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * charon's policies. The dataplane has its own (a tunnel's selectors come with its SAs), so here they only tell
 * which reqid, and so which trap of charon's, a packet belongs to that found a tunnel without an SA; and
 * whose SAs to ask when charon wants to know when a policy was last used.
 */
#ifndef KAIDO_POLICY_H
#define KAIDO_POLICY_H

#include <daemon.h>

struct kaido_policies *kaido_policies_create(void);
void kaido_policies_destroy(struct kaido_policies *policies);

/* Of one priority POLICY_PRIORITY_ROUTED is a trap. per_cpu: the peer takes part in RFC 9611. */
bool kaido_policy_add(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id,
		      policy_priority_t priority, uint32_t reqid, bool per_cpu);
bool kaido_policy_remove(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id,
			 policy_priority_t priority);
void kaido_policies_flush(struct kaido_policies *policies);

/* Of the SAs that the policy stands for; 0: there is no such policy. */
uint32_t kaido_policy_reqid(struct kaido_policies *policies, kernel_ipsec_policy_id_t *id);
/* Of the trap for an outbound packet of a tunnel; 0: there is none. */
uint32_t kaido_policy_trap(struct kaido_policies *policies, uint32_t if_id, traffic_selector_t *src,
			   traffic_selector_t *dst);
/* Of the trap by which a tunnel gets SAs of one CPU's own; 0: there is none, or the peer takes no part. */
uint32_t kaido_policy_per_cpu(struct kaido_policies *policies, uint32_t if_id);

#endif
