/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an IKE daemon keeps open for ESP in UDP (RFC 3948): sockets on the given ports, of both
 * families, that hand ESP to the kernel. All else that comes is read and thrown away.
 *
 *	encap_socket PORT...
 *
 * Ends when it is killed; prints a line when it is ready.
 */
#include <errno.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PORTS_MAX 16

static int encap_open(int family, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(family, SOCK_DGRAM, 0), encap = UDP_ENCAP_ESPINUDP, one = 1;

	if (fd < 0)
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		return -errno;
	if (bind(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		 family == AF_INET ? sizeof(v4) : sizeof(v6)))
		return -errno;
	if (setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &encap, sizeof(encap)))
		return -errno;
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd fds[2 * PORTS_MAX];
	nfds_t count = 0;
	char rest[65536];

	for (int i = 1; i < argc && i <= PORTS_MAX; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			int fd = encap_open(v6 ? AF_INET6 : AF_INET,
					    (uint16_t)strtoul(argv[i], NULL, 10));

			if (fd < 0) {
				fprintf(stderr, "encap_socket: port %s: %s\n", argv[i],
					strerror(-fd));
				return 1;
			}
			fds[count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		}
	}
	puts("ready");
	fflush(stdout);
	while (poll(fds, count, -1) > 0) {
		for (nfds_t i = 0; i < count; i++) {
			if (fds[i].revents)
				(void)!recv(fds[i].fd, rest, sizeof(rest), MSG_DONTWAIT);
		}
	}
	return 0;
}
