/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "ike_load.h"
#include "vici.h"

#define ASK_SOON_S 3  /* after something was loaded: charon's unit may be about to load its files */
#define ASK_S      30 /* at other times */

/* What is ours: charon may have other connections and pools too, which nobody may lose by us. */
static void name_note(struct ike_config *config, enum part part, const char *name)
{
	if (part == PART_KEYS || strncmp(name, IKE_NAME_PREFIX, strlen(IKE_NAME_PREFIX)) == 0)
		json_object_set_new(config->has[part], name, json_true());
}

/* The first look. A key has no name: it is known to be ours when it is given, and else is somebody else's. */
static void has_take(struct ike_config *config)
{
	const char *name;
	json_t *value;

	json_object_foreach (config->has[PART_CONNS], name, value)
		json_object_set_new(config->loaded[PART_CONNS], name, json_null());
	json_object_foreach (config->has[PART_POOLS], name, value)
		json_object_set_new(config->loaded[PART_POOLS], name, json_null());
	config->known = true;
	ike_load_step(config);
}

/* Forgets what charon no longer has. Returns how much that is. */
static unsigned int part_missing(struct ike_config *config, enum part part)
{
	unsigned int missing = 0;
	const char *name, *id;
	json_t *value;
	void *next;

	json_object_foreach_safe(config->loaded[part], next, name, value)
	{
		id = part == PART_KEYS ? json_string_value(value) : name;
		if (id != NULL && json_object_get(config->has[part], id) != NULL)
			continue;
		json_object_del(config->loaded[part], name);
		missing++;
	}
	return missing;
}

static void has_compare(struct ike_config *config)
{
	unsigned int keys, missing;

	if (config->sent != config->sent_before || !config->settled)
		return; /* the answers are of before */
	keys = part_missing(config, PART_KEYS);
	missing = keys + part_missing(config, PART_POOLS) + part_missing(config, PART_CONNS);
	if (missing == 0) {
		ike_ask_later(config);
		return;
	}
	/* Of certificates it can't be asked; who took the keys has perhaps taken them, too. */
	if (keys > 0)
		json_object_clear(config->loaded[PART_CERTS]);
	ike_tell(
		config, NULL, NULL,
		"%u of the connections, pools and keys that charon was given were taken from it, and are "
		"loaded again: leave swanctl --load-all, which does this, alone while tunnels "
		"are in use",
		missing);
	ike_load_again(config);
	ike_load_step(config);
}

static void answer_end(struct ike_config *config, int error)
{
	config->unheard |= error != 0;
	if (--config->asked > 0 || error == -ENOTCONN)
		return;
	if (!config->known)
		has_take(config);
	else if (!config->unheard)
		has_compare(config);
	else
		ike_ask_later(config);
}

/* get-pools has a section for each pool, the others a list. */
static void names_arrived(void *context, int error, const char *text, const uint8_t *message,
			  size_t size)
{
	struct ike_config *config = context;
	struct vici_element element;
	struct vici_reader reader;
	char list[256] = "", name[128];

	vici_read(&reader, message, error == 0 ? size : 0);
	while (vici_next(&reader, &element) == 1) {
		if (element.kind == VICI_LIST) {
			snprintf(list, sizeof(list), "%s", element.name);
		} else if (element.kind == VICI_ITEM && element.size < sizeof(name)) {
			memcpy(name, element.value, element.size);
			name[element.size] = '\0';
			if (strcmp(list, "conns") == 0)
				name_note(config, PART_CONNS, name);
			else if (strcmp(list, "keys") == 0)
				name_note(config, PART_KEYS, name);
		} else if (element.kind == VICI_SECTION && reader.depth == 1) {
			name_note(config, PART_POOLS, element.name);
		}
	}
	answer_end(config, error);
}

static void questions_send(struct ike_config *config)
{
	static const char *const questions[] = { "get-conns", "get-pools", "get-keys" };

	for (unsigned int part = 0; part < PARTS; part++)
		json_object_clear(config->has[part]);
	config->sent_before = config->sent;
	config->unheard = false;
	config->asked = 3;
	for (size_t i = 0; i < 3; i++) {
		if (vici_request(config->vici, questions[i], NULL, names_arrived, config) < 0)
			config->asked--;
	}
}

void ike_ask_first(struct ike_config *config)
{
	ike_load_forget(config);
	questions_send(config);
}

static void ask_due(evutil_socket_t fd, short what, void *context)
{
	struct ike_config *config = context;

	if (config->known && config->settled && config->asked == 0 && vici_is_up(config->vici))
		questions_send(config);
}

void ike_ask_later(struct ike_config *config)
{
	struct timeval wait = {
		.tv_sec = config->sent == config->sent_before ? ASK_S : ASK_SOON_S,
	};

	event_add(config->ask, &wait);
}

int ike_ask_open(struct ike_config *config)
{
	config->ask = evtimer_new(config->base, ask_due, config);
	for (unsigned int part = 0; part < PARTS; part++)
		config->has[part] = json_object();
	return config->ask == NULL ? -ENOMEM : 0;
}

void ike_ask_close(struct ike_config *config)
{
	if (config->ask != NULL)
		event_free(config->ask);
	for (unsigned int part = 0; part < PARTS; part++)
		json_decref(config->has[part]);
}
