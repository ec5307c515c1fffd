/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The desired state. Tenants, tunnels and underlay entries are reference-counted and don't change
 * once they stand in a model: a change makes a new model that shares all it leaves alone, so that
 * what differs is found by comparing pointers.
 *
 * SPIs, ports and numbers are in host byte order here; addresses are as in the southbound ABI.
 */
#ifndef KAIDO_CONTROL_MODEL_H
#define KAIDO_CONTROL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "vault.h"

#define MODEL_KEY_MAX    36 /* AES key and salt */
#define MODEL_SEALED_MAX (MODEL_KEY_MAX + VAULT_OVERHEAD)

struct neighbour {
	struct abi_address address;
	uint8_t mac[6];
};

struct route {
	struct abi_address prefix;
	enum abi_route_kind kind;
	struct abi_address via;    /* GATEWAY */
	char tunnel[ABI_NAME_LEN]; /* TUNNEL */
};

struct attachment {
	unsigned int references;
	uint32_t id; /* 0: none given yet */
	char name[ABI_NAME_LEN];
	char port[ABI_NAME_LEN];
	char netdev[ABI_IFNAME_LEN]; /* underlay only */
	uint16_t vlan;
	uint16_t mtu;
	uint32_t n_addresses;
	struct abi_address address[ABI_ATTACHMENT_ADDRESSES];
	struct neighbour *neighbours;
	size_t n_neighbours;
	struct route *routes; /* underlay only */
	size_t n_routes;
};

/* How long an SA may serve; 0: no limit. Soft ones end before hard ones. */
struct lifetime {
	struct abi_lifetime soft;
	struct abi_lifetime hard;
};

struct sa {
	uint32_t id; /* 0: none given yet */
	uint32_t spi;
	uint32_t window;
	enum abi_sa_direction direction;
	bool esn;
	uint16_t cpu;      /* outbound, negotiated: as in abi_sa */
	bool own_lifetime; /* else it has that of its tunnel */
	struct lifetime lifetime;
	uint8_t key_len;                  /* of the AES key: 16, 24, 32 */
	uint8_t digest[VAULT_DIGEST_LEN]; /* of key and salt */
	uint8_t sealed[MODEL_SEALED_MAX]; /* key_len + 4 + VAULT_OVERHEAD bytes of it */
};

/* How outer headers are made and what is sent by itself, in values of abi_tunnel. */
struct tunnel_policy {
	uint32_t flags; /* ABI_TUNNEL_FOLLOW and those behind it */
	uint16_t mss;
	uint16_t pad_to;
	uint16_t keepalive; /* seconds */
	uint16_t dummy_ms;
	uint8_t dscp;
	uint8_t df;
	uint8_t flow_label;
	uint8_t ttl; /* 0: what the dataplane takes, 64 */
};

/* Something that only its user may know, sealed by the vault; bound to what secret_identity() says. */
struct secret {
	uint8_t digest[VAULT_DIGEST_LEN]; /* keyed, so that two can be compared */
	uint8_t *sealed;                  /* size + VAULT_OVERHEAD bytes; NULL: none */
	size_t size;                      /* of what is sealed */
};

#define SECRET_TEXT_MAX 512 /* bytes of a password or pre-shared key */
#define IKE_ID_MAX      256 /* characters of an identity, or of a user's name, and the zero */

enum ike_auth { IKE_PSK, IKE_CERTIFICATE, IKE_EAP_MSCHAPV2, IKE_EAP_TLS, IKE_AUTHS };
enum ike_start { IKE_RESPOND, IKE_START, IKE_TRAP };

#define IKE_REKEY_DEFAULT 14400 /* seconds */
#define IKE_DPD_DEFAULT   30    /* seconds */

/*
 * How gateway and peer prove who they are, and what they negotiate. Reference-counted, so that
 * copies of a tunnel share it. Texts are NULL where there are none; certificates are PEM.
 */
struct ike {
	unsigned int references;
	enum ike_auth
		auth; /* of the peer; the gateway has a certificate but with IKE_PSK and as EAP client */
	enum ike_start start;
	char peer[ABI_NAME_LEN]; /* the tunnel whose IKE SA carries this one; "": its own */
	char *local_id;          /* NULL: the local address */
	char *remote_id;         /* NULL: the remote address; of remote access always NULL */
	char *user;              /* of a tunnel with EAP: who logs in, the one that begins */
	struct secret
		password; /* the user's, with IKE_EAP_MSCHAPV2; of remote access users have their own */
	struct secret psk; /* of a tunnel; users have their own */
	struct secret key; /* of the certificate, PEM */
	char *certificate; /* may hold intermediate ones behind it */
	char *ca;          /* one or several, that vouch for peers */
	char *crl;
	char *proposals; /* as strongSwan writes them, with commas; NULL: the default */
	char *esp_proposals;
	uint32_t rekey; /* of the IKE SA, seconds */
	uint32_t dpd;   /* seconds; 0: none */
	bool mobike;
	bool udp;     /* ESP in UDP even without a NAT */
	bool per_cpu; /* SAs of each worker's own, RFC 9611 */
};

