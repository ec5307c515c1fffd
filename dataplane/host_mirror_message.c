/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_mirror_message.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/* Attributes by type; those above `max` are left out. */
struct attributes {
	const struct nlattr **tb;
	uint16_t max;
};

static int collect(const struct nlattr *attr, void *data)
{
	struct attributes *a = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= a->max)
		a->tb[type] = attr;
	return MNL_CB_OK;
}

/*
 * `tb` has max + 1 members, all NULL. By the payload's length, since mnl_attr_parse() rounds that of
 * the message up.
 */
static int attributes(const struct nlmsghdr *nlh, size_t head, const struct nlattr **tb,
		      uint16_t max)
{
	const uint8_t *payload = mnl_nlmsg_get_payload(nlh);
	size_t len = mnl_nlmsg_get_payload_len(nlh);
	struct attributes a = { .tb = tb, .max = max };

	head = MNL_ALIGN(head);
	if (len < head)
		return -EBADMSG;
	return mnl_attr_parse_payload(payload + head, len - head, collect, &a) < 0 ? -EBADMSG : 0;
}

static int get_u32(const struct nlattr *attr, uint32_t *value)
{
	if (mnl_attr_get_payload_len(attr) != sizeof(*value))
		return -EBADMSG;
	memcpy(value, mnl_attr_get_payload(attr), sizeof(*value));
	return 0;
}

static int get_family(uint8_t netlink, enum ip_family *family)
{
	if (netlink != AF_INET && netlink != AF_INET6)
		return 1;
	*family = netlink == AF_INET ? IP_V4 : IP_V6;
	return 0;
}

static int get_addr(const struct nlattr *attr, enum ip_family family, struct ip_addr *addr)
{
	if (mnl_attr_get_payload_len(attr) != ip_bits(family) / 8)
		return -EBADMSG;
	*addr = ip_load(family, mnl_attr_get_payload(attr));
	return 0;
}

int mirror_read_link(const struct nlmsghdr *nlh, struct mirror_link *link)
{
	const struct nlattr *tb[IFLA_MTU + 1] = { 0 };
	const struct ifinfomsg *info;

	if (attributes(nlh, sizeof(*info), tb, IFLA_MTU))
		return -EBADMSG;
	info = mnl_nlmsg_get_payload(nlh);
	if (info->ifi_family != AF_UNSPEC) /* a bridge tells of its ports in the same messages */
		return 1;

	memset(link, 0, sizeof(*link));
	link->present = nlh->nlmsg_type == RTM_NEWLINK;
	link->ifindex = (uint32_t)info->ifi_index;
	link->up = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
	if (!tb[IFLA_IFNAME] || mnl_attr_validate(tb[IFLA_IFNAME], MNL_TYPE_NUL_STRING) < 0 ||
	    mnl_attr_get_payload_len(tb[IFLA_IFNAME]) > sizeof(link->name))
		return -EBADMSG;
	memcpy(link->name, mnl_attr_get_payload(tb[IFLA_IFNAME]),
	       mnl_attr_get_payload_len(tb[IFLA_IFNAME]));
	if (tb[IFLA_MTU] && get_u32(tb[IFLA_MTU], &link->mtu))
		return -EBADMSG;
	if (tb[IFLA_ADDRESS] && mnl_attr_get_payload_len(tb[IFLA_ADDRESS]) == sizeof(link->mac))
		memcpy(link->mac, mnl_attr_get_payload(tb[IFLA_ADDRESS]), sizeof(link->mac));
	return 0;
}

/* Tentative and duplicate addresses are no one's yet; optimistic ones may be used, RFC 4429. */
static bool address_usable(uint32_t flags)
{
	if (flags & IFA_F_DADFAILED)
		return false;
	return !(flags & IFA_F_TENTATIVE) || (flags & IFA_F_OPTIMISTIC);
}

