/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Southbound messages to a real gateway without packets. An input is a sequence of steps: a byte
 * that picks the kind of message, then what that kind takes. Whatever comes: every answer is a
 * message, a refusal has a sentence, a transaction that fails leaves everything as it was, and
 * what a gateway holds can be removed, which leaves it as it was at first.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aead.h"
#include "apply.h"
#include "deadline.h"
#include "dump.h"
#include "fuzz.h"
#include "gateway_fixture.h"
#include "log.h"
#include "neighbour.h"
#include "reclaim.h"
#include "southbound_client.h"
#include "southbound_records.h"
#include "trace.h"
#include "underlay.h"

#define STEPS_MAX   48
#define COMMITS_MAX 6
#define BATCH_MAX   4 /* records in one message */

static struct {
	struct fixture *f;
	struct southbound_shared shared;
	struct southbound_client client;
	int peer; /* our end of its socket; -1: there is no connection */
	struct digest empty;
	uint64_t request;
	int32_t error; /* of the last REPLY */
	uint32_t answers;
	bool refused; /* a record of the open transaction */
} bench = { .peer = -1 };

/* Formatted, and not written. */
void log_line(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	FUZZ_CHECK(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0);
	bench.f = fixture_create(NULL, 1);
	bench.shared.gw = &bench.f->gw;
	bench.shared.buffer = secret_alloc(ABI_MESSAGE_MAX);
	FUZZ_CHECK(bench.shared.buffer != NULL);
	FUZZ_CHECK(apply_create(&bench.f->gw, &bench.shared.apply) == 0);
	bench.empty = digest_take(&bench.f->gw);
	return 0;
}

/* ---- the client's side ---- */

