/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels for CPUs with VAES and VPCLMULQDQ but no AVX-512: two blocks to a register. */
#define VAES_LANES 2
#include "vaes_batch.h"

static uint32_t vaes256_encrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	return batch_run(ops, n, false);
}

static uint32_t vaes256_decrypt(const void *state, struct aead_op *ops, uint32_t n)
{
	return batch_run(ops, n, true);
}

const struct vaes_kernels vaes256_kernels = {
	.encrypt = vaes256_encrypt,
	.decrypt = vaes256_decrypt,
	.name = "avx2",
};
