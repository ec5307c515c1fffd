/* SPDX-License-Identifier: BSD-3-Clause */
#include "southbound_records.h"

#include <arpa/inet.h>

#include "apply.h"
#include "gateway_fixture.h"

#define PATCHES 4

/* Few, so that records refer to each other; some that contradict each other. */
static struct abi_address pick_address(struct fuzz_input *in)
{
	static const char *const text[] = {
		"10.0.0.1/24", "10.0.0.9",    "10.0.0.254",   "10.0.0.0/24",  "10.0.0.9/32",
		"10.1.0.0/16", "10.1.0.1/16", "0.0.0.0/0",    "192.0.2.1/24", "192.0.2.2",
		"192.0.2.254", "192.0.2.1",   "198.51.100.7", "fd00::1/64",   "fd00::9",
		"fd00::/64",   "fd00::9/128", "fd01::/16",    "::/0",         "2001:db8::1/64",
		"2001:db8::1", "2001:db8::2", "fe80::9",      "10.0.0.2/24",
	};

	return make_address(text[fuzz_u8(in) % (sizeof(text) / sizeof(text[0]))]);
}

static struct abi_address without_length(struct abi_address address)
{
	address.prefix_len = 0;
	return address;
}

static uint32_t pick_id(struct fuzz_input *in)
{
	return 1 + fuzz_u8(in) % 3;
}

static struct abi_attachment pick_attachment(struct fuzz_input *in)
{
	static const uint16_t vlan[] = { 0, 101, 102, 4094 }, mtu[] = { 0, 0, 1280, 576 };
	uint8_t id = fuzz_u8(in), place = fuzz_u8(in), addresses = fuzz_u8(in);
	struct abi_attachment r = {
		.id = 1 + (id & 0xf) % 3,
		.tenant = (id >> 4) % 4,
		.vlan = vlan[place & 3],
		.mtu = mtu[place >> 2 & 3],
		.cookie = place >> 6,
	};

	memcpy(r.port, place & 0x10 ? "lan" : "wan", 3);
	if ((place & 0x2f) == 0x2f)
		memcpy(r.netdev, "eth9", 4);
	for (uint32_t i = 0; i < addresses % 5 && i < ABI_ATTACHMENT_ADDRESSES; i++)
		r.address[i] = pick_address(in);
	return r;
}

static struct abi_tunnel pick_tunnel(struct fuzz_input *in)
{
	static const uint16_t mtu[] = { 0, 1400, 600, 9000 };
	uint8_t id = fuzz_u8(in), how = fuzz_u8(in);
	struct abi_tunnel r = { .id = 1 + (id & 0xf) % 3,
				.tenant = (id >> 4) % 4,
				.cookie = how >> 6 };

	r.local = without_length(pick_address(in));
	r.remote = without_length(pick_address(in));
	r.mtu = mtu[how & 3];
	if (how & 4) {
		r.flags = ABI_TUNNEL_UDP;
		r.local_port = r.remote_port = 4500;
	}
	if (how & 8)
		r.flags |= ABI_TUNNEL_SELECTORS;
	if (how & 16)
		r.flags |= ABI_TUNNEL_ACQUIRE;
	return r;
}

static struct abi_sa pick_sa(struct fuzz_input *in)
{
	static const uint32_t window[] = { 0, 64, 1024, 4096 };
	static const struct abi_lifetime lifetime[] = {
		{ 0 }, { .seconds = 1 }, { .packets = 10 }, { .seconds = 2, .bytes = 1 }
	};
	uint8_t id = fuzz_u8(in), how = fuzz_u8(in), spi = fuzz_u8(in), numbers = fuzz_u8(in);
	struct abi_sa r = {
		.id = 1 + (id & 0xf) % 6,
		.tunnel = 1 + (id >> 4) % 3,
		.spi = htonl(0x100u + spi % 4),
		.direction = how & 1 ? ABI_SA_IN : ABI_SA_OUT,
		.flags = how & 2 ? ABI_SA_ESN : 0,
		.key_len = (uint8_t)(16 + 8 * (how >> 2 & 3) % 3),
		.cookie = how >> 6,
	};

	memset(r.key, spi, r.key_len);
	memset(r.salt, 9, sizeof(r.salt));
	r.soft = lifetime[spi >> 2 & 3];
	r.hard = lifetime[spi >> 4 & 3];
	if (r.direction == ABI_SA_IN) {
		r.window = window[numbers & 3];
	} else {
		r.sequence = 1 + (numbers & 0xf);
		r.sequence_limit = r.sequence + (numbers >> 4);
	}
	return r;
}

