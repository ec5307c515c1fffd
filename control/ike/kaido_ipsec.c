/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <stddef.h>

#include "kaido.h"
#include "kaido_failure.h"
#include "kaido_ipsec.h"
#include "kaido_policy.h"
#include "kaido_request.h"
#include "kaido_rpc.h"
#include "kaido_sa.h"
#include "kaido_spi.h"
#include "kaido_text.h"

struct kaido_ipsec {
	kernel_ipsec_t public;
	struct kaido *kaido;
};

static struct kaido *kaido_of(kernel_ipsec_t *public)
{
	return ((struct kaido_ipsec *)((char *)public - offsetof(struct kaido_ipsec, public)))
		->kaido;
}

/*
 * An SA's ends change without its policies being taken away for a moment, and use times are of SAs. SPIs on
 * policies (KERNEL_POLICY_SPI) are not said to be known: so charon adds an outbound SA when it is to be used.
 */
static kernel_feature_t ipsec_get_features(kernel_ipsec_t *public)
{
#if STRONGSWAN_VERSION >= 50911
	return KERNEL_NO_POLICY_UPDATES | KERNEL_SA_USE_TIME;
#else
	return KERNEL_NO_POLICY_UPDATES;
#endif
}

static status_t ipsec_get_spi(kernel_ipsec_t *public, host_t *src, host_t *dst, uint8_t protocol,
			      uint32_t *spi)
{
	if (protocol != IPPROTO_ESP)
		return NOT_SUPPORTED;
	*spi = kaido_spi_take(kaido_of(public)->spis);
	return *spi ? SUCCESS : FAILED;
}

static status_t ipsec_get_cpi(kernel_ipsec_t *public, host_t *src, host_t *dst, uint16_t *cpi)
{
	return NOT_SUPPORTED;
}

/* Is it AES-GCM with a whole ICV? The key has 4 bytes of salt behind it. */
static bool is_aes_gcm(const kernel_ipsec_add_sa_t *data)
{
	return data->enc_alg == ENCR_AES_GCM_ICV16 &&
	       (data->enc_key.len == 16 + 4 || data->enc_key.len == 24 + 4 ||
		data->enc_key.len == 32 + 4);
}

/* Why an SA can't be: text that says what to do, to be freed, and the reason of the event. NULL: it can. */
static char *sa_misfit(const kernel_ipsec_sa_id_t *id, const kernel_ipsec_add_sa_t *data,
		       const char **reason)
{
	*reason = "algorithm";
	if (id->proto != IPPROTO_ESP)
		return text_of("AH is not done; offer ESP with AES-GCM (aes256gcm16)");
	if (!is_aes_gcm(data))
		return text_of("ESP with %N is not done; offer AES-GCM with an ICV of 16 bytes "
			       "(aes256gcm16, aes192gcm16 or aes128gcm16)",
			       encryption_algorithm_names, data->enc_alg);
	if (data->ipcomp != IPCOMP_NONE)
		return text_of("IPComp is not done; set ipcomp = no");
	if (data->mode != MODE_TUNNEL)
		return text_of("mode %N is not done; offer tunnel mode", ipsec_mode_names,
			       data->mode);
	*reason = "refused";
	if (!id->if_id)
		return text_of(
			"it is of no tunnel of kaido's (no if_id); let kaidod write the connection");
	return NULL;
}

static const char *ike_name(ike_sa_t *ike_sa)
{
	return ike_sa ? ike_sa->get_name(ike_sa) : "?";
}

/* A misfit is one of both directions, so it is told of once. */
static bool sa_fits(struct kaido *kaido, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data,
		    ike_sa_t *ike_sa)
{
	const char *reason;
	char *text = sa_misfit(id, data, &reason);

	if (!text)
		return true;
	if (data->inbound) {
		DBG1(DBG_KNL, "kaido: %s refused: %s", ike_name(ike_sa), text);
		kaido_failure_report(kaido, ike_sa, reason, text);
	}
	free(text);
	return false;
}

