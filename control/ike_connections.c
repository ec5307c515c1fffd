/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_connections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "address.h"
#include "config.h"
#include "config_pem.h"
#include "ike_secrets.h"

/*
 * What is offered and taken where nothing is configured, best first. IKE itself may use CBC, for some
 * clients know nothing better; ESP may not.
 */
static const char ike_default[] =
	"aes256gcm16-aes128gcm16-prfsha384-prfsha256-x25519-ecp384-ecp256-modp3072-modp2048,"
	"aes256-aes128-sha384-sha256-x25519-ecp384-ecp256-modp3072-modp2048";
/* The second one is for peers that renew keys without another key exchange. */
static const char esp_default[] =
	"aes256gcm16-aes192gcm16-aes128gcm16-x25519-ecp384-ecp256-modp3072-modp2048-esn-noesn,"
	"aes256gcm16-aes192gcm16-aes128gcm16-esn-noesn";

#define CHILD_REKEY_S    3600
#define OVERTIME_PERCENT 10
/* Without ESN, numbers end at 2^32: there is a successor before. */
#define REKEY_PACKETS    3700000000ull
#define LIFE_PACKETS     4200000000ull

struct making {
	json_t *conns;
	json_t *pools;
	json_t *certs;
	json_t *keys;
	bool per_cpu; /* charon knows of it */
};

const char *ike_cert_name(const char *data, char name[IKE_CERT_NAME_LEN])
{
	uint8_t digest[16];

	crypto_generichash(digest, sizeof(digest), (const uint8_t *)data, strlen(data), NULL, 0);
	return sodium_bin2hex(name, IKE_CERT_NAME_LEN, digest, sizeof(digest));
}

static void text_set(json_t *object, const char *member, const char *text)
{
	json_object_set_new(object, member, json_string(text));
}

static void yes_set(json_t *object, const char *member, bool yes)
{
	text_set(object, member, yes ? "yes" : "no");
}

/* `unit`: what stands behind it, "" or "s". */
static void number_set(json_t *object, const char *member, uint64_t number, const char *unit)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu%s", (unsigned long long)number, unit);
	text_set(object, member, text);
}

static json_t *list_of(const char *text)
{
	return json_pack("[s]", text);
}

/* -- certificates -- */

/* The parts of a PEM text into `certs`, and the first `most` of them into `list` (NULL: none). */
static void certs_add(struct making *making, const char *pem, const char *type, json_t *list,
		      size_t most)
{
	char name[IKE_CERT_NAME_LEN], *base64;
	struct pem_part part;
	size_t n = 0, room;

	while (pem != NULL && pem_next(&pem, &part) == 1) {
		room = sodium_base64_encoded_len(part.size, sodium_base64_VARIANT_ORIGINAL);
		base64 = malloc(room);
		if (base64 != NULL) {
			sodium_bin2base64(base64, room, part.der, part.size,
					  sodium_base64_VARIANT_ORIGINAL);
			json_object_set_new(making->certs, ike_cert_name(base64, name),
					    json_pack("{s:s, s:s}", "type", type, "data", base64));
			if (list != NULL && n < most)
				json_array_append_new(list, json_string(base64));
		}
		free(base64);
		pem_part_free(&part);
		n++;
	}
}

static void key_add(struct making *making, const char *tenant, const char *name,
		    const struct secret *key)
{
	char digest[2 * VAULT_DIGEST_LEN + 1];

	if (!secret_is_set(key))
		return;
	sodium_bin2hex(digest, sizeof(digest), key->digest, sizeof(key->digest));
	json_object_set_new(making->keys, digest,
			    json_pack("{s:s, s:s}", "tenant", tenant, "name", name));
}

/* -- who is who -- */

static const char *const auths[] = { [IKE_PSK] = "psk",
				     [IKE_CERTIFICATE] = "pubkey",
				     [IKE_EAP_MSCHAPV2] = "eap-mschapv2",
				     [IKE_EAP_TLS] = "eap-tls" };