static void bench_connect(void)
{
	const int size = 1 << 20;
	int fd[2];

	if (bench.peer >= 0)
		return;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	for (int i = 0; i < 2; i++)
		FUZZ_CHECK(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	bench.peer = fd[0];
	client_open(&bench.client, fd[1], 0);
}

static void bench_hang_up(void)
{
	if (bench.peer < 0)
		return;
	if (bench.client.fd >= 0)
		client_close(&bench.shared, &bench.client);
	close(bench.peer);
	bench.peer = -1;
}

static void answer_check(const uint8_t *message, size_t size)
{
	struct abi_header h;
	struct abi_reply reply;

	FUZZ_CHECK(size >= sizeof(h));
	memcpy(&h, message, sizeof(h));
	FUZZ_CHECK(h.magic == ABI_MAGIC && h.version == ABI_VERSION && h.length == size);
	bench.answers++;
	if (h.type != ABI_REPLY)
		return;
	FUZZ_CHECK(size == sizeof(h) + sizeof(reply));
	memcpy(&reply, message + sizeof(h), sizeof(reply));
	FUZZ_CHECK(reply.error <= 0 && (reply.error == 0) == (reply.text[0] == '\0'));
	FUZZ_CHECK(memchr(reply.text, '\0', sizeof(reply.text)) != NULL);
	bench.error = reply.error;
}

/* False: nothing came. */
static bool answer_receive(void)
{
	static uint8_t buffer[ABI_MESSAGE_MAX];
	uint8_t control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = buffer, .iov_len = sizeof(buffer) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(bench.peer, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	int fd;

	if (n <= 0)
		return false;
	FUZZ_CHECK(!(msg.msg_flags & MSG_TRUNC));
	if (c != NULL) { /* the counters' memfd */
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		close(fd);
	}
	answer_check(buffer, (size_t)n);
	return true;
}

/* Until the server has taken everything and all its answers are read. */
static void bench_serve(void)
{
	bool alive = true, any;

	do {
		alive = client_process(&bench.shared, &bench.client, 0);
		any = false;
		while (answer_receive())
			any = true;
	} while (alive && any);
	if (!alive)
		bench_hang_up();
}

static void bench_send(const void *message, size_t size)
{
	bench_connect();
	bench.answers = 0;
	if (size != 0 && send(bench.peer, message, size, 0) == (ssize_t)size)
		bench_serve();
}

static void message_send(uint16_t type, uint64_t generation, const void *records, size_t size,
			 uint32_t count)
{
	uint8_t message[sizeof(struct abi_header) + BATCH_MAX * RECORD_MAX];
	struct abi_header h = {
		.magic = ABI_MAGIC,
		.version = ABI_VERSION,
		.type = type,
		.length = (uint32_t)(sizeof(h) + size * count),
		.count = count,
		.request = ++bench.request,
		.generation = generation,
	};

	memcpy(message, &h, sizeof(h));
	if (count != 0)
		memcpy(message + sizeof(h), records, size * count);
	bench_send(message, h.length);
}

static void hello_send(void)
{
	struct abi_hello hello = { .client = "fuzz" };

	message_send(ABI_HELLO, 0, &hello, sizeof(hello), 1);
}

/* ---- steps ---- */

static void step_records(struct fuzz_input *in, uint16_t type)
{
	uint8_t records[BATCH_MAX * RECORD_MAX];
	uint32_t count = fuzz_u8(in) % 8;
	size_t size = apply_record_size(type);

	count = count >= BATCH_MAX ? 1 : count; /* mostly one */
	for (uint32_t i = 0; i < count; i++) {
		uint8_t record[RECORD_MAX];

		record_make(in, type, record);
		memcpy(records + i * size, record, size);
	}
	bench.error = 0;
	message_send(type, 0, records, size, count);
	bench.refused |= bench.error != 0;
}

static void step_begin(struct fuzz_input *in)
{
	bool open = bench.client.transaction != NULL;

	bench.error = 0;
	message_send(ABI_BEGIN, 1 + fuzz_u8(in) % 8, NULL, 0, 0);
	FUZZ_CHECK((bench.error != 0) || !open);
	if (bench.error == 0)
		bench.refused = false;
}

/* All or nothing; nothing, too, where a part was refused before. */
static void step_commit(void)
{
	struct gateway *gw = &bench.f->gw;
	uint64_t generation = gw->generation;
	bool open = bench.client.transaction != NULL;
	struct digest before = digest_take(gw), after;

	bench.error = 0;
	message_send(ABI_COMMIT, 0, NULL, 0, 0);
	FUZZ_CHECK(bench.answers == 1);
	FUZZ_CHECK(bench.error != 0 || (open && !bench.refused));
	underlay_poll(gw);
	after = digest_take(gw);
	if (bench.error != 0) {
		FUZZ_CHECK(gw->generation == generation);
		assert_digest_equal(&before, &after);
	}
	digest_free(&before);
	digest_free(&after);
}

static void step_raw(struct fuzz_input *in)
{
	size_t size = fuzz_u16(in) % 1024, got;
	const uint8_t *bytes = fuzz_bytes(in, size, &got);

	bench_send(bytes, got);
}

/* A good header but for one byte. */
static void step_header(struct fuzz_input *in)
{
	struct abi_header h = { .magic = ABI_MAGIC,
				.version = ABI_VERSION,
				.type = fuzz_u8(in) % 48,
				.length = sizeof(h) };
	uint8_t bytes[sizeof(h)], at = fuzz_u8(in) % sizeof(h);

	memcpy(bytes, &h, sizeof(h));
	bytes[at] = fuzz_u8(in);
	bench_send(bytes, sizeof(bytes));
}

static void step_question(struct fuzz_input *in, uint8_t which)
{
	struct abi_dump dump = { .kind = fuzz_u8(in) % 10, .tenant = fuzz_u8(in) % 4 };
	struct abi_trace_start start = { .tenant = dump.tenant,
					 .packets = dump.kind,
					 .every = fuzz_u8(in) };
	struct abi_event_read read = { .after = start.every };

	if (dump.tenant == 3)
		dump.tenant = start.tenant = UINT32_MAX;
	switch (which % 6) {
	case 4:
		message_send(ABI_EVENT_READ, 0, &read, sizeof(read), 1);
		break;
	case 0:
		message_send(ABI_COUNTERS, 0, NULL, 0, 0);
		break;
	case 1:
		message_send(ABI_TRACE_START, 0, &start, sizeof(start), 1);
		break;
	case 2:
		message_send(ABI_TRACE_STOP, 0, NULL, 0, 0);
		break;
	case 3:
		message_send(ABI_TRACE_READ, 0, NULL, 0, 0);
		break;
	default:
		message_send(ABI_DUMP, 0, &dump, sizeof(dump), 1);
	}
}

static void step_time(struct fuzz_input *in)
{
	struct gateway *gw = &bench.f->gw;

	gw->now_ms += 500;
	lifetime_tick(gw);
	underlay_poll(gw);
	reclaim_poll(gw->tables->reclaim);
}

static void step_run(struct fuzz_input *in, uint32_t *commits)
{
	uint8_t kind = fuzz_u8(in) % 64;

	if (kind == 39) {
		step_records(in, ABI_SELECTORS_SET);
	} else if (kind < 39) { /* the other 13 types three times over */
		step_records(in, (uint16_t)(ABI_TENANT_SET + kind % 13));
	} else if (kind < 46) {
		step_begin(in);
	} else if (kind < 52) {
		if ((*commits)++ < COMMITS_MAX)
			step_commit();
	} else if (kind == 52) {
		message_send(ABI_ABORT, 0, NULL, 0, 0);
	} else if (kind == 53) {
		bench_hang_up();
		hello_send();
	} else if (kind == 54) {
		step_raw(in);
	} else if (kind == 55) {
		step_header(in);
	} else if (kind == 56) {
		hello_send();
	} else if (kind == 57) {
		step_time(in);
	} else {
		step_question(in, kind);
	}
}

/* ---- back to the start ---- */

static void record_remove(uint16_t type, const void *record)
{
	char text[ABI_TEXT_LEN] = "";
	int error = apply_record(bench.shared.apply, type, record, text, sizeof(text));

	if (error == 0)
		return;
	fprintf(stderr, "message %u can't be applied: %s\n", type, text);
	abort();
}

/* Deletes what a dump of this kind names: by id, or by the record itself. */
static void kind_remove(uint32_t kind, uint16_t type, size_t size, bool by_id)
{
	struct abi_dump what = { .kind = kind, .tenant = UINT32_MAX };
	struct out_queue queue = { 0 };

	FUZZ_CHECK(dump_queue(&bench.f->gw, &what, 0, &queue) == 0);
	for (struct out_message *m = queue.first; m != NULL; m = m->next) {
		const uint8_t *record = out_message_records(m);

		for (uint32_t i = 0; i < m->header.count && m->header.type == ABI_DUMP_RECORDS;
		     i++, record += size) {
			struct abi_id id = { 0 };
			struct abi_neighbour neighbour;

			memcpy(&id.id, record, sizeof(id.id));
			memcpy(&neighbour, record,
			       size < sizeof(neighbour) ? size : sizeof(neighbour));
			if (kind == ABI_DUMP_NEIGHBOUR) {
				if (neighbour.state != ABI_NEIGHBOUR_PERMANENT)
					continue;
				neighbour.state = 0;
				neighbour.address.prefix_len = 0;
				record_remove(type, &neighbour);
			} else {
				record_remove(type, by_id ? (const void *)&id : record);
			}
		}
	}
	out_queue_clear(&queue);
	apply_commit(bench.shared.apply);
	underlay_poll(&bench.f->gw);
}

static void gateway_empty(void)
{
	struct gateway *gw = &bench.f->gw;
	struct digest now;

	trace_stop(gw->trace);
	kind_remove(ABI_DUMP_ROUTE, ABI_ROUTE_DELETE, sizeof(struct abi_route), false);
	kind_remove(ABI_DUMP_SA, ABI_SA_DELETE, sizeof(struct abi_sa), true);
	kind_remove(ABI_DUMP_TUNNEL, ABI_TUNNEL_DELETE, sizeof(struct abi_tunnel), true);
	kind_remove(ABI_DUMP_NEIGHBOUR, ABI_NEIGHBOUR_DELETE, sizeof(struct abi_neighbour), false);
	kind_remove(ABI_DUMP_ATTACHMENT, ABI_ATTACHMENT_DELETE, sizeof(struct abi_attachment),
		    true);
	kind_remove(ABI_DUMP_TENANT, ABI_TENANT_DELETE, sizeof(struct abi_tenant), true);
	gw->generation = 0;
	FUZZ_CHECK(deadline_count(gw->deadlines) == 0);
	reclaim_wait(gw->tables->reclaim);
	now = digest_take(gw);
	assert_digest_equal(&bench.empty, &now);
	digest_free(&now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint32_t commits = 0;

	if (fuzz_u8(&in) != 0) /* else the first message is the input's */
		hello_send();
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++)
		step_run(&in, &commits);
	bench_hang_up();
	gateway_empty();
	return 0;
}
