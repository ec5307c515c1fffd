/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tenants' packets, and routers' errors about what became of them: tunnels whose paths narrow while
 * they are used. An input: one byte of options, then steps. A step: a byte that picks the tunnel and
 * what happens; then for a packet its length (two bytes, little-endian); for an error the MTU (two bytes),
 * how far back the quoted number lies, how much is quoted behind it, the number of patches, and each
 * of these, an offset and a value.
 */
#include "fuzz.h"
#include "ip_header.h"
#include "packet_fix.h"
#include "path_mtu.h"
#include "soft_gateway.h"

#define STEP_TUNNEL 0x07 /* modulo 5 */
#define STEP_ERROR  0x08 /* else a packet */
#define STEP_V6     0x10 /* a packet: inside */
#define STEP_DF     0x20
#define STEP_AS_IS  0x20 /* an error: lengths and checksums stay as the patches leave them */
#define STEP_RUN    0x40
#define STEP_LATER  0x80 /* ten minutes pass before it */

#define PATCHES_MAX 16
#define SIZE_QUOTED 1500
#define LATER_MS    600000

static struct soft_gateway *gateway;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	gateway = soft_gateway_create();
	return 0;
}

static struct sa_out *sa_of(uint32_t t)
{
	const struct gateway *gw = &gateway->f->gw;

	return &gw->tables->sa[gw->tunnel[t].newest_out].out;
}

static struct sa_outer *outer_of(uint32_t t)
{
	struct sa_out *sa = sa_of(t);

	return &sa->outer[sa->active];
}

/* From the tenant's host into its tunnel. */
static void packet_step(struct fuzz_input *in, uint32_t t, uint8_t step)
{
	uint8_t frame[SOFT_FRAME_MAX] = { 0 }, net = t == 5 ? 1 : (uint8_t)t;
	bool v6 = (step & STEP_V6) != 0;
	uint32_t head = v6 ? IPV6_HEADER_LEN : IPV4_HEADER_MIN, l2 = t == 5 ? 18 : 14;
	uint32_t len = head + 8 + fuzz_u16(in) % (1600 - head - 8);
	uint8_t *l3 = frame + l2;

	memcpy(frame, gateway->f->port[SOFT_LAN].mac, 6);
	memcpy(frame + 6, "\x02\0\0\0\x09\x09", 6);
	if (t == 5)
		memcpy(frame + 12, "\x81\0\0\x66", 4);
	store_be16(l3 - 2, v6 ? 0x86dd : 0x0800);
	for (uint32_t i = 0; i < len; i++)
		l3[i] = (uint8_t)(i * 7);
	memset(l3, 0, head);
	l3[0] = v6 ? 0x60 : 0x45;
	l3[v6 ? 6 : 9] = 17;
	l3[v6 ? 7 : 8] = 64;
	if (v6) {
		l3[8] = l3[24] = 0xfd;
		l3[25] = net;
		l3[23] = 9;
		l3[39] = 5;
	} else {
		l3[6] = step & STEP_DF ? 0x40 : 0;
		memcpy(l3 + 12, (uint8_t[]){ 10, 0, 0, 9, 10, net, 0, 5 }, 8);
	}
	packet_fix_lengths(l3, len);
	packet_fix_checksums(l3, len);
	soft_gateway_frame(gateway, SOFT_LAN, frame, l2 + len, 0);
}

