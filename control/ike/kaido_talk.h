/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of struct kaido_rpc, of kaido_rpc.c (what charon's threads do) and kaido_talk.c (what its own does). */
#ifndef KAIDO_TALK_H
#define KAIDO_TALK_H

#include <library.h>
#include <threading/condvar.h>
#include <threading/mutex.h>
#include <threading/thread.h>

#include "kaido_link.h"
#include "kaido_queue.h"

struct kaido_settings;

/* How far a connection is. Only what opens it is sent before LIVE. */
enum stage {
	AWAY,
	OPENING,
	LIVE,
};

struct kaido_rpc {
	const struct kaido_rpc_calls *calls;
	void *context;
	const struct kaido_settings *settings;
	size_t limit;           /* of sets */
	struct kaido_link link; /* the thread's, but for link_wake() */
	uint64_t sending;       /* the thread's: the request that is being written */
	int said;               /* the thread's: why there is no connection, as the log has it */
	thread_t *thread;

	mutex_t *lock; /* of all below */
	condvar_t *answer;
	struct kaido_queue queue;
	uint64_t last_id;
	enum stage stage;
	int waiters;
	bool slow;   /* the last one who waited did so in vain, and nothing was answered since */
	bool resync; /* when nothing is in flight */
	bool ending;
	bool events_full; /* the last one was lost */
};

/* A request with an id of its own. params is taken; NULL: no memory. */
struct kaido_op *rpc_op(struct kaido_rpc *rpc, enum kaido_request request, uint64_t sa,
			json_t *params);

/* What the thread runs. */
void *talk_run(void *data);

#endif
