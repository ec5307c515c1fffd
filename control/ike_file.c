/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ike_connections.h"

#define CERT_SUFFIX ".pem"

/* Plain words stand as they are; all else in quotes. Identities hold no quotes (config_identity.c). */
static void value_write(FILE *out, const char *text)
{
	bool plain = text[0] != '\0' &&
		     strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789.:/%_-") == strlen(text);

	if (plain) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void list_write(FILE *out, const char *folder, const char *name, const json_t *list)
{
	bool certs = strcmp(name, "certs") == 0 || strcmp(name, "cacerts") == 0;
	char cert[IKE_CERT_NAME_LEN], path[PATH_MAX];
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		const char *text = json_string_value(item);

		fputs(i == 0 ? "" : ", ", out);
		if (certs) {
			snprintf(path, sizeof(path), "%s/%s%s", folder, ike_cert_name(text, cert),
				 CERT_SUFFIX);
			value_write(out, path);
		} else {
			value_write(out, text);
		}
	}
}

static void section_write(FILE *out, const char *folder, const json_t *object, int depth)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
		fprintf(out, "%.*s%s", depth, "\t\t\t\t\t\t\t\t", name);
		if (json_is_object(value)) {
			fputs(" {\n", out);
			section_write(out, folder, value, depth + 1);
			fprintf(out, "%.*s}\n", depth, "\t\t\t\t\t\t\t\t");
			continue;
		}
		fputs(" = ", out);
		if (json_is_array(value))
			list_write(out, folder, name, value);
		else
			value_write(out, json_string_value(value));
		fputc('\n', out);
	}
}

static void conf_write(FILE *out, const char *folder, const json_t *wanted)
{
	fputs("# Written by kaidod from its configuration, and loaded by it: changes here are lost.\n"
	      "# Keys and passwords are not in here.\n\n",
	      out);
	fputs("connections {\n", out);
	section_write(out, folder, json_object_get(wanted, "conns"), 1);
	fputs("}\n\npools {\n", out);
	section_write(out, folder, json_object_get(wanted, "pools"), 1);
	fputs("}\n", out);
}

static void pem_write(FILE *out, const json_t *cert)
{
	const char *data = json_string_value(json_object_get(cert, "data"));
	const char *type = json_string_value(json_object_get(cert, "type"));
	const char *label = strcmp(type, "X509_CRL") == 0 ? "X509 CRL" : "CERTIFICATE";

	fprintf(out, "-----BEGIN %s-----\n", label);
	for (size_t length; *data != '\0'; data += length) {
		length = strnlen(data, 64);
		fprintf(out, "%.*s\n", (int)length, data);
	}
	fprintf(out, "-----END %s-----\n", label);
}

/* Whole or not at all: written beside it, then put in its place. */
static FILE *file_begin(const char *path, char beside[PATH_MAX])
{
	FILE *out;
	int fd;

	if (snprintf(beside, PATH_MAX, "%s.new", path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (out == NULL && fd >= 0)
		close(fd);
	return out;
}

static int file_end(FILE *out, const char *path, const char *beside)
{
	bool bad = ferror(out) != 0 || fflush(out) != 0 || fsync(fileno(out)) < 0;
	int ret = bad ? -(errno == 0 ? EIO : errno) : 0;

	if (fclose(out) != 0 && ret == 0)
		ret = -errno;
	if (ret == 0 && rename(beside, path) < 0)
		ret = -errno;
	if (ret < 0)
		unlink(beside);
	return ret;
}

static int certs_write(const char *folder, const json_t *certs)
{
	char path[PATH_MAX], beside[PATH_MAX];
	const char *name;
	json_t *cert;
	FILE *out;
	int ret = 0;

	json_object_foreach ((json_t *)(uintptr_t)certs, name, cert) {
		snprintf(path, sizeof(path), "%s/%s%s", folder, name, CERT_SUFFIX);
		if (access(path, F_OK) == 0) /* it is named by what is in it */
			continue;
		out = file_begin(path, beside);
		if (out == NULL)
			return -errno;
		pem_write(out, cert);
		ret = file_end(out, path, beside);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Files of certificates that are no longer meant. */
static void certs_sweep(const char *folder, const json_t *certs)
{
	const size_t stem = IKE_CERT_NAME_LEN - 1;
	DIR *directory = opendir(folder);
	struct dirent *entry;
	char name[IKE_CERT_NAME_LEN];

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		if (strlen(entry->d_name) != stem + strlen(CERT_SUFFIX) ||
		    strcmp(entry->d_name + stem, CERT_SUFFIX) != 0)
			continue;
		memcpy(name, entry->d_name, stem);
		name[stem] = '\0';
		if (json_object_get(certs, name) == NULL)
			unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory != NULL)
		closedir(directory);
}

int ike_file_write(const char *folder, const json_t *wanted)
{
	const json_t *certs = json_object_get(wanted, "certs");
	char path[PATH_MAX], beside[PATH_MAX];
	FILE *out;
	int ret;

	if (mkdir(folder, 0750) < 0 && errno != EEXIST)
		return -errno;
	ret = certs_write(folder, certs);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "%s/swanctl.conf", folder);
	out = file_begin(path, beside);
	if (out == NULL)
		return -errno;
	conf_write(out, folder, wanted);
	ret = file_end(out, path, beside);
	if (ret == 0)
		certs_sweep(folder, certs);
	return ret;
}
