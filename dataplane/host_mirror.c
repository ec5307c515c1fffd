/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mirror's sockets: one for events and dumps, which the kernel queues in the order in which they
 * happened, and one for requests, which it answers before send() returns.
 */
#include "host_mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "host_mirror_state.h"

#define RECEIVE_BUFFER  (4 << 20) /* bytes that the kernel may queue for us */
#define MESSAGE_MAX     32768     /* the kernel fills dumps up to this */
#define REQUEST_MAX     256
#define DATAGRAMS       32    /* taken in one call of host_mirror_process() */
#define SWEEP_BUCKETS   65536 /* likewise */
#define SILENT_MS       200   /* after which what changed without a word has changed */
#define RETRY_MS        250   /* before a dump that failed or was interrupted is taken again */
#define DUMP_TIMEOUT_MS 10000
#define ASK_MS          1000 /* between two requests for one address */

enum dump_phase {
	DUMP_IDLE,
	DUMP_READING,
	DUMP_SWEEPING,
};

struct host_mirror {
	struct mirror_state state;
	struct mnl_socket *socket;
	struct mnl_socket *requests;
	struct host_mirror_stats stats;
	enum dump_phase phase;
	enum mirror_kind kind; /* that is being dumped */
	bool interrupted;
	uint32_t sequence; /* of the last request or dump */
	uint32_t dump;     /* sequence number of the dump */
	uint32_t sweep;    /* bucket */
	int64_t dump_at;   /* ms: last sign of life of the dump; no new one before `retry_at` */
	int64_t retry_at;  /* ms */
	int64_t routes_at; /* ms: dump the routes again then; 0: no need */
	uint8_t buffer[MESSAGE_MAX] __attribute__((aligned(8)));
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- opening ---- */

static int socket_open(struct mnl_socket **out)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int ret = -errno;

		mnl_socket_close(nl);
		return ret;
	}
	*out = nl;
	return 0;
}

static int groups_join(struct mnl_socket *nl)
{
	const int groups[] = { RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
			       RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NEIGH };
	const int nexthop = RTNLGRP_NEXTHOP;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(nl, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return -errno;
	}
	/* Kernels before 5.3 have no such group, and no nexthop objects either. */
	(void)setsockopt(mnl_socket_get_fd(nl), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nexthop,
			 sizeof(nexthop));
	return 0;
}

