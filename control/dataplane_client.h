/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client of kaido-dataplane's socket (abi/message.h). It connects, says hello, and comes back
 * by itself when the connection is lost. Requests are sent in order and never wait for each other.
 * Each ends with one call of its `done`, with -ENOTCONN when the connection was lost before the
 * answer: then it is unknown whether it was carried out.
 */
#ifndef KAIDO_CONTROL_DATAPLANE_CLIENT_H
#define KAIDO_CONTROL_DATAPLANE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

struct event_base;
struct dataplane_client;

struct dataplane_events {
	/*
	 * Hello has been said. `previous_gone`: the process at the other end of the connection before
	 * is known to be dead, so what it left in its counters is final. A version that does not
	 * match is not reported here.
	 */
	void (*up)(void *context, const struct abi_hello_reply *hello, bool previous_gone);
	void (*down)(void *context, const char *why);
	void *context;
};

/* -ENOMEM. Tries to connect from the event loop. */
int dataplane_client_create(struct event_base *base, const char *path,
			    const struct dataplane_events *events,
			    struct dataplane_client **client);
/* Open requests end without a call. NULL is allowed. */
void dataplane_client_destroy(struct dataplane_client *client);

/*
 * One transaction. `fill` makes the next message behind the header: writes records of one type into
 * `records` (at most `room` bytes), sets *type and *count and returns the bytes, 0 at the end or
 * negative errno to give up. The buffer is locked memory and is wiped after each message.
 */
struct dataplane_transaction {
	uint64_t generation;
	long (*fill)(void *context, void *records, size_t room, uint16_t *type, uint32_t *count);
	/* error 0: committed. Else index and text are the dataplane's. */
	void (*done)(void *context, int error, uint32_t index, const char *text);
	void *context;
};
int dataplane_commit(struct dataplane_client *client,
		     const struct dataplane_transaction *transaction);

/* `each` is called for every message of records. */
int dataplane_dump(struct dataplane_client *client, enum abi_dump_kind kind, uint32_t tenant,
		   void (*each)(void *context, const void *records, uint32_t count),
		   void (*done)(void *context, int error, const char *text), void *context);

/* `done` owns the descriptor; -1 on an error. */
int dataplane_counters(struct dataplane_client *client,
		       void (*done)(void *context, int error, int fd,
				    const struct abi_counters_reply *reply),
		       void *context);

/* TRACE_START, TRACE_STOP, TRACE_READ; `records` are those of TRACE_RECORDS. */
int dataplane_trace(struct dataplane_client *client, enum abi_type type,
		    const struct abi_trace_start *start,
		    void (*done)(void *context, int error, const char *text,
				 const struct abi_trace_record *records, uint32_t count),
		    void *context);

/* Those with a number above `after`, oldest first; none: there is nothing new. */
int dataplane_events(struct dataplane_client *client, uint64_t after,
		     void (*done)(void *context, int error, const char *text,
				  const struct abi_event *records, uint32_t count),
		     void *context);

#endif /* KAIDO_CONTROL_DATAPLANE_CLIENT_H */
