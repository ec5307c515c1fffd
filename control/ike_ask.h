/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What charon has: asked as soon as it answers, and again every now and then. For others may take away what
 * it was given: `swanctl --load-all`, which strongSwan's unit runs after its start, unloads what is not in its own files.
 */
#ifndef KAIDO_CONTROL_IKE_ASK_H
#define KAIDO_CONTROL_IKE_ASK_H

struct ike_config;

int ike_ask_open(struct ike_config *config);
void ike_ask_close(struct ike_config *config);
/* charon has just come: goes on with ike_load_step() when it has told. */
void ike_ask_first(struct ike_config *config);
/* charon has what is wanted, and is asked in a while whether it still does. */
void ike_ask_later(struct ike_config *config);

#endif /* KAIDO_CONTROL_IKE_ASK_H */
