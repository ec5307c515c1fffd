/* SPDX-License-Identifier: BSD-3-Clause */
/* `ike` of a tunnel: how its peer is known, and what is negotiated. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "config_parse.h"
#include "config_pem.h"
#include "ike_secrets.h"

#define REKEY_LEAST 300    /* s */
#define REKEY_MOST  604800 /* s, a week */
#define DPD_MOST    3600   /* s */

static const struct secret_kind psk_kind = { 8, SECRET_TEXT_MAX, true, true };
static const struct secret_kind key_kind = { 64, 16384, false, false };

static const char *const names[] = { "psk",   "certificate",   "key",       "ca",
				     "crl",   "local-id",      "remote-id", "start",
				     "eap",   "user",          "password",  "proposals",
				     "rekey", "esp-proposals", "dpd",       "mobike",
				     "peer",  "encapsulation", "per-cpu",   NULL };

/* What other gateways' files and older protocols have. */
bool config_legacy_method(struct config_reader *reader, const json_t *json)
{
	static const char *const members[] = { "auth", "version", "type",       "protocol", "kind",
					       "mode", "eap",     "aggressive", "xauth",    NULL };
	static const char *const legacy[] = { "pptp",     "sstp",      "l2tp",     "l2tp-ipsec",
					      "mppe",     "pap",       "chap",     "mschap",
					      "mschapv1", "ms-chap",   "mschapv2", "xauth",
					      "xauthpsk", "eap-md5",   "md5",      "eap-gtc",
					      "ikev1",    "transport", NULL };
	bool found = false;

	for (const char *const *member = members; *member != NULL; member++) {
		const json_t *value = json_object_get(json, *member);
		const char *text = json_string_value(value);
		bool old = strcmp(*member, "aggressive") == 0 || strcmp(*member, "xauth") == 0;

		for (const char *const *word = legacy; text != NULL && *word != NULL; word++)
			old |= strcasecmp(text, *word) == 0;
		if (strcmp(*member, "eap") == 0 && text != NULL && strcmp(text, "mschapv2") == 0)
			old = false; /* by itself it is what PPP has */
		if (strcmp(*member, "version") == 0)
			old |= json_integer_value(value) == 1;
		if (value == NULL || !old)
			continue;
		reader_error_of(
			reader, *member,
			"is not offered: peers speak IKEv2, with psk, certificates or eap: "
			"mschapv2 or tls, and clients with auth: eap-mschapv2, eap-tls, certificate or psk; "
			"Windows, Apple and Android have that without any further program");
		found = true;
	}
	return found;
}

bool config_files_refuse(struct config_reader *reader, const json_t *json)
{
	static const char *const files[] = { "psk-file", "certificate-file", "key-file", "ca-file",
					     "crl-file", "password-file",    NULL };
	bool found = false;

	for (const char *const *file = files; *file != NULL; file++) {
		if (json_object_get(json, *file) == NULL)
			continue;
		reader_error_of(reader, *file,
				"files are read by kaidoctl: send what is in it as %.*s instead",
				(int)strlen(*file) - 5, *file);
		found = true;
	}
	return found;
}

/* The key as text, if it is new or the certificate is: to be looked at. Freed by sodium_free(). */
static uint8_t *key_open(struct config_context *context, const char *tenant, const char *name,
			 const struct secret *key)
{
	uint8_t *plain = NULL;

	if (secret_is_set(key))
		secret_open(context->vault, tenant, name, "key", "", key, &plain);
	return plain;
}

static void certificates_parse(struct config_context *context, const char *tenant, const char *name,
			       const json_t *json, const struct ike *known, struct ike *ike)
{
	const struct secret_place place = { tenant, name, "key", "" };
	struct config_reader *reader = context->reader;
	const char *id = ike->local_id;
	uint8_t *key;

	ike->certificate = pem_parse(reader, json, "certificate", PEM_CERTIFICATE);
	ike->ca = pem_parse(reader, json, "ca", PEM_CERTIFICATE);
	ike->crl = pem_parse(reader, json, "crl", PEM_CRL);
	config_parse_secret(context, json, "key", &key_kind, &place,
			    known == NULL ? NULL : &known->key, &ike->key);
	if (reader->stored)
		return;
	if (ike->certificate != NULL && json_object_get(json, "key") == NULL)
		reader_error_of(reader, "key", "is missing: give the certificate's private key");
	if (ike->certificate == NULL && json_object_get(json, "certificate") == NULL &&
	    secret_is_set(&ike->key))
		reader_error_of(reader, "key", "belongs to a certificate: give that, too");
	key = key_open(context, tenant, name, &ike->key);
	if (ike_is_eap_client(ike))
		id = ike->auth == IKE_EAP_TLS ? ike->user : NULL;
	pem_check_own(reader, ike->certificate, (const char *)key,
		      ike_is_eap_client(ike) ? "user" : "local-id", id);
	sodium_free(key);
	if (ike->ca != NULL)
		pem_check_ca(reader, ike->ca, ike->crl);
	else if (ike->crl != NULL)
		reader_error_of(reader, "crl", "needs ca, whose list it is");
}

