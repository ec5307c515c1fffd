/* SPDX-License-Identifier: BSD-3-Clause */
/* From what charon has to what it shall have: one request after the other, until there is no difference. */
#include "ike_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <sodium.h>

#include "ike_ask.h"
#include "ike_begin.h"
#include "ike_connections.h"
#include "ike_secrets.h"
#include "vici.h"

static const char *const parts[PARTS] = { "certs", "keys", "pools", "conns" };

/* -- telling -- */

void ike_tell(struct ike_config *config, const char *tenant, const char *tunnel, const char *format,
	      ...)
{
	va_list arguments;
	char text[640];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	config->hooks.event(config->hooks.context, "ike-config", text,
			    tenant == NULL || tenant[0] == '\0' ? NULL : tenant,
			    tunnel == NULL || tunnel[0] == '\0' ? NULL : tunnel);
}

/* Whose certificate it is: the first connection that has it. */
static const char *cert_owner(const struct ike_config *config, const char *data)
{
	const char *name, *side;
	json_t *connection, *section;

	json_object_foreach (json_object_get(config->wanted, "conns"), name, connection) {
		json_object_foreach (connection, side, section) {
			static const char *const lists[] = { "certs", "cacerts" };

			for (size_t i = 0; i < 2; i++) {
				const json_t *list = json_object_get(section, lists[i]);
				json_t *item;
				size_t k;

				json_array_foreach (list, k, item) {
					if (strcmp(json_string_value(item), data) == 0)
						return name;
				}
			}
		}
	}
	return "";
}

static void refusal_tell(struct ike_config *config, const char *why)
{
	char tenant[ABI_NAME_LEN], tunnel[ABI_NAME_LEN];
	const char *name = config->name;
	json_t *value = config->value;

	switch (config->part) {
	case PART_CERTS:
		name = cert_owner(config, json_string_value(json_object_get(value, "data")));
		model_ike_split(name, tenant, tunnel);
		ike_tell(
			config, tenant, tunnel,
			"charon refuses a certificate or revocation list of '%s': %s; give another one",
			name, why);
		return;
	case PART_KEYS:
		ike_tell(
			config, json_string_value(json_object_get(value, "tenant")),
			json_string_value(json_object_get(value, "name")),
			"charon refuses the private key of '%s': %s; give another one, of a kind that "
			"its plugins know",
			json_string_value(json_object_get(value, "name")), why);
		return;
	case PART_POOLS:
		if (json_object_get(config->told_pools, name) != NULL)
			return;
		json_object_set_new(config->told_pools, name, json_true());
		model_ike_split(name, tenant, tunnel);
		ike_tell(
			config, tenant, tunnel,
			"charon refuses the pool '%s': %s; where clients still have addresses of the "
			"former one, disconnect them (it is tried again every %d s)",
			name, why, IKE_RETRY_S);
		return;
	default:
		model_ike_split(name, tenant, tunnel);
		ike_tell(config, tenant, tunnel, "charon refuses the connection '%s': %s", name,
			 why);
	}
}

void ike_load_forget(struct ike_config *config)
{
	for (unsigned int part = 0; part < PARTS; part++) {
		json_object_clear(config->loaded[part]);
		json_object_clear(config->refused[part]);
	}
	config->known = false;
	config->busy = false;
	ike_load_again(config);
	config->asked = 0;
	json_decref(config->value);
	config->value = NULL;
}

/* -- one request after the other, until there is no difference -- */

static void message_connection(struct vici_message *message, const char *name, const json_t *value)
{
	vici_section(message, name);
	vici_members(message, value, "certs");
	vici_section_end(message);
}

static int message_key(struct ike_config *config, struct vici_message *message, const char *digest,
		       const json_t *value)
{
	const struct model *model = config->hooks.desired(config->hooks.context);
	const char *tenant_name = json_string_value(json_object_get(value, "tenant"));
	const char *name = json_string_value(json_object_get(value, "name"));
	const struct tenant *tenant = model_tenant(model, tenant_name);
	const struct remote_access *access;
	const struct tunnel *tunnel;
	const struct ike *ike = NULL;
	char hex[2 * VAULT_DIGEST_LEN + 1];
	uint8_t *plain;

	if (tenant == NULL)
		return -ENOENT;
	access = tenant_remote_access(tenant, name);
	tunnel = tenant_tunnel(tenant, name);
	if (access != NULL)
		ike = access->ike;
	else if (tunnel != NULL)
		ike = tunnel->ike;
	if (ike == NULL || !secret_is_set(&ike->key))
		return -ENOENT;
	sodium_bin2hex(hex, sizeof(hex), ike->key.digest, sizeof(ike->key.digest));
	if (strcmp(hex, digest) != 0)
		return -ENOENT; /* changed meanwhile: looked at again soon */
	if (secret_open(config->vault, tenant_name, name, "key", "", &ike->key, &plain) < 0)
		return -EBADMSG;
	vici_text(message, "type", "any");
	vici_value(message, "data", plain, ike->key.size);
	sodium_free(plain);
	return 0;
}

