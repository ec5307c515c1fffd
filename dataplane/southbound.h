/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The southbound server: Unix SOCK_SEQPACKET, messages of abi/message.h. Runs on the main lcore;
 * southbound_poll() never blocks and does a bounded amount of work.
 */
#ifndef KAIDO_SOUTHBOUND_H
#define KAIDO_SOUTHBOUND_H

#include <stdint.h>

struct gateway;
struct southbound;

/*
 * Listens at `path` (mode 0600; a stale socket is replaced, a live one refused with -EADDRINUSE).
 * Only peers with the process's own uid or root are served.
 */
int southbound_create(struct gateway *gw, const char *path, struct southbound **out);
void southbound_destroy(struct southbound *s);
/* A descriptor (epoll) that is readable when there is work. */
int southbound_fd(const struct southbound *s);
void southbound_poll(struct southbound *s);

#endif /* KAIDO_SOUTHBOUND_H */
