/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `ike` of a tunnel with `eap`: who begins logs in as a user, and the other side proves by certificate who
 * it is (RFC 7296 section 2.16). So `start` says which of the two the gateway is.
 */
#include <stdlib.h>
#include <string.h>

#include "config_parse.h"

void config_parse_eap(struct config_context *context, const char *tenant, const char *name,
		      const json_t *json, const struct ike *known, struct ike *ike)
{
	static const char *const methods[] = { "mschapv2", "tls", NULL };
	static const char *const members[] = { "user", "password", NULL };
	struct secret_place place = { tenant, name, "password", "" };
	struct config_reader *reader = context->reader;
	int method = field_choice(reader, json, "eap", methods, -1);
	bool same;
	char shown[64];

	if (json_object_get(json, "eap") == NULL) {
		for (const char *const *its = members; *its != NULL; its++) {
			if (json_object_get(json, *its) != NULL && !reader->stored)
				reader_error_of(reader, *its,
						"belongs to EAP: give eap: mschapv2 or tls, too, "
						"or remove it");
		}
		return;
	}
	ike->auth = method == 1 ? IKE_EAP_TLS : IKE_EAP_MSCHAPV2;
	if (!field_text(reader, json, "user", IKE_ID_MAX - 1, &ike->user))
		return;
	if (ike->user != NULL && !config_user_is_valid(ike->user)) {
		reader_error_of(reader, "user",
				"'%s' is no name of a user: give one such as branch-1, "
				"branch-1@acme.example or ACME\\branch-1",
				text_shown(ike->user, shown));
		return;
	}
	if (ike->user == NULL)
		return;
	place.user = ike->user;
	same = known != NULL && known->user != NULL && strcmp(known->user, ike->user) == 0;
	config_parse_secret(context, json, "password", &config_password_kind, &place,
			    same ? &known->password : NULL, &ike->password);
}

static bool is_there(const json_t *json, const char *member)
{
	return json_object_get(json, member) != NULL;
}

/* Whose name in IKE is not given has that by which it logs in, if that can be one. */
static void identity_check(struct config_reader *reader, const json_t *json, const struct ike *ike,
			   const char *member)
{
	char shown[64];

	if (!is_there(json, member) && ike->user != NULL && config_user_is_valid(ike->user) &&
	    !config_identity_is_valid(ike->user))
		reader_error_of(reader, member,
				"is missing: '%s' can't stand for it, give the name by which that "
				"side calls itself in IKE",
				text_shown(ike->user, shown));
}

/* The gateway begins. */
static void client_check(struct config_reader *reader, const json_t *json, const struct ike *ike)
{
	if (!is_there(json, "ca"))
		reader_error_of(reader, "ca",
				"is missing: where the gateway begins it logs in, and only to a "
				"peer whose certificate this CA vouches for");
	if (!is_there(json, "remote-id"))
		reader_error_of(reader, "remote-id",
				"is missing: give the identity of the peer, which its certificate "
				"has to have");
	identity_check(reader, json, ike, "local-id");
	if (ike->auth == IKE_EAP_TLS && !is_there(json, "certificate"))
		reader_error_of(reader, "certificate",
				"is missing: with eap: tls the gateway logs in by certificate-file "
				"and key-file");
	if (ike->auth == IKE_EAP_MSCHAPV2 && is_there(json, "certificate"))
		reader_error_of(reader, "certificate",
				"is not used: where the gateway begins it logs in by user and "
				"password; remove it, or let the peer begin with start: respond");
}

/* The peer begins. */
static void server_check(struct config_reader *reader, const json_t *json, const struct ike *ike)
{
	if (!is_there(json, "certificate"))
		reader_error_of(reader, "certificate",
				"is missing: where the peer begins it logs in, and the gateway "
				"proves by certificate-file and key-file who it is; should the "
				"gateway log in, give start: start or trap");
	if (!is_there(json, "local-id"))
		reader_error_of(reader, "local-id",
				"is missing: give a subjectAltName of the certificate");
	identity_check(reader, json, ike, "remote-id");
	if (ike->auth == IKE_EAP_TLS && !is_there(json, "ca"))
		reader_error_of(reader, "ca",
				"is missing: give the CA that vouches for the peer's certificate");
	if (ike->auth == IKE_EAP_MSCHAPV2 && is_there(json, "ca"))
		reader_error_of(reader, "ca",
				"is not used: where the peer begins it logs in by user and "
				"password; remove it");
}

void config_check_eap(struct config_reader *reader, const json_t *json, const struct ike *ike)
{
	if (is_there(json, "psk"))
		reader_error_of(reader, "psk",
				"is another way to prove who one is than eap: remove "
				"one of them");
	if (!is_there(json, "user"))
		reader_error_of(reader, "user", "is missing: give the name by which %s logs in%s",
				ike_is_eap_client(ike) ? "the gateway" : "the peer",
				ike->auth == IKE_EAP_TLS ? ", a subjectAltName of its certificate"
							 : "");
	if (ike->auth == IKE_EAP_MSCHAPV2 && !is_there(json, "password"))
		reader_error_of(reader, "password", "is missing: give password-file");
	if (ike->auth == IKE_EAP_TLS && is_there(json, "password"))
		reader_error_of(reader, "password",
				"is not asked for with eap: tls: remove it, or choose mschapv2");
	if (ike_is_eap_client(ike))
		client_check(reader, json, ike);
	else
		server_check(reader, json, ike);
}
