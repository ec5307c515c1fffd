/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target over inputs from files, without libFuzzer: each argument is a folder, whose
 * files are the inputs. A folder that isn't there has no inputs; none at all is an error.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static int replay_file(const char *path)
{
	uint8_t *data = NULL;
	FILE *file = fopen(path, "rb");
	long size;
	int err = -1;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		goto out;
	size = ftell(file);
	rewind(file);
	/* Exactly as large as the input: reading behind it is seen. */
	data = malloc(size > 0 ? (size_t)size : 1);
	if (size < 0 || data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size)
		goto out;
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	err = 0;
out:
	if (err != 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (file != NULL)
		fclose(file);
	free(data);
	return err;
}

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* How many inputs were run; -1: one could not be read. */
static int replay_folder(const char *folder)
{
	struct dirent **entries = NULL;
	int n = scandir(folder, &entries, is_input, alphasort), done = 0;

	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		if (done >= 0)
			done = replay_file(path) == 0 ? done + 1 : -1;
		free(entries[i]);
	}
	free(entries);
	return done;
}

int main(int argc, char **argv)
{
	int total = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		int n = replay_folder(argv[i]);

		if (n < 0)
			return EXIT_FAILURE;
		total += n;
	}
	printf("%d inputs\n", total);
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
