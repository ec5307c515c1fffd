/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mirror against a real kernel: in a network namespace of the test's own, with veth pairs to a
 * peer in another one, changed by ip(8).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host_mirror.h"

#define SKIPPED    77
#define THINGS_MAX 8192
#define WAIT_MS    30000

#define WAN0 7 /* the caller's numbers */
#define WAN1 9

enum thing_kind { ADDRESS, ROUTE, NEIGHBOUR };

/* What the mirror has told and not taken back. */
struct thing {
	enum thing_kind kind;
	enum ip_family family;
	struct ip_addr addr;
	uint8_t len;
	uint32_t device;
	struct host_mirror_route route;
	uint8_t mac[6];
};

struct world {
	struct host_mirror *mirror;
	pid_t peer; /* a process that holds the peer's namespace */
	struct thing thing[THINGS_MAX];
	uint32_t things;
	uint32_t failures; /* neighbours told as unreachable */
	uint32_t told;     /* events */
	struct {
		uint8_t mac[6];
		uint32_t mtu;
		bool up;
	} link[16];
	/* What the callback asks for, to show that it may. */
	bool resolve_gateways;
};

/* ---- the caller's side ---- */

static struct thing *find(struct world *w, enum thing_kind kind, enum ip_family family,
			  struct ip_addr addr, uint8_t len, uint32_t device)
{
	for (uint32_t i = 0; i < w->things; i++) {
		struct thing *t = &w->thing[i];

		if (t->kind == kind && t->family == family && ip_equal(t->addr, addr) &&
		    t->len == len && (device == 0 || t->device == device))
			return t;
	}
	return NULL;
}

static struct thing *add(struct world *w, enum thing_kind kind, enum ip_family family,
			 struct ip_addr addr, uint8_t len, uint32_t device)
{
	struct thing *t = &w->thing[w->things++];

	assert_true(w->things <= THINGS_MAX);
	memset(t, 0, sizeof(*t));
	t->kind = kind;
	t->family = family;
	t->addr = addr;
	t->len = len;
	t->device = device;
	return t;
}

static void drop(struct world *w, struct thing *t)
{
	*t = w->thing[--w->things];
}

static void on_link(void *ctx, uint32_t device, const uint8_t mac[6], uint32_t mtu, bool up)
{
	struct world *w = ctx;

	w->told++;
	assert_true(device < 16);
	memcpy(w->link[device].mac, mac, 6);
	w->link[device].mtu = mtu;
	w->link[device].up = up;
}

static void on_address(void *ctx, uint32_t device, enum ip_family family, struct ip_addr addr,
		       uint8_t len, bool present)
{
	struct world *w = ctx;
	struct thing *t = find(w, ADDRESS, family, addr, len, device);

	w->told++;
	if (present) {
		assert_null(t); /* told once */
		add(w, ADDRESS, family, addr, len, device);
	} else {
		assert_non_null(t);
		drop(w, t);
	}
}

static void on_route(void *ctx, uint32_t device, const struct host_mirror_route *route,
		     bool present)
{
	struct world *w = ctx;
	struct thing *t = find(w, ROUTE, route->family, route->prefix, route->len, 0);

	w->told++;
	if (present) {
		if (!t)
			t = add(w, ROUTE, route->family, route->prefix, route->len, device);
		t->device = device;
		t->route = *route;
		if (w->resolve_gateways && route->has_gateway)
			assert_int_equal(host_mirror_resolve(w->mirror, device,
							     route->gateway_family, route->gateway),
					 0);
	} else {
		assert_non_null(t);
		assert_int_equal(t->device, device);
		drop(w, t);
	}
}

static void on_neighbour(void *ctx, uint32_t device, enum ip_family family, struct ip_addr addr,
			 const uint8_t mac[6])
{
	struct world *w = ctx;
	struct thing *t = find(w, NEIGHBOUR, family, addr, 0, device);

	w->told++;
	if (mac) {
		if (!t)
			t = add(w, NEIGHBOUR, family, addr, 0, device);
		memcpy(t->mac, mac, 6);
	} else {
		w->failures++;
		if (t)
			drop(w, t);
	}
}

static const struct host_mirror_events events = {
	.link = on_link,
	.address = on_address,
	.route = on_route,
	.neighbour = on_neighbour,
};

/* ---- helpers ---- */

/* Runs a command line; it must succeed. */
__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
	char command[512];
	char *argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", command, NULL };
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, format);
	assert_true(vsnprintf(command, sizeof(command), format, ap) < (int)sizeof(command));
	va_end(ap);
	assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("failed: %s", command);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One turn of a main loop. */
