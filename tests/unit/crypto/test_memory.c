/* SPDX-License-Identifier: BSD-3-Clause */
/* Key memory: locked, kept out of dumps and forks, wiped, and paid for only when used. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines.h"
#include "test.h"

#define MANY_KEYS 400000u

/* AddressSanitizer makes mlock() do nothing. */
#if defined(__SANITIZE_ADDRESS__)
#define LOCKS_ARE_REAL false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOCKS_ARE_REAL false
#endif
#endif
#ifndef LOCKS_ARE_REAL
#define LOCKS_ARE_REAL true
#endif

static const uint8_t salt[AEAD_SALT_LEN] = { 1, 2, 3, 4 };
static const uint8_t key_bytes[AEAD_KEY_MAX] = { 0xa5, 0x5a, 0xc3, 0x3c, 0x69, 0x96 };

static const enum aead_kind kinds[] = { AEAD_KIND_AUTO, AEAD_KIND_IPSEC_MB, AEAD_KIND_OPENSSL };
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct aead_engine *engine_create(enum aead_kind kind, uint32_t keys)
{
	struct aead_engine *engine;

	assert_int_equal(aead_engine_create(kind, AEAD_ISA_AUTO, keys, &engine), 0);
	return engine;
}

static struct aead_key *key_create(struct aead_engine *engine, size_t len)
{
	struct aead_key *key;

	assert_int_equal(aead_key_create(engine, key_bytes, len, salt, &key), 0);
	return key;
}

/* A value in kB from /proc/self/status. */
static size_t status_kb(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t len = strlen(name), kb = 0;
	bool found = false;
	char line[256];

	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		found = strncmp(line, name, len) == 0 && line[len] == ':';
		if (found)
			kb = strtoul(line + len + 1, NULL, 10);
	}
	fclose(file);
	assert_true(found);
	return kb;
}

/* The VmFlags of the mapping that `p` is in, from /proc/self/smaps; false when it is in none. */
static bool mapping_flags(const void *p, char *flags, size_t size)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	bool inside = false, found = false;
	char line[512];

	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)p >= start && (uintptr_t)p < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			snprintf(flags, size, "%s", line + 8);
			found = true;
		}
	}
	fclose(file);
	return found;
}

/* lo: locked. dd: not in core dumps. dc: not in forked children. */
static void assert_protected(const void *p)
{
	char flags[512];

	assert_true(mapping_flags(p, flags, sizeof(flags)));
	if ((LOCKS_ARE_REAL && strstr(flags, " lo") == NULL) || strstr(flags, " dd") == NULL ||
	    strstr(flags, " dc") == NULL)
		fail_msg("flags of key memory:%s", flags);
}

static size_t bytes_set(const void *p, size_t size)
{
	const uint8_t *bytes = p;
	size_t set = 0;

	for (size_t i = 0; i < size; i++)
		set += bytes[i] != 0;
	return set;
}

static void the_arena_fills_and_is_used_again(void **state)
{
	enum { CAPACITY = 131 }; /* no multiple of the bitmap's words */
	struct aead_key *keys[CAPACITY], *extra = NULL;

	for (size_t k = 0; k < KINDS; k++) {
		struct aead_engine *engine = engine_create(kinds[k], CAPACITY);

		for (int i = 0; i < CAPACITY; i++) {
			keys[i] = key_create(engine, 16);
			for (int j = 0; j < i; j++)
				assert_ptr_not_equal(keys[i], keys[j]);
		}
		assert_int_equal(aead_key_create(engine, key_bytes, 16, salt, &extra), -ENOSPC);
		assert_null(extra);

		/* The only free slot is the one given back, wherever it is. */
		for (int i = 0; i < CAPACITY; i += 13) {
			aead_key_destroy(engine, keys[i]);
			assert_ptr_equal(key_create(engine, 16), keys[i]);
			assert_int_equal(aead_key_create(engine, key_bytes, 16, salt, &extra),
					 -ENOSPC);
		}
		/* One given back is room for one, of whatever length. */
		aead_key_destroy(engine, keys[1]);
		keys[1] = key_create(engine, 32);
		assert_int_equal(aead_key_create(engine, key_bytes, 16, salt, &extra), -ENOSPC);
		for (int i = CAPACITY - 1; i >= 0; i--)
			aead_key_destroy(engine, keys[i]);
		assert_int_equal(test_engine_keys_in_use(engine), 0);
		assert_ptr_equal(extra = key_create(engine, 16), keys[0]);
		aead_key_destroy(engine, extra);
		extra = NULL;
		aead_engine_destroy(engine);
	}
}

