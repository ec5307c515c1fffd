/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "esp_udp_socket.h"
#include "event_notes.h"
#include "exception.h"
#include "gateway.h"
#include "host_mirror.h"
#include "log.h"
#include "neighbour.h"
#include "path_mtu_socket.h"
#include "reclaim.h"
#include "southbound.h"
#include "tunnel_timer.h"
#include "underlay.h"
#include "vrf.h"
#include "worker.h"

#define TICK_MS    100  /* neighbours' timers */
#define DEVICES_MS 1000 /* the devices' own counters */
#define POLL_MS    1    /* how long a packet for us may wait */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* What the workers handed over. */
static uint32_t loop_packets(struct control_loop *loop)
{
	void *mbufs[BURST_MAX];
	uint32_t n = rte_ring_dequeue_burst(loop->from_workers, mbufs, BURST_MAX, NULL);

	for (uint32_t i = 0; i < n; i++) {
		switch (mbuf_packet(mbufs[i])->route) {
		case HANDOFF_NEIGHBOUR:
			neighbour_receive(loop->gw->neighbours, mbufs[i]);
			break;
		case HANDOFF_PUNT:
			exception_punt(loop->gw, mbufs[i]);
			break;
		case HANDOFF_PATH_MTU:
			path_mtu_packet(loop->gw, mbuf_packet(mbufs[i])->l3,
					mbuf_packet(mbufs[i])->length);
			rte_pktmbuf_free(mbufs[i]);
			break;
		default:
			neighbour_wait(loop->gw->neighbours, mbufs[i]);
		}
	}
	return n;
}

static int loop_watch(int epoll, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

/* What a raw socket has; false: this is none of them. */
static bool loop_raw(struct control_loop *loop, int fd)
{
	for (int family = IP_V4; family <= IP_V6; family++) {
		if (fd == loop->icmp[family])
			path_mtu_socket_read(loop->gw, family, fd);
		else if (fd == loop->esp_udp[family])
			esp_udp_socket_read(loop->gw, family, fd);
		else
			continue;
		return true;
	}
	return false;
}

/* A bounded part of the work; true: more is left. */
static bool loop_mirror(struct gateway *gw)
{
	int err = host_mirror_process(gw->mirror);

	if (err < 0)
		log_error("underlay: netlink fails; the mirror reads everything again");
	return err > 0;
}

static void loop_timers(struct control_loop *loop, uint64_t now, uint64_t *tick, uint64_t *devices)
{
	struct gateway *gw = loop->gw;

	tunnel_timer_poll(gw, now);
	if (now >= *tick) {
		*tick = now + TICK_MS;
		if (gw->mirror != NULL)
			(void)loop_mirror(gw);
		neighbour_tick(gw->neighbours, now);
		path_mtu_tick(gw, now);
	}
	if (now >= *devices) {
		*devices = now + DEVICES_MS;
		for (uint32_t i = 0; i < gw->ports; i++)
			port_device_counters(&gw->port[i], &gw->own.port[i]);
	}
}

/* All that the loop sleeps on. */
static int loop_watch_all(int epoll, const struct control_loop *loop)
{
	int err = loop_watch(epoll, loop->signals);

	if (err == 0)
		err = loop_watch(epoll, southbound_fd(loop->southbound));
	if (err == 0 && loop->gw->mirror != NULL)
		err = loop_watch(epoll, host_mirror_fd(loop->gw->mirror));
	for (int family = IP_V4; family <= IP_V6 && err == 0; family++) {
		if (loop->icmp[family] >= 0)
			err = loop_watch(epoll, loop->icmp[family]);
		if (loop->esp_udp[family] >= 0 && err == 0)
			err = loop_watch(epoll, loop->esp_udp[family]);
	}
	return err;
}

int control_loop_run(struct control_loop *loop)
{
	struct gateway *gw = loop->gw;
	uint64_t tick = 0, devices = 0;
	bool stop = false, mirror_busy = false;
	int epoll = epoll_create1(EPOLL_CLOEXEC), err;

	if (epoll < 0)
		return -errno;
	err = loop_watch_all(epoll, loop);
	while (err == 0 && !stop) {
		struct epoll_event ev[4];
		uint32_t work = loop_packets(loop) + exception_poll(gw);
		int n = epoll_wait(epoll, ev, 4, work != 0 || mirror_busy ? 0 : POLL_MS);

		gw->now_ms = now_ms();
		event_notes_drain(gw);
		lifetime_tick(gw);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == loop->signals)
				stop = true;
			else if (ev[i].data.fd == southbound_fd(loop->southbound))
				southbound_poll(loop->southbound);
			else if (!loop_raw(loop, ev[i].data.fd))
				mirror_busy = true;
		}
		if (mirror_busy)
			mirror_busy = loop_mirror(gw);
		if (gw->generation != 0 && !*loop->go)
			__atomic_store_n(loop->go, 1, __ATOMIC_RELEASE);
		loop_timers(loop, gw->now_ms, &tick, &devices);
		underlay_poll(gw);
		reclaim_poll(gw->tables->reclaim);
	}
	close(epoll);
	return err;
}
