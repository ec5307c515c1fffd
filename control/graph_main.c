/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kaido-graph: draws graphs of the history in DIR for kaidod (see graph.h, graph_message.h).
 *
 * In is above the line, out below it: areas are what the tenant sent (inner), lines what went
 * over the Internet for it (outer).
 */
#include "graph_message.h"
#include "history_file.h"
#include "privileges.h"

#include <errno.h>
#include <rrd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 160
#define ARG_LEN  512
#define AT_ONCE  4 /* graphs drawn at a time */

#define FINE_SPAN (2 * 86400) /* seconds for which there are samples at the full step */

struct arguments {
	char *argv[ARGS_MAX];
	int argc;
};

struct curve {
	enum history_series series;
	const char *name; /* of its variables */
	const char *legend;
	const char *draw; /* AREA or LINE1 and a colour; NULL: in the table only */
	bool bits;        /* bytes, shown as bits */
	bool below;       /* drawn below the line */
};

static const struct curve curves[] = {
	{ HISTORY_IN_INNER_BYTES, "ii", "in   inner  ", "AREA#6fa8dc", true, false },
	{ HISTORY_IN_OUTER_BYTES, "io", "in   outer  ", "LINE1#0b5394", true, false },
	{ HISTORY_OUT_INNER_BYTES, "oi", "out  inner  ", "AREA#93c47d", true, true },
	{ HISTORY_OUT_OUTER_BYTES, "oo", "out  outer  ", "LINE1#38761d", true, true },
	{ HISTORY_IN_PACKETS, "ip", "  in   packets", NULL, false, false },
	{ HISTORY_OUT_PACKETS, "op", "  out  packets", NULL, false, false },
	{ HISTORY_IN_DROPS, "id", "  in   dropped", NULL, false, false },
	{ HISTORY_OUT_DROPS, "od", "  out  dropped", NULL, false, false },
};

/* Adds an argument of librrd's; they live until the process ends. */
__attribute__((format(printf, 2, 3))) static void argument_add(struct arguments *arguments,
							       const char *format, ...)
{
	char *text = malloc(ARG_LEN);
	va_list ap;
	int n;

	va_start(ap, format);
	n = text == NULL ? -1 : vsnprintf(text, ARG_LEN, format, ap);
	va_end(ap);
	if (n < 0 || n >= ARG_LEN || arguments->argc >= ARGS_MAX) {
		_exit(1); /* graph_result() tells from the empty pipe */
	}
	arguments->argv[arguments->argc++] = text;
}

/* Text within librrd's arguments, where a colon separates fields. */
static void text_escape(char *out, size_t len, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 3 < len; text++) {
		if (*text == ':' || *text == '\\')
			out[n++] = '\\';
		out[n++] = (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text;
	}
	out[n] = '\0';
}

/*
 * Whether the file knows anything of that time. The first sum over five minutes comes late, so
 * where there are samples, these are asked.
 */
static bool data_exist(const char *file, time_t start, time_t end)
{
	unsigned long step = end - start < FINE_SPAN ? 1 : 300, sources = 0, i;
	rrd_value_t *data;
	char **names;
	bool found = false;
	size_t rows;

	if (rrd_fetch_r(file, "AVERAGE", &start, &end, &step, &sources, &names, &data) != 0)
		return false;
	rows = step > 0 ? (size_t)(end - start) / step : 0;
	for (i = 0; i < rows && !found; i++) /* HISTORY_PRESENT is the last one */
		found = data[i * sources + sources - 1] > 0.0;
	for (i = 0; i < sources; i++)
		rrd_freemem(names[i]);
	rrd_freemem(names);
	rrd_freemem(data);
	return found;
}

/*
 * Variables of a curve: NAME its average, NAMEm its peak. Peaks are of single samples: within two
 * days the samples themselves are there, before that the archive of maxima has them. Dividing by
 * `known` takes the hole out of the average of a pixel in which a file begins.
 */