static void buffer_enlarge(struct mnl_socket *nl)
{
	const int size = RECEIVE_BUFFER;
	int fd = mnl_socket_get_fd(nl);

	/* The second is capped by net.core.rmem_max and needs no right. Either is a help only. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

int host_mirror_create(const struct host_mirror_events *events, void *ctx, struct host_mirror **m)
{
	struct host_mirror *h = calloc(1, sizeof(*h));
	int ret;

	if (!h)
		return -ENOMEM;
	ret = mirror_state_init(&h->state, events, ctx);
	if (ret)
		goto err_free;
	ret = socket_open(&h->socket);
	if (ret)
		goto err_state;
	ret = socket_open(&h->requests);
	if (ret)
		goto err_socket;
	buffer_enlarge(h->socket);
	ret = groups_join(h->socket);
	if (ret)
		goto err_requests;
	*m = h;
	return 0;

err_requests:
	mnl_socket_close(h->requests);
err_socket:
	mnl_socket_close(h->socket);
err_state:
	mirror_state_free(&h->state);
err_free:
	free(h);
	return ret;
}

void host_mirror_destroy(struct host_mirror *m)
{
	if (!m)
		return;
	mnl_socket_close(m->requests);
	mnl_socket_close(m->socket);
	mirror_state_free(&m->state);
	free(m);
}

int host_mirror_watch(struct host_mirror *m, const char *netdev, uint32_t device)
{
	return mirror_watch_add(&m->state, netdev, device);
}

int host_mirror_unwatch(struct host_mirror *m, uint32_t device)
{
	return mirror_watch_remove(&m->state, device);
}

int host_mirror_fd(const struct host_mirror *m)
{
	return mnl_socket_get_fd(m->socket);
}

bool host_mirror_synced(const struct host_mirror *m)
{
	return m->phase == DUMP_IDLE && !m->state.dirty && !m->state.silent && !m->routes_at;
}

void host_mirror_stats(const struct host_mirror *m, struct host_mirror_stats *stats)
{
	*stats = m->stats;
}

/* ---- asking for neighbours ---- */

/* What the kernel answered to the request of that number: 0 or a negative errno. */
static int request_answer(struct host_mirror *m, uint32_t sequence)
{
	uint8_t buffer[1024] __attribute__((aligned(8)));
	unsigned int port = mnl_socket_get_portid(m->requests);
	ssize_t len;

	do {
		len = mnl_socket_recvfrom(m->requests, buffer, sizeof(buffer));
		if (len < 0)
			return errno == EAGAIN ? -EIO : -errno;
		/* Earlier answers are passed over: their number is another one. */
	} while (mnl_nlmsg_ok((struct nlmsghdr *)buffer, (int)len) &&
		 ((struct nlmsghdr *)buffer)->nlmsg_seq != sequence);
	return mnl_cb_run(buffer, (size_t)len, sequence, port, NULL, NULL) < 0 ? -errno : 0;
}

/*
 * NTF_USE is what the kernel does itself when it has a packet to send: it resolves what is unknown,
 * and checks what is stale.
 */
static int neighbour_ask(struct host_mirror *m, struct mirror_entry *e)
{
	uint8_t buffer[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	uint8_t addr[16];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct ndmsg *ndm;

	nlh->nlmsg_type = RTM_NEWNEIGH;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
	nlh->nlmsg_seq = ++m->sequence;
	ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	ndm->ndm_family = e->key.family == IP_V4 ? AF_INET : AF_INET6;
	ndm->ndm_ifindex = (int)e->watch->ifindex;
	ndm->ndm_state = NUD_NONE;
	ndm->ndm_flags = NTF_USE;
	ip_store(e->key.family, e->key.addr, addr);
	mnl_attr_put(nlh, NDA_DST, ip_bits(e->key.family) / 8, addr);

	m->stats.requests++;
	if (mnl_socket_sendto(m->requests, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return request_answer(m, nlh->nlmsg_seq);
}

int host_mirror_resolve(struct host_mirror *m, uint32_t device, enum ip_family family,
			struct ip_addr addr)
{
	struct mirror_watch *w = mirror_watch_of(&m->state, device);
	int64_t now = now_ms();
	struct mirror_entry *e;
	int ret;

	if (!w || !w->ifindex)
		return -ENODEV;
	if (!w->up)
		return -ENETDOWN;
	e = mirror_state_want(&m->state, w, family, addr);
	if (!e)
		return -ENOMEM;
	/* The kernel would take from a permanent one that it is permanent. */
	if (e->permanent || (e->asked && now - e->asked < ASK_MS))
		return 0;
	e->asked = now;
	ret = neighbour_ask(m, e);
	if (ret && !e->usable)
		mirror_table_remove(&m->state.table[MIRROR_NEIGHBOUR], e);
	else
		e->wanted = !ret;
	return ret;
}

/* ---- dumps ---- */

static const struct {
	uint16_t type;
	uint16_t head; /* bytes of the family header */
} dumps[MIRROR_KINDS] = {
	[MIRROR_LINK] = { RTM_GETLINK, sizeof(struct ifinfomsg) },
	[MIRROR_ADDRESS] = { RTM_GETADDR, sizeof(struct ifaddrmsg) },
	[MIRROR_ROUTE] = { RTM_GETROUTE, sizeof(struct rtmsg) },
	[MIRROR_NEIGHBOUR] = { RTM_GETNEIGH, sizeof(struct ndmsg) },
};

static int dump_start(struct host_mirror *m, int64_t now)
{
	uint8_t buffer[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	enum mirror_kind kind = (enum mirror_kind)__builtin_ctz(m->state.dirty);

	nlh->nlmsg_type = dumps[kind].type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++m->sequence;
	mnl_nlmsg_put_extra_header(nlh, dumps[kind].head); /* zero: every family */
	if (kind == MIRROR_LINK)
		mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (mnl_socket_sendto(m->socket, nlh, nlh->nlmsg_len) < 0)
		return errno == ENOBUFS || errno == EAGAIN ? 0 : -errno;

	m->state.dirty &= ~(1u << kind);
	m->state.generation[kind]++;
	m->phase = DUMP_READING;
	m->kind = kind;
	m->dump = nlh->nlmsg_seq;
	m->dump_at = now;
	m->interrupted = false;
	m->stats.dumps++;
	return 0;
}

/* What is incomplete takes nothing away and is read again. */
static void dump_again(struct host_mirror *m, int64_t now)
{
	m->state.dirty |= 1u << m->kind;
	m->retry_at = now + RETRY_MS;
	m->phase = DUMP_IDLE;
}

static void dump_end(struct host_mirror *m, bool failed, int64_t now)
{
	if (failed || m->interrupted) {
		m->stats.interrupted++;
		dump_again(m, now);
		return;
	}
	m->phase = DUMP_SWEEPING;
	m->sweep = 0;
}

/* ---- receiving ---- */

static int neighbour_receive(struct host_mirror *m, const struct nlmsghdr *nlh)
{
	struct mirror_neighbour neighbour;
	struct mirror_entry *again;
	int ret = mirror_read_neighbour(nlh, &neighbour);

	if (ret)
		return ret;
	ret = mirror_state_neighbour(&m->state, &neighbour, &again);
	if (again) /* a refusal is of no use to anyone here: host_mirror_resolve() returns it */
		(void)neighbour_ask(m, again);
	return ret;
}

/* 0; 1: not for us; negative errno. */
static int message_receive(struct host_mirror *m, const struct nlmsghdr *nlh, bool dump)
{
	struct mirror_link link;
	struct mirror_address address;
	struct mirror_route route;
	int ret;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		ret = mirror_read_link(nlh, &link);
		return ret ? ret : mirror_state_link(&m->state, &link);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		ret = mirror_read_address(nlh, &address);
		return ret ? ret : mirror_state_address(&m->state, &address);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		ret = mirror_read_route(nlh, &route);
		return ret ? ret : mirror_state_route(&m->state, &route, dump);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return neighbour_receive(m, nlh);
	case RTM_NEWNEXTHOP: /* routes that use the object change with it */
	case RTM_DELNEXTHOP:
		m->state.silent = true;
		return 0;
	default:
		return 1;
	}
}

/* NLMSG_DONE carries an errno as well. */
static bool control_failed(const struct nlmsghdr *nlh)
{
	int32_t error;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(error))
		return nlh->nlmsg_type == NLMSG_ERROR;
	memcpy(&error, mnl_nlmsg_get_payload(nlh), sizeof(error));
	return error != 0;
}

static int datagram_receive(struct host_mirror *m, int len, int64_t now)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)m->buffer;
	unsigned int port = mnl_socket_get_portid(m->socket);
	int ret = 0;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		bool dump = m->phase == DUMP_READING && nlh->nlmsg_seq == m->dump &&
			    nlh->nlmsg_pid == port;
		int one;

		if (dump) {
			m->dump_at = now;
			m->interrupted |= (nlh->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		}
		if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR) {
			if (dump)
				dump_end(m, control_failed(nlh), now);
			continue;
		}
		one = message_receive(m, nlh, dump);
		if (one == -EBADMSG)
			m->stats.malformed++;
		else if (one < 0)
			ret = one;
	}
	return ret;
}

