/* SPDX-License-Identifier: BSD-3-Clause */
/* The interactive shell: the same commands, with history and completion. */
#include "kaidoctl.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <histedit.h>

#include "rpc_client.h"

#define WORDS_MAX     64
#define HISTORY_LINES 500

static char *prompt(EditLine *edit)
{
	return (char *)(uintptr_t) "kaido> "; /* libedit only reads it */
}

/* Words up to the cursor. An open quote is no matter here. */
static json_t *line_completions(EditLine *edit, struct ctl *ctl, const LineInfo *line)
{
	char *copy = strndup(line->buffer, (size_t)(line->cursor - line->buffer));
	char *words[WORDS_MAX], *save = NULL, *word;
	bool fresh = copy == NULL || *copy == '\0' || copy[strlen(copy) - 1] == ' ';
	json_t *result;
	int n = 0;

	for (word = copy == NULL ? NULL : strtok_r(copy, " \t", &save);
	     word != NULL && n < WORDS_MAX - 1; word = strtok_r(NULL, " \t", &save))
		words[n++] = word;
	if (fresh)
		words[n++] = copy + (copy == NULL ? 0 : strlen(copy));
	result = copy == NULL ? json_array() : completions(ctl, n, words);
	free(copy);
	return result;
}

/* How far all of them agree. */
static size_t common_length(const json_t *list)
{
	const char *first = json_string_value(json_array_get(list, 0)), *other;
	size_t len = strlen(first), i, n;

	for (i = 1; i < json_array_size(list); i++) {
		other = json_string_value(json_array_get(list, i));
		for (n = 0; n < len && first[n] == other[n]; n++)
			;
		len = n;
	}
	return len;
}

static unsigned char complete(EditLine *edit, int key)
{
	const LineInfo *line = el_line(edit);
	const char *start = line->cursor, *first;
	char insert[256];
	struct ctl *ctl;
	json_t *list, *item;
	size_t typed, common, i;
	unsigned char rc = CC_ERROR;

	while (start > line->buffer && start[-1] != ' ')
		start--;
	typed = (size_t)(line->cursor - start);
	el_get(edit, EL_CLIENTDATA, &ctl);
	list = line_completions(edit, ctl, line);
	if (json_array_size(list) == 0)
		goto out;
	first = json_string_value(json_array_get(list, 0));
	common = common_length(list);
	if (common > typed || json_array_size(list) == 1) {
		bool whole = json_array_size(list) == 1 && first[strlen(first) - 1] != '/' &&
			     first[strlen(first) - 1] != '=';

		snprintf(insert, sizeof(insert), "%.*s%s", (int)(common - typed), first + typed,
			 whole ? " " : "");
		rc = el_insertstr(edit, insert) == 0 ? CC_REFRESH : CC_ERROR;
		goto out;
	}
	printf("\n");
	json_array_foreach (list, i, item)
		printf("%s  ", json_string_value(item));
	printf("\n");
	rc = CC_REDISPLAY;
out:
	json_decref(list);
	return rc;
}

/* One line of a shell or a pipe. */
static int line_run(struct ctl *ctl, Tokenizer *tokenizer, const char *line, bool *quit)
{
	const char **words;
	char *argv[WORDS_MAX + 1], *own[WORDS_MAX]; /* commands reorder argv */
	struct ctl once = *ctl;                     /* options are of this line alone */
	int argc, n, i, rc = CTL_OK;

	tok_reset(tokenizer);
	if (tok_str(tokenizer, line, &argc, &words) != 0) {
		fprintf(stderr, "kaidoctl: a quote is not closed\n");
		return CTL_USAGE;
	}
	if (argc == 0 || words[0][0] == '#')
		return CTL_OK;
	if (argc > WORDS_MAX) {
		fprintf(stderr, "kaidoctl: too many words\n");
		return CTL_USAGE;
	}
	for (i = 0; i < argc; i++)
		argv[i] = own[i] = strdup(words[i]);
	argv[argc] = NULL;
	n = argc;
	*quit = strcmp(argv[0], "exit") == 0 || strcmp(argv[0], "quit") == 0;
	if (!*quit)
		rc = ctl_globals_take(&once, &argc, argv);
	if (once.socket != ctl->socket)
		once.client = NULL;
	if (!*quit && rc == CTL_OK)
		rc = ctl_run(&once, argc, argv);
	if (once.socket != ctl->socket)
		rpc_client_close(once.client);
	else
		ctl->client = once.client;
	for (i = 0; i < n; i++)
		free(own[i]);
	return rc;
}

static int pipe_run(struct ctl *ctl, Tokenizer *tokenizer)
{
	char *line = NULL;
	size_t room = 0;
	bool quit = false;
	int rc, failed = CTL_OK;
	ssize_t n;

	while (!quit && (n = getline(&line, &room, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		rc = line_run(ctl, tokenizer, line, &quit);
		if (rc != CTL_OK)
			failed = rc;
	}
	free(line);
	return failed;
}

static int terminal_run(struct ctl *ctl, Tokenizer *tokenizer)
{
	EditLine *edit = el_init("kaidoctl", stdin, stdout, stderr);
	History *past = history_init();
	const char *text;
	char line[4096];
	HistEvent event;
	bool quit = false;
	int n;

	if (edit == NULL || past == NULL) {
		fprintf(stderr, "kaidoctl: this terminal can't be used\n");
		return CTL_FAILED;
	}
	history(past, &event, H_SETSIZE, HISTORY_LINES);
	el_set(edit, EL_PROMPT, prompt);
	el_set(edit, EL_EDITOR, "emacs");
	el_set(edit, EL_SIGNAL, 1);
	el_set(edit, EL_HIST, history, past);
	el_set(edit, EL_CLIENTDATA, ctl);
	/* el_set() would copy these names and lose the copies. */
	el_wset(edit, EL_ADDFN, L"kaido-complete", L"completes a word", complete);
	el_set(edit, EL_BIND, "^I", "kaido-complete", NULL);
	printf("kaidoctl %s; help, or help COMMAND; Tab completes; exit or Ctrl-D ends.\n",
	       KAIDO_VERSION);
	while (!quit && (text = el_gets(edit, &n)) != NULL && n > 0) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		if (line[0] != '\0')
			history(past, &event, H_ENTER, line);
		line_run(ctl, tokenizer, line, &quit);
	}
	if (!quit)
		printf("\n");
	history_end(past);
	el_end(edit);
	return CTL_OK;
}

int shell_run(struct ctl *ctl)
{
	Tokenizer *tokenizer = tok_init(NULL);
	int rc;

	if (tokenizer == NULL)
		return CTL_FAILED;
	rc = isatty(STDIN_FILENO) ? terminal_run(ctl, tokenizer) : pipe_run(ctl, tokenizer);
	tok_end(tokenizer);
	return rc;
}
