/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tunnels that the gateway begins. charon is asked for each of them once it has its connection, and again where the
 * peer said no. It could begin by itself (start_action = start), but would then end the tunnel whenever
 * its connection is loaded anew. What comes after a tunnel was up (dpd_action, close_action) is charon's.
 */
#ifndef KAIDO_CONTROL_IKE_BEGIN_H
#define KAIDO_CONTROL_IKE_BEGIN_H

#include <jansson.h>

struct ike_config;

int ike_begin_open(struct ike_config *config);
void ike_begin_close(struct ike_config *config);
/* charon has that connection from now on, as in ike_connections(). */
void ike_begin_loaded(struct ike_config *config, const char *name, const json_t *connection);

#endif /* KAIDO_CONTROL_IKE_BEGIN_H */
