/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages on their way to a client, sent as its socket takes them. */
#ifndef KAIDO_OUT_QUEUE_H
#define KAIDO_OUT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "abi/message.h"

/* A message being put together; its records follow the header. */
struct out_message {
	struct out_message *next;
	uint32_t size; /* bytes of the whole message */
	int fd;        /* goes along with it; not ours to close; -1: none */
	struct abi_header header;
};

struct out_queue {
	struct out_message *first;
	struct out_message *last;
};

/* Room for `count` records of `size` bytes, zeroed. NULL: no memory. */
struct out_message *out_message_make(uint16_t type, uint64_t request, uint64_t generation,
				     size_t size, uint32_t count);
static inline void *out_message_records(struct out_message *m)
{
	return &m->header + 1;
}
/* Fewer records than it was made for. */
void out_message_shorten(struct out_message *m, size_t size, uint32_t count);

void out_queue_add(struct out_queue *q, struct out_message *m);
/* Sends what the socket takes. 0: empty now; -EAGAIN: it is full; else the connection is over. */
int out_queue_send(struct out_queue *q, int socket);
void out_queue_clear(struct out_queue *q);

#endif /* KAIDO_OUT_QUEUE_H */
