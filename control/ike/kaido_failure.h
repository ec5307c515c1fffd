/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a negotiation failed or an IKE SA ended. charon tells of it in alerts, of which the first may say why and a
 * later one that; so what is known of an IKE SA is noted until it is gone. Failures go to kaidod as events
 * (docs/rpc.md): one for each IKE SA that was never up, and of those that anybody can cause without a
 * login only some a second, with the number of the others in the text.
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

/* The IKE SA is up. */
void kaido_ike_up(struct kaido_failures *failures, ike_sa_t *ike_sa);
/* It will end, and this is why, if nothing else is noted. */
void kaido_ike_ending(struct kaido_failures *failures, ike_sa_t *ike_sa, const char *reason);
/* It is down, and why it ended. NULL: it was not up. */
const char *kaido_ike_down(struct kaido_failures *failures, ike_sa_t *ike_sa);
/* It is gone. */
void kaido_ike_forget(struct kaido_failures *failures, ike_sa_t *ike_sa);

#endif
