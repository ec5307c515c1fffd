/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Params of the requests to kaidod (docs/rpc.md). All return new JSON, NULL without memory. */
#ifndef KAIDO_REQUEST_H
#define KAIDO_REQUEST_H

#include <jansson.h>

#include "kaido.h"

json_t *request_open(const struct kaido *kaido);
/* With the key, which is wiped with the JSON. ike_sa: whose CHILD_SA it is, or NULL. */
json_t *request_set(uint64_t handle, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data,
		    ike_sa_t *ike_sa);
json_t *request_update(uint64_t handle, bool inbound, kernel_ipsec_update_sa_t *data);

/* An IKE SA as events have it; local and remote: its ends. */
json_t *request_ike(ike_sa_t *ike_sa, host_t *local, host_t *remote);

#endif
