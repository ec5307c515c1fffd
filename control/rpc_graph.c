/* SPDX-License-Identifier: BSD-3-Clause */
/* graph.render: asks kaido-graph and gathers what comes out of its pipe. */
#include "rpc_methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <sodium.h>

#include "daemon.h"
#include "graph.h"

struct rendering {
	struct rpc_request *request;
	struct event *readable;
	int fd;
	uint8_t *data;
	size_t size;
	char format[8];
};

static void rendering_free(struct rendering *rendering)
{
	if (rendering->readable != NULL)
		event_free(rendering->readable);
	close(rendering->fd);
	free(rendering->data);
	free(rendering);
}

static void rendering_fail(struct rendering *rendering, int code, const char *text)
{
	rpc_fail(rendering->request, code, NULL, "%s", text);
	rendering_free(rendering);
}

static void rendering_end(struct rendering *rendering)
{
	const uint8_t *image;
	size_t size, encoded;
	char error[160];
	char *text;
	int ret =
		graph_result(rendering->data, rendering->size, &image, &size, error, sizeof(error));

	if (ret < 0) {
		rendering_fail(rendering, ret == -ENOENT ? RPC_NOT_FOUND : RPC_INTERNAL, error);
		return;
	}
	encoded = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
	text = malloc(encoded);
	if (text == NULL) {
		rendering_fail(rendering, RPC_INTERNAL, "out of memory: try again later");
		return;
	}
	sodium_bin2base64(text, encoded, image, size, sodium_base64_VARIANT_ORIGINAL);
	rpc_reply(rendering->request,
		  json_pack("{s:s, s:s}", "format", rendering->format, "data", text));
	free(text);
	rendering_free(rendering);
}

static void rendering_read(evutil_socket_t fd, short what, void *context)
{
	struct rendering *rendering = context;
	uint8_t part[16384];
	uint8_t *bigger;
	ssize_t got;

	if ((what & EV_TIMEOUT) != 0) {
		rendering_fail(rendering, RPC_INTERNAL, "the graph took too long: try again");
		return;
	}
	got = read(fd, part, sizeof(part));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got < 0 || rendering->size + (size_t)got > GRAPH_RESULT_MAX) {
		rendering_fail(rendering, RPC_INTERNAL, "the graph can't be read");
		return;
	}
	if (got == 0) {
		rendering_end(rendering);
		return;
	}
	bigger = realloc(rendering->data, rendering->size + (size_t)got);
	if (bigger == NULL) {
		rendering_fail(rendering, RPC_INTERNAL, "out of memory: try again later");
		return;
	}
	memcpy(bigger + rendering->size, part, (size_t)got);
	rendering->data = bigger;
	rendering->size += (size_t)got;
}

static void rendering_start(struct daemon *daemon, struct rpc_request *request, int fd,
			    const char *format)
{
	struct rendering *rendering = calloc(1, sizeof(*rendering));
	struct timeval limit = { .tv_sec = 60 };

	if (rendering == NULL) {
		close(fd);
		rpc_fail(request, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	rendering->request = request;
	rendering->fd = fd;
	snprintf(rendering->format, sizeof(rendering->format), "%s", format);
	rendering->readable =
		event_new(daemon->base, fd, EV_READ | EV_PERSIST, rendering_read, rendering);
	if (rendering->readable == NULL || event_add(rendering->readable, &limit) < 0)
		rendering_fail(rendering, RPC_INTERNAL, "out of memory: try again later");
}

void rpc_graph_render(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "tunnel",   "period",
					     "format", "timezone", NULL };
	const json_t *params = rpc_request_params(request);
	struct graph_request wanted = { 0 };
	struct daemon *daemon = context;
	const struct tenant *tenant;
	const struct tunnel *tunnel;
	char error[160];
	int fd, ret;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->desired, &tenant) ||
	    !rpc_params_tunnel(request, tenant, &tunnel))
		return;
	if (tenant == NULL) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "tenant is missing: give a name");
		return;
	}
	if (daemon->graphs == NULL) {
		rpc_fail(
			request, RPC_INTERNAL, NULL,
			"there are no graphs: kaido-graph or the history could not be started; see "
			"the log of kaidod");
		return;
	}
	wanted.tenant = tenant->name;
	wanted.tunnel = tunnel == NULL ? NULL : tunnel->name;
	wanted.title = tunnel != NULL ? tunnel->label : tenant->label;
	wanted.period = json_string_value(json_object_get(params, "period"));
	wanted.format = json_string_value(json_object_get(params, "format"));
	wanted.timezone = json_string_value(json_object_get(params, "timezone"));
	ret = graph_start(daemon->graphs, &wanted, &fd, error, sizeof(error));
	if (ret == -EINVAL)
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "%s", error);
	else if (ret < 0)
		rpc_fail(request, RPC_INTERNAL, NULL, "the graph can't be drawn now: %s",
			 strerror(-ret));
	else
		rendering_start(daemon, request, fd, wanted.format == NULL ? "png" : wanted.format);
}
