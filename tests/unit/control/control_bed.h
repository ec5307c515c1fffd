/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder with a vault and a store, for tests of what stands on them. */
#ifndef KAIDO_CONTROL_BED_H
#define KAIDO_CONTROL_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "store.h"
#include "vault.h"

struct bed {
	char folder[64];
	char state[PATH_MAX];
	char key[PATH_MAX];
	struct vault *vault;
	struct store *store;
};

static inline void bed_open(struct bed *bed)
{
	assert_int_equal(vault_open(bed->key, &bed->vault), 0);
	assert_int_equal(store_open(bed->state, bed->vault, &bed->store), 0);
}

static inline void bed_close(struct bed *bed)
{
	store_close(bed->store);
	vault_close(bed->vault);
	bed->store = NULL;
	bed->vault = NULL;
}

static inline int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (bed == NULL)
		return -1;
	snprintf(bed->folder, sizeof(bed->folder), "/tmp/kaido-unit-XXXXXX");
	if (mkdtemp(bed->folder) == NULL)
		return -1;
	snprintf(bed->state, sizeof(bed->state), "%s/state", bed->folder);
	snprintf(bed->key, sizeof(bed->key), "%s/master.key", bed->folder);
	bed_open(bed);
	*state = bed;
	return 0;
}

static inline int bed_remove(const char *path, const struct stat *status, int type,
			     struct FTW *walk)
{
	return remove(path);
}

static inline int bed_teardown(void **state)
{
	struct bed *bed = *state;

	bed_close(bed);
	if (nftw(bed->folder, bed_remove, 8, FTW_DEPTH | FTW_PHYS) != 0)
		return -1;
	free(bed);
	return 0;
}

#endif /* KAIDO_CONTROL_BED_H */