static void turn(struct world *w, int timeout)
{
	struct pollfd pfd = { .fd = host_mirror_fd(w->mirror), .events = POLLIN };
	int ret;

	poll(&pfd, 1, timeout);
	do {
		ret = host_mirror_process(w->mirror);
		assert_true(ret >= 0);
	} while (ret > 0);
}

#define WAIT_FOR(w, condition)                           \
	do {                                             \
		int64_t until = now_ms() + WAIT_MS;      \
                                                         \
		while (!(condition) && now_ms() < until) \
			turn(w, 20);                     \
		assert_true(condition);                  \
	} while (0)

/* All that has happened until now has been told. */
static void settle(struct world *w)
{
	turn(w, 0);
	WAIT_FOR(w, host_mirror_synced(w->mirror));
}

static struct ip_addr parse(const char *text, enum ip_family *family)
{
	uint8_t bytes[16];

	*family = strchr(text, ':') ? IP_V6 : IP_V4;
	assert_int_equal(inet_pton(*family == IP_V4 ? AF_INET : AF_INET6, text, bytes), 1);
	return ip_load(*family, bytes);
}

static struct thing *lookup(struct world *w, enum thing_kind kind, uint32_t device,
			    const char *text, uint8_t len)
{
	enum ip_family family;
	struct ip_addr addr = parse(text, &family);

	return find(w, kind, family, addr, len, device);
}

static bool has_address(struct world *w, uint32_t device, const char *text, uint8_t len)
{
	return lookup(w, ADDRESS, device, text, len) != NULL;
}

/* `gateway` NULL: on the link; "": whatever. */
static bool has_route(struct world *w, uint32_t device, const char *prefix, uint8_t len,
		      const char *gateway)
{
	struct thing *t = lookup(w, ROUTE, device, prefix, len);
	enum ip_family family;

	if (!t)
		return false;
	if (!gateway)
		return !t->route.has_gateway;
	if (!*gateway)
		return true;
	return t->route.has_gateway && ip_equal(t->route.gateway, parse(gateway, &family)) &&
	       t->route.gateway_family == family;
}

static bool no_route(struct world *w, const char *prefix, uint8_t len)
{
	return lookup(w, ROUTE, 0, prefix, len) == NULL;
}

static bool has_neighbour(struct world *w, const char *text, uint8_t last)
{
	struct thing *t = lookup(w, NEIGHBOUR, WAN0, text, 0);
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, last };

	return t && memcmp(t->mac, mac, 6) == 0;
}

static int resolve(struct world *w, const char *text)
{
	enum ip_family family;
	struct ip_addr addr = parse(text, &family);

	return host_mirror_resolve(w->mirror, WAN0, family, addr);
}

static uint64_t requests(const struct world *w)
{
	struct host_mirror_stats stats;

	host_mirror_stats(w->mirror, &stats);
	return stats.requests;
}

static uint32_t count(const struct world *w, enum thing_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->things; i++)
		n += w->thing[i].kind == kind;
	return n;
}

/* ---- the world of each test ---- */

/* A child in a network namespace of its own, for as long as this process lives. */
static pid_t peer_start(void)
{
	pid_t parent = getpid(), pid;
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent ||
		    unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

#define PEER "nsenter -t %d -n "

/*
 *	this namespace                    peer
 *	wan0 02::1, 192.0.2.1/24 ======== p0 02::2, 192.0.2.2/24
 *	wan1                     ======== p1
 */
static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	*state = w;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	w->peer = peer_start();
	run("ip link set lo up");
	for (int i = 0; i < 2; i++) {
		run("ip link add wan%d address 02:00:00:00:0%d:01 type veth peer name p%d "
		    "address 02:00:00:00:0%d:02 netns %d",
		    i, i, i, i, w->peer);
		run("ip link set wan%d up", i);
		run(PEER "ip link set p%d up", w->peer, i);
	}
	run("ip addr add 192.0.2.1/24 dev wan0");
	run("ip addr add 2001:db8::1/64 dev wan0 nodad");
	run(PEER "ip addr add 192.0.2.2/24 dev p0", w->peer);
	run(PEER "ip addr add 2001:db8::2/64 dev p0 nodad", w->peer);
	assert_int_equal(host_mirror_create(&events, w, &w->mirror), 0);
	assert_int_equal(host_mirror_watch(w->mirror, "wan0", WAN0), 0);
	settle(w);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	host_mirror_destroy(w->mirror);
	kill(w->peer, SIGKILL);
	waitpid(w->peer, NULL, 0);
	free(w);
	return 0;
}

