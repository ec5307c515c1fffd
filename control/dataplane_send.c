/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests into messages. */
#include "dataplane_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>
#include <sodium.h>

static void message_make(struct dataplane_client *client, uint16_t type, uint64_t number,
			 uint32_t count, size_t size, uint64_t generation)
{
	struct abi_header header = {
		.magic = ABI_MAGIC,
		.version = ABI_VERSION,
		.type = type,
		.length = (uint32_t)(sizeof(header) + size),
		.count = count,
		.request = number,
		.generation = generation,
	};

	memcpy(client->out, &header, sizeof(header));
	client->out_size = header.length;
}

/* The next message of a transaction. */
static void transaction_make(struct dataplane_client *client, struct request *request)
{
	const struct dataplane_transaction *transaction = &request->transaction;
	uint32_t count = 0;
	uint16_t type = 0;
	long size = 0;

	if (request->next == SEND_BEGIN) {
		message_make(client, ABI_BEGIN, request->number + NUMBER_FIRST, 0, 0,
			     transaction->generation);
		request->next = SEND_RECORDS;
		return;
	}
	if (request->next == SEND_RECORDS) {
		size = transaction->fill(
			transaction->context, client->out + sizeof(struct abi_header),
			ABI_MESSAGE_MAX - sizeof(struct abi_header), &type, &count);
		if (size > 0) {
			message_make(client, type, request->number + NUMBER_STAGED, count,
				     (size_t)size, 0);
			return;
		}
	}
	/* What can't be filled is aborted; the answer then carries why. */
	if (size < 0) {
		request->error = (int)size;
		snprintf(request->text, sizeof(request->text), "a key could not be read");
	}
	message_make(client, size < 0 ? ABI_ABORT : ABI_COMMIT, request->number + NUMBER_COMMIT, 0,
		     0, 0);
	request->next = SEND_DONE;
	return;
}

static void request_make(struct dataplane_client *client, struct request *request)
{
	if (request->kind == REQUEST_COMMIT) {
		transaction_make(client, request);
		return;
	}
	memcpy(client->out + sizeof(struct abi_header), request->payload, request->payload_size);
	message_make(client, request->type, request->number, request->payload_size > 0,
		     request->payload_size, 0);
	request->next = SEND_DONE;
}

void dataplane_client_send(evutil_socket_t fd, short what, void *context)
{
	struct dataplane_client *client = context;
	struct request *request;

	while (client->fd >= 0) {
		request = STAILQ_FIRST(&client->waiting);
		if (client->out_size == 0) {
			if (request == NULL || (!client->ready && request->kind != REQUEST_HELLO))
				return;
			request_make(client, request);
		}
		if (send(client->fd, client->out, client->out_size, MSG_NOSIGNAL | MSG_DONTWAIT) <
		    0) {
			if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
				event_add(client->writable, NULL);
			else
				dataplane_client_down(client, strerror(errno));
			return;
		}
		sodium_memzero(client->out, client->out_size);
		client->out_size = 0;
		if (request != NULL && request->next == SEND_DONE) {
			STAILQ_REMOVE_HEAD(&client->waiting, link);
			STAILQ_INSERT_TAIL(&client->sent, request, link);
			request->sent = true;
		}
	}
}
