/* SPDX-License-Identifier: BSD-3-Clause */
/* Between ike_config.c, which knows what is wanted and when, and ike_load.c, which gives it to charon. */
#ifndef KAIDO_CONTROL_IKE_LOAD_H
#define KAIDO_CONTROL_IKE_LOAD_H

#include <jansson.h>

#include "ike_config.h"

#define IKE_RETRY_S 30 /* what charon refused is tried again: a pool may be free then */

struct event;
struct vici;

/* What charon is given and knows by a name of its own. */
enum part { PART_CERTS, PART_KEYS, PART_POOLS, PART_CONNS, PARTS };

/* Names, of which those before `at` are done. */
struct ike_list {
	json_t *names;
	size_t at;
};

struct ike_config {
	struct event_base *base;
	struct vici *vici;
	const char *state;
	const struct vault *vault;
	struct ike_config_hooks hooks;
	json_t *wanted; /* of ike_connections(); NULL: not looked at yet */
	/* By part and name: what charon has; of keys the id that charon gave it. null: something. */
	json_t *loaded[PARTS];
	json_t *refused[PARTS]; /* what it would not take, and need not be told again */
	json_t *told_pools;     /* those whose refusal operators know of */
	bool listed;            /* what differs: */
	struct ike_list load[PARTS];
	struct ike_list unload[PARTS];
	unsigned int asked;       /* questions about what it has that are not answered */
	bool unheard;             /* of these, one was not answered well */
	unsigned int sent;        /* what changes it ... */
	unsigned int sent_before; /* ... when it was asked */
	json_t *has[PARTS];       /* what it answered: names, of keys ids */
	bool known;               /* what it has */
	bool busy;                /* a request is under way */
	bool settled;             /* there is nothing left to be sent */
	bool plugin;              /* it has its secrets, or is not going to get them */
	bool per_cpu;             /* that charon knows RFC 9611 */
	json_t *told_old;         /* names of tunnels that it can't do that for */
	enum part part;           /* of that */
	char name[128];
	json_t *value;
	struct event *look;   /* at the desired state */
	struct event *retry;  /* what was refused */
	struct event *ask;    /* what charon has, again */
	struct event *file;   /* writes ike/swanctl.conf */
	struct event *begin;  /* with: */
	json_t *to_begin;     /* names of tunnels, with that of their tenant */
	struct event *expiry; /* once a day */
	struct event *absent; /* tells that charon isn't there */
	struct event *alone;  /* tells that the plugin isn't there */
	char told[256];       /* what it last failed to write */
};

/* An event of kind `ike-config`; `tenant` and `tunnel` may be NULL or "". */
__attribute__((format(printf, 4, 5))) void ike_tell(struct ike_config *config, const char *tenant,
						    const char *tunnel, const char *format, ...);
/* Nothing is known of charon any more. */
void ike_load_forget(struct ike_config *config);
/* What is wanted, or what charon has, may be other things now: the differences are looked for anew. */
void ike_load_again(struct ike_config *config);
/* Sends the next request; where there is none, charon is as wanted. */
void ike_load_step(struct ike_config *config);
/* IKE SAs of a connection, or a child of it (else NULL). charon begins and doesn't wait for the peer. */
void ike_load_terminate(struct ike_config *config, const char *connection, const char *child);
/* A vici_answer for those that nobody needs. */
void ike_load_nothing(void *context, int error, const char *text, const uint8_t *message,
		      size_t size);

#endif /* KAIDO_CONTROL_IKE_LOAD_H */
