/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels for CPUs with AVX-512, VAES and VPCLMULQDQ: four blocks to a register. */
#define VAES_LANES 4
#include "vaes_batch.h"

static uint32_t vaes512_encrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	return batch_run(ops, n, false);
}

static uint32_t vaes512_decrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	return batch_run(ops, n, true);
}

const struct vaes_kernels vaes512_kernels = {
	.encrypt = vaes512_encrypt,
	.decrypt = vaes512_decrypt,
	.name = "avx512",
};
