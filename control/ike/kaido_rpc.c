/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include <library.h>
#include <threading/condvar.h>
#include <threading/mutex.h>
#include <threading/thread.h>

#include "kaido.h"
#include "kaido_link.h"
#include "kaido_queue.h"

/* Requests that kaidod has not answered yet; the rest waits here. */
#define IN_FLIGHT_MAX  1024
#define EVENTS_MAX     16384
/* Between attempts to connect, doubled each time. */
#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS  2000
/* Of charon's worker threads, those that may wait for kaidod at once: a quarter. */
#define WAITERS_SHARE  4

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

/* --- what charon's threads do ---------------------------------------------------------------- */

static struct kaido_op *rpc_op(struct kaido_rpc *rpc, enum kaido_request request, uint64_t sa,
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

/* --- what the thread does -------------------------------------------------------------------- */

static bool rpc_ending(struct kaido_rpc *rpc)
{
	bool ending;

	rpc->lock->lock(rpc->lock);
	ending = rpc->ending;
	rpc->lock->unlock(rpc->lock);
	return ending;
}

static void rpc_stage(struct kaido_rpc *rpc, enum stage stage)
{
	rpc->lock->lock(rpc->lock);
	rpc->stage = stage;
	rpc->slow = false;
	rpc->lock->unlock(rpc->lock);
}

static int rpc_say_first(struct kaido_rpc *rpc, enum kaido_request request, json_t *params)
{
	struct kaido_op *op = rpc_op(rpc, request, 0, params);

	if (!op)
		return -ENOMEM;
	rpc->lock->lock(rpc->lock);
	queue_add_first(&rpc->queue, op);
	rpc->lock->unlock(rpc->lock);
	return 0;
}

/* The next request to be sent; NULL: none may be now. */
static struct kaido_op *rpc_next(struct kaido_rpc *rpc)
{
	struct kaido_op *op = NULL;

	rpc->lock->lock(rpc->lock);
	if (rpc->stage == LIVE ? rpc->queue.in_flight < IN_FLIGHT_MAX : !rpc->queue.in_flight)
		op = queue_next(&rpc->queue);
	rpc->lock->unlock(rpc->lock);
	return op;
}

/* Writes as much as the socket takes. */
static int rpc_send(struct kaido_rpc *rpc)
{
	struct kaido_op *op;
	int done;

	for (;;) {
		done = link_flush(&rpc->link);
		if (done <= 0)
			return done;
		op = rpc_next(rpc);
		if (!op)
			return 0;
		link_send(&rpc->link, op->line, op->length);
	}
}

/* Whoever waits for the answer gets it; true: somebody did, and has the error. */
static bool rpc_tell(struct kaido_rpc *rpc, struct kaido_op *op, const char *error)
{
	struct kaido_wait *wait = op->wait;

	if (!wait)
		return false;
	wait->done = true;
	if (error)
		wait->error = strdup(error);
	rpc->answer->broadcast(rpc->answer);
	return error;
}

/* An answer, {id, result} or {id, error: {message}}. Negative errno: not to be borne with. */
static int rpc_answered(struct kaido_rpc *rpc, json_t *message)
{
	const char *error = NULL, *text = NULL;
	struct kaido_op *op;
	int status = 0;
	bool told = false;

	if (json_object_get(message, "error")) {
		error = "refused";
		if (!json_unpack(message, "{s:{s:s}}", "error", "message", &text))
			error = text;
	}
	rpc->lock->lock(rpc->lock);
	op = queue_answered(&rpc->queue,
			    (uint64_t)json_integer_value(json_object_get(message, "id")));
	if (op)
		told = rpc_tell(rpc, op, error);
	rpc->slow = false;
	rpc->lock->unlock(rpc->lock);
	if (!op)
		return -EPROTO;
	if (op->request == KAIDO_OPEN && error && rpc->said == -EACCES)
		told = true; /* in the log already; it is asked again and again */
	if (!told)
		rpc->calls->answered(rpc->context, op->request, op->sa,
				     json_object_get(message, "result"), error);
	if (op->request == KAIDO_OPEN)
		status = error ? -EACCES
			       : rpc_say_first(rpc, KAIDO_SYNC, rpc->calls->sync(rpc->context));
	if (op->request == KAIDO_SYNC)
		rpc_stage(rpc, LIVE);
	op_free(op);
	return status;
}

/* The texts in a message may be secrets: jansson's memory is wiped when it is freed (kaido_plugin.c). */
static int rpc_line(struct kaido_rpc *rpc, const char *line, size_t length)
{
	json_t *message = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	const char *method = json_string_value(json_object_get(message, "method"));
	int status = 0;

	if (!json_is_object(message))
		status = -EPROTO;
	else if (method)
		rpc->calls->notified(rpc->context, method, json_object_get(message, "params"));
	else
		status = rpc_answered(rpc, message);
	json_decref(message);
	return status;
}

static int rpc_receive(struct kaido_rpc *rpc)
{
	int status = link_fill(&rpc->link);
	size_t length;
	char *line;

	while (!status && (line = link_line(&rpc->link, &length))) {
		status = rpc_line(rpc, line, length);
		link_consume(&rpc->link, length);
	}
	return status;
}

/* All is answered, or charon ends and has waited long enough. */
static bool rpc_over(struct kaido_rpc *rpc, timeval_t *until)
{
	timeval_t now;
	bool over;

	rpc->lock->lock(rpc->lock);
	over = rpc->ending && TAILQ_EMPTY(&rpc->queue.waiting) && TAILQ_EMPTY(&rpc->queue.sent);
	if (rpc->ending && !until->tv_sec) {
		time_monotonic(until);
		timeval_add_ms(until, (u_int)rpc->settings->linger_ms);
	}
	rpc->lock->unlock(rpc->lock);
	time_monotonic(&now);
	return over || (until->tv_sec && timercmp(&now, until, >));
}

/* What must be told again, once nothing is in between that it would contradict. */
static int rpc_again(struct kaido_rpc *rpc)
{
	bool again;

	rpc->lock->lock(rpc->lock);
	again = rpc->stage == LIVE && rpc->resync && TAILQ_EMPTY(&rpc->queue.waiting) &&
		TAILQ_EMPTY(&rpc->queue.sent);
	if (again)
		rpc->resync = false;
	rpc->lock->unlock(rpc->lock);
	return again ? rpc_say_first(rpc, KAIDO_SYNC, rpc->calls->sync(rpc->context)) : 0;
}

/* One connection, to its end. Returns why it ended; 0: charon ends. */
static int rpc_talk(struct kaido_rpc *rpc, bool *was_live)
{
	timeval_t until = { 0 };
	int status;

	rpc_stage(rpc, OPENING);
	status = rpc_say_first(rpc, KAIDO_OPEN, rpc->calls->open(rpc->context));
	while (!status && !rpc_over(rpc, &until)) {
		status = rpc_again(rpc);
		if (!status)
			status = rpc_send(rpc);
		if (!status) {
			link_wait(&rpc->link, until.tv_sec ? 100 : -1);
			status = rpc_receive(rpc);
		}
	}
	link_close(&rpc->link);
	rpc->lock->lock(rpc->lock);
	*was_live = rpc->stage == LIVE;
	rpc->stage = AWAY;
	queue_again(&rpc->queue);
	rpc->lock->unlock(rpc->lock);
	return status;
}

/* Until the time is over or charon ends; requests that come meanwhile change nothing. */
static void rpc_pause(struct kaido_rpc *rpc, int delay_ms)
{
	timeval_t until, now;

	time_monotonic(&until);
	timeval_add_ms(&until, (u_int)delay_ms);
	for (;;) {
		time_monotonic(&now);
		if (rpc_ending(rpc) || !timercmp(&now, &until, <))
			return;
		timersub(&until, &now, &now);
		link_wait(&rpc->link, (int)(now.tv_sec * 1000 + now.tv_usec / 1000 + 1));
	}
}

/* Says once why there is no connection. */
static void rpc_complain(struct kaido_rpc *rpc, int status)
{
	if (status == rpc->said)
		return;
	rpc->said = status;
	DBG1(DBG_KNL,
	     "kaido: no connection to kaidod at %s: %s; what is negotiated waits for it (is it running, "
	     "and may charon's user call it?)",
	     rpc->settings->socket, strerror(-status));
}

static void *rpc_run(void *data)
{
	struct kaido_rpc *rpc = data;
	int delay = RETRY_FIRST_MS, status;
	bool was_live;

	while (!rpc_ending(rpc)) {
		was_live = false;
		status = link_connect(&rpc->link, rpc->settings->socket);
		if (!status)
			status = rpc_talk(rpc, &was_live);
		if (!status)
			break;
		if (was_live) {
			rpc->said = 0;
			delay = RETRY_FIRST_MS;
		}
		rpc_complain(rpc, status);
		rpc_pause(rpc, delay);
		delay = delay * 2 < RETRY_LAST_MS ? delay * 2 : RETRY_LAST_MS;
	}
	return NULL;
}

void kaido_rpc_start(struct kaido_rpc *rpc)
{
	rpc->lock->lock(rpc->lock);
	if (!rpc->thread && !rpc->ending)
		rpc->thread = thread_create(rpc_run, rpc);
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
