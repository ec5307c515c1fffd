/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What charon is given, as files for people (swanctl takes no names with dots): <folder>/swanctl.conf and certificates
 * beside it. Keys and passwords are in none of them.
 */
#ifndef KAIDO_CONTROL_IKE_FILE_H
#define KAIDO_CONTROL_IKE_FILE_H

#include <jansson.h>

/* Makes the folder where it isn't there. `wanted`: of ike_connections(). Negative errno. */
int ike_file_write(const char *folder, const json_t *wanted);

#endif /* KAIDO_CONTROL_IKE_FILE_H */
