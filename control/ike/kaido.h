/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libstrongswan-kernel-kaido.so: IPsec of charon, done by kaido. What charon negotiates goes to kaidod by
 * JSON-RPC over its Unix socket; what happens in the dataplane (lifetimes, moved peers, packets that want a
 * tunnel, usage) comes back the same way. docs/ike.md tells an operator about it.
 *
 *	kaido_plugin.c    the plugin: what it offers charon, settings, start and end
 *	kaido_ipsec.c     charon's kernel_ipsec_t: SAs and policies
 *	kaido_sa.c        the SAs that charon has, by handle and by name, and what they carried
 *	kaido_child.c     what happens to an SA, told to charon
 *	kaido_spi.c       inbound SPIs
 *	kaido_policy.c    policies: which trap a packet springs, and when a policy was last used
 *	kaido_rpc.c       requests to kaidod: queued, or waited for
 *	kaido_queue.c     those that are not answered
 *	kaido_talk.c      the thread that sends them
 *	kaido_link.c      its socket: lines out and in
 *	kaido_request.c   params of requests
 *	kaido_notify.c    answers and notifications of kaidod, handed to charon
 *	kaido_listener.c  charon's bus: what becomes of IKE SAs
 *	kaido_ike.c       what is known of IKE SAs until they are gone
 *	kaido_failure.c   why a negotiation failed
 *	kaido_password.c  EAP-MSCHAPv2 as it passes by: when a password was wrong
 *	kaido_creds.c     secrets and locked identities that kaidod gives
 *	kaido_text.c      addresses, identities and selectors as text
 *
 * Threads: charon's workers call kaido_ipsec.c, kaido_listener.c and kaido_creds.c; kaidod's messages are
 * handled by the thread of kaido_talk.c. Each table has a lock of its own and none is held while another is taken.
 */
#ifndef KAIDO_H
#define KAIDO_H

#include <daemon.h>

/* Under this name lib->get() has the struct kaido, for charon's constructors take no arguments. */
#define KAIDO_OBJECT "kernel-kaido"

struct kaido_settings {
	char *socket;  /* of kaidod, for charon */
	int queue;     /* SAs that may wait for kaidod */
	int wait_ms;   /* that charon waits for an SA to be installed, at most */
	int linger_ms; /* for kaidod to take what is queued when charon ends */
};

struct kaido {
	struct kaido_settings settings;
	char instance[17]; /* of this charon process: 16 hexadecimal digits */
	bool has_ipsec;    /* charon's SAs come here, not to another plugin */
	struct kaido_spis *spis;
	struct kaido_sas *sas;
	struct kaido_policies *policies;
	struct kaido_creds *creds;
	struct kaido_ikes *ikes;
	struct kaido_failures *failures;
	struct kaido_listener *listener;
	struct kaido_rpc *rpc;
};

#endif