static struct abi_route pick_route(struct fuzz_input *in)
{
	uint8_t id = fuzz_u8(in), kind = fuzz_u8(in);
	struct abi_route r = { .tenant = id % 4, .kind = 1 + kind % 3 };

	r.prefix = pick_address(in);
	if (r.kind != ABI_ROUTE_BLACKHOLE)
		r.target = 1 + (id >> 4) % 3;
	if (r.kind == ABI_ROUTE_GATEWAY)
		r.via = without_length(pick_address(in));
	return r;
}

static struct abi_neighbour pick_neighbour(struct fuzz_input *in)
{
	struct abi_neighbour r = { .attachment = pick_id(in) };

	memcpy(r.mac, "\x02\0\0\0\x09", 5);
	r.mac[5] = fuzz_u8(in);
	r.address = without_length(pick_address(in));
	return r;
}

static void pick_range(struct fuzz_input *in, uint8_t *family, uint8_t *first, uint8_t *last)
{
	struct abi_address from = pick_address(in), to = pick_address(in);

	*family = from.family;
	memcpy(first, from.addr, 16);
	memcpy(last, to.addr, 16);
	/* Mostly a range of one, which is always right. */
	if (from.family != to.family || memcmp(first, last, 16) > 0)
		memcpy(last, first, 16);
}

static struct abi_selectors pick_selectors(struct fuzz_input *in)
{
	static const uint8_t protocol[] = { 0, 6, 17, 1, 58, 135, 47, 132 };
	static const uint16_t port[] = { 0, 65535, 80, 0x0800 };
	struct abi_selectors r = { .tunnel = pick_id(in), .count = fuzz_u8(in) % 20 };

	for (uint32_t i = 0; i < r.count && i < ABI_SELECTORS_MAX; i++) {
		struct abi_selector *s = &r.selector[i];
		uint8_t how = fuzz_u8(in), ports = fuzz_u8(in);

		s->protocol = protocol[how & 7];
		pick_range(in, &s->family, s->local_first, s->local_last);
		pick_range(in, &s->family, s->remote_first, s->remote_last);
		s->local_port_first = how & 8 ? port[ports & 3] : 0;
		s->local_port_last = how & 8 ? port[ports >> 2 & 3] : UINT16_MAX;
		s->remote_port_first = how & 16 ? port[ports >> 4 & 3] : 0;
		s->remote_port_last = how & 16 ? port[ports >> 6 & 3] : UINT16_MAX;
	}
	return r;
}

static void record_pick(struct fuzz_input *in, uint16_t type, uint8_t *record)
{
	union {
		struct abi_tenant tenant;
		struct abi_attachment attachment;
		struct abi_tunnel tunnel;
		struct abi_sa sa;
		struct abi_sa_lease lease;
		struct abi_route route;
		struct abi_neighbour neighbour;
		struct abi_selectors selectors;
		struct abi_id id;
	} r;

	memset(&r, 0, sizeof(r));
	switch (type) {
	case ABI_TENANT_SET:
		r.tenant = make_tenant(pick_id(in));
		break;
	case ABI_ATTACHMENT_SET:
		r.attachment = pick_attachment(in);
		break;
	case ABI_TUNNEL_SET:
		r.tunnel = pick_tunnel(in);
		break;
	case ABI_SA_SET:
		r.sa = pick_sa(in);
		break;
	case ABI_SA_LEASE:
		r.lease.id = 1 + fuzz_u8(in) % 6;
		r.lease.sequence_limit = fuzz_u8(in);
		break;
	case ABI_ROUTE_SET:
	case ABI_ROUTE_DELETE:
		r.route = pick_route(in);
		break;
	case ABI_NEIGHBOUR_SET:
	case ABI_NEIGHBOUR_DELETE:
		r.neighbour = pick_neighbour(in);
		break;
	case ABI_SELECTORS_SET:
		r.selectors = pick_selectors(in);
		break;
	default:
		r.id.id = 1 + fuzz_u8(in) % 6;
	}
	memcpy(record, &r, apply_record_size(type));
}

static_assert(sizeof(struct abi_selectors) == RECORD_MAX, "the largest record");

void record_make(struct fuzz_input *in, uint16_t type, uint8_t record[RECORD_MAX])
{
	size_t size = apply_record_size(type);
	uint8_t patches = fuzz_u8(in);

	record_pick(in, type, record);
	/* Mostly none: then most records are well-formed. */
	for (uint32_t i = 0; patches > 200 && i < patches % PATCHES + 1u; i++) {
		size_t at = fuzz_u8(in) % size;

		record[at] = fuzz_u8(in);
	}
}
