/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engines.h"
#include "test.h"

/* Without SHA-NI IPsec-MB takes the AVX-512 kernels from before VAES. */
static const struct {
	enum aead_isa isa;
	uint64_t flags;
	const char *name;
} ipsec_mb_paths[] = {
	{ AEAD_ISA_SSE, 0, "sse" },
	{ AEAD_ISA_AVX, 0, "avx" },
	{ AEAD_ISA_AVX2, 0, "avx2" },
	{ AEAD_ISA_AVX512, IMB_FLAG_SHANI_OFF, "avx512 without vaes" },
	{ AEAD_ISA_AVX512, 0, "avx512" },
};
#define IPSEC_MB_PATHS (sizeof(ipsec_mb_paths) / sizeof(ipsec_mb_paths[0]))

static const struct {
	enum aead_isa isa;
	const char *name;
} vaes_paths[] = {
	{ AEAD_ISA_AVX2, "avx2" },
	{ AEAD_ISA_AVX512, "avx512" },
};
#define VAES_PATHS (sizeof(vaes_paths) / sizeof(vaes_paths[0]))
static_assert(IPSEC_MB_PATHS + VAES_PATHS + 1 == TEST_ENGINES_MAX, "room for each and OpenSSL");

static int ipsec_mb_start(struct test_engine *out, enum aead_isa isa, uint64_t flags)
{
	struct aead_engine *engine = calloc(1, sizeof(*engine));
	const char *name;
	int ret;

	assert_non_null(engine);
	ret = ipsec_mb_open_flags(engine, isa, flags);
	if (ret < 0) {
		free(engine);
		return ret;
	}
	assert_int_equal(aead_engine_start(engine, TEST_ENGINE_KEYS), 0);
	assert_int_equal(ipsec_mb_manager_create(isa, flags, &out->mgr, &name), 0);
	out->engine = engine;
	out->kind = AEAD_KIND_IPSEC_MB;
	return 0;
}

static int vaes_start(struct test_engine *out, enum aead_isa isa)
{
	out->kind = AEAD_KIND_VAES;
	return aead_engine_create(AEAD_KIND_VAES, isa, TEST_ENGINE_KEYS, &out->engine);
}

/* Whether engines[n] was started; one that the CPU or the library lacks is not. */
static bool engine_report(const struct test_engine *engine, int ret, const char *kind,
			  const char *name)
{
	if (ret == 0)
		printf("engine: %s\n", aead_engine_name(engine->engine));
	else if (ret == -ENOTSUP)
		printf("engine: CPU or library lacks %s %s\n", kind, name);
	else
		fail_msg("%s %s: %s", kind, name, strerror(-ret));
	return ret == 0;
}

size_t test_engines_open(struct test_engine engines[TEST_ENGINES_MAX])
{
	size_t n = 0;

	memset(engines, 0, TEST_ENGINES_MAX * sizeof(engines[0]));
	for (size_t i = 0; i < IPSEC_MB_PATHS; i++) {
		int ret =
			ipsec_mb_start(&engines[n], ipsec_mb_paths[i].isa, ipsec_mb_paths[i].flags);

		n += engine_report(&engines[n], ret, "ipsec-mb", ipsec_mb_paths[i].name);
	}
	for (size_t i = 0; i < VAES_PATHS; i++) {
		int ret = vaes_start(&engines[n], vaes_paths[i].isa);

		n += engine_report(&engines[n], ret, "vaes", vaes_paths[i].name);
	}
	engines[n].kind = AEAD_KIND_OPENSSL;
	assert_int_equal(aead_engine_create(AEAD_KIND_OPENSSL, AEAD_ISA_AUTO, TEST_ENGINE_KEYS,
					    &engines[n].engine),
			 0);
	printf("engine: %s\n", aead_engine_name(engines[n].engine));
	return n + 1;
}

uint32_t test_engine_keys_in_use(const struct aead_engine *engine)
{
	uint32_t n = 0;

	for (int v = 0; v < AEAD_VARIANTS; v++)
		n += engine->arenas[v].in_use;
	assert_int_equal(n, engine->keys);
	return n;
}

void test_engines_close(struct test_engine *engines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(test_engine_keys_in_use(engines[i].engine), 0);
		aead_engine_destroy(engines[i].engine);
		if (engines[i].mgr != NULL)
			free_mb_mgr(engines[i].mgr);
	}
}

struct test_fence test_fence_open(void)
{
	struct test_fence fence = { .page = (size_t)sysconf(_SC_PAGESIZE) };

	fence.map = mmap(NULL, 3 * fence.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(fence.map != MAP_FAILED);
	assert_int_equal(mprotect(fence.map + fence.page, fence.page, PROT_READ | PROT_WRITE), 0);
	return fence;
}

void test_fence_close(const struct test_fence *fence)
{
	munmap(fence->map, 3 * fence->page);
}

uint8_t *test_fence_place(const struct test_fence *fence, size_t size, bool at_end)
{
	return at_end ? fence->map + 2 * fence->page - size : fence->map + fence->page;
}

uint64_t test_random_next(struct test_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void test_random_fill(struct test_random *random, void *data, size_t len)
{
	uint8_t *out = data;

	while (len > 0) {
		uint64_t word = test_random_next(random);
		size_t part = len < sizeof(word) ? len : sizeof(word);

		memcpy(out, &word, part);
		out += part;
		len -= part;
	}
}

struct test_random test_random_start(const char *name)
{
	const char *given = getenv("KAIDO_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given != NULL ? strtoull(given, NULL, 0)
			     : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	printf("%s: KAIDO_TEST_SEED=%" PRIu64 "\n", name, seed);
	return (struct test_random){ seed };
}