/* ---- tests ---- */

static void what_was_there_before(void **state)
{
	struct world *w = *state;
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	assert_true(w->link[WAN0].up);
	assert_int_equal(w->link[WAN0].mtu, 1500);
	assert_memory_equal(w->link[WAN0].mac, mac, 6);
	WAIT_FOR(w, has_address(w, WAN0, "192.0.2.1", 24));
	WAIT_FOR(w, has_address(w, WAN0, "2001:db8::1", 64));
	WAIT_FOR(w, has_route(w, WAN0, "192.0.2.0", 24, NULL));
	WAIT_FOR(w, has_route(w, WAN0, "2001:db8::", 64, NULL));
	/* and neither link-local nor multicast nor what the local table has */
	assert_int_equal(count(w, ADDRESS), 2);
	assert_int_equal(count(w, ROUTE), 2);
}

static void watching(void **state)
{
	struct world *w = *state;

	assert_int_equal(host_mirror_watch(w->mirror, "wan0", 3), -EEXIST);
	assert_int_equal(host_mirror_watch(w->mirror, "wan1", WAN0), -EEXIST);
	assert_int_equal(host_mirror_watch(w->mirror, "", 3), -EINVAL);
	assert_int_equal(host_mirror_watch(w->mirror, "sixteen-letters!", 3), -EINVAL);
	assert_int_equal(host_mirror_unwatch(w->mirror, 3), -ENOENT);

	run("ip addr add 198.51.100.1/24 dev wan1");
	settle(w);
	WAIT_FOR(w, no_route(w, "198.51.100.0", 24));
	assert_int_equal(host_mirror_watch(w->mirror, "wan1", WAN1), 0);
	assert_false(host_mirror_synced(w->mirror));
	settle(w);
	WAIT_FOR(w, has_address(w, WAN1, "198.51.100.1", 24));
	WAIT_FOR(w, has_route(w, WAN1, "198.51.100.0", 24, NULL));

	assert_int_equal(host_mirror_unwatch(w->mirror, WAN0), 0);
	assert_false(w->link[WAN0].up);
	assert_int_equal(count(w, ADDRESS), 1);
	WAIT_FOR(w, no_route(w, "192.0.2.0", 24));
	settle(w);
	assert_int_equal(count(w, ROUTE), 1);
}

static void devices_come_and_go(void **state)
{
	struct world *w = *state;

	assert_int_equal(host_mirror_watch(w->mirror, "late0", WAN1), 0);
	settle(w);
	run("ip link add late0 type veth peer name late1");
	run("ip addr add 203.0.113.1/24 dev late0");
	settle(w);
	WAIT_FOR(w, has_address(w, WAN1, "203.0.113.1", 24));
	WAIT_FOR(w, no_route(w, "203.0.113.0", 24)); /* it is not up */
	run("ip link set late0 up && ip link set late1 up");
	WAIT_FOR(w, w->link[WAN1].up && has_route(w, WAN1, "203.0.113.0", 24, NULL));

	run("ip link set late0 mtu 1400");
	WAIT_FOR(w, w->link[WAN1].mtu == 1400);
	run("ip link set late0 address 02:00:00:00:00:77");
	WAIT_FOR(w, w->link[WAN1].mac[5] == 0x77);

	run("ip link del late0");
	WAIT_FOR(w, !w->link[WAN1].up && !has_address(w, WAN1, "203.0.113.1", 24));
	WAIT_FOR(w, no_route(w, "203.0.113.0", 24));

	run("ip link add late0 type veth peer name late1"); /* another index */
	run("ip addr add 203.0.113.1/24 dev late0");
	run("ip link set late0 up && ip link set late1 up");
	WAIT_FOR(w, w->link[WAN1].up && has_route(w, WAN1, "203.0.113.0", 24, NULL));

	run("ip link set late0 down && ip link set late0 name other0 && ip link set other0 up");
	WAIT_FOR(w, !w->link[WAN1].up && !has_address(w, WAN1, "203.0.113.1", 24));
	settle(w);
	WAIT_FOR(w, no_route(w, "203.0.113.0", 24));
	run("ip link set other0 down && ip link set other0 name late0 && ip link set late0 up");
	WAIT_FOR(w, has_address(w, WAN1, "203.0.113.1", 24) &&
			    has_route(w, WAN1, "203.0.113.0", 24, NULL));
}

