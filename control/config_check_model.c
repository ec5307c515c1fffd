/* SPDX-License-Identifier: BSD-3-Clause */
/* What only one in the whole gateway may have: ports with their VLANs, inbound SPIs, keys. */

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "config_check.h"

struct port_vlan {
	char port[ABI_NAME_LEN];
	uint16_t vlan;
};

const struct claim_holder *check_take(struct check *check, enum claim_kind kind, const void *key,
				      size_t size, const struct claim_holder *holder)
{
	if (check->wanted != NULL && claims_find(check->wanted, kind, key, size) == NULL)
		return NULL;
	return claims_take(check->claims, kind, key, size, holder);
}

static void attachment_claim(struct check *check, const struct attachment *attachment,
			     const struct claim_holder *holder)
{
	struct port_vlan key = { .vlan = attachment->vlan };
	const struct claim_holder *other;

	if (attachment->port[0] == '\0')
		return;
	memcpy(key.port, attachment->port, sizeof(key.port));
	other = check_take(check, CLAIM_PORT, &key, sizeof(key), holder);
	if (other != NULL && check->reader != NULL)
		reader_error_of(
			check->reader, "vlan",
			"VLAN %u of port '%s' already belongs to '%s' of %s%s: take another",
			attachment->vlan, attachment->port, other->name, other->what,
			other->tenant);
}

/*
 * One key in two SAs would send two packets under one nonce (RFC 4106 section 3.1). In the two
 * directions of a tunnel it does the same, with the peer sending the other one.
 */
static void sa_claim(struct check *check, const struct sa *sa, const struct claim_holder *holder)
{
	static const uint8_t none[VAULT_DIGEST_LEN];
	const struct claim_holder *other;

	if (sa->direction == ABI_SA_IN && sa->spi != 0) {
		other = check_take(check, CLAIM_SPI, &sa->spi, sizeof(sa->spi), holder);
		if (other != NULL && check->reader != NULL)
			reader_error_of(check->reader, "spi",
					"inbound SPI 0x%x already belongs to tunnel '%s' of tenant "
					"'%s': take another",
					sa->spi, other->name, other->tenant);
	}
	if (memcmp(sa->digest, none, sizeof(none)) == 0)
		return;
	other = check_take(check, CLAIM_KEY, sa->digest, sizeof(sa->digest), holder);
	if (other != NULL && check->reader != NULL &&
	    (sa->direction == ABI_SA_OUT || other->outbound))
		reader_error_of(
			check->reader, "key",
			"is in use in tunnel '%s' of tenant '%s': AES-GCM is broken when two "
			"SAs share key and salt, make a new key for each SA and direction",
			other->name, other->tenant);
}

static void tunnel_claim(struct check *check, const struct tenant *tenant,
			 const struct tunnel *tunnel)
{
	for (size_t i = 0; i < tunnel->n_sas; i++) {
		struct claim_holder holder = { .what = "tunnel",
					       .name = tunnel->name,
					       .tenant = tenant->name,
					       .outbound = tunnel->sas[i].direction == ABI_SA_OUT };
		size_t mark = 0, inner = 0;

		if (check->reader != NULL) {
			mark = reader_enter(check->reader, "sas");
			inner = reader_enter_index(check->reader, i);
		}
		sa_claim(check, &tunnel->sas[i], &holder);
		if (check->reader != NULL) {
			reader_leave(check->reader, inner);
			reader_leave(check->reader, mark);
		}
	}
}

size_t check_enter(struct check *check, const char *member, size_t index)
{
	size_t mark;

	if (check->reader == NULL)
		return 0;
	mark = reader_enter(check->reader, member);
	reader_enter_index(check->reader, index);
	return mark;
}

void check_leave(struct check *check, size_t mark)
{
	if (check->reader != NULL)
		reader_leave(check->reader, mark);
}

static void tenant_claim(struct check *check, const struct tenant *tenant)
{
	size_t mark;

	for (size_t i = 0; i < tenant->n_attachments; i++) {
		struct claim_holder holder = { .what = "tenant ",
					       .name = tenant->attachments[i]->name,
					       .tenant = tenant->name };

		mark = check_enter(check, "attachments", i);
		attachment_claim(check, tenant->attachments[i], &holder);
		check_leave(check, mark);
	}
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		mark = check_enter(check, "tunnels", i);
		tunnel_claim(check, tenant, tenant->tunnels[i]);
		check_leave(check, mark);
	}
	check_ike_claim(check, tenant);
}

