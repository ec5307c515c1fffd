/* SPDX-License-Identifier: BSD-3-Clause */
#include "history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <rrd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COARSE_STEP  300                         /* seconds */
#define FINE_ROWS(s) (2 * 86400 / (s))           /* two days */
#define COARSE_ROWS  (397 * 86400 / COARSE_STEP) /* thirteen months, at their longest */

/* A rate above these is no traffic but an error, and becomes a gap: 1 Tbit/s, 2 Gpps. */
#define MAX_BYTE_RATE   "125000000000"
#define MAX_PACKET_RATE "2000000000"

const char *const history_series_name[HISTORY_SERIES] = {
	[HISTORY_OUT_PACKETS] = "out_packets",
	[HISTORY_OUT_INNER_BYTES] = "out_inner_bytes",
	[HISTORY_OUT_OUTER_BYTES] = "out_outer_bytes",
	[HISTORY_OUT_DROPS] = "out_drops",
	[HISTORY_IN_PACKETS] = "in_packets",
	[HISTORY_IN_INNER_BYTES] = "in_inner_bytes",
	[HISTORY_IN_OUTER_BYTES] = "in_outer_bytes",
	[HISTORY_IN_DROPS] = "in_drops",
};

int history_name_check(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= HISTORY_NAME_LEN || name[0] == '-' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		return -EINVAL;
	return 0;
}

int history_file_path(char *path, size_t len, const char *dir, const char *tenant,
		      const char *tunnel)
{
	bool of_tunnel = tunnel != NULL && tunnel[0] != '\0';
	int n;

	if (history_name_check(tenant) < 0 || (of_tunnel && history_name_check(tunnel) < 0))
		return -EINVAL;
	if (of_tunnel)
		n = snprintf(path, len, "%s/tenants/%s/tunnels/%s.rrd", dir, tenant, tunnel);
	else
		n = snprintf(path, len, "%s/tenants/%s/tenant.rrd", dir, tenant);
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

size_t history_rows_size(uint32_t step)
{
	return (FINE_ROWS(step) + 2 * COARSE_ROWS) * (HISTORY_SERIES + 1) * sizeof(rrd_value_t);
}

static bool series_is_bytes(int series)
{
	return series == HISTORY_OUT_INNER_BYTES || series == HISTORY_OUT_OUTER_BYTES ||
	       series == HISTORY_IN_INNER_BYTES || series == HISTORY_IN_OUTER_BYTES;
}

/* Lets librrd write a file with our data sources and archives. */
static int rrd_write_whole(const char *path, uint32_t step, time_t last_update)
{
	enum { ARCHIVES = 3, SOURCES = HISTORY_SERIES + 1 };
	char text[SOURCES + ARCHIVES][96];
	const char *argv[SOURCES + ARCHIVES];
	int n;

	for (n = 0; n < HISTORY_SERIES; n++)
		snprintf(text[n], sizeof(text[n]), "DS:%s:DERIVE:%d:0:%s", history_series_name[n],
			 HISTORY_HEARTBEAT, series_is_bytes(n) ? MAX_BYTE_RATE : MAX_PACKET_RATE);
	snprintf(text[n], sizeof(text[n]), "DS:" HISTORY_PRESENT ":GAUGE:%d:0:1",
		 HISTORY_HEARTBEAT);
	n++;
	snprintf(text[n++], sizeof(text[0]), "RRA:AVERAGE:0.5:1:%u", FINE_ROWS(step));
	snprintf(text[n++], sizeof(text[0]), "RRA:AVERAGE:0.5:%u:%u", COARSE_STEP / step,
		 COARSE_ROWS);
	snprintf(text[n++], sizeof(text[0]), "RRA:MAX:0.5:%u:%u", COARSE_STEP / step, COARSE_ROWS);
	for (n = 0; n < SOURCES + ARCHIVES; n++)
		argv[n] = text[n];
	rrd_clear_error();
	if (rrd_create_r(path, step, last_update, n, argv) != 0)
		return -EIO;
	return 0;
}

/* The rows are the end of a file; what stands before them is the header. */
static int header_read(struct history_template *template, int fd, size_t rows_len)
{
	struct stat st;
	uint8_t *header;
	size_t len;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((size_t)st.st_size <= rows_len || (size_t)st.st_size - rows_len > 65536)
		return -EBADMSG;
	len = (size_t)st.st_size - rows_len;
	header = malloc(len);
	if (header == NULL)
		return -ENOMEM;
	if (pread(fd, header, len, 0) != (ssize_t)len) {
		free(header);
		return -EIO;
	}
	free(template->header);
	template->header = header;
	template->header_len = len;
	template->file_len = (size_t)st.st_size;
	return 0;
}

int history_template_make(struct history_template *template, const char *dir, uint32_t step,
			  time_t now, char *error, size_t error_len)
{
	char path[4096];
	int fd, rc;

	rc = snprintf(path, sizeof(path), "%s/template.rrd", dir);
	if (rc < 0 || (size_t)rc >= sizeof(path))
		return -ENAMETOOLONG;
	rc = rrd_write_whole(path, step, now - step);
	if (rc < 0) {
		snprintf(error, error_len, "%s", rrd_get_error());
		goto unlink;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		rc = -errno;
		snprintf(error, error_len, "%s: %s", path, strerror(-rc));
		goto unlink;
	}
	rc = header_read(template, fd, history_rows_size(step));
	if (rc < 0)
		snprintf(error, error_len, "%s: not as librrd 1.x writes it", path);
	else
		template->made = now - step;
	close(fd);
unlink:
	unlink(path);
	return rc;
}

void history_template_free(struct history_template *template)
{
	free(template->header);
	template->header = NULL;
}

static int folder_make(const char *path)
{
	return mkdir(path, 0750) < 0 && errno != EEXIST ? -errno : 0;
}

static int folders_make(const char *dir, const struct history_row *row)
{
	char path[4096];
	int rc;

	snprintf(path, sizeof(path), "%s/tenants", dir);
	rc = folder_make(path);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/tenants/%s", dir, row->tenant);
	rc = folder_make(path);
	if (rc < 0 || row->tunnel[0] == '\0')
		return rc;
	snprintf(path, sizeof(path), "%s/tenants/%s/tunnels", dir, row->tenant);
	return folder_make(path);
}

int history_file_create(const struct history_template *template, const char *dir,
			const struct history_row *row, const char *path)
{
	char fresh[4096 + 8];
	int fd, rc;

	rc = folders_make(dir, row);
	if (rc < 0)
		return rc;
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	errno = EIO;
	if (write(fd, template->header, template->header_len) != (ssize_t) template->header_len ||
	    ftruncate(fd, (off_t) template->file_len) < 0 || rename(fresh, path) < 0) {
		rc = -errno;
		unlink(fresh);
	}
	close(fd);
	return rc;
}

int history_file_update(const char *path, time_t now, const uint64_t total[HISTORY_SERIES],
			char *error, size_t error_len)
{
	char text[32 + HISTORY_SERIES * 24];
	const char *argv[] = { text };
	int n, i;

	n = snprintf(text, sizeof(text), "%lld", (long long)now);
	for (i = 0; i < HISTORY_SERIES; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ":%" PRIu64, total[i]);
	snprintf(text + n, sizeof(text) - (size_t)n, ":1");
	rrd_clear_error();
	/* A clock that was set back makes samples of the past: passed over until it catches up. */
	if (rrd_updatex_r(path, NULL, RRD_SKIP_PAST_UPDATES, 1, argv) != 0) {
		snprintf(error, error_len, "%s", rrd_get_error());
		return -EBADMSG;
	}
	return 0;
}
