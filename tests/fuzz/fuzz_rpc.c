/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines to a whole kaidod whose dataplane is away, over its socket. An input is text; each of its lines
 * is a message. Every answer is JSON-RPC; what was refused has changed nothing; what config.get shows
 * may be applied again and changes nothing either.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "config.h"
#include "daemon.h"
#include "fuzz.h"
#include "scratch.h"

#define LINES_MAX  24
#define INPUT_MAX  (1 << 16)
#define IDLE_TURNS 6     /* of the event loop that bring nothing: nothing comes */
#define TURNS_MAX  2000  /* of the event loop, for one answer */
#define INPUTS_MAX 20000 /* then the state, with its audit log, begins anew */

/* Our end of a connection. */
struct rpc_peer {
	int fd;
	size_t end; /* bytes in data */
	char data[1 << 20];
};

static struct scratch scratch;
static struct rpc_peer peers[2]; /* the input's, and our own */
static struct daemon *kaidod;
static uint32_t inputs;

static void kaidod_stop(void)
{
	daemon_destroy(kaidod);
	kaidod = NULL;
}

static void kaidod_start(void)
{
	struct daemon_options options = {
		.state = scratch.state,
		.socket = scratch.socket,
		.dataplane = scratch.dataplane,
		.master_key = scratch.master_key,
		.sample_interval = 300,
		.event_days = JOURNAL_DAYS,
		.event_rows = JOURNAL_ROWS,
	};

	FUZZ_CHECK(daemon_create(&options, &kaidod) == 0);
	/* Signals are for who runs this. */
	event_del(kaidod->sigterm);
	event_del(kaidod->sigint);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	scratch_make(&scratch);
	kaidod_start();
	FUZZ_CHECK(atexit(kaidod_stop) == 0);
	return 0;
}

static void rpc_connect(struct rpc_peer *peer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	peer->end = 0;
	peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", scratch.socket);
	FUZZ_CHECK(peer->fd >= 0 &&
		   connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	event_base_loop(kaidod->base, EVLOOP_NONBLOCK);
}

static void rpc_write(struct rpc_peer *peer, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = send(peer->fd, bytes, size, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return; /* it hung up */
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
		event_base_loop(kaidod->base, EVLOOP_NONBLOCK);
	}
}

/* The next line from kaidod; NULL: none comes any more. */
static json_t *rpc_read(struct rpc_peer *peer)
{
	for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
		char *feed = memchr(peer->data, '\n', peer->end);
		size_t length = feed != NULL ? (size_t)(feed - peer->data) + 1 : 0;
		json_t *message;
		ssize_t got;

		if (feed != NULL) {
			message = json_loadb(peer->data, length, 0, NULL);
			FUZZ_CHECK(json_is_object(message));
			memmove(peer->data, peer->data + length, peer->end - length);
			peer->end -= length;
			return message;
		}
		FUZZ_CHECK(peer->end < sizeof(peer->data));
		got = recv(peer->fd, peer->data + peer->end, sizeof(peer->data) - peer->end, 0);
		if (got == 0)
			return NULL;
		if (got > 0)
			peer->end += (size_t)got;
		else
			event_base_loop(kaidod->base, EVLOOP_NONBLOCK);
		if (got < 0 && peer->end == 0 && turn >= IDLE_TURNS)
			return NULL;
	}
	FUZZ_CHECK(!"an answer has an end");
	return NULL;
}

static bool answer_check(const json_t *message)
{
	const json_t *error = json_object_get(message, "error");
	const json_t *result = json_object_get(message, "result");
	const char *text = json_string_value(json_object_get(error, "message"));

	if (json_object_get(message, "method") != NULL)
		return false; /* a notification */
	FUZZ_CHECK(strcmp(json_string_value(json_object_get(message, "jsonrpc")), "2.0") == 0);
	FUZZ_CHECK((error == NULL) != (result == NULL));
	FUZZ_CHECK(json_object_get(message, "id") != NULL);
	if (error != NULL)
		FUZZ_CHECK(json_is_integer(json_object_get(error, "code")) && text != NULL &&
			   text[0] != '\0');
	return error != NULL;
}

static json_t *state_shown(void)
{
	json_t *shown = config_render(kaidod->desired, NULL);

	FUZZ_CHECK(shown != NULL);
	return shown;
}

/* A call of our own; its result. */
static json_t *rpc_call(struct rpc_peer *peer, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method",
				    method, "params", params);
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *answer;

	FUZZ_CHECK(text != NULL);
	rpc_write(peer, text, strlen(text));
	rpc_write(peer, "\n", 1);
	free(text);
	json_decref(request);
	answer = rpc_read(peer);
	FUZZ_CHECK(answer != NULL);
	return answer;
}

/* One line of the input: what is refused leaves the state as it was. */
static void line_run(struct rpc_peer *peer, const char *line, size_t size)
{
	json_t *before = state_shown(), *after, *message;
	uint64_t generation = kaidod->desired->generation;
	bool refused = false;

	rpc_write(peer, line, size);
	rpc_write(peer, "\n", 1);
	while ((message = rpc_read(peer)) != NULL) {
		refused |= answer_check(message);
		json_decref(message);
	}
	after = state_shown();
	if (refused)
		FUZZ_CHECK(json_equal(before, after) && kaidod->desired->generation == generation);
	json_decref(before);
	json_decref(after);
}

static void state_applies_again(struct rpc_peer *peer)
{
	json_t *answer = rpc_call(
		peer, "config.apply",
		json_pack("{s:o, s:b, s:b}", "config", state_shown(), "dry_run", 1, "prune", 1));
	json_t *result = json_object_get(answer, "result");

	FUZZ_CHECK(result != NULL && json_array_size(json_object_get(result, "changes")) == 0);
	json_decref(answer);
}

static void state_empty(struct rpc_peer *peer)
{
	json_decref(rpc_call(peer, "config.confirm", json_object()));
	json_decref(rpc_call(peer, "config.apply",
			     json_pack("{s:{s:i}, s:b}", "config", "version", 1, "prune", 1)));
	FUZZ_CHECK(kaidod->desired->n_tenants == 0 && kaidod->desired->n_underlay == 0);
}

/* Where many inputs have left their lines in the audit log, all begins anew. */
static void kaidod_renew(void)
{
	if (++inputs % INPUTS_MAX != 0)
		return;
	kaidod_stop();
	scratch_state_remove(&scratch);
	kaidod_start();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	rpc_connect(&peers[0]);
	size = size < INPUT_MAX ? size : INPUT_MAX;
	for (uint32_t i = 0; i < LINES_MAX && size > 0; i++) {
		const char *feed = memchr(text, '\n', size);
		size_t length = feed != NULL ? (size_t)(feed - text) : size;

		line_run(&peers[0], text, length);
		text += length;
		size -= length;
		if (size > 0) {
			text++;
			size--;
		}
	}
	close(peers[0].fd);
	if (kaidod->desired->n_tenants != 0 || kaidod->desired->n_underlay != 0) {
		rpc_connect(&peers[1]);
		state_applies_again(&peers[1]);
		state_empty(&peers[1]);
		close(peers[1].fd);
	}
	event_base_loop(kaidod->base, EVLOOP_NONBLOCK);
	kaidod_renew();
	return 0;
}
