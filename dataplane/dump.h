/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dumps: all objects of one kind, written at once into messages that are sent as the client takes
 * them, so that a slow reader sees one moment and not a mixture.
 */
#ifndef KAIDO_DUMP_H
#define KAIDO_DUMP_H

#include <stdint.h>

#include "abi/message.h"

struct gateway;
struct out_queue;

/* DUMP_RECORDS ..., DUMP_END. -EINVAL (kind), -ENOMEM: then nothing was queued. */
int dump_queue(const struct gateway *gw, const struct abi_dump *what, uint64_t request,
	       struct out_queue *queue);

#endif /* KAIDO_DUMP_H */