/*
 * Who answers lets the peer send by that, so its inbound SA has to be there first. After an outbound SA that follows
 * another one, charon takes the old one away at the peer (or has answered that it does): nothing may be sent with that
 * any more.
 */
static bool is_waited_for(struct kaido *kaido, uint64_t handle, bool inbound)
{
	return inbound || kaido_sa_replaces(kaido->sas, handle);
}

static status_t ipsec_add_sa(kernel_ipsec_t *public, kernel_ipsec_sa_id_t *id,
			     kernel_ipsec_add_sa_t *data)
{
	struct kaido *kaido = kaido_of(public);
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	char *error = NULL;
	uint64_t handle;

	if (!sa_fits(kaido, id, data, ike_sa))
		return NOT_SUPPORTED;
	handle = kaido_sa_add(kaido->sas, id, data->reqid, data->inbound);
	if (!handle) {
		DBG1(DBG_KNL, "kaido: %s has an SA with SPI %.8x already", ike_name(ike_sa),
		     ntohl(id->spi));
		return ALREADY_DONE;
	}
	switch (kaido_rpc_set(kaido->rpc, handle, request_set(handle, id, data, ike_sa),
			      is_waited_for(kaido, handle, data->inbound), &error)) {
	case KAIDO_SET_QUEUED:
		return SUCCESS;
	case KAIDO_SET_REFUSED:
		DBG1(DBG_KNL, "kaido: %s, SPI %.8x: kaidod refuses it: %s", ike_name(ike_sa),
		     ntohl(id->spi), error);
		kaido_failure_report(kaido, ike_sa, "refused", error);
		free(error);
		break;
	case KAIDO_SET_FULL:
		DBG1(DBG_KNL,
		     "kaido: %s, SPI %.8x: %d SAs wait for kaidod already; is it running? "
		     "(charon.plugins.kernel-kaido.queue)",
		     ike_name(ike_sa), ntohl(id->spi), kaido->settings.queue);
		kaido_failure_report(kaido, ike_sa, "refused", "too many SAs wait for kaidod");
		break;
	}
	kaido_sa_remove(kaido->sas, id, NULL);
	return FAILED;
}

static status_t ipsec_update_sa(kernel_ipsec_t *public, kernel_ipsec_sa_id_t *id,
				kernel_ipsec_update_sa_t *data)
{
	struct kaido *kaido = kaido_of(public);
	uint64_t handle;
	bool inbound;

	handle = kaido_sa_move(kaido->sas, id, data->new_dst, data->new_reqid, &inbound);
	if (!handle)
		return NOT_FOUND;
	if (kaido_rpc_update(kaido->rpc, handle, request_update(handle, inbound, data)))
		return SUCCESS;
	DBG1(DBG_KNL, "kaido: SPI %.8x has other ends, but too much waits for kaidod",
	     ntohl(id->spi));
	return FAILED;
}

static status_t ipsec_query_sa(kernel_ipsec_t *public, kernel_ipsec_sa_id_t *id,
			       kernel_ipsec_query_sa_t *data, uint64_t *bytes, uint64_t *packets,
			       time_t *used)
{
	uint64_t n_bytes, n_packets;
	time_t at;

	if (!kaido_sa_usage(kaido_of(public)->sas, id, &n_packets, &n_bytes, &at))
		return NOT_FOUND;
	if (bytes)
		*bytes = n_bytes;
	if (packets)
		*packets = n_packets;
	if (used)
		*used = at;
	return SUCCESS;
}

/* charon deletes what it got an SPI for, too, though nothing was added under it. */
static status_t ipsec_del_sa(kernel_ipsec_t *public, kernel_ipsec_sa_id_t *id,
			     kernel_ipsec_del_sa_t *data)
{
	struct kaido *kaido = kaido_of(public);
	bool inbound = true;
	uint64_t handle = kaido_sa_remove(kaido->sas, id, &inbound);

	if (handle)
		kaido_rpc_delete(kaido->rpc, handle);
	if (inbound)
		kaido_spi_release(kaido->spis, id->spi);
	return SUCCESS;
}

