/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steering program by BPF_PROG_TEST_RUN: a packet of every kind, what becomes of it and what it
 * is counted as. Runs in a network namespace of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>

#include "xdp/steer_clear.h"
#include "xdp/steer_stats.h"

#define FRAME_MAX 512
#define SKIPPED   77

struct fixture {
	struct bpf_object *object;
	int program;
	int sockets;
	int counts;
};

/* A packet under construction. */
struct frame {
	uint8_t bytes[FRAME_MAX];
	uint32_t len;
};

static void put(struct frame *f, const void *bytes, uint32_t len)
{
	assert_true(f->len + len <= FRAME_MAX);
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static void put8(struct frame *f, uint8_t v)
{
	put(f, &v, 1);
}

static void put16(struct frame *f, uint16_t v)
{
	put8(f, (uint8_t)(v >> 8));
	put8(f, (uint8_t)v);
}

static void put32(struct frame *f, uint32_t v)
{
	put16(f, (uint16_t)(v >> 16));
	put16(f, (uint16_t)v);
}

static void put_zeros(struct frame *f, uint32_t n)
{
	while (n--)
		put8(f, 0);
}

/* Ethernet with up to three tags, outermost first; a tag type of 0 ends them. */
static struct frame ethernet(uint16_t tag1, uint16_t tag2, uint16_t tag3, uint16_t type)
{
	const uint16_t tags[] = { tag1, tag2, tag3 };
	struct frame f = { .len = 0 };

	put_zeros(&f, 12);
	for (int i = 0; i < 3 && tags[i]; i++) {
		put16(&f, tags[i]);
		put16(&f, (uint16_t)(100 + i));
	}
	put16(&f, type);
	return f;
}

static struct frame plain(uint16_t type)
{
	return ethernet(0, 0, 0, type);
}

static void put_ipv4(struct frame *f, uint8_t protocol, uint16_t fragment, uint8_t words)
{
	put8(f, 0x40 | words);
	put8(f, 0);
	put16(f, 200);
	put16(f, 7);
	put16(f, fragment);
	put8(f, 64);
	put8(f, protocol);
	put_zeros(f, 2 + 8);
	for (int i = 5; i < words; i++)
		put32(f, 0x01010101);
}

static void put_ipv6(struct frame *f, uint8_t next)
{
	put32(f, 0x60000000);
	put16(f, 200);
	put8(f, next);
	put8(f, 64);
	put_zeros(f, 32);
}

static void put_udp(struct frame *f, uint16_t source, uint16_t port, uint16_t payload)
{
	put16(f, source);
	put16(f, port);
	put16(f, (uint16_t)(8 + payload));
	put16(f, 0);
}

static void put_esp(struct frame *f)
{
	put32(f, 0x1001);
	put32(f, 1);
	put_zeros(f, 32);
}

static uint64_t count_of(const struct fixture *fx, enum xdp_class class)
{
	int cpus = libbpf_num_possible_cpus();
	struct steer_counts *values;
	uint32_t zero = 0;
	uint64_t sum = 0;

	assert_true(cpus > 0);
	values = calloc((size_t)cpus, sizeof(*values));
	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(fx->counts, &zero, values), 0);
	for (int i = 0; i < cpus; i++)
		sum += values[i].packets[class];
	free(values);
	return sum;
}

static uint64_t count_all(const struct fixture *fx)
{
	uint64_t sum = 0;

	for (int i = 0; i < XDP_CLASSES; i++)
		sum += count_of(fx, (enum xdp_class)i);
	return sum;
}

/* The program's verdict on a frame that came in on a queue of lo. */
static uint32_t run(const struct fixture *fx, const struct frame *f)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->bytes, .data_size_in = f->len,
		    .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(fx->program, &opts), 0);
	return opts.retval;
}

static void expect(const struct fixture *fx, const struct frame *f, enum xdp_class class)
{
	uint64_t before = count_of(fx, class), all = count_all(fx);
	uint32_t want = class <= XDP_CLASS_TO_SOCKET ? XDP_REDIRECT : XDP_PASS;

	assert_int_equal(run(fx, f), want);
	assert_int_equal(count_of(fx, class), before + 1);
	assert_int_equal(count_all(fx), all + 1);
}