static void addresses(void **state)
{
	struct world *w = *state;

	run("ip addr add 192.0.2.9/32 dev wan0");
	run("ip addr add 2001:db8:9::1/64 dev wan0 nodad");
	settle(w);
	WAIT_FOR(w, has_address(w, WAN0, "192.0.2.9", 32));
	WAIT_FOR(w, has_address(w, WAN0, "2001:db8:9::1", 64));

	run("ip addr add 10.9.0.1 peer 10.9.0.2/30 dev wan0");
	settle(w);
	WAIT_FOR(w, has_address(w, WAN0, "10.9.0.1", 30));

	run("ip addr change 192.0.2.9/32 dev wan0 valid_lft 1000 preferred_lft 1000");
	settle(w); /* told once: on_address() sees to it */

	run("ip addr del 192.0.2.9/32 dev wan0");
	run("ip addr del 2001:db8:9::1/64 dev wan0");
	run("ip addr del 10.9.0.1 peer 10.9.0.2/30 dev wan0");
	settle(w);
	assert_int_equal(count(w, ADDRESS), 2);
	assert_int_equal(count(w, ROUTE), 2);
}

static void tentative_address_is_not_told(void **state)
{
	struct world *w = *state;

	/* Duplicate address detection takes a second; long enough to be seen before it ends. */
	run("ip addr add 2001:db8:8::1/64 dev wan0");
	run("ip -o addr show dev wan0 tentative | grep -q 2001:db8:8::1");
	settle(w);
	WAIT_FOR(w, has_address(w, WAN0, "2001:db8:8::1", 64));
	run("! ip -o addr show dev wan0 tentative | grep -q 2001:db8:8::1");

	/* One that the peer has: it never is. */
	run(PEER "ip addr add 2001:db8::5/64 dev p0 nodad", w->peer);
	run("ip addr add 2001:db8::5/64 dev wan0");
	run("for i in $(seq 300); do ip -o addr show dev wan0 dadfailed | grep -q 2001:db8::5 && "
	    "exit 0; sleep 0.1; done; exit 1");
	settle(w);
	assert_false(has_address(w, WAN0, "2001:db8::5", 64));
}

static void routes(void **state)
{
	struct world *w = *state;

	run("ip route add default via 192.0.2.2");
	run("ip -6 route add default via 2001:db8::2");
	run("ip route add 10.0.0.0/8 via inet6 2001:db8::3 dev wan0");
	run("ip route add 10.1.0.0/16 via 172.31.0.1 dev wan0 onlink");
	run("ip route add 10.2.3.4 dev wan0 metric 5");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "0.0.0.0", 0, "192.0.2.2"));
	WAIT_FOR(w, has_route(w, WAN0, "::", 0, "2001:db8::2"));
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "2001:db8::3"));
	WAIT_FOR(w, has_route(w, WAN0, "10.1.0.0", 16, "172.31.0.1"));
	WAIT_FOR(w, has_route(w, WAN0, "10.2.3.4", 32, NULL));
	assert_int_equal(lookup(w, ROUTE, WAN0, "10.2.3.4", 32)->route.metric, 5);

	run("ip route replace default via 192.0.2.3");
	run("ip -6 route replace default via 2001:db8::4");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "0.0.0.0", 0, "192.0.2.3"));
	WAIT_FOR(w, has_route(w, WAN0, "::", 0, "2001:db8::4"));

	run("ip route replace blackhole 10.1.0.0/16");
	run("ip route del 10.0.0.0/8");
	run("ip route del default && ip -6 route del default && ip route del 10.2.3.4");
	settle(w);
	assert_int_equal(count(w, ROUTE), 2);

	/* Not of the main table, not unicast, not public. */
	run("ip route add 10.5.0.0/16 via 192.0.2.2 table 100");
	run("ip route add unreachable 10.6.0.0/16");
	run("ip route add 239.0.0.0/8 dev wan0");
	run("ip -6 route add fe80:1::/64 dev wan0");
	run("ip route add 10.7.0.0/16 tos 0x10 via 192.0.2.2");
	settle(w);
	assert_int_equal(count(w, ROUTE), 2);
}

