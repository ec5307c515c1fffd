/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets share. A target is a program of libFuzzer's in the fuzz build; in every other
 * build replay.c gives it a main() that runs inputs from files, as a test.
 *
 * A target keeps its state between inputs where making it anew would be slow, and puts it back to
 * where it was: an input must find the same whatever ran before it.
 */
#ifndef KAIDO_FUZZ_H
#define KAIDO_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. Also in builds without assert(). */
#define FUZZ_CHECK(condition)                                                             \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition);                                              \
			abort();                                                          \
		}                                                                         \
	} while (0)

/* An input, taken from its front; zeros behind its end. */
struct fuzz_input {
	const uint8_t *next;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->next++;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t low = fuzz_u8(in);

	return (uint16_t)(low | fuzz_u8(in) << 8);
}

/* Up to `want` bytes; *got says how many there were. */
static inline const uint8_t *fuzz_bytes(struct fuzz_input *in, size_t want, size_t *got)
{
	const uint8_t *p = in->next;

	*got = want < in->left ? want : in->left;
	in->next += *got;
	in->left -= *got;
	return p;
}

#endif /* KAIDO_FUZZ_H */
