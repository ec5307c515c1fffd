/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket map can't be asked for its sockets from user space. What can be asked is whether a queue
 * is taken: the kernel binds one AF_XDP socket to a queue, and refuses the next one.
 */
#include "steer_clear.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/if_xdp.h>

#include "steer_stats.h"

#define UMEM_SIZE    4096 /* one frame */
#define RING_SIZE    1
#define WAIT_STEPS   100
#define WAIT_STEP_NS 10000000 /* 10 ms */

/* 0: the queue is free; -EBUSY: it has a socket; -EINVAL: there is no such queue. */
static int queue_bind(int fd, void *umem, unsigned int ifindex, uint32_t queue)
{
	struct xdp_umem_reg reg = { .addr = (uintptr_t)umem,
				    .len = UMEM_SIZE,
				    .chunk_size = UMEM_SIZE };
	struct sockaddr_xdp addr = { .sxdp_family = AF_XDP,
				     .sxdp_flags = XDP_COPY,
				     .sxdp_ifindex = ifindex,
				     .sxdp_queue_id = queue };
	uint32_t ring = RING_SIZE;

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &ring, sizeof(ring)) ||
	    setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &ring, sizeof(ring)) ||
	    setsockopt(fd, SOL_XDP, XDP_RX_RING, &ring, sizeof(ring)))
		return errno == EINVAL ? -EIO : -errno;
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

static int queue_probe(unsigned int ifindex, uint32_t queue)
{
	void *umem;
	int fd, ret;

	umem = mmap(NULL, UMEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (umem == MAP_FAILED)
		return -errno;
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		ret = -errno;
	} else {
		ret = queue_bind(fd, umem, ifindex, queue);
		close(fd);
	}
	munmap(umem, UMEM_SIZE);
	return ret;
}

/* 0 when no queue of the device has a socket. */
static int sockets_gone(unsigned int ifindex)
{
	for (uint32_t queue = 0; queue < STEER_QUEUES; queue++) {
		int ret = queue_probe(ifindex, queue);

		if (ret == -EINVAL && queue > 0)
			return 0;
		if (ret)
			return ret;
	}
	return 0;
}

int steer_clear(const char *ifname)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP_NS };
	unsigned int ifindex = if_nametoindex(ifname);
	uint32_t id;
	int ret;

	if (!ifindex)
		return -ENODEV;
	ret = steer_attached(ifindex, &id);
	if (ret)
		return ret == -ENOENT ? 0 : ret;

	ret = sockets_gone(ifindex);
	for (int i = 0; i < WAIT_STEPS && ret == -EBUSY; i++) {
		nanosleep(&step, NULL);
		ret = sockets_gone(ifindex);
	}
	if (ret)
		return ret;
	return bpf_xdp_detach((int)ifindex, 0, NULL);
}
