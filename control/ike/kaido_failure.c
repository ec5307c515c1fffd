/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <threading/mutex.h>

#include "kaido_creds.h"
#include "kaido_failure.h"
#include "kaido_ike.h"
#include "kaido_request.h"
#include "kaido_rpc.h"
#include "kaido_text.h"

/* Of events that anybody can cause: at once, and a second. */
#define FLOOD_BURST  50
#define FLOOD_SECOND 10

#define WRONG_TEXT  "the peer's secret, password or certificate is wrong"
#define LOCKED_TEXT "locked out after failed logins"

/* A bucket of events that anybody can cause. */
struct kaido_failures {
	mutex_t *lock;
	time_t filled;
	unsigned int left;
	unsigned int withheld;
};

struct kaido_failures *kaido_failures_create(void)
{
	struct kaido_failures *failures = calloc(1, sizeof(*failures));

	if (!failures)
		return NULL;
	failures->lock = mutex_create(MUTEX_TYPE_DEFAULT);
	failures->left = FLOOD_BURST;
	return failures;
}

void kaido_failures_destroy(struct kaido_failures *failures)
{
	if (!failures)
		return;
	failures->lock->destroy(failures->lock);
	free(failures);
}

/* --- events ---------------------------------------------------------------------------------- */

static void set_id(json_t *params, const char *name, identification_t *id)
{
	if (id && id->get_type(id) != ID_ANY)
		json_object_set_new(params, name, json_id(id));
}

/* remote may be NULL. */
static void failure_send(struct kaido *kaido, ike_sa_t *ike_sa, host_t *remote, const char *reason,
			 const char *text)
{
	json_t *params = json_pack("{s:s, s:s, s:o}", "kind", "failed", "reason", reason, "text",
				   json_text(text));
	identification_t *user;

	if (!params)
		return;
	if (remote) {
		json_object_set_new(params, "remote", json_host(remote));
		json_object_set_new(params, "remote_port", json_integer(remote->get_port(remote)));
	}
	if (ike_sa) {
		if (ike_sa->get_peer_cfg(ike_sa))
			json_object_set_new(params, "name", json_text(ike_sa->get_name(ike_sa)));
		set_id(params, "local_id", ike_sa->get_my_id(ike_sa));
		set_id(params, "remote_id", ike_sa->get_other_id(ike_sa));
		user = kaido_user_of(ike_sa);
		if (user && !user->equals(user, ike_sa->get_other_id(ike_sa)))
			set_id(params, "user", user);
	}
	kaido_rpc_event(kaido->rpc, params);
}

void kaido_failure_report(struct kaido *kaido, ike_sa_t *ike_sa, const char *reason,
			  const char *text)
{
	if (ike_sa && !kaido_ike_first_failure(kaido->ikes, ike_sa))
		return;
	failure_send(kaido, ike_sa, ike_sa ? ike_sa->get_other_host(ike_sa) : NULL, reason, text);
}

/* May one more be told that anybody can cause? *withheld is how many were not, then. */
static bool flood_passes(struct kaido_failures *failures, unsigned int *withheld)
{
	time_t now = time_monotonic(NULL), passed;
	bool passes;

	failures->lock->lock(failures->lock);
	passed = now - failures->filled;
	if (passed > 0) {
		failures->left = passed > FLOOD_BURST / FLOOD_SECOND
					 ? FLOOD_BURST
					 : min(failures->left + (unsigned int)passed * FLOOD_SECOND,
					       FLOOD_BURST);
		failures->filled = now;
	}
	passes = failures->left > 0;
	*withheld = failures->withheld;
	if (passes) {
		failures->left--;
		failures->withheld = 0;
	} else {
		failures->withheld++;
	}
	failures->lock->unlock(failures->lock);
	return passes;
}

static void flood_report(struct kaido *kaido, ike_sa_t *ike_sa, host_t *remote, const char *reason,
			 const char *text)
{
	unsigned int withheld;
	char *more;

	if (ike_sa && !kaido_ike_first_failure(kaido->ikes, ike_sa))
		return;
	if (!flood_passes(kaido->failures, &withheld))
		return;
	if (!withheld) {
		failure_send(kaido, ike_sa, remote, reason, text);
		return;
	}
	more = text_of("%s (and %u failures before it that were not told)", text, withheld);
	failure_send(kaido, ike_sa, remote, reason, more ? more : text);
	free(more);
}

void kaido_failure_unknown(struct kaido *kaido, ike_sa_t *ike_sa, host_t *remote)
{
	flood_report(kaido, ike_sa, remote, "no-config",
		     "no tunnel and no remote access is for these addresses");
}

/* --- alerts ---------------------------------------------------------------------------------- */

/* The peer could not prove who it is. */
static void peer_failed(struct kaido *kaido, ike_sa_t *ike_sa)
{
	const char *certificate = kaido_ike_certificate_of(kaido->ikes, ike_sa);

	if (kaido_ike_guess_is_told(kaido->ikes, ike_sa))
		return;
	if (kaido_creds_locked(kaido->creds, ike_sa))
		kaido_failure_report(kaido, ike_sa, "locked", LOCKED_TEXT);
	else if (certificate)
		kaido_failure_report(
			kaido, ike_sa, certificate,
			"the peer's certificate is not accepted; charon's log says why");
	else if (!ike_sa->get_peer_cfg(ike_sa))
		flood_report(
			kaido, ike_sa, ike_sa->get_other_host(ike_sa), "no-config",
			"no tunnel and no remote access has these identities and this way to log in");
	else
		kaido_failure_report(kaido, ike_sa, "authentication", WRONG_TEXT);
}

