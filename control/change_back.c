/* SPDX-License-Identifier: BSD-3-Clause */
/* The way back: of an apply that is not confirmed, and of what was under way when kaidod ended. */
#include "change_steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "audit.h"
#include "daemon.h"
#include "log.h"
#include "store.h"

static int rollback_submit(struct daemon *daemon, const char *why)
{
	struct change *change = calloc(1, sizeof(*change));
	uint64_t deadline;
	int ret;

	if (change == NULL)
		return -ENOMEM;
	change->daemon = daemon;
	change->rollback = true;
	change->changes = json_array();
	change->now = model_copy(daemon->desired);
	snprintf(change->summary, sizeof(change->summary), "%s", why);
	ret = change->changes == NULL || change->now == NULL
		      ? -ENOMEM
		      : store_load_before(daemon->store, daemon->vault, daemon->desired,
					  &change->next, &deadline);
	if (ret <= 0) {
		change_free(change);
		return ret;
	}
	log_warning("%s", why);
	daemon_event(daemon, "rollback", why, NULL, NULL);
	STAILQ_INSERT_HEAD(&daemon->changes.queue, change, link);
	event_active(daemon->changes.runner, EV_TIMEOUT, 0);
	return 0;
}

void change_confirm_missed(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;

	daemon->changes.confirming = false;
	if (rollback_submit(daemon, "an apply was not confirmed in time: taken back") < 0)
		log_error("an apply that was not confirmed can't be taken back: %s",
			  store_error(daemon->store));
}

int changes_confirm(struct daemon *daemon, const struct rpc_caller *caller)
{
	struct store *store = daemon->store;
	int ret;

	if (!daemon->changes.confirming)
		return -ENOENT;
	ret = store_begin(store);
	if (ret == 0)
		ret = store_forget_before(store);
	if (ret == 0)
		ret = audit_add(store, caller, "config.confirm", "the last apply stays", "ok");
	if (ret == 0)
		ret = store_commit(store);
	if (ret < 0) {
		store_abort(store);
		return ret;
	}
	daemon->changes.confirming = false;
	event_del(daemon->changes.confirm);
	daemon_erase(daemon);
	return 0;
}

/* What the last kaidod left open: at once, or at its deadline. */
int change_back_restore(struct daemon *daemon)
{
	struct changes *changes = &daemon->changes;
	uint64_t deadline = 0, now = (uint64_t)time(NULL);
	struct model *before = NULL;
	int ret = store_load_before(daemon->store, daemon->vault, daemon->desired, &before,
				    &deadline);

	model_destroy(before);
	if (ret <= 0)
		return ret;
	if (deadline > now) {
		struct timeval delay = { .tv_sec = (time_t)(deadline - now) };

		changes->confirming = true;
		changes->deadline = deadline;
		return event_add(changes->confirm, &delay) < 0 ? -ENOMEM : 0;
	}
	return rollback_submit(
		daemon, deadline == 0 ? "a change was under way when kaidod ended: taken back"
				      : "an apply was not confirmed in time: taken back");
}
