/* SPDX-License-Identifier: BSD-3-Clause */
/* SAs as JSON: what ike.sa.set tells, and the same again in the store. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "session.h"

#define SPI_LEAST   256 /* RFC 4303 section 2.1 */
#define WINDOW_MOST 4096

/* A whole number; absent where that is not negative. */
static bool number_get(const json_t *json, const char *member, json_int_t absent, json_int_t least,
		       json_int_t most, json_int_t *number)
{
	const json_t *value = json_object_get(json, member);

	*number = value == NULL ? absent : json_integer_value(value);
	return (value == NULL ? absent >= 0 : json_is_integer(value)) && *number >= least &&
	       *number <= most;
}

static bool host_get(const json_t *json, const char *member, struct abi_address *address)
{
	const char *text = json_string_value(json_object_get(json, member));

	return text != NULL && address_parse(text, address) == 0 && address_is_host(address);
}

const char *session_place_parse(const json_t *json, struct session_place *place)
{
	json_int_t local = 0, remote = 0;

	memset(place, 0, sizeof(*place));
	place->udp = json_is_true(json_object_get(json, "udp"));
	if (!host_get(json, "local", &place->local))
		return "local is not an address that a host may have";
	if (!host_get(json, "remote", &place->remote))
		return "remote is not an address that a host may have";
	if (place->local.family != place->remote.family)
		return "local and remote are of two families";
	if (address_equal(&place->local, &place->remote))
		return "local and remote are the same address";
	if (!place->udp)
		return NULL;
	if (!number_get(json, "local_port", -1, 1, 65535, &local) ||
	    !number_get(json, "remote_port", -1, 1, 65535, &remote))
		return "local_port and remote_port are numbers from 1 to 65535";
	if (local != ABI_UDP_PORT)
		return "ESP in UDP is recognised at local port 4500 only: let charon use that one";
	place->local_port = (uint16_t)local;
	place->remote_port = (uint16_t)remote;
	return NULL;
}

/* -- traffic selectors -- */

static bool protocol_has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_DCCP ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 || protocol == IPPROTO_MH;
}

static const char *ts_parse(const json_t *json, struct session_ts *ts)
{
	const char *from = json_string_value(json_object_get(json, "from"));
	const char *to = json_string_value(json_object_get(json, "to"));
	struct abi_address first, last;
	json_int_t protocol, from_port, to_port;

	if (from == NULL || to == NULL || address_parse(from, &first) < 0 ||
	    address_parse(to, &last) < 0 || first.family != last.family ||
	    memcmp(first.addr, last.addr, sizeof(first.addr)) > 0)
		return "a traffic selector has addresses from and to, the lower one first";
	if (!number_get(json, "protocol", 0, 0, 255, &protocol) ||
	    !number_get(json, "from_port", 0, 0, 65535, &from_port) ||
	    !number_get(json, "to_port", 65535, 0, 65535, &to_port) ||
	    (from_port > to_port && (from_port != 65535 || to_port != 0)))
		return "a traffic selector has a protocol, and ports from_port to to_port";
	if (!protocol_has_ports((uint8_t)protocol) && (from_port != 0 || to_port != 65535))
		return "a traffic selector has ports, but its protocol has none";
	ts->family = first.family;
	ts->protocol = (uint8_t)protocol;
	ts->from_port = (uint16_t)from_port;
	ts->to_port = (uint16_t)to_port;
	memcpy(ts->from, first.addr, sizeof(ts->from));
	memcpy(ts->to, last.addr, sizeof(ts->to));
	return NULL;
}

static const char *selectors_parse(const json_t *json, struct session_sa *sa)
{
	const json_t *sides[2] = { json_object_get(json, "local_ts"),
				   json_object_get(json, "remote_ts") };
	size_t n[2] = { json_array_size(sides[0]), json_array_size(sides[1]) }, at = 0, i;
	const char *wrong = NULL;
	const json_t *element;

	if (n[0] == 0 || n[1] == 0)
		return "local_ts and remote_ts are lists of traffic selectors, not empty";
	if (n[0] > SESSION_TS_MOST || n[1] > SESSION_TS_MOST)
		return "there are more than 32 traffic selectors on a side: negotiate fewer";
	sa->ts = calloc(n[0] + n[1], sizeof(*sa->ts));
	if (sa->ts == NULL)
		return "out of memory: try again later";
	sa->n_local = (uint16_t)n[0];
	sa->n_remote = (uint16_t)n[1];
	for (unsigned int side = 0; side < 2 && wrong == NULL; side++) {
		json_array_foreach (sides[side], i, element) {
			wrong = ts_parse(element, &sa->ts[at++]);
			if (wrong != NULL)
				break;
		}
	}
	return wrong;
}

static json_t *selectors_render(const struct session_ts *ts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		struct abi_address from = { .family = ts[i].family }, to = from;
		char first[ADDRESS_TEXT_LEN], last[ADDRESS_TEXT_LEN];

		memcpy(from.addr, ts[i].from, sizeof(from.addr));
		memcpy(to.addr, ts[i].to, sizeof(to.addr));
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:i}", "from",
						      address_format(&from, first), "to",
						      address_format(&to, last), "protocol",
						      ts[i].protocol, "from_port", ts[i].from_port,
						      "to_port", ts[i].to_port));
	}
	return list;
}

/* -- lifetimes -- */

static bool limits_parse(const json_t *json, struct abi_lifetime *limits)
{
	json_int_t seconds, packets, bytes;

	if (json != NULL && !json_is_object(json))
		return false;
	if (!number_get(json, "seconds", 0, 0, INT64_MAX, &seconds) ||
	    !number_get(json, "packets", 0, 0, INT64_MAX, &packets) ||
	    !number_get(json, "bytes", 0, 0, INT64_MAX, &bytes))
		return false;
	limits->seconds = (uint64_t)seconds;
	limits->packets = (uint64_t)packets;
	limits->bytes = (uint64_t)bytes;
	return true;
}

