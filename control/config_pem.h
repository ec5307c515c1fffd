/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates, revocation lists and private keys, looked at before they are taken. */
#ifndef KAIDO_CONTROL_CONFIG_PEM_H
#define KAIDO_CONTROL_CONFIG_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_fields.h"

enum pem_kind { PEM_CERTIFICATE, PEM_CRL };

/* The text of a member, checked to be 1 .. PEM_MAX of that kind; NULL with or without a mistake. */
char *pem_parse(struct config_reader *reader, const json_t *json, const char *member,
		enum pem_kind kind);

/*
 * Does this key belong to the first certificate, and is `id`, which `member` has, in that (where not NULL)?
 * Else a mistake. `key` may be NULL: not looked at.
 */
void pem_check_own(struct config_reader *reader, const char *certificate, const char *key,
		   const char *member, const char *id);
/* Are these certificates of CAs, a root among them, and is each CRL of one of them? */
void pem_check_ca(struct config_reader *reader, const char *ca, const char *crl);

/* Walks the parts of a PEM text as DER, which is what charon is given. 1: one more, 0: the end. */
struct pem_part {
	uint8_t *der;
	size_t size;
};
int pem_next(const char **text, struct pem_part *part);
void pem_part_free(struct pem_part *part);

#define PEM_DAY_LEN 16
/* Until when it holds, as "2031-12-31" and in whole days from now; negative: it has ended. INT_MAX: it says
 * nothing of that. */
int pem_days_left(enum pem_kind kind, const struct pem_part *part, char day[PEM_DAY_LEN]);

#endif /* KAIDO_CONTROL_CONFIG_PEM_H */
