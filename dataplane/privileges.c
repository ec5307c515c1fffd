/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities belong to threads. By the time that they can be dropped, DPDK has made the workers
 * and a thread for interrupts, and the system has no call that drops them elsewhere; so each of
 * those is sent a signal, drops its own in the handler, and is looked at afterwards.
 */
#include "privileges.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>

#include <cap-ng.h>

#include "log.h"

#define DROP_SIGNAL SIGUSR2
#define DROP_MS     5000 /* until every thread has run its handler */

/* Of the thread that runs it; all of this may be called in a signal handler. */
static void thread_drop(int signal)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { { 0 } };
	int saved = errno;

	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)syscall(SYS_capset, &header, none);
	errno = saved;
}

static bool thread_has_dropped(const char *tid)
{
	char path[64], line[128];
	uint64_t permitted = 1;
	int no_new = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", tid);
	f = fopen(path, "re");
	if (f == NULL)
		return errno == ENOENT; /* it has ended */
	while (fgets(line, sizeof(line), f) != NULL) {
		(void)sscanf(line, "CapPrm: %" SCNx64, &permitted);
		(void)sscanf(line, "NoNewPrivs: %d", &no_new);
	}
	fclose(f);
	return permitted == 0 && no_new == 1;
}

/* How many threads but this one have not dropped theirs; those are asked to when `ask`. */
static int threads_left(bool ask)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *d;
	int left = 0;

	if (tasks == NULL)
		return -errno;
	while ((d = readdir(tasks)) != NULL) {
		pid_t tid = (pid_t)strtol(d->d_name, NULL, 10);

		if (tid <= 0 || tid == gettid() || thread_has_dropped(d->d_name))
			continue;
		left++;
		if (ask)
			(void)syscall(SYS_tgkill, getpid(), tid, DROP_SIGNAL);
	}
	closedir(tasks);
	return left;
}

static int threads_drop(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	struct sigaction action = { .sa_handler = thread_drop, .sa_flags = SA_RESTART };
	int left;

	if (sigaction(DROP_SIGNAL, &action, NULL) != 0)
		return -errno;
	left = threads_left(true);
	for (int i = 0; left > 0 && i < DROP_MS; i++) {
		nanosleep(&ms, NULL);
		left = threads_left(false);
	}
	action.sa_handler = SIG_IGN;
	sigaction(DROP_SIGNAL, &action, NULL);
	if (left > 0)
		log_error("%d threads did not drop their capabilities", left);
	return left > 0 ? -EPERM : left;
}

static int main_drop(const struct passwd *pw)
{
	/* To ask the host to resolve a neighbour; to lock the memory of more keys. */
	static const unsigned int kept[] = { CAP_NET_ADMIN, CAP_IPC_LOCK };
	bool had[sizeof(kept) / sizeof(kept[0])], privileged;
	int err;

	capng_get_caps_process();
	privileged = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		had[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]) != 0;
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (had[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept[i]);
	if (pw != NULL)
		err = capng_change_id((int)pw->pw_uid, (int)pw->pw_gid,
				      CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	else
		err = capng_apply(privileged ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	if (err != 0) {
		log_error("capabilities can't be dropped (%d): start as root, or leave --user out",
			  err);
		return -EPERM;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	return 0;
}

int privileges_drop(const char *user)
{
	const struct passwd *pw = NULL;
	int err;

	if (user != NULL) {
		pw = getpwnam(user);
		if (pw == NULL) {
			log_error("--user: there is no user \"%s\"", user);
			return -ENOENT;
		}
	}
	/* First this thread: changing the user needs the others' right to follow. */
	err = main_drop(pw);
	return err != 0 ? err : threads_drop();
}
