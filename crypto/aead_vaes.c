/* SPDX-License-Identifier: BSD-3-Clause */
/* Our own AES-GCM as an engine: which kernels the CPU can run. */
#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "vaes_key.h"

#define CPUID_FEATURES 7 /* leaf */

/* The compilers' builtin knows not all of them by name, but whether the OS keeps the registers. */
static bool cpu_has_vaes(void)
{
	unsigned int a, b, c, d;

	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2") ||
	    !__get_cpuid_count(CPUID_FEATURES, 0, &a, &b, &c, &d))
		return false;
	return (c & bit_VAES) && (c & bit_VPCLMULQDQ) && (b & bit_BMI) && (b & bit_BMI2) &&
	       __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
}

static bool cpu_has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* Kernels keep no state. */
static void vaes_close(void *state)
{
}

int aead_vaes_open(struct aead_engine *engine, enum aead_isa isa)
{
	const struct vaes_kernels *kernels;

	if (!cpu_has_vaes())
		return -ENOTSUP;
	if ((isa == AEAD_ISA_AUTO || isa == AEAD_ISA_AVX512) && cpu_has_avx512())
		kernels = &vaes512_kernels;
	else if (isa == AEAD_ISA_AUTO || isa == AEAD_ISA_AVX2)
		kernels = &vaes256_kernels;
	else
		return -ENOTSUP;
	engine->impl = (struct aead_implementation){
		.key_size = { offsetof(struct vaes_key, round[11]), sizeof(struct vaes_key),
			      sizeof(struct vaes_key) },
		.key_expand = vaes_key_expand,
		.encrypt = kernels->encrypt,
		.decrypt = kernels->decrypt,
		.close = vaes_close,
		.verify = true,
	};
	engine->state = NULL;
	snprintf(engine->name, sizeof(engine->name), "vaes %s", kernels->name);
	return 0;
}
