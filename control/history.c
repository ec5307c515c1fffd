/* SPDX-License-Identifier: BSD-3-Clause */
#include "history_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/*
 * librrd writes through a mapping, and a disk without room for a page of it would end the process
 * (SIGBUS). So the room is looked at before each FILES_PER_CHECK files, which dirty at most
 * PAGES_PER_FILE new pages each, and no file is touched with less than DISK_RESERVE on top.
 */
#define FILES_PER_CHECK 64
#define PAGES_PER_FILE  16
#define DISK_RESERVE    (4u << 20)

/* A template says when its files were last updated; librrd fills the time since with NaN. */
#define TEMPLATE_AGE 600 /* seconds */

static void error_note(struct history *history, const char *path, const char *text)
{
	pthread_mutex_lock(&history->queue_lock);
	history->status.errors++;
	snprintf(history->status.error, sizeof(history->status.error), "%.180s: %.180s", path,
		 text);
	pthread_mutex_unlock(&history->queue_lock);
}

static int disk_room_check(const struct history *history, uint64_t need, char *error, size_t len)
{
	struct statvfs fs;

	if (statvfs(history->dir, &fs) < 0) {
		snprintf(error, len, "%s", strerror(errno));
		return -EIO;
	}
	need += DISK_RESERVE;
	if ((uint64_t)fs.f_bavail * fs.f_frsize >= need)
		return 0;
	snprintf(error, len, "no history kept: fewer than %llu MiB are free; free some disk space",
		 (unsigned long long)(need >> 20));
	return -ENOSPC;
}

static int file_make(struct history *history, const struct history_row *row, const char *path,
		     time_t now, char *error, size_t len)
{
	struct history_template *template = &history->template;
	int rc;

	if (template->header == NULL || now - template->made > TEMPLATE_AGE ||
	    template->made >= now) {
		rc = disk_room_check(history, history_rows_size(history->step), error, len);
		if (rc < 0)
			return rc;
		rc = history_template_make(template, history->dir, history->step, now, error, len);
		if (rc < 0)
			return rc;
	}
	rc = history_file_create(template, history->dir, row, path);
	if (rc < 0)
		snprintf(error, len, "%s", strerror(-rc));
	return rc;
}

/* A file that is none of ours any more (cut short, overwritten) is put aside for the operator. */
static bool file_put_aside(const char *path)
{
	char aside[4096 + 8];
	char magic[4] = "";
	struct stat st;
	int fd;
	bool broken;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	broken = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		 (st.st_size < HISTORY_FILE_MAX / 4 || read(fd, magic, 4) != 4 ||
		  memcmp(magic, "RRD", 4) != 0);
	close(fd);
	snprintf(aside, sizeof(aside), "%s.broken", path);
	return broken && rename(path, aside) == 0;
}

static int row_write(struct history *history, const struct history_row *row, time_t now)
{
	char path[4096], error[192] = "";
	int rc;

	rc = history_file_path(path, sizeof(path), history->dir, row->tenant, row->tunnel);
	if (rc < 0)
		return rc;
	if (access(path, F_OK) < 0) {
		rc = errno != ENOENT ? -errno
				     : file_make(history, row, path, now, error, sizeof(error));
		if (rc < 0)
			goto failed;
	}
	rc = history_file_update(path, now, row->total, error, sizeof(error));
	if (rc == 0)
		return 0;
	if (file_put_aside(path))
		error_note(history, path, "is damaged; put aside as *.broken and begun anew");
failed:
	error_note(history, path, error[0] != '\0' ? error : strerror(-rc));
	return rc;
}

static void round_write(struct history *history, struct round *round)
{
	char error[192];
	uint64_t files = 0;
	size_t i;

	for (i = 0; i < round->n; i++) {
		const struct history_row *row = &round->row[i];

		if (i % FILES_PER_CHECK == 0 &&
		    disk_room_check(history, FILES_PER_CHECK * PAGES_PER_FILE * 4096ull, error,
				    sizeof(error)) < 0) {
			error_note(history, history->dir, error);
			break;
		}
		pthread_mutex_lock(&history->file_lock);
		if (row->tenant[0] != '\0' && row_write(history, row, round->now) == 0)
			files++;
		pthread_mutex_unlock(&history->file_lock);
	}
	pthread_mutex_lock(&history->queue_lock);
	history->status.files += files;
	pthread_mutex_unlock(&history->queue_lock);
}

