/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the dataplane's client. */
#ifndef KAIDO_CONTROL_DATAPLANE_REQUEST_H
#define KAIDO_CONTROL_DATAPLANE_REQUEST_H

#include <sys/queue.h>

#include "dataplane_client.h"

struct event;

#define BACKOFF_FIRST_MS 25
#define SILENCE_MAX_S    60 /* without any answer while one is awaited: hang up */

/* Each request has four numbers: what can be answered within it must be told apart. */
enum { NUMBER_FIRST, NUMBER_STAGED, NUMBER_COMMIT, NUMBERS };

enum request_kind {
	REQUEST_HELLO,
	REQUEST_COMMIT,
	REQUEST_DUMP,
	REQUEST_COUNTERS,
	REQUEST_TRACE,
	REQUEST_EVENTS,
};

struct request {
	STAILQ_ENTRY(request) link;
	enum request_kind kind;
	uint16_t type; /* of the message, but for transactions */
	uint64_t number;
	uint8_t payload[64];
	size_t payload_size;
	struct dataplane_transaction transaction;
	enum { SEND_BEGIN, SEND_RECORDS, SEND_COMMIT, SEND_DONE } next; /* to be sent */
	bool sent;                                                      /* to its end */
	int error; /* the first refusal within a transaction */
	char text[ABI_TEXT_LEN];
	enum abi_dump_kind dump_kind;
	void (*each)(void *context, const void *records, uint32_t count);
	void (*dump_done)(void *context, int error, const char *text);
	void (*counters_done)(void *context, int error, int fd,
			      const struct abi_counters_reply *reply);
	void (*trace_done)(void *context, int error, const char *text,
			   const struct abi_trace_record *records, uint32_t count);
	void (*events_done)(void *context, int error, const char *text,
			    const struct abi_event *records, uint32_t count);
	void *context;
};

STAILQ_HEAD(request_list, request);

struct dataplane_client {
	struct event_base *base;
	char *path;
	struct dataplane_events events;
	int fd;
	int pidfd;  /* of the process at the other end, also after it hung up; -1: not known */
	bool ready; /* hello was answered */
	struct event *readable;
	struct event *writable;
	struct event *timer; /* connect again, or give up on silence */
	unsigned int backoff_ms;
	bool told; /* of the failure to connect */
	uint64_t number;
	struct request_list waiting; /* in the order of sending; the head may be half sent */
	struct request_list sent;    /* wholly sent, not answered */
	uint8_t *out;                /* one message; locked memory, for it may hold keys */
	size_t out_size;             /* not yet taken by the socket; 0: none */
	uint8_t *in;
};

/* dataplane_client.c */
void dataplane_client_down(struct dataplane_client *client, const char *why);
void dataplane_timer_set(struct dataplane_client *client, unsigned int ms);
/* dataplane_send.c, dataplane_receive.c: for libevent */
void dataplane_client_send(int fd, short what, void *context);
void dataplane_client_receive(int fd, short what, void *context);
/* The one call of `done`; frees. */
void dataplane_request_end(struct dataplane_client *client, struct request *request, int error,
			   uint32_t index, const char *text);

#endif /* KAIDO_CONTROL_DATAPLANE_REQUEST_H */
