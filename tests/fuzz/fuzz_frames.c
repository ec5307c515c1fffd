/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames as they are, in bursts, on both ports. An input: one byte of options, then frames, each
 * a byte of control, a length of two bytes (little-endian) and so many bytes.
 */
#include "fuzz.h"
#include "packet_fix.h"
#include "soft_gateway.h"

#define CONTROL_PORT     0x01
#define CONTROL_RUN      0x02 /* the burst ends here */
#define CONTROL_AT_END   0x04
#define CONTROL_SEGMENTS 0x18 /* both bits: seldom is enough */
#define CONTROL_FIX      0x20 /* lengths and checksums are made right */
#define CONTROL_TO_US    0x40 /* the destination is the port's MAC address */
#define CONTROL_STRIPPED 0x80

static struct soft_gateway *gateway;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	gateway = soft_gateway_create();
	return 0;
}

static void frame_run(struct fuzz_input *in)
{
	uint8_t control = fuzz_u8(in), frame[SOFT_FRAME_MAX];
	uint32_t port = control & CONTROL_PORT, how = 0, l3;
	size_t want = fuzz_u16(in) % (SOFT_FRAME_MAX + 1), len;
	const uint8_t *bytes = fuzz_bytes(in, want, &len);
	uint16_t vlan, ethertype;

	memcpy(frame, bytes, len);
	if ((control & CONTROL_TO_US) && len >= 6)
		memcpy(frame, gateway->f->port[port].mac, 6);
	if ((control & CONTROL_FIX) && frame_parse(frame, (uint32_t)len, &vlan, &ethertype, &l3)) {
		packet_fix_lengths(frame + l3, (uint32_t)len - l3);
		packet_fix_checksums(frame + l3, (uint32_t)len - l3);
	}
	how |= control & CONTROL_AT_END ? SOFT_AT_END : 0;
	how |= (control & CONTROL_SEGMENTS) == CONTROL_SEGMENTS ? SOFT_SEGMENTS : 0;
	how |= control & CONTROL_STRIPPED ? SOFT_STRIPPED : 0;
	soft_gateway_frame(gateway, port, frame, (uint32_t)len, how);
	if (control & CONTROL_RUN)
		soft_gateway_run(gateway);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	soft_gateway_begin(gateway, fuzz_u8(&in));
	while (in.left != 0)
		frame_run(&in);
	soft_gateway_end(gateway);
	return 0;
}
