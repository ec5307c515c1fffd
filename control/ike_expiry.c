/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_expiry.h"

#include <stdio.h>

#include "config_pem.h"

struct look {
	ike_expiry_tell tell;
	void *context;
	const char *tenant;
	const char *name;
};

/* Each part of a PEM text, or only the first. */
static void ends_look(const struct look *look, const char *what, enum pem_kind kind,
		      const char *text, bool first)
{
	struct pem_part part;
	char message[320], day[PEM_DAY_LEN];
	int days;

	while (text != NULL && pem_next(&text, &part) == 1) {
		days = pem_days_left(kind, &part, day);
		pem_part_free(&part);
		if (days < 0)
			snprintf(message, sizeof(message),
				 "%s of '%s' of tenant '%s' has ended on %s, peers are refused: "
				 "give a new one",
				 what, look->name, look->tenant, day);
		else if (days < IKE_EXPIRY_DAYS)
			snprintf(
				message, sizeof(message),
				"%s of '%s' of tenant '%s' ends on %s, and peers are refused then: "
				"give a new one",
				what, look->name, look->tenant, day);
		if (days < IKE_EXPIRY_DAYS)
			look->tell(look->context, look->tenant, look->name, message);
		if (first)
			return;
	}
}

static void ike_look(struct look *look, const char *name, const struct ike *ike)
{
	look->name = name;
	ends_look(look, "the gateway's certificate", PEM_CERTIFICATE, ike->certificate, true);
	ends_look(look, "a CA", PEM_CERTIFICATE, ike->ca, false);
	ends_look(look, "a revocation list", PEM_CRL, ike->crl, false);
}

void ike_expiry_look(const struct model *model, ike_expiry_tell tell, void *context)
{
	struct look look = { .tell = tell, .context = context };

	for (size_t i = 0; i < model->n_tenants; i++) {
		const struct tenant *tenant = model->tenants[i];

		look.tenant = tenant->name;
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			if (tenant->tunnels[k]->ike != NULL)
				ike_look(&look, tenant->tunnels[k]->name, tenant->tunnels[k]->ike);
		}
		for (size_t k = 0; k < tenant->n_remote_access; k++)
			ike_look(&look, tenant->remote_access[k]->name,
				 tenant->remote_access[k]->ike);
	}
}
