/* SPDX-License-Identifier: BSD-3-Clause */
#include "path_mtu_socket.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>

#include "log.h"
#include "path_mtu.h"

#define MESSAGE_MAX \
	1500        /* a quote is at most 576 (RFC 1812) or 1280 bytes (RFC 4443); more is cut */
#define READ_MAX 64 /* messages in one call */

/* Of all that is ICMP only destinations unreachable, and packets too big. */
static int socket_filter(int fd, enum ip_family family)
{
	struct icmp_filter v4 = { .data = ~(1u << ICMP_DEST_UNREACH) };
	struct icmp6_filter v6;

	if (family == IP_V4)
		return setsockopt(fd, SOL_RAW, ICMP_FILTER, &v4, sizeof(v4));
	ICMP6_FILTER_SETBLOCKALL(&v6);
	ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &v6);
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6, sizeof(v6));
}

int path_mtu_socket_open(enum ip_family family)
{
	int fd = socket(family == IP_V4 ? AF_INET : AF_INET6,
			SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			family == IP_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	int err = 0;

	if (fd < 0 || socket_filter(fd, family) != 0)
		err = -errno;
	if (err == 0)
		return fd;
	log_warn("no raw %s socket (%s): what a path takes is not learnt over IPv%d. Start with "
		 "CAP_NET_RAW, or set the tunnels' mtu",
		 family == IP_V4 ? "ICMP" : "ICMPv6", strerror(-err), family == IP_V4 ? 4 : 6);
	if (fd >= 0)
		close(fd);
	return err;
}

void path_mtu_socket_read(struct gateway *gw, enum ip_family family, int fd)
{
	uint8_t message[MESSAGE_MAX];
	ssize_t n = 0;

	for (uint32_t i = 0; i < READ_MAX && n >= 0; i++) {
		n = recv(fd, message, sizeof(message), 0);
		if (n < 0)
			break;
		/* The kernel gives IPv4 with its header, and IPv6 without, its checksum checked. */
		if (family == IP_V4)
			path_mtu_packet(gw, message, (uint32_t)n);
		else
			path_mtu_message(gw, family, message, (uint32_t)n);
	}
}
