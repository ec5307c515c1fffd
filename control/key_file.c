/* SPDX-License-Identifier: BSD-3-Clause */
#include "key_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#define FILE_MAX    262144 /* bytes */
#define SALT_DIGITS 8
#define POINTER_MAX 512

/* What a file becomes, in the member without "-file". */
enum content {
	CONTENT_KEY,  /* of an SA: key and salt in hexadecimal; else a private key, PEM */
	CONTENT_LINE, /* text without the end of its line */
	CONTENT_CERTIFICATE,
	CONTENT_CRL,
};

static const struct file_member {
	const char *name;
	const char *becomes;
	enum content content;
} file_members[] = {
	{ "key-file", "key", CONTENT_KEY },
	{ "psk-file", "psk", CONTENT_LINE },
	{ "password-file", "password", CONTENT_LINE },
	{ "certificate-file", "certificate", CONTENT_CERTIFICATE },
	{ "ca-file", "ca", CONTENT_CERTIFICATE },
	{ "crl-file", "crl", CONTENT_CRL },
};

struct resolver {
	const char *base;
	const char *what; /* the file is for: "key" */
	key_file_report report;
	void *context;
	size_t failed;
	bool stdin_used;
	char pointer[POINTER_MAX];
	char text[320];
};

static void wiped_free(void *memory)
{
	if (memory != NULL)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

void key_file_wipe_json(void)
{
	json_set_alloc_funcs(malloc, wiped_free);
}

static int complain(struct resolver *resolver, const char *file, const char *why)
{
	snprintf(resolver->text, sizeof(resolver->text), "%s file %.160s: %.120s", resolver->what,
		 file, why);
	resolver->report(resolver->context, resolver->pointer, 1, resolver->text);
	resolver->failed++;
	return -EINVAL;
}

static int file_open(struct resolver *resolver, const char *file, bool secret)
{
	char path[4096];
	struct stat st;
	int fd, n;

	if (strcmp(file, "-") == 0) {
		if (resolver->stdin_used)
			return complain(resolver, file, "standard input can be read only once");
		resolver->stdin_used = true;
		return dup(STDIN_FILENO);
	}
	n = snprintf(path, sizeof(path), "%s%s%s", file[0] == '/' ? "" : resolver->base,
		     file[0] == '/' ? "" : "/", file);
	if (n < 0 || (size_t)n >= sizeof(path))
		return complain(resolver, file, "the name is too long");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return complain(resolver, file, strerror(errno));
	if (secret && fstat(fd, &st) == 0 && (st.st_mode & 077) != 0 && S_ISREG(st.st_mode)) {
		snprintf(resolver->text, sizeof(resolver->text),
			 "%s file %.160s may be read or written by others; chmod 600 it",
			 resolver->what, file);
		resolver->report(resolver->context, resolver->pointer, 0, resolver->text);
	}
	fcntl(fd, F_SETFL, 0);
	return fd;
}

/* The hexadecimal digits in `text` to its front. Returns how many, or -1. */
static ssize_t digits_pack(char *text, size_t len)
{
	size_t n = 0, i = 0;

	while (i < len && isspace((unsigned char)text[i]))
		i++;
	if (i + 1 < len && text[i] == '0' && (text[i + 1] | 0x20) == 'x')
		i += 2;
	for (; i < len; i++) {
		if (isxdigit((unsigned char)text[i]))
			text[n++] = text[i];
		else if (!isspace((unsigned char)text[i]))
			return -1;
	}
	return (ssize_t)n;
}

static int sa_fill(struct resolver *resolver, json_t *sa, const char *file, char *text, size_t len)
{
	ssize_t digits = digits_pack(text, len);
	size_t key;

	if (digits < 0)
		return complain(resolver, file, "holds something else than hexadecimal digits");
	if (digits != 40 && digits != 56 && digits != 72)
		return complain(resolver, file,
				"a key of 16, 24 or 32 bytes and a salt of 4 make 40, 56 or 72 "
				"hexadecimal digits; it has another number");
	key = (size_t)digits - SALT_DIGITS;
	if (json_object_set_new(sa, "key", json_stringn(text, key)) < 0 ||
	    json_object_set_new(sa, "salt", json_stringn(text + key, SALT_DIGITS)) < 0)
		return complain(resolver, file, "out of memory");
	return 0;
}

static bool is_sa(const json_t *object)
{
	return json_object_get(object, "spi") != NULL ||
	       json_object_get(object, "direction") != NULL;
}

static int member_set(struct resolver *resolver, json_t *object, const char *member,
		      const char *file, const char *text, size_t len)
{
	if (memchr(text, '\0', len) != NULL)
		return complain(resolver, file, "holds a zero byte: it is no text");
	if (json_object_set_new(object, member, json_stringn(text, len)) < 0)
		return complain(resolver, file, "is not text in UTF-8");
	return 0;
}

/* Certificates are often kept as DER: base64 between two lines makes PEM of it. */
static int der_fill(struct resolver *resolver, json_t *object, const struct file_member *member,
		    const char *file, const char *der, size_t len)
{
	const char *label = member->content == CONTENT_CRL ? "X509 CRL" : "CERTIFICATE";
	size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	char *base64 = malloc(room), *pem = NULL;
	size_t lines = room / 64 + 1, used;
	int ret = -ENOMEM;

	if (base64 != NULL)
		pem = malloc(room + lines + 128);
	if (pem == NULL)
		goto out;
	sodium_bin2base64(base64, room, (const unsigned char *)der, len,
			  sodium_base64_VARIANT_ORIGINAL);
	used = (size_t)snprintf(pem, 64, "-----BEGIN %s-----\n", label);
	for (size_t at = 0; base64[at] != '\0'; at += strnlen(base64 + at, 64))
		used += (size_t)snprintf(pem + used, 66, "%.64s\n", base64 + at);
	used += (size_t)snprintf(pem + used, 64, "-----END %s-----\n", label);
	ret = member_set(resolver, object, member->becomes, file, pem, used);
out:
	free(pem);
	free(base64);
	return ret == -ENOMEM ? complain(resolver, file, "out of memory") : ret;
}

static int content_fill(struct resolver *resolver, json_t *object, const struct file_member *member,
			const char *file, char *text, size_t len)
{
	bool der =
		(unsigned char)text[0] == 0x30 && len > 2 && ((unsigned char)text[1] & 0x80) != 0;

	switch (member->content) {
	case CONTENT_KEY:
		if (is_sa(object))
			return sa_fill(resolver, object, file, text, len);
		if (memmem(text, len, "-----BEGIN", 10) == NULL)
			return complain(
				resolver, file,
				"holds no private key in PEM (-----BEGIN PRIVATE KEY-----)");
		break;
	case CONTENT_LINE:
		while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
			len--;
		break;
	case CONTENT_CERTIFICATE:
	case CONTENT_CRL:
		if (der)
			return der_fill(resolver, object, member, file, text, len);
		break;
	}
	return member_set(resolver, object, member->becomes, file, text, len);
}

static void file_forget(char *text)
{
	if (text != NULL)
		explicit_bzero(text, FILE_MAX);
	free(text);
}

/* All of a file, for file_forget(). NULL: a mistake was told. */
static char *file_read(struct resolver *resolver, const char *file, bool secret, size_t *len)
{
	int fd = file_open(resolver, file, secret);
	char *text = fd < 0 ? NULL : malloc(FILE_MAX);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	while (text != NULL && used < FILE_MAX && (n = read(fd, text + used, FILE_MAX - used)) > 0)
		used += (size_t)n;
	close(fd);
	*len = used;
	if (used > 0 && used < FILE_MAX)
		return text;
	complain(resolver, file,
		 text == NULL ? "out of memory"
		 : used == 0  ? "is empty"
			      : "is too long");
	file_forget(text);
	return NULL;
}

static void member_resolve(struct resolver *resolver, json_t *object,
			   const struct file_member *member)
{
	const char *file = json_string_value(json_object_get(object, member->name));
	bool secret = member->content == CONTENT_KEY || member->content == CONTENT_LINE;
	char *text;
	size_t len;

	resolver->what = member->becomes;
	if (file == NULL || file[0] == '\0') {
		complain(resolver, "?", "give the name of a file");
		return;
	}
	if (json_object_get(object, member->becomes) != NULL ||
	    (is_sa(object) && json_object_get(object, "salt") != NULL)) {
		snprintf(resolver->text, sizeof(resolver->text), "give either %s or %s",
			 member->becomes, member->name);
		resolver->report(resolver->context, resolver->pointer, 1, resolver->text);
		resolver->failed++;
		return;
	}
	text = file_read(resolver, file, secret, &len);
	if (text == NULL)
		return;
	if (content_fill(resolver, object, member, file, text, len) == 0)
		json_object_del(object, member->name);
	file_forget(text);
}

static void members_resolve(struct resolver *resolver, json_t *object, size_t at)
{
	for (size_t i = 0; i < sizeof(file_members) / sizeof(file_members[0]); i++) {
		if (json_object_get(object, file_members[i].name) == NULL)
			continue;
		snprintf(resolver->pointer + at, POINTER_MAX - at, "/%s", file_members[i].name);
		member_resolve(resolver, object, &file_members[i]);
	}
}

static void walk(struct resolver *resolver, json_t *value, size_t at)
{
	const char *key;
	json_t *item;
	size_t i;
	int n;

	members_resolve(resolver, value, at);
	json_array_foreach (value, i, item) {
		if (!json_is_array(item) && !json_is_object(item))
			continue;
		n = snprintf(resolver->pointer + at, POINTER_MAX - at, "/%zu", i);
		if (n > 0 && (size_t)n < POINTER_MAX - at)
			walk(resolver, item, at + (size_t)n);
	}
	json_object_foreach (value, key, item) {
		if (!json_is_array(item) && !json_is_object(item))
			continue;
		n = snprintf(resolver->pointer + at, POINTER_MAX - at, "/%s", key);
		if (n > 0 && (size_t)n < POINTER_MAX - at)
			walk(resolver, item, at + (size_t)n);
	}
}

size_t key_file_resolve(json_t *config, const char *base, key_file_report report, void *context)
{
	struct resolver resolver = { .base = base, .report = report, .context = context };

	walk(&resolver, config, 0);
	return resolver.failed;
}
