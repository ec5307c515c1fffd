/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "aead.h"
#include "drop.h"
#include "event.h"
#include "gateway_fixture.h"
#include "reclaim.h"
#include "sad.h"
#include "southbound.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

/* A server and one client of it, in one thread: send, let the server work, receive. */
struct bench {
	struct fixture *f;
	struct southbound *s;
	char folder[32];
	char path[64];
	int fd;
	uint64_t request;
};

static union {
	struct abi_header header;
	uint8_t bytes[2 * ABI_MESSAGE_MAX];
} buffer;

static int client_connect(const struct bench *b)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, b->path, strlen(b->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static size_t message_make(uint8_t *to, uint16_t type, uint64_t request, uint64_t generation,
			   const void *records, size_t size, uint32_t count)
{
	struct abi_header h = {
		.magic = ABI_MAGIC,
		.version = ABI_VERSION,
		.type = type,
		.length = (uint32_t)(sizeof(h) + size * count),
		.count = count,
		.request = request,
		.generation = generation,
	};

	memcpy(to, &h, sizeof(h));
	if (count != 0)
		memcpy(to + sizeof(h), records, size * count);
	return h.length;
}

static void send_on(struct bench *b, int fd, uint16_t type, uint64_t generation,
		    const void *records, size_t size, uint32_t count)
{
	size_t n = message_make(buffer.bytes, type, ++b->request, generation, records, size, count);

	while (send(fd, buffer.bytes, n, 0) < 0) {
		assert_int_equal(errno, EAGAIN);
		southbound_poll(b->s);
	}
	explicit_bzero(buffer.bytes, n);
	southbound_poll(b->s);
}

/* The next message, in `buffer`; 0: the connection is over, -1: nothing came. */
static ssize_t receive_on(struct bench *b, int fd)
{
	ssize_t n = -1;

	for (uint32_t i = 0; i < 100 && n < 0; i++) {
		southbound_poll(b->s);
		n = recv(fd, buffer.bytes, sizeof(buffer.bytes), 0);
		if (n < 0 && errno == ECONNRESET)
			return 0;
	}
	if (n > 0) {
		assert_true(n >= (ssize_t)sizeof(buffer.header));
		assert_int_equal(buffer.header.magic, ABI_MAGIC);
		assert_int_equal(buffer.header.length, n);
	}
	return n;
}

static int reply_on(struct bench *b, int fd)
{
	struct abi_reply reply;

	assert_true(receive_on(b, fd) > 0);
	assert_int_equal(buffer.header.type, ABI_REPLY);
	assert_int_equal(buffer.header.request, b->request);
	memcpy(&reply, buffer.bytes + sizeof(buffer.header), sizeof(reply));
	assert_true((reply.error == 0) == (reply.text[0] == '\0'));
	return reply.error;
}

static void hello_on(struct bench *b, int fd)
{
	struct abi_hello hello = { .client = "test" };

	send_on(b, fd, ABI_HELLO, 0, &hello, sizeof(hello), 1);
	assert_true(receive_on(b, fd) > 0);
	assert_int_equal(buffer.header.type, ABI_HELLO_REPLY);
}

static int call(struct bench *b, uint16_t type, uint64_t generation)
{
	send_on(b, b->fd, type, generation, NULL, 0, 0);
	return reply_on(b, b->fd);
}

#define STAGE(b, type, record)                                                        \
	do {                                                                          \
		typeof(record) stage_record = (record);                               \
		send_on(b, (b)->fd, type, 0, &stage_record, sizeof(stage_record), 1); \
	} while (0)

static void bench_open(struct bench *b, const struct tables_size *size)
{
	*b = (struct bench){ .folder = "/tmp/kaido-test-XXXXXX" };
	assert_non_null(mkdtemp(b->folder));
	snprintf(b->path, sizeof(b->path), "%s/sock", b->folder);
	b->f = fixture_create(size, 1);
	assert_int_equal(southbound_create(&b->f->gw, b->path, &b->s), 0);
	b->fd = client_connect(b);
	hello_on(b, b->fd);
}

static void bench_close(struct bench *b)
{
	close(b->fd);
	southbound_destroy(b->s);
	assert_int_not_equal(access(b->path, F_OK), 0);
	assert_int_equal(rmdir(b->folder), 0);
	fixture_destroy(b->f);
}

static void world_commit(struct bench *b)
{
	assert_int_equal(call(b, ABI_BEGIN, 7), 0);
	STAGE(b, ABI_ATTACHMENT_SET,
	      make_attachment(1, 0, "wan", 0, "192.0.2.1/24", "2001:db8::1/64"));
	STAGE(b, ABI_TENANT_SET, make_tenant(1));
	STAGE(b, ABI_ATTACHMENT_SET, make_attachment(2, 1, "lan", 5, "10.0.0.1/24", NULL));
	STAGE(b, ABI_TUNNEL_SET, make_tunnel(1, 1, "192.0.2.1", "198.51.100.7"));
	STAGE(b, ABI_SA_SET, make_sa_in(1, 1, 0x1001));
	STAGE(b, ABI_SA_SET, make_sa_out(2, 1, 0x2001));
	STAGE(b, ABI_ROUTE_SET, make_route_tunnel(1, "10.1.0.0/16", 1));
	STAGE(b, ABI_ROUTE_SET, make_route_gateway(1, "0.0.0.0/0", 2, "10.0.0.254"));
	STAGE(b, ABI_NEIGHBOUR_SET, make_neighbour(2, "10.0.0.9", 9));
	assert_int_equal(call(b, ABI_COMMIT, 0), 0);
	assert_int_equal(buffer.header.generation, 7);
}

/* Records of a dump, counted; the last message's are in `buffer`. */
static uint32_t dump(struct bench *b, uint32_t kind, uint32_t tenant)
{
	struct abi_dump what = { .kind = kind, .tenant = tenant };
	uint32_t n = 0;

	send_on(b, b->fd, ABI_DUMP, 0, &what, sizeof(what), 1);
	for (;;) {
		assert_true(receive_on(b, b->fd) > 0);
		assert_int_equal(buffer.header.request, b->request);
		if (buffer.header.type == ABI_DUMP_END)
			return n;
		assert_int_equal(buffer.header.type, ABI_DUMP_RECORDS);
		n += buffer.header.count;
	}
}

static void transaction_and_dumps(void **state)
{
	struct bench b;
	struct abi_dump sas = { .kind = ABI_DUMP_SA, .tenant = UINT32_MAX };
	struct abi_sa sa[2];

	bench_open(&b, NULL);
	world_commit(&b);
	assert_int_equal(b.f->gw.generation, 7);
	assert_int_equal(dump(&b, ABI_DUMP_TENANT, UINT32_MAX), 1);
	assert_int_equal(dump(&b, ABI_DUMP_ATTACHMENT, UINT32_MAX), 2);
	assert_int_equal(dump(&b, ABI_DUMP_TUNNEL, UINT32_MAX), 1);
	assert_int_equal(dump(&b, ABI_DUMP_ROUTE, UINT32_MAX), 2);
	assert_int_equal(dump(&b, ABI_DUMP_ROUTE, 0), 0);
	assert_int_equal(dump(&b, ABI_DUMP_NEIGHBOUR, 1), 2);
	assert_int_equal(dump(&b, ABI_DUMP_NEIGHBOUR, 0), 0);
	assert_int_equal(dump(&b, ABI_DUMP_PORT, 0), 2);
	assert_int_equal(dump(&b, ABI_DUMP_REASON, 0), DROP_COUNT);

	b.f->gw.tables->sa[2].out.sequence = 99;
	send_on(&b, b.fd, ABI_DUMP, 0, &sas, sizeof(sas), 1);
	assert_true(receive_on(&b, b.fd) > 0);
	assert_int_equal(buffer.header.count, 2);
	memcpy(sa, buffer.bytes + sizeof(buffer.header), sizeof(sa));
	assert_int_equal(sa[1].sequence, 99);
	assert_int_equal(sa[1].spi, htonl(0x2001));
	for (uint32_t i = 0; i < 2; i++) {
		static const struct abi_sa none;

		assert_memory_equal(sa[i].key, none.key, sizeof(none.key));
		assert_memory_equal(sa[i].salt, none.salt, sizeof(none.salt));
	}
	bench_close(&b);
}

static void failed_commit_names_its_record(void **state)
{
	struct digest before, after;
	struct abi_reply reply;
	struct bench b;

	bench_open(&b, NULL);
	world_commit(&b);
	before = digest_take(&b.f->gw);
	assert_int_equal(call(&b, ABI_BEGIN, 8), 0);
	STAGE(&b, ABI_TENANT_SET, make_tenant(2));
	STAGE(&b, ABI_TUNNEL_SET, make_tunnel(2, 2, "192.0.2.1", "198.51.100.8"));
	STAGE(&b, ABI_SA_SET, make_sa_in(3, 2, 0x1001));
	STAGE(&b, ABI_TENANT_SET, make_tenant(3));
	assert_int_equal(call(&b, ABI_COMMIT, 0), -EEXIST);
	memcpy(&reply, buffer.bytes + sizeof(buffer.header), sizeof(reply));
	assert_int_equal(reply.index, 2);
	assert_int_equal(buffer.header.generation, 7);
	/* Refused when it is staged: one answer, and the commit fails with it, too. */
	assert_int_equal(call(&b, ABI_BEGIN, 8), 0);
	STAGE(&b, ABI_TENANT_SET, make_tenant(2));
	STAGE(&b, ABI_TENANT_SET, make_tenant(0));
	assert_int_equal(reply_on(&b, b.fd), -EINVAL);
	memcpy(&reply, buffer.bytes + sizeof(buffer.header), sizeof(reply));
	assert_int_equal(reply.index, 1);
	STAGE(&b, ABI_TENANT_SET, make_tenant(3));
	assert_int_equal(call(&b, ABI_COMMIT, 0), -EINVAL);
	assert_int_equal(call(&b, ABI_COMMIT, 0), -EPROTO);
	after = digest_take(&b.f->gw);
	assert_digest_equal(&before, &after);
	digest_free(&before);
	digest_free(&after);
	bench_close(&b);
}

static void one_transaction_at_a_time(void **state)
{
	struct bench b;
	int other;

	bench_open(&b, NULL);
	other = client_connect(&b);
	hello_on(&b, other);
	assert_int_equal(call(&b, ABI_BEGIN, 1), 0);
	assert_int_equal(call(&b, ABI_BEGIN, 1), -EPROTO);
	send_on(&b, other, ABI_BEGIN, 2, NULL, 0, 0);
	assert_int_equal(reply_on(&b, other), -EBUSY);
	STAGE(&b, ABI_TENANT_SET, make_tenant(2));
	close(b.fd);
	send_on(&b, other, ABI_BEGIN, 2, NULL, 0, 0);
	assert_int_equal(reply_on(&b, other), 0);
	send_on(&b, other, ABI_COMMIT, 0, NULL, 0, 0);
	assert_int_equal(reply_on(&b, other), 0);
	assert_int_equal(b.f->gw.tenant[2].record.id, 0);
	b.fd = other;
	bench_close(&b);
}

static void too_many_clients_are_turned_away(void **state)
{
	struct bench b;
	int fd[12];

	bench_open(&b, NULL);
	for (uint32_t i = 0; i < 7; i++) {
		fd[i] = client_connect(&b);
		hello_on(&b, fd[i]);
	}
	fd[7] = client_connect(&b);
	assert_true(receive_on(&b, fd[7]) > 0);
	assert_int_equal(buffer.header.type, ABI_REPLY);
	assert_int_equal(receive_on(&b, fd[7]), 0);
	close(fd[0]);
	southbound_poll(b.s);
	fd[0] = client_connect(&b);
	hello_on(&b, fd[0]);
	for (uint32_t i = 0; i < 8; i++)
		close(fd[i]);
	assert_int_equal(call(&b, ABI_BEGIN, 1), 0);
	bench_close(&b);
}

/* Large dumps to a client that reads late: they wait, others are served, nothing is lost. */
static void slow_reader_gets_one_moment(void **state)
{
	static const struct tables_size size = {
		.max_tenants = 100000,
		.max_attachments = 16,
		.max_tunnels = 16,
		.max_sas = 16,
		.max_adjacencies = 256,
		.route_bytes = 64 << 20,
	};
	static struct abi_tenant tenants[4000];
	struct abi_dump what = { .kind = ABI_DUMP_TENANT, .tenant = UINT32_MAX };
	struct bench b;
	uint32_t n = 0;
	int other;

	bench_open(&b, &size);
	other = client_connect(&b);
	hello_on(&b, other);
	assert_int_equal(call(&b, ABI_BEGIN, 1), 0);
	for (uint32_t id = 1; id < size.max_tenants;) {
		uint32_t k = 0;

		for (; k < 4000 && id < size.max_tenants; k++, id++)
			tenants[k] = make_tenant(id);
		send_on(&b, b.fd, ABI_TENANT_SET, 0, tenants, sizeof(tenants[0]), k);
	}
	assert_int_equal(call(&b, ABI_COMMIT, 0), 0);
	for (uint32_t i = 0; i < 4; i++)
		send_on(&b, other, ABI_DUMP, 0, &what, sizeof(what), 1);
	for (uint32_t i = 0; i < 1000; i++)
		southbound_poll(b.s);
	/* Meanwhile the other one changes something. */
	assert_int_equal(call(&b, ABI_BEGIN, 2), 0);
	STAGE(&b, ABI_TENANT_DELETE, (struct abi_id){ .id = 99999 });
	assert_int_equal(call(&b, ABI_COMMIT, 0), 0);
	for (uint32_t ends = 0; ends < 4;) {
		assert_true(receive_on(&b, other) > 0);
		n += buffer.header.type == ABI_DUMP_RECORDS ? buffer.header.count : 0;
		ends += buffer.header.type == ABI_DUMP_END;
		if (ends == 1 && buffer.header.type == ABI_DUMP_END)
			assert_int_equal(n, 99999);
	}
	assert_true(n <= 4 * 99999 && n >= 4 * 99998);
	close(other);
	bench_close(&b);
}

static void counters_come_read_only(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { buffer.bytes, sizeof(buffer.bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct abi_counters_reply reply;
	const struct counters_header *h;
	struct bench b;
	int fd;

	bench_open(&b, NULL);
	send_on(&b, b.fd, ABI_COUNTERS, 0, NULL, 0, 0);
	southbound_poll(b.s);
	assert_int_equal(recvmsg(b.fd, &msg, 0), sizeof(struct abi_header) + sizeof(reply));
	memcpy(&reply, buffer.bytes + sizeof(buffer.header), sizeof(reply));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	assert_int_equal(reply.boot, b.f->gw.boot);
	h = mmap(NULL, reply.size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(h, MAP_FAILED);
	assert_int_equal(h->magic, COUNTERS_MAGIC);
	assert_ptr_equal(mmap(NULL, reply.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
			 MAP_FAILED);
	assert_int_equal(mprotect((void *)(uintptr_t)h, 4096, PROT_READ | PROT_WRITE), -1);
	munmap((void *)(uintptr_t)h, reply.size);
	close(fd);
	bench_close(&b);
}

static void trace_over_the_socket(void **state)
{
	struct abi_trace_start how = { .tenant = 1, .packets = 10, .every = 1 };
	struct bench b;

	bench_open(&b, NULL);
	send_on(&b, b.fd, ABI_TRACE_START, 0, &how, sizeof(how), 1);
	assert_int_equal(reply_on(&b, b.fd), 0);
	send_on(&b, b.fd, ABI_TRACE_READ, 0, NULL, 0, 0);
	assert_true(receive_on(&b, b.fd) > 0);
	assert_int_equal(buffer.header.type, ABI_TRACE_RECORDS);
	assert_int_equal(buffer.header.count, 0);
	how.every = 0;
	send_on(&b, b.fd, ABI_TRACE_START, 0, &how, sizeof(how), 1);
	assert_int_equal(reply_on(&b, b.fd), -EINVAL);
	how.every = 1;
	how.tenant = FIXTURE_TENANTS;
	send_on(&b, b.fd, ABI_TRACE_START, 0, &how, sizeof(how), 1);
	assert_int_equal(reply_on(&b, b.fd), -EINVAL);
	assert_int_equal(call(&b, ABI_TRACE_STOP, 0), 0);
	bench_close(&b);
}

static uint32_t events_on(struct bench *b, uint64_t after, uint64_t *first, uint64_t *last)
{
	struct abi_event_read what = { .after = after };
	const struct abi_event *event = (const struct abi_event *)(&buffer.header + 1);

	send_on(b, b->fd, ABI_EVENT_READ, 0, &what, sizeof(what), 1);
	assert_true(receive_on(b, b->fd) > 0);
	assert_int_equal(buffer.header.type, ABI_EVENTS);
	if (buffer.header.count != 0) {
		*first = event[0].number;
		*last = event[buffer.header.count - 1].number;
	}
	return buffer.header.count;
}

static void events_over_the_socket(void **state)
{
	const uint32_t most =
		(ABI_MESSAGE_MAX - sizeof(struct abi_header)) / sizeof(struct abi_event);
	uint64_t first = 0, last = 0;
	struct bench b;

	bench_open(&b, NULL);
	assert_int_equal(events_on(&b, 0, &first, &last), 0);
	for (uint32_t i = 0; i < most + 5; i++)
		event_raise(b.f->gw.events, &(struct abi_event){ .kind = ABI_EVENT_PATH_MTU });
	assert_int_equal(events_on(&b, 0, &first, &last), most);
	assert_int_equal(first, 1);
	assert_int_equal(events_on(&b, last, &first, &last), 5);
	assert_int_equal(first, most + 1);
	assert_int_equal(events_on(&b, last, &first, &last), 0);
	/* It has one record. */
	send_on(&b, b.fd, ABI_EVENT_READ, 0, NULL, 0, 0);
	assert_int_equal(reply_on(&b, b.fd), -EPROTO);
	bench_close(&b);
}

static void the_socket_file(void **state)
{
	struct southbound *second = NULL;
	struct stat st;
	struct bench b;
	int fd;

	bench_open(&b, NULL);
	assert_int_equal(stat(b.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* A live one is left alone. */
	assert_int_equal(southbound_create(&b.f->gw, b.path, &second), -EADDRINUSE);
	hello_on(&b, fd = client_connect(&b));
	close(fd);
	bench_close(&b);

	/* One that a killed process left is replaced; a file is not. */
	b = (struct bench){ .folder = "/tmp/kaido-test-XXXXXX" };
	assert_non_null(mkdtemp(b.folder));
	snprintf(b.path, sizeof(b.path), "%s/sock", b.folder);
	b.f = fixture_create(NULL, 1);
	fd = open(b.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(southbound_create(&b.f->gw, b.path, &second), -EEXIST);
	unlink(b.path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	{
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		memcpy(address.sun_path, b.path, strlen(b.path));
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	}
	close(fd);
	assert_int_equal(southbound_create(&b.f->gw, b.path, &b.s), 0);
	b.fd = client_connect(&b);
	hello_on(&b, b.fd);
	bench_close(&b);
}

/* ---- bad input ---- */

static uint32_t pick(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(*seed >> 8) * n >> 24);
}

static size_t good_message(uint32_t *seed, uint8_t *to)
{
	struct abi_tenant tenant = make_tenant(1 + pick(seed, 4));
	struct abi_attachment attachment =
		make_attachment(1 + pick(seed, 4), pick(seed, 2), "lan", 3, "10.8.0.1/16", NULL);
	struct abi_tunnel tunnel = make_tunnel(1 + pick(seed, 4), 1, "192.0.2.1", "192.0.2.9");
	struct abi_sa sa = make_sa_in(1 + pick(seed, 8), 1, 0x1000 + pick(seed, 8));
	struct abi_route route = make_route_tunnel(1, "10.9.0.0/16", 1);
	struct abi_neighbour neighbour = make_neighbour(2, "10.0.0.7", 3);
	struct abi_id id = { .id = 1 + pick(seed, 4) };
	struct abi_dump what = { .kind = pick(seed, 10), .tenant = UINT32_MAX };
	struct abi_trace_start how = { .tenant = 1, .packets = 1, .every = 1 };
	static const uint16_t bare[] = { ABI_BEGIN,      ABI_ABORT,      ABI_COUNTERS,
					 ABI_TRACE_STOP, ABI_TRACE_READ, ABI_HELLO };
	static const uint16_t deletes[] = { ABI_TENANT_DELETE, ABI_ATTACHMENT_DELETE,
					    ABI_TUNNEL_DELETE, ABI_SA_DELETE };

	switch (pick(seed, 10)) {
	case 0:
		return message_make(to, ABI_TENANT_SET, 1, 0, &tenant, sizeof(tenant), 1);
	case 1:
		return message_make(to, ABI_ATTACHMENT_SET, 1, 0, &attachment, sizeof(attachment),
				    1);
	case 2:
		return message_make(to, ABI_TUNNEL_SET, 1, 0, &tunnel, sizeof(tunnel), 1);
	case 3:
		return message_make(to, ABI_SA_SET, 1, 0, &sa, sizeof(sa), 1);
	case 4:
		return message_make(to, ABI_ROUTE_SET, 1, 0, &route, sizeof(route), 1);
	case 5:
		return message_make(to, ABI_NEIGHBOUR_SET, 1, 0, &neighbour, sizeof(neighbour), 1);
	case 6:
		return message_make(to, deletes[pick(seed, 4)], 1, 0, &id, sizeof(id), 1);
	case 7:
		return message_make(to, ABI_DUMP, 1, 0, &what, sizeof(what), 1);
	case 8:
		return message_make(to, ABI_TRACE_START, 1, 0, &how, sizeof(how), 1);
	default:
		return message_make(to, bare[pick(seed, 6)], 1, 5, NULL, 0, 0);
	}
}

static size_t spoil(uint32_t *seed, uint8_t *message, size_t size)
{
	switch (pick(seed, 6)) {
	case 0:
		message[pick(seed, (uint32_t)size)] = (uint8_t)pick(seed, 256);
		return size;
	case 1:
		message[pick(seed, (uint32_t)size)] ^= (uint8_t)(1u << pick(seed, 8));
		return size;
	case 2: /* shorter, and says so or not */
		size = 1 + pick(seed, (uint32_t)size);
		if (size >= sizeof(struct abi_header) && pick(seed, 2))
			memcpy(message + 8, &(uint32_t){ (uint32_t)size }, 4);
		return size;
	case 3: /* longer */
		memset(message + size, (int)pick(seed, 256), 64);
		size += 1 + pick(seed, 64);
		if (pick(seed, 2))
			memcpy(message + 8, &(uint32_t){ (uint32_t)size }, 4);
		return size;
	case 4: /* counts */
		memcpy(message + 12, &(uint32_t){ pick(seed, 2) ? 0xffffffff : pick(seed, 9) }, 4);
		return size;
	default:
		for (size_t i = 0; i < size; i++)
			if (pick(seed, 8) == 0)
				message[i] = (uint8_t)pick(seed, 256);
		return size;
	}
}

#define FUZZ_MESSAGES 100000

static void spoilt_messages_change_nothing(void **state)
{
	static uint8_t message[ABI_MESSAGE_MAX];
	struct digest before, after;
	uint32_t seed = 3, answers = 0, ended = 0;
	struct bench b;

	bench_open(&b, NULL);
	world_commit(&b);
	before = digest_take(&b.f->gw);
	for (uint32_t i = 0; i < FUZZ_MESSAGES; i++) {
		size_t size = good_message(&seed, message);
		uint16_t type;
		ssize_t n;

		size = spoil(&seed, message, size);
		memcpy(&type, message + 6, sizeof(type));
		if (size >= 8 && type == ABI_COMMIT)
			continue; /* the one thing that may change something */
		if (send(b.fd, message, size, 0) < 0)
			assert_true(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
		southbound_poll(b.s);
		while ((n = recv(b.fd, buffer.bytes, sizeof(buffer.bytes), 0)) > 0)
			answers++;
		if (n == 0 || errno == ECONNRESET) {
			close(b.fd);
			b.fd = client_connect(&b);
			hello_on(&b, b.fd);
			ended++;
		}
	}
	after = digest_take(&b.f->gw);
	assert_digest_equal(&before, &after);
	assert_true(answers > FUZZ_MESSAGES / 10);
	assert_true(ended > 0);
	digest_free(&before);
	digest_free(&after);
	bench_close(&b);
}

/* Too long for a message; too much for a transaction. */
static void sizes_are_bounded(void **state)
{
	static struct abi_neighbour many[1800];
	struct bench b;
	uint32_t sent = 0;
	ssize_t n;

	bench_open(&b, NULL);
	world_commit(&b);
	memset(buffer.bytes, 0, sizeof(buffer.bytes));
	message_make(buffer.bytes, ABI_TENANT_SET, ++b.request, 0, NULL, 0, 0);
	buffer.header.length = ABI_MESSAGE_MAX + 16;
	assert_int_equal(send(b.fd, buffer.bytes, ABI_MESSAGE_MAX + 16, 0), ABI_MESSAGE_MAX + 16);
	assert_int_equal(reply_on(&b, b.fd), -EPROTO);

	for (uint32_t i = 0; i < 1800; i++)
		many[i] = make_neighbour(2, "10.0.0.7", 3);
	assert_int_equal(call(&b, ABI_BEGIN, 9), 0);
	do {
		send_on(&b, b.fd, ABI_NEIGHBOUR_SET, 0, many, sizeof(many[0]), 1800);
		n = recv(b.fd, buffer.bytes, sizeof(buffer.bytes), 0);
		sent++;
	} while (n < 0 && sent < 2000);
	assert_true(n > 0);
	assert_true(sent > 500 && sent < 1100);
	assert_int_equal(call(&b, ABI_COMMIT, 0), -ENOMEM);
	assert_int_equal(call(&b, ABI_BEGIN, 9), 0);
	bench_close(&b);
}

/* ---- secrets ---- */

/* How often `key` (given inverted, so as not to find itself) is in memory that isn't locked. */
static uint32_t key_copies(const uint8_t inverted[16])
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from = 0, to = 0, a, z;
	static uint8_t page[1 << 20];
	uint32_t found = 0;
	char line[512], rights[8];

	assert_non_null(maps);
	assert_true(memory >= 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &a, &z, rights) == 3) {
			/* A sanitizer's shadow of terabytes is no place to search. */
			from = rights[1] == 'w' && z - a < 1ul << 30 ? a : 0;
			to = z;
		}
		/* The last line of a mapping; "lo": locked. */
		if (strncmp(line, "VmFlags:", 8) != 0 || from == 0 || strstr(line, " lo") != NULL)
			continue;
		for (unsigned long at = from; at < to; at += sizeof(page) - 16) {
			size_t want = to - at < sizeof(page) ? to - at : sizeof(page);
			ssize_t n = pread(memory, page, want, (off_t)at);

			for (ssize_t i = 0; i + 16 <= n; i++) {
				uint32_t k = 0;

				while (k < 16 && (page[i + k] ^ inverted[k]) == 0xff)
					k++;
				/* Not the copy that is being searched. */
				if (k == 16 &&
				    (at + (unsigned long)i < (unsigned long)page ||
				     at + (unsigned long)i >= (unsigned long)page + sizeof(page)))
					found++;
			}
		}
		explicit_bzero(page, sizeof(page));
		from = 0;
	}
	fclose(maps);
	close(memory);
	return found;
}

static void keys_stay_in_locked_memory(void **state)
{
#ifdef SANITIZED
	skip(); /* a sanitizer makes mlock() do nothing */
#endif
	uint8_t inverted[16];
	struct abi_sa *sa = secret_alloc(sizeof(*sa));
	uint8_t *message = secret_alloc(4096);
	struct bench b;
	size_t n;

	bench_open(&b, NULL);
	world_commit(&b);
	for (uint32_t i = 0; i < 16; i++)
		inverted[i] = (uint8_t)(i * 37 + 11);
	assert_int_equal(key_copies(inverted), 0);
	for (uint32_t round = 0; round < 3; round++) {
		assert_int_equal(call(&b, ABI_BEGIN, 8 + round), 0);
		*sa = make_sa_out(20, 1, 0x7777);
		sa->cookie = 0x1000;
		for (uint32_t i = 0; i < 16; i++)
			sa->key[i] = (uint8_t)~inverted[i];
		n = message_make(message, ABI_SA_SET, ++b.request, 0, sa, sizeof(*sa), 1);
		assert_int_equal(send(b.fd, message, n, 0), n);
		southbound_poll(b.s);
		assert_int_equal(key_copies(inverted), 0); /* staged */
		if (round == 0) {
			assert_int_equal(call(&b, ABI_ABORT, 0), 0);
		} else if (round == 1) {
			STAGE(&b, ABI_TENANT_DELETE, (struct abi_id){ .id = 9 });
			assert_int_equal(call(&b, ABI_COMMIT, 0), -ENOENT);
		} else {
			assert_int_equal(call(&b, ABI_COMMIT, 0), 0);
		}
		assert_int_equal(key_copies(inverted), 0);
	}
	assert_int_equal(b.f->gw.tables->tunnel[1].sa_out, 20);
	secret_free(sa, sizeof(*sa));
	secret_free(message, 4096);
	bench_close(&b);
}

/* ---- how many ---- */

#define MANY 100000

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Half inbound, half outbound, 100 to a tunnel; all in one transaction, and deleted in one. */
static void a_hundred_thousand_sas(void **state)
{
	static const struct tables_size size = {
		.max_tenants = 16,
		.max_attachments = 16,
		.max_tunnels = MANY / 100 + 1,
		.max_sas = MANY + 1,
		.max_adjacencies = 4096,
		.route_bytes = 64 << 20,
	};
	static struct abi_sa sas[500];
	static struct abi_id ids[5000];
	struct bench b;
	double start, committed;

	bench_open(&b, &size);
	assert_int_equal(call(&b, ABI_BEGIN, 1), 0);
	STAGE(&b, ABI_ATTACHMENT_SET, make_attachment(1, 0, "wan", 0, "192.0.2.1/24", NULL));
	STAGE(&b, ABI_NEIGHBOUR_SET, make_neighbour(1, "192.0.2.254", 1));
	STAGE(&b, ABI_ROUTE_SET, make_route_gateway(0, "0.0.0.0/0", 1, "192.0.2.254"));
	STAGE(&b, ABI_TENANT_SET, make_tenant(1));
	for (uint32_t id = 1; id < size.max_tunnels; id++)
		STAGE(&b, ABI_TUNNEL_SET, make_tunnel(id, 1, "192.0.2.1", "198.51.100.7"));
	assert_int_equal(call(&b, ABI_COMMIT, 0), 0);

	start = seconds();
	assert_int_equal(call(&b, ABI_BEGIN, 2), 0);
	for (uint32_t id = 1; id <= MANY;) {
		uint32_t n = 0;

		for (; n < 500 && id <= MANY; n++, id++)
			sas[n] = id & 1 ? make_sa_in(id, 1 + (id - 1) / 100, 0x1000 + id)
					: make_sa_out(id, 1 + (id - 1) / 100, 0x1000 + id);
		send_on(&b, b.fd, ABI_SA_SET, 0, sas, sizeof(sas[0]), n);
	}
	committed = seconds();
	assert_int_equal(call(&b, ABI_COMMIT, 0), 0);
	print_message("%u SAs installed at %.0f/s (staged in %.0f ms, committed in %.0f ms)\n",
		      MANY, MANY / (seconds() - start), (committed - start) * 1e3,
		      (seconds() - committed) * 1e3);
	assert_int_equal(dump(&b, ABI_DUMP_SA, UINT32_MAX), MANY);
	assert_int_equal(sad_lookup(b.f->gw.tables->sad, htonl(0x1000 + MANY - 1)), MANY - 1);

	start = seconds();
	assert_int_equal(call(&b, ABI_BEGIN, 3), 0);
	for (uint32_t id = 1; id <= MANY;) {
		uint32_t n = 0;

		for (; n < 5000 && id <= MANY; n++, id++)
			ids[n] = (struct abi_id){ .id = id };
		send_on(&b, b.fd, ABI_SA_DELETE, 0, ids, sizeof(ids[0]), n);
	}
	assert_int_equal(call(&b, ABI_COMMIT, 0), 0);
	print_message("%u SAs deleted at %.0f/s\n", MANY, MANY / (seconds() - start));
	assert_int_equal(dump(&b, ABI_DUMP_SA, UINT32_MAX), 0);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transaction_and_dumps),
		cmocka_unit_test(failed_commit_names_its_record),
		cmocka_unit_test(one_transaction_at_a_time),
		cmocka_unit_test(too_many_clients_are_turned_away),
		cmocka_unit_test(slow_reader_gets_one_moment),
		cmocka_unit_test(counters_come_read_only),
		cmocka_unit_test(trace_over_the_socket),
		cmocka_unit_test(events_over_the_socket),
		cmocka_unit_test(the_socket_file),
		cmocka_unit_test(spoilt_messages_change_nothing),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(keys_stay_in_locked_memory),
		cmocka_unit_test(a_hundred_thousand_sas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
