/* SPDX-License-Identifier: BSD-3-Clause */
/* The secrets that charon's plugin needs: pre-shared keys and passwords, each for one pair of
 * identities. */
#ifndef KAIDO_CONTROL_IKE_SECRETS_H
#define KAIDO_CONTROL_IKE_SECRETS_H

#include <jansson.h>

#include "address.h"
#include "model.h"

/*
 * [{kind: "psk"|"eap", local, remote, secret: "<hex>"}] of all tunnels and users. NULL: out of memory.
 * One that can't be unsealed is left out, with a line in the log. The caller frees it soon: it is
 * wiped then.
 */
json_t *ike_secrets_render(const struct model *model, const struct vault *vault);

/* The identities as charon is told them; where none is configured, the user of the side that logs in by EAP,
 * or the address; NULL: the peer may be anybody. `text` may be what is returned. */
const char *ike_local_id(const struct ike *ike, const struct abi_address *local,
			 char text[ADDRESS_TEXT_LEN]);
const char *ike_remote_id(const struct ike *ike, const struct abi_address *remote,
			  char text[ADDRESS_TEXT_LEN]);

/* Unseals it into sodium_malloc() memory with a zero behind it. Logs where that fails. */
int secret_open(const struct vault *vault, const char *tenant, const char *name, const char *what,
		const char *user, const struct secret *secret, uint8_t **plain);

#endif /* KAIDO_CONTROL_IKE_SECRETS_H */
