/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identities of IKE: what both sides call themselves. They are compared as they are, so there are no
 * wildcards; and only forms are taken that charon reads in one way, whatever they contain.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "config_parse.h"

#define FQDN_MAX 253

static bool chars_are(const char *text, size_t length, const char *others)
{
	for (size_t i = 0; i < length; i++) {
		if (!isascii(text[i]) ||
		    (!isalnum((unsigned char)text[i]) && strchr(others, text[i]) == NULL))
			return false;
	}
	return length > 0;
}

static bool is_name(const char *text)
{
	size_t length = strlen(text);

	return length <= FQDN_MAX && chars_are(text, length, ".-_") && text[0] != '.' &&
	       text[0] != '-' && text[length - 1] != '.' && strstr(text, "..") == NULL;
}

static bool is_mail(const char *text)
{
	const char *at = strchr(text, '@');

	return at != NULL && at - text <= 64 && chars_are(text, (size_t)(at - text), "._+-") &&
	       is_name(at + 1);
}

/* "C=JP, O=Acme, CN=gw.acme.example" */
static bool is_distinguished(const char *text)
{
	const char *equals = strchr(text, '=');

	return equals != NULL && chars_are(text, (size_t)(equals - text), ".") &&
	       equals[1] != '\0' && chars_are(text, strlen(text), " .,=_@/'()+&-");
}

static bool is_address(const char *text)
{
	struct abi_address address;

	return address_parse(text, &address) == 0 && address_is_host(&address);
}

bool config_identity_is_valid(const char *text)
{
	/* What looks like an address has to be one. */
	if (strspn(text, "0123456789.") == strlen(text) || strchr(text, ':') != NULL)
		return is_address(text);
	return strlen(text) < IKE_ID_MAX &&
	       (is_name(text) || is_mail(text) || is_distinguished(text));
}

char *config_parse_identity(struct config_reader *reader, const json_t *json, const char *member)
{
	char *text, shown[64];

	if (!field_text(reader, json, member, IKE_ID_MAX - 1, &text) || text == NULL)
		return NULL;
	if (config_identity_is_valid(text))
		return text;
	reader_error_of(reader, member,
			"'%s' is not an identity: give a name such as gw.acme.example, "
			"user@acme.example, an address, or a certificate's subject such as "
			"\"C=JP, O=Acme, CN=gw\"; there are no wildcards",
			text_shown(text, shown));
	free(text);
	return NULL;
}

bool config_user_is_valid(const char *text)
{
	const char *slash = strchr(text, '\\');

	/* DOMAIN\user, as Windows sends it */
	if (slash != NULL)
		return strlen(text) < IKE_ID_MAX &&
		       chars_are(text, (size_t)(slash - text), ".-_") && is_name(slash + 1);
	return config_identity_is_valid(text);
}