static inline bool ike_is_eap(const struct ike *ike)
{
	return ike->auth == IKE_EAP_MSCHAPV2 || ike->auth == IKE_EAP_TLS;
}

/* Who begins logs in (RFC 7296 section 2.16): is that the gateway? */
static inline bool ike_is_eap_client(const struct ike *ike)
{
	return ike_is_eap(ike) && ike->start != IKE_RESPOND;
}

struct tunnel {
	unsigned int references;
	uint32_t id;
	char name[ABI_NAME_LEN];
	char *label; /* NULL: none */
	struct abi_address local;
	struct abi_address remote; /* family 0: with IKE, a peer that may come from anywhere */
	bool udp;
	uint16_t local_port; /* 0 without udp */
	uint16_t remote_port;
	uint16_t mtu;
	struct tunnel_policy policy;
	struct lifetime lifetime;       /* of its SAs that have none of their own */
	struct abi_selector *selectors; /* what may pass, where ABI_TUNNEL_SELECTORS is set */
	size_t n_selectors;
	struct abi_address *networks;
	size_t n_networks;
	struct abi_address *local_networks; /* offered to IKE peers; none: everything */
	size_t n_local_networks;
	struct ike *ike; /* NULL: keys by hand */
	struct sa *sas;  /* in the file's order; of a configured tunnel with IKE none */
	size_t n_sas;
};

#define LOCKOUT_FAILURES_DEFAULT 10
#define LOCKOUT_SECONDS_DEFAULT  900

/* So many failed logins in a row lock a user of the tenant out, at all its entries and tunnels. */
struct lockout {
	uint32_t failures; /* 0: nobody is locked out */
	uint32_t seconds;
};

struct user {
	char *name; /* as IKE or EAP tells it */
	char **groups;
	size_t n_groups;
	struct secret password; /* EAP-MSCHAPv2: the password; PSK: the user's key */
};

#define REMOTE_ACCESS_STEM \
	20 /* characters of its name that those of its clients' tunnels begin with */

/* Clients by IKE, each of which becomes a tunnel when it comes. Its id is one of tunnels' ids. */
struct remote_access {
	unsigned int references;
	uint32_t id;
	char name[ABI_NAME_LEN];
	char *label;
	struct abi_address local;
	uint16_t mtu;
	struct tunnel_policy policy; /* of the clients' tunnels, as is all above */
	struct lifetime lifetime;
	struct ike *ike;              /* never NULL */
	struct abi_address *networks; /* what clients reach; none: everything */
	size_t n_networks;
	struct abi_address *pools; /* prefixes, of which clients get addresses */
	size_t n_pools;
	struct abi_address *dns;
	size_t n_dns;
	struct user *users; /* by name, in which case doesn't count */
	size_t n_users;
	bool multiple_logins; /* of one user at a time; else the newer replaces the older */
};

struct tunnel_share;

struct tenant {
	unsigned int references;
	uint32_t id;
	char name[ABI_NAME_LEN];
	char *label;
	char *service; /* NULL: none */
	char *service_code;
	struct lockout lockout;
	struct attachment **attachments; /* by name */
	size_t n_attachments;
	struct tunnel **tunnels; /* by name */
	size_t n_tunnels;
	/* Who holds the tunnels, one or the other: this tenant each of them (NULL), or these two. */
	struct tunnel_share *share;
	struct tenant *base;
	struct remote_access **remote_access; /* by name */
	size_t n_remote_access;
	struct route *routes;
	size_t n_routes;
};

struct model {
	uint64_t generation;
	struct tenant **tenants; /* by name */
	size_t n_tenants;
	struct attachment **underlay; /* by name */
	size_t n_underlay;
};

/* References: _hold() adds one and returns its argument, _release() takes one back (NULL allowed). */
struct attachment *attachment_hold(struct attachment *attachment);
void attachment_release(struct attachment *attachment);
struct tunnel *tunnel_hold(struct tunnel *tunnel);
void tunnel_release(struct tunnel *tunnel);
struct ike *ike_hold(struct ike *ike);
void ike_release(struct ike *ike);
struct remote_access *remote_access_hold(struct remote_access *access);
void remote_access_release(struct remote_access *access);
struct tenant *tenant_hold(struct tenant *tenant);
void tenant_release(struct tenant *tenant);

