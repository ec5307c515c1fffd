/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection of the southbound server: reads messages, has them carried out, answers.
 *
 * A request is read only when the answers to those before it are with the kernel, so what waits for a
 * client is bounded by the answer to one request.
 */
#ifndef KAIDO_SOUTHBOUND_CLIENT_H
#define KAIDO_SOUTHBOUND_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/message.h"
#include "out_queue.h"

struct apply;
struct gateway;
struct transaction;

/* What the connections share. */
struct southbound_shared {
	struct gateway *gw;
	struct apply *apply;
	uint8_t *buffer;                  /* [ABI_MESSAGE_MAX], secret: messages hold keys */
	struct southbound_client *writer; /* whose transaction is open; NULL: nobody's */
};

struct southbound_client {
	int fd; /* -1: free */
	bool greeted;
	bool closing; /* as soon as the answers are sent */
	struct out_queue out;
	struct transaction *transaction;
	uint64_t progress; /* ms, monotonic: when the socket last took something */
};

void client_open(struct southbound_client *c, int fd, uint64_t now);
/* Aborts its transaction. */
void client_close(struct southbound_shared *s, struct southbound_client *c);
/* Reads and writes what is there, a bounded amount. False: the connection is over. */
bool client_process(struct southbound_shared *s, struct southbound_client *c, uint64_t now);
/* Queues a REPLY and ends the connection behind it. */
void client_refuse(struct southbound_shared *s, struct southbound_client *c, int error,
		   const char *text);

#endif /* KAIDO_SOUTHBOUND_CLIENT_H */
