/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP, ND, echo and what calls for an ICMP error, with time going by: neighbours come and go, packets
 * wait for them. An input: one byte of options, then steps: a byte that picks a template and the port,
 * one of control, one with the number of patches, each of them an offset and a value.
 */
#include "fuzz.h"
#include "ip_header.h"
#include "packet_fix.h"
#include "soft_gateway.h"

#define STEP_TEMPLATE 0x0f
#define STEP_WAN      0x10
#define STEP_TENANT2  0x20
#define STEP_RUN      0x40
#define STEP_AT_END   0x80

#define CONTROL_AS_IS   0x01 /* checksums stay as the patches leave them */
#define CONTROL_LENGTHS 0x02 /* lengths follow the frame's */
#define CONTROL_SIZE    0xf0 /* cut or lengthened: see size_of() */

#define PATCHES_MAX 16

enum template {
	ARP_REQUEST,
	ARP_REPLY,
	SOLICITATION,
	ADVERTISEMENT,
	ECHO_V4,
	ECHO_V6,
	EXPIRED_V4, /* the last hop */
	EXPIRED_V6,
	TO_NOBODY_V4, /* on-link, and nobody answers there yet */
	TO_NOBODY_V6,
	VIA_NOBODY, /* by a gateway that nobody has seen */
	LARGE,
	TIME_SHORT,
	TIME_LONG,
	TIME_PROBES,
	RUN
};

static struct soft_gateway *gateway;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	gateway = soft_gateway_create();
	return 0;
}

/* From host 10.0.0.77 or fd00::77; on the underlay 192.0.2.77 or 2001:db8::77. */
static uint32_t ipv4_write(uint8_t *l3, bool wan, const char *destination, uint8_t protocol,
			   uint8_t hops, uint32_t len)
{
	static const uint8_t head[12] = { 0x45, [9] = 0 };

	memcpy(l3, head, sizeof(head));
	l3[8] = hops;
	l3[9] = protocol;
	memcpy(l3 + 12, wan ? "\xc0\0\x02\x4d" : "\x0a\0\0\x4d", 4);
	memcpy(l3 + 16, destination, 4);
	memset(l3 + 20, 0, len - 20);
	store_be16(l3 + 2, (uint16_t)len);
	return len;
}

static uint32_t ipv6_write(uint8_t *l3, bool wan, uint8_t second, uint8_t last, uint8_t protocol,
			   uint8_t hops, uint32_t len)
{
	memset(l3, 0, len);
	l3[0] = 0x60;
	store_be16(l3 + 4, (uint16_t)(len - IPV6_HEADER_LEN));
	l3[6] = protocol;
	l3[7] = hops;
	memcpy(l3 + 8, wan ? "\x20\x01\x0d\xb8" : "\xfd\0\0", 4);
	l3[23] = 0x77;
	memcpy(l3 + 24, wan ? "\x20\x01\x0d\xb8" : "\xfd\0\0", 4);
	if (!wan)
		l3[25] = second;
	l3[39] = last;
	return len;
}

static uint32_t arp_write(uint8_t *arp, bool wan, uint8_t operation)
{
	static const uint8_t fixed[8] = { 0, 1, 8, 0, 6, 4, 0, 0 };

	memcpy(arp, fixed, sizeof(fixed));
	arp[7] = operation;
	memcpy(arp + 8, "\x02\0\0\0\x09\x77", 6);
	memcpy(arp + 14, wan ? "\xc0\0\x02\x4d" : "\x0a\0\0\x4d", 4);
	memset(arp + 18, 0, 6);
	memcpy(arp + 24, wan ? "\xc0\0\x02\x01" : "\x0a\0\0\x01", 4);
	return 28;
}

static uint32_t nd_write(uint8_t *l3, bool wan, bool solicitation)
{
	uint8_t *icmp = l3 + IPV6_HEADER_LEN;

	ipv6_write(l3, wan, 0, 1, 58, 255, 72);
	icmp[0] = solicitation ? 135 : 136;
	icmp[4] = solicitation ? 0 : 0x60;
	memcpy(icmp + 8, l3 + (solicitation ? 24 : 8), 16);
	icmp[24] = solicitation ? 1 : 2;
	icmp[25] = 1;
	memcpy(icmp + 26, "\x02\0\0\0\x09\x77", 6);
	return 72;
}