static void lowest_metric_is_shown(void **state)
{
	struct world *w = *state;

	run("ip addr add 198.51.100.1/24 dev wan1");
	run("ip addr add 2001:db8:1::1/64 dev wan1 nodad");
	assert_int_equal(host_mirror_watch(w->mirror, "wan1", WAN1), 0);
	run("ip route add default via 192.0.2.2 metric 200");
	run("ip -6 route add default via 2001:db8::2 metric 200");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "0.0.0.0", 0, "192.0.2.2"));
	run("ip route add default via 198.51.100.2 metric 100");
	run("ip -6 route add default via 2001:db8:1::2 metric 100");
	run("ip route add default via 192.0.2.4 metric 300");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN1, "0.0.0.0", 0, "198.51.100.2"));
	WAIT_FOR(w, has_route(w, WAN1, "::", 0, "2001:db8:1::2"));
	run("ip route del default metric 100");
	run("ip -6 route del default metric 100");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "0.0.0.0", 0, "192.0.2.2"));
	WAIT_FOR(w, has_route(w, WAN0, "::", 0, "2001:db8::2"));
	run("ip route del default metric 200");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "0.0.0.0", 0, "192.0.2.4"));
	run("ip route del default metric 300");
	settle(w);
	WAIT_FOR(w, no_route(w, "0.0.0.0", 0));
}

static void routes_go_with_the_link(void **state)
{
	struct world *w = *state;

	run("ip addr add 198.51.100.1/24 dev wan1");
	assert_int_equal(host_mirror_watch(w->mirror, "wan1", WAN1), 0);
	run("ip route add default via 192.0.2.2 metric 1");
	run("ip route add default via 198.51.100.2 metric 2");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "0.0.0.0", 0, "192.0.2.2"));

	/* The carrier goes and returns: the kernel keeps the routes, the mirror doesn't. */
	run(PEER "ip link set p0 down", w->peer);
	WAIT_FOR(w, !w->link[WAN0].up);
	WAIT_FOR(w, has_route(w, WAN1, "0.0.0.0", 0, "198.51.100.2"));
	WAIT_FOR(w, no_route(w, "192.0.2.0", 24));
	WAIT_FOR(w, has_address(w, WAN0, "192.0.2.1", 24));
	run(PEER "ip link set p0 up", w->peer);
	WAIT_FOR(w, has_route(w, WAN0, "0.0.0.0", 0, "192.0.2.2"));
	WAIT_FOR(w, has_route(w, WAN0, "192.0.2.0", 24, NULL));

	/* Down by the administrator: the kernel forgets what it was told. */
	run("ip link set wan0 down");
	WAIT_FOR(w, !w->link[WAN0].up);
	settle(w);
	WAIT_FOR(w, has_route(w, WAN1, "0.0.0.0", 0, "198.51.100.2"));
	WAIT_FOR(w, no_route(w, "192.0.2.0", 24));
	run("ip link set wan0 up");
	WAIT_FOR(w, has_route(w, WAN0, "192.0.2.0", 24, NULL));
	settle(w);
	WAIT_FOR(w, has_route(w, WAN1, "0.0.0.0", 0, "198.51.100.2"));
}

static void multipath(void **state)
{
	struct world *w = *state;

	run("ip addr add 198.51.100.1/24 dev wan1");
	run("ip addr add 2001:db8:1::1/64 dev wan1 nodad");
	run("ip route add 10.0.0.0/8 nexthop via 192.0.2.2 nexthop via 198.51.100.2");
	run("ip -6 route add 2001:db8:f::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.2"));
	WAIT_FOR(w, has_route(w, WAN0, "2001:db8:f::", 48, "2001:db8::2"));

	assert_int_equal(host_mirror_watch(w->mirror, "wan1", WAN1), 0);
	settle(w);
	run(PEER "ip link set p0 down", w->peer);
	WAIT_FOR(w, has_route(w, WAN1, "10.0.0.0", 8, "198.51.100.2"));
	WAIT_FOR(w, has_route(w, WAN1, "2001:db8:f::", 48, "2001:db8:1::2"));
	run(PEER "ip link set p0 up", w->peer);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.2"));

	/* The kernel says nothing of the IPv4 next hop that dies with its device. */
	run("ip link set wan0 down");
	WAIT_FOR(w, has_route(w, WAN1, "10.0.0.0", 8, "198.51.100.2"));
	run("ip link set wan0 up");
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.2"));
	run("ip route del 10.0.0.0/8");
	settle(w);
	WAIT_FOR(w, no_route(w, "10.0.0.0", 8));

	/* One next hop of an IPv6 route goes, the other one stays. */
	run("ip addr add 2001:db8::1/64 dev wan0 nodad");
	run("ip -6 route replace 2001:db8:f::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "2001:db8:f::", 48, "2001:db8::2"));
	run("ip -6 route del 2001:db8:f::/48 via 2001:db8::2");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "2001:db8:f::", 48, "2001:db8::3"));
	run("ip -6 route append 2001:db8:f::/48 via 2001:db8::4");
	settle(w);
	run("ip -6 route del 2001:db8:f::/48");
	run("ip -6 route del 2001:db8:f::/48 || true");
	settle(w);
	WAIT_FOR(w, no_route(w, "2001:db8:f::", 48));
}