int mirror_read_address(const struct nlmsghdr *nlh, struct mirror_address *address)
{
	const struct nlattr *tb[IFA_FLAGS + 1] = { 0 };
	const struct nlattr *addr;
	const struct ifaddrmsg *info;
	uint32_t flags;

	if (attributes(nlh, sizeof(*info), tb, IFA_FLAGS))
		return -EBADMSG;
	info = mnl_nlmsg_get_payload(nlh);
	if (get_family(info->ifa_family, &address->family) || info->ifa_scope >= RT_SCOPE_LINK)
		return 1;

	flags = info->ifa_flags;
	if (tb[IFA_FLAGS] && get_u32(tb[IFA_FLAGS], &flags))
		return -EBADMSG;
	addr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS]; /* ADDRESS is the peer's, if both */
	if (!addr || get_addr(addr, address->family, &address->addr))
		return -EBADMSG;
	if (info->ifa_prefixlen > ip_bits(address->family))
		return -EBADMSG;
	address->ifindex = info->ifa_index;
	address->len = info->ifa_prefixlen;
	address->present = nlh->nlmsg_type == RTM_NEWADDR && address_usable(flags);
	return 0;
}

/* RTA_VIA: a gateway of either family. */
static int read_via(const struct nlattr *attr, struct mirror_hop *hop)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	if (len < offsetof(struct rtvia, rtvia_addr))
		return -EBADMSG;
	if (via->rtvia_family != AF_INET && via->rtvia_family != AF_INET6) {
		hop->usable = false;
		return 0;
	}
	hop->gateway_family = via->rtvia_family == AF_INET ? IP_V4 : IP_V6;
	if (len != offsetof(struct rtvia, rtvia_addr) + ip_bits(hop->gateway_family) / 8)
		return -EBADMSG;
	hop->gateway = ip_load(hop->gateway_family, via->rtvia_addr);
	hop->has_gateway = true;
	return 0;
}

/* The attributes that a route and each next hop of a multipath route have in common. */
static int read_hop(const struct nlattr *const *tb, enum ip_family family, uint32_t flags,
		    struct mirror_hop *hop)
{
	static const uint8_t zero[16];

	hop->usable = !(flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) && !tb[RTA_ENCAP];
	hop->gateway_family = family;
	if (tb[RTA_VIA])
		return read_via(tb[RTA_VIA], hop);
	if (!tb[RTA_GATEWAY])
		return 0;
	if (get_addr(tb[RTA_GATEWAY], family, &hop->gateway))
		return -EBADMSG;
	hop->has_gateway = !ip_equal(hop->gateway, ip_load(family, zero));
	return 0;
}

static int read_multipath(const struct nlattr *attr, struct mirror_route *route)
{
	const uint8_t *pos = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr);

	route->multipath = true;
	while (left >= sizeof(struct rtnexthop) && route->hops < MIRROR_HOPS) {
		const struct rtnexthop *nh = (const void *)pos;
		const struct nlattr *tb[RTA_MAX + 1] = { 0 };
		struct attributes a = { .tb = tb, .max = RTA_MAX };
		struct mirror_hop *hop = &route->hop[route->hops];
		size_t step = RTNH_ALIGN(nh->rtnh_len);

		if (nh->rtnh_len < sizeof(*nh) || nh->rtnh_len > left)
			return -EBADMSG;
		if (mnl_attr_parse_payload(pos + sizeof(*nh), nh->rtnh_len - sizeof(*nh), collect,
					   &a) < 0 ||
		    read_hop(tb, route->family, nh->rtnh_flags, hop))
			return -EBADMSG;
		hop->ifindex = (uint32_t)nh->rtnh_ifindex;
		route->hops++;
		if (step >= left)
			break;
		pos += step;
		left -= step;
	}
	return 0;
}

/* Not link-local, not multicast: those are each link's own business. */
static bool prefix_public(enum ip_family family, struct ip_addr prefix, uint8_t len)
{
	uint8_t top = (uint8_t)(prefix.hi >> 56);

	if (family == IP_V4)
		return !(len >= 4 && (top & 0xf0) == 0xe0);
	return !(len >= 8 && top == 0xff) && !(len >= 10 && prefix.hi >> 54 == 0xfe80 >> 6);
}

