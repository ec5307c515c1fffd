/* SPDX-License-Identifier: BSD-3-Clause */
/* Between history.c, which writes files by a thread of its own, and history_erase.c. */
#ifndef KAIDO_CONTROL_HISTORY_STATE_H
#define KAIDO_CONTROL_HISTORY_STATE_H

#include <pthread.h>
#include <stdbool.h>

#include "history.h"
#include "history_file.h"

/* Samples of everything. A row whose tenant is empty is not written. */
struct round {
	time_t now;
	size_t n;
	struct history_row row[];
};

struct history {
	char *dir;
	uint32_t step;
	pthread_t thread;

	pthread_mutex_t queue_lock; /* held for moments only; after file_lock where both are */
	pthread_cond_t work;
	pthread_cond_t idle;
	struct round *pending;
	struct round *current; /* rows: file_lock too */
	bool closing;
	struct history_status status;

	pthread_mutex_t file_lock; /* held while a file is written, made or removed */
	struct history_template template;
};

#endif /* KAIDO_CONTROL_HISTORY_STATE_H */