static void several_routes_of_one_metric(void **state)
{
	struct world *w = *state;

	run("ip addr add 198.51.100.1/24 dev wan1");
	assert_int_equal(host_mirror_watch(w->mirror, "wan1", WAN1), 0);
	run("ip route add 10.0.0.0/8 via 192.0.2.2");
	run("ip route append 10.0.0.0/8 via 192.0.2.3");
	run("ip route append 10.0.0.0/8 via 198.51.100.2");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.2"));
	run("ip route del 10.0.0.0/8 via 192.0.2.2");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.3"));
	run("ip route prepend 10.0.0.0/8 via 198.51.100.3");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN1, "10.0.0.0", 8, "198.51.100.3"));
	run("ip route del 10.0.0.0/8 via 198.51.100.3");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.3"));
	run("ip route del 10.0.0.0/8 via 192.0.2.3");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN1, "10.0.0.0", 8, "198.51.100.2"));
	run("ip route del 10.0.0.0/8");
	settle(w);
	WAIT_FOR(w, no_route(w, "10.0.0.0", 8));
}

/* What the kernel takes away without an event. */
static void silent_changes(void **state)
{
	struct world *w = *state;

	run("ip addr add 192.0.2.77/24 dev wan0");
	run("ip route add 10.0.0.0/8 via 192.0.2.2 src 192.0.2.77");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.2"));
	run("ip addr del 192.0.2.77/24 dev wan0");
	settle(w);
	run("! ip route show | grep -q ^10.0.0.0/8");
	WAIT_FOR(w, no_route(w, "10.0.0.0", 8));

	run("ip nexthop add id 5 via 192.0.2.2 dev wan0");
	run("ip route add 10.0.0.0/8 nhid 5");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.2"));
	run("ip nexthop replace id 5 via 192.0.2.3 dev wan0");
	settle(w);
	WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.3"));
	run("ip nexthop del id 5");
	settle(w);
	WAIT_FOR(w, no_route(w, "10.0.0.0", 8));
}

static void neighbours(void **state)
{
	struct world *w = *state;
	uint32_t failures = w->failures;

	run("ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:aa dev wan0");
	run("ip neigh add 2001:db8::10 lladdr 02:00:00:00:00:ab dev wan0 nud stale");
	settle(w);
	WAIT_FOR(w, has_neighbour(w, "192.0.2.10", 0xaa));
	WAIT_FOR(w, has_neighbour(w, "2001:db8::10", 0xab));
	run("ip neigh change 192.0.2.10 lladdr 02:00:00:00:00:ac dev wan0");
	settle(w);
	WAIT_FOR(w, has_neighbour(w, "192.0.2.10", 0xac));
	run("ip neigh change 192.0.2.10 dev wan0 nud failed");
	run("ip neigh del 2001:db8::10 dev wan0");
	settle(w);
	assert_int_equal(count(w, NEIGHBOUR), 0);
	assert_int_equal(w->failures, failures + 2);

	/* One that is permanent is never asked for: the kernel would take that from it. */
	run("ip neigh replace 192.0.2.10 lladdr 02:00:00:00:00:aa dev wan0 nud permanent");
	settle(w);
	assert_int_equal(resolve(w, "192.0.2.10"), 0);
	assert_int_equal(requests(w), 0);
	run("ip neigh show 192.0.2.10 dev wan0 | grep -q PERMANENT");
}

