/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_load.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "ike_ask.h"
#include "ike_begin.h"
#include "ike_connections.h"
#include "ike_expiry.h"
#include "ike_file.h"
#include "log.h"
#include "vici.h"

#define ABSENT_S 10 /* charon may be starting */
#define DAY_S    86400
#define EXPIRY_S 2 /* after the start, before it is looked what ends */
#define FILE_S   1 /* one writing for changes in a row */

static bool anything_wanted(const struct ike_config *config)
{
	return json_object_size(json_object_get(config->wanted, "conns")) > 0;
}

static void retry_due(evutil_socket_t fd, short what, void *context)
{
	struct ike_config *config = context;

	/* Pools only: the rest is as wrong as it was, and was told. */
	json_object_clear(config->refused[PART_POOLS]);
	ike_load_again(config);
	ike_load_step(config);
}

/*
 * What a peer may be or reach has changed: what was negotiated before ends. Other changes hold for what
 * is negotiated from now on.
 */
static void changes_end(struct ike_config *config, const json_t *before)
{
	const json_t *old_conns = json_object_get(before, "conns");
	const json_t *new_conns = json_object_get(config->wanted, "conns");
	static const char *const ends[] = { "local_addrs", "remote_addrs", "local-1", "remote-1" };
	static const char *const selectors[] = { "local_ts", "remote_ts" };
	const char *name, *child;
	json_t *old, *section;

	json_object_foreach ((json_t *)(uintptr_t)old_conns, name, old) {
		const json_t *new = json_object_get(new_conns, name);
		bool other = false;

		for (size_t i = 0; i < 4 && new != NULL; i++)
			other |= !json_equal(json_object_get(old, ends[i]),
					     json_object_get(new, ends[i]));
		if (other)
			ike_load_terminate(config, name, NULL);
		if (other || new == NULL)
			continue;
		json_object_foreach (json_object_get(old, "children"), child, section) {
			const json_t *now =
				json_object_get(json_object_get(new, "children"), child);

			other = now == NULL;
			for (size_t i = 0; i < 2 && now != NULL; i++)
				other |= !json_equal(json_object_get(section, selectors[i]),
						     json_object_get(now, selectors[i]));
			if (other)
				ike_load_terminate(config, name, child);
		}
	}
}

static void file_due(evutil_socket_t fd, short what, void *context)
{
	struct ike_config *config = context;
	char folder[PATH_MAX], text[sizeof(config->told)];
	int ret;

	snprintf(folder, sizeof(folder), "%s/ike", config->state);
	ret = ike_file_write(folder, config->wanted);
	text[0] = '\0';
	if (ret < 0)
		snprintf(text, sizeof(text), "%.180s/swanctl.conf can't be written: %s", folder,
			 strerror(-ret));
	if (ret < 0 && strcmp(text, config->told) != 0)
		log_error("%s", text);
	snprintf(config->told, sizeof(config->told), "%s", text);
}

static void expiry_tell(void *context, const char *tenant, const char *name, const char *text)
{
	ike_tell(context, tenant, name, "%s", text);
}

static void expiry_due(evutil_socket_t fd, short what, void *context)
{
	struct ike_config *config = context;
	struct timeval day = { .tv_sec = DAY_S };

	ike_expiry_look(config->hooks.desired(config->hooks.context), expiry_tell, config);
	event_add(config->expiry, &day);
}

/* Told once of each tunnel. */
static void per_cpu_check(struct ike_config *config, const struct model *desired)
{
	for (size_t i = 0; config->plugin && !config->per_cpu && i < desired->n_tenants; i++) {
		const struct tenant *tenant = desired->tenants[i];

		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			const struct tunnel *tunnel = tenant->tunnels[k];
			char name[2 * ABI_NAME_LEN];

			snprintf(name, sizeof(name), "%s.%s", tenant->name, tunnel->name);
			if (tunnel->ike == NULL || !tunnel->ike->per_cpu ||
			    json_object_get(config->told_old, name) != NULL)
				continue;
			json_object_set_new(config->told_old, name, json_true());
			ike_tell(config, tenant->name, tunnel->name,
				 "per-cpu needs strongSwan 6.0.2 or newer: with the charon that is "
				 "there '%s' has one SA each way for all workers",
				 tunnel->name);
		}
	}
}

static void look_due(evutil_socket_t fd, short what, void *context)
{
	struct ike_config *config = context;
	const struct model *desired = config->hooks.desired(config->hooks.context);
	json_t *wanted = ike_connections(desired, config->per_cpu);
	struct timeval patience = { .tv_sec = ABSENT_S }, soon = { .tv_sec = FILE_S };
	json_t *before = config->wanted;

	if (wanted == NULL) {
		log_error("out of memory: charon's configuration is not looked at");
		return;
	}
	config->wanted = wanted;
	if (anything_wanted(config)) {
		vici_start(config->vici);
		if (!vici_is_up(config->vici) && !event_pending(config->absent, EV_TIMEOUT, NULL) &&
		    before == NULL)
			event_add(config->absent, &patience);
	}
	if (!json_equal(before, wanted)) {
		event_add(config->file, &soon);
		if (before != NULL && vici_is_up(config->vici))
			changes_end(config, before);
	}
	json_decref(before);
	per_cpu_check(config, desired);
	ike_load_again(config);
	ike_load_step(config);
}