static json_t *limits_render(const struct abi_lifetime *limits)
{
	return json_pack("{s:I, s:I, s:I}", "seconds", (json_int_t)limits->seconds, "packets",
			 (json_int_t)limits->packets, "bytes", (json_int_t)limits->bytes);
}

/* -- the whole -- */

static const char *numbers_parse(const json_t *json, struct session_sa *sa)
{
	json_int_t handle, spi, if_id, reqid, window, cpu;

	if (!number_get(json, "sa", -1, 0, INT64_MAX, &handle))
		return "sa is a number that names it";
	if (!number_get(json, "spi", -1, SPI_LEAST, UINT32_MAX, &spi))
		return "spi is a number not below 256";
	if (!number_get(json, "if_id", -1, 0, UINT32_MAX, &if_id) ||
	    !number_get(json, "reqid", -1, 1, UINT32_MAX, &reqid))
		return "if_id and reqid are numbers; that of an SA is not 0";
	if (!number_get(json, "window", 0, 0, INT64_MAX, &window))
		return "window is a number of packets";
	if (!number_get(json, "cpu", INT32_MAX, 0, INT32_MAX, &cpu))
		return "cpu is the number of one";
	sa->handle = (uint64_t)handle;
	sa->sa.spi = (uint32_t)spi;
	sa->if_id = (uint32_t)if_id;
	sa->reqid = (uint32_t)reqid;
	sa->cpu = json_object_get(json, "cpu") == NULL ? -1 : (int32_t)cpu;
	if (sa->cpu >= 0 && sa->sa.direction == ABI_SA_OUT)
		sa->sa.cpu = (uint16_t)(sa->cpu % UINT16_MAX + 1);
	if (sa->sa.direction == ABI_SA_IN)
		sa->sa.window = window > WINDOW_MOST ? WINDOW_MOST : (uint32_t)window;
	return NULL;
}

static const char *stored_parse(const json_t *json, struct session_sa *sa)
{
	json_int_t id, bits;

	if (!number_get(json, "id", -1, 1, UINT32_MAX - 1, &id) ||
	    !number_get(json, "key_bits", -1, 128, 256, &bits) || bits % 64 != 0)
		return "the stored SA is damaged";
	sa->sa.id = (uint32_t)id;
	sa->sa.key_len = (uint8_t)(bits / 8);
	return NULL;
}

uint64_t session_ike_id_parse(const json_t *json)
{
	json_int_t id;

	return number_get(json_object_get(json, "ike"), "id", 0, 0, INT64_MAX, &id) ? (uint64_t)id
										    : 0;
}

const char *session_sa_parse(const json_t *json, bool stored, struct session_sa *sa)
{
	const char *way = json_string_value(json_object_get(json, "direction"));
	const json_t *lifetime = json_object_get(json, "lifetime");
	const char *wrong;

	if (way == NULL || (strcmp(way, "in") != 0 && strcmp(way, "out") != 0))
		return "direction is in or out";
	sa->sa.direction = strcmp(way, "in") == 0 ? ABI_SA_IN : ABI_SA_OUT;
	sa->sa.esn = json_is_true(json_object_get(json, "esn"));
	sa->sa.own_lifetime = true;
	if (!limits_parse(json_object_get(lifetime, "soft"), &sa->sa.lifetime.soft) ||
	    !limits_parse(json_object_get(lifetime, "hard"), &sa->sa.lifetime.hard))
		return "lifetime has soft and hard limits: seconds, packets, bytes";
	wrong = numbers_parse(json, sa);
	if (wrong == NULL)
		wrong = session_place_parse(json, &sa->place);
	if (wrong == NULL)
		wrong = selectors_parse(json, sa);
	if (wrong == NULL && stored)
		wrong = stored_parse(json, sa);
	return wrong;
}

json_t *session_sa_render(const struct session_sa *sa)
{
	char local[ADDRESS_TEXT_LEN], remote[ADDRESS_TEXT_LEN];
	json_t *json = json_pack(
		"{s:I, s:s, s:I, s:I, s:I, s:s, s:s, s:b, s:b, s:I, s:{s:o, s:o}, s:o, s:o, "
		"s:{s:I}, s:I, s:i, s:I}",
		"sa", (json_int_t)sa->handle, "direction",
		sa->sa.direction == ABI_SA_IN ? "in" : "out", "spi", (json_int_t)sa->sa.spi,
		"if_id", (json_int_t)sa->if_id, "reqid", (json_int_t)sa->reqid, "local",
		address_format(&sa->place.local, local), "remote",
		address_format(&sa->place.remote, remote), "udp", sa->place.udp, "esn", sa->sa.esn,
		"window", (json_int_t)sa->sa.window, "lifetime", "soft",
		limits_render(&sa->sa.lifetime.soft), "hard", limits_render(&sa->sa.lifetime.hard),
		"local_ts", selectors_render(sa->ts, sa->n_local), "remote_ts",
		selectors_render(sa->ts + sa->n_local, sa->n_remote), "ike", "id",
		(json_int_t)sa->ike->id, "id", (json_int_t)sa->sa.id, "key_bits",
		sa->sa.key_len * 8, "tunnel_id", (json_int_t)sa->session->tunnel_id);

	if (json == NULL)
		return NULL;
	if (sa->place.udp) {
		json_object_set_new(json, "local_port", json_integer(sa->place.local_port));
		json_object_set_new(json, "remote_port", json_integer(sa->place.remote_port));
	}
	if (sa->cpu >= 0)
		json_object_set_new(json, "cpu", json_integer(sa->cpu));
	return json;
}
