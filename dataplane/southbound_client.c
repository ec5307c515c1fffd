/* SPDX-License-Identifier: BSD-3-Clause */
#include "southbound_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aead.h"
#include "apply.h"
#include "dump.h"
#include "event.h"
#include "gateway.h"
#include "log.h"
#include "trace.h"
#include "transaction.h"

#define MESSAGES_MAX 64 /* read in one go: others wait, too */

void client_open(struct southbound_client *c, int fd, uint64_t now)
{
	*c = (struct southbound_client){ .fd = fd, .progress = now };
}

static void transaction_drop(struct southbound_shared *s, struct southbound_client *c)
{
	transaction_end(c->transaction);
	c->transaction = NULL;
	if (s->writer == c)
		s->writer = NULL;
}

void client_close(struct southbound_shared *s, struct southbound_client *c)
{
	transaction_drop(s, c);
	out_queue_clear(&c->out);
	close(c->fd);
	c->fd = -1;
}

/* Without memory for an answer the client can only be let go: it would wait for ever. */
static void answer(struct southbound_client *c, struct out_message *m)
{
	if (m == NULL) {
		log_error("southbound: no memory for an answer; the client is disconnected");
		c->closing = true;
		return;
	}
	out_queue_add(&c->out, m);
}

static void answer_verdict(struct southbound_shared *s, struct southbound_client *c,
			   uint64_t request, const struct verdict *verdict)
{
	struct out_message *m = out_message_make(ABI_REPLY, request, s->gw->generation,
						 sizeof(struct abi_reply), 1);
	struct abi_reply *reply;

	if (m != NULL) {
		reply = out_message_records(m);
		reply->error = verdict->error;
		reply->index = verdict->index;
		if (verdict->error != 0)
			snprintf(reply->text, sizeof(reply->text), "%s", verdict->text);
	}
	answer(c, m);
}

static void answer_error(struct southbound_shared *s, struct southbound_client *c, uint64_t request,
			 int error, const char *text)
{
	struct verdict verdict = { .error = error };

	snprintf(verdict.text, sizeof(verdict.text), "%s", text);
	answer_verdict(s, c, request, &verdict);
}

static void answer_ok(struct southbound_shared *s, struct southbound_client *c, uint64_t request)
{
	answer_verdict(s, c, request, &(struct verdict){ 0 });
}

void client_refuse(struct southbound_shared *s, struct southbound_client *c, int error,
		   const char *text)
{
	answer_error(s, c, 0, error, text);
	c->closing = true;
}

/* A message that isn't one. Were it a lost part of a transaction, that must not be committed. */
static void protocol_error(struct southbound_shared *s, struct southbound_client *c,
			   uint64_t request, const char *text)
{
	struct verdict verdict = { .error = -EPROTO };

	snprintf(verdict.text, sizeof(verdict.text), "%s", text);
	if (c->transaction != NULL)
		transaction_poison(c->transaction, &verdict);
	answer_verdict(s, c, request, &verdict);
}

/* ---- requests ---- */

static bool printable(const char *name, size_t size)
{
	size_t n = strnlen(name, size);

	for (size_t i = 0; i < n; i++)
		if (name[i] < ' ' || name[i] > '~')
			return false;
	return n < size;
}

static void on_hello(struct southbound_shared *s, struct southbound_client *c,
		     const struct abi_header *h, const void *record)
{
	const struct abi_hello *hello = record;
	const struct gateway *gw = s->gw;
	struct out_message *m;
	struct abi_hello_reply *reply;

	if (c->greeted) {
		protocol_error(s, c, h->request, "HELLO comes once, and first");
		return;
	}
	if (!printable(hello->client, sizeof(hello->client))) {
		answer_error(s, c, h->request, -EINVAL, "the client's name is malformed");
		c->closing = true;
		return;
	}
	m = out_message_make(ABI_HELLO_REPLY, h->request, gw->generation, sizeof(*reply), 1);
	if (m != NULL) {
		reply = out_message_records(m);
		*reply = (struct abi_hello_reply){
			.version = KAIDO_VERSION,
			.boot = gw->boot,
			.generation = gw->generation,
			.max_tenants = gw->size.max_tenants,
			.max_attachments = gw->size.max_attachments,
			.max_tunnels = gw->size.max_tunnels,
			.max_sas = gw->size.max_sas,
			.ports = gw->ports,
			.workers = gw->workers,
		};
	}
	c->greeted = true;
	log_info("southbound: %s is connected", hello->client);
	answer(c, m);
}

