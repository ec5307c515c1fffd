/* SPDX-License-Identifier: BSD-3-Clause */
#include "steer_stats.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "abi/message.h"

#define MAPS_MAX 16 /* the program has two of its own */

static_assert(XDP_CLASSES <= ABI_PORT_CLASSES, "abi_port.steered has room for every class");
static_assert(sizeof(struct steer_counts) == XDP_CLASSES * sizeof(uint64_t),
	      "a counter is 64 bits on both sides");

struct steer {
	int map;
	int cpus;
	struct steer_counts per_cpu[]; /* where the kernel puts one value per possible CPU */
};

static const char *const class_names[XDP_CLASSES] = {
	[XDP_CLASS_ESP] = "esp",
	[XDP_CLASS_ESP_UDP] = "esp_udp",
	[XDP_CLASS_ESP_FRAGMENT] = "esp_fragment",
	[XDP_CLASS_NO_SOCKET] = "no_socket",
	[XDP_CLASS_IKE] = "ike",
	[XDP_CLASS_KEEPALIVE] = "keepalive",
	[XDP_CLASS_ARP] = "arp",
	[XDP_CLASS_ND] = "nd",
	[XDP_CLASS_ICMP] = "icmp",
	[XDP_CLASS_FRAGMENT] = "fragment",
	[XDP_CLASS_MALFORMED] = "malformed",
	[XDP_CLASS_OTHER] = "other",
};

const char *steer_class_name(enum xdp_class class)
{
	return (unsigned int)class < XDP_CLASSES ? class_names[class] : "unknown";
}

/* A descriptor and the description of a program. Returns the descriptor. */
static int program_open(uint32_t id, struct bpf_prog_info *info)
{
	uint32_t len = sizeof(*info);
	int fd, ret;

	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return fd;
	ret = bpf_obj_get_info_by_fd(fd, info, &len);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

int steer_attached(unsigned int ifindex, uint32_t *id)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = { 0 };
	int ret;

	ret = bpf_xdp_query((int)ifindex, 0, &query);
	if (ret)
		return ret;
	*id = query.prog_id;
	if (!*id)
		*id = query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
	if (!*id)
		return -ENOENT;

	ret = program_open(*id, &info);
	if (ret < 0)
		return ret;
	close(ret);
	return strcmp(info.name, STEER_PROGRAM_NAME) == 0 || strcmp(info.name, STEER_TAKE_NAME) == 0
		       ? 0
		       : -EEXIST;
}

/* The counters' map among the maps of a program: a descriptor, or -EEXIST where there is none. */
static int counts_open(uint32_t program)
{
	uint32_t maps[MAPS_MAX] = { 0 };
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)maps };
	int fd;

	fd = program_open(program, &info);
	if (fd < 0)
		return fd;
	close(fd);

	for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
		struct bpf_map_info map = { 0 };
		uint32_t len = sizeof(map);

		fd = bpf_map_get_fd_by_id(maps[i]);
		if (fd < 0)
			return fd;
		if (bpf_obj_get_info_by_fd(fd, &map, &len) == 0 &&
		    map.type == BPF_MAP_TYPE_PERCPU_ARRAY &&
		    map.value_size == sizeof(struct steer_counts) && map.max_entries == 1 &&
		    strcmp(map.name, STEER_MAP_COUNTS) == 0)
			return fd;
		close(fd);
	}
	return -EEXIST;
}

int steer_open(const char *ifname, struct steer **steer)
{
	unsigned int ifindex = if_nametoindex(ifname);
	int cpus = libbpf_num_possible_cpus();
	struct steer *s;
	uint32_t id;
	int ret;

	if (!ifindex)
		return -ENODEV;
	if (cpus < 0)
		return cpus;
	ret = steer_attached(ifindex, &id);
	if (ret)
		return ret;

	s = calloc(1, sizeof(*s) + (size_t)cpus * sizeof(s->per_cpu[0]));
	if (!s)
		return -ENOMEM;
	s->cpus = cpus;
	s->map = counts_open(id);
	if (s->map < 0) {
		ret = s->map;
		free(s);
		return ret;
	}
	*steer = s;
	return 0;
}

int steer_read(struct steer *steer, uint64_t counts[XDP_CLASSES])
{
	uint32_t zero = 0;
	int ret;

	ret = bpf_map_lookup_elem(steer->map, &zero, steer->per_cpu);
	if (ret)
		return ret;
	memset(counts, 0, XDP_CLASSES * sizeof(counts[0]));
	for (int cpu = 0; cpu < steer->cpus; cpu++) {
		for (int i = 0; i < XDP_CLASSES; i++)
			counts[i] += steer->per_cpu[cpu].packets[i];
	}
	return 0;
}

void steer_close(struct steer *steer)
{
	if (!steer)
		return;
	close(steer->map);
	free(steer);
}