static json_t *local_make(struct making *making, const struct ike *ike, const char *id)
{
	json_t *local = json_object(), *certs = json_array();
	bool client = ike_is_eap_client(ike);

	text_set(local, "auth", auths[ike_is_eap(ike) && !client ? IKE_CERTIFICATE : ike->auth]);
	text_set(local, "id", id);
	if (client)
		text_set(local, "eap_id", ike->user);
	if (ike->certificate != NULL) {
		/* Behind the first stand the CAs between: charon finds them by itself. */
		certs_add(making, ike->certificate, "X509", certs, 1);
		json_object_set(local, "certs", certs);
	}
	json_decref(certs);
	return local;
}

static json_t *remote_make(struct making *making, const struct ike *ike, const char *id)
{
	json_t *remote = json_object(), *cas = json_array();
	bool client = ike_is_eap_client(ike);

	text_set(remote, "auth", auths[client ? IKE_CERTIFICATE : ike->auth]);
	text_set(remote, "id", id == NULL ? "%any" : id);
	if (ike_is_eap(ike) && !client) /* clients are asked for it, a site has this one */
		text_set(remote, "eap_id", ike->user == NULL ? "%any" : ike->user);
	/* Named here, so that the CA of one tenant vouches for nobody of another. */
	certs_add(making, ike->ca, "X509", cas, SIZE_MAX);
	if (json_array_size(cas) > 0)
		json_object_set(remote, "cacerts", cas);
	json_decref(cas);
	certs_add(making, ike->crl, "X509_CRL", NULL, 0);
	if (ike->crl != NULL)
		text_set(remote, "revocation", "strict");
	return remote;
}

/* Members of a connection that do not depend on who is at its other end. */
static json_t *connection_make(const struct ike *ike, const struct abi_address *local,
			       const struct abi_address *remote)
{
	json_t *connection = json_object();
	char text[ADDRESS_TEXT_LEN];

	text_set(connection, "version", "2");
	json_object_set_new(connection, "local_addrs", list_of(address_format(local, text)));
	json_object_set_new(connection, "remote_addrs",
			    list_of(remote == NULL || remote->family == 0
					    ? "%any"
					    : address_format(remote, text)));
	json_object_set_new(
		connection, "proposals",
		config_render_proposals(ike->proposals == NULL ? ike_default : ike->proposals));
	number_set(connection, "rekey_time", ike->rekey, "s");
	text_set(connection, "reauth_time", "0s");
	number_set(connection, "dpd_delay", ike->dpd, "s");
	yes_set(connection, "mobike", ike->mobike);
	yes_set(connection, "encap", ike->udp);
	text_set(connection, "fragmentation", "yes");
	text_set(connection, "send_cert", "always");
	return connection;
}

/* -- children -- */

/* vici reads at most 15 digits: more are told in 2^30. */
static void bytes_set(json_t *child, const char *member, uint64_t bytes)
{
	if (bytes < 1000000000000000ull)
		number_set(child, member, bytes, "");
	else
		number_set(child, member, bytes >> 30, "G");
}

static uint64_t with_overtime(uint64_t soft)
{
	return soft + soft * OVERTIME_PERCENT / 100 + 1;
}

/* What is missing of soft and hard follows from the other one; `absent`: where both are. */
static void limits_settle(uint64_t *soft, uint64_t *hard, uint64_t absent)
{
	if (*soft == 0 && *hard == 0)
		*soft = absent;
	if (*soft == 0)
		*soft = *hard - *hard * OVERTIME_PERCENT / 100;
	if (*hard == 0 && *soft != 0)
		*hard = with_overtime(*soft);
}

static void lifetime_set(json_t *child, const struct lifetime *lifetime)
{
	struct lifetime l = *lifetime;

	limits_settle(&l.soft.seconds, &l.hard.seconds, CHILD_REKEY_S);
	number_set(child, "rekey_time", l.soft.seconds, "s");
	number_set(child, "life_time", l.hard.seconds, "s");
	limits_settle(&l.soft.bytes, &l.hard.bytes, 0);
	if (l.soft.bytes != 0) {
		bytes_set(child, "rekey_bytes", l.soft.bytes);
		bytes_set(child, "life_bytes", l.hard.bytes);
	}
	if (l.soft.packets == 0 && l.hard.packets == 0) {
		l.soft.packets = REKEY_PACKETS;
		l.hard.packets = LIFE_PACKETS;
	}
	limits_settle(&l.soft.packets, &l.hard.packets, 0);
	number_set(child, "rekey_packets", l.soft.packets, "");
	number_set(child, "life_packets", l.hard.packets, "");
}