/* An AF_XDP socket that a map takes, bound to a queue where a device is given. */
static int xsk_open(unsigned int ifindex)
{
	struct xdp_umem_reg reg = { .len = 8192, .chunk_size = 4096 };
	struct sockaddr_xdp addr = { .sxdp_family = AF_XDP,
				     .sxdp_flags = XDP_COPY,
				     .sxdp_ifindex = ifindex };
	uint32_t ring = 2;
	void *umem;
	int fd, ret = -1;

	umem = mmap(NULL, reg.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(umem != MAP_FAILED);
	reg.addr = (uintptr_t)umem;
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &ring, sizeof(ring)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &ring, sizeof(ring)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_RX_RING, &ring, sizeof(ring)), 0);
	/* A socket closed before holds its queue until the kernel gets to it. */
	for (int i = 0; i < 1000; i++) {
		ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
		if (!ret || errno != EBUSY)
			break;
		usleep(10000);
	}
	assert_int_equal(ret, 0);
	munmap(umem, reg.len); /* the kernel holds the pages */
	return fd;
}

/* A socket on queue 0 of lo, where the test's packets come in. */
static int socket_attach(const struct fixture *fx)
{
	uint32_t queue = 0;
	int fd = xsk_open(if_nametoindex("lo"));

	assert_int_equal(bpf_map_update_elem(fx->sockets, &queue, &fd, 0), 0);
	return fd;
}

static void esp_goes_to_the_socket(void **state)
{
	const struct fixture *fx = *state;
	const uint16_t tags[][2] = {
		{ 0, 0 }, { 0x8100, 0 }, { 0x88a8, 0 }, { 0x88a8, 0x8100 }, { 0x8100, 0x8100 }
	};
	int fd = socket_attach(fx);

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		struct frame f = ethernet(tags[i][0], tags[i][1], 0, 0x0800);

		put_ipv4(&f, 50, 0x4000, 5);
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_ESP);

		f = ethernet(tags[i][0], tags[i][1], 0, 0x0800);
		put_ipv4(&f, 17, 0, 15);
		put_udp(&f, 61000, 4500, 40);
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_ESP_UDP);

		f = ethernet(tags[i][0], tags[i][1], 0, 0x86dd);
		put_ipv6(&f, 50);
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_ESP);

		f = ethernet(tags[i][0], tags[i][1], 0, 0x86dd);
		put_ipv6(&f, 17);
		put_udp(&f, 4500, 4500, 40);
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_ESP_UDP);
	}
	close(fd);
}

static void without_a_socket_the_kernel_gets_it(void **state)
{
	const struct fixture *fx = *state;
	struct frame f = plain(0x0800);

	put_ipv4(&f, 50, 0, 5);
	put_esp(&f);
	expect(fx, &f, XDP_CLASS_NO_SOCKET);
}

static void host_keeps_its_own(void **state)
{
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);
	struct frame f;

	f = plain(0x0806);
	put_zeros(&f, 28);
	expect(fx, &f, XDP_CLASS_ARP);

	for (int type = 128; type <= 140; type++) {
		f = plain(0x86dd);
		put_ipv6(&f, 58);
		put8(&f, (uint8_t)type);
		put_zeros(&f, 23);
		expect(fx, &f, type >= 133 && type <= 137 ? XDP_CLASS_ND : XDP_CLASS_ICMP);
	}

	f = plain(0x0800);
	put_ipv4(&f, 1, 0, 5);
	put_zeros(&f, 40);
	expect(fx, &f, XDP_CLASS_ICMP);

	f = plain(0x0800);
	put_ipv4(&f, 6, 0, 5);
	put_zeros(&f, 40);
	expect(fx, &f, XDP_CLASS_OTHER);

	f = plain(0x0800);
	put_ipv4(&f, 51, 0, 5); /* AH is nobody's here */
	put_zeros(&f, 40);
	expect(fx, &f, XDP_CLASS_OTHER);

	f = plain(0x0800);
	put_ipv4(&f, 17, 0, 5);
	put_udp(&f, 4500, 53, 40); /* a source port does not count */
	put_esp(&f);
	expect(fx, &f, XDP_CLASS_OTHER);

	f = plain(0x88cc);
	put_zeros(&f, 60);
	expect(fx, &f, XDP_CLASS_OTHER);

	f = ethernet(0x88a8, 0x8100, 0x8100, 0x0800); /* one tag too many */
	put_ipv4(&f, 50, 0, 5);
	put_esp(&f);
	expect(fx, &f, XDP_CLASS_OTHER);
	close(fd);
}

