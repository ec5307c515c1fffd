/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to kaidod that are not answered: those that wait to be sent and those that were, in the order in which
 * they were queued. Not locked: who uses it does.
 */
#ifndef KAIDO_QUEUE_H
#define KAIDO_QUEUE_H

#include <sys/queue.h>

#include "kaido_rpc.h"

/* Who waits for an answer, on its own stack. */
struct kaido_wait {
	bool done;
	char *error; /* NULL: none */
};

struct kaido_op {
	TAILQ_ENTRY(kaido_op) entry;
	uint64_t id;
	uint64_t sa;
	enum kaido_request request;
	bool sent_before; /* kaidod may have it */
	bool in_flight;   /* among those sent */
	bool ended;       /* of a set: its SA is gone, so it is not sent again */
	char *line;       /* with its LF; wiped when it is freed */
	size_t length;
	struct kaido_wait *wait;
};

TAILQ_HEAD(kaido_ops, kaido_op);

struct kaido_queue {
	struct kaido_ops waiting, sent;
	size_t count[KAIDO_EVENT + 1]; /* of each kind, in both */
	size_t in_flight;              /* in sent */
	struct hashtable_t *sets;      /* those of KAIDO_SET, by SA */
};

int queue_init(struct kaido_queue *queue);
void queue_fini(struct kaido_queue *queue);

/* params is taken; id: of the request, never used twice. NULL: no memory. */
struct kaido_op *op_create(uint64_t id, enum kaido_request request, uint64_t sa, json_t *params);
void op_free(struct kaido_op *op);

void queue_add(struct kaido_queue *queue, struct kaido_op *op);
/* Before all others: what opens a connection. */
void queue_add_first(struct kaido_queue *queue, struct kaido_op *op);
/* The next one to be sent, which is among those sent from now on. NULL: none. */
struct kaido_op *queue_next(struct kaido_queue *queue);
/* Takes one out that was sent. NULL: none has that id. */
struct kaido_op *queue_answered(struct kaido_queue *queue, uint64_t id);
/* The SA's set; NULL: it was answered. */
struct kaido_op *queue_set_of(struct kaido_queue *queue, uint64_t sa);
/* The SA is gone: its set is sent no more. True: it never was, so kaidod need not be told either. */
bool queue_end(struct kaido_queue *queue, uint64_t sa);
/* Takes out one that waits. */
void queue_cancel(struct kaido_queue *queue, struct kaido_op *op);
/* The connection is gone: what was sent waits again, in its order; what opened it is dropped. */
void queue_again(struct kaido_queue *queue);

#endif