static json_t *prefixes_list(const struct abi_address *prefixes, size_t n)
{
	json_t *list = json_array();
	char text[ADDRESS_TEXT_LEN];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(prefix_format(&prefixes[i], text)));
	return list;
}

/* All of each family that there is on the other side. */
static json_t *everything_list(const struct abi_address *others, size_t n)
{
	bool ipv4 = false, ipv6 = false;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		ipv4 |= others[i].family == ABI_IPV4;
		ipv6 |= others[i].family == ABI_IPV6;
	}
	if (ipv4)
		json_array_append_new(list, json_string("0.0.0.0/0"));
	if (ipv6)
		json_array_append_new(list, json_string("::/0"));
	return list;
}

static json_t *child_make(const struct ike *ike, uint32_t id, const struct lifetime *lifetime)
{
	/* What follows the loss of the peer, or its closing; where the peer begins, nothing. */
	static const char *const starts[] = {
		[IKE_RESPOND] = "none", [IKE_START] = "start", [IKE_TRAP] = "trap"
	};
	json_t *child = json_object();

	text_set(child, "mode", "tunnel");
	json_object_set_new(child, "esp_proposals",
			    config_render_proposals(
				    ike->esp_proposals == NULL ? esp_default : ike->esp_proposals));
	lifetime_set(child, lifetime);
	/* kaidod begins itself (ike_begin.h). */
	text_set(child, "start_action", ike->start == IKE_TRAP ? "trap" : "none");
	text_set(child, "dpd_action", starts[ike->start]);
	text_set(child, "close_action", starts[ike->start]);
	number_set(child, "if_id_in", id, "");
	number_set(child, "if_id_out", id, "");
	text_set(child, "replay_window", "1024");
	text_set(child, "hostaccess", "no");
	text_set(child, "policies", "yes");
	return child;
}

static json_t *tunnel_child(const struct making *making, const struct tunnel *tunnel)
{
	json_t *child = child_make(tunnel->ike, tunnel->id, &tunnel->lifetime);

	if (making->per_cpu && tunnel->ike->per_cpu) {
		text_set(child, "per_cpu_sas", "yes");
		/* Of a trap, since such SAs are asked for by acquires. */
		if (tunnel->ike->start != IKE_RESPOND)
			text_set(child, "start_action", "trap");
	}

	json_object_set_new(
		child, "local_ts",
		tunnel->n_local_networks > 0
			? prefixes_list(tunnel->local_networks, tunnel->n_local_networks)
			: everything_list(tunnel->networks, tunnel->n_networks));
	json_object_set_new(child, "remote_ts",
			    prefixes_list(tunnel->networks, tunnel->n_networks));
	return child;
}

/* -- connections -- */

static void tunnel_add(struct making *making, const struct tenant *tenant,
		       const struct tunnel *tunnel)
{
	const struct ike *ike = tunnel->ike;
	char name[IKE_NAME_LEN], local[ADDRESS_TEXT_LEN], remote[ADDRESS_TEXT_LEN];
	json_t *connection = connection_make(ike, &tunnel->local, &tunnel->remote);

	/* Of two IKE SAs with one peer the newer one is meant. */
	text_set(connection, "unique", "replace");
	/* Who begins goes on trying; else the peer does. */
	text_set(connection, "keyingtries", ike->start == IKE_START ? "0" : "1");
	json_object_set_new(connection, "local-1",
			    local_make(making, ike, ike_local_id(ike, &tunnel->local, local)));
	json_object_set_new(connection, "remote-1",
			    remote_make(making, ike, ike_remote_id(ike, &tunnel->remote, remote)));
	json_object_set_new(connection, "children",
			    json_pack("{s:o}", tunnel->name, tunnel_child(making, tunnel)));
	json_object_set_new(making->conns, model_ike_name(tenant->name, tunnel->name, name),
			    connection);
	key_add(making, tenant->name, tunnel->name, &ike->key);
}