static void put_family(struct frame *f, bool ipv6)
{
	*f = plain(ipv6 ? 0x86dd : 0x0800);
	if (ipv6)
		put_ipv6(f, 17);
	else
		put_ipv4(f, 17, 0, 5);
}

static void keepalives_go_to_the_socket(void **state)
{
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);
	struct frame f;

	for (int ipv6 = 0; ipv6 <= 1; ipv6++) {
		for (uint32_t source = 1; source < 65536; source += 7281) {
			put_family(&f, ipv6);
			put_udp(&f, (uint16_t)source, 4500, 1);
			put8(&f, 0xff);
			expect(fx, &f, XDP_CLASS_KEEPALIVE);
			put_zeros(&f, 17); /* padded to the shortest frame */
			expect(fx, &f, XDP_CLASS_KEEPALIVE);
		}
		put_family(&f, ipv6);
		put_udp(&f, 4500, 500, 1);
		put8(&f, 0xff);
		expect(fx, &f, XDP_CLASS_IKE);
		put_family(&f, ipv6);
		put_udp(&f, 4500, 4501, 1);
		put8(&f, 0xff);
		expect(fx, &f, XDP_CLASS_OTHER);
	}
	close(fd);
}

static void ike_stays_with_charon(void **state)
{
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);
	struct frame f;

	for (int ipv6 = 0; ipv6 <= 1; ipv6++) {
		put_family(&f, ipv6);
		put_udp(&f, 500, 500, 40);
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_IKE);

		put_family(&f, ipv6);
		put_udp(&f, 4500, 4500, 44);
		put32(&f, 0); /* the non-ESP marker */
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_IKE);

		put_family(&f, ipv6);
		put_udp(&f, 4500, 4500, 1);
		put8(&f, 0xfe);
		put_zeros(&f, 17);
		expect(fx, &f, XDP_CLASS_MALFORMED);

		for (uint16_t len = 0; len < 4; len++) { /* too short to hold an SPI */
			put_family(&f, ipv6);
			put_udp(&f, 4500, 4500, len);
			put32(&f, 0x1001);
			put_zeros(&f, 17);
			expect(fx, &f, XDP_CLASS_MALFORMED);
		}
	}
	close(fd);
}

static void fragments(void **state)
{
	/* More-fragments, the last one, one in the middle, one with the reserved bit. */
	const uint16_t offsets[] = { 0x2000, 0x0001, 0x1fff, 0x2100, 0x8001 };
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);
	struct frame f;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		f = plain(0x0800);
		put_ipv4(&f, 50, offsets[i], 5);
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_ESP_FRAGMENT);

		/* What looks like ESP in UDP in a later piece is payload. */
		f = plain(0x0800);
		put_ipv4(&f, 17, offsets[i] | 1, 5);
		put_udp(&f, 4500, 4500, 40);
		put_esp(&f);
		expect(fx, &f, XDP_CLASS_FRAGMENT);
	}

	for (int more = 0; more <= 1; more++) {
		for (int last = 1; last >= 0; last--) {
			const uint8_t next[] = { 50, 17 };
			const enum xdp_class class[2][2] = {
				{ XDP_CLASS_ESP, XDP_CLASS_ESP_UDP }, /* atomic, RFC 6946 */
				{ XDP_CLASS_ESP_FRAGMENT,
				  last ? XDP_CLASS_FRAGMENT : XDP_CLASS_ESP_FRAGMENT },
			};

			for (int i = 0; i < 2; i++) {
				f = plain(0x86dd);
				put_ipv6(&f, 44);
				put8(&f, next[i]);
				put8(&f, 0);
				put16(&f, (uint16_t)(more | last << 3));
				put32(&f, (uint32_t)(9 + more + 2 * last));
				if (next[i] == 17)
					put_udp(&f, 4500, 4500, 40);
				put_esp(&f);
				expect(fx, &f, class[more || last][i]);
			}
		}
	}
	close(fd);
}