static void resolution(void **state)
{
	struct world *w = *state;
	struct ip_addr none = { 0, 0 };
	uint64_t before;

	assert_int_equal(host_mirror_resolve(w->mirror, 99, IP_V4, none), -ENODEV);
	assert_int_equal(resolve(w, "192.0.2.2"), 0);
	assert_int_equal(resolve(w, "2001:db8::2"), 0);
	WAIT_FOR(w, has_neighbour(w, "192.0.2.2", 2));
	WAIT_FOR(w, has_neighbour(w, "2001:db8::2", 2));
	/* It was ARP that went over the wire: the peer knows us now. */
	run(PEER "ip neigh show 192.0.2.1 dev p0 | grep -q 02:00:00:00:00:01", w->peer);

	/* A caller that has forgotten what it was told is told again. */
	drop(w, lookup(w, NEIGHBOUR, WAN0, "192.0.2.2", 0));
	assert_int_equal(resolve(w, "192.0.2.2"), 0);
	WAIT_FOR(w, has_neighbour(w, "192.0.2.2", 2));

	/* Asked no more often than once a second. */
	before = requests(w);
	assert_int_equal(resolve(w, "192.0.2.77"), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(resolve(w, "192.0.2.77"), 0);
	assert_true(requests(w) < before + 10);

	/* Nobody has that address. */
	w->failures = 0;
	WAIT_FOR(w, w->failures == 1);
	assert_null(lookup(w, NEIGHBOUR, WAN0, "192.0.2.77", 0));

	run("ip link set wan0 down");
	WAIT_FOR(w, !w->link[WAN0].up);
	assert_int_equal(resolve(w, "192.0.2.2"), -ENETDOWN);
	settle(w);
	assert_int_equal(count(w, NEIGHBOUR), 0);
	run("ip link del wan0");
	WAIT_FOR(w, count(w, ADDRESS) == 0);
	assert_int_equal(resolve(w, "192.0.2.2"), -ENODEV);
}

static void resolution_from_a_callback(void **state)
{
	struct world *w = *state;

	w->resolve_gateways = true;
	run("ip route add default via 192.0.2.2");
	run("ip -6 route add default via 2001:db8::2");
	WAIT_FOR(w, has_neighbour(w, "192.0.2.2", 2) && has_neighbour(w, "2001:db8::2", 2));
}

/* A neighbour that was asked for and went stale is checked: it may be gone, or be another one. */
static void stale_neighbour_is_checked(void **state)
{
	struct world *w = *state;

	run("sysctl -qw net.ipv4.neigh.wan0.delay_first_probe_time=1");
	assert_int_equal(resolve(w, "192.0.2.2"), 0);
	WAIT_FOR(w, has_neighbour(w, "192.0.2.2", 2));
	run(PEER "ip link set p0 address 02:00:00:00:00:99", w->peer);
	w->failures = 0;
	run("ip neigh change 192.0.2.2 lladdr 02:00:00:00:00:02 dev wan0 nud stale");
	WAIT_FOR(w, requests(w) == 2);
	/* Nobody answers at the old address; then whoever needs it asks anew. */
	WAIT_FOR(w, w->failures == 1 && !lookup(w, NEIGHBOUR, WAN0, "192.0.2.2", 0));
	assert_int_equal(resolve(w, "192.0.2.2"), 0);
	WAIT_FOR(w, has_neighbour(w, "192.0.2.2", 0x99));
}

/* More at once than the kernel may queue: nothing is missing afterwards, and nothing stale. */
static void overrun(void **state)
{
	const int smallest = 1;
	struct world *w = *state;
	struct host_mirror_stats before, stats;

	host_mirror_stats(w->mirror, &before);
	assert_int_equal(setsockopt(host_mirror_fd(w->mirror), SOL_SOCKET, SO_RCVBUF, &smallest,
				    sizeof(smallest)),
			 0);
	run("for i in $(seq 0 1999); do echo route add 10.$((i / 256)).$((i %% 256)).0/24 "
	    "via 192.0.2.2; done | ip -batch -");
	run("for i in $(seq 1 200); do echo neigh add 192.0.2.$((i + 20)) "
	    "lladdr 02:00:00:00:00:55 dev wan0; done | ip -batch -");
	run("ip addr add 192.0.2.200/24 dev wan0");
	settle(w);
	host_mirror_stats(w->mirror, &stats);
	assert_true(stats.overruns > before.overruns);
	assert_int_equal(count(w, ROUTE), 2 + 2000);
	assert_int_equal(count(w, NEIGHBOUR), 200);
	WAIT_FOR(w, has_address(w, WAN0, "192.0.2.200", 24));

	before = stats;
	run("for i in $(seq 0 2 1999); do echo route del 10.$((i / 256)).$((i %% 256)).0/24; "
	    "done | ip -batch -");
	run("for i in $(seq 1 2 200); do echo neigh del 192.0.2.$((i + 20)) dev wan0; done "
	    "| ip -batch -");
	run("ip addr del 192.0.2.200/24 dev wan0");
	run("ip route replace 10.0.1.0/24 via 192.0.2.3");
	settle(w);
	host_mirror_stats(w->mirror, &stats);
	assert_true(stats.overruns > before.overruns);
	assert_int_equal(count(w, ROUTE), 2 + 1000);
	assert_int_equal(count(w, NEIGHBOUR), 100);
	assert_false(has_address(w, WAN0, "192.0.2.200", 24));
	WAIT_FOR(w, has_route(w, WAN0, "10.0.1.0", 24, "192.0.2.3"));
	WAIT_FOR(w, no_route(w, "10.0.0.0", 24));

	before = stats;
	run("for i in $(seq 1 2 1999); do echo route del 10.$((i / 256)).$((i %% 256)).0/24; "
	    "done | ip -batch - && ip link del wan0");
	settle(w);
	assert_int_equal(w->things, 0);
	assert_false(w->link[WAN0].up);
	host_mirror_stats(w->mirror, &stats);
	assert_int_equal(stats.malformed, 0);
}

/* Changes that meet the dumps in flight, in small steps, compared at the end with the kernel's view. */
static void changes_during_dumps(void **state)
{
	struct world *w = *state;
	pid_t pid;
	int status;

	run("for i in $(seq 0 1999); do echo route add 10.$((i / 256)).$((i %% 256)).0/24 "
	    "via 192.0.2.2; done | ip -batch -");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		run("for j in 3 4 5; do for i in $(seq 0 5 1999); do echo route replace "
		    "10.$((i / 256)).$((i %% 256)).0/24 via 192.0.2.$j; done | ip -batch -; done");
		run("for i in $(seq 0 3 1999); do echo route del "
		    "10.$((i / 256)).$((i %% 256)).0/24; done | ip -batch -");
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		/* Has everything dumped again and again. */
		assert_int_equal(host_mirror_watch(w->mirror, "nothing0", 3), 0);
		for (int i = 0; i < 5; i++) {
			struct pollfd pfd = { host_mirror_fd(w->mirror), POLLIN, 0 };

			poll(&pfd, 1, 1);
			assert_true(host_mirror_process(w->mirror) >= 0);
		}
		assert_int_equal(host_mirror_unwatch(w->mirror, 3), 0);
	}
	assert_int_equal(status, 0);
	settle(w);
	for (int i = 0; i < 2000; i++) {
		char prefix[32], gateway[32];

		snprintf(prefix, sizeof(prefix), "10.%d.%d.0", i / 256, i % 256);
		snprintf(gateway, sizeof(gateway), "192.0.2.%d", i % 5 == 0 ? 5 : 2);
		if (i % 3 == 0)
			WAIT_FOR(w, no_route(w, prefix, 24));
		else
			WAIT_FOR(w, has_route(w, WAN0, prefix, 24, gateway));
	}
}

