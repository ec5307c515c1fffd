/* SPDX-License-Identifier: BSD-3-Clause */
/* What the mirror reads from messages of rtnetlink: well-formed ones, and all kinds of broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/lwtunnel.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "host_mirror_message.h"

#define MESSAGE_MAX 1024
#define MUTATIONS   100000

struct message {
	uint8_t bytes[MESSAGE_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *nlh;
};

static void *begin(struct message *m, uint16_t type, size_t head)
{
	memset(m, 0, sizeof(*m));
	m->nlh = mnl_nlmsg_put_header(m->bytes);
	m->nlh->nlmsg_type = type;
	return mnl_nlmsg_put_extra_header(m->nlh, head);
}

static void put_addr(struct message *m, uint16_t type, const char *text)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	uint8_t bytes[16];

	assert_int_equal(inet_pton(family, text, bytes), 1);
	mnl_attr_put(m->nlh, type, family == AF_INET ? 4 : 16, bytes);
}

static struct ip_addr parse(const char *text)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	uint8_t bytes[16];

	assert_int_equal(inet_pton(family, text, bytes), 1);
	return ip_load(family == AF_INET ? IP_V4 : IP_V6, bytes);
}

static void put_via(struct message *m, const char *text)
{
	struct {
		uint16_t family;
		uint8_t addr[16];
	} via = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	assert_int_equal(inet_pton(via.family, text, via.addr), 1);
	mnl_attr_put(m->nlh, RTA_VIA, via.family == AF_INET ? 6 : 18, &via);
}

static void route_begin(struct message *m, int family, uint8_t len, const char *prefix)
{
	struct rtmsg *rtm = begin(m, RTM_NEWROUTE, sizeof(*rtm));

	rtm->rtm_family = (uint8_t)family;
	rtm->rtm_dst_len = len;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_type = RTN_UNICAST;
	if (prefix)
		put_addr(m, RTA_DST, prefix);
}

/* Opens a next hop within RTA_MULTIPATH; hop_end() closes it. */
static struct rtnexthop *hop_begin(struct message *m, int ifindex, uint8_t flags)
{
	struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(m->nlh);

	memset(nh, 0, sizeof(*nh));
	nh->rtnh_ifindex = ifindex;
	nh->rtnh_flags = flags;
	m->nlh->nlmsg_len += sizeof(*nh);
	return nh;
}

static void hop_end(struct message *m, struct rtnexthop *nh)
{
	nh->rtnh_len = (uint16_t)((uint8_t *)mnl_nlmsg_get_payload_tail(m->nlh) - (uint8_t *)nh);
}

static void multipath_message(struct message *m)
{
	struct nlattr *nest;
	struct rtnexthop *nh;

	route_begin(m, AF_INET, 8, "10.0.0.0");
	mnl_attr_put_u32(m->nlh, RTA_PRIORITY, 20);
	nest = mnl_attr_nest_start(m->nlh, RTA_MULTIPATH);
	nh = hop_begin(m, 3, RTNH_F_DEAD);
	put_addr(m, RTA_GATEWAY, "192.0.2.1");
	hop_end(m, nh);
	nh = hop_begin(m, 4, 0);
	put_via(m, "2001:db8::1");
	hop_end(m, nh);
	nh = hop_begin(m, 5, 0);
	put_addr(m, RTA_GATEWAY, "192.0.2.3");
	mnl_attr_put_u16(m->nlh, RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_MPLS);
	mnl_attr_put_u32(m->nlh, RTA_ENCAP, 0);
	hop_end(m, nh);
	mnl_attr_nest_end(m->nlh, nest);
}

static void route_message(struct message *m)
{
	route_begin(m, AF_INET6, 48, "2001:db8:5::");
	mnl_attr_put_u32(m->nlh, RTA_TABLE, RT_TABLE_MAIN);
	mnl_attr_put_u32(m->nlh, RTA_PRIORITY, 1024);
	mnl_attr_put_u32(m->nlh, RTA_OIF, 3);
	put_addr(m, RTA_GATEWAY, "fe80::1");
}

static void via_message(struct message *m)
{
	route_begin(m, AF_INET, 0, NULL);
	mnl_attr_put_u32(m->nlh, RTA_OIF, 3);
	put_via(m, "2001:db8::1");
}

static void link_message(struct message *m)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	struct ifinfomsg *info = begin(m, RTM_NEWLINK, sizeof(*info));

	info->ifi_index = 3;
	info->ifi_flags = IFF_UP | IFF_RUNNING;
	mnl_attr_put_strz(m->nlh, IFLA_IFNAME, "fifteen-letters");
	mnl_attr_put_u32(m->nlh, IFLA_MTU, 1500);
	mnl_attr_put(m->nlh, IFLA_ADDRESS, sizeof(mac), mac);
}