void kaido_failure_guess(struct kaido *kaido, ike_sa_t *ike_sa)
{
	bool locked = kaido_creds_locked(kaido->creds, ike_sa);

	kaido_ike_guess(kaido->ikes, ike_sa, true);
	failure_send(kaido, ike_sa, ike_sa->get_other_host(ike_sa),
		     locked ? "locked" : "authentication", locked ? LOCKED_TEXT : WRONG_TEXT);
}

/* What an alert about an IKE SA says of it. */
enum meaning {
	MEANS_CERTIFICATE, /* its peer's was rejected; whether that matters is seen later */
	MEANS_FAILED,      /* and only who has logged in, or this gateway, can cause it */
	MEANS_FLOOD,       /* and anybody can */
	MEANS_ENDING,      /* it will go */
};

static const struct {
	alert_t alert;
	enum meaning meaning;
	const char *reason;
	const char *text;
} alerts[] = {
	{ ALERT_CERT_EXPIRED, MEANS_CERTIFICATE, "certificate-expired", NULL },
	{ ALERT_CERT_REVOKED, MEANS_CERTIFICATE, "certificate-revoked", NULL },
	{ ALERT_CERT_VALIDATION_FAILED, MEANS_CERTIFICATE, "certificate", NULL },
	{ ALERT_CERT_NO_ISSUER, MEANS_CERTIFICATE, "certificate", NULL },
	{ ALERT_CERT_UNTRUSTED_ROOT, MEANS_CERTIFICATE, "certificate", NULL },
	{ ALERT_CERT_EXCEEDED_PATH_LEN, MEANS_CERTIFICATE, "certificate", NULL },
	{ ALERT_CERT_POLICY_VIOLATION, MEANS_CERTIFICATE, "certificate", NULL },
	{ ALERT_AUTHORIZATION_FAILED, MEANS_FAILED, "locked", LOCKED_TEXT },
	{ ALERT_LOCAL_AUTH_FAILED, MEANS_FAILED, "refused",
	  "the peer does not accept this gateway's secret or certificate" },
	{ ALERT_PROPOSAL_MISMATCH_IKE, MEANS_FLOOD, "proposal",
	  "no proposal for the IKE SA is common to both sides" },
	{ ALERT_PROPOSAL_MISMATCH_CHILD, MEANS_FAILED, "proposal",
	  "no proposal for ESP is common to both sides; offer AES-GCM with an ICV of 16 bytes" },
	{ ALERT_TS_MISMATCH, MEANS_FAILED, "selectors",
	  "the networks that the peer wants are not those of the tunnel" },
	{ ALERT_VIP_FAILURE, MEANS_FAILED, "refused", "the pool has no address left" },
	{ ALERT_UNIQUE_KEEP, MEANS_FAILED, "refused",
	  "the peer has a connection already, which is kept" },
	{ ALERT_PEER_ADDR_FAILED, MEANS_FAILED, "timeout", "the peer's address is not known" },
	{ ALERT_PEER_INIT_UNREACHABLE, MEANS_FAILED, "timeout", "the peer does not answer" },
	{ ALERT_RETRANSMIT_SEND_TIMEOUT, MEANS_ENDING, "timeout", NULL },
	{ ALERT_UNIQUE_REPLACE, MEANS_ENDING, "replaced", NULL },
	{ ALERT_IKE_SA_EXPIRED, MEANS_ENDING, "expired", NULL },
};

static void ike_alert(struct kaido *kaido, ike_sa_t *ike_sa, size_t i)
{
	switch (alerts[i].meaning) {
	case MEANS_CERTIFICATE:
		kaido_ike_certificate(kaido->ikes, ike_sa, alerts[i].reason);
		break;
	case MEANS_FAILED:
		kaido_failure_report(kaido, ike_sa, alerts[i].reason, alerts[i].text);
		break;
	case MEANS_FLOOD:
		flood_report(kaido, ike_sa, ike_sa->get_other_host(ike_sa), alerts[i].reason,
			     alerts[i].text);
		break;
	case MEANS_ENDING:
		kaido_ike_ending(kaido->ikes, ike_sa, alerts[i].reason);
		break;
	}
}

/* One that was told that its password is wrong has just gone away. */
static void half_open(struct kaido *kaido, ike_sa_t *ike_sa)
{
	if (!kaido_ike_guess_is_told(kaido->ikes, ike_sa))
		flood_report(kaido, ike_sa, ike_sa->get_other_host(ike_sa), "half-open",
			     "the peer began and did not go on");
}

void kaido_failure_alert(struct kaido *kaido, ike_sa_t *ike_sa, alert_t alert, va_list args)
{
	message_t *message;
	size_t i;

	if (alert == ALERT_PARSE_ERROR_HEADER || alert == ALERT_PARSE_ERROR_BODY) {
		message = va_arg(args, message_t *);
		flood_report(kaido, NULL, message->get_source(message), "malformed",
			     "an IKE message that can't be read");
	} else if (ike_sa && alert == ALERT_PEER_AUTH_FAILED) {
		peer_failed(kaido, ike_sa);
	} else if (ike_sa && alert == ALERT_HALF_OPEN_TIMEOUT) {
		half_open(kaido, ike_sa);
	} else if (ike_sa) {
		for (i = 0; i < countof(alerts); i++) {
			if (alerts[i].alert == alert)
				ike_alert(kaido, ike_sa, i);
		}
	}
}
