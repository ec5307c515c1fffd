/* SPDX-License-Identifier: BSD-3-Clause */
/* Proposals, written as strongSwan writes them: "aes256gcm16-prfsha384-ecp384". */
#include <stdlib.h>
#include <string.h>

#include "config_parse.h"

#define PROPOSALS_MAX 8
#define PROPOSAL_MAX  400 /* characters */

/* What may stand in a proposal; ESP takes ciphers marked so, and groups. */
enum token { TOKEN_AEAD, TOKEN_CIPHER, TOKEN_HASH, TOKEN_PRF, TOKEN_GROUP, TOKEN_ESN };

static const struct {
	const char *name;
	enum token token;
} tokens[] = {
	{ "aes128gcm16", TOKEN_AEAD },  { "aes192gcm16", TOKEN_AEAD },
	{ "aes256gcm16", TOKEN_AEAD },  { "aes128gcm128", TOKEN_AEAD },
	{ "aes192gcm128", TOKEN_AEAD }, { "aes256gcm128", TOKEN_AEAD },
	{ "aes128", TOKEN_CIPHER },     { "aes192", TOKEN_CIPHER },
	{ "aes256", TOKEN_CIPHER },     { "aes128ctr", TOKEN_CIPHER },
	{ "aes256ctr", TOKEN_CIPHER },  { "sha256", TOKEN_HASH },
	{ "sha384", TOKEN_HASH },       { "sha512", TOKEN_HASH },
	{ "prfsha256", TOKEN_PRF },     { "prfsha384", TOKEN_PRF },
	{ "prfsha512", TOKEN_PRF },     { "modp2048", TOKEN_GROUP },
	{ "modp3072", TOKEN_GROUP },    { "modp4096", TOKEN_GROUP },
	{ "modp6144", TOKEN_GROUP },    { "modp8192", TOKEN_GROUP },
	{ "ecp256", TOKEN_GROUP },      { "ecp384", TOKEN_GROUP },
	{ "ecp521", TOKEN_GROUP },      { "x25519", TOKEN_GROUP },
	{ "curve25519", TOKEN_GROUP },  { "x448", TOKEN_GROUP },
	{ "curve448", TOKEN_GROUP },    { "esn", TOKEN_ESN },
	{ "noesn", TOKEN_ESN },
};

/* What is no longer, or never was, safe; with the word to use in its place. */
static const struct {
	const char *begin;
	const char *instead;
} legacy[] = {
	{ "3des", "aes256" },         { "des", "aes256" },        { "null", "aes256gcm16" },
	{ "blowfish", "aes256" },     { "cast", "aes256" },       { "rc4", "aes256" },
	{ "camellia", "aes256" },     { "md5", "sha256" },        { "sha1", "sha256" },
	{ "sha", "sha256" },          { "prfmd5", "prfsha256" },  { "prfsha1", "prfsha256" },
	{ "modp768", "modp2048" },    { "modp1024", "modp2048" }, { "modp1536", "modp2048" },
	{ "modp1024s160", "ecp256" }, { "aesxcbc", "sha256" },    { "modpnull", "modp2048" },
};

static int token_find(const char *text, size_t length)
{
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		if (strlen(tokens[i].name) == length && strncmp(tokens[i].name, text, length) == 0)
			return (int)tokens[i].token;
	}
	return -1;
}

static void token_refuse(struct config_reader *reader, const char *text, size_t length, bool esp)
{
	char word[64];

	if (length >= sizeof(word))
		length = sizeof(word) - 1;
	memcpy(word, text, length);
	word[length] = '\0';
	for (size_t i = 0; i < sizeof(legacy) / sizeof(legacy[0]); i++) {
		if (strcmp(word, legacy[i].begin) != 0)
			continue;
		reader_error(reader, "%s is not offered, it is not safe: use %s", word,
			     esp ? "aes256gcm16 or aes128gcm16" : legacy[i].instead);
		return;
	}
	if (esp)
		reader_error(reader,
			     "'%s' is not for ESP here: tunnels use AES-GCM with a 16-byte ICV and "
			     "nothing else, write aes256gcm16, aes192gcm16 or aes128gcm16, with a "
			     "group such as x25519 or ecp384 behind it",
			     text_shown(word, (char[64]){ 0 }));
	else
		reader_error(reader,
			     "'%s' is not known: write a cipher (aes256gcm16, aes128gcm16, aes256, "
			     "aes128), sha256, sha384 or sha512 (behind GCM prfsha256 ...), and a "
			     "group (x25519, ecp256, ecp384, modp2048 ...)",
			     text_shown(word, (char[64]){ 0 }));
}

