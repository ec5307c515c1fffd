/* SPDX-License-Identifier: BSD-3-Clause */
/* In a child process, for what is dropped does not come back. Started by whom it may be. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>

#include <cmocka.h>

#include "privileges.h"

#define THREADS 3

#define MAY_STAY (1ull << CAP_NET_ADMIN | 1ull << CAP_IPC_LOCK)

/* A worker polls, and the others sleep. */
static void *thread_run(void *polls)
{
	const struct timespec s = { .tv_sec = 1 };

	for (;;)
		if (polls == NULL)
			nanosleep(&s, NULL);
	return NULL;
}

/* 0, or the number of threads that kept something. */
static int kept(uint32_t *threads)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *d;
	int bad = 0;

	while ((d = readdir(tasks)) != NULL) {
		uint64_t effective = 1, permitted = 1, allowed = 0;
		char path[64], line[128];
		int no_new = 0;
		FILE *f;

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", d->d_name);
		f = fopen(path, "r");
		while (fgets(line, sizeof(line), f) != NULL) {
			(void)sscanf(line, "CapEff: %" SCNx64, &effective);
			(void)sscanf(line, "CapPrm: %" SCNx64, &permitted);
			(void)sscanf(line, "NoNewPrivs: %d", &no_new);
		}
		fclose(f);
		if (strtol(d->d_name, NULL, 10) == getpid())
			allowed = MAY_STAY;
		bad += ((effective | permitted) & ~allowed) != 0 || no_new != 1;
		++*threads;
	}
	closedir(tasks);
	return bad;
}

static int child(const char *user)
{
	uint32_t threads = 0;
	pthread_t t;

	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t, NULL, thread_run, i == 0 ? &t : NULL) != 0)
			return 2;
	if (privileges_drop(user) != 0)
		return 3;
	if (kept(&threads) != 0 || threads != THREADS + 1)
		return 4;
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 5;
	return user != NULL && (getuid() == 0 || geteuid() == 0 || getgid() == 0) ? 6 : 0;
}

static int in_child(const char *user)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(child(user));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_every_thread_drops(void **state)
{
	assert_int_equal(in_child(NULL), 0);
}

static void test_another_user(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child("nobody"), 0);
	assert_int_equal(in_child("no-such-user"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_thread_drops),
		cmocka_unit_test(test_another_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