static void on_begin(struct southbound_shared *s, struct southbound_client *c,
		     const struct abi_header *h, const void *record)
{
	if (c->transaction != NULL) {
		protocol_error(s, c, h->request, "a transaction is open already: COMMIT or ABORT");
		return;
	}
	if (s->writer != NULL) {
		answer_error(s, c, h->request, -EBUSY,
			     "another client's transaction is open: try again later");
		return;
	}
	if (h->generation == 0) {
		answer_error(s, c, h->request, -EINVAL, "generation 0 is that of nothing at all");
		return;
	}
	c->transaction = transaction_begin(h->generation);
	if (c->transaction == NULL) {
		answer_error(s, c, h->request, -ENOMEM, "no memory for a transaction");
		return;
	}
	s->writer = c;
	answer_ok(s, c, h->request);
}

static void on_commit(struct southbound_shared *s, struct southbound_client *c,
		      const struct abi_header *h, const void *record)
{
	struct verdict verdict;

	if (c->transaction == NULL) {
		protocol_error(s, c, h->request, "no transaction is open: BEGIN comes first");
		return;
	}
	transaction_commit(c->transaction, s->apply, &s->gw->generation, &verdict);
	transaction_drop(s, c);
	if (verdict.error != 0)
		log_warn("southbound: a transaction was refused and undone: record %u: %s",
			 verdict.index, verdict.text);
	answer_verdict(s, c, h->request, &verdict);
}

static void on_abort(struct southbound_shared *s, struct southbound_client *c,
		     const struct abi_header *h, const void *record)
{
	if (c->transaction == NULL) {
		protocol_error(s, c, h->request, "no transaction is open: BEGIN comes first");
		return;
	}
	transaction_drop(s, c);
	answer_ok(s, c, h->request);
}

static void on_dump(struct southbound_shared *s, struct southbound_client *c,
		    const struct abi_header *h, const void *record)
{
	int error = dump_queue(s->gw, record, h->request, &c->out);

	if (error == -EINVAL)
		answer_error(s, c, h->request, error, "there is no such kind of dump");
	else if (error != 0)
		answer_error(s, c, h->request, error, "no memory for the dump: try again later");
}

static void on_counters(struct southbound_shared *s, struct southbound_client *c,
			const struct abi_header *h, const void *record)
{
	struct out_message *m = out_message_make(ABI_COUNTERS_REPLY, h->request, s->gw->generation,
						 sizeof(struct abi_counters_reply), 1);
	struct abi_counters_reply *reply;

	if (m != NULL) {
		reply = out_message_records(m);
		reply->boot = s->gw->boot;
		reply->size = stats_size(s->gw->stats);
		m->fd = stats_fd(s->gw->stats);
	}
	answer(c, m);
}

static void on_trace_start(struct southbound_shared *s, struct southbound_client *c,
			   const struct abi_header *h, const void *record)
{
	const struct abi_trace_start *how = record;

	if (how->tenant != UINT32_MAX && how->tenant >= s->gw->size.max_tenants) {
		answer_error(s, c, h->request, -EINVAL, "there can't be such a tenant");
		return;
	}
	if (trace_start(s->gw->trace, how) != 0) {
		answer_error(s, c, h->request, -EINVAL,
			     "a trace takes 1 to 65536 packets, one in at least 1");
		return;
	}
	log_info("trace: %u packets, one in %u, of tenant %d", how->packets, how->every,
		 (int)how->tenant);
	answer_ok(s, c, h->request);
}

static void on_trace_stop(struct southbound_shared *s, struct southbound_client *c,
			  const struct abi_header *h, const void *record)
{
	trace_stop(s->gw->trace);
	answer_ok(s, c, h->request);
}

static void on_trace_read(struct southbound_shared *s, struct southbound_client *c,
			  const struct abi_header *h, const void *record)
{
	const size_t size = sizeof(struct abi_trace_record);
	const uint32_t max = (ABI_MESSAGE_MAX - sizeof(struct abi_header)) / size;
	struct out_message *m =
		out_message_make(ABI_TRACE_RECORDS, h->request, s->gw->generation, size, max);

	if (m != NULL)
		out_message_shorten(m, size, trace_read(s->gw->trace, out_message_records(m), max));
	answer(c, m);
}

static void on_event_read(struct southbound_shared *s, struct southbound_client *c,
			  const struct abi_header *h, const void *record)
{
	const struct abi_event_read *what = record;
	const size_t size = sizeof(struct abi_event);
	const uint32_t max = (ABI_MESSAGE_MAX - sizeof(struct abi_header)) / size;
	struct out_message *m =
		out_message_make(ABI_EVENTS, h->request, s->gw->generation, size, max);

	if (m != NULL)
		out_message_shorten(
			m, size,
			event_read(s->gw->events, what->after, out_message_records(m), max));
	answer(c, m);
}

