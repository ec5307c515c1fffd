/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <stddef.h>

#include <daemon.h>
#include <encoding/payloads/delete_payload.h>

#include "kaido_creds.h"
#include "kaido_failure.h"
#include "kaido_ike.h"
#include "kaido_listener.h"
#include "kaido_password.h"
#include "kaido_request.h"
#include "kaido_rpc.h"
#include "kaido_text.h"

struct kaido_listener {
	listener_t public;
	struct kaido *kaido;
};

static_assert(offsetof(struct kaido_listener, public) == 0, "charon has the listener's address");

static struct kaido *kaido_of(listener_t *public)
{
	return ((struct kaido_listener *)public)->kaido;
}

/* "established" or "updated"; old_id: of the IKE SA that this one replaces, 0: none. */
static void tell_ike(struct kaido *kaido, const char *kind, ike_sa_t *ike_sa, host_t *local,
		     host_t *remote, uint32_t old_id)
{
	json_t *params =
		json_pack("{s:s, s:o}", "kind", kind, "ike", request_ike(ike_sa, local, remote));

	if (params && old_id)
		json_object_set_new(params, "old_id", json_integer(old_id));
	if (params)
		kaido_rpc_event(kaido->rpc, params);
}

static void tell_as_it_is(struct kaido *kaido, const char *kind, ike_sa_t *ike_sa, uint32_t old_id)
{
	tell_ike(kaido, kind, ike_sa, ike_sa->get_my_host(ike_sa), ike_sa->get_other_host(ike_sa),
		 old_id);
}

static bool on_updown(listener_t *public, ike_sa_t *ike_sa, bool up)
{
	struct kaido *kaido = kaido_of(public);
	const char *reason;

	if (up) {
		kaido_ike_up(kaido->ikes, ike_sa);
		tell_as_it_is(kaido, "established", ike_sa, 0);
		return TRUE;
	}
	reason = kaido_ike_down(kaido->ikes, ike_sa);
	if (reason)
		kaido_rpc_event(kaido->rpc, json_pack("{s:s, s:I, s:s}", "kind", "closed", "id",
						      (json_int_t)ike_sa->get_unique_id(ike_sa),
						      "reason", reason));
	return TRUE;
}

/* Its CHILD SAs are another one's now; the old one ends without another word. */
static bool on_rekey(listener_t *public, ike_sa_t *old, ike_sa_t *new)
{
	struct kaido *kaido = kaido_of(public);

	kaido_ike_up(kaido->ikes, new);
	kaido_ike_down(kaido->ikes, old);
	tell_as_it_is(kaido, "updated", new, old->get_unique_id(old));
	return TRUE;
}

static bool on_update(listener_t *public, ike_sa_t *ike_sa, host_t *local, host_t *remote)
{
	if (ike_sa->get_state(ike_sa) == IKE_ESTABLISHED)
		tell_ike(kaido_of(public), "updated", ike_sa, local, remote, 0);
	return TRUE;
}

static bool on_assign_vips(listener_t *public, ike_sa_t *ike_sa, bool assign)
{
	if (assign && ike_sa->get_state(ike_sa) == IKE_ESTABLISHED)
		tell_as_it_is(kaido_of(public), "updated", ike_sa, 0);
	return TRUE;
}

static bool on_state_change(listener_t *public, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	if (state == IKE_DESTROYING)
		kaido_ike_forget(kaido_of(public)->ikes, ike_sa);
	return TRUE;
}

/* The peer wants the IKE SA deleted: an INFORMATIONAL request with a DELETE that names no SPI (RFC 7296 s. 1.4.1). */
static bool is_delete(message_t *message)
{
	delete_payload_t *payload;

	if (message->get_exchange_type(message) != INFORMATIONAL || !message->get_request(message))
		return false;
	payload = (delete_payload_t *)message->get_payload(message, PLV2_DELETE);
	return payload && payload->get_protocol_id(payload) == PROTO_IKE;
}

/* charon knows no connection between these addresses, and says so to the peer only. */
static bool is_unknown(ike_sa_t *ike_sa, message_t *message)
{
	return message->get_exchange_type(message) == IKE_SA_INIT &&
	       !message->get_request(message) && !ike_sa->get_ike_cfg(ike_sa) &&
	       message->get_notify(message, NO_PROPOSAL_CHOSEN);
}

static bool on_message(listener_t *public, ike_sa_t *ike_sa, message_t *message, bool incoming,
		       bool plain)
{
	struct kaido *kaido = kaido_of(public);

	if (!plain || !ike_sa)
		return TRUE;
	if (incoming && is_delete(message))
		kaido_ike_ending(kaido->ikes, ike_sa, "peer");
	else if (!incoming && is_unknown(ike_sa, message))
		kaido_failure_unknown(kaido, ike_sa, message->get_destination(message));
	switch (password_step(message, incoming)) {
	case PASSWORD_GUESSED:
		kaido_ike_guess(kaido->ikes, ike_sa, false);
		break;
	case PASSWORD_WRONG:
		kaido_failure_guess(kaido, ike_sa);
		break;
	case PASSWORD_NONE:
		break;
	}
	return TRUE;
}

static bool on_alert(listener_t *public, ike_sa_t *ike_sa, alert_t alert, va_list args)
{
	kaido_failure_alert(kaido_of(public), ike_sa, alert, args);
	return TRUE;
}

static bool on_authorize(listener_t *public, ike_sa_t *ike_sa, bool final, bool *success)
{
	if (kaido_creds_locked(kaido_of(public)->creds, ike_sa)) {
		DBG1(DBG_IKE, "kaido: '%Y' is locked out after failed logins; refused",
		     kaido_user_of(ike_sa));
		*success = FALSE;
	}
	return TRUE;
}

struct kaido_listener *kaido_listener_create(struct kaido *kaido)
{
	struct kaido_listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	listener->kaido = kaido;
	listener->public = (listener_t){
		.alert = on_alert,
		.ike_state_change = on_state_change,
		.message = on_message,
		.ike_updown = on_updown,
		.ike_rekey = on_rekey,
		.ike_update = on_update,
		.assign_vips = on_assign_vips,
		.authorize = on_authorize,
	};
	return listener;
}

void kaido_listener_destroy(struct kaido_listener *listener)
{
	free(listener);
}

listener_t *kaido_listener_get(struct kaido_listener *listener)
{
	return &listener->public;
}
