/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between JSON (docs/configuration.md) and the model.
 *
 * config_parse.c reads objects one by one, config_check.c looks at how they fit together,
 * config_render.c writes them. Mistakes go to the reader; the caller looks at reader->n_errors.
 */
#ifndef KAIDO_CONTROL_CONFIG_H
#define KAIDO_CONTROL_CONFIG_H

#include <jansson.h>

#include "config_fields.h"
#include "model.h"

struct vault;

/* What a parser needs besides the text. */
struct config_context {
	struct vault *vault;
	const struct model *current; /* where the key "set" is looked up */
	struct config_reader *reader;
};

/* Each returns a new object with one reference, or NULL when out of memory (reader->failed). An
 * object with mistakes is returned too: what is wrong in it is zero. */
struct attachment *config_parse_attachment(struct config_context *context, const json_t *json,
					   bool underlay);
struct tunnel *config_parse_tunnel(struct config_context *context, const char *tenant,
				   const json_t *json);
struct remote_access *config_parse_remote_access(struct config_context *context, const char *tenant,
						 const json_t *json);
struct tenant *config_parse_tenant(struct config_context *context, const json_t *json);
bool config_parse_route(struct config_context *context, const json_t *json, bool underlay,
			struct route *route);
/* People bring the fields of other gateways' files: says what to use instead. Were there any? */
bool config_foreign_fields(struct config_reader *reader, const json_t *json);
bool config_parse_sa(struct config_context *context, const char *tenant, const char *tunnel,
		     const json_t *json, struct sa *sa);

/* A whole file. */
struct config {
	struct tenant **tenants; /* in the file's order */
	size_t n_tenants;
	struct attachment **underlay;
	size_t n_underlay;
};
struct config *config_parse(struct config_context *context, const json_t *json);
void config_destroy(struct config *config);

/* Within one tenant; the reader stands at the tenant. */
void config_check_tenant(struct config_reader *reader, const struct tenant *tenant);
/*
 * Across the gateway: `config` as part of `next`, the model as it would be. Mistakes are noted at
 * `<prefix>/tenants/N/...` of the config.
 */
void config_check_model(struct config_reader *reader, const struct config *config,
			const struct model *next);

enum config_form {
	CONFIG_SHOWN,    /* as a file would have it, a key as "set" */
	CONFIG_COMPARED, /* with a digest of what is secret, so that a change of it shows */
	CONFIG_STORED,   /* for the store: ids, digests and sealed keys */
};
json_t *config_render_attachment(const struct attachment *attachment, enum config_form form);
json_t *config_render_tunnel(const struct tunnel *tunnel, enum config_form form);
json_t *config_render_remote_access(const struct remote_access *access, enum config_form form);
/* The members that are alike of a tunnel's `ike` and of remote access, into `object`. */
void config_render_ike(json_t *object, const struct ike *ike, enum config_form form);
void config_render_secret(json_t *object, const char *member, const struct secret *secret,
			  enum config_form form);
json_t *config_render_tunnel_ike(const struct ike *ike, enum config_form form);
json_t *config_render_proposals(const char *proposals);
extern const char *const config_access_auths[]; /* by enum ike_auth, NULL behind the last */
json_t *config_render_sa(const struct sa *sa, enum config_form form);
/* Without the limits that there are not. */
json_t *config_render_lifetime(const struct lifetime *lifetime);
json_t *config_render_selectors(const struct tunnel *tunnel);
json_t *config_render_route(const struct route *route);
/* Puts lists in the order that the model keeps: attachments and tunnels by name. After the checks, which name places. */
void config_sort_tenant(struct tenant *tenant);

/* Without its tunnels and remote access when asked so: the store keeps those in rows of their own. */
json_t *config_render_tenant(const struct tenant *tenant, enum config_form form, bool tunnels);
json_t *config_render(const struct model *model, const struct tenant *only);

#define CONFIG_FINGERPRINT_LEN 17
const char *config_fingerprint(const struct sa *sa, char text[CONFIG_FINGERPRINT_LEN]);

#endif /* KAIDO_CONTROL_CONFIG_H */
