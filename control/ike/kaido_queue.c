/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include <library.h>
#include <collections/hashtable.h>

#include "kaido_queue.h"

static const char *const methods[] = {
	[KAIDO_OPEN] = "ike.open",        [KAIDO_SYNC] = "ike.sync",
	[KAIDO_SET] = "ike.sa.set",       [KAIDO_UPDATE] = "ike.sa.update",
	[KAIDO_DELETE] = "ike.sa.delete", [KAIDO_EVENT] = "ike.event",
};

const char *kaido_request_name(enum kaido_request request)
{
	return methods[request];
}

static u_int set_hash(const void *key)
{
	return chunk_hash(chunk_from_thing(((const struct kaido_op *)key)->sa));
}

static bool set_equals(const void *a, const void *b)
{
	return ((const struct kaido_op *)a)->sa == ((const struct kaido_op *)b)->sa;
}

int queue_init(struct kaido_queue *queue)
{
	*queue = (struct kaido_queue){ .in_flight = 0 };
	TAILQ_INIT(&queue->waiting);
	TAILQ_INIT(&queue->sent);
	queue->sets = hashtable_create(set_hash, set_equals, 64);
	return queue->sets ? 0 : -1;
}

static void ops_free(struct kaido_ops *ops)
{
	struct kaido_op *op;

	while ((op = TAILQ_FIRST(ops))) {
		TAILQ_REMOVE(ops, op, entry);
		op_free(op);
	}
}

void queue_fini(struct kaido_queue *queue)
{
	ops_free(&queue->waiting);
	ops_free(&queue->sent);
	queue->sets->destroy(queue->sets);
}

struct kaido_op *op_create(uint64_t id, enum kaido_request request, uint64_t sa, json_t *params)
{
	struct kaido_op *op = calloc(1, sizeof(*op));
	json_t *json;

	json = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)id, "method",
			 methods[request], "params", params);
	if (!op || !json)
		goto fail;
	op->id = id;
	op->request = request;
	op->sa = sa;
	op->length = json_dumpb(json, NULL, 0, JSON_COMPACT);
	op->line = op->length ? malloc(op->length + 1) : NULL;
	if (!op->line)
		goto fail;
	json_dumpb(json, op->line, op->length, JSON_COMPACT);
	op->line[op->length++] = '\n';
	json_decref(json);
	return op;

fail:
	json_decref(json);
	free(op);
	return NULL;
}

void op_free(struct kaido_op *op)
{
	explicit_bzero(op->line, op->length);
	free(op->line);
	free(op);
}

/* What a queue counts of an operation that comes or goes. */
static void op_enter(struct kaido_queue *queue, struct kaido_op *op)
{
	queue->count[op->request]++;
	if (op->request == KAIDO_SET)
		queue->sets->put(queue->sets, op, op);
}

static void op_leave(struct kaido_queue *queue, struct kaido_op *op)
{
	queue->count[op->request]--;
	if (op->request == KAIDO_SET)
		queue->sets->remove(queue->sets, op);
}

void queue_add(struct kaido_queue *queue, struct kaido_op *op)
{
	op_enter(queue, op);
	TAILQ_INSERT_TAIL(&queue->waiting, op, entry);
}

void queue_add_first(struct kaido_queue *queue, struct kaido_op *op)
{
	op_enter(queue, op);
	TAILQ_INSERT_HEAD(&queue->waiting, op, entry);
}

struct kaido_op *queue_next(struct kaido_queue *queue)
{
	struct kaido_op *op = TAILQ_FIRST(&queue->waiting);

	if (!op)
		return NULL;
	TAILQ_REMOVE(&queue->waiting, op, entry);
	TAILQ_INSERT_TAIL(&queue->sent, op, entry);
	queue->in_flight++;
	op->sent_before = op->in_flight = true;
	return op;
}

struct kaido_op *queue_answered(struct kaido_queue *queue, uint64_t id)
{
	struct kaido_op *op;

	TAILQ_FOREACH (op, &queue->sent, entry) {
		if (op->id != id)
			continue;
		TAILQ_REMOVE(&queue->sent, op, entry);
		queue->in_flight--;
		op_leave(queue, op);
		return op;
	}
	return NULL;
}

struct kaido_op *queue_set_of(struct kaido_queue *queue, uint64_t sa)
{
	struct kaido_op key = { .sa = sa };

	return queue->sets->get(queue->sets, &key);
}

bool queue_end(struct kaido_queue *queue, uint64_t sa)
{
	struct kaido_op *set = queue_set_of(queue, sa);
	bool unknown = set && !set->sent_before;

	if (set && set->in_flight)
		set->ended = true;
	else if (set)
		queue_cancel(queue, set);
	return unknown;
}

void queue_cancel(struct kaido_queue *queue, struct kaido_op *op)
{
	TAILQ_REMOVE(&queue->waiting, op, entry);
	op_leave(queue, op);
	op_free(op);
}

void queue_again(struct kaido_queue *queue)
{
	struct kaido_op *op;

	while ((op = TAILQ_LAST(&queue->sent, kaido_ops))) {
		TAILQ_REMOVE(&queue->sent, op, entry);
		queue->in_flight--;
		op->in_flight = false;
		if (op->request == KAIDO_OPEN || op->request == KAIDO_SYNC || op->ended) {
			op_leave(queue, op);
			op_free(op);
		} else {
			TAILQ_INSERT_HEAD(&queue->waiting, op, entry);
		}
	}
	while ((op = TAILQ_FIRST(&queue->waiting)) &&
	       (op->request == KAIDO_OPEN || op->request == KAIDO_SYNC))
		queue_cancel(queue, op);
}
