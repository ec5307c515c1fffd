/* SPDX-License-Identifier: BSD-3-Clause */
/* What is left of an SA's life when it is sent. */
#include "reconcile_steps.h"

#include <stdio.h>

/* Its limit was passed while there was no dataplane that could have told. */
static void ended_tell(struct reconcile *reconcile, const struct plan_object *object,
		       enum abi_sa_state state)
{
	const char *way = object->sa->direction == ABI_SA_IN ? "inbound" : "outbound";
	char line[320];

	if (reconcile->hooks.ended(reconcile->hooks.context, object->sa->id, state == ABI_SA_HARD))
		return;
	snprintf(line, sizeof(line),
		 "%s SA 0x%x of tunnel '%s' of tenant '%s' is beyond its %s lifetime: give the "
		 "tunnel a new SA with a new key",
		 way, object->sa->spi, object->tunnel->name, object->tenant_name,
		 state == ABI_SA_HARD ? "hard" : "soft");
	reconcile_event(reconcile, state == ABI_SA_HARD ? "sa-hard" : "sa-soft",
			object->tenant_name, object->tunnel->name, line);
}

int reconcile_life_grant(struct reconcile *reconcile, const struct plan *plan,
			 struct plan_object *object, bool writable)
{
	const struct plan_object *have;
	const struct lifetime *lifetime = sa_lifetime(object->tunnel, object->sa);
	enum abi_sa_state became;
	int ret;

	if (object->again) {
		have = plan_set_find(&plan->have, PLAN_SA, object->as.sa.id);
		return life_repeat(&reconcile->lives, lifetime,
				   have != NULL && have->sa == NULL ? &have->as.sa : NULL, writable,
				   &object->as.sa);
	}
	ret = life_install(&reconcile->lives, object->sa, lifetime, writable, &object->as.sa,
			   &became);
	if (became != ABI_SA_LIVE && writable)
		ended_tell(reconcile, object, became);
	return ret;
}
