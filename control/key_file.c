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

#define FILE_MAX    4096
#define SALT_DIGITS 8
#define POINTER_MAX 512

struct resolver {
	const char *base;
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
	snprintf(resolver->text, sizeof(resolver->text), "key file %.160s: %.120s", file, why);
	resolver->report(resolver->context, resolver->pointer, 1, resolver->text);
	resolver->failed++;
	return -EINVAL;
}

static int file_open(struct resolver *resolver, const char *file)
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
	if (fstat(fd, &st) == 0 && (st.st_mode & 077) != 0 && S_ISREG(st.st_mode)) {
		snprintf(resolver->text, sizeof(resolver->text),
			 "key file %.160s may be read or written by others; chmod 600 it", file);
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

static void sa_resolve(struct resolver *resolver, json_t *sa, json_t *name)
{
	const char *file = json_string_value(name);
	char text[FILE_MAX];
	size_t used = 0;
	ssize_t n;
	int fd;

	if (file == NULL || file[0] == '\0') {
		complain(resolver, "?", "give the name of a file");
		return;
	}
	if (json_object_get(sa, "key") != NULL || json_object_get(sa, "salt") != NULL) {
		complain(resolver, file, "either key and salt, or key-file");
		return;
	}
	fd = file_open(resolver, file);
	if (fd < 0)
		return;
	while (used < sizeof(text) && (n = read(fd, text + used, sizeof(text) - used)) > 0)
		used += (size_t)n;
	close(fd);
	if (used == 0 || used == sizeof(text))
		complain(resolver, file, used == 0 ? "is empty" : "is too long for a key");
	else if (sa_fill(resolver, sa, file, text, used) == 0)
		json_object_del(sa, "key-file");
	explicit_bzero(text, sizeof(text));
}

static void walk(struct resolver *resolver, json_t *value, size_t at)
{
	json_t *item, *file;
	const char *key;
	size_t i;
	int n;

	file = json_object_get(value, "key-file");
	if (file != NULL) {
		snprintf(resolver->pointer + at, POINTER_MAX - at, "/key-file");
		sa_resolve(resolver, value, file);
	}
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
