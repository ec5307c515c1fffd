/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <processing/jobs/callback_job.h>

#include "kaido.h"
#include "kaido_child.h"
#include "kaido_creds.h"
#include "kaido_notify.h"
#include "kaido_policy.h"
#include "kaido_request.h"
#include "kaido_sa.h"
#include "kaido_spi.h"

/* --- what is told to charon ------------------------------------------------------------------ */

static void on_expire(struct kaido *kaido, json_t *params)
{
	json_int_t sa;
	int hard;

	if (!json_unpack(params, "{s:I, s:b}", "sa", &sa, "hard", &hard))
		kaido_child_expire(kaido, (uint64_t)sa, hard);
}

static void on_mapping(struct kaido *kaido, json_t *params)
{
	const char *address;
	json_int_t sa;
	host_t *remote;
	int port;

	if (json_unpack(params, "{s:I, s:s, s:i}", "sa", &sa, "remote", &address, "remote_port",
			&port))
		return;
	remote = host_create_from_string((char *)address, (uint16_t)port);
	if (remote)
		kaido_child_mapping(kaido, (uint64_t)sa, remote);
}

/* Of one end of a packet. Port 0: its protocol has none. NULL: no address. */
static traffic_selector_t *packet_selector(const char *address, int protocol, int port)
{
	host_t *host = host_create_from_string((char *)address, 0);
	bool any = !port && protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6;
	uint8_t bits;

	if (!host)
		return NULL;
	bits = host->get_family(host) == AF_INET ? 32 : 128;
	return traffic_selector_create_from_subnet(host, bits, (uint8_t)protocol,
						   any ? 0 : (uint16_t)port,
						   any ? 0xffff : (uint16_t)port);
}

/*
 * One more pair of SAs for a tunnel that has some, of one CPU's own (RFC 9611). From a peer that takes no part
 * in that they would be pairs like the first one, ever more of them.
 */
static void acquire_of_cpu(struct kaido *kaido, json_t *params)
{
#ifdef CPU_ID_MAX
	kernel_acquire_data_t data = { .cpu = 0 };
	json_int_t if_id, cpu;
	uint32_t reqid;

	if (json_unpack(params, "{s:I, s:I}", "if_id", &if_id, "cpu", &cpu))
		return;
	data.cpu = (uint32_t)cpu;
	reqid = kaido_policy_per_cpu(kaido->policies, (uint32_t)if_id);
	if (reqid)
		charon->kernel->acquire(charon->kernel, reqid, &data);
#endif
}

static void on_acquire(struct kaido *kaido, json_t *params)
{
	int protocol, source_port, destination_port;
	const char *source, *destination;
	kernel_acquire_data_t data = {
#ifdef CPU_ID_MAX
		.cpu = CPU_ID_MAX,
#endif
	};
	json_int_t if_id;
	uint32_t reqid;

	if (json_object_get(params, "cpu")) {
		acquire_of_cpu(kaido, params);
		return;
	}
	if (json_unpack(params, "{s:I, s:i, s:s, s:s, s:i, s:i}", "if_id", &if_id, "protocol",
			&protocol, "source", &source, "destination", &destination, "source_port",
			&source_port, "destination_port", &destination_port))
		return;
	data.src = packet_selector(source, protocol, source_port);
	data.dst = packet_selector(destination, protocol, destination_port);
	if (data.src && data.dst) {
		reqid = kaido_policy_trap(kaido->policies, (uint32_t)if_id, data.src, data.dst);
		if (reqid)
			charon->kernel->acquire(charon->kernel, reqid, &data);
		else
			DBG2(DBG_KNL, "kaido: no trap of tunnel %u takes %R === %R",
			     (uint32_t)if_id, data.src, data.dst);
	}
	DESTROY_IF(data.src);
	DESTROY_IF(data.dst);
}

static void on_usage(struct kaido *kaido, json_t *params)
{
	json_int_t sa, packets, bytes, idle;
	json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(params, "sas"), i, entry) {
		if (!json_unpack(entry, "[I, I, I, I]", &sa, &packets, &bytes, &idle))
			kaido_sa_used(kaido->sas, (uint64_t)sa, (uint64_t)packets, (uint64_t)bytes,
				      (uint64_t)idle);
	}
}

/* By a worker of charon's, since it may have to wait until another one is done with the IKE SA. */
static job_requeue_t close_run(void *data)
{
	uint32_t id = *(uint32_t *)data;
	ike_sa_t *ike_sa;

	ike_sa = charon->ike_sa_manager->checkout_by_id(charon->ike_sa_manager, id);
	if (!ike_sa)
		return JOB_REQUEUE_NONE;
	if (ike_sa->delete (ike_sa, FALSE) == DESTROY_ME)
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager, ike_sa);
	else
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	return JOB_REQUEUE_NONE;
}