/* 1: more may be there; 0: nothing is; negative errno. */
static int datagram_take(struct host_mirror *m, int64_t now)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = m->buffer, .iov_len = sizeof(m->buffer) };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t len = recvmsg(mnl_socket_get_fd(m->socket), &msg, MSG_DONTWAIT);
	int ret;

	if (len < 0) {
		if (errno == EAGAIN)
			return 0;
		if (errno == EINTR)
			return 1;
		if (errno != ENOBUFS)
			return -errno;
	}
	if (len < 0 || (msg.msg_flags & MSG_TRUNC)) {
		m->stats.overruns++; /* events were lost: nothing that we have is certain */
		m->interrupted = true;
		m->state.dirty |= MIRROR_ALL;
		return 1;
	}
	if (from.nl_pid != 0) /* not the kernel */
		return 1;
	ret = datagram_receive(m, (int)len, now);
	if (ret == -ENOMEM)
		m->state.dirty |= MIRROR_ALL;
	return ret < 0 ? ret : 1;
}

/* ---- the turn of the main loop ---- */

static void routes_schedule(struct host_mirror *m, int64_t now)
{
	if (m->state.silent) {
		m->state.silent = false;
		m->state.dirty |= 1u << MIRROR_ROUTE;
		m->routes_at = now + SILENT_MS;
	} else if (m->routes_at && now >= m->routes_at) {
		m->routes_at = 0;
		m->state.dirty |= 1u << MIRROR_ROUTE;
	}
}

/* Between datagrams. A sweep that is under way begins again in a table that has grown. */
static void tables_grow(struct host_mirror *m)
{
	for (int kind = MIRROR_ADDRESS; kind < MIRROR_KINDS; kind++) {
		if (mirror_table_grow(&m->state.table[kind]) && kind == (int)m->kind)
			m->sweep = 0;
	}
}

int host_mirror_process(struct host_mirror *m)
{
	int64_t now = now_ms();
	int left = 1, ret;

	for (int i = 0; i < DATAGRAMS && left > 0; i++) {
		left = datagram_take(m, now);
		tables_grow(m);
	}
	if (left < 0)
		return left;

	mirror_state_tell_again(&m->state);
	if (m->phase == DUMP_SWEEPING) {
		if (!mirror_state_sweep(&m->state, m->kind, &m->sweep, SWEEP_BUCKETS))
			return 1;
		m->phase = DUMP_IDLE;
	}
	if (m->phase == DUMP_READING && now - m->dump_at > DUMP_TIMEOUT_MS)
		dump_again(m, now);
	routes_schedule(m, now);
	/* Into an empty queue: a dump finds no room in one that is full of events. */
	if (m->phase == DUMP_IDLE && m->state.dirty && left == 0 && now >= m->retry_at) {
		ret = dump_start(m, now);
		left = ret ? ret : 1;
	}
	return left;
}