/* Copies with one reference that share their members; NULL: out of memory. */
struct tenant *tenant_copy(const struct tenant *tenant);
struct tunnel *tunnel_copy(const struct tunnel *tunnel);
/*
 * Another one without tunnels yet, with room for so many, which `base` or `share` hold. Takes the share, also
 * where it fails; NULL: no memory (also of the share).
 */
struct tenant *tenant_derive(struct tenant *base, size_t room, struct tunnel_share *share);

struct model *model_create(void);
/* Another model of the same members. NULL: out of memory. */
struct model *model_copy(const struct model *model);
void model_destroy(struct model *model);

/* By name; NULL: not there. */
struct tenant *model_tenant(const struct model *model, const char *name);
struct attachment *model_underlay(const struct model *model, const char *name);
struct attachment *tenant_attachment(const struct tenant *tenant, const char *name);
struct tunnel *tenant_tunnel(const struct tenant *tenant, const char *name);
/* Where it stands or would stand. */
size_t tenant_tunnel_position(const struct tenant *tenant, const char *name);
struct remote_access *tenant_remote_access(const struct tenant *tenant, const char *name);
/* Identities are matched without regard to case, as charon does. */
const struct user *remote_access_user(const struct remote_access *access, const char *name);
struct sa *tunnel_sa(const struct tunnel *tunnel, enum abi_sa_direction direction, uint32_t spi);

/* Whose SAs have that if_id: the tunnel or the remote access with that id, if it has IKE. */
struct ike_owner {
	const struct tenant *tenant;
	const struct tunnel *tunnel; /* one of the two */
	const struct remote_access *access;
};
bool model_ike_owner(const struct model *model, uint32_t if_id, struct ike_owner *owner);

/*
 * The name that a connection and its first pool have in charon, `kaido.<tenant>.<tunnel or remote access>`.
 * There, what is called otherwise is somebody else's.
 */
#define IKE_NAME_PREFIX "kaido."
#define IKE_NAME_LEN    (sizeof(IKE_NAME_PREFIX) + 2 * ABI_NAME_LEN)
const char *model_ike_name(const char *tenant, const char *name, char text[IKE_NAME_LEN]);
/* The two parts of such a name, whatever follows. False: it is none. */
bool model_ike_split(const char *text, char tenant[ABI_NAME_LEN], char name[ABI_NAME_LEN]);
/* Who is meant by a connection's name. */
bool model_ike_named(const struct model *model, const char *connection, struct ike_owner *owner);

/* Puts one in the place of its namesake, or adds it; takes the reference. -ENOMEM. */
int model_put_tenant(struct model *model, struct tenant *tenant);
int model_put_underlay(struct model *model, struct attachment *attachment);
void model_remove_tenant(struct model *model, const char *name);
void model_remove_underlay(struct model *model, const char *name);

static inline const struct lifetime *sa_lifetime(const struct tunnel *tunnel, const struct sa *sa)
{
	return sa->own_lifetime ? &sa->lifetime : &tunnel->lifetime;
}
bool lifetime_is_none(const struct lifetime *lifetime);
bool lifetime_equal(const struct lifetime *a, const struct lifetime *b);

/* What a sealed key is bound to. Returns the bytes written into `identity`. */
#define MODEL_IDENTITY_MAX (2 * ABI_NAME_LEN + 16)
size_t sa_identity(const char *tenant, const char *tunnel, const struct sa *sa,
		   uint8_t identity[MODEL_IDENTITY_MAX]);
/* As above, of a secret of a tunnel or remote access: `what` is "psk", "key" or "password"; `user` is ""
 * but for a password. */
#define SECRET_IDENTITY_MAX (2 * ABI_NAME_LEN + IKE_ID_MAX + 16)
size_t secret_identity(const char *tenant, const char *name, const char *what, const char *user,
		       uint8_t identity[SECRET_IDENTITY_MAX]);
static inline bool secret_is_set(const struct secret *secret)
{
	return secret->sealed != NULL;
}
bool secret_equal(const struct secret *a, const struct secret *b);
static inline size_t sa_sealed_size(const struct sa *sa)
{
	return (size_t)sa->key_len + 4 + VAULT_OVERHEAD;
}

/* The attachment on whose link the address stands; NULL: none. */
const struct attachment *tenant_on_link(const struct tenant *tenant,
					const struct abi_address *address);

#endif /* KAIDO_CONTROL_MODEL_H */
