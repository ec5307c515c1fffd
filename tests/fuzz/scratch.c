/* SPDX-License-Identifier: BSD-3-Clause */
#include "scratch.h"

#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "log.h"

static char folder[sizeof(((struct scratch *)0)->folder)];

/* What kaidod logs is formatted, and not written. */
#define LOG_SILENT(name)                                          \
	void name(const char *format, ...)                        \
	{                                                         \
		char text[1024];                                  \
		va_list arguments;                                \
                                                                  \
		va_start(arguments, format);                      \
		vsnprintf(text, sizeof(text), format, arguments); \
		va_end(arguments);                                \
	}

LOG_SILENT(log_info)
LOG_SILENT(log_warning)
LOG_SILENT(log_error)

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void folder_remove(void)
{
	nftw(folder, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

void scratch_state_remove(const struct scratch *scratch)
{
	nftw(scratch->state, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static void key_write(const char *path)
{
	FILE *file;

	umask(077);
	file = fopen(path, "wbx");
	FUZZ_CHECK(file != NULL);
	for (int i = 0; i < 32; i++)
		fputc(i, file);
	FUZZ_CHECK(fclose(file) == 0);
}

void scratch_make(struct scratch *scratch)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(folder, sizeof(folder), "%s/kaido-fuzz.XXXXXX",
			 tmp != NULL ? tmp : "/tmp");

	FUZZ_CHECK(n > 0 && (size_t)n < sizeof(folder) && mkdtemp(folder) != NULL);
	FUZZ_CHECK(atexit(folder_remove) == 0);
	memcpy(scratch->folder, folder, sizeof(folder));
	snprintf(scratch->master_key, sizeof(scratch->master_key), "%s/master.key", folder);
	snprintf(scratch->state, sizeof(scratch->state), "%s/state", folder);
	snprintf(scratch->socket, sizeof(scratch->socket), "%s/kaidod.sock", folder);
	snprintf(scratch->dataplane, sizeof(scratch->dataplane), "%s/dataplane.sock", folder);
	key_write(scratch->master_key);
}
