/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of kaidod, and what is said when one fails. */
#include "kaidoctl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rpc_client.h"
#include "table.h"

int ctl_connect(struct ctl *ctl)
{
	int rc;

	if (ctl->client != NULL)
		return CTL_OK;
	rc = rpc_client_open(ctl->socket, &ctl->client);
	if (rc == 0)
		return CTL_OK;
	fprintf(stderr, "kaidoctl: kaidod can't be reached at %s: %s\n", ctl->socket,
		strerror(-rc));
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		fprintf(stderr, "Is kaidod running (systemctl status kaidod)? Another socket is "
				"given with --socket.\n");
	else if (rc == -EACCES)
		fprintf(stderr, "Become root, or a member of its operator or auditor group.\n");
	return CTL_UNREACHABLE;
}

static void text_print_tame(const char *text)
{
	char *copy = strdup(text);

	if (copy != NULL) {
		table_tame(copy);
		fprintf(stderr, "%s\n", copy);
	}
	free(copy);
}

int ctl_failure_report(const struct rpc_failure *failure)
{
	fprintf(stderr, "kaidoctl: ");
	text_print_tame(failure->message);
	return failure->code == 0 || failure->code == RPC_FAILURE_TIMEOUT ? CTL_UNREACHABLE
									  : CTL_FAILED;
}

int ctl_call_from(struct ctl *ctl, const char *method, json_t *params, json_t **result,
		  const struct ctl_source *source)
{
	struct rpc_failure failure;
	const json_t *errors;
	size_t n = 0;
	int rc;

	rc = ctl_connect(ctl);
	if (rc != CTL_OK) {
		json_decref(params);
		return rc;
	}
	*result = rpc_client_call(ctl->client, method, params, &failure);
	if (*result != NULL)
		return CTL_OK;
	errors = json_object_get(failure.data, "errors");
	if (json_is_array(errors))
		n = mistakes_print(errors, source);
	if (n == 0) {
		rc = ctl_failure_report(&failure);
	} else {
		fprintf(stderr, "%zu mistake%s; nothing was changed.\n", n, n == 1 ? "" : "s");
		rc = CTL_FAILED;
	}
	if (failure.code == 0 ||
	    failure.code == RPC_FAILURE_TIMEOUT) { /* the connection is no use any more */
		rpc_client_close(ctl->client);
		ctl->client = NULL;
	}
	rpc_failure_clear(&failure);
	return rc;
}

int ctl_call(struct ctl *ctl, const char *method, json_t *params, json_t **result)
{
	return ctl_call_from(ctl, method, params, result, NULL);
}

int ctl_print_json(const json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0 || printf("\n") < 0)
		return CTL_FAILED;
	return CTL_OK;
}

bool ctl_ask(const char *question)
{
	char answer[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		return false;
	return answer[0] == 'y' || answer[0] == 'Y';
}

bool ctl_split_name(const char *text, char tenant[32], char name[32])
{
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);

	name[0] = '\0';
	if (len == 0 || len >= 32 ||
	    (slash != NULL && (slash[1] == '\0' || strlen(slash + 1) >= 32)))
		return false;
	memcpy(tenant, text, len);
	tenant[len] = '\0';
	if (slash != NULL)
		memcpy(name, slash + 1, strlen(slash + 1) + 1);
	return true;
}

static sigset_t interrupt_set(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	return set;
}

void ctl_interrupt_hold(void)
{
	const sigset_t set = interrupt_set();

	sigprocmask(SIG_BLOCK, &set, NULL);
}

void ctl_interrupt_release(void)
{
	const sigset_t set = interrupt_set();

	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool ctl_wait(double seconds)
{
	const struct timespec time = { .tv_sec = (time_t)seconds,
				       .tv_nsec =
					       (long)((seconds - (double)(time_t)seconds) * 1e9) };
	const sigset_t set = interrupt_set();

	return sigtimedwait(&set, NULL, &time) != SIGINT;
}
