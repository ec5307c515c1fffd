/* SPDX-License-Identifier: BSD-3-Clause */
/* What kaidod gives up once its sockets and files are open. */
#ifndef KAIDO_CONTROL_PRIVILEGES_H
#define KAIDO_CONTROL_PRIVILEGES_H

/* No core dumps and no ptrace, before any key is in memory. Negative errno. */
int privileges_harden(void);
/* No capabilities, no new privileges, and a system call filter. Negative errno. */
int privileges_drop(void);

#endif /* KAIDO_CONTROL_PRIVILEGES_H */
