/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps charon's configuration what the desired state says: connections, pools, certificates and
 * private keys, over vici. Only what differs from what it was given is given, so that an unchanged
 * connection, and its IKE SAs, are left alone. A charon that is new, or was away, is asked what it has.
 */
#ifndef KAIDO_CONTROL_IKE_CONFIG_H
#define KAIDO_CONTROL_IKE_CONFIG_H

#include <stdbool.h>

#include "model.h"

struct event_base;
struct ike_config;
struct vault;

struct ike_config_hooks {
	void *context;
	/* The desired state as it is now; borrowed. */
	const struct model *(*desired)(void *context);
	/* Has the tunnel with that id SAs? */
	bool (*is_up)(void *context, uint32_t tunnel);
	/* Something that an operator has to know; `tenant` and `tunnel` may be NULL. */
	void (*event)(void *context, const char *kind, const char *text, const char *tenant,
		      const char *tunnel);
};

/* `vici`: path of charon's socket; `state`: kaidod's folder. Both borrowed. Negative errno. */
int ike_config_open(struct event_base *base, const char *vici, const char *state,
		    const struct vault *vault, const struct ike_config_hooks *hooks,
		    struct ike_config **config);
void ike_config_close(struct ike_config *config); /* NULL is allowed, as in all below */

/* The desired state may be another one: looked at soon. */
void ike_config_changed(struct ike_config *config);
/*
 * charon's plugin has opened and been sent its secrets, or is gone (`version` NULL). Without it no connection is
 * loaded: its SAs would be the kernel's. `version`: "strongSwan 6.0.6".
 */
void ike_config_plugin(struct ike_config *config, const char *version);
/* What was negotiated for a tunnel failed, other than for want of an answer: if it is one that the gateway
 * begins with, it does so again soon. */
void ike_config_failed(struct ike_config *config, const char *tenant, const char *tunnel);

struct ike_config_state {
	size_t wanted;  /* connections; where there is none, charon isn't called */
	bool connected; /* to charon */
	bool plugin;    /* charon's has opened */
	bool settled;   /* it has all that is wanted, but for what it refused */
	size_t refused;
};
void ike_config_state(const struct ike_config *config, struct ike_config_state *state);

#endif /* KAIDO_CONTROL_IKE_CONFIG_H */
