/* SPDX-License-Identifier: BSD-3-Clause */
/* One line to standard error (the journal keeps it). Never hand a key to it. */
#ifndef KAIDO_CONTROL_LOG_H
#define KAIDO_CONTROL_LOG_H

__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);

#endif /* KAIDO_CONTROL_LOG_H */
