/* SPDX-License-Identifier: BSD-3-Clause */
/* Reader for NIST's CAVP response files (.rsp) of AES-GCM. */
#ifndef KAIDO_TEST_RSP_H
#define KAIDO_TEST_RSP_H

#include <stdbool.h>
#include <stdint.h>

#define RSP_FIELD_MAX 256

struct rsp_field {
	uint8_t bytes[RSP_FIELD_MAX];
	uint32_t len;
};

struct rsp_vector {
	struct rsp_field key;
	struct rsp_field iv;
	struct rsp_field aad;
	struct rsp_field plaintext;
	struct rsp_field ciphertext;
	struct rsp_field tag;
	bool fail; /* decryption must refuse it */
	uint32_t line;
};

/*
 * Calls `use` for each vector of the file and returns how many there were, or a negative errno
 * (-EBADMSG: a line that is not understood; its number is printed).
 */
int rsp_read(const char *path, void (*use)(const struct rsp_vector *vector, void *arg), void *arg);

#endif /* KAIDO_TEST_RSP_H */