/* Requests, by type; what isn't here may be a change. */
static const struct request_type {
	void (*handle)(struct southbound_shared *s, struct southbound_client *c,
		       const struct abi_header *h, const void *record);
	size_t size; /* of its one record; 0: it has none */
} requests[] = {
	[ABI_HELLO] = { on_hello, sizeof(struct abi_hello) },
	[ABI_BEGIN] = { on_begin, 0 },
	[ABI_COMMIT] = { on_commit, 0 },
	[ABI_ABORT] = { on_abort, 0 },
	[ABI_DUMP] = { on_dump, sizeof(struct abi_dump) },
	[ABI_COUNTERS] = { on_counters, 0 },
	[ABI_TRACE_START] = { on_trace_start, sizeof(struct abi_trace_start) },
	[ABI_TRACE_STOP] = { on_trace_stop, 0 },
	[ABI_TRACE_READ] = { on_trace_read, 0 },
	[ABI_EVENT_READ] = { on_event_read, sizeof(struct abi_event_read) },
};

static const struct request_type *request_find(uint16_t type)
{
	if (type >= sizeof(requests) / sizeof(requests[0]) || requests[type].handle == NULL)
		return NULL;
	return &requests[type];
}

/* ---- messages ---- */

/* Records of a change. After the first refusal all but COMMIT and ABORT goes unanswered. */
static void stage(struct southbound_shared *s, struct southbound_client *c,
		  const struct abi_header *h, size_t size, const void *records)
{
	struct verdict verdict = { 0 };

	if (c->transaction == NULL) {
		protocol_error(s, c, h->request, "no transaction is open: BEGIN comes first");
		return;
	}
	if (transaction_poisoned(c->transaction) != 0)
		return;
	if (transaction_stage(c->transaction, s->apply, h->type, records, size, h->count,
			      &verdict) != 0)
		answer_verdict(s, c, h->request, &verdict);
}

static void message_handle(struct southbound_shared *s, struct southbound_client *c,
			   const uint8_t *message, size_t size, bool truncated)
{
	const struct request_type *request;
	struct abi_header h;
	size_t record_size;

	if (size < sizeof(h)) {
		protocol_error(s, c, 0, "the message is shorter than its header");
		return;
	}
	memcpy(&h, message, sizeof(h));
	if (h.magic != ABI_MAGIC) {
		protocol_error(s, c, 0, "this is not a southbound message");
		return;
	}
	if (h.version != ABI_VERSION) {
		protocol_error(s, c, h.request,
			       "another version of the protocol: kaidod and kaido-dataplane must "
			       "be of one release");
		c->closing = true;
		return;
	}
	if (truncated || h.length != size) {
		protocol_error(s, c, h.request, "the message has another length than it says");
		return;
	}
	if (!c->greeted && h.type != ABI_HELLO) {
		protocol_error(s, c, h.request, "HELLO comes first");
		c->closing = true;
		return;
	}
	request = request_find(h.type);
	record_size = request != NULL ? request->size : apply_record_size(h.type);
	if (request == NULL && record_size == 0) {
		protocol_error(s, c, h.request, "unknown type of message");
		return;
	}
	if ((uint64_t)h.count * record_size != size - sizeof(h) ||
	    (request != NULL && h.count != (record_size != 0))) {
		protocol_error(s, c, h.request, "the message has another size than its records");
		return;
	}
	if (request != NULL)
		request->handle(s, c, &h, message + sizeof(h));
	else
		stage(s, c, &h, record_size, message + sizeof(h));
}

/* False: nothing came, or the end of the connection (*over). */
static bool message_read(struct southbound_shared *s, struct southbound_client *c, bool *over)
{
	struct iovec iov = { .iov_base = s->buffer, .iov_len = ABI_MESSAGE_MAX };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT);

	if (n < 0) {
		*over = errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
		return false;
	}
	/* An empty message can't be told from the end. */
	if (n == 0) {
		*over = true;
		return false;
	}
	message_handle(s, c, s->buffer, (size_t)n, (msg.msg_flags & MSG_TRUNC) != 0);
	secret_wipe(s->buffer, (size_t)n);
	return true;
}

bool client_process(struct southbound_shared *s, struct southbound_client *c, uint64_t now)
{
	const struct out_message *before;
	bool over = false;
	int error = 0;

	for (uint32_t i = 0; i < MESSAGES_MAX && !over; i++) {
		before = c->out.first;
		error = out_queue_send(&c->out, c->fd);
		if (c->out.first == NULL || c->out.first != before)
			c->progress = now;
		if (error == -EAGAIN)
			return true;
		if (error != 0 || c->closing)
			return false;
		if (!message_read(s, c, &over))
			return !over;
	}
	return true;
}