/* Returns a bit for each kind of token that is in it; 0: a mistake was told. */
static unsigned int tokens_read(struct config_reader *reader, const char *text, bool esp)
{
	unsigned int seen = 0;

	while (*text != '\0') {
		size_t length = strcspn(text, "-");
		int token = token_find(text, length);
		bool fits =
			token == TOKEN_AEAD || token == TOKEN_GROUP || (token == TOKEN_ESN) == esp;

		if (token < 0 || !fits || (esp && token == TOKEN_CIPHER)) {
			token_refuse(reader, text, length, esp);
			return 0;
		}
		seen |= 1u << (unsigned int)token;
		text += length;
		if (*text == '-' && text[1] == '\0') {
			reader_error(reader, "ends with '-': remove it");
			return 0;
		}
		text += *text == '-';
	}
	return seen;
}

static bool proposal_check(struct config_reader *reader, const char *text, bool esp)
{
	const unsigned int aead = 1u << TOKEN_AEAD, cipher = 1u << TOKEN_CIPHER;
	const unsigned int prf = 1u << TOKEN_PRF, hash = 1u << TOKEN_HASH;
	unsigned int seen;

	if (text[0] == '\0' || strlen(text) > PROPOSAL_MAX) {
		reader_error(reader, "must have 1 to %d characters", PROPOSAL_MAX);
		return false;
	}
	seen = tokens_read(reader, text, esp);
	if (seen == 0)
		return false;
	if (esp && (seen & aead) == 0)
		reader_error(reader, "has no cipher: put aes256gcm16 or aes128gcm16 before it");
	else if (!esp && ((seen & (aead | cipher)) == 0 || (seen & 1u << TOKEN_GROUP) == 0))
		reader_error(reader, "needs a cipher and a group, such as "
				     "aes256gcm16-prfsha384-ecp384");
	else if ((seen & aead) != 0 && (seen & cipher) != 0)
		reader_error(reader, "has GCM and other ciphers: write a proposal for each");
	else if (!esp && (seen & cipher) != 0 && (seen & hash) == 0)
		reader_error(reader, "needs sha256, sha384 or sha512 beside this cipher");
	else if (!esp && (seen & aead) != 0 && (seen & prf) == 0)
		reader_error(reader, "needs prfsha256, prfsha384 or prfsha512 beside GCM");
	else if (!esp && (seen & aead) != 0 && (seen & hash) != 0)
		reader_error(reader, "has GCM, which needs no hash: write prfsha256 or the like");
	else
		return true;
	return false;
}

static void append(struct config_reader *reader, char **list, const char *text)
{
	size_t before = *list == NULL ? 0 : strlen(*list) + 1;
	char *bigger = realloc(*list, before + strlen(text) + 1);

	if (bigger == NULL) {
		reader->failed = true;
		return;
	}
	if (before > 0)
		bigger[before - 1] = ',';
	memcpy(bigger + before, text, strlen(text) + 1);
	*list = bigger;
}

char *config_parse_proposals(struct config_reader *reader, const json_t *json, const char *member,
			     bool esp)
{
	json_t *list = field_array(reader, json, member), *element;
	char *proposals = NULL;
	size_t mark, inner, i;

	if (list == NULL)
		return NULL;
	mark = reader_enter(reader, member);
	if (json_array_size(list) > PROPOSALS_MAX)
		reader_error(reader, "has %zu; at most %d are allowed", json_array_size(list),
			     PROPOSALS_MAX);
	json_array_foreach (list, i, element) {
		const char *text = json_string_value(element);

		inner = reader_enter_index(reader, i);
		if (text == NULL)
			reader_error(reader, "must be text such as aes256gcm16-x25519");
		else if (reader->stored || proposal_check(reader, text, esp))
			append(reader, &proposals, text);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
	return proposals;
}

json_t *config_render_proposals(const char *proposals)
{
	json_t *list = json_array();

	while (proposals != NULL && *proposals != '\0') {
		size_t length = strcspn(proposals, ",");

		json_array_append_new(list, json_stringn(proposals, length));
		proposals += length + (proposals[length] == ',');
	}
	return list;
}
