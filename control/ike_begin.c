/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_begin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "ike_load.h"
#include "vici.h"

#define AGAIN_S 15 /* until a tunnel that failed is begun with again */
#define LOOK_S  3  /* between looks at one whose connection was loaded ... */
#define LOOKS   3  /* ... of which there are so many, as long as it is up */

/* Lets charon begin with a tunnel, and doesn't wait for it. */
static void initiate(struct ike_config *config, const struct ike_owner *owner)
{
	const struct tunnel *tunnel = owner->tunnel;
	struct vici_message message = { 0 };
	char name[IKE_NAME_LEN];

	model_ike_name(owner->tenant->name,
		       tunnel->ike->peer[0] == '\0' ? tunnel->name : tunnel->ike->peer, name);
	vici_text(&message, "ike", name);
	vici_text(&message, "child", tunnel->name);
	vici_text(&message, "timeout", "-1");
	vici_request(config->vici, "initiate", &message, ike_load_nothing, config);
}

/* Still to be begun with? Where its connection has changed, what was up may be about to end. */
static bool tunnel_look(struct ike_config *config, const char *name)
{
	struct ike_owner owner;

	if (!vici_is_up(config->vici) ||
	    !model_ike_named(config->hooks.desired(config->hooks.context), name, &owner) ||
	    owner.tunnel == NULL || owner.tunnel->ike->start != IKE_START)
		return false;
	if (config->hooks.is_up(config->hooks.context, owner.tunnel->id))
		return true;
	initiate(config, &owner);
	return false;
}

static void begin_due(evutil_socket_t fd, short what, void *context)
{
	struct timeval wait = { .tv_sec = LOOK_S };
	struct ike_config *config = context;
	const char *name;
	json_t *looks;
	void *next;

	json_object_foreach_safe(config->to_begin, next, name, looks)
	{
		json_int_t left = json_integer_value(looks) - 1;

		if (!tunnel_look(config, name) || left == 0)
			json_object_del(config->to_begin, name);
		else
			json_integer_set(looks, left);
	}
	if (json_object_size(config->to_begin) > 0)
		event_add(config->begin, &wait);
}

static void begin_in(struct ike_config *config, time_t seconds, unsigned int looks,
		     const char *tenant, const char *tunnel)
{
	struct timeval wait = { .tv_sec = seconds };
	char name[IKE_NAME_LEN];

	model_ike_name(tenant, tunnel, name);
	json_object_set_new(config->to_begin, name, json_integer(looks));
	if (seconds == 0 || !event_pending(config->begin, EV_TIMEOUT, NULL))
		event_add(config->begin, &wait);
}

void ike_begin_loaded(struct ike_config *config, const char *name, const json_t *connection)
{
	char tenant[ABI_NAME_LEN], first[ABI_NAME_LEN];
	const char *tunnel;
	json_t *child;

	model_ike_split(name, tenant, first);
	json_object_foreach (json_object_get(connection, "children"), tunnel, child)
		begin_in(config, 0, LOOKS, tenant, tunnel);
}

/* charon itself goes on only where nobody answered; a peer that said no may say yes later. */
void ike_config_failed(struct ike_config *config, const char *tenant, const char *tunnel)
{
	if (config != NULL)
		begin_in(config, AGAIN_S, 1, tenant, tunnel);
}

int ike_begin_open(struct ike_config *config)
{
	config->to_begin = json_object();
	config->begin = evtimer_new(config->base, begin_due, config);
	return config->to_begin == NULL || config->begin == NULL ? -ENOMEM : 0;
}

void ike_begin_close(struct ike_config *config)
{
	if (config->begin != NULL)
		event_free(config->begin);
	json_decref(config->to_begin);
}
