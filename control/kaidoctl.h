/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kaidoctl: the operator's command line. Each command is a function over its words; main() and the
 * shell run them through command_run().
 */
#ifndef KAIDO_CONTROL_KAIDOCTL_H
#define KAIDO_CONTROL_KAIDOCTL_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct rpc_client;
struct rpc_failure;
struct yaml_config;

enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1, /* refused, or a mistake in what was given */
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3, /* kaidod does not answer at its socket */
};

struct ctl {
	const char *socket;
	bool json; /* results as kaidod gave them */
	bool help;
	bool version;
	struct rpc_client *client; /* once a command needed it */
};

struct command {
	const char *name;
	const char *summary; /* one line */
	const char *help;    /* usage, options, an example */
	/* argv[0] is the command's name. Returns an enum ctl_exit. */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

extern const struct command ctl_commands[]; /* ends with a NULL name */

const struct command *command_find(const char *name);
int command_run(struct ctl *ctl, int argc, char **argv);

/* Takes --json, --socket PATH, --help and --version out of the words; CTL_USAGE: a mistake. */
int ctl_globals_take(struct ctl *ctl, int *argc, char **argv);

/* Runs a command, or what of these options stands in its place. */
int ctl_run(struct ctl *ctl, int argc, char **argv);

/*
 * Waits so many seconds. False: Ctrl-C came, for which ctl_interrupt_hold() must have been called
 * before; ctl_interrupt_release() gives Ctrl-C its usual meaning back.
 */
bool ctl_wait(double seconds);
void ctl_interrupt_hold(void);
void ctl_interrupt_release(void);

/* Says how the command is used, on standard error. Returns CTL_USAGE. */
int command_usage(const char *name, const char *mistake, const char *what);

/* The file that the mistakes of a call are in: the value at the JSON pointer `at` of the params. */
struct ctl_source {
	const char *file;
	const char *at;
	const struct yaml_config *config;
};

/*
 * Calls kaidod. Takes `params`. CTL_OK: *result is the caller's. Else the reason has been written
 * to standard error, each mistake with its line where there is a `source`.
 */
int ctl_call(struct ctl *ctl, const char *method, json_t *params, json_t **result);
int ctl_call_from(struct ctl *ctl, const char *method, json_t *params, json_t **result,
		  const struct ctl_source *source);
/* One line per mistake that kaidod found. Returns how many. */
size_t mistakes_print(const json_t *errors, const struct ctl_source *source);
int ctl_connect(struct ctl *ctl);
int ctl_failure_report(const struct rpc_failure *failure);

/* Prints JSON in full. Returns CTL_OK, or CTL_FAILED when it can't be written. */
int ctl_print_json(const json_t *value);

/* "yes" typed at a terminal. Without a terminal nobody is asked: true. */
bool ctl_ask(const char *question);

/* TENANT/NAME or TENANT. False: it is neither. Each part holds 32 bytes; *name may be empty. */
bool ctl_split_name(const char *text, char tenant[32], char name[32]);

/* Writes what an apply or set changed, or (not `done`) would change. */
void changes_print(const json_t *changes, bool done);

/*
 * Reads FILE ("-": standard input), as YAML, and its key files. NULL: the mistakes were written.
 * `text` of up to 64 MiB; the result is to be given to yaml_config_free().
 */
struct yaml_config *config_read(const char *file);

/* One `member=value` of the command line into `object`; false: it was refused, and why written. */
bool member_assign(json_t *object, const char *word);

int command_apply(struct ctl *ctl, int argc, char **argv);
int command_confirm(struct ctl *ctl, int argc, char **argv);
int command_show(struct ctl *ctl, int argc, char **argv);
int command_drops(struct ctl *ctl, int argc, char **argv);
int command_audit(struct ctl *ctl, int argc, char **argv);
int command_set(struct ctl *ctl, int argc, char **argv);
int command_delete(struct ctl *ctl, int argc, char **argv);
int command_sa(struct ctl *ctl, int argc, char **argv);
int command_watch(struct ctl *ctl, int argc, char **argv);
int command_graph(struct ctl *ctl, int argc, char **argv);
int command_trace(struct ctl *ctl, int argc, char **argv);
int command_disconnect(struct ctl *ctl, int argc, char **argv);
/* The result of ike.list. */
int ike_print(const json_t *result);
/* One object of tunnel.list in full. */
int tunnel_detail_print(const json_t *tunnel);
/* show events [TENANT[/TUNNEL]] [OPTION]...: argv[0] is `events`. */
int events_show(struct ctl *ctl, int argc, char **argv);
int command_events(struct ctl *ctl, int argc, char **argv);
int command_completion(struct ctl *ctl, int argc, char **argv);
int command_complete(struct ctl *ctl, int argc, char **argv);
int command_help(struct ctl *ctl, int argc, char **argv);

/* For the completion: the topics of `show` by number, and the kinds of `set` and `delete`; NULL ends
 * both.
 */
const char *show_topic(size_t index);
const char *const *set_kinds(void);

/* What may stand where the last of `words` stands, a JSON array of strings, the caller's. */
json_t *completions(struct ctl *ctl, int n, char **words);

/* Reads commands, by hand with editing or from a pipe. Returns the exit of the last that failed. */
int shell_run(struct ctl *ctl);

#endif /* KAIDO_CONTROL_KAIDOCTL_H */