/* A piece of a UDP packet to `port`, with `marker` behind the UDP header in the first one. */
static struct frame udp_piece(bool v6, uint32_t id, bool first, bool more, uint16_t port,
			      uint32_t marker)
{
	struct frame f = plain(v6 ? 0x86dd : 0x0800);

	if (v6) {
		put_ipv6(&f, 44);
		put8(&f, 17);
		put8(&f, 0);
		put16(&f, (uint16_t)((first ? 0 : 64) | more));
		put32(&f, id);
	} else {
		put_ipv4(&f, 17, (uint16_t)((first ? 0 : 8) | more << 13), 5);
		f.bytes[14 + 4] = (uint8_t)(id >> 8);
		f.bytes[14 + 5] = (uint8_t)id;
	}
	if (first) {
		put_udp(&f, 4500, port, 1000);
		put32(&f, marker);
	}
	put_zeros(&f, 64);
	return f;
}

/* The first piece says what those behind it are; each packet by itself. */
static void udp_fragments(void **state)
{
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);

	for (int v6 = 0; v6 <= 1; v6++) {
		const struct {
			uint32_t id;
			bool first;
			bool more;
			uint16_t port;
			uint32_t marker;
			enum xdp_class class;
		} steps[] = {
			{ 99, false, true, 0, 0, XDP_CLASS_FRAGMENT }, /* before the first */
			{ 99, true, true, 4500, 0x1001, XDP_CLASS_FRAGMENT },
			{ 99, false, false, 0, 0, XDP_CLASS_FRAGMENT },
			{ 100, true, true, 4500, 0x1001, XDP_CLASS_ESP_FRAGMENT },
			{ 100, false, true, 0, 0, XDP_CLASS_ESP_FRAGMENT },
			{ 100, false, false, 0, 0, XDP_CLASS_ESP_FRAGMENT },
			{ 101, false, false, 0, 0, XDP_CLASS_FRAGMENT },
			{ 101, true, true, 500, 0x1001, XDP_CLASS_FRAGMENT },
			{ 101, false, false, 0, 0, XDP_CLASS_FRAGMENT },
			{ 102, true, true, 4500, 0, XDP_CLASS_FRAGMENT }, /* IKE's marker */
			{ 102, false, false, 0, 0, XDP_CLASS_FRAGMENT },
			/* The identification is used again, by something else. */
			{ 100, true, true, 4500, 0, XDP_CLASS_FRAGMENT },
			{ 100, false, false, 0, 0, XDP_CLASS_FRAGMENT },
		};

		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			struct frame f = udp_piece(v6, steps[i].id, steps[i].first, steps[i].more,
						   steps[i].port, steps[i].marker);

			expect(fx, &f, steps[i].class);
		}
	}
	close(fd);
}

/* The same of another sender, or to another address, is another packet's. */
static void udp_fragments_have_addresses(void **state)
{
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);

	for (int v6 = 0; v6 <= 1; v6++) {
		const uint32_t at[] = { v6 ? 14u + 8 : 14u + 12, v6 ? 14u + 39 : 14u + 19 };
		struct frame f = udp_piece(v6, 200, true, true, 4500, 0x1001);

		expect(fx, &f, XDP_CLASS_ESP_FRAGMENT);
		for (int i = 0; i < 2; i++) {
			f = udp_piece(v6, 200, false, false, 0, 0);
			f.bytes[at[i]] ^= 1;
			expect(fx, &f, XDP_CLASS_FRAGMENT);
		}
		f = udp_piece(v6, 200, false, false, 0, 0);
		expect(fx, &f, XDP_CLASS_ESP_FRAGMENT);
	}
	close(fd);
}

