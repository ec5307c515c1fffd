/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of keys, each with its first holder: how conflicts are found without comparing all with
 * all. */
#ifndef KAIDO_CONTROL_CLAIMS_H
#define KAIDO_CONTROL_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>

enum claim_kind { CLAIM_NAME = 1, CLAIM_PREFIX, CLAIM_PORT, CLAIM_SPI, CLAIM_KEY, CLAIM_IDENTITY };

struct claim_holder {
	const char *what; /* borrowed, as are the others */
	const char *name;
	const char *tenant;
	bool outbound;
};

struct claims;

struct claims *claims_create(void); /* NULL: out of memory */
void claims_destroy(struct claims *claims);
/* NULL: it was free and is the holder's now; else who has it. */
const struct claim_holder *claims_take(struct claims *claims, enum claim_kind kind, const void *key,
				       size_t size, const struct claim_holder *holder);
const struct claim_holder *claims_find(const struct claims *claims, enum claim_kind kind,
				       const void *key, size_t size);
/* Memory ran out on the way: its answers can't be relied on. */
bool claims_failed(const struct claims *claims);

#endif /* KAIDO_CONTROL_CLAIMS_H */