/* Whose routes these are; the address part follows. */
static int route_wanted(const struct rtmsg *rtm, const struct nlattr *const *tb)
{
	uint32_t table = rtm->rtm_table;

	if (tb[RTA_TABLE] && get_u32(tb[RTA_TABLE], &table))
		return -EBADMSG;
	return table != RT_TABLE_MAIN || (rtm->rtm_flags & RTM_F_CLONED) || rtm->rtm_src_len ||
	       rtm->rtm_tos;
}

int mirror_read_route(const struct nlmsghdr *nlh, struct mirror_route *route)
{
	const struct nlattr *tb[RTA_MAX + 1] = { 0 };
	const struct rtmsg *rtm;
	int ret;

	if (attributes(nlh, sizeof(*rtm), tb, RTA_MAX))
		return -EBADMSG;
	rtm = mnl_nlmsg_get_payload(nlh);
	memset(route, 0, sizeof(*route));
	if (get_family(rtm->rtm_family, &route->family))
		return 1;
	ret = route_wanted(rtm, tb);
	if (ret)
		return ret;

	route->len = rtm->rtm_dst_len;
	if (route->len > ip_bits(route->family) || (route->len && !tb[RTA_DST]))
		return -EBADMSG;
	if (tb[RTA_DST] && get_addr(tb[RTA_DST], route->family, &route->prefix))
		return -EBADMSG;
	route->prefix = ip_prefix(route->prefix, route->len);
	if (!prefix_public(route->family, route->prefix, route->len))
		return 1;
	if (tb[RTA_PRIORITY] && get_u32(tb[RTA_PRIORITY], &route->metric))
		return -EBADMSG;
	route->present = nlh->nlmsg_type == RTM_NEWROUTE;
	route->replace = nlh->nlmsg_flags & NLM_F_REPLACE;

	if (rtm->rtm_type != RTN_UNICAST)
		return 0;
	if (tb[RTA_MULTIPATH])
		return read_multipath(tb[RTA_MULTIPATH], route);
	if (!tb[RTA_OIF])
		return 0;
	if (get_u32(tb[RTA_OIF], &route->hop[0].ifindex) ||
	    read_hop(tb, route->family, rtm->rtm_flags, &route->hop[0]))
		return -EBADMSG;
	route->hops = 1;
	return 0;
}

#define NUD_USABLE (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)

int mirror_read_neighbour(const struct nlmsghdr *nlh, struct mirror_neighbour *neighbour)
{
	const struct nlattr *tb[NDA_LLADDR + 1] = { 0 };
	const struct ndmsg *ndm;

	if (attributes(nlh, sizeof(*ndm), tb, NDA_LLADDR))
		return -EBADMSG;
	ndm = mnl_nlmsg_get_payload(nlh);
	memset(neighbour, 0, sizeof(*neighbour));
	if (get_family(ndm->ndm_family, &neighbour->family) || (ndm->ndm_flags & NTF_PROXY) ||
	    ndm->ndm_type != RTN_UNICAST)
		return 1;

	if (!tb[NDA_DST] || get_addr(tb[NDA_DST], neighbour->family, &neighbour->addr))
		return -EBADMSG;
	neighbour->ifindex = (uint32_t)ndm->ndm_ifindex;
	neighbour->state = ndm->ndm_state;
	neighbour->present = nlh->nlmsg_type == RTM_NEWNEIGH;
	if (neighbour->present && (ndm->ndm_state & NUD_USABLE) && tb[NDA_LLADDR] &&
	    mnl_attr_get_payload_len(tb[NDA_LLADDR]) == sizeof(neighbour->mac)) {
		memcpy(neighbour->mac, mnl_attr_get_payload(tb[NDA_LLADDR]),
		       sizeof(neighbour->mac));
		neighbour->usable = true;
	}
	return 0;
}
