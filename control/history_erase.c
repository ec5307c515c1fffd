/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking history away: files, and rows on their way into files. Both locks are held while rows are
 * struck out, so that none of them makes a file anew afterwards.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history_state.h"

#define FILE_SUFFIX ".rrd"

static bool round_row_of(const struct history_row *row, const char *tenant, const char *tunnel)
{
	return strcmp(row->tenant, tenant) == 0 &&
	       (tunnel == NULL || strcmp(row->tunnel, tunnel) == 0);
}

static void round_forget(struct round *round, const char *tenant, const char *tunnel)
{
	size_t i;

	for (i = 0; round != NULL && i < round->n; i++)
		if (round_row_of(&round->row[i], tenant, tunnel))
			round->row[i].tenant[0] = '\0';
}

static int tree_entry_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int file_remove(const char *path, const char *suffix)
{
	char name[4096 + 8];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return unlink(name) < 0 && errno != ENOENT ? -errno : 0;
}

int history_erase(struct history *history, const char *tenant, const char *tunnel)
{
	char path[4096];
	int rc;

	rc = history_file_path(path, sizeof(path), history->dir, tenant, tunnel);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&history->file_lock);
	pthread_mutex_lock(&history->queue_lock);
	round_forget(history->current, tenant, tunnel);
	round_forget(history->pending, tenant, tunnel);
	pthread_mutex_unlock(&history->queue_lock);
	if (tunnel != NULL) {
		rc = file_remove(path, "");
		if (rc == 0)
			rc = file_remove(path, ".broken");
		if (rc == 0)
			rc = file_remove(path, ".new");
	} else {
		*strrchr(path, '/') = '\0';
		rc = nftw(path, tree_entry_remove, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		rc = rc == -1 && errno == ENOENT ? 0 : rc == -1 ? -errno : rc;
	}
	pthread_mutex_unlock(&history->file_lock);
	return rc;
}

/* -- all that nobody knows -- */

struct sweep {
	struct history *history;
	history_known *known;
	const void *context;
	int error; /* the first */
};

static void round_sweep(const struct sweep *sweep, struct round *round)
{
	for (size_t i = 0; round != NULL && i < round->n; i++) {
		struct history_row *row = &round->row[i];

		if (row->tenant[0] != '\0' &&
		    !sweep->known(sweep->context, row->tenant,
				  row->tunnel[0] == '\0' ? NULL : row->tunnel))
			row->tenant[0] = '\0';
	}
}

static void one_sweep(struct sweep *sweep, const char *tenant, const char *tunnel)
{
	int ret;

	if (sweep->known(sweep->context, tenant, tunnel))
		return;
	ret = history_erase(sweep->history, tenant, tunnel);
	if (ret < 0 && sweep->error == 0)
		sweep->error = ret;
}

static DIR *folder_open(struct sweep *sweep, const char *path)
{
	DIR *folder = opendir(path);

	if (folder == NULL && errno != ENOENT && errno != ENOTDIR && sweep->error == 0)
		sweep->error = -errno;
	return folder;
}

static void tunnels_sweep(struct sweep *sweep, const char *tenant)
{
	char path[4096], name[HISTORY_NAME_LEN];
	const struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/tenants/%s/tunnels", sweep->history->dir, tenant);
	folder = folder_open(sweep, path);
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		const char *suffix = strstr(entry->d_name, FILE_SUFFIX);
		int length = suffix == NULL ? 0 : (int)(suffix - entry->d_name);

		if (length >= HISTORY_NAME_LEN)
			continue;
		snprintf(name, sizeof(name), "%.*s", length, entry->d_name);
		if (history_name_check(name) == 0)
			one_sweep(sweep, tenant, name);
	}
	if (folder != NULL)
		closedir(folder);
}

int history_sweep(struct history *history, history_known *known, const void *context)
{
	struct sweep sweep = { .history = history, .known = known, .context = context };
	const struct dirent *entry;
	char path[4096];
	DIR *folder;

	pthread_mutex_lock(&history->file_lock);
	pthread_mutex_lock(&history->queue_lock);
	round_sweep(&sweep, history->current);
	round_sweep(&sweep, history->pending);
	pthread_mutex_unlock(&history->queue_lock);
	pthread_mutex_unlock(&history->file_lock);
	snprintf(path, sizeof(path), "%s/tenants", history->dir);
	folder = folder_open(&sweep, path);
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (history_name_check(entry->d_name) < 0)
			continue;
		one_sweep(&sweep, entry->d_name, NULL);
		tunnels_sweep(&sweep, entry->d_name);
	}
	if (folder != NULL)
		closedir(folder);
	return sweep.error;
}
