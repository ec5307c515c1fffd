/* SPDX-License-Identifier: BSD-3-Clause */
#include "mss.h"

#include "ip_header.h"

#define TCP_HEADER_MIN 20
#define TCP_FLAGS      13
#define TCP_SYN        0x02
#define TCP_CHECKSUM   16
#define OPTION_END     0
#define OPTION_NOP     1
#define OPTION_MSS     2
#define OPTION_MSS_LEN 4

/* The place of the MSS value among the options; NULL: there is none, or they are malformed. */
static uint8_t *mss_find(uint8_t *tcp, uint32_t header_len)
{
	uint32_t i = TCP_HEADER_MIN;

	while (i < header_len && tcp[i] != OPTION_END) {
		if (tcp[i] == OPTION_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= header_len || tcp[i + 1] < 2 || i + tcp[i + 1] > header_len)
			return NULL;
		if (tcp[i] == OPTION_MSS)
			return tcp[i + 1] == OPTION_MSS_LEN ? tcp + i + 2 : NULL;
		i += tcp[i + 1];
	}
	return NULL;
}

/* The sum of a value at an odd offset counts with its bytes swapped. */
static uint16_t word_at(uint16_t value, bool odd)
{
	return odd ? __builtin_bswap16(value) : value;
}

void mss_clamp_syn(uint8_t *l3, uint32_t length, enum ip_family family, uint32_t mtu, uint16_t most)
{
	uint32_t offset = family == IP_V4 ? (l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN, header_len, room;
	uint8_t *tcp = l3 + offset, *mss;
	uint16_t before, after;
	uint32_t sum;
	bool odd;

	if (length < offset + TCP_HEADER_MIN || !(tcp[TCP_FLAGS] & TCP_SYN) ||
	    (family == IP_V4 && (load_be16(l3 + 6) & 0x1fff) != 0))
		return;
	header_len = (tcp[12] >> 4) * 4u;
	if (header_len < TCP_HEADER_MIN || length < offset + header_len)
		return;
	/* RFC 6691: without the room of any options, which the sender takes off itself. */
	room = (family == IP_V4 ? IPV4_HEADER_MIN : IPV6_HEADER_LEN) + TCP_HEADER_MIN;
	if (mtu <= room)
		return;
	room = mtu - room;
	if (most != 0 && most < room)
		room = most;
	mss = mss_find(tcp, header_len);
	if (mss == NULL || load_be16(mss) <= room)
		return;
	odd = (mss - tcp) & 1;
	before = load16(mss);
	store_be16(mss, (uint16_t)room);
	after = load16(mss);
	/* RFC 1624, equation 3. */
	sum = (uint16_t)~load16(tcp + TCP_CHECKSUM) + (uint16_t)~word_at(before, odd) +
	      (uint32_t)word_at(after, odd);
	store16(tcp + TCP_CHECKSUM, (uint16_t)~checksum_fold(sum));
}