static int capabilities_drop(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	return (int)syscall(SYS_capset, &head, none);
}

/* Reading goes on without any capability; resolving is refused, and says so. */
static void without_privileges(void **state)
{
	struct world *w = *state;
	int status, go[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (capabilities_drop() || read(go[0], &byte, 1) != 1)
			_exit(1);
		WAIT_FOR(w, has_route(w, WAN0, "10.0.0.0", 8, "192.0.2.2"));
		WAIT_FOR(w, has_neighbour(w, "192.0.2.10", 0xaa));
		if (host_mirror_watch(w->mirror, "wan1", WAN1))
			_exit(2);
		settle(w);
		if (!has_address(w, WAN1, "198.51.100.1", 24))
			_exit(3);
		_exit(resolve(w, "192.0.2.2") == -EPERM && count(w, NEIGHBOUR) == 1 ? 0 : 4);
	}
	run("ip route add 10.0.0.0/8 via 192.0.2.2");
	run("ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:aa dev wan0");
	run("ip addr add 198.51.100.1/24 dev wan1");
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_was_there_before),
		T(watching),
		T(devices_come_and_go),
		T(addresses),
		T(tentative_address_is_not_told),
		T(routes),
		T(lowest_metric_is_shown),
		T(routes_go_with_the_link),
		T(multipath),
		T(several_routes_of_one_metric),
		T(silent_changes),
		T(neighbours),
		T(resolution),
		T(resolution_from_a_callback),
		T(stale_neighbour_is_checked),
		T(overrun),
		T(changes_during_dumps),
		T(without_privileges),
	};

	if (unshare(CLONE_NEWNET)) {
		fprintf(stderr, "skipped: no network namespace of its own (not root?)\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
