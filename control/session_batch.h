/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What changes sessions, one batch at a time: all that waits is carried out together, in one transaction
 * of the store and one of the dataplane, and is answered when both are done. What the dataplane refuses is
 * taken out of the batch, with the reason, and the others are carried out.
 */
#ifndef KAIDO_CONTROL_SESSION_BATCH_H
#define KAIDO_CONTROL_SESSION_BATCH_H

#include "session.h"

struct plan_object;

enum session_op_kind {
	SESSION_OPEN,
	SESSION_SA_SET,
	SESSION_SA_UPDATE,
	SESSION_SA_DELETE,
	SESSION_SYNC,
	SESSION_IKE_EVENT,
	SESSION_REMOVE, /* kaidod's own: of the SA named, whosever it is */
};

struct session_op {
	STAILQ_ENTRY(session_op) link;
	enum session_op_kind kind;
	struct rpc_request *request; /* NULL: kaidod's own */
	uint64_t instance;
	uint64_t handle;             /* of the SA that it is about */
	struct session_place before; /* UPDATE: where it was */
	bool placed;                 /* it is elsewhere now */
	json_t *result;              /* NULL: as its kind has it */
	int code;                    /* enum rpc_error; 0: done */
	char error[320];
};

/* A tunnel or an SA that is gone. */
struct session_gone {
	enum id_kind kind;
	uint32_t id;
	uint32_t tenant; /* of a client's tunnel, as are those below */
	uint64_t instance;
	uint64_t ike;
};

/* Answers the request when it is done. */
void session_submit(struct sessions *sessions, enum session_op_kind kind,
		    struct rpc_request *request);
/* Has it removed, by a batch soon. */
void session_submit_remove(struct sessions *sessions, const struct session_sa *sa);
/* Starts a batch where anything waits. Nothing else may be under way. Returns whether it is under way now. */
bool sessions_run(struct sessions *sessions);
/* The dataplane has been looked at, for the batch that waits for it. */
void sessions_waited(struct sessions *sessions);
void sessions_batch_clear(struct sessions *sessions);

/* What the dataplane refused: is it of a session, so that it was removed, and may the rest be tried again? */
bool sessions_refused(struct sessions *sessions, const struct plan_object *object,
		      const char *text);

/* -- within a transaction of the store; negative errno: of the store, the batch is given up -- */

__attribute__((format(printf, 3, 4))) void session_op_fail(struct session_op *op, int code,
							   const char *format, ...);
/* session_apply.c */
int session_op_apply(struct sessions *sessions, struct session_op *op);
/* session_set.c */
int session_set_apply(struct sessions *sessions, struct session_op *op);
/* session_apply.c */
int session_sa_store(struct sessions *sessions, const struct session_sa *sa);
int session_sa_drop(struct sessions *sessions, struct session_sa *sa);
int session_drop(struct sessions *sessions, struct session *session);
/* session_ike.c */
int session_ike_apply(struct sessions *sessions, struct session_op *op);
int session_ike_store(struct sessions *sessions, const struct session_ike *ike);
/* Ends it, with its event. Its SAs stay. */
int session_ike_end(struct sessions *sessions, struct session_ike *ike, const char *reason);
/* session_failure.c */
int session_failure_apply(struct sessions *sessions, const json_t *params);

/* Nothing in the dataplane uses what is gone any more: its ids may be others'. */
void sessions_gone_settle(struct sessions *sessions);
/* An event for operators, told when the transaction is on the disk; taken. */
void session_event(struct sessions *sessions, json_t *event);

/* -- session_load.c -- */

/* Reads all from the store. What has no owner in the desired state is left out. */
int sessions_load(struct sessions *sessions);
/* After a transaction that failed: as the store has it. */
void sessions_reload(struct sessions *sessions);
/*
 * The desired state becomes another: those whose tunnel goes are removed, within the transaction that
 * writes it. *effective is the model as it is then.
 */
int sessions_follow(struct sessions *sessions, const struct model *desired,
		    struct model **effective);

#endif /* KAIDO_CONTROL_SESSION_BATCH_H */