/* A chain of extension headers, each `units` times 8 bytes longer than the shortest. */
static void put_extensions(struct frame *f, int count, uint8_t units, uint8_t last)
{
	const uint8_t kinds[] = { 0, 60, 43, 60, 60, 60, 60 };

	put_ipv6(f, count ? kinds[0] : last);
	for (int i = 0; i < count; i++) {
		put8(f, i + 1 < count ? kinds[i + 1] : last);
		put8(f, units);
		put_zeros(f, 6 + units * 8u);
	}
}

static void ipv6_extension_headers(void **state)
{
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);
	struct frame f;

	for (int count = 0; count <= 7; count++) {
		for (uint8_t units = 0; units <= 4; units += 2) {
			f = plain(0x86dd);
			put_extensions(&f, count, units, 50);
			put_esp(&f);
			expect(fx, &f, count <= 6 ? XDP_CLASS_ESP : XDP_CLASS_OTHER);

			f = plain(0x86dd);
			put_extensions(&f, count, units, 17);
			put_udp(&f, 4500, 4500, 40);
			put_esp(&f);
			expect(fx, &f, count <= 6 ? XDP_CLASS_ESP_UDP : XDP_CLASS_OTHER);
		}
	}

	f = plain(0x86dd); /* one that says it is longer than the packet */
	put_ipv6(&f, 60);
	put8(&f, 17);
	put8(&f, 255);
	put_zeros(&f, 60);
	expect(fx, &f, XDP_CLASS_MALFORMED);
	close(fd);
}

/* Whatever is cut off, nothing short of its headers is taken for ESP in UDP or for IKE. */
static void cut_short(void **state)
{
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);
	struct frame whole, f;

	whole = ethernet(0x88a8, 0x8100, 0, 0x0800);
	put_ipv4(&whole, 17, 0, 6);
	put_udp(&whole, 4500, 4500, 40);
	put_esp(&whole);
	for (f = whole, f.len = 14; f.len < 22 + 24 + 8 + 4; f.len++)
		expect(fx, &f, XDP_CLASS_MALFORMED);
	expect(fx, &f, XDP_CLASS_ESP_UDP);

	whole = plain(0x86dd);
	put_ipv6(&whole, 0);
	put8(&whole, 44);
	put_zeros(&whole, 7);
	put8(&whole, 58);
	put_zeros(&whole, 7);
	put8(&whole, 135);
	for (f = whole, f.len = 14; f.len < 14 + 40 + 8 + 8 + 1; f.len++)
		expect(fx, &f, XDP_CLASS_MALFORMED);
	expect(fx, &f, XDP_CLASS_ND);

	f = plain(0x0800);
	put_ipv4(&f, 50, 0, 5);
	f.bytes[14] = 0x44; /* a header of four words */
	expect(fx, &f, XDP_CLASS_MALFORMED);
	f.bytes[14] = 0x65; /* the other version */
	expect(fx, &f, XDP_CLASS_MALFORMED);
	f = plain(0x86dd);
	put_ipv6(&f, 50);
	f.bytes[14] = 0x40;
	expect(fx, &f, XDP_CLASS_MALFORMED);
	close(fd);
}

/* Never anything but PASS and REDIRECT, and each packet counted once. */
static void random_bytes(void **state)
{
	const uint16_t types[] = { 0x0800, 0x86dd, 0x8100, 0x88a8 };
	const struct fixture *fx = *state;
	int fd = socket_attach(fx);
	unsigned int seed = 1;
	uint64_t before = count_all(fx);
	uint32_t packets = 20000;

	for (uint32_t i = 0; i < packets; i++) {
		struct frame f = plain(types[i % 4]);
		uint32_t verdict, len = 14 + (uint32_t)rand_r(&seed) % 120;

		while (f.len < len)
			put8(&f, (uint8_t)rand_r(&seed));
		if (len > 24) {
			f.bytes[14] = i % 4 == 0 ? 0x45 : 0x60;
			f.bytes[i % 4 == 0 ? 23 : 20] = (uint8_t)(i % 61);
		}
		verdict = run(fx, &f);
		assert_true(verdict == XDP_PASS || verdict == XDP_REDIRECT);
	}
	assert_int_equal(count_all(fx), before + packets);
	close(fd);
}

