/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was counted of a tenant or tunnel goes with it, once nothing leads back to it any more: its
 * namesake begins with nothing.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "history.h"
#include "log.h"
#include "store.h"

static bool desired_knows(const void *context, const char *tenant, const char *tunnel)
{
	const struct tenant *found = model_tenant(context, tenant);

	return found != NULL && (tunnel == NULL || tenant_tunnel(found, tunnel) != NULL ||
				 tenant_remote_access(found, tunnel) != NULL);
}

bool daemon_loses(const struct model *from, const struct model *to)
{
	for (size_t i = 0; i < from->n_tenants; i++) {
		const struct tenant *tenant = from->tenants[i];
		const struct tenant *kept = model_tenant(to, tenant->name);

		if (kept == tenant)
			continue;
		for (size_t k = 0; kept != NULL && k < tenant->n_tunnels; k++) {
			if (tenant_tunnel(kept, tenant->tunnels[k]->name) == NULL)
				return true;
		}
		for (size_t k = 0; kept != NULL && k < tenant->n_remote_access; k++) {
			if (tenant_remote_access(kept, tenant->remote_access[k]->name) == NULL)
				return true;
		}
		if (kept == NULL)
			return true;
	}
	return false;
}

/* -ENODEV: there is no history to be written. */
static int history_forget(struct daemon *daemon)
{
	if (daemon->history == NULL)
		return -ENODEV;
	return history_sweep(daemon->history, desired_knows, daemon->desired);
}

void daemon_erase(struct daemon *daemon)
{
	int swept, erased, kept;

	if (!daemon->erase_owed)
		return;
	swept = totals_sweep(&daemon->totals, daemon->effective);
	if (swept > 0)
		swept = totals_save(&daemon->totals);
	erased = history_forget(daemon);
	kept = journal_erase(&daemon->journal, daemon->desired);
	if (swept < 0)
		log_error("totals of what was deleted are still on the disk: %s", strerror(-swept));
	if (erased < 0)
		log_error("%s/history: history of what was deleted may still be there, remove it "
			  "by hand: %s",
			  daemon->options.state, strerror(-erased));
	if (kept < 0)
		log_error("events of what was deleted are still on the disk: %s",
			  store_error(daemon->store));
	daemon->erase_owed = swept < 0 || erased < 0 || kept < 0;
}