/* One more child of a connection that stands already. */
static void peer_add(struct making *making, const struct tenant *tenant,
		     const struct tunnel *tunnel)
{
	char name[IKE_NAME_LEN];
	json_t *connection = json_object_get(making->conns,
					     model_ike_name(tenant->name, tunnel->ike->peer, name));

	if (connection != NULL)
		json_object_set_new(json_object_get(connection, "children"), tunnel->name,
				    tunnel_child(making, tunnel));
}

/* Servers of a family without a pool are told with the others. */
static json_t *dns_list(const struct remote_access *access, uint8_t family)
{
	json_t *list = json_array();
	char text[ADDRESS_TEXT_LEN];

	for (size_t i = 0; i < access->n_dns; i++) {
		bool told = access->dns[i].family == family, other = false;

		for (size_t k = 0; k < access->n_pools; k++)
			other |= access->pools[k].family == access->dns[i].family;
		if (told || !other)
			json_array_append_new(list,
					      json_string(address_format(&access->dns[i], text)));
	}
	return list;
}

/* Returns the names of its pools: that of the connection, and with .2, .3 behind it further ones. */
static json_t *pools_add(struct making *making, const struct tenant *tenant,
			 const struct remote_access *access)
{
	char base[IKE_NAME_LEN], name[IKE_NAME_LEN + 24], text[ADDRESS_TEXT_LEN];
	json_t *names = json_array(), *pool, *dns;

	model_ike_name(tenant->name, access->name, base);
	for (size_t i = 0; i < access->n_pools; i++) {
		snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%zu", base, i + 1);
		pool = json_pack("{s:s}", "addrs", prefix_format(&access->pools[i], text));
		dns = dns_list(access, access->pools[i].family);
		if (json_array_size(dns) > 0)
			json_object_set(pool, "dns", dns);
		json_decref(dns);
		json_object_set_new(making->pools, name, pool);
		json_array_append_new(names, json_string(name));
	}
	return names;
}

static void access_add(struct making *making, const struct tenant *tenant,
		       const struct remote_access *access)
{
	char name[IKE_NAME_LEN], local[ADDRESS_TEXT_LEN];
	const struct ike *ike = access->ike;
	json_t *connection = connection_make(ike, &access->local, NULL);
	json_t *child = child_make(ike, access->id, &access->lifetime);

	text_set(connection, "unique", access->multiple_logins ? "never" : "replace");
	json_object_set_new(connection, "pools", pools_add(making, tenant, access));
	json_object_set_new(connection, "local-1",
			    local_make(making, ike, ike_local_id(ike, &access->local, local)));
	json_object_set_new(connection, "remote-1", remote_make(making, ike, NULL));
	json_object_set_new(child, "local_ts",
			    access->n_networks > 0
				    ? prefixes_list(access->networks, access->n_networks)
				    : everything_list(access->pools, access->n_pools));
	/* The client's own addresses, of the pool. */
	json_object_set_new(child, "remote_ts", list_of("dynamic"));
	json_object_set_new(connection, "children", json_pack("{s:o}", access->name, child));
	json_object_set_new(making->conns, model_ike_name(tenant->name, access->name, name),
			    connection);
	key_add(making, tenant->name, access->name, &ike->key);
}

static void tenant_add(struct making *making, const struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		if (tenant->tunnels[i]->ike != NULL && tenant->tunnels[i]->ike->peer[0] == '\0')
			tunnel_add(making, tenant, tenant->tunnels[i]);
	}
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		if (tenant->tunnels[i]->ike != NULL && tenant->tunnels[i]->ike->peer[0] != '\0')
			peer_add(making, tenant, tenant->tunnels[i]);
	}
	for (size_t i = 0; i < tenant->n_remote_access; i++)
		access_add(making, tenant, tenant->remote_access[i]);
}

json_t *ike_connections(const struct model *model, bool per_cpu)
{
	struct making making = { json_object(), json_object(), json_object(), json_object(),
				 per_cpu };

	for (size_t i = 0; i < model->n_tenants; i++)
		tenant_add(&making, model->tenants[i]);
	return json_pack("{s:o, s:o, s:o, s:o}", "conns", making.conns, "pools", making.pools,
			 "certs", making.certs, "keys", making.keys);
}
