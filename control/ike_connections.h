/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What charon shall have, of a model: connections, pools and certificates as documents with the names
 * and values of swanctl.conf(5), and which private keys. Nothing in it is secret.
 */
#ifndef KAIDO_CONTROL_IKE_CONNECTIONS_H
#define KAIDO_CONTROL_IKE_CONNECTIONS_H

#include <jansson.h>

#include "model.h"

/*
 * {conns: {kaido.<tenant>.<name>: {...}}, pools: {kaido.<tenant>.<name>: {...}}, certs: {<digest>: {type, data}},
 * keys: {<digest>: {tenant, name}}}. Certificates in `certs` and `cacerts` of connections, and `data`,
 * are DER in base64. NULL: out of memory.
 */
json_t *ike_connections(const struct model *model, bool per_cpu);

/* The name by which a certificate (base64 of its DER) stands in `certs` and in files. */
#define IKE_CERT_NAME_LEN 33
const char *ike_cert_name(const char *data, char name[IKE_CERT_NAME_LEN]);

#endif /* KAIDO_CONTROL_IKE_CONNECTIONS_H */
