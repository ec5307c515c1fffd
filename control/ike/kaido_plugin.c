/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <processing/jobs/callback_job.h>

#include "kaido.h"
#include "kaido_creds.h"
#include "kaido_failure.h"
#include "kaido_ike.h"
#include "kaido_ipsec.h"
#include "kaido_listener.h"
#include "kaido_notify.h"
#include "kaido_policy.h"
#include "kaido_rpc.h"
#include "kaido_sa.h"
#include "kaido_spi.h"

#define EXPORTED __attribute__((visibility("default")))

#define SOCKET_DEFAULT  "/run/kaido/ike.sock"
#define QUEUE_DEFAULT   65536
#define WAIT_DEFAULT_MS 250
#define LINGER_MS       2000

struct kaido_plugin {
	plugin_t public;
	struct kaido kaido;
};

static_assert(offsetof(struct kaido_plugin, public) == 0, "charon has the plugin's address");

static char *plugin_get_name(plugin_t *public)
{
	return "kernel-kaido";
}

/* Keys and secrets are in the JSON. Nobody else in charon uses jansson. */
static void wiping_free(void *memory)
{
	if (!memory)
		return;
	explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

/* Charon's workers start when it has dropped privileges; a thread has those of who creates it. */
static job_requeue_t start_rpc(void *data)
{
	struct kaido *kaido = data;

	kaido_rpc_start(kaido->rpc);
	return JOB_REQUEUE_NONE;
}

/* charon's bus and credentials are there by now. */
static bool plugin_register(plugin_t *public, plugin_feature_t *feature, bool reg, void *data)
{
	struct kaido *kaido = &((struct kaido_plugin *)public)->kaido;

	if (reg && !kaido->has_ipsec) {
		DBG1(DBG_KNL,
		     "kaido: another plugin has charon's SAs already; let kernel-kaido be loaded before it");
		return FALSE;
	}
	if (reg) {
		lib->credmgr->add_set(lib->credmgr, kaido_creds_set(kaido->creds));
		charon->bus->add_listener(charon->bus, kaido_listener_get(kaido->listener));
		lib->processor->queue_job(
			lib->processor, (job_t *)callback_job_create(start_rpc, kaido, NULL, NULL));
	} else {
		charon->bus->remove_listener(charon->bus, kaido_listener_get(kaido->listener));
		lib->credmgr->remove_set(lib->credmgr, kaido_creds_set(kaido->creds));
	}
	return TRUE;
}

static int plugin_get_features(plugin_t *public, plugin_feature_t *features[])
{
	static const plugin_feature_t list[] = {
		PLUGIN_CALLBACK(kernel_ipsec_register, kaido_ipsec_create),
		PLUGIN_PROVIDE(CUSTOM, "kernel-ipsec"),
		PLUGIN_CALLBACK(plugin_register, NULL),
		PLUGIN_PROVIDE(CUSTOM, "kernel-kaido"),
	};

	*features = (plugin_feature_t *)list;
	return countof(list);
}

static void kaido_fini(struct kaido *kaido)
{
	kaido_rpc_destroy(kaido->rpc);
	kaido_listener_destroy(kaido->listener);
	kaido_failures_destroy(kaido->failures);
	kaido_ikes_destroy(kaido->ikes);
	kaido_creds_destroy(kaido->creds);
	kaido_policies_destroy(kaido->policies);
	kaido_sas_destroy(kaido->sas);
	kaido_spis_destroy(kaido->spis);
	free(kaido->settings.socket);
}

static void plugin_destroy(plugin_t *public)
{
	struct kaido_plugin *plugin = (struct kaido_plugin *)public;

	lib->set(lib, KAIDO_OBJECT, NULL);
	kaido_fini(&plugin->kaido);
	json_set_alloc_funcs(malloc, free);
	free(plugin);
}

static void settings_read(struct kaido_settings *settings)
{
	settings->socket = strdup(lib->settings->get_str(
		lib->settings, "%s.plugins.kernel-kaido.socket", SOCKET_DEFAULT, lib->ns));
	settings->queue = lib->settings->get_int(lib->settings, "%s.plugins.kernel-kaido.queue",
						 QUEUE_DEFAULT, lib->ns);
	settings->wait_ms = lib->settings->get_int(lib->settings, "%s.plugins.kernel-kaido.wait_ms",
						   WAIT_DEFAULT_MS, lib->ns);
	settings->linger_ms = LINGER_MS;
}

static bool kaido_init(struct kaido *kaido)
{
	uint64_t instance;

	settings_read(&kaido->settings);
	if (getrandom(&instance, sizeof(instance), 0) != sizeof(instance))
		return false;
	snprintf(kaido->instance, sizeof(kaido->instance), "%016llx", (unsigned long long)instance);
	kaido->spis = kaido_spis_create();
	kaido->sas = kaido_sas_create();
	kaido->policies = kaido_policies_create();
	kaido->creds = kaido_creds_create();
	kaido->ikes = kaido_ikes_create();
	kaido->failures = kaido_failures_create();
	kaido->listener = kaido_listener_create(kaido);
	kaido->rpc = kaido_rpc_create(&kaido->settings, kaido_notify_calls(), kaido);
	return kaido->settings.socket && kaido->spis && kaido->sas && kaido->policies &&
	       kaido->creds && kaido->ikes && kaido->failures && kaido->listener && kaido->rpc;
}

EXPORTED plugin_t *kernel_kaido_plugin_create(void);

EXPORTED plugin_t *kernel_kaido_plugin_create(void)
{
	struct kaido_plugin *plugin = calloc(1, sizeof(*plugin));

	if (!plugin)
		return NULL;
	json_set_alloc_funcs(malloc, wiping_free);
	plugin->public.get_name = plugin_get_name;
	plugin->public.get_features = plugin_get_features;
	plugin->public.destroy = plugin_destroy;
	if (!kaido_init(&plugin->kaido)) {
		plugin_destroy(&plugin->public);
		return NULL;
	}
	if (!lib->caps->keep(lib->caps, CAP_DAC_OVERRIDE))
		DBG1(DBG_KNL,
		     "kaido: without CAP_DAC_OVERRIDE charon's user must be in kaidod's --ike-group");
	lib->set(lib, KAIDO_OBJECT, &plugin->kaido);
	return &plugin->public;
}

/* Newer charons want a plugin of their own version. */
EXPORTED extern const char *const kernel_kaido_plugin_version;
const char *const kernel_kaido_plugin_version = VERSION;
