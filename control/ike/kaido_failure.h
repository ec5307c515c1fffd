/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Negotiations that fail, as events for kaidod (docs/rpc.md): one for each IKE SA that was never up, but one for each
 * password. Of those that anybody can cause without a login only some a second are told, with the number of
 * the others in the text.
 */
#ifndef KAIDO_FAILURE_H
#define KAIDO_FAILURE_H

#include "kaido.h"

struct kaido_failures *kaido_failures_create(void);
void kaido_failures_destroy(struct kaido_failures *failures);

/* An event "failed". ike_sa may be NULL; text says what to do. */
void kaido_failure_report(struct kaido *kaido, ike_sa_t *ike_sa, const char *reason,
			  const char *text);
/* An alert of charon's bus. */
void kaido_failure_alert(struct kaido *kaido, ike_sa_t *ike_sa, alert_t alert, va_list args);

/* A first message from addresses that no connection is for. */
void kaido_failure_unknown(struct kaido *kaido, ike_sa_t *ike_sa, host_t *remote);

/* A password was wrong, and the peer may try another one under the same IKE SA: each counts. */
void kaido_failure_guess(struct kaido *kaido, ike_sa_t *ike_sa);

#endif