static void *history_thread(void *arg)
{
	struct history *history = arg;
	struct timespec cpu;

	pthread_mutex_lock(&history->queue_lock);
	while (1) {
		while (history->pending == NULL && !history->closing)
			pthread_cond_wait(&history->work, &history->queue_lock);
		if (history->pending == NULL)
			break;
		history->current = history->pending;
		history->pending = NULL;
		pthread_mutex_unlock(&history->queue_lock);
		round_write(history, history->current);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
		pthread_mutex_lock(&history->queue_lock);
		free(history->current);
		history->current = NULL;
		history->status.rounds++;
		history->status.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
		pthread_cond_broadcast(&history->idle);
	}
	pthread_mutex_unlock(&history->queue_lock);
	return NULL;
}

/* Signals belong to the event loop's thread. */
static int thread_start(struct history *history)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&history->thread, NULL, history_thread, history);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int history_open(const char *dir, uint32_t step, struct history **out)
{
	struct history *history;
	int rc;

	if (step == 0 || 300 % step != 0)
		return -EINVAL;
	if ((mkdir(dir, 0750) < 0 && errno != EEXIST) || access(dir, R_OK | W_OK | X_OK) < 0)
		return -errno;
	history = calloc(1, sizeof(*history));
	if (history == NULL)
		return -ENOMEM;
	history->step = step;
	history->dir = realpath(dir, NULL);
	if (history->dir == NULL) {
		rc = -errno;
		goto free_history;
	}
	pthread_mutex_init(&history->queue_lock, NULL);
	pthread_mutex_init(&history->file_lock, NULL);
	pthread_cond_init(&history->work, NULL);
	pthread_cond_init(&history->idle, NULL);
	rc = thread_start(history);
	if (rc < 0)
		goto free_dir;
	*out = history;
	return 0;
free_dir:
	free(history->dir);
free_history:
	free(history);
	return rc;
}

void history_close(struct history *history)
{
	if (history == NULL)
		return;
	pthread_mutex_lock(&history->queue_lock);
	history->closing = true;
	pthread_cond_signal(&history->work);
	pthread_mutex_unlock(&history->queue_lock);
	pthread_join(history->thread, NULL);
	pthread_cond_destroy(&history->work);
	pthread_cond_destroy(&history->idle);
	pthread_mutex_destroy(&history->queue_lock);
	pthread_mutex_destroy(&history->file_lock);
	history_template_free(&history->template);
	free(history->dir);
	free(history);
}

static int rows_check(const struct history_row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (memchr(rows[i].tenant, '\0', HISTORY_NAME_LEN) == NULL ||
		    memchr(rows[i].tunnel, '\0', HISTORY_NAME_LEN) == NULL ||
		    history_name_check(rows[i].tenant) < 0 ||
		    (rows[i].tunnel[0] != '\0' && history_name_check(rows[i].tunnel) < 0))
			return -EINVAL;
	return 0;
}

int history_sample(struct history *history, time_t now, const struct history_row *rows, size_t n)
{
	struct round *round;
	int rc;

	rc = rows_check(rows, n);
	if (rc < 0)
		return rc;
	round = malloc(sizeof(*round) + n * sizeof(*rows));
	if (round == NULL)
		return -ENOMEM;
	round->now = now;
	round->n = n;
	if (n > 0)
		memcpy(round->row, rows, n * sizeof(*rows));
	pthread_mutex_lock(&history->queue_lock);
	if (history->pending != NULL) {
		history->status.skipped++;
		rc = -EBUSY;
	} else {
		history->pending = round;
		round = NULL;
		pthread_cond_signal(&history->work);
	}
	pthread_mutex_unlock(&history->queue_lock);
	free(round);
	return rc;
}

void history_flush(struct history *history)
{
	pthread_mutex_lock(&history->queue_lock);
	while (history->pending != NULL || history->current != NULL)
		pthread_cond_wait(&history->idle, &history->queue_lock);
	pthread_mutex_unlock(&history->queue_lock);
}

void history_status(struct history *history, struct history_status *status)
{
	pthread_mutex_lock(&history->queue_lock);
	*status = history->status;
	status->pending = (history->pending != NULL) + (history->current != NULL);
	pthread_mutex_unlock(&history->queue_lock);
}
