/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <daemon.h>

#include "kaido.h"
#include "kaido_talk.h"

#define EVENTS_MAX    16384
/* Of charon's worker threads, those that may wait for kaidod at once: a quarter. */
#define WAITERS_SHARE 4

struct kaido_rpc *kaido_rpc_create(const struct kaido_settings *settings,
				   const struct kaido_rpc_calls *calls, void *context)
{
	struct kaido_rpc *rpc = calloc(1, sizeof(*rpc));

	if (!rpc)
		return NULL;
	rpc->calls = calls;
	rpc->context = context;
	rpc->settings = settings;
	rpc->limit = settings->queue > 0 ? (size_t)settings->queue : 1;
	rpc->lock = mutex_create(MUTEX_TYPE_DEFAULT);
	rpc->answer = condvar_create(CONDVAR_TYPE_DEFAULT);
	if (queue_init(&rpc->queue) || link_init(&rpc->link)) {
		kaido_rpc_destroy(rpc);
		return NULL;
	}
	return rpc;
}

void kaido_rpc_destroy(struct kaido_rpc *rpc)
{
	if (!rpc)
		return;
	kaido_rpc_stop(rpc);
	link_fini(&rpc->link);
	queue_fini(&rpc->queue);
	rpc->answer->destroy(rpc->answer);
	rpc->lock->destroy(rpc->lock);
	free(rpc);
}

struct kaido_op *rpc_op(struct kaido_rpc *rpc, enum kaido_request request, uint64_t sa,
			json_t *params)
{
	return op_create(__atomic_add_fetch(&rpc->last_id, 1, __ATOMIC_RELAXED), request, sa,
			 params);
}

/* May another one of charon's threads wait? Locked. */
static bool may_wait(struct kaido_rpc *rpc)
{
	int threads = (int)lib->processor->get_total_threads(lib->processor) / WAITERS_SHARE;

	return rpc->settings->wait_ms > 0 && rpc->stage == LIVE && !rpc->slow &&
	       rpc->waiters < (threads > 1 ? threads : 1);
}

/* Waits for the answer to an operation that is queued. Locked. */
static void wait_answer(struct kaido_rpc *rpc, struct kaido_op *op, struct kaido_wait *wait)
{
	timeval_t until;
	bool over = false;

	op->wait = wait;
	time_monotonic(&until);
	timeval_add_ms(&until, (u_int)rpc->settings->wait_ms);
	rpc->waiters++;
	while (!wait->done && !over)
		over = rpc->answer->timed_wait_abs(rpc->answer, rpc->lock, until);
	rpc->waiters--;
	if (!wait->done) {
		op->wait = NULL;
		rpc->slow = true;
	}
}

enum kaido_set kaido_rpc_set(struct kaido_rpc *rpc, uint64_t sa, json_t *params, bool wait,
			     char **error)
{
	struct kaido_wait answer = { .done = false };
	struct kaido_op *op = rpc_op(rpc, KAIDO_SET, sa, params);

	*error = NULL;
	if (!op)
		return KAIDO_SET_FULL;
	rpc->lock->lock(rpc->lock);
	if (rpc->queue.count[KAIDO_SET] >= rpc->limit) {
		rpc->lock->unlock(rpc->lock);
		op_free(op);
		return KAIDO_SET_FULL;
	}
	queue_add(&rpc->queue, op);
	link_wake(&rpc->link);
	if (wait && may_wait(rpc))
		wait_answer(rpc, op, &answer);
	rpc->lock->unlock(rpc->lock);
	*error = answer.error;
	return answer.error ? KAIDO_SET_REFUSED : KAIDO_SET_QUEUED;
}

bool kaido_rpc_update(struct kaido_rpc *rpc, uint64_t sa, json_t *params)
{
	struct kaido_op *op = rpc_op(rpc, KAIDO_UPDATE, sa, params);
	bool room;

	if (!op)
		return false;
	rpc->lock->lock(rpc->lock);
	room = rpc->queue.count[KAIDO_UPDATE] < 2 * rpc->limit;
	if (room)
		queue_add(&rpc->queue, op);
	rpc->lock->unlock(rpc->lock);
	if (room)
		link_wake(&rpc->link);
	else
		op_free(op);
	return room;
}

void kaido_rpc_delete(struct kaido_rpc *rpc, uint64_t sa)
{
	struct kaido_op *op;

	op = rpc_op(rpc, KAIDO_DELETE, sa, json_pack("{s:I}", "sa", (json_int_t)sa));
	rpc->lock->lock(rpc->lock);
	if (!queue_end(&rpc->queue, sa)) {
		if (op && rpc->queue.count[KAIDO_DELETE] < 2 * rpc->limit) {
			queue_add(&rpc->queue, op);
			op = NULL;
		} else {
			rpc->resync = true; /* which ends it as well */
		}
	}
	rpc->lock->unlock(rpc->lock);
	link_wake(&rpc->link);
	if (op)
		op_free(op);
}

void kaido_rpc_event(struct kaido_rpc *rpc, json_t *params)
{
	struct kaido_op *op = rpc_op(rpc, KAIDO_EVENT, 0, params);
	bool room, told;

	if (!op)
		return;
	rpc->lock->lock(rpc->lock);
	room = rpc->queue.count[KAIDO_EVENT] < EVENTS_MAX;
	if (room)
		queue_add(&rpc->queue, op);
	told = rpc->events_full;
	rpc->events_full = !room;
	rpc->lock->unlock(rpc->lock);
	if (room) {
		link_wake(&rpc->link);
		return;
	}
	op_free(op);
	if (!told)
		DBG1(DBG_KNL, "kaido: %d events wait for kaidod; those that come are lost",
		     EVENTS_MAX);
}

void kaido_rpc_resync(struct kaido_rpc *rpc)
{
	rpc->lock->lock(rpc->lock);
	rpc->resync = true;
	rpc->lock->unlock(rpc->lock);
	link_wake(&rpc->link);
}

void kaido_rpc_start(struct kaido_rpc *rpc)
{
	rpc->lock->lock(rpc->lock);
	if (!rpc->thread && !rpc->ending)
		rpc->thread = thread_create(talk_run, rpc);
	rpc->lock->unlock(rpc->lock);
}

void kaido_rpc_stop(struct kaido_rpc *rpc)
{
	thread_t *thread;

	rpc->lock->lock(rpc->lock);
	rpc->ending = true;
	thread = rpc->thread;
	rpc->thread = NULL;
	rpc->lock->unlock(rpc->lock);
	link_wake(&rpc->link);
	if (thread)
		thread->join(thread);
}
