/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <time.h>

#include "kaido_request.h"
#include "kaido_text.h"

#define PROTOCOL    1
#define KEY_LEN_MAX 36 /* AES-256 and its salt */

json_t *request_open(const struct kaido *kaido)
{
	return json_pack("{s:i, s:s, s:s}", "protocol", PROTOCOL, "instance", kaido->instance,
			 "version", "strongSwan " VERSION);
}

static json_t *json_limits(uint64_t seconds, uint64_t packets, uint64_t bytes)
{
	return json_pack("{s:I, s:I, s:I}", "seconds", (json_int_t)seconds, "packets",
			 (json_int_t)packets, "bytes", (json_int_t)bytes);
}

/* strongSwan's "rekey" is when a new SA is wanted, its "life" when nothing passes any more. */
static json_t *json_lifetime(const lifetime_cfg_t *cfg)
{
	return json_pack("{s:o, s:o}", "soft",
			 json_limits(cfg->time.rekey, cfg->packets.rekey, cfg->bytes.rekey), "hard",
			 json_limits(cfg->time.life, cfg->packets.life, cfg->bytes.life));
}

static json_t *json_key(chunk_t key)
{
	char text[2 * KEY_LEN_MAX + 1];
	json_t *json;

	if (key.len > KEY_LEN_MAX)
		return NULL;
	chunk_to_hex(key, text, FALSE);
	json = json_stringn(text, 2 * key.len);
	memwipe(text, sizeof(text));
	return json;
}

/* Ports are those of UDP around ESP; without it there are none. */
static int set_ends(json_t *params, host_t *local, host_t *remote, bool udp)
{
	return json_object_set_new(params, "local", json_host(local)) |
	       json_object_set_new(params, "remote", json_host(remote)) |
	       json_object_set_new(params, "udp", json_boolean(udp)) |
	       json_object_set_new(params, "local_port",
				   json_integer(udp ? local->get_port(local) : 0)) |
	       json_object_set_new(params, "remote_port",
				   json_integer(udp ? remote->get_port(remote) : 0));
}

static json_t *json_ike_name(ike_sa_t *ike_sa)
{
	return json_pack("{s:I, s:o}", "id", (json_int_t)ike_sa->get_unique_id(ike_sa), "name",
			 json_text(ike_sa->get_name(ike_sa)));
}

json_t *request_set(uint64_t handle, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data,
		    ike_sa_t *ike_sa)
{
	bool in = data->inbound;
	host_t *remote = in ? id->src : id->dst;
	json_t *params;
	int failed;

	params = json_pack("{s:I, s:s, s:I, s:I, s:I, s:b, s:I}", "sa", (json_int_t)handle,
			   "direction", in ? "in" : "out", "spi", (json_int_t)ntohl(id->spi),
			   "if_id", (json_int_t)id->if_id, "reqid", (json_int_t)data->reqid, "esn",
			   (int)data->esn, "window", (json_int_t)data->replay_window);
	if (!params)
		return NULL;
	/* What is of one CPU charon takes from any port; it comes from where IKE comes from. */
	if (data->encap && !remote->get_port(remote) && ike_sa)
		remote = ike_sa->get_other_host(ike_sa);
	failed = set_ends(params, in ? id->dst : id->src, remote, data->encap);
	failed |= json_object_set_new(params, "key", json_key(data->enc_key));
	failed |= json_object_set_new(params, "lifetime", json_lifetime(data->lifetime));
	failed |= json_object_set_new(params, "local_ts",
				      json_selectors(in ? data->dst_ts : data->src_ts));
	failed |= json_object_set_new(params, "remote_ts",
				      json_selectors(in ? data->src_ts : data->dst_ts));
#ifdef CPU_ID_MAX
	if (data->cpu != CPU_ID_MAX)
		failed |= json_object_set_new(params, "cpu", json_integer(data->cpu));
#endif
	if (ike_sa)
		failed |= json_object_set_new(params, "ike", json_ike_name(ike_sa));
	if (failed) {
		json_decref(params);
		return NULL;
	}
	return params;
}

json_t *request_update(uint64_t handle, bool inbound, kernel_ipsec_update_sa_t *data)
{
	json_t *params = json_pack("{s:I}", "sa", (json_int_t)handle);

	if (params && set_ends(params, inbound ? data->new_dst : data->new_src,
			       inbound ? data->new_src : data->new_dst, data->new_encap)) {
		json_decref(params);
		return NULL;
	}
	return params;
}

/* Virtual addresses that the peer was given. */
static json_t *json_addresses(ike_sa_t *ike_sa)
{
	json_t *array = json_array();
	enumerator_t *enumerator;
	host_t *host;

	enumerator = ike_sa->create_virtual_ip_enumerator(ike_sa, FALSE);
	while (enumerator->enumerate(enumerator, &host))
		json_array_append_new(array, json_host(host));
	enumerator->destroy(enumerator);
	return array;
}

/* Seconds since 1970; strongSwan keeps a monotonic time. */
static json_int_t ike_since(ike_sa_t *ike_sa)
{
	time_t established = (time_t)ike_sa->get_statistic(ike_sa, STAT_ESTABLISHED);
	time_t age = established ? time_monotonic(NULL) - established : 0;

	return (json_int_t)(time(NULL) - age);
}

json_t *request_ike(ike_sa_t *ike_sa, host_t *local, host_t *remote)
{
	identification_t *other = ike_sa->get_other_id(ike_sa);
	identification_t *user = ike_sa->get_other_eap_id(ike_sa);
	peer_cfg_t *peer = ike_sa->get_peer_cfg(ike_sa);
	uint32_t if_id = peer ? peer->get_if_id(peer, TRUE) : 0;
	json_t *ike = json_ike_name(ike_sa);

	if (!ike)
		return NULL;
	if (if_id)
		json_object_set_new(ike, "if_id", json_integer(if_id));
	json_object_set_new(
		ike, "initiator",
		json_boolean(ike_sa->get_id(ike_sa)->is_initiator(ike_sa->get_id(ike_sa))));
	json_object_set_new(ike, "version", json_integer(ike_sa->get_version(ike_sa)));
	json_object_set_new(ike, "local", json_host(local));
	json_object_set_new(ike, "remote", json_host(remote));
	json_object_set_new(ike, "local_port", json_integer(local->get_port(local)));
	json_object_set_new(ike, "remote_port", json_integer(remote->get_port(remote)));
	json_object_set_new(ike, "local_id", json_id(ike_sa->get_my_id(ike_sa)));
	json_object_set_new(ike, "remote_id", json_id(other));
	if (user && !user->equals(user, other))
		json_object_set_new(ike, "user", json_id(user));
	json_object_set_new(ike, "addresses", json_addresses(ike_sa));
	json_object_set_new(ike, "nat", json_boolean(ike_sa->has_condition(ike_sa, COND_NAT_ANY)));
	json_object_set_new(ike, "since", json_integer(ike_since(ike_sa)));
	return ike;
}
