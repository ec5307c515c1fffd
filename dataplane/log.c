/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static size_t line_begin(char *line, size_t size, enum log_level level)
{
	static const char *const name[] = { "error", "warning", "info" };
	struct timespec now;
	struct tm tm;
	size_t n = 0;

	if (getenv("JOURNAL_STREAM") == NULL) {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		n = strftime(line, size, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	}
	return n + (size_t)snprintf(line + n, size - n, "%s: ", name[level]);
}

/* One write() a line, so that lines of several threads don't mix. */
void log_line(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t n = line_begin(line, sizeof(line), level);
	size_t room = sizeof(line) - n - 1;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line + n, room, fmt, args);
	va_end(args);
	if (len > 0)
		n += (size_t)len < room ? (size_t)len : room - 1;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nowhere left to say so */
}