static status_t ipsec_flush_sas(kernel_ipsec_t *public)
{
	struct kaido *kaido = kaido_of(public);

	kaido_sas_flush(kaido->sas);
	kaido_rpc_resync(kaido->rpc);
	return SUCCESS;
}

static bool is_per_cpu(kernel_ipsec_manage_policy_t *data)
{
#ifdef CPU_ID_MAX
	return data->pcpu_acquires;
#else
	return false;
#endif
}

/*
 * Nothing passes a gateway of kaido's but through tunnels, so a policy to drop is held anyway, and one to
 * let something pass in the clear can't be had.
 */
static status_t ipsec_add_policy(kernel_ipsec_t *public, kernel_ipsec_policy_id_t *id,
				 kernel_ipsec_manage_policy_t *data)
{
	switch (data->type) {
	case POLICY_IPSEC:
		return kaido_policy_add(kaido_of(public)->policies, id, data->prio,
					data->sa ? data->sa->reqid : 0, is_per_cpu(data))
			       ? SUCCESS
			       : OUT_OF_RES;
	case POLICY_DROP:
		return SUCCESS;
	default:
		DBG1(DBG_KNL, "kaido: a policy that lets traffic pass without IPsec is not done; "
			      "remove the connection with mode = pass");
		return NOT_SUPPORTED;
	}
}

static status_t ipsec_query_policy(kernel_ipsec_t *public, kernel_ipsec_policy_id_t *id,
				   kernel_ipsec_query_policy_t *data, time_t *used)
{
	struct kaido *kaido = kaido_of(public);
	uint32_t reqid = kaido_policy_reqid(kaido->policies, id);

	if (!reqid)
		return NOT_FOUND;
	*used = kaido_sas_last_use(kaido->sas, reqid, id->dir != POLICY_OUT);
	return SUCCESS;
}

static status_t ipsec_del_policy(kernel_ipsec_t *public, kernel_ipsec_policy_id_t *id,
				 kernel_ipsec_manage_policy_t *data)
{
	if (data->type != POLICY_IPSEC)
		return SUCCESS;
	return kaido_policy_remove(kaido_of(public)->policies, id, data->prio) ? SUCCESS
									       : NOT_FOUND;
}

static status_t ipsec_flush_policies(kernel_ipsec_t *public)
{
	kaido_policies_flush(kaido_of(public)->policies);
	return SUCCESS;
}

/* No policy of the host's kernel is in the way of IKE. */
static bool ipsec_bypass_socket(kernel_ipsec_t *public, int fd, int family)
{
	return TRUE;
}

/* ESP in UDP is taken before it comes to the socket. */
static bool ipsec_enable_udp_decap(kernel_ipsec_t *public, int fd, int family, uint16_t port)
{
	return TRUE;
}

static void ipsec_destroy(kernel_ipsec_t *public)
{
	free((char *)public - offsetof(struct kaido_ipsec, public));
}

static const kernel_ipsec_t methods = {
	.get_features = ipsec_get_features,
	.get_spi = ipsec_get_spi,
	.get_cpi = ipsec_get_cpi,
	.add_sa = ipsec_add_sa,
	.update_sa = ipsec_update_sa,
	.query_sa = ipsec_query_sa,
	.del_sa = ipsec_del_sa,
	.flush_sas = ipsec_flush_sas,
	.add_policy = ipsec_add_policy,
	.query_policy = ipsec_query_policy,
	.del_policy = ipsec_del_policy,
	.flush_policies = ipsec_flush_policies,
	.bypass_socket = ipsec_bypass_socket,
	.enable_udp_decap = ipsec_enable_udp_decap,
	.destroy = ipsec_destroy,
};

kernel_ipsec_t *kaido_ipsec_create(void)
{
	struct kaido_ipsec *ipsec = calloc(1, sizeof(*ipsec));

	if (!ipsec)
		return NULL;
	ipsec->public = methods;
	ipsec->kaido = lib->get(lib, KAIDO_OBJECT);
	ipsec->kaido->has_ipsec = true;
	return &ipsec->public;
}