static void charon_up(void *context)
{
	struct ike_config *config = context;
	struct timeval patience = { .tv_sec = ABSENT_S };

	event_del(config->absent);
	log_info("charon answers");
	if (!config->plugin)
		event_add(config->alone, &patience);
	ike_ask_first(config);
}

/* Connections that it had now would bring up tunnels in the kernel, or none for want of a secret. */
static void alone_due(evutil_socket_t fd, short what, void *context)
{
	struct ike_config *config = context;

	if (anything_wanted(config))
		ike_tell(
			config, NULL, NULL,
			"charon answers, but kaido's plugin in it doesn't, and no connection is "
			"given to it: `kernel-kaido` has to be among the plugins that charon's log "
			"lists at its start; lines with `kaido:` say what else is wrong");
}

/* SAs of each CPU's own are in strongSwan since 6.0.2. */
static bool version_has_per_cpu(const char *version)
{
	unsigned int major = 0, minor = 0, patch = 0;

	sscanf(version, "strongSwan %u.%u.%u", &major, &minor, &patch);
	return major > 6 || (major == 6 && (minor > 0 || patch >= 2));
}

void ike_config_plugin(struct ike_config *config, const char *version)
{
	struct timeval patience = { .tv_sec = ABSENT_S };
	bool there;

	if (config == NULL)
		return;
	there = config->plugin;
	config->plugin = version != NULL;
	if (version != NULL) {
		event_del(config->alone);
		config->per_cpu = version_has_per_cpu(version);
		if (there)
			ike_load_step(config);
		else
			look_due(-1, 0, config);
	} else if (vici_is_up(config->vici)) {
		event_add(config->alone, &patience);
	}
}

static void charon_down(void *context, const char *why)
{
	struct ike_config *config = context;
	struct timeval patience = { .tv_sec = ABSENT_S };

	log_warning("charon: %s", why);
	event_del(config->alone);
	ike_load_forget(config);
	if (!event_pending(config->absent, EV_TIMEOUT, NULL))
		event_add(config->absent, &patience);
}

static void absent_due(evutil_socket_t fd, short what, void *context)
{
	struct ike_config *config = context;

	if (!vici_is_up(config->vici) && anything_wanted(config))
		ike_tell(
			config, NULL, NULL,
			"charon doesn't answer: start strongSwan; connections are loaded as soon as it "
			"is there");
}

void ike_config_changed(struct ike_config *config)
{
	if (config == NULL)
		return;
	config->settled = false;
	event_active(config->look, EV_TIMEOUT, 0);
}

void ike_config_state(const struct ike_config *config, struct ike_config_state *state)
{
	memset(state, 0, sizeof(*state));
	if (config == NULL)
		return;
	state->wanted = json_object_size(json_object_get(config->wanted, "conns"));
	state->connected = vici_is_up(config->vici);
	state->plugin = config->plugin;
	state->settled = state->connected && config->settled;
	for (unsigned int part = 0; part < PARTS; part++)
		state->refused += json_object_size(config->refused[part]);
}

int ike_config_open(struct event_base *base, const char *vici, const char *state,
		    const struct vault *vault, const struct ike_config_hooks *hooks,
		    struct ike_config **out)
{
	struct ike_config *config = calloc(1, sizeof(*config));
	struct timeval soon = { .tv_sec = EXPIRY_S };
	struct vici_hooks vici_hooks = { .context = config, .up = charon_up, .down = charon_down };

	if (config == NULL)
		return -ENOMEM;
	config->base = base;
	config->state = state;
	config->vault = vault;
	config->hooks = *hooks;
	config->vici = vici_create(base, vici, &vici_hooks);
	config->look = evtimer_new(base, look_due, config);
	config->retry = evtimer_new(base, retry_due, config);
	config->file = evtimer_new(base, file_due, config);
	config->expiry = evtimer_new(base, expiry_due, config);
	config->absent = evtimer_new(base, absent_due, config);
	config->alone = evtimer_new(base, alone_due, config);
	config->told_pools = json_object();
	config->told_old = json_object();
	for (unsigned int part = 0; part < PARTS; part++) {
		config->loaded[part] = json_object();
		config->refused[part] = json_object();
		config->load[part].names = json_array();
		config->unload[part].names = json_array();
	}
	if (ike_ask_open(config) < 0 || ike_begin_open(config) < 0 || config->vici == NULL ||
	    config->look == NULL || config->file == NULL || config->expiry == NULL ||
	    config->retry == NULL || config->absent == NULL || config->alone == NULL) {
		ike_config_close(config);
		return -ENOMEM;
	}
	*out = config;
	event_add(config->expiry, &soon);
	ike_config_changed(config);
	return 0;
}

void ike_config_close(struct ike_config *config)
{
	if (config == NULL)
		return;
	vici_destroy(config->vici);
	if (config->look != NULL)
		event_free(config->look);
	if (config->retry != NULL)
		event_free(config->retry);
	if (config->expiry != NULL)
		event_free(config->expiry);
	if (config->file != NULL)
		event_free(config->file);
	if (config->absent != NULL)
		event_free(config->absent);
	if (config->alone != NULL)
		event_free(config->alone);
	for (unsigned int part = 0; part < PARTS; part++) {
		json_decref(config->loaded[part]);
		json_decref(config->refused[part]);
		json_decref(config->load[part].names);
		json_decref(config->unload[part].names);
	}
	ike_ask_close(config);
	ike_begin_close(config);
	json_decref(config->told_pools);
	json_decref(config->told_old);
	json_decref(config->wanted);
	json_decref(config->value);
	free(config);
}