void config_parse_ike_common(struct config_context *context, const char *tenant, const char *name,
			     const json_t *json, const struct ike *known, struct ike *ike)
{
	static const char *const encapsulations[] = { "auto", "udp", NULL };
	struct config_reader *reader = context->reader;

	ike->local_id = config_parse_identity(reader, json, "local-id");
	ike->proposals = config_parse_proposals(reader, json, "proposals", false);
	ike->esp_proposals = config_parse_proposals(reader, json, "esp-proposals", true);
	ike->rekey = (uint32_t)field_integer(reader, json, "rekey", REKEY_LEAST, REKEY_MOST,
					     IKE_REKEY_DEFAULT);
	ike->dpd = (uint32_t)field_integer(reader, json, "dpd", 0, DPD_MOST, IKE_DPD_DEFAULT);
	ike->mobike = field_bool(reader, json, "mobike", true);
	ike->udp = field_choice(reader, json, "encapsulation", encapsulations, 0) == 1;
	certificates_parse(context, tenant, name, json, known, ike);
}

/* One more child of another tunnel's IKE SA has nothing of its own but ESP proposals. */
static void peer_parse(struct config_reader *reader, const json_t *json, struct ike *ike)
{
	static const char *const its[] = { "peer", "esp-proposals", "start", "per-cpu", NULL };
	const char *member;
	json_t *value;

	field_name(reader, json, "peer", ike->peer);
	json_object_foreach ((json_t *)(uintptr_t)json, member, value) {
		bool own = false;

		for (const char *const *name = its; *name != NULL; name++)
			own |= strcmp(member, *name) == 0;
		if (!own)
			reader_error_of(reader, member,
					"is that of the peer's tunnel '%s', whose IKE SA carries "
					"this one: remove it here, or remove peer",
					ike->peer);
	}
	ike->esp_proposals = config_parse_proposals(reader, json, "esp-proposals", true);
}

static void begin_check(struct config_reader *reader, const struct ike *ike,
			const struct tunnel *tunnel)
{
	if (ike->start != IKE_RESPOND && tunnel->remote.family == 0)
		reader_error_of(reader, "start",
				"needs the peer's address: give the tunnel a remote, or leave the "
				"beginning to the peer with start: respond");
}

/* Without EAP. */
static void method_check(struct config_reader *reader, const json_t *json, const struct ike *ike,
			 const struct tunnel *tunnel)
{
	bool psk = json_object_get(json, "psk") != NULL;
	bool certificate = json_object_get(json, "certificate") != NULL;

	if (psk == certificate)
		reader_error(reader, psk ? "has psk and certificate: remove one of them"
					 : "needs psk-file, or certificate-file with key-file and "
					   "ca-file, or eap: how else would the peer be known?");
	if (psk && !certificate && (ike->ca != NULL || ike->crl != NULL))
		reader_error_of(reader, ike->ca != NULL ? "ca" : "crl",
				"belongs to certificates: remove it");
	if (certificate && json_object_get(json, "ca") == NULL)
		reader_error_of(reader, "ca",
				"is missing: give the CA that vouches for the peer's certificate");
	if (certificate && json_object_get(json, "local-id") == NULL)
		reader_error_of(reader, "local-id",
				"is missing: give a subjectAltName of the certificate");
	if (ike->remote_id == NULL && json_object_get(json, "remote-id") == NULL &&
	    (certificate || tunnel->remote.family == 0))
		reader_error_of(reader, "remote-id", "is missing: give the identity of the peer%s",
				certificate ? ", which its certificate has to have"
					    : ", since it may come from anywhere");
}

static const struct ike *known_find(struct config_context *context, const char *tenant,
				    const char *name)
{
	const struct tenant *t =
		context->current == NULL ? NULL : model_tenant(context->current, tenant);
	const struct tunnel *tunnel = t == NULL ? NULL : tenant_tunnel(t, name);

	return tunnel == NULL ? NULL : tunnel->ike;
}

struct ike *config_parse_ike(struct config_context *context, const char *tenant, const json_t *json,
			     const struct tunnel *tunnel)
{
	static const char *const starts[] = { "respond", "start", "trap", NULL };
	const struct secret_place place = { tenant, tunnel->name, "psk", "" };
	const struct ike *known = known_find(context, tenant, tunnel->name);
	struct config_reader *reader = context->reader;
	const json_t *object = json_object_get(json, "ike");
	struct ike *ike;
	size_t mark;
	int start;

	if (object == NULL || json_is_null(object))
		return NULL;
	ike = calloc(1, sizeof(*ike));
	if (ike == NULL) {
		reader->failed = true;
		return NULL;
	}
	ike->references = 1;
	mark = reader_enter(reader, "ike");
	if (config_legacy_method(reader, object) || config_files_refuse(reader, object) ||
	    !fields_check(reader, object, names, NULL))
		goto out;
	start = field_choice(reader, object, "start", starts, 0);
	ike->start = start < 0 ? IKE_RESPOND : (enum ike_start)start;
	ike->per_cpu = field_bool(reader, object, "per-cpu", false);
	if (json_object_get(object, "peer") != NULL) {
		peer_parse(reader, object, ike);
		goto out;
	}
	ike->remote_id = config_parse_identity(reader, object, "remote-id");
	ike->auth = json_object_get(object, "psk") != NULL ? IKE_PSK : IKE_CERTIFICATE;
	config_parse_eap(context, tenant, tunnel->name, object, known, ike);
	config_parse_ike_common(context, tenant, tunnel->name, object, known, ike);
	config_parse_secret(context, object, "psk", &psk_kind, &place,
			    known == NULL ? NULL : &known->psk, &ike->psk);
	if (reader->stored)
		goto out;
	begin_check(reader, ike, tunnel);
	if (json_object_get(object, "eap") != NULL)
		config_check_eap(reader, object, ike);
	else
		method_check(reader, object, ike, tunnel);
out:
	reader_leave(reader, mark);
	return ike;
}
