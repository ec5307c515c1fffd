/* SPDX-License-Identifier: BSD-3-Clause */
#include "yaml_scalar.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool yaml_member_is_text(const char *key)
{
	static const char *const text[] = { "key",      "salt",      "name",     "label",
					    "mac",      "psk",       "password", "service-code",
					    "local-id", "remote-id", "user" };
	size_t i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		if (strcmp(key, text[i]) == 0)
			return true;
	return false;
}

/* Decimal without leading zeros, or 0x; a sign only before decimal. */
static bool is_number(const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return text[2] != '\0' &&
		       strspn(text + 2, "0123456789abcdefABCDEF") == strlen(text + 2);
	return *digits != '\0' && strspn(digits, "0123456789") == strlen(digits) &&
	       (*digits != '0' || digits[1] == '\0');
}

json_t *yaml_scalar_value(const char *text, size_t len)
{
	long long number;

	if (strlen(text) != len)
		return NULL;
	if (len == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)
		return json_null();
	if (strcmp(text, "true") == 0)
		return json_true();
	if (strcmp(text, "false") == 0)
		return json_false();
	if (!is_number(text))
		return json_stringn(text, len);
	errno = 0;
	number = strtoll(text, NULL, 0);
	return errno == 0 ? json_integer(number) : NULL;
}
