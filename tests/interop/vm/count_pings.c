/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pings, and prints how many answers came: scripts/count-pings for a machine without Python.
 *
 *	count_pings [-i SECONDS] [-W SECONDS] [-s BYTES] [-Q TOS] [-I SOURCE] [-D] [-l] ADDRESS COUNT
 *
 * It waits (-W) after its last request as long as it is told; -D forbids fragments. Only answers
 * with the payload that was sent count, each once. -l prints how many did not come instead. After SIGTERM
 * it sends no more. It never has more than UNANSWERED requests on their way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ICMP_LEN 8
#define ICMP_MAX 65507

/* Linux answers some 130 that come in one go after the machine stood still, and drops the rest. */
#define UNANSWERED 16
#define LATE       1.0 /* seconds, after which a request counts as one that has no answer */

struct pinger {
	int fd;
	struct sockaddr_storage to;
	socklen_t to_len;
	uint8_t request, reply; /* ICMP types */
	uint16_t id;
	unsigned int count, sent, answers;
	size_t len; /* of the whole ICMP message */
	double interval, wait;
	uint8_t message[ICMP_MAX];
	uint8_t received[ICMP_MAX + 60];
	bool answered[65536];
	double times[UNANSWERED]; /* when those were sent, by sequence number modulo UNANSWERED */
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = number;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* RFC 1071; the kernel does it for ICMPv6. */
static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(data[i] << 8 | data[i + 1]);
	if (len & 1)
		sum += (uint32_t)(data[len - 1] << 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void store_be16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

/* What can't be sent has no answer. */
static void request_send(struct pinger *p, uint16_t sequence)
{
	p->message[0] = p->request;
	store_be16(p->message + 2, 0);
	store_be16(p->message + 4, p->id);
	store_be16(p->message + 6, sequence);
	store_be16(p->message + 2, checksum(p->message, p->len));
	(void)!sendto(p->fd, p->message, p->len, 0, (struct sockaddr *)&p->to, p->to_len);
	p->times[sequence % UNANSWERED] = now();
}

static void answer_take(struct pinger *p)
{
	ssize_t len = recv(p->fd, p->received, sizeof(p->received), 0);
	size_t skip = p->to.ss_family == AF_INET && len > 0 ? (p->received[0] & 15) * 4u : 0;
	const uint8_t *icmp = p->received + skip;
	uint16_t sequence;

	if (len < 0 || (size_t)len != skip + p->len)
		return;
	sequence = (uint16_t)(icmp[6] << 8 | icmp[7]);
	if (icmp[0] != p->reply || (icmp[4] << 8 | icmp[5]) != p->id || sequence >= p->sent ||
	    memcmp(icmp + ICMP_LEN, p->message + ICMP_LEN, p->len - ICMP_LEN) ||
	    p->answered[sequence])
		return;
	p->answered[sequence] = true;
	p->answers++;
}

/* Takes answers until a time, or, once there are no more requests, until all are there. */
static void answers_take(struct pinger *p, double until, bool last)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };

	while (!last || p->answers < p->sent) {
		double left = until - now();

		if (poll(&fd, 1, left > 0 ? (int)(left * 1e3) + 1 : 0) > 0)
			answer_take(p);
		else if (left <= 0 || (stopped && !last))
			return;
	}
}

/* Are too many on their way, of which the oldest may be answered yet? */
static bool is_held(const struct pinger *p)
{
	return p->sent >= UNANSWERED && !p->answered[p->sent - UNANSWERED] &&
	       now() < p->times[p->sent % UNANSWERED] + LATE;
}

static socklen_t address_parse(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1 ? sizeof(*v6) : 0;
}

static int pinger_open(struct pinger *p, const char *address, const char *source, int tos,
		       bool whole)
{
	struct sockaddr_storage from;
	int room = 16 << 20, do_not = IP_PMTUDISC_DO;
	bool is_v4;

	p->to_len = address_parse(address, &p->to);
	if (!p->to_len || (source && address_parse(source, &from) != p->to_len))
		return -EINVAL;
	is_v4 = p->to.ss_family == AF_INET;
	p->request = is_v4 ? 8 : 128;
	p->reply = is_v4 ? 0 : 129;
	p->id = (uint16_t)getpid();
	p->fd = socket(p->to.ss_family, SOCK_RAW, is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (p->fd < 0)
		return -errno;
	if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(p->fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_TOS : IPV6_TCLASS, &tos,
		       sizeof(tos)))
		return -errno;
	if (whole &&
	    setsockopt(p->fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6,
		       is_v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &do_not, sizeof(do_not)))
		return -errno;
	if (source && bind(p->fd, (struct sockaddr *)&from, p->to_len))
		return -errno;
	for (size_t i = ICMP_LEN; i < p->len; i++)
		p->message[i] = (uint8_t)(i * 7);
	return 0;
}

int main(int argc, char **argv)
{
	static struct pinger p = { .len = ICMP_LEN + 56, .interval = 0.02, .wait = 10 };
	const char *source = NULL;
	bool whole = false, lost = false;
	int option, tos = 0, error;
	double due;

	while ((option = getopt(argc, argv, "i:W:s:Q:I:Dl")) >= 0) {
		if (option == 'i')
			p.interval = strtod(optarg, NULL);
		else if (option == 'W')
			p.wait = strtod(optarg, NULL);
		else if (option == 's')
			p.len = ICMP_LEN + strtoul(optarg, NULL, 0);
		else if (option == 'Q')
			tos = (int)strtol(optarg, NULL, 0);
		else if (option == 'I')
			source = optarg;
		else if (option == 'D')
			whole = true;
		else if (option == 'l')
			lost = true;
		else
			return 2;
	}
	p.count = argc - optind == 2 ? (unsigned int)strtoul(argv[optind + 1], NULL, 0) : 0;
	if (!p.count || p.count > 65536 || p.len > ICMP_MAX)
		return 2;
	error = pinger_open(&p, argv[optind], source, tos, whole);
	if (error) {
		fprintf(stderr, "count_pings: %s: %s\n", argv[optind], strerror(-error));
		return 1;
	}
	signal(SIGTERM, stop);
	due = now();
	while (p.sent < p.count && !stopped) {
		while (is_held(&p) && !stopped)
			answers_take(&p, now() + 0.01, false);
		request_send(&p, (uint16_t)p.sent++);
		due += p.interval;
		if (due < now())
			due = now(); /* no burst for what was not sent in time: it might be lost in a queue */
		if (p.sent < p.count)
			answers_take(&p, due, false);
	}
	answers_take(&p, now() + p.wait, true);
	printf("%u\n", lost ? p.sent - p.answers : p.answers);
	return 0;
}
