/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that a configuration names: keys of SAs (key and salt as one hexadecimal number, spaces and
 * line ends allowed), pre-shared keys and passwords (one line), certificates, private keys and
 * revocation lists (PEM, or DER but for keys). kaidoctl reads them with the rights of who calls it;
 * kaidod never opens a file that a client names.
 */
#ifndef KAIDO_CONTROL_KEY_FILE_H
#define KAIDO_CONTROL_KEY_FILE_H

#include <stddef.h>

#include <jansson.h>

/* Memory of JSON values is wiped when it is freed from now on: some of it holds keys. */
void key_file_wipe_json(void);

/*
 * Told of each file that can't be used (`fatal`) or should be better guarded; `pointer` names the
 * member of the configuration.
 */
typedef void (*key_file_report)(void *context, const char *pointer, int fatal, const char *text);

/*
 * Replaces each `X-file` within `config` by `X` (and `salt`, of an SA). A relative name is taken from the
 * folder `base`; "-" is standard input, once. Returns how many could not be used.
 */
size_t key_file_resolve(json_t *config, const char *base, key_file_report report, void *context);

#endif /* KAIDO_CONTROL_KEY_FILE_H */