static void curve_define(struct arguments *arguments, const struct curve *curve, const char *file,
			 bool fine)
{
	const char *source = history_series_name[curve->series];
	const char *scale = curve->bits ? "8,*," : "";
	const char *name = curve->name;

	argument_add(arguments, "DEF:%sr=%s:%s:AVERAGE", name, file, source);
	argument_add(arguments, "DEF:%sR=%s:%s:%s", name, file, source,
		     fine ? "AVERAGE:reduce=MAX" : "MAX");
	argument_add(arguments, "CDEF:%s=known,0,GT,%sr,known,/,%sUNKN,IF", name, name, scale);
	argument_add(arguments, "CDEF:%sm=known,0,GT,%sR,%sUNKN,IF", name, name, scale);
	argument_add(arguments, "CDEF:%sn=%s,-1,*", name, name);
	argument_add(arguments, "VDEF:%sA=%s,AVERAGE", name, name);
	argument_add(arguments, "VDEF:%sM=%sm,MAXIMUM", name, name);
	argument_add(arguments, "VDEF:%sL=%s,LAST", name, name);
	argument_add(arguments, "VDEF:%sT=%s,TOTAL", name, name);
}

static void curve_draw(struct arguments *arguments, const struct curve *curve)
{
	const char *colour;

	if (curve->draw == NULL) {
		argument_add(arguments, "COMMENT:%s", curve->legend);
		return;
	}
	colour = strchr(curve->draw, '#');
	argument_add(arguments, "%.*s:%s%s%s:%s", (int)(colour - curve->draw), curve->draw,
		     curve->name, curve->below ? "n" : "", colour, curve->legend);
}

static void curve_table(struct arguments *arguments, const struct curve *curve)
{
	static const char columns[] = { 'M', 'A', 'L' };
	const char *unit = curve->bits ? "bit/s" : "/s   ";
	size_t i;

	for (i = 0; i < sizeof(columns); i++)
		argument_add(arguments, "GPRINT:%s%c:%%8.2lf %%s%s", curve->name, columns[i], unit);
	argument_add(arguments, "GPRINT:%sT:%%8.2lf %%s%s\\l", curve->name,
		     curve->bits ? "bit" : "");
}

static void span_comment(struct arguments *arguments, time_t start, time_t end)
{
	char from[48], to[48], escaped[2][96];
	struct tm tm;

	strftime(from, sizeof(from), "%Y-%m-%d %H:%M", localtime_r(&start, &tm));
	strftime(to, sizeof(to), "%Y-%m-%d %H:%M %Z", localtime_r(&end, &tm));
	text_escape(escaped[0], sizeof(escaped[0]), from);
	text_escape(escaped[1], sizeof(escaped[1]), to);
	argument_add(arguments, "COMMENT:%s to %s\\r", escaped[0], escaped[1]);
}

static void graph_describe(struct arguments *arguments, const char *file, time_t start, time_t end,
			   const char *format, const char *title)
{
	size_t n = sizeof(curves) / sizeof(curves[0]), i;

	argument_add(arguments, "kaido-graph");
	argument_add(arguments, "-");
	argument_add(arguments, "--imgformat=%s", strcmp(format, "svg") == 0 ? "SVG" : "PNG");
	argument_add(arguments, "--start=%lld", (long long)start);
	argument_add(arguments, "--end=%lld", (long long)end);
	argument_add(arguments, "--title=%.200s", title);
	argument_add(arguments, "--vertical-label=bit/s   out below | in above");
	argument_add(arguments, "--width=800");
	argument_add(arguments, "--height=240");
	argument_add(arguments, "--font=LEGEND:8:DejaVu Sans Mono");
	argument_add(arguments, "--disable-rrdtool-tag");
	argument_add(arguments, "--border=0");
	argument_add(arguments, "DEF:known=%s:" HISTORY_PRESENT ":AVERAGE", file);
	for (i = 0; i < n; i++)
		curve_define(arguments, &curves[i], file, end - start < FINE_SPAN);
	span_comment(arguments, start, end);
	if (!data_exist(file, start, end)) {
		argument_add(arguments, "LINE1:iin#ffffff");
		argument_add(arguments, "COMMENT:No data in this period.\\c");
		return;
	}
	argument_add(arguments,
		     "COMMENT:                     highest          average             last"
		     "           total\\l");
	for (i = 0; i < n; i++) {
		curve_draw(arguments, &curves[i]);
		curve_table(arguments, &curves[i]);
	}
	argument_add(arguments,
		     "COMMENT:in\\: from other sites   out\\: to them   inner\\: as sent   "
		     "outer\\: encrypted, on the Internet\\l");
	argument_add(arguments, "HRULE:0#000000");
}