static void readers_without_a_program(void **state)
{
	struct steer *steer;

	assert_int_equal(steer_open("nosuchdev0", &steer), -ENODEV);
	assert_int_equal(steer_open("lo", &steer), -ENOENT);
	assert_int_equal(steer_clear("nosuchdev0"), -ENODEV);
	assert_int_equal(steer_clear("lo"), 0);
	steer_close(NULL);
}

/* In a child without any capability: what was opened can still be read. */
static int read_unprivileged(struct steer *steer, uint64_t counts[XDP_CLASSES])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	int status, pid;

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (syscall(SYS_capset, &head, none) || steer_read(steer, counts))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void counters_by_device(void **state)
{
	const struct fixture *fx = *state;
	unsigned int lo = if_nametoindex("lo");
	uint64_t counts[XDP_CLASSES], after[XDP_CLASSES];
	struct steer *steer;
	struct frame f;

	assert_int_equal(bpf_xdp_attach((int)lo, fx->program, XDP_FLAGS_UPDATE_IF_NOEXIST, NULL),
			 0);
	assert_int_equal(steer_open("lo", &steer), 0);
	assert_int_equal(steer_read(steer, counts), 0);
	for (int i = 0; i < XDP_CLASSES; i++)
		assert_int_equal(counts[i], count_of(fx, (enum xdp_class)i));

	f = plain(0x0806);
	put_zeros(&f, 28);
	run(fx, &f);
	run(fx, &f);
	assert_int_equal(steer_read(steer, after), 0);
	for (int i = 0; i < XDP_CLASSES; i++)
		assert_int_equal(after[i], counts[i] + (i == XDP_CLASS_ARP ? 2 : 0));

	assert_int_equal(read_unprivileged(steer, counts), 0);
	steer_close(steer);
	assert_int_equal(bpf_xdp_detach((int)lo, 0, NULL), 0);
}

static void clears_what_was_left_behind(void **state)
{
	const struct fixture *fx = *state;
	unsigned int lo = if_nametoindex("lo");
	uint32_t id;
	int fd;

	assert_int_equal(bpf_xdp_attach((int)lo, fx->program, 0, NULL), 0);
	fd = xsk_open(lo);
	assert_int_equal(steer_clear("lo"), -EBUSY);
	assert_int_equal(steer_attached(lo, &id), 0);
	close(fd);
	assert_int_equal(steer_clear("lo"), 0);
	assert_int_equal(steer_attached(lo, &id), -ENOENT);
}

static void leaves_a_foreign_program_alone(void **state)
{
	/* r0 = XDP_PASS; exit */
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	unsigned int lo = if_nametoindex("lo");
	struct steer *steer;
	uint32_t id;
	int fd;

	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "BSD", pass, 2, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_xdp_attach((int)lo, fd, 0, NULL), 0);
	assert_int_equal(steer_open("lo", &steer), -EEXIST);
	assert_int_equal(steer_clear("lo"), -EEXIST);
	assert_int_equal(steer_attached(lo, &id), -EEXIST);
	assert_int_equal(bpf_xdp_detach((int)lo, 0, NULL), 0);
	close(fd);
}