static void underlay_claim(struct check *check, const struct attachment *underlay)
{
	struct claim_holder holder = { .what = "the underlay",
				       .name = underlay->name,
				       .tenant = "" };

	attachment_claim(check, underlay, &holder);
	for (size_t i = 0; i < underlay->n_routes; i++) {
		const struct route *route = &underlay->routes[i];
		size_t mark = check_enter(check, "routes", i);
		bool on_link = route->kind != ABI_ROUTE_GATEWAY || route->via.family == 0;

		for (uint32_t k = 0; k < underlay->n_addresses; k++)
			on_link |= address_in(&route->via, &underlay->address[k]);
		if (!on_link && check->reader != NULL)
			reader_error_of(check->reader, "via",
					"is not on the link of any address of '%s'",
					underlay->name);
		if (route->prefix.family != 0 &&
		    check_take(check, CLAIM_PREFIX, &route->prefix, sizeof(route->prefix),
			       &holder) != NULL &&
		    check->reader != NULL)
			reader_error_of(check->reader, "prefix",
					"stands twice in the underlay: remove one");
		check_leave(check, mark);
	}
}

static bool config_names_tenant(const struct claims *names, const char *name)
{
	return claims_find(names, CLAIM_NAME, name, strlen(name)) != NULL;
}

static bool config_names_underlay(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_underlay; i++) {
		if (strcmp(config->underlay[i]->name, name) == 0)
			return true;
	}
	return false;
}

/* Tells of names that stand twice in the file, and remembers the tenants' names. */
static void config_names_check(struct config_reader *reader, const struct config *config,
			       struct claims *names)
{
	for (size_t i = 0; i < config->n_tenants; i++) {
		const char *name = config->tenants[i]->name;
		struct claim_holder holder = { .what = "tenant", .name = name };
		size_t mark = reader_enter(reader, "tenants");

		reader_enter_index(reader, i);
		if (name[0] != '\0' &&
		    claims_take(names, CLAIM_NAME, name, strlen(name), &holder) != NULL)
			reader_error_of(reader, "name",
					"two tenants have the name '%s': rename one", name);
		reader_leave(reader, mark);
	}
	for (size_t i = 0; i < config->n_underlay; i++) {
		for (size_t k = 0; k < i; k++) {
			size_t mark = reader_enter(reader, "underlay");

			reader_enter_index(reader, i);
			if (config->underlay[i]->name[0] != '\0' &&
			    strcmp(config->underlay[i]->name, config->underlay[k]->name) == 0)
				reader_error_of(reader, "name",
						"two entries have the name '%s': rename one",
						config->underlay[i]->name);
			reader_leave(reader, mark);
		}
	}
}

static void config_claim(struct check *check, const struct config *config)
{
	size_t mark;

	for (size_t i = 0; i < config->n_underlay; i++) {
		mark = check_enter(check, "underlay", i);
		underlay_claim(check, config->underlay[i]);
		check_leave(check, mark);
	}
	for (size_t i = 0; i < config->n_tenants; i++) {
		mark = check_enter(check, "tenants", i);
		tenant_claim(check, config->tenants[i]);
		check_leave(check, mark);
	}
}

/*
 * A small change to a large gateway must be quick: first what the config wants is gathered, then
 * those who stay and have any of it, then the config is checked against them and itself, so that
 * mistakes are told of in the file.
 */
void config_check_model(struct config_reader *reader, const struct config *config,
			const struct model *next)
{
	struct claims *names = claims_create();
	struct check wanted = { .claims = claims_create() };
	struct check check = { .claims = claims_create(), .wanted = wanted.claims };

	if (check.claims == NULL || wanted.claims == NULL || names == NULL) {
		reader->failed = true;
		goto out;
	}
	config_names_check(reader, config, names);
	config_claim(&wanted, config);
	for (size_t i = 0; i < next->n_underlay; i++) {
		if (!config_names_underlay(config, next->underlay[i]->name))
			underlay_claim(&check, next->underlay[i]);
	}
	for (size_t i = 0; i < next->n_tenants; i++) {
		if (!config_names_tenant(names, next->tenants[i]->name))
			tenant_claim(&check, next->tenants[i]);
	}
	check.reader = reader;
	config_claim(&check, config);
	reader->failed |=
		claims_failed(check.claims) || claims_failed(wanted.claims) || claims_failed(names);
out:
	claims_destroy(check.claims);
	claims_destroy(wanted.claims);
	claims_destroy(names);
}
