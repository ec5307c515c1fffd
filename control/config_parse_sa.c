/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parse.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#define SPI_LEAST      256 /* 1 .. 255 are reserved, RFC 4303 section 2.1 */
#define WINDOW_MOST    4096
#define WINDOW_DEFAULT 1024

static const char *const names[] = { "direction", "spi",         "key",      "salt", "esn",
				     "window",    "fingerprint", "lifetime", NULL };
static const char *const stored_names[] = { "id", "digest", "sealed", "key-bits", NULL };

const char *config_fingerprint(const struct sa *sa, char text[CONFIG_FINGERPRINT_LEN])
{
	return sodium_bin2hex(text, CONFIG_FINGERPRINT_LEN, sa->digest, 8);
}

bool config_foreign_fields(struct config_reader *reader, const json_t *json)
{
	static const char *const foreign[] = { "algorithm", "cipher",    "encryption", "encr",
					       "enc",       "integrity", "auth",       "auth-key",
					       "hash",      "hmac",      "transform",  "proposal",
					       "protocol",  "type",      "kind",       "mode",
					       NULL };
	bool found = false;

	for (const char *const *name = foreign; *name != NULL; name++) {
		if (json_object_get(json, *name) == NULL)
			continue;
		reader_error_of(
			reader, *name,
			"tunnels use AES-GCM with a 16-byte ICV and nothing else: remove this, and "
			"give each SA an AES-GCM key of 128, 192 or 256 bits and its salt");
		found = true;
	}
	return found;
}

/* A key that the gateway already has under this tunnel, direction and SPI. */
static bool key_keep(struct config_context *context, const char *tenant, const char *tunnel,
		     const json_t *json, struct sa *sa)
{
	const struct tenant *t = model_tenant(context->current, tenant);
	const struct tunnel *u = t == NULL ? NULL : tenant_tunnel(t, tunnel);
	const struct sa *known = u == NULL ? NULL : tunnel_sa(u, sa->direction, sa->spi);
	const char *wanted = json_string_value(json_object_get(json, "fingerprint"));
	char fingerprint[CONFIG_FINGERPRINT_LEN];

	if (known == NULL) {
		reader_error_of(
			context->reader, "key",
			"'set' keeps a key that is there, but this SA is new: give its key");
		return false;
	}
	if (wanted != NULL && strcmp(wanted, config_fingerprint(known, fingerprint)) != 0) {
		reader_error_of(context->reader, "fingerprint",
				"is not that of the key in use: give the key itself");
		return false;
	}
	sa->key_len = known->key_len;
	memcpy(sa->digest, known->digest, sizeof(sa->digest));
	memcpy(sa->sealed, known->sealed, sizeof(sa->sealed));
	return true;
}

/* Key and salt (36 bytes at most) into `secret`; returns the length of the key or -1. */
static int secret_parse(struct config_reader *reader, const json_t *json, uint8_t *secret)
{
	int key_len = field_hex(reader, json, "key", secret, MODEL_KEY_MAX);
	uint8_t salt[4];
	int salt_len;

	if (key_len == 0)
		reader_error_of(reader, "key",
				"is missing: give 16, 24 or 32 bytes in hexadecimal");
	if (key_len <= 0)
		return -1;
	if (json_object_get(json, "salt") == NULL &&
	    (key_len == 20 || key_len == 28 || key_len == 36))
		return key_len - 4; /* key and salt as one number, as in a key-file */
	if (key_len != 16 && key_len != 24 && key_len != 32) {
		reader_error_of(reader, "key",
				"has %d bytes; AES-GCM takes 16, 24 or 32 (and a salt of 4)",
				key_len);
		return -1;
	}
	salt_len = field_hex(reader, json, "salt", salt, sizeof(salt));
	if (salt_len != (int)sizeof(salt)) {
		if (salt_len >= 0)
			reader_error_of(reader, "salt", "%s: give 4 bytes, 8 hexadecimal digits",
					salt_len == 0 ? "is missing" : "is too short");
		return -1;
	}
	memcpy(secret + key_len, salt, sizeof(salt));
	sodium_memzero(salt, sizeof(salt));
	return key_len;
}

static bool key_parse(struct config_context *context, const char *tenant, const char *tunnel,
		      const json_t *json, struct sa *sa)
{
	const char *text = json_string_value(json_object_get(json, "key"));
	uint8_t identity[MODEL_IDENTITY_MAX];
	uint8_t secret[MODEL_KEY_MAX];
	int key_len;

	if (text != NULL && strcmp(text, "set") == 0)
		return key_keep(context, tenant, tunnel, json, sa);
	key_len = secret_parse(context->reader, json, secret);
	if (key_len < 0) {
		sodium_memzero(secret, sizeof(secret));
		return false;
	}
	sa->key_len = (uint8_t)key_len;
	vault_digest(context->vault, VAULT_KEY_DIGEST, secret, (size_t)key_len + 4, sa->digest);
	vault_seal(context->vault, identity, sa_identity(tenant, tunnel, sa, identity), secret,
		   (size_t)key_len + 4, sa->sealed);
	sodium_memzero(secret, sizeof(secret));
	return true;
}

static void stored_parse(struct config_reader *reader, const json_t *json, struct sa *sa)
{
	sa->id = (uint32_t)field_integer(reader, json, "id", 1, UINT32_MAX - 1, 0);
	sa->key_len = (uint8_t)(field_integer(reader, json, "key-bits", 128, 256, 128) / 8);
	if (field_hex(reader, json, "digest", sa->digest, sizeof(sa->digest)) !=
		    (int)sizeof(sa->digest) ||
	    field_hex(reader, json, "sealed", sa->sealed, sizeof(sa->sealed)) !=
		    (int)sa_sealed_size(sa))
		reader_error(reader, "the stored SA is damaged");
}

bool config_parse_sa(struct config_context *context, const char *tenant, const char *tunnel,
		     const json_t *json, struct sa *sa)
{
	static const char *const directions[] = { "in", "out", NULL };
	struct config_reader *reader = context->reader;
	size_t errors = reader->n_errors;
	int direction;

	memset(sa, 0, sizeof(*sa));
	if (config_foreign_fields(reader, json))
		return false;
	if (json_object_get(json, "key-file") != NULL) {
		reader_error_of(reader, "key-file",
				"files are read by kaidoctl: send key and salt instead");
		return false;
	}
	if (!fields_check(reader, json, names, stored_names))
		return false;
	direction = field_choice(reader, json, "direction", directions, -1);
	if (json_object_get(json, "direction") == NULL)
		reader_error_of(reader, "direction", "is missing: in or out");
	sa->direction = direction == 1 ? ABI_SA_OUT : ABI_SA_IN;
	if (json_object_get(json, "spi") == NULL)
		reader_error_of(reader, "spi", "is missing: a number not below %d", SPI_LEAST);
	sa->spi = (uint32_t)field_integer(reader, json, "spi", SPI_LEAST, UINT32_MAX, 0);
	sa->esn = field_bool(reader, json, "esn", true);
	if (sa->direction == ABI_SA_IN)
		sa->window = (uint32_t)field_integer(reader, json, "window", 0, WINDOW_MOST,
						     WINDOW_DEFAULT);
	else if (json_object_get(json, "window") != NULL && direction == 1)
		reader_error_of(reader, "window",
				"is the receiver's: remove it from an outbound SA");
	sa->own_lifetime = config_parse_lifetime(reader, json, &sa->lifetime);
	if (reader->stored)
		stored_parse(reader, json, sa);
	else if (direction >= 0)
		key_parse(context, tenant, tunnel, json, sa);
	return reader->n_errors == errors;
}