/* A tenant's port: all there is to the socket, and nothing to the host, which is not its owner. */
static void takes_everything(void **state)
{
	struct bpf_object *object = bpf_object__open_file(getenv("TAKE_OBJECT"), NULL);
	const uint16_t types[] = { 0x0800, 0x86dd, 0x0806, 0x8100, 0x88cc };
	unsigned int lo = if_nametoindex("lo");
	uint32_t zero = 0, id;
	struct fixture take;
	struct steer *steer;
	int fd;

	assert_non_null(object);
	assert_int_equal(bpf_object__load(object), 0);
	take.program = bpf_program__fd(bpf_object__next_program(object, NULL));
	take.sockets = bpf_object__find_map_fd_by_name(object, STEER_MAP_SOCKETS);
	for (int with_socket = 0; with_socket < 2; with_socket++) {
		fd = xsk_open(lo);
		if (with_socket)
			assert_int_equal(bpf_map_update_elem(take.sockets, &zero, &fd, BPF_ANY), 0);
		for (uint32_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			struct frame f = plain(types[i]);

			put_zeros(&f, 46);
			assert_int_equal(run(&take, &f), with_socket ? XDP_REDIRECT : XDP_DROP);
		}
		close(fd);
	}
	/* It is ours, so it is taken off where it was left behind; it has no counters. */
	assert_int_equal(bpf_xdp_attach((int)lo, take.program, 0, NULL), 0);
	assert_int_equal(steer_attached(lo, &id), 0);
	assert_int_equal(steer_open("lo", &steer), -EEXIST);
	assert_int_equal(steer_clear("lo"), 0);
	assert_int_equal(steer_attached(lo, &id), -ENOENT);
	bpf_object__close(object);
}

static void classes_have_names(void **state)
{
	for (int i = 0; i < XDP_CLASSES; i++) {
		for (int j = 0; j < i; j++)
			assert_string_not_equal(steer_class_name((enum xdp_class)i),
						steer_class_name((enum xdp_class)j));
		assert_string_not_equal(steer_class_name((enum xdp_class)i), "unknown");
	}
	assert_string_equal(steer_class_name(XDP_CLASSES), "unknown");
}

/* As net_af_xdp does it: the first program, the map by its name. */
static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	if (!fx)
		return -1;
	*state = fx;
	fx->object = bpf_object__open_file(getenv("STEER_OBJECT"), NULL);
	if (!fx->object || bpf_object__load(fx->object))
		return -1;
	fx->program = bpf_program__fd(bpf_object__next_program(fx->object, NULL));
	fx->sockets = bpf_object__find_map_fd_by_name(fx->object, "xsks_map");
	fx->counts = bpf_object__find_map_fd_by_name(fx->object, STEER_MAP_COUNTS);
	return fx->program < 0 || fx->sockets < 0 || fx->counts < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	bpf_object__close(fx->object);
	free(fx);
	return 0;
}

/* Whether this kernel and these rights allow BPF and AF_XDP at all; not whether ours is right. */
static const char *refused(void)
{
	int fd;

	if (unshare(CLONE_NEWNET))
		return "no network namespace of its own (not root?)";
	fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "probe", 4, 4, 1, NULL);
	if (fd < 0)
		return "the kernel refuses an AF_XDP socket map";
	close(fd);
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return "the kernel has no AF_XDP sockets";
	close(fd);
	return NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_goes_to_the_socket),
		cmocka_unit_test(without_a_socket_the_kernel_gets_it),
		cmocka_unit_test(host_keeps_its_own),
		cmocka_unit_test(keepalives_go_to_the_socket),
		cmocka_unit_test(ike_stays_with_charon),
		cmocka_unit_test(fragments),
		cmocka_unit_test(udp_fragments),
		cmocka_unit_test(udp_fragments_have_addresses),
		cmocka_unit_test(ipv6_extension_headers),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(readers_without_a_program),
		cmocka_unit_test(counters_by_device),
		cmocka_unit_test(clears_what_was_left_behind),
		cmocka_unit_test(leaves_a_foreign_program_alone),
		cmocka_unit_test(takes_everything),
		cmocka_unit_test(classes_have_names),
	};
	const char *why = refused();

	if (!getenv("STEER_OBJECT") || !getenv("TAKE_OBJECT")) {
		fprintf(stderr,
			"set STEER_OBJECT to the path of steer.bpf.o, TAKE_OBJECT to take.bpf.o\n");
		return 2;
	}
	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
