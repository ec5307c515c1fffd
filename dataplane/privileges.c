/* SPDX-License-Identifier: BSD-3-Clause */
#include "privileges.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include <cap-ng.h>

#include "log.h"

int privileges_drop(const char *user)
{
	const struct passwd *pw = NULL;
	/* To ask the host to resolve a neighbour; to lock the memory of more keys. */
	static const unsigned int kept[] = { CAP_NET_ADMIN, CAP_IPC_LOCK };
	bool had[sizeof(kept) / sizeof(kept[0])], privileged;
	int err;

	if (user != NULL) {
		pw = getpwnam(user);
		if (pw == NULL) {
			log_error("--user: there is no user \"%s\"", user);
			return -ENOENT;
		}
	}
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