static void on_close(struct kaido *kaido, json_t *params)
{
	uint32_t *data;
	json_int_t id;

	if (json_unpack(params, "{s:I}", "id", &id))
		return;
	data = malloc(sizeof(*data));
	if (!data)
		return;
	*data = (uint32_t)id;
	lib->processor->queue_job(lib->processor,
				  (job_t *)callback_job_create(close_run, data, free, NULL));
}

static void on_secrets(struct kaido *kaido, json_t *params)
{
	if (kaido_creds_replace(kaido->creds, params))
		DBG2(DBG_CFG, "kaido: %zu secrets, %zu identities locked out",
		     json_array_size(json_object_get(params, "secrets")),
		     json_array_size(json_object_get(params, "locked")));
	else
		DBG1(DBG_CFG,
		     "kaido: the secrets that kaidod sends can't be read; those from before stay. "
		     "Are kaidod and this plugin of one version?");
}

static const struct {
	const char *method;
	void (*done)(struct kaido *kaido, json_t *params);
} notifications[] = {
	{ "ike.usage", on_usage },     { "ike.expire", on_expire },   { "ike.mapping", on_mapping },
	{ "ike.acquire", on_acquire }, { "ike.secrets", on_secrets }, { "ike.close", on_close },
};

static void on_notified(void *context, const char *method, json_t *params)
{
	size_t i;

	for (i = 0; i < countof(notifications); i++) {
		if (streq(notifications[i].method, method)) {
			notifications[i].done(context, params);
			return;
		}
	}
	DBG2(DBG_KNL, "kaido: kaidod says %s, which this plugin does not know", method);
}

/* --- answers --------------------------------------------------------------------------------- */

static void opened(struct kaido *kaido, json_t *result)
{
	json_t *array = json_object_get(result, "spis"), *entry;
	size_t n = json_array_size(array), i;
	uint32_t *spis = calloc(n ? n : 1, sizeof(*spis));

	if (spis) {
		json_array_foreach (array, i, entry)
			spis[i] = htonl((uint32_t)json_integer_value(entry));
		kaido_spis_of_others(kaido->spis, spis, n);
	}
	free(spis);
	DBG1(DBG_KNL, "kaido: connected to kaidod at %s", kaido->settings.socket);
}

/* Without keys, which are not kept here, they can't be installed again: charon negotiates others. */
static void synced(struct kaido *kaido, json_t *result)
{
	unsigned int lost = 0;
	json_t *entry;
	uint64_t sa;
	size_t i;

	json_array_foreach (json_object_get(result, "unknown"), i, entry) {
		sa = (uint64_t)json_integer_value(entry);
		if (!kaido_sa_is_confirmed(kaido->sas, sa))
			continue;
		lost++;
		kaido_child_expire(kaido, sa, false);
	}
	if (lost)
		DBG1(DBG_KNL, "kaido: kaidod has lost %u SAs; others are negotiated", lost);
}

static void on_answered(void *context, enum kaido_request request, uint64_t sa, json_t *result,
			const char *error)
{
	struct kaido *kaido = context;

	switch (request) {
	case KAIDO_OPEN:
		if (!error)
			opened(kaido, result);
		break;
	case KAIDO_SYNC:
		if (!error)
			synced(kaido, result);
		break;
	case KAIDO_SET:
		if (!error) {
			kaido_sa_confirm(kaido->sas, sa);
			return;
		}
		DBG1(DBG_KNL, "kaido: kaidod refuses an SA, which is deleted: %s", error);
		kaido_child_expire(kaido, sa, true);
		return;
	case KAIDO_UPDATE:
		if (!kaido_sa_is_confirmed(kaido->sas, sa))
			return; /* it is gone meanwhile, or its set was refused */
		break;
	default:
		break;
	}
	if (error)
		DBG1(DBG_KNL, "kaido: kaidod refuses %s: %s", kaido_request_name(request), error);
}

static json_t *say_open(void *context)
{
	return request_open(context);
}

static json_t *say_sync(void *context)
{
	struct kaido *kaido = context;

	return json_pack("{s:o}", "sas", kaido_sa_handles(kaido->sas));
}

const struct kaido_rpc_calls *kaido_notify_calls(void)
{
	static const struct kaido_rpc_calls calls = {
		.open = say_open,
		.sync = say_sync,
		.answered = on_answered,
		.notified = on_notified,
	};

	return &calls;
}
