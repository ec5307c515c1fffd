/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of the totals: a header with a digest over what follows, then rows of kind, id and
 * values. Of this machine only: host byte order.
 */
#include "totals_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "log.h"

#define FILE_MAGIC 0x3153544f544f4b41ull
#define FILE_MAX   (1u << 30)
#define ID_MAX     (1u << 24)

struct file_header {
	uint64_t magic;
	uint64_t boot;
	uint32_t tenants;
	uint32_t tunnels;
	uint8_t digest[32]; /* of the header with this zero, and of all rows */
};

struct file_tenant {
	uint64_t id;
	struct totals_tenant row;
};

struct file_tunnel {
	uint64_t id;
	struct totals_tunnel row;
};

static void digest_make(const struct file_header *header, const uint8_t *rows, size_t size,
			uint8_t digest[32])
{
	struct file_header plain = *header;
	crypto_generichash_state state;

	memset(plain.digest, 0, sizeof(plain.digest));
	crypto_generichash_init(&state, NULL, 0, 32);
	crypto_generichash_update(&state, (const uint8_t *)&plain, sizeof(plain));
	crypto_generichash_update(&state, rows, size);
	crypto_generichash_final(&state, digest, 32);
}

static size_t rows_size(const struct file_header *header)
{
	return header->tenants * sizeof(struct file_tenant) +
	       header->tunnels * sizeof(struct file_tunnel);
}

/* -- writing -- */

static uint8_t *file_make(const struct totals *totals, size_t *size)
{
	struct file_header header = { .magic = FILE_MAGIC, .boot = totals->boot };
	uint8_t *file, *at;

	for (uint32_t id = 0; id < totals->n_tenants; id++)
		header.tenants += totals->tenants[id] != NULL;
	for (uint32_t id = 0; id < totals->n_tunnels; id++)
		header.tunnels += totals->tunnels[id] != NULL;
	*size = sizeof(header) + rows_size(&header);
	file = malloc(*size);
	if (file == NULL)
		return NULL;
	at = file + sizeof(header);
	for (uint32_t id = 0; id < totals->n_tenants; id++) {
		if (totals->tenants[id] == NULL)
			continue;
		memcpy(at, &(struct file_tenant){ .id = id, .row = *totals->tenants[id] },
		       sizeof(struct file_tenant));
		at += sizeof(struct file_tenant);
	}
	for (uint32_t id = 0; id < totals->n_tunnels; id++) {
		if (totals->tunnels[id] == NULL)
			continue;
		memcpy(at, &(struct file_tunnel){ .id = id, .row = *totals->tunnels[id] },
		       sizeof(struct file_tunnel));
		at += sizeof(struct file_tunnel);
	}
	digest_make(&header, file + sizeof(header), *size - sizeof(header), header.digest);
	memcpy(file, &header, sizeof(header));
	return file;
}

static int file_write(const char *path, const uint8_t *file, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t done = 0;
	int ret = 0;

	if (fd < 0)
		return -errno;
	while (done < size && ret == 0) {
		ssize_t written = write(fd, file + done, size - done);

		if (written < 0 && errno != EINTR)
			ret = -errno;
		else if (written > 0)
			done += (size_t)written;
	}
	if (ret == 0 && fdatasync(fd) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int totals_save(struct totals *totals)
{
	char path[PATH_MAX];
	size_t size;
	uint8_t *file = file_make(totals, &size);
	int ret;

	if (file == NULL)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s.new", totals->path);
	ret = file_write(path, file, size);
	if (ret == 0 && rename(path, totals->path) < 0)
		ret = -errno;
	if (ret < 0)
		unlink(path);
	free(file);
	return ret;
}

/* -- reading -- */

static int rows_read(struct totals *totals, const struct file_header *header, const uint8_t *rows)
{
	struct file_tenant tenant;
	struct file_tunnel tunnel;

	totals->boot = header->boot;
	for (uint32_t i = 0; i < header->tenants; i++, rows += sizeof(tenant)) {
		struct totals_tenant *row;

		memcpy(&tenant, rows, sizeof(tenant));
		row = tenant.id < ID_MAX ? totals_tenant_put(totals, (uint32_t)tenant.id) : NULL;
		if (row == NULL)
			return -ENOMEM;
		*row = tenant.row;
	}
	for (uint32_t i = 0; i < header->tunnels; i++, rows += sizeof(tunnel)) {
		struct totals_tunnel *row;

		memcpy(&tunnel, rows, sizeof(tunnel));
		row = tunnel.id < ID_MAX ? totals_tunnel_put(totals, (uint32_t)tunnel.id) : NULL;
		if (row == NULL)
			return -ENOMEM;
		*row = tunnel.row;
	}
	return 0;
}

static int file_read(int fd, uint8_t **file, size_t *size)
{
	struct stat status;
	size_t done = 0;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size < (off_t)sizeof(struct file_header) || status.st_size > FILE_MAX)
		return -EBADMSG;
	*size = (size_t)status.st_size;
	*file = malloc(*size);
	if (*file == NULL)
		return -ENOMEM;
	while (done < *size) {
		ssize_t got = read(fd, *file + done, *size - done);

		if (got <= 0)
			return got == 0 ? -EBADMSG : -errno;
		done += (size_t)got;
	}
	return 0;
}

static int totals_load(struct totals *totals, int fd)
{
	struct file_header header;
	uint8_t digest[32];
	uint8_t *file = NULL;
	size_t size = 0;
	int ret = file_read(fd, &file, &size);

	if (ret == 0) {
		memcpy(&header, file, sizeof(header));
		digest_make(&header, file + sizeof(header), size - sizeof(header), digest);
		if (header.magic != FILE_MAGIC || size != sizeof(header) + rows_size(&header) ||
		    memcmp(digest, header.digest, sizeof(digest)) != 0)
			ret = -EBADMSG;
	}
	if (ret == 0)
		ret = rows_read(totals, &header, file + sizeof(header));
	free(file);
	return ret;
}

int totals_open(struct totals *totals, const char *directory)
{
	char path[PATH_MAX];
	int fd, ret;

	memset(totals, 0, sizeof(*totals));
	snprintf(path, sizeof(path), "%s/totals", directory);
	totals->path = strdup(path);
	if (totals->path == NULL)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = totals_load(totals, fd);
	close(fd);
	if (ret != -EBADMSG)
		return ret;
	totals_clear(totals);
	snprintf(path, sizeof(path), "%s.damaged", totals->path);
	rename(totals->path, path);
	log_warning("%s is damaged: kept as %s; totals start from zero", totals->path, path);
	return 0;
}
