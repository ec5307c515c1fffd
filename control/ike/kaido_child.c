/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <processing/jobs/callback_job.h>

#include "kaido_child.h"
#include "kaido_sa.h"

/* Of one reqid: a CHILD_SA, the one that replaces it, one for each core. */
#define PARTNERS_MAX 256

/* What is to be told. */
struct call {
	struct kaido *kaido;
	uint64_t handle;
	bool hard;
	host_t *remote; /* NULL: its life ends */
};

static void call_free(struct call *call)
{
	DESTROY_IF(call->remote);
	free(call);
}

static void call_tell(const struct call *call, const struct kaido_sa_name *name)
{
	if (call->remote)
		charon->kernel->mapping(charon->kernel, IPPROTO_ESP, name->spi, name->dst,
					call->remote);
	else
		charon->kernel->expire(charon->kernel, IPPROTO_ESP, name->spi, name->dst,
				       call->hard);
}

/* Is an inbound SA the other half of an outbound one? */
static bool is_partner(const struct kaido_sa_name *inbound, const struct kaido_sa_name *outbound)
{
	child_sa_t *child;
	ike_sa_t *ike_sa;
	bool is;

	ike_sa = charon->child_sa_manager->checkout(charon->child_sa_manager, PROTO_ESP,
						    inbound->spi, inbound->dst, &child);
	if (!ike_sa)
		return false;
	is = child->get_spi(child, FALSE) == outbound->spi;
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	return is;
}

/* By a worker of charon's, since it may have to wait until another one is done with an IKE SA. */
static job_requeue_t call_run(void *data)
{
	struct kaido_sa_name names[PARTNERS_MAX], outbound;
	struct call *call = data;
	size_t n, i;

	if (!kaido_sa_name(call->kaido->sas, call->handle, &outbound))
		return JOB_REQUEUE_NONE;
	n = kaido_sa_partners(call->kaido->sas, call->handle, names, PARTNERS_MAX);
	for (i = 0; i < n; i++) {
		if (n == 1 || is_partner(&names[i], &outbound)) {
			call_tell(call, &names[i]);
			break;
		}
	}
	for (i = 0; i < n; i++)
		names[i].dst->destroy(names[i].dst);
	outbound.dst->destroy(outbound.dst);
	return JOB_REQUEUE_NONE;
}

/* call is taken. */
static void call_make(struct call *call)
{
	struct kaido_sa_name name;

	if (!kaido_sa_name(call->kaido->sas, call->handle, &name)) {
		call_free(call);
		return;
	}
	if (name.inbound) {
		call_tell(call, &name);
		call_free(call);
	} else {
		lib->processor->queue_job(
			lib->processor,
			(job_t *)callback_job_create(call_run, call,
						     (callback_job_cleanup_t)call_free, NULL));
	}
	name.dst->destroy(name.dst);
}

void kaido_child_expire(struct kaido *kaido, uint64_t handle, bool hard)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return;
	call->kaido = kaido;
	call->handle = handle;
	call->hard = hard;
	call_make(call);
}

void kaido_child_mapping(struct kaido *kaido, uint64_t handle, host_t *remote)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call) {
		remote->destroy(remote);
		return;
	}
	call->kaido = kaido;
	call->handle = handle;
	call->remote = remote;
	call_make(call);
}
