/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tenants' packets into tunnels. An input: one byte of options, then packets: a byte of control,
 * one that picks tenant and destination, a length of two bytes (little-endian) of the IP packet,
 * the number of header bytes given, and those; the rest of the packet is a pattern of its own.
 */
#include "fuzz.h"
#include "ip_header.h"
#include "packet_fix.h"
#include "soft_gateway.h"

#define CONTROL_V6      0x01
#define CONTROL_RUN     0x02
#define CONTROL_AT_END  0x04
#define CONTROL_AS_IS   0x08 /* lengths and checksum stay as the input has them */
#define CONTROL_TENANT2 0x10
#define CONTROL_PADDED  0x20 /* Ethernet padding behind the packet */
#define CONTROL_SOURCE  0x40 /* from a host of the tenant's, whatever the bytes say */
#define CONTROL_TUNNEL  0x80 /* to a network behind a tunnel, whatever the bytes say */

#define HEADERS_MAX 96
#define PACKET_MAX  1600

static struct soft_gateway *gateway;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	gateway = soft_gateway_create();
	return 0;
}

static uint32_t ethernet_write(uint8_t *frame, bool v6, bool tenant2)
{
	memcpy(frame, gateway->f->port[SOFT_LAN].mac, 6);
	memcpy(frame + 6, "\x02\0\0\0\x09\x09", 6);
	store_be16(frame + 12, tenant2 ? 0x8100 : v6 ? 0x86dd : 0x0800);
	if (!tenant2)
		return 14;
	store_be16(frame + 14, 102);
	store_be16(frame + 16, v6 ? 0x86dd : 0x0800);
	return 18;
}

static void addresses_write(uint8_t *l3, uint32_t len, bool v6, uint8_t control, uint8_t net)
{
	uint8_t *source = l3 + (v6 ? 8 : 12), *destination = l3 + (v6 ? 24 : 16);

	if (len < (v6 ? IPV6_HEADER_LEN : IPV4_HEADER_MIN))
		return;
	if (control & CONTROL_SOURCE) {
		source[0] = v6 ? 0xfd : 10;
		source[1] = 0;
	}
	if (control & CONTROL_TUNNEL) {
		destination[0] = v6 ? 0xfd : 10;
		destination[1] = net % 5;
	}
}

static void packet_run(struct fuzz_input *in)
{
	uint8_t control = fuzz_u8(in), net = fuzz_u8(in), frame[SOFT_FRAME_MAX];
	bool v6 = control & CONTROL_V6;
	uint32_t l2 = ethernet_write(frame, v6, control & CONTROL_TENANT2);
	uint32_t len = fuzz_u16(in) % PACKET_MAX, total;
	uint8_t *l3 = frame + l2;
	size_t given;
	const uint8_t *headers = fuzz_bytes(in, fuzz_u8(in) % HEADERS_MAX, &given);

	for (uint32_t i = 0; i < len; i++)
		l3[i] = (uint8_t)(i * 7 + gateway->frames * 11);
	memcpy(l3, headers, given < len ? given : len);
	if (len != 0)
		l3[0] = (uint8_t)((v6 ? 0x60 : 0x40) | (l3[0] & 0xf));
	addresses_write(l3, len, v6, control, net);
	if (!(control & CONTROL_AS_IS)) {
		packet_fix_lengths(l3, len);
		packet_fix_checksums(l3, len);
	}
	total = l2 + len;
	if ((control & CONTROL_PADDED) && total < 60) {
		memset(frame + total, 0, 60 - total);
		total = 60;
	}
	soft_gateway_frame(gateway, SOFT_LAN, frame, total,
			   control & CONTROL_AT_END ? SOFT_AT_END : 0);
	if (control & CONTROL_RUN)
		soft_gateway_run(gateway);
}

/* What was counted as sent into the tunnels was seen, opened and found to be what came. */
static void tunnels_check(void)
{
	uint64_t sent = 0;

	for (uint32_t t = 1; t < ORACLE_TUNNELS; t++) {
		const struct counters_tunnel *row = &gateway->worker->stats.tunnel[t];

		sent += row->out_packets;
		FUZZ_CHECK(row->in_packets == 0);
		FUZZ_CHECK(row->out_packets <= gateway->oracle.tunnel[t].last_sent);
	}
	FUZZ_CHECK(sent <= gateway->oracle.matched + gateway->oracle.own);
	FUZZ_CHECK(soft_gateway_drops(gateway, DROP_encrypt_failed) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	soft_gateway_begin(gateway, fuzz_u8(&in));
	while (in.left != 0)
		packet_run(&in);
	soft_gateway_end(gateway);
	tunnels_check();
	return 0;
}