/* 0: all was written; the reader may be gone, which is nobody's error. */
static void answer_write(int fd, const char *word, const void *data, size_t len)
{
	char line[40];
	const uint8_t *p = data;
	ssize_t n;

	n = snprintf(line, sizeof(line), "%s %zu\n", word, len);
	if (write(fd, line, (size_t)n) != n)
		return;
	for (; len > 0; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n <= 0)
			return;
	}
}

static void sentence_write(int fd, const char *word, const char *text)
{
	answer_write(fd, word, text, strlen(text));
}

static void image_write(struct arguments *arguments, int fd)
{
	rrd_info_t *info, *item;
	const rrd_blob_t *image = NULL;

	rrd_clear_error();
	info = rrd_graph_v(arguments->argc, arguments->argv);
	for (item = info; item != NULL; item = item->next)
		if (strcmp(item->key, "image") == 0 && item->type == RD_I_BLO)
			image = &item->value.u_blo;
	if (image != NULL && image->size > 0)
		answer_write(fd, "ok", image->ptr, image->size);
	else
		sentence_write(fd, "error",
			       rrd_test_error() ? rrd_get_error() : "librrd gave no image");
}

/* In a process of its own. The working directory is that of the history. */
static void request_draw(const struct graph_message *message, int fd)
{
	const struct rlimit cpu = { .rlim_cur = 30, .rlim_max = 30 };
	struct arguments arguments = { .argc = 0 };
	char path[128], title[sizeof(message->title)];
	size_t n;

	setrlimit(RLIMIT_CPU, &cpu);
	setenv("TZ", message->timezone, 1);
	tzset();
	/* A relative path holds nothing that librrd would take for a separator. */
	if (history_file_path(path, sizeof(path), ".", message->tenant, message->tunnel) < 0) {
		sentence_write(fd, "error", "not a name");
		return;
	}
	if (access(path, R_OK) < 0) {
		sentence_write(fd, "none", "nothing was sampled under that name yet");
		return;
	}
	for (n = 0; n < sizeof(title) && message->title[n] != '\0'; n++)
		title[n] = (unsigned char)message->title[n] < ' ' ? ' ' : message->title[n];
	title[n] = '\0';
	graph_describe(&arguments, path, (time_t)message->start, (time_t)message->end,
		       message->format, title);
	image_write(&arguments, fd);
}

/* 1: a request, and the pipe for its answer in `fd`; 0: kaidod has gone; -1: not a request. */
static int request_receive(struct graph_message *message, int *fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { message, sizeof(*message) };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space) };
	struct cmsghdr *cmsg;
	ssize_t n;

	n = recvmsg(GRAPH_SOCKET, &header, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return n < 0 && errno == EINTR ? -1 : 0;
	cmsg = CMSG_FIRSTHDR(&header);
	if (cmsg == NULL || cmsg->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	if (n == (ssize_t)sizeof(*message))
		return 1;
	close(*fd);
	return -1;
}

int main(int argc, char **argv)
{
	struct graph_message message;
	int fd, rc, running = 0;
	pid_t pid;

	if (argc != 2 || chdir(argv[1]) < 0) {
		fprintf(stderr, "kaido-graph DIR: is started by kaidod, with DIR its history\n");
		return 2;
	}
	if (privileges_harden() < 0 || privileges_drop() < 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	while ((rc = request_receive(&message, &fd)) != 0) {
		if (rc < 0)
			continue;
		while (running > 0 && waitpid(-1, NULL, running >= AT_ONCE ? 0 : WNOHANG) > 0)
			running--;
		pid = fork();
		if (pid == 0) {
			close(GRAPH_SOCKET);
			request_draw(&message, fd);
			_exit(0);
		}
		if (pid > 0)
			running++;
		else
			sentence_write(fd, "error", "no process could be started");
		close(fd);
	}
	_exit(0); /* nothing to flush, and its filter forbids what leak checkers do at the end */
}
