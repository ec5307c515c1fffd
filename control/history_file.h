/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One librrd file of the history: its layout, how it is made and how a sample gets into it.
 *
 * librrd fills a new file with NaN, 18 MB of it. For ten thousand tunnels that is a full disk
 * before the first packet, so files are made sparse: the header is copied from a template that
 * librrd wrote, and the rows behind it are a hole. A hole reads as zero, which would pass for "no
 * traffic"; the data source HISTORY_PRESENT, 1 in every sample, tells the two apart.
 */
#ifndef KAIDO_CONTROL_HISTORY_FILE_H
#define KAIDO_CONTROL_HISTORY_FILE_H

#include "history.h"

#define HISTORY_PRESENT "present"

/* Names of the data sources, by enum history_series. */
extern const char *const history_series_name[HISTORY_SERIES];

/* The header of a new file, as librrd writes it. */
struct history_template {
	uint8_t *header;
	size_t header_len;
	size_t file_len;
	time_t made; /* last update that the header states */
};

/*
 * Writes DIR-relative path of a tenant's or tunnel's file to `path`. `tunnel` may be NULL or empty.
 * -EINVAL: a bad name; -ENAMETOOLONG.
 */
int history_file_path(char *path, size_t len, const char *dir, const char *tenant,
		      const char *tunnel);

/* Bytes that a file takes in the end, its header left out. */
size_t history_rows_size(uint32_t step);

/* Makes (again) the template by letting librrd write a whole file in `dir`, removed after. */
int history_template_make(struct history_template *template, const char *dir, uint32_t step,
			  time_t now, char *error, size_t error_len);
void history_template_free(struct history_template *template);

/* Makes the file at `path` and the folders it stands in below `dir`, all at once or not at all. */
int history_file_create(const struct history_template *template, const char *dir,
			const struct history_row *row, const char *path);

/* Adds a sample. -EBADMSG: librrd refuses the file; `error` says why. */
int history_file_update(const char *path, time_t now, const uint64_t total[HISTORY_SERIES],
			char *error, size_t error_len);

#endif /* KAIDO_CONTROL_HISTORY_FILE_H */