static void address_message(struct message *m)
{
	struct ifaddrmsg *info = begin(m, RTM_NEWADDR, sizeof(*info));

	info->ifa_family = AF_INET;
	info->ifa_index = 3;
	info->ifa_prefixlen = 24;
	put_addr(m, IFA_ADDRESS, "192.0.2.2");
	put_addr(m, IFA_LOCAL, "192.0.2.1");
	mnl_attr_put_u32(m->nlh, IFA_FLAGS, IFA_F_PERMANENT);
}

static void neighbour_message(struct message *m)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	struct ndmsg *ndm = begin(m, RTM_NEWNEIGH, sizeof(*ndm));

	ndm->ndm_family = AF_INET6;
	ndm->ndm_ifindex = 3;
	ndm->ndm_state = NUD_REACHABLE;
	ndm->ndm_type = RTN_UNICAST;
	put_addr(m, NDA_DST, "fe80::1");
	mnl_attr_put(m->nlh, NDA_LLADDR, sizeof(mac), mac);
}

static void well_formed(void **state)
{
	struct mirror_neighbour neighbour;
	struct mirror_address address;
	struct mirror_route route;
	struct mirror_link link;
	struct message m;

	link_message(&m);
	assert_int_equal(mirror_read_link(m.nlh, &link), 0);
	assert_string_equal(link.name, "fifteen-letters");
	assert_true(link.up && link.present && link.ifindex == 3 && link.mtu == 1500);
	assert_int_equal(link.mac[5], 9);

	address_message(&m);
	assert_int_equal(mirror_read_address(m.nlh, &address), 0);
	assert_true(address.present && address.ifindex == 3 && address.len == 24);
	assert_true(ip_equal(address.addr, parse("192.0.2.1")));

	neighbour_message(&m);
	assert_int_equal(mirror_read_neighbour(m.nlh, &neighbour), 0);
	assert_true(neighbour.usable && neighbour.mac[5] == 9);
	assert_true(ip_equal(neighbour.addr, parse("fe80::1")));

	route_message(&m);
	assert_int_equal(mirror_read_route(m.nlh, &route), 0);
	assert_true(route.present && !route.replace && !route.multipath && route.hops == 1);
	assert_true(route.metric == 1024 && route.len == 48 && route.hop[0].usable);
	assert_true(ip_equal(route.hop[0].gateway, parse("fe80::1")));

	via_message(&m);
	assert_int_equal(mirror_read_route(m.nlh, &route), 0);
	assert_true(route.hops == 1 && route.hop[0].gateway_family == IP_V6);
	assert_true(ip_equal(route.hop[0].gateway, parse("2001:db8::1")));

	multipath_message(&m);
	assert_int_equal(mirror_read_route(m.nlh, &route), 0);
	assert_true(route.multipath && route.hops == 3 && route.metric == 20);
	assert_false(route.hop[0].usable); /* dead */
	assert_true(route.hop[1].usable && route.hop[1].ifindex == 4);
	assert_int_equal(route.hop[1].gateway_family, IP_V6);
	assert_false(route.hop[2].usable); /* encapsulated */
}

static void not_for_the_mirror(void **state)
{
	struct mirror_neighbour neighbour;
	struct mirror_address address;
	struct mirror_route route;
	struct mirror_link link;
	struct message m;

	link_message(&m);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(m.nlh))->ifi_family = AF_BRIDGE;
	assert_int_equal(mirror_read_link(m.nlh, &link), 1);

	address_message(&m);
	((struct ifaddrmsg *)mnl_nlmsg_get_payload(m.nlh))->ifa_scope = RT_SCOPE_LINK;
	assert_int_equal(mirror_read_address(m.nlh, &address), 1);

	neighbour_message(&m);
	((struct ndmsg *)mnl_nlmsg_get_payload(m.nlh))->ndm_flags = NTF_PROXY;
	assert_int_equal(mirror_read_neighbour(m.nlh, &neighbour), 1);
	neighbour_message(&m);
	((struct ndmsg *)mnl_nlmsg_get_payload(m.nlh))->ndm_family = AF_BRIDGE;
	assert_int_equal(mirror_read_neighbour(m.nlh, &neighbour), 1);

	route_message(&m);
	((struct rtmsg *)mnl_nlmsg_get_payload(m.nlh))->rtm_flags = RTM_F_CLONED;
	assert_int_equal(mirror_read_route(m.nlh, &route), 1);
	route_begin(&m, AF_INET, 24, "10.0.0.0");
	mnl_attr_put_u32(m.nlh, RTA_TABLE, 1000);
	assert_int_equal(mirror_read_route(m.nlh, &route), 1);
	route_begin(&m, AF_INET, 4, "224.0.0.0");
	assert_int_equal(mirror_read_route(m.nlh, &route), 1);
	route_begin(&m, AF_INET6, 64, "fe80::");
	assert_int_equal(mirror_read_route(m.nlh, &route), 1);
	route_begin(&m, AF_INET6, 8, "ff00::");
	assert_int_equal(mirror_read_route(m.nlh, &route), 1);
}

