/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steering program of an underlay port: ESP and the NAT keepalives among it go to the AF_XDP socket
 * of their queue, everything else stays with the kernel. It never drops: what it can't make out, it passes.
 *
 * Loaded by net_af_xdp (devarg xdp_prog=), which takes the first program of the object and puts its
 * sockets into `xsks_map`.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steer.h"

#define PORT_IKE      500
#define PORT_ESP      4500
#define PROTO_ICMPV6  58
#define TAGS_MAX      2      /* 802.1ad over 802.1Q */
#define EXTENSION_MAX 6      /* IPv6 extension headers walked */
#define IPV4_FRAGMENT 0x3fff /* more fragments, or an offset: first and later ones alike */
#define IPV6_FRAGMENT 0xfff9
#define IPV4_OFFSET   0x1fff
#define IPV6_OFFSET   0xfff8

#define FRAGMENTED    4096                 /* packets in pieces that are remembered at a time */
#define FRAGMENTED_NS (60 * 1000000000ull) /* RFC 8200 section 4.5 */
#define KERNEL_NS     1000000000ull        /* by so much a piece may overtake the first */

struct vlan_tag {
	__be16 tci;
	__be16 type;
};

struct ipv6_fragment {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_counts);
} steer_counts SEC(".maps");

/* A packet that was cut, by what all its pieces show. */
struct fragment_key {
	__be32 address[8]; /* source and destination */
	__be32 id;
	__u32 version;
};

/* Where the pieces of a UDP packet go. */
struct fragment_way {
	__u64 since;
	__u64 kernel; /* else to the socket: the first one was ESP */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTED);
	__type(key, struct fragment_key);
	__type(value, struct fragment_way);
} steer_fragmented SEC(".maps");

/* The UDP length tells a keepalive from Ethernet padding behind it. */
static __always_inline enum xdp_class class_udp(void *pos, void *end)
{
	struct udphdr *udp = pos;
	__u8 *payload = (void *)(udp + 1);
	__u16 len;

	if ((void *)payload > end)
		return XDP_CLASS_MALFORMED;
	if (udp->dest == bpf_htons(PORT_IKE))
		return XDP_CLASS_IKE;
	if (udp->dest != bpf_htons(PORT_ESP))
		return XDP_CLASS_OTHER;

	len = bpf_ntohs(udp->len);
	if (len == sizeof(*udp) + 1 && (void *)(payload + 1) <= end && *payload == 0xff)
		return XDP_CLASS_KEEPALIVE;
	if (len < sizeof(*udp) + sizeof(__be32) || (void *)(payload + sizeof(__be32)) > end)
		return XDP_CLASS_MALFORMED;
	return *(__be32 *)payload ? XDP_CLASS_ESP_UDP : XDP_CLASS_IKE;
}

/*
 * A piece of a UDP packet. Only the first one shows the port; the others go where the first went. One
 * that comes before it goes to the kernel, and then so does the first one, for only together are they of use:
 * what turns out to be ESP comes to the dataplane from there (esp_udp_socket.h).
 */
static __always_inline enum xdp_class class_udp_fragment(const struct fragment_key *key, bool first,
							 void *udp, void *end)
{
	struct fragment_way way = { .since = bpf_ktime_get_ns(), .kernel = 1 }, *known;
	bool esp = first && class_udp(udp, end) == XDP_CLASS_ESP_UDP;

	known = bpf_map_lookup_elem(&steer_fragmented, key);
	if (known && way.since - known->since >= (known->kernel ? KERNEL_NS : FRAGMENTED_NS))
		known = NULL;
	/* The identification of a first one may have been another packet's. */
	if (known && (!first || (esp && known->kernel)))
		return known->kernel ? XDP_CLASS_FRAGMENT : XDP_CLASS_ESP_FRAGMENT;
	way.kernel = !esp;
	bpf_map_update_elem(&steer_fragmented, key, &way, BPF_ANY);
	return esp ? XDP_CLASS_ESP_FRAGMENT : XDP_CLASS_FRAGMENT;
}

static __always_inline enum xdp_class fragment_ipv4(struct iphdr *ip, void *end)
{
	struct fragment_key key = {
		.address = { ip->saddr, ip->daddr },
		.id = ip->id,
		.version = 4,
	};

	if (ip->protocol == IPPROTO_ESP)
		return XDP_CLASS_ESP_FRAGMENT;
	if (ip->protocol != IPPROTO_UDP)
		return XDP_CLASS_FRAGMENT;
	return class_udp_fragment(&key, !(ip->frag_off & bpf_htons(IPV4_OFFSET)),
				  (void *)ip + ip->ihl * 4, end);
}

