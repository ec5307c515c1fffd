/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_udp_socket.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <netinet/in.h>

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "gateway.h"
#include "ip_header.h"
#include "log.h"
#include "worker.h"

#define MESSAGE_MAX 16384 /* more than our own reassembly takes */
#define READ_MAX    32    /* messages in one call */
#define PROTO_UDP   17

/* UDP to port 4500 with an SPI: the offset of the UDP header is in X. IPv6 is shown without its header. */
static int socket_filter(int fd, enum ip_family family)
{
	struct sock_filter code[] = {
		family == IP_V4 ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
				: (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ABI_UDP_PORT, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, MESSAGE_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* Where a packet came in, and what its IPv6 header said. */
static int socket_tells(int fd, enum ip_family family)
{
	int on = 1;

	if (family == IP_V4)
		return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on)) != 0)
		return -1;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
}

int esp_udp_socket_open(enum ip_family family)
{
	int fd = socket(family == IP_V4 ? AF_INET : AF_INET6,
			SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	int err = 0;

	if (fd < 0 || socket_filter(fd, family) != 0 || socket_tells(fd, family) != 0)
		err = -errno;
	if (err == 0)
		return fd;
	log_warn("no raw UDP socket (%s): ESP in UDP whose fragments overtake each other is lost "
		 "over IPv%d. Start with CAP_NET_RAW",
		 strerror(-err), family == IP_V4 ? 4 : 6);
	if (fd >= 0)
		close(fd);
	return err;
}

bool port_is_steered(const struct port *port)
{
	return strncmp(port->device, "net_af_xdp", 10) == 0;
}

/* The underlay attachment on a steered port whose host device this is; NULL: none. */
static const struct attachment *attachment_of(const struct gateway *gw, int ifindex)
{
	char name[IF_NAMESIZE];

	if (if_indextoname((unsigned int)ifindex, name) == NULL)
		return NULL;
	for (uint32_t id = gw->tenant[0].first_attachment; id != 0; id = gw->attachment[id].next) {
		const struct attachment *a = &gw->tables->attachment[id];

		if (strncmp(gw->attachment[id].record.netdev, name, ABI_IFNAME_LEN) == 0 &&
		    port_is_steered(&gw->port[a->port]))
			return a;
	}
	return NULL;
}

/* At the end of a frame, in as many buffers as it takes. */
static bool frame_put(struct gateway *gw, struct rte_mbuf *frame, const uint8_t *bytes, uint32_t n)
{
	while (n != 0) {
		struct rte_mbuf *last = rte_pktmbuf_lastseg(frame);
		uint16_t room = rte_pktmbuf_tailroom(last);
		uint16_t take = (uint16_t)RTE_MIN(n, room);

		if (take == 0) {
			last = rte_pktmbuf_alloc(gw->pool);
			if (last == NULL || rte_pktmbuf_chain(frame, last) != 0) {
				rte_pktmbuf_free(last);
				return false;
			}
			continue;
		}
		memcpy(rte_pktmbuf_append(frame, take), bytes, take);
		bytes += take;
		n -= take;
	}
	return true;
}

/* What stands before what the socket gave: Ethernet and tag; the IPv6 header. Returns its length. */
static uint32_t head_write(uint8_t *head, const struct gateway *gw, const struct attachment *a,
			   enum ip_family family)
{
	uint32_t len = RTE_ETHER_HDR_LEN;

	memcpy(head, gw->port[a->port].mac, 6);
	memset(head + 6, 0, 6);
	if (a->vlan != 0) {
		store_be16(head + 12, RTE_ETHER_TYPE_VLAN);
		store_be16(head + 14, a->vlan);
		len += RTE_VLAN_HLEN;
	}
	store_be16(head + len - 2, family == IP_V4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	return len;
}

static void ipv6_write(uint8_t *ip, const struct in6_addr *source, const struct in6_addr *to,
		       uint8_t class, uint16_t payload)
{
	memset(ip, 0, 8);
	ip[0] = (uint8_t)(0x60 | class >> 4);
	ip[1] = (uint8_t)(class << 4);
	store_be16(ip + 4, payload);
	ip[6] = PROTO_UDP;
	ip[7] = 64;
	memcpy(ip + 8, source, 16);
	memcpy(ip + 24, to, 16);
}

/* What the kernel says of a message beside its bytes. */
struct arrival {
	struct sockaddr_in6 from;
	struct in6_addr to;
	int ifindex; /* 0: not told */
	int class;
};

static void arrival_read(struct msghdr *message, struct arrival *arrival)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			arrival->ifindex = v4.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&v6, CMSG_DATA(c), sizeof(v6));
			arrival->ifindex = (int)v6.ipi6_ifindex;
			arrival->to = v6.ipi6_addr;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&arrival->class, CMSG_DATA(c), sizeof(arrival->class));
		}
	}
}

/* To a worker, as a frame that the port received. */
static void packet_deliver(struct gateway *gw, enum ip_family family, const uint8_t *bytes,
			   uint32_t n, const struct arrival *arrival)
{
	const struct attachment *a = attachment_of(gw, arrival->ifindex);
	uint8_t head[RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN + IPV6_HEADER_LEN];
	struct rte_mbuf *frame;
	uint32_t len;

	if (a == NULL)
		return;
	len = head_write(head, gw, a, family);
	if (family == IP_V6) {
		ipv6_write(head + len, &arrival->from.sin6_addr, &arrival->to,
			   (uint8_t)arrival->class, (uint16_t)n);
		len += IPV6_HEADER_LEN;
	}
	frame = rte_pktmbuf_alloc(gw->pool);
	if (frame == NULL || !frame_put(gw, frame, head, len) || !frame_put(gw, frame, bytes, n)) {
		gw->own.port_drops[a->port].reason[DROP_no_buffer]++;
		rte_pktmbuf_free(frame);
		return;
	}
	*mbuf_packet(frame) = (struct packet){
		.route = HANDOFF_RECEIVED,
		.rx_port = (uint8_t)a->port,
	};
	if (rte_ring_enqueue(gw->worker[0]->inbox, frame) != 0) {
		gw->own.port_drops[a->port].reason[DROP_main_busy]++;
		rte_pktmbuf_free(frame);
	}
}

void esp_udp_socket_read(struct gateway *gw, enum ip_family family, int fd)
{
	uint8_t bytes[MESSAGE_MAX], control[256];

	for (uint32_t i = 0; i < READ_MAX; i++) {
		struct arrival arrival = { 0 };
		struct iovec part = { bytes, sizeof(bytes) };
		struct msghdr message = {
			.msg_name = &arrival.from,
			.msg_namelen = sizeof(arrival.from),
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n = recvmsg(fd, &message, 0);

		if (n < 0)
			break;
		arrival_read(&message, &arrival);
		if (!(message.msg_flags & MSG_TRUNC))
			packet_deliver(gw, family, bytes, (uint32_t)n, &arrival);
	}
}
