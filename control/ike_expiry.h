/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of the gateway's certificates and revocation lists end soon: peers are refused from then on. */
#ifndef KAIDO_CONTROL_IKE_EXPIRY_H
#define KAIDO_CONTROL_IKE_EXPIRY_H

#include "model.h"

#define IKE_EXPIRY_DAYS 14

/* `text` says what ends when and what to do, of a tunnel or remote access. */
typedef void (*ike_expiry_tell)(void *context, const char *tenant, const char *name,
				const char *text);

void ike_expiry_look(const struct model *model, ike_expiry_tell tell, void *context);

#endif /* KAIDO_CONTROL_IKE_EXPIRY_H */