static uint32_t echo_write(uint8_t *l3, bool wan, bool v6)
{
	uint32_t len;

	if (v6) {
		len = ipv6_write(l3, wan, 0, 1, 58, 64, 80);
		l3[IPV6_HEADER_LEN] = 128;
	} else {
		len = ipv4_write(l3, wan, wan ? "\xc0\0\x02\x01" : "\x0a\0\0\x01", 1, 64, 61);
		l3[IPV4_HEADER_MIN] = 8;
	}
	return len;
}

/* Returns the packet's length. */
static uint32_t template_write(uint8_t *l3, enum template which, bool wan)
{
	switch (which) {
	case ARP_REQUEST:
	case ARP_REPLY:
		return arp_write(l3, wan, which == ARP_REQUEST ? 1 : 2);
	case SOLICITATION:
	case ADVERTISEMENT:
		return nd_write(l3, wan, which == SOLICITATION);
	case ECHO_V4:
	case ECHO_V6:
		return echo_write(l3, wan, which == ECHO_V6);
	case EXPIRED_V4:
		return ipv4_write(l3, wan, "\x0a\x01\0\x05", 17, 1, 700);
	case EXPIRED_V6:
		return ipv6_write(l3, wan, 1, 5, 17, 1, 1400);
	case TO_NOBODY_V4:
		return ipv4_write(l3, wan, "\x0a\0\0\x4d", 17, 9, 60);
	case TO_NOBODY_V6:
		return ipv6_write(l3, wan, 0, 0x77, 17, 9, 60);
	case VIA_NOBODY:
		return ipv4_write(l3, wan, "\xac\x20\0\x05", 17, 9, 60);
	case LARGE:
	default:
		return ipv4_write(l3, wan, "\x0a\x01\0\x05", 17, 9, 1490);
	}
}

static uint16_t template_ethertype(enum template which)
{
	switch (which) {
	case ARP_REQUEST:
	case ARP_REPLY:
		return 0x0806;
	case SOLICITATION:
	case ADVERTISEMENT:
	case ECHO_V6:
	case EXPIRED_V6:
	case TO_NOBODY_V6:
		return 0x86dd;
	default:
		return 0x0800;
	}
}

static uint32_t ethernet_write(uint8_t *frame, uint32_t port, bool tagged, enum template which)
{
	memcpy(frame, gateway->f->port[port].mac, 6);
	memcpy(frame + 6, "\x02\0\0\0\x09\x77", 6);
	store_be16(frame + 12, tagged ? 0x8100 : template_ethertype(which));
	if (!tagged)
		return 14;
	store_be16(frame + 14, 102);
	store_be16(frame + 16, template_ethertype(which));
	return 18;
}

static uint32_t size_of(uint8_t control, uint32_t len)
{
	uint32_t how = control >> 4;

	if (how == 0)
		return len;
	return how < 8 ? len - (len * how) / 16 : len + (how - 8) * 8;
}

static void time_run(enum template which)
{
	if (which == TIME_PROBES)
		for (uint32_t i = 0; i < 4; i++)
			soft_gateway_tick(gateway, 1000);
	else if (which != RUN)
		soft_gateway_tick(gateway, which == TIME_SHORT ? 1000 : 60000);
	soft_gateway_run(gateway);
}

static void step_run(struct fuzz_input *in)
{
	uint8_t step = fuzz_u8(in), control = fuzz_u8(in), frame[SOFT_FRAME_MAX] = { 0 };
	uint32_t patches = fuzz_u8(in) % (PATCHES_MAX + 1), l2, len;
	enum template which = step & STEP_TEMPLATE;
	bool wan = step & STEP_WAN;

	if (which >= TIME_SHORT) {
		time_run(which);
		return;
	}
	l2 = ethernet_write(frame, wan ? SOFT_WAN : SOFT_LAN, !wan && (step & STEP_TENANT2), which);
	len = size_of(control, template_write(frame + l2, which, wan));
	for (uint32_t i = 0; i < patches; i++) {
		uint8_t offset = fuzz_u8(in);

		frame[offset] = fuzz_u8(in);
	}
	if (control & CONTROL_LENGTHS)
		packet_fix_lengths(frame + l2, len);
	if (!(control & CONTROL_AS_IS) && template_ethertype(which) != 0x0806)
		packet_fix_checksums(frame + l2, len);
	soft_gateway_frame(gateway, wan ? SOFT_WAN : SOFT_LAN, frame, l2 + len,
			   step & STEP_AT_END ? SOFT_AT_END : 0);
	if (step & STEP_RUN)
		soft_gateway_run(gateway);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	soft_gateway_begin(gateway, fuzz_u8(&in));
	while (in.left != 0)
		step_run(&in);
	soft_gateway_end(gateway);
	return 0;
}