static void a_refused_key_takes_no_slot(void **state)
{
	struct aead_engine *engine = engine_create(AEAD_KIND_AUTO, 1);
	struct aead_key *key = NULL;

	for (int i = 0; i < 10; i++)
		assert_int_equal(aead_key_create(engine, key_bytes, 17, salt, &key), -EINVAL);
	assert_null(key);
	key = key_create(engine, 16);
	aead_key_destroy(engine, key);
	aead_engine_destroy(engine);
}

static void a_destroyed_key_is_wiped(void **state)
{
	for (size_t k = 0; k < KINDS; k++) {
		struct aead_engine *engine = engine_create(kinds[k], 3);
		struct aead_key *keys[3];
		size_t size[3];

		for (int i = 0; i < 3; i++) {
			keys[i] = key_create(engine, 16 + 8 * (size_t)i);
			size[i] = aead_engine_key_size(engine, 16 + 8 * (size_t)i);
			assert_true(bytes_set(keys[i], size[i]) > 0);
		}
		aead_key_destroy(engine, keys[1]);
		assert_int_equal(bytes_set(keys[1], size[1]), 0);
		assert_true(bytes_set(keys[0], size[0]) > 0);
		assert_true(bytes_set(keys[2], size[2]) > 0);
		aead_key_destroy(engine, keys[0]);
		aead_key_destroy(engine, keys[2]);
		for (int v = 0; v < AEAD_VARIANTS; v++)
			assert_int_equal(
				bytes_set(engine->arenas[v].base, engine->arenas[v].locked), 0);
		aead_engine_destroy(engine);
	}
}

/* A schedule must not hold the bytes of a key anywhere but where AES keeps them, once. */
static void the_engine_keeps_no_other_copy(void **state)
{
	for (size_t k = 0; k < KINDS; k++) {
		struct aead_engine *engine = engine_create(kinds[k], 1);
		size_t size = aead_engine_key_size(engine, 16);
		struct aead_key *key = key_create(engine, 16);
		const uint8_t *copy = memmem(key, size, key_bytes, 16);
		size_t behind;

		assert_non_null(copy);
		behind = (size_t)(copy - (const uint8_t *)key) + 16;
		assert_null(memmem(copy + 16, size - behind, key_bytes, 16));
		aead_key_destroy(engine, key);
		aead_engine_destroy(engine);
	}
}

static void key_memory_is_protected(void **state)
{
	for (size_t k = 0; k < KINDS; k++) {
		struct aead_engine *engine = engine_create(kinds[k], 10);
		struct aead_key *key = key_create(engine, 32);
		char flags[512];

		assert_protected(key);
		aead_key_destroy(engine, key);
		aead_engine_destroy(engine);
		/* Unmapped, or taken by something else that is not locked. */
		if (mapping_flags(key, flags, sizeof(flags)))
			assert_null(strstr(flags, " lo"));
	}
}

static void room_for_many_keys_costs_nothing(void **state)
{
	size_t locked = status_kb("VmLck"), resident = status_kb("VmRSS"), first, later;
	struct aead_engine *engine = engine_create(AEAD_KIND_AUTO, MANY_KEYS);
	struct aead_key **keys = calloc(5000, sizeof(struct aead_key *));
	const size_t size = aead_engine_key_size(engine, 32);
	const struct key_arena *arena = &engine->arenas[AEAD_AES_256];

	for (int v = 0; v < AEAD_VARIANTS; v++) /* nothing before the first key */
		assert_int_equal(engine->arenas[v].locked, 0);
	keys[0] = key_create(engine, 32);
	first = LOCKS_ARE_REAL ? status_kb("VmLck") - locked : arena->locked / 1024;
	printf("room for %u keys: %zu MB of addresses, %zu kB locked, %zu kB resident\n", MANY_KEYS,
	       arena->mapped >> 20, first, status_kb("VmRSS") - resident);
	assert_true(arena->mapped >= (size_t)MANY_KEYS * size);
	assert_true(first > 0);
	assert_true(first <= KEY_ARENA_CHUNK / 1024);
	assert_true(status_kb("VmRSS") - resident < 2 * KEY_ARENA_CHUNK / 1024);

	for (int i = 1; i < 5000; i++)
		keys[i] = key_create(engine, 32);
	later = LOCKS_ARE_REAL ? status_kb("VmLck") - locked : arena->locked / 1024;
	printf("5000 keys: %zu kB locked\n", later);
	assert_true(later * 1024 >= 5000 * size);
	assert_true(later * 1024 < 5000 * size + KEY_ARENA_CHUNK);
	assert_protected(keys[0]);
	assert_protected(keys[4999]);

	/* Engine and all keys go at once. */
	aead_engine_destroy(engine);
	assert_int_equal(status_kb("VmLck"), locked);
	free(keys);
}

