/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files that read objects: config_parse*.c, config_selector.c, config_ike.c and what they use. */
#ifndef KAIDO_CONTROL_CONFIG_PARSE_H
#define KAIDO_CONTROL_CONFIG_PARSE_H

#include "config.h"

#define LABEL_MAX      128
#define MTU_LEAST      576
#define MTU_LEAST_IPV6 1280
#define MTU_MOST       9216

extern const char *const config_id_only[]; /* what a stored object has besides */

uint32_t config_parse_id(struct config_reader *reader, const json_t *json);
/* `udp`: ESP in UDP is possible; `follow`: what that is where it is absent. */
void config_parse_policy(struct config_reader *reader, const json_t *json, bool udp, bool follow,
			 struct tunnel_policy *policy);
void config_parse_selectors(struct config_reader *reader, const json_t *json,
			    struct tunnel *tunnel);
/* The member `lifetime`. Returns whether it is there. */
bool config_parse_lifetime(struct config_reader *reader, const json_t *json,
			   struct lifetime *lifetime);
/* A list of prefixes; *prefixes is allocated where there are any. */
void config_parse_prefixes(struct config_reader *reader, const json_t *json, const char *member,
			   struct abi_address **prefixes, size_t *n);

/* -- config_ike.c -- */

/* The member `ike` of a tunnel that has been read but for its SAs; NULL where it is absent. */
struct ike *config_parse_ike(struct config_context *context, const char *tenant, const json_t *json,
			     const struct tunnel *tunnel);
/* What tunnels and remote access have alike, of an object of either. `name`: of the tunnel. */
void config_parse_ike_common(struct config_context *context, const char *tenant, const char *name,
			     const json_t *json, const struct ike *known, struct ike *ike);
/* Says of an old method, in whatever member it is asked for, what to use instead. */
bool config_legacy_method(struct config_reader *reader, const json_t *json);
/* Files are read by kaidoctl. True: there was one, and the mistake is told. */
bool config_files_refuse(struct config_reader *reader, const json_t *json);

/* -- config_eap.c -- */

/* `eap`, `user` and `password` of a tunnel's `ike`, whose `start` has been read. */
void config_parse_eap(struct config_context *context, const char *tenant, const char *name,
		      const json_t *json, const struct ike *known, struct ike *ike);
/* Has it all that EAP needs, and nothing that it doesn't use? */
void config_check_eap(struct config_reader *reader, const json_t *json, const struct ike *ike);

/* -- config_access.c -- */

/* The member `lockout` of a tenant. */
void config_parse_lockout(struct config_reader *reader, const json_t *json,
			  struct lockout *lockout);

/* -- identities, proposals, secrets -- */

bool config_identity_is_valid(const char *text);
/* A name that a user may log in by. */
bool config_user_is_valid(const char *text);
/* Allocated; NULL where it is absent or a mistake. */
char *config_parse_identity(struct config_reader *reader, const json_t *json, const char *member);
/* Separated by commas, allocated; NULL where there are none. */
char *config_parse_proposals(struct config_reader *reader, const json_t *json, const char *member,
			     bool esp);

struct secret_kind {
	size_t least; /* characters */
	size_t most;
	bool one_line; /* of printable ASCII */
	bool encoded;  /* may be hexadecimal or base64; `most` is SECRET_TEXT_MAX then */
};
extern const struct secret_kind config_password_kind; /* of EAP-MSCHAPv2 */
/* What the secret is bound to: secret_identity(). */
struct secret_place {
	const char *tenant;
	const char *name;
	const char *what;
	const char *user;
};
/* `known`: what "set" stands for, or NULL. */
void config_parse_secret(struct config_context *context, const json_t *json, const char *member,
			 const struct secret_kind *kind, const struct secret_place *place,
			 const struct secret *known, struct secret *secret);

#endif /* KAIDO_CONTROL_CONFIG_PARSE_H */
