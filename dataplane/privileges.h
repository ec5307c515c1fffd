/* SPDX-License-Identifier: BSD-3-Clause */
/* What the process gives up once it has its devices and sockets. */
#ifndef KAIDO_PRIVILEGES_H
#define KAIDO_PRIVILEGES_H

/*
 * Becomes `user` (NULL: stays who it is) and drops capabilities for good: all of them in every other
 * thread, and in this one all but CAP_NET_ADMIN (to ask the host to resolve a neighbour) and
 * CAP_IPC_LOCK (to lock the memory of keys). Takes SIGUSR2, which is ignored afterwards. Negative
 * errno, logged.
 */
int privileges_drop(const char *user);

#endif /* KAIDO_PRIVILEGES_H */