static void message_cert(struct vici_message *message, const json_t *value)
{
	const json_t *data = json_object_get(value, "data");
	size_t length = json_string_length(data), size;
	uint8_t *der = malloc(length + 1);

	if (der == NULL || sodium_base642bin(der, length, json_string_value(data), length, NULL,
					     &size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
		message->failed = true;
	} else {
		vici_text(message, "type", json_string_value(json_object_get(value, "type")));
		vici_value(message, "data", der, size);
	}
	free(der);
}

static void load_answered(void *context, int error, const char *text, const uint8_t *message,
			  size_t size)
{
	struct ike_config *config = context;
	json_t *loaded = config->loaded[config->part];
	char id[128];

	config->busy = false;
	if (error == -ENOTCONN)
		return;
	if (error < 0) {
		refusal_tell(config, text);
		json_object_set(config->refused[config->part], config->name, config->value);
		/* It goes on with what it has of that name. */
		if (json_object_get(loaded, config->name) != NULL)
			json_object_set_new(loaded, config->name, json_null());
	} else if (config->part == PART_KEYS) {
		vici_find(message, size, "id", id, sizeof(id));
		json_object_set_new(loaded, config->name, json_string(id));
	} else {
		json_object_set(loaded, config->name, config->value);
		json_object_del(config->refused[config->part], config->name);
		if (config->part == PART_POOLS)
			json_object_del(config->told_pools, config->name);
		else if (config->part == PART_CONNS)
			ike_begin_loaded(config, config->name, config->value);
	}
	ike_load_step(config);
}

static void request_failed(struct ike_config *config, int error)
{
	config->busy = false;
	if (error == -ENOTCONN || error == -ENOENT)
		return;
	refusal_tell(config,
		     error == -EMSGSIZE ? "it is too large for vici" : "it can't be read or sent");
	json_object_set(config->refused[config->part], config->name, config->value);
}

static void load_send(struct ike_config *config, enum part part, const char *name, json_t *value)
{
	static const char *const commands[PARTS] = { "load-cert", "load-key", "load-pool",
						     "load-conn" };
	struct vici_message message = { 0 };
	int ret = 0;

	config->busy = true;
	config->settled = false;
	config->sent++;
	config->part = part;
	snprintf(config->name, sizeof(config->name), "%s", name);
	json_incref(value);
	json_decref(config->value);
	config->value = value;
	if (part == PART_CERTS)
		message_cert(&message, value);
	else if (part == PART_KEYS)
		ret = message_key(config, &message, name, value);
	else
		message_connection(&message, name, value);
	if (ret == 0)
		ret = vici_request(config->vici, commands[part], &message, load_answered, config);
	else
		vici_message_free(&message);
	if (ret < 0)
		request_failed(config, ret);
}

/* The next of a part that charon lacks. Returns whether one was sent. */
static bool load_next(struct ike_config *config, enum part part)
{
	const json_t *wanted = json_object_get(config->wanted, parts[part]);
	struct ike_list *list = &config->load[part];

	while (list->at < json_array_size(list->names)) {
		const char *name = json_string_value(json_array_get(list->names, list->at++));

		load_send(config, part, name, json_object_get(wanted, name));
		if (config->busy)
			return true;
	}
	return false;
}

static void unload_answered(void *context, int error, const char *text, const uint8_t *message,
			    size_t size)
{
	struct ike_config *config = context;
	const char *name = config->name;

	config->busy = false;
	if (error == -ENOTCONN)
		return;
	if (error < 0 && config->part == PART_POOLS && strstr(text, "not found") == NULL) {
		refusal_tell(config, text);
		json_object_set_new(config->refused[PART_POOLS], name, json_null());
	} else {
		json_object_del(config->loaded[config->part], name);
	}
	ike_load_step(config);
}

void ike_load_nothing(void *context, int error, const char *text, const uint8_t *message,
		      size_t size)
{
}

/* IKE SAs of a connection, or a child of it. charon begins and doesn't wait for the peer. */
void ike_load_terminate(struct ike_config *config, const char *connection, const char *child)
{
	struct vici_message message = { 0 };

	vici_text(&message, "ike", connection);
	if (child != NULL)
		vici_text(&message, "child", child);
	vici_text(&message, "timeout", "-1");
	vici_request(config->vici, "terminate", &message, ike_load_nothing, config);
}

static void unload_send(struct ike_config *config, enum part part, const char *name)
{
	const char *id = json_string_value(json_object_get(config->loaded[part], name));
	struct vici_message message = { 0 };
	int ret;

	config->busy = true;
	config->settled = false;
	config->sent++;
	config->part = part;
	snprintf(config->name, sizeof(config->name), "%s", name);
	if (part == PART_KEYS)
		vici_text(&message, "id", id == NULL ? "" : id);
	else
		vici_text(&message, "name", name);
	ret = vici_request(config->vici,
			   part == PART_KEYS    ? "unload-key"
			   : part == PART_POOLS ? "unload-pool"
						: "unload-conn",
			   &message, unload_answered, config);
	if (ret < 0)
		config->busy = false;
	else if (part == PART_CONNS)
		ike_load_terminate(config, name, NULL);
}

static bool unload_next(struct ike_config *config, enum part part)
{
	struct ike_list *list = &config->unload[part];

	if (list->at == json_array_size(list->names))
		return false;
	unload_send(config, part, json_string_value(json_array_get(list->names, list->at++)));
	return config->busy;
}

/* -- what differs -- */

static void list_clear(struct ike_list *list)
{
	json_array_clear(list->names);
	list->at = 0;
}

static void part_list(struct ike_config *config, enum part part)
{
	const json_t *wanted = json_object_get(config->wanted, parts[part]);
	json_t *loaded = config->loaded[part], *refused = config->refused[part], *value;
	const char *name;
	void *next;

	list_clear(&config->load[part]);
	list_clear(&config->unload[part]);
	json_object_foreach ((json_t *)(uintptr_t)wanted, name, value) {
		const json_t *has = json_object_get(loaded, name);

		if (part == PART_KEYS ? has != NULL : json_equal(has, value))
			continue;
		if (!json_equal(json_object_get(refused, name), value))
			json_array_append_new(config->load[part].names, json_string(name));
	}
	json_object_foreach_safe(refused, next, name, value)
	{
		if (json_object_get(wanted, name) == NULL && !json_is_null(value))
			json_object_del(refused, name);
	}
	json_object_foreach_safe(loaded, next, name, value)
	{
		if (json_object_get(wanted, name) != NULL)
			continue;
		/* vici takes back no single certificate, and all only with those of others. It may stay: a
		 * connection takes the CAs that it names, and a newer revocation list replaces the older one. */
		if (part == PART_CERTS)
			json_object_del(loaded, name);
		/* A pool that is in use is tried again later. */
		else if (!json_is_null(json_object_get(refused, name)))
			json_array_append_new(config->unload[part].names, json_string(name));
	}
}

void ike_load_again(struct ike_config *config)
{
	config->listed = false;
	config->settled = false;
}

/* Sends the next request; where there is none, charon is as wanted. */
void ike_load_step(struct ike_config *config)
{
	struct timeval later = { .tv_sec = IKE_RETRY_S };
	bool refused = false;

	if (config->busy || !config->known || config->wanted == NULL || !vici_is_up(config->vici))
		return;
	for (unsigned int part = 0; part < PARTS && !config->listed; part++)
		part_list(config, part);
	config->listed = true;
	if (unload_next(config, PART_CONNS) || unload_next(config, PART_KEYS) ||
	    load_next(config, PART_CERTS) || load_next(config, PART_KEYS) ||
	    unload_next(config, PART_POOLS) || load_next(config, PART_POOLS) ||
	    (config->plugin && load_next(config, PART_CONNS)))
		return;
	config->settled = config->plugin;
	if (config->settled)
		ike_ask_later(config);
	for (unsigned int part = 0; part < PARTS; part++)
		refused |= json_object_size(config->refused[part]) > 0;
	if (refused && !event_pending(config->retry, EV_TIMEOUT, NULL))
		event_add(config->retry, &later);
}
