/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include <daemon.h>

#include "kaido.h"
#include "kaido_talk.h"

/* Requests that kaidod has not answered yet; the rest waits here. */
#define IN_FLIGHT_MAX  1024
/* Between attempts to connect, doubled each time. */
#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS  2000

/* Does charon end? */
static bool talk_ending(struct kaido_rpc *rpc)
{
	bool ending;

	rpc->lock->lock(rpc->lock);
	ending = rpc->ending;
	rpc->lock->unlock(rpc->lock);
	return ending;
}

static void talk_stage(struct kaido_rpc *rpc, enum stage stage)
{
	rpc->lock->lock(rpc->lock);
	rpc->stage = stage;
	rpc->slow = false;
	rpc->lock->unlock(rpc->lock);
}

/* Before all that waits. */
static int talk_say_first(struct kaido_rpc *rpc, enum kaido_request request, json_t *params)
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
static struct kaido_op *talk_next(struct kaido_rpc *rpc)
{
	struct kaido_op *op = NULL;

	rpc->lock->lock(rpc->lock);
	if (rpc->stage == LIVE ? rpc->queue.in_flight < IN_FLIGHT_MAX : !rpc->queue.in_flight)
		op = queue_next(&rpc->queue);
	rpc->lock->unlock(rpc->lock);
	return op;
}

/* Writes as much as the socket takes. */
static int talk_send(struct kaido_rpc *rpc)
{
	struct kaido_op *op;
	int done;

	for (;;) {
		done = link_flush(&rpc->link);
		if (done <= 0)
			return done;
		op = talk_next(rpc);
		if (!op)
			return 0;
		rpc->sending = op->id;
		link_send(&rpc->link, op->line, op->length);
	}
}

/* Whoever waits for the answer gets it; true: somebody did, and has the error. */
static bool talk_tell(struct kaido_rpc *rpc, struct kaido_op *op, const char *error)
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
static int talk_answered(struct kaido_rpc *rpc, json_t *message)
{
	uint64_t id = (uint64_t)json_integer_value(json_object_get(message, "id"));
	const char *error = NULL, *text = NULL;
	struct kaido_op *op;
	int status = 0;
	bool told = false;

	if (json_object_get(message, "error")) {
		error = "refused";
		if (!json_unpack(message, "{s:{s:s}}", "error", "message", &text))
			error = text;
	}
	if (rpc->link.out && rpc->sending == id)
		return -EPROTO; /* it is not all out yet */
	rpc->lock->lock(rpc->lock);
	op = queue_answered(&rpc->queue, id);
	if (op)
		told = talk_tell(rpc, op, error);
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
			       : talk_say_first(rpc, KAIDO_SYNC, rpc->calls->sync(rpc->context));
	if (op->request == KAIDO_SYNC)
		talk_stage(rpc, LIVE);
	op_free(op);
	return status;
}

/* The texts in a message may be secrets: jansson's memory is wiped when it is freed (kaido_plugin.c). */
static int talk_line(struct kaido_rpc *rpc, const char *line, size_t length)
{
	json_t *message = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	const char *method = json_string_value(json_object_get(message, "method"));
	int status = 0;

	if (!json_is_object(message))
		status = -EPROTO;
	else if (method)
		rpc->calls->notified(rpc->context, method, json_object_get(message, "params"));
	else
		status = talk_answered(rpc, message);
	json_decref(message);
	return status;
}

static int talk_receive(struct kaido_rpc *rpc)
{
	int status = link_fill(&rpc->link);
	size_t length;
	char *line;

	while (!status && (line = link_line(&rpc->link, &length))) {
		status = talk_line(rpc, line, length);
		link_consume(&rpc->link, length);
	}
	return status;
}

/* All is answered, or charon ends and has waited long enough. */
static bool talk_is_over(struct kaido_rpc *rpc, timeval_t *until)
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
static int talk_again(struct kaido_rpc *rpc)
{
	bool again;

	rpc->lock->lock(rpc->lock);
	again = rpc->stage == LIVE && rpc->resync && TAILQ_EMPTY(&rpc->queue.waiting) &&
		TAILQ_EMPTY(&rpc->queue.sent);
	if (again)
		rpc->resync = false;
	rpc->lock->unlock(rpc->lock);
	return again ? talk_say_first(rpc, KAIDO_SYNC, rpc->calls->sync(rpc->context)) : 0;
}

/* One connection, to its end. Returns why it ended; 0: charon ends. */
static int talk_once(struct kaido_rpc *rpc, bool *was_live)
{
	timeval_t until = { 0 };
	int status;

	talk_stage(rpc, OPENING);
	status = talk_say_first(rpc, KAIDO_OPEN, rpc->calls->open(rpc->context));
	while (!status && !talk_is_over(rpc, &until)) {
		status = talk_again(rpc);
		if (!status)
			status = talk_send(rpc);
		if (!status) {
			link_wait(&rpc->link, until.tv_sec ? 100 : -1);
			status = talk_receive(rpc);
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
static void talk_pause(struct kaido_rpc *rpc, int delay_ms)
{
	timeval_t until, now;

	time_monotonic(&until);
	timeval_add_ms(&until, (u_int)delay_ms);
	for (;;) {
		time_monotonic(&now);
		if (talk_ending(rpc) || !timercmp(&now, &until, <))
			return;
		timersub(&until, &now, &now);
		link_wait(&rpc->link, (int)(now.tv_sec * 1000 + now.tv_usec / 1000 + 1));
	}
}

/* Says once why there is no connection. */
static void talk_complain(struct kaido_rpc *rpc, int status)
{
	if (status == rpc->said)
		return;
	rpc->said = status;
	DBG1(DBG_KNL,
	     "kaido: no connection to kaidod at %s: %s; what is negotiated waits for it (is it running, "
	     "and may charon's user call it?)",
	     rpc->settings->socket, strerror(-status));
}

void *talk_run(void *data)
{
	struct kaido_rpc *rpc = data;
	int delay = RETRY_FIRST_MS, status;
	bool was_live;

	while (!talk_ending(rpc)) {
		was_live = false;
		status = link_connect(&rpc->link, rpc->settings->socket);
		if (!status)
			status = talk_once(rpc, &was_live);
		if (!status)
			break;
		if (was_live) {
			rpc->said = 0;
			delay = RETRY_FIRST_MS;
		}
		talk_complain(rpc, status);
		talk_pause(rpc, delay);
		delay = delay * 2 < RETRY_LAST_MS ? delay * 2 : RETRY_LAST_MS;
	}
	return NULL;
}