static __always_inline enum xdp_class fragment_ipv6(struct ipv6hdr *ip,
						    struct ipv6_fragment *fragment, void *end)
{
	struct fragment_key key = { .id = fragment->id, .version = 6 };

	if (fragment->next == IPPROTO_ESP)
		return XDP_CLASS_ESP_FRAGMENT;
	if (fragment->next != IPPROTO_UDP)
		return XDP_CLASS_FRAGMENT;
	__builtin_memcpy(key.address, &ip->saddr, sizeof(key.address));
	return class_udp_fragment(&key, !(fragment->offset & bpf_htons(IPV6_OFFSET)), fragment + 1,
				  end);
}

static __always_inline enum xdp_class class_ipv4(void *pos, void *end)
{
	struct iphdr *ip = pos;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return XDP_CLASS_MALFORMED;
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT))
		return fragment_ipv4(ip, end);

	switch (ip->protocol) {
	case IPPROTO_ESP:
		return XDP_CLASS_ESP;
	case IPPROTO_UDP:
		return class_udp(pos + ip->ihl * 4, end);
	case IPPROTO_ICMP:
		return XDP_CLASS_ICMP;
	default:
		return XDP_CLASS_OTHER;
	}
}

static __always_inline enum xdp_class class_icmpv6(__u8 *type, void *end)
{
	if ((void *)(type + 1) > end)
		return XDP_CLASS_MALFORMED;
	return *type >= 133 && *type <= 137 ? XDP_CLASS_ND : XDP_CLASS_ICMP;
}

static __always_inline enum xdp_class class_ipv6(void *pos, void *end)
{
	struct ipv6hdr *ip = pos;
	struct ipv6_fragment *fragment;
	__u8 *extension;
	__u8 next;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return XDP_CLASS_MALFORMED;
	next = ip->nexthdr;
	pos = ip + 1;

	for (int i = 0; i <= EXTENSION_MAX; i++) {
		switch (next) {
		case IPPROTO_ESP:
			return XDP_CLASS_ESP;
		case IPPROTO_UDP:
			return class_udp(pos, end);
		case PROTO_ICMPV6:
			return class_icmpv6(pos, end);
		case IPPROTO_FRAGMENT:
			fragment = pos;
			if ((void *)(fragment + 1) > end)
				return XDP_CLASS_MALFORMED;
			next = fragment->next;
			if (fragment->offset & bpf_htons(IPV6_FRAGMENT))
				return fragment_ipv6(ip, fragment, end);
			pos = fragment + 1; /* an atomic fragment, RFC 6946, is whole */
			break;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			extension = pos;
			if ((void *)(extension + 2) > end)
				return XDP_CLASS_MALFORMED;
			next = extension[0];
			pos += (extension[1] + 1) * 8;
			break;
		default:
			return XDP_CLASS_OTHER;
		}
	}
	return XDP_CLASS_OTHER;
}

static __always_inline enum xdp_class class_frame(void *pos, void *end)
{
	struct ethhdr *eth = pos;
	struct vlan_tag *tag = pos + sizeof(*eth);
	__be16 type;

	if ((void *)(eth + 1) > end)
		return XDP_CLASS_MALFORMED;
	type = eth->h_proto;
	for (int i = 0; i < TAGS_MAX; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return XDP_CLASS_MALFORMED;
		type = tag->type;
		tag++;
	}

	switch (type) {
	case bpf_htons(ETH_P_IP):
		return class_ipv4(tag, end);
	case bpf_htons(ETH_P_IPV6):
		return class_ipv6(tag, end);
	case bpf_htons(ETH_P_ARP):
		return XDP_CLASS_ARP;
	default:
		return XDP_CLASS_OTHER;
	}
}

SEC("xdp")
int kaido_steer(struct xdp_md *ctx)
{
	enum xdp_class class = class_frame((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct steer_counts *counts;
	__u32 zero = 0;
	int action = XDP_PASS;

	if (class <= XDP_CLASS_TO_SOCKET) {
		/* XDP_PASS is what the helper returns where the queue has no socket. */
		action = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
		if (action != XDP_REDIRECT)
			class = XDP_CLASS_NO_SOCKET;
	}
	counts = bpf_map_lookup_elem(&steer_counts, &zero);
	if (counts && class < XDP_CLASSES)
		counts->packets[class]++;
	return action;
}

/* Helpers that ask for the GPL are not used. */
char LICENSE[] SEC("license") = "BSD-3-Clause";
