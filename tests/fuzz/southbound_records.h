/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of southbound changes out of a fuzzer's bytes: mostly well-formed, so that they meet. */
#ifndef KAIDO_FUZZ_SOUTHBOUND_RECORDS_H
#define KAIDO_FUZZ_SOUTHBOUND_RECORDS_H

#include <stdint.h>

#include "fuzz.h"

#define RECORD_MAX 1288 /* the largest, abi_selectors */

/* Writes one record of a type that changes something. */
void record_make(struct fuzz_input *in, uint16_t type, uint8_t record[RECORD_MAX]);

#endif /* KAIDO_FUZZ_SOUTHBOUND_RECORDS_H */