/* Runs `body` in a child and returns how it ended, as of waitpid(). */
static int in_child(void (*body)(void *), void *arg)
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		body(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void child_maps(void *arg)
{
	char flags[512];

	_exit(mapping_flags(arg, flags, sizeof(flags)) ? 1 : 42);
}

static void a_forked_child_has_no_keys(void **state)
{
	struct aead_engine *engine = engine_create(AEAD_KIND_AUTO, 1);
	struct aead_key *key = key_create(engine, 32);
	void *secret = secret_alloc(10);
	int status;

	assert_non_null(secret);
	status = in_child(child_maps, key);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	status = in_child(child_maps, secret);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	secret_free(secret, 10);
	aead_key_destroy(engine, key);
	aead_engine_destroy(engine);
}

struct put {
	struct aead_engine *engine;
	void *key;
};

static void child_destroys(void *arg)
{
	struct put *put = arg;

	aead_key_destroy(put->engine, put->key);
}

static void destroying_what_is_no_key_stops_the_process(void **state)
{
	struct aead_engine *engine = engine_create(AEAD_KIND_AUTO, 4);
	struct aead_key *key = key_create(engine, 32);
	uint8_t *base = engine->arenas[AEAD_AES_256].base;
	size_t size = aead_engine_key_size(engine, 32);
	struct put wrong[] = {
		{ engine, base + size },                       /* free */
		{ engine, base + 16 },                         /* inside one */
		{ engine, base + 4 * size },                   /* behind the last */
		{ engine, base - size },                       /* before the first */
		{ engine, engine->arenas[AEAD_AES_128].base }, /* free, of another length */
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int status = in_child(child_destroys, &wrong[i]);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	aead_key_destroy(engine, key);
	aead_engine_destroy(engine);
}

/* Without the privilege to lock memory, and with a limit of `arg` bytes. */
static void child_locks(void *arg)
{
	struct rlimit limit = { *(rlim_t *)arg, *(rlim_t *)arg };
	struct aead_engine *engine = NULL;
	int ret;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || (geteuid() == 0 && setuid(65534) < 0))
		_exit(98);
	ret = aead_engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, MANY_KEYS, &engine);
	if (ret == -ENOMEM && engine == NULL && secret_alloc(1) == NULL && errno == ENOMEM)
		_exit(1);
	_exit(ret == 0 ? 2 : 97);
}

static void a_limit_on_locked_memory_is_reported(void **state)
{
	rlim_t none = 0, enough = KEY_ARENA_CHUNK;
	int status;

	if (!LOCKS_ARE_REAL)
		skip();

	status = in_child(child_locks, &none);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	/* Room for 400,000 keys, and a limit that lets the first ones in. */
	status = in_child(child_locks, &enough);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

static void secrets_are_zeroed_and_protected(void **state)
{
	static const size_t sizes[] = { 1, 32, 4095, 4096, 4097, 3 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *secret = secret_alloc(sizes[i]);

		assert_non_null(secret);
		assert_int_equal(bytes_set(secret, sizes[i]), 0);
		assert_protected(secret);
		assert_protected(secret + sizes[i] - 1);
		memset(secret, 0xff, sizes[i]);
		secret_free(secret, sizes[i]);
	}
	errno = 0;
	assert_null(secret_alloc(0));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(secret_alloc(SIZE_MAX));
	assert_int_equal(errno, EINVAL);
	secret_free(NULL, 0);
}

static void wiping_wipes_what_was_asked(void **state)
{
	uint8_t bytes[64];

	memset(bytes, 0xff, sizeof(bytes));
	secret_wipe(bytes + 8, 48);
	assert_int_equal(bytes_set(bytes, 8), 8);
	assert_int_equal(bytes_set(bytes + 8, 48), 0);
	assert_int_equal(bytes_set(bytes + 56, 8), 8);
	secret_wipe(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_arena_fills_and_is_used_again),
		cmocka_unit_test(a_refused_key_takes_no_slot),
		cmocka_unit_test(a_destroyed_key_is_wiped),
		cmocka_unit_test(the_engine_keeps_no_other_copy),
		cmocka_unit_test(key_memory_is_protected),
		cmocka_unit_test(room_for_many_keys_costs_nothing),
		cmocka_unit_test(a_forked_child_has_no_keys),
		cmocka_unit_test(destroying_what_is_no_key_stops_the_process),
		cmocka_unit_test(a_limit_on_locked_memory_is_reported),
		cmocka_unit_test(secrets_are_zeroed_and_protected),
		cmocka_unit_test(wiping_wipes_what_was_asked),
	};

	return cmocka_run_group_tests_name("crypto memory", tests, NULL, NULL);
}
