/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files that look at how objects fit together: config_check*.c. */
#ifndef KAIDO_CONTROL_CONFIG_CHECK_H
#define KAIDO_CONTROL_CONFIG_CHECK_H

#include "claims.h"
#include "config.h"

/* A look at what only one in the whole gateway may have. */
struct check {
	struct config_reader *reader; /* NULL: nothing is told */
	struct claims *claims;
	const struct claims *wanted; /* not NULL: what nobody else wants need not be remembered */
};

const struct claim_holder *check_take(struct check *check, enum claim_kind kind, const void *key,
				      size_t size, const struct claim_holder *holder);
/* Down to an element of a list and back, where mistakes are told. */
size_t check_enter(struct check *check, const char *member, size_t index);
void check_leave(struct check *check, size_t mark);

/* What IKE knows peers by: each pair of identities belongs to one tunnel or remote access. */
void check_ike_claim(struct check *check, const struct tenant *tenant);

/* -- within a tenant -- */

/* Claims a prefix of the tenant for its holder; tells who has it already. */
void check_prefix_claim(struct config_reader *reader, struct claims *claims,
			const struct abi_address *prefix, const struct claim_holder *holder);
void check_tenant_ike(struct config_reader *reader, const struct tenant *tenant);

#endif /* KAIDO_CONTROL_CONFIG_CHECK_H */