/* About a packet of the tunnel's that was too big, as a router on its path would send it. */
static uint32_t error_write(struct fuzz_input *in, uint32_t t, uint8_t *l3)
{
	const struct sa_out *sa = sa_of(t);
	const struct sa_outer *outer = outer_of(t);
	bool v6 = (outer->flags & SA_OUTER_V6) != 0;
	uint32_t head = v6 ? IPV6_HEADER_LEN : IPV4_HEADER_MIN, len;
	uint8_t *icmp = l3 + head, *quote = icmp + 8;
	uint16_t mtu = fuzz_u16(in);
	uint32_t sequence = (uint32_t)(sa->sequence - fuzz_u8(in));

	l3[0] = v6 ? 0x60 : 0x45;
	l3[v6 ? 6 : 9] = v6 ? 58 : 1;
	l3[v6 ? 7 : 8] = 60;
	icmp[0] = v6 ? 2 : 3;
	icmp[1] = v6 ? 0 : 4;
	store_be16(icmp + 6, mtu);
	memcpy(quote, sa->header[sa->active] + SA_TEMPLATE_LEN - outer->header_len,
	       outer->header_len);
	store_be16(quote + (v6 ? 4 : 2), (uint16_t)(SIZE_QUOTED - (v6 ? head : 0)));
	store32(quote + outer->header_len - 12, __builtin_bswap32(sequence));
	if (v6) {
		memcpy(l3 + 8, "\x20\x01\x0d\xb8", 4);
		l3[23] = 2;
		memcpy(l3 + 24, quote + 8, 16);
	} else {
		memcpy(l3 + 12, "\xc0\0\x02\x02", 4);
		memcpy(l3 + 16, quote + 12, 4);
	}
	/* From the quoted header's first byte to something behind the sequence number. */
	len = head + 8 + fuzz_u8(in) % (outer->header_len + 32u);
	return len;
}

static void error_step(struct fuzz_input *in, uint32_t t, uint8_t step)
{
	uint8_t frame[SOFT_FRAME_MAX] = { 0 }, *l3 = frame + 14;
	uint32_t len = error_write(in, t, l3), patches;

	memcpy(frame, gateway->f->port[SOFT_WAN].mac, 6);
	memcpy(frame + 6, "\x02\0\0\0\x09\xfe", 6);
	store_be16(frame + 12, l3[0] >> 4 == 6 ? 0x86dd : 0x0800);
	if (step & STEP_AS_IS) {
		packet_fix_lengths(l3, len);
		packet_fix_checksums(l3, len);
	}
	patches = fuzz_u8(in) % (PATCHES_MAX + 1);
	for (uint32_t i = 0; i < patches; i++) {
		uint32_t at = fuzz_u8(in);

		l3[at % len] = fuzz_u8(in);
	}
	if (!(step & STEP_AS_IS)) {
		packet_fix_lengths(l3, len);
		packet_fix_checksums(l3, len);
	}
	soft_gateway_frame(gateway, SOFT_WAN, frame, 14 + len, SOFT_AT_END);
}

/* A path only narrows, never below the least there is; the inner MTU follows it. */
static void paths_check(const uint16_t before[ORACLE_TUNNELS])
{
	for (uint32_t t = 1; t < ORACLE_TUNNELS; t++) {
		const struct sa_outer *outer = outer_of(t);
		uint32_t least = outer->flags & SA_OUTER_V6 ? 1280 : 576;
		uint32_t mtu = outer->outer_mtu;

		FUZZ_CHECK(mtu <= before[t] && mtu >= least);
		FUZZ_CHECK(outer->inner_mtu == ((mtu - outer->header_len - 16u) & ~3u) - 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint16_t before[ORACLE_TUNNELS] = { 0 };

	soft_gateway_begin(gateway, fuzz_u8(&in));
	while (in.left != 0) {
		uint8_t step = fuzz_u8(&in);
		uint32_t t = 1 + (step & STEP_TUNNEL) % (ORACLE_TUNNELS - 1);

		if (step & STEP_LATER)
			path_mtu_tick(&gateway->f->gw, gateway->path_now += LATER_MS);
		for (uint32_t i = 1; i < ORACLE_TUNNELS; i++)
			before[i] = outer_of(i)->outer_mtu;
		if (step & STEP_ERROR)
			error_step(&in, t, step);
		else
			packet_step(&in, t, step);
		if (step & STEP_RUN)
			soft_gateway_run(gateway);
		paths_check(before);
	}
	soft_gateway_end(gateway);
	return 0;
}
