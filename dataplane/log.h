/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines of the dataplane process, to stderr: one line a call, no line feed in `fmt`. With the
 * time in front, unless the journal (which has its own) reads them. Never of a key.
 */
#ifndef KAIDO_LOG_H
#define KAIDO_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)

#endif /* KAIDO_LOG_H */