static void more_next_hops_than_looked_at(void **state)
{
	struct mirror_route route;
	struct nlattr *nest;
	struct message m;

	route_begin(&m, AF_INET, 8, "10.0.0.0");
	nest = mnl_attr_nest_start(m.nlh, RTA_MULTIPATH);
	for (int i = 0; i < MIRROR_HOPS + 5; i++) {
		struct rtnexthop *nh = hop_begin(&m, i + 1, 0);

		put_addr(&m, RTA_GATEWAY, "192.0.2.1");
		hop_end(&m, nh);
	}
	mnl_attr_nest_end(m.nlh, nest);
	assert_int_equal(mirror_read_route(m.nlh, &route), 0);
	assert_int_equal(route.hops, MIRROR_HOPS);
}

/* Reads a message by its type and checks what must hold of anything that was understood. */
static int read_any(const struct nlmsghdr *nlh, uint16_t type)
{
	struct mirror_neighbour neighbour;
	struct mirror_address address;
	struct mirror_route route;
	struct mirror_link link;
	int ret;

	switch (type) {
	case RTM_NEWLINK:
		ret = mirror_read_link(nlh, &link);
		if (!ret)
			assert_non_null(memchr(link.name, 0, sizeof(link.name)));
		return ret;
	case RTM_NEWADDR:
		ret = mirror_read_address(nlh, &address);
		if (!ret)
			assert_true(address.family <= IP_V6 &&
				    address.len <= ip_bits(address.family));
		return ret;
	case RTM_NEWNEIGH:
		ret = mirror_read_neighbour(nlh, &neighbour);
		if (!ret)
			assert_true(neighbour.family <= IP_V6);
		return ret;
	default:
		ret = mirror_read_route(nlh, &route);
		if (!ret) {
			assert_true(route.family <= IP_V6 && route.len <= ip_bits(route.family));
			assert_true(route.hops <= MIRROR_HOPS);
			assert_true(ip_equal(route.prefix, ip_prefix(route.prefix, route.len)));
		}
		return ret;
	}
}

static void (*const builders[])(struct message *m) = { link_message,      address_message,
						       neighbour_message, route_message,
						       via_message,       multipath_message };

#define BUILDERS (sizeof(builders) / sizeof(builders[0]))

/* In memory of just that size, so that the sanitizer sees a byte too far. */
static int read_copy(const struct message *m, uint32_t len)
{
	struct nlmsghdr *copy = malloc(len);
	int ret;

	assert_non_null(copy);
	memcpy(copy, m->bytes, len);
	copy->nlmsg_len = len;
	ret = read_any(copy, m->nlh->nlmsg_type);
	free(copy);
	assert_true(ret == 0 || ret == 1 || ret == -EBADMSG);
	return ret;
}

static void truncated(void **state)
{
	struct message m;

	for (size_t i = 0; i < BUILDERS; i++) {
		builders[i](&m);
		assert_int_equal(read_copy(&m, m.nlh->nlmsg_len), 0);
		for (uint32_t len = sizeof(*m.nlh); len < m.nlh->nlmsg_len; len++)
			read_copy(&m, len);
		assert_int_equal(read_copy(&m, sizeof(*m.nlh)), -EBADMSG);
	}
}

static void mutated(void **state)
{
	unsigned int seed = 1;
	uint32_t refused = 0;
	struct message m;

	for (int i = 0; i < MUTATIONS; i++) {
		uint32_t body;

		builders[(size_t)i % BUILDERS](&m);
		body = m.nlh->nlmsg_len - (uint32_t)sizeof(*m.nlh);
		for (int n = 1 + rand_r(&seed) % 4; n > 0; n--)
			m.bytes[sizeof(*m.nlh) + (uint32_t)rand_r(&seed) % body] =
				(uint8_t)rand_r(&seed);
		refused += read_copy(&m, m.nlh->nlmsg_len) != 0;
	}
	assert_true(refused > MUTATIONS / 100);
	assert_true(refused < MUTATIONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed),
		cmocka_unit_test(not_for_the_mirror),
		cmocka_unit_test(more_next_hops_than_looked_at),
		cmocka_unit_test(truncated),
		cmocka_unit_test(mutated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
