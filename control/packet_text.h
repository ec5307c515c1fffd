/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers of an IP packet as one line of text. */
#ifndef KAIDO_CONTROL_PACKET_TEXT_H
#define KAIDO_CONTROL_PACKET_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * `headers`: from the IP header on, as many bytes as were captured. Whatever stands in them, `text`
 * becomes one line of ASCII.
 */
void packet_text(char *text, size_t text_len, const uint8_t *headers, size_t len);

#endif /* KAIDO_CONTROL_PACKET_TEXT_H */
