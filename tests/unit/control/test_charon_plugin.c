/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parts of charon's plugin without charon: what names an SA, SPIs, the order of the queue, policies, lines, and that
 * secrets need both identities.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kaido.h"
#include "kaido_creds.h"
#include "kaido_link.h"
#include "kaido_policy.h"
#include "kaido_queue.h"
#include "kaido_sa.h"
#include "kaido_spi.h"

/* --- SPIs ------------------------------------------------------------------------------------ */

/* What getrandom() gives, one after another; 0: no more. */
static uint32_t script[8];
static size_t script_at;

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned int flags);

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned int flags)
{
	if (length != sizeof(script[0]) || script_at == countof(script) || !script[script_at])
		return -1;
	memcpy(buffer, &script[script_at++], length);
	return (ssize_t)length;
}

static void random_is(uint32_t a, uint32_t b, uint32_t c)
{
	memset(script, 0, sizeof(script));
	script[0] = a;
	script[1] = b;
	script[2] = c;
	script_at = 0;
}

static void spis_in_use_are_not_taken(void **state)
{
	struct kaido_spis *spis = kaido_spis_create();
	uint32_t others[] = { htonl(0xc0000007) };

	kaido_spis_of_others(spis, others, 1);
	random_is(0x5, 0, 0);
	assert_int_equal(kaido_spi_take(spis), htonl(0xc0000005));
	random_is(0x5, 0x7, 0xffffffff);
	assert_int_equal(kaido_spi_take(spis), htonl(0xcfffffff));
	kaido_spi_release(spis, htonl(0xc0000005));
	kaido_spis_of_others(spis, NULL, 0);
	random_is(0x7, 0x5, 0);
	assert_int_equal(kaido_spi_take(spis), htonl(0xc0000007));
	assert_int_equal(kaido_spi_take(spis), htonl(0xc0000005));
	random_is(0, 0, 0);
	assert_int_equal(kaido_spi_take(spis), 0);
	kaido_spis_destroy(spis);
}

/* --- SAs ------------------------------------------------------------------------------------- */

static kernel_ipsec_sa_id_t *name_it(kernel_ipsec_sa_id_t *id, uint32_t spi, const char *dst,
				     uint16_t port, uint32_t if_id)
{
	*id = (kernel_ipsec_sa_id_t){
		.dst = host_create_from_string((char *)dst, port),
		.spi = htonl(spi),
		.if_id = if_id,
	};
	return id;
}

static void sas_have_names_of_their_own(void **state)
{
	struct kaido_sas *sas = kaido_sas_create();
	kernel_ipsec_sa_id_t ids[4];
	uint64_t handles[4];
	bool inbound = true;
	size_t i;

	/* Two tenants' peers behind one NAT chose one SPI, and so did two of one remote access. */
	name_it(&ids[0], 0x1000, "198.51.100.1", 4500, 1);
	name_it(&ids[1], 0x1000, "198.51.100.1", 4500, 2);
	name_it(&ids[2], 0x1000, "198.51.100.1", 4501, 1);
	name_it(&ids[3], 0x1000, "198.51.100.2", 4500, 1);
	for (i = 0; i < countof(ids); i++) {
		handles[i] = kaido_sa_add(sas, &ids[i], 7, false);
		assert_int_equal(handles[i], i + 1);
		assert_int_equal(kaido_sa_add(sas, &ids[i], 7, false), 0);
	}
	for (i = 0; i < countof(ids); i++) {
		assert_int_equal(kaido_sa_remove(sas, &ids[i], &inbound), handles[i]);
		assert_false(inbound);
		assert_int_equal(kaido_sa_remove(sas, &ids[i], NULL), 0);
	}
	assert_int_equal(kaido_sa_add(sas, &ids[0], 7, false), 5);
	for (i = 0; i < countof(ids); i++)
		ids[i].dst->destroy(ids[i].dst);
	kaido_sas_destroy(sas);
}

static void an_sa_that_moves_keeps_its_handle(void **state)
{
	struct kaido_sas *sas = kaido_sas_create();
	kernel_ipsec_sa_id_t from, to;
	uint64_t packets, bytes;
	bool inbound = true;
	time_t used;

	name_it(&from, 0x1000, "198.51.100.1", 4500, 1);
	name_it(&to, 0x1000, "2001:db8::1", 4500, 1);
	assert_int_equal(kaido_sa_add(sas, &from, 7, false), 1);
	kaido_sa_used(sas, 1, 5, 500, 0);
	assert_int_equal(kaido_sa_move(sas, &from, to.dst, 0, &inbound), 1);
	assert_false(inbound);
	assert_false(kaido_sa_usage(sas, &from, &packets, &bytes, &used));
	assert_true(kaido_sa_usage(sas, &to, &packets, &bytes, &used));
	assert_int_equal(packets, 5);
	assert_int_equal(bytes, 500);
	assert_true(used > 0);
	assert_int_equal(kaido_sas_last_use(sas, 7, false), used);
	assert_int_equal(kaido_sas_last_use(sas, 7, true), 0);
	assert_int_equal(kaido_sas_last_use(sas, 8, false), 0);
	assert_int_equal(kaido_sa_move(sas, &from, to.dst, 0, &inbound), 0);
	from.dst->destroy(from.dst);
	to.dst->destroy(to.dst);
	kaido_sas_destroy(sas);
}

static void partners_are_inbound_and_of_the_tunnel(void **state)
{
	struct kaido_sas *sas = kaido_sas_create();
	struct kaido_sa_name names[4];
	kernel_ipsec_sa_id_t ids[4];
	size_t i, n;

	name_it(&ids[0], 0x1000, "198.51.100.1", 4500, 1);
	name_it(&ids[1], 0xc0000001, "192.0.2.1", 4500, 1);
	name_it(&ids[2], 0xc0000002, "192.0.2.1", 4500, 2);
	name_it(&ids[3], 0xc0000003, "192.0.2.1", 4500, 1);
	kaido_sa_add(sas, &ids[0], 7, false);
	kaido_sa_add(sas, &ids[1], 7, true);
	kaido_sa_add(sas, &ids[2], 7, true);
	kaido_sa_add(sas, &ids[3], 8, true);
	n = kaido_sa_partners(sas, 1, names, countof(names));
	assert_int_equal(n, 1);
	assert_int_equal(names[0].spi, htonl(0xc0000001));
	names[0].dst->destroy(names[0].dst);
	assert_int_equal(kaido_sa_partners(sas, 1, names, 0), 0);
	assert_int_equal(kaido_sa_partners(sas, 99, names, countof(names)), 0);
	for (i = 0; i < countof(ids); i++)
		ids[i].dst->destroy(ids[i].dst);
	kaido_sas_destroy(sas);
}

static void replaces_one_of_its_tunnel_and_direction(void **state)
{
	struct kaido_sas *sas = kaido_sas_create();
	kernel_ipsec_sa_id_t ids[5];
	size_t i;

	name_it(&ids[0], 0x1000, "198.51.100.1", 4500, 1);
	name_it(&ids[1], 0xc0000001, "192.0.2.1", 4500, 1);
	name_it(&ids[2], 0x1001, "198.51.100.1", 4500, 2);
	name_it(&ids[3], 0x1002, "198.51.100.1", 4500, 1);
	name_it(&ids[4], 0x1003, "198.51.100.1", 4500, 1);
	assert_false(kaido_sa_replaces(sas, kaido_sa_add(sas, &ids[0], 7, false)));
	assert_false(kaido_sa_replaces(sas, kaido_sa_add(sas, &ids[1], 7, true)));
	assert_false(kaido_sa_replaces(sas, kaido_sa_add(sas, &ids[2], 7, false)));
	assert_false(kaido_sa_replaces(sas, kaido_sa_add(sas, &ids[3], 8, false)));
	assert_true(kaido_sa_replaces(sas, kaido_sa_add(sas, &ids[4], 7, false)));
	assert_int_equal(kaido_sa_remove(sas, &ids[0], NULL), 1);
	assert_false(kaido_sa_replaces(sas, 5));
	assert_false(kaido_sa_replaces(sas, 99));
	for (i = 0; i < countof(ids); i++)
		ids[i].dst->destroy(ids[i].dst);
	kaido_sas_destroy(sas);
}

/* --- the queue ------------------------------------------------------------------------------- */

static struct kaido_op *op_of(uint64_t id, enum kaido_request request, uint64_t sa)
{
	return op_create(id, request, sa, json_pack("{s:I}", "sa", (json_int_t)sa));
}

static void what_was_not_answered_is_sent_again_in_its_order(void **state)
{
	static const uint64_t order[] = { 3, 4, 6 };
	struct kaido_queue queue;
	uint64_t id;
	size_t i;

	assert_int_equal(queue_init(&queue), 0);
	for (id = 1; id <= 6; id++)
		queue_add(&queue, op_of(id, id == 4 ? KAIDO_DELETE : KAIDO_SET, id));
	queue_add_first(&queue, op_of(9, KAIDO_OPEN, 0));
	assert_int_equal(queue_next(&queue)->id, 9);
	for (id = 1; id <= 3; id++)
		assert_int_equal(queue_next(&queue)->id, id);
	op_free(queue_answered(&queue, 1));
	assert_null(queue_answered(&queue, 1));
	assert_null(queue_answered(&queue, 5));
	assert_null(queue_set_of(&queue, 1));
	assert_non_null(queue_set_of(&queue, 2));
	assert_null(queue_set_of(&queue, 4));
	assert_true(queue_end(&queue, 5)); /* never sent */
	assert_null(queue_set_of(&queue, 5));
	assert_false(queue_end(&queue, 2)); /* on its way */
	queue_again(&queue);
	assert_int_equal(queue.in_flight, 0);
	assert_int_equal(queue.count[KAIDO_OPEN], 0);
	assert_int_equal(queue.count[KAIDO_SET], 2);
	for (i = 0; i < countof(order); i++)
		assert_int_equal(queue_next(&queue)->id, order[i]);
	assert_null(queue_next(&queue));
	queue_fini(&queue);
}

static void a_request_is_one_line(void **state)
{
	struct kaido_op *op = op_of(7, KAIDO_DELETE, 3);
	json_t *json = json_loadb(op->line, op->length, 0, NULL);

	assert_int_equal(op->line[op->length - 1], '\n');
	assert_null(memchr(op->line, '\n', op->length - 1));
	assert_string_equal(json_string_value(json_object_get(json, "method")), "ike.sa.delete");
	assert_int_equal(json_integer_value(json_object_get(json, "id")), 7);
	json_decref(json);
	op_free(op);
	assert_null(op_create(1, KAIDO_SET, 1, NULL));
}

/* --- lines ----------------------------------------------------------------------------------- */

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void lines_come_whole(void **state)
{
	struct kaido_link link;
	size_t length, i;
	int ends[2];
	char *line;

	assert_int_equal(link_init(&link), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	link.fd = ends[0];
	put(ends[1], "one\ntw");
	assert_int_equal(link_fill(&link), 0);
	line = link_line(&link, &length);
	assert_int_equal(length, 3);
	assert_memory_equal(line, "one", 3);
	link_consume(&link, length);
	assert_null(link_line(&link, &length));
	assert_int_equal(link_fill(&link), 0);
	put(ends[1], "o\n\n");
	assert_int_equal(link_fill(&link), 0);
	line = link_line(&link, &length);
	assert_int_equal(length, 3);
	assert_memory_equal(line, "two", 3);
	link_consume(&link, length);
	assert_non_null(link_line(&link, &length));
	assert_int_equal(length, 0);
	link_consume(&link, length);
	/* Longer than a first buffer; and what was read is gone from the memory. Behind it nothing ever stood. */
	for (i = 0; i < 3000; i++) {
		put(ends[1], "0123456789012345678901234567890123456789");
		assert_int_equal(link_fill(&link), 0);
	}
	put(ends[1], "\n");
	assert_int_equal(link_fill(&link), 0);
	assert_non_null(link_line(&link, &length));
	assert_int_equal(length, 3000 * 40);
	link_consume(&link, length);
	for (i = 0; i <= 3000 * 40; i++)
		assert_int_equal(link.in[i], 0);
	close(ends[1]);
	assert_true(link_fill(&link) < 0);
	link_fini(&link);
}

/* --- policies -------------------------------------------------------------------------------- */

static traffic_selector_t *ts(const char *net, uint8_t protocol, uint16_t from, uint16_t to)
{
	return traffic_selector_create_from_cidr((char *)net, protocol, from, to);
}

static void traps_are_of_their_tunnel(void **state)
{
	struct kaido_policies *policies = kaido_policies_create();
	kernel_ipsec_policy_id_t id = {
		.dir = POLICY_OUT,
		.src_ts = ts("10.0.0.0/24", 0, 0, 65535),
		.dst_ts = ts("10.1.0.0/24", 0, 0, 65535),
		.if_id = 1,
	};
	traffic_selector_t *src = ts("10.0.0.2/32", 17, 1024, 1024);
	traffic_selector_t *dst = ts("10.1.0.2/32", 17, 53, 53);

	assert_int_equal(kaido_policy_trap(policies, 1, src, dst), 0);
	kaido_policy_add(policies, &id, POLICY_PRIORITY_DEFAULT, 5, false);
	assert_int_equal(kaido_policy_trap(policies, 1, src, dst), 0);
	assert_int_equal(kaido_policy_reqid(policies, &id), 5);
	kaido_policy_add(policies, &id, POLICY_PRIORITY_ROUTED, 6, false);
	assert_int_equal(kaido_policy_trap(policies, 1, src, dst), 6);
	assert_int_equal(kaido_policy_trap(policies, 2, src, dst), 0);
	assert_int_equal(kaido_policy_trap(policies, 1, dst, src), 0);
	assert_int_equal(kaido_policy_reqid(policies, &id), 5);
	assert_int_equal(kaido_policy_per_cpu(policies, 1), 0);
	/* A rekey adds it once more before the old CHILD_SA goes. */
	kaido_policy_add(policies, &id, POLICY_PRIORITY_DEFAULT, 5, true);
	assert_int_equal(kaido_policy_per_cpu(policies, 1), 6);
	assert_int_equal(kaido_policy_per_cpu(policies, 2), 0);
	assert_true(kaido_policy_remove(policies, &id, POLICY_PRIORITY_DEFAULT));
	assert_int_equal(kaido_policy_reqid(policies, &id), 5);
	assert_true(kaido_policy_remove(policies, &id, POLICY_PRIORITY_DEFAULT));
	assert_int_equal(kaido_policy_reqid(policies, &id), 6);
	assert_int_equal(kaido_policy_per_cpu(policies, 1), 0);
	assert_true(kaido_policy_remove(policies, &id, POLICY_PRIORITY_ROUTED));
	assert_int_equal(kaido_policy_trap(policies, 1, src, dst), 0);
	assert_false(kaido_policy_remove(policies, &id, POLICY_PRIORITY_ROUTED));
	src->destroy(src);
	dst->destroy(dst);
	id.src_ts->destroy(id.src_ts);
	id.dst_ts->destroy(id.dst_ts);
	kaido_policies_destroy(policies);
}

/* --- secrets --------------------------------------------------------------------------------- */

/* charon in the middle of a login: its peer said that it is this user. */
static auth_cfg_t *login;

static auth_cfg_t *login_of(ike_sa_t *ike_sa, bool local)
{
	return login;
}

/* Is it the gateway that logs in; and what its peer has proven so far, NULL: nothing. */
static bool initiator;
static auth_cfg_t *proven;

static bool condition_of(ike_sa_t *ike_sa, ike_condition_t condition)
{
	return condition == COND_ORIGINAL_INITIATOR && initiator;
}

static enumerator_t *proven_of(ike_sa_t *ike_sa, bool local)
{
	return proven && !local ? enumerator_create_single(proven, NULL)
				: enumerator_create_empty();
}

static ike_sa_t *current(bus_t *bus)
{
	static ike_sa_t ike_sa = {
		.get_auth_cfg = login_of,
		.has_condition = condition_of,
		.create_auth_cfg_enumerator = proven_of,
	};

	return login ? &ike_sa : NULL;
}

static void say_nothing(bus_t *bus, debug_t group, level_t level, char *format, ...)
{
}

/* The secret; "": there is none. */
static const char *secret_of(struct kaido_creds *creds, shared_key_type_t type, const char *local,
			     const char *remote)
{
	static char text[64];
	credential_set_t *set = kaido_creds_set(creds);
	identification_t *me = identification_create_from_string((char *)local);
	identification_t *other = identification_create_from_string((char *)remote);
	id_match_t match_me = ID_MATCH_NONE, match_other = ID_MATCH_NONE;
	enumerator_t *enumerator;
	shared_key_t *key;
	chunk_t chunk;

	text[0] = '\0';
	enumerator = set->create_shared_enumerator(set, type, me, other);
	if (enumerator && enumerator->enumerate(enumerator, &key, &match_me, &match_other)) {
		chunk = key->get_key(key);
		assert_true(chunk.len < sizeof(text));
		memcpy(text, chunk.ptr, chunk.len);
		text[chunk.len] = '\0';
		assert_int_equal(match_me, ID_MATCH_PERFECT);
		assert_int_equal(match_other, ID_MATCH_PERFECT);
		assert_false(enumerator->enumerate(enumerator, &key, NULL, NULL));
	}
	if (enumerator)
		enumerator->destroy(enumerator);
	me->destroy(me);
	other->destroy(other);
	return text;
}

static bool replace(struct kaido_creds *creds, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	bool done;

	assert_non_null(json);
	done = kaido_creds_replace(creds, json);
	json_decref(json);
	return done;
}

#define SECRETS                                                                                 \
	"{\"secrets\":["                                                                        \
	"{\"kind\":\"psk\",\"local\":\"gw.acme\",\"remote\":\"b.acme\",\"secret\":\"6f6e65\"}," \
	"{\"kind\":\"eap\",\"local\":\"gw.acme\",\"remote\":\"alice\",\"secret\":\"74776f\"},"  \
	"{\"kind\":\"eap\",\"local\":\"gw.blue\",\"remote\":\"alice\",\"secret\":\"7468726565\"}]"

static void secrets_need_both_identities(void **state)
{
	struct kaido_creds *creds = kaido_creds_create();

	login = NULL;
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.acme", "b.acme"), "");
	assert_true(replace(creds, SECRETS ",\"locked\":[]}"));
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.acme", "b.acme"), "one");
	assert_string_equal(secret_of(creds, SHARED_IKE, "GW.Acme", "B.ACME"), "one");
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.blue", "b.acme"), "");
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.acme", "c.acme"), "");
	assert_string_equal(secret_of(creds, SHARED_IKE, "b.acme", "gw.acme"), "");
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.acme", "%any"), "");
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.acme", "alice"), "");
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "two");
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.blue", "alice"), "three");
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "b.acme"), "");
	assert_string_equal(secret_of(creds, SHARED_ANY, "gw.acme", "b.acme"), "");
	/* Who is locked out has none, at that gateway's identity. */
	assert_true(replace(creds,
			    SECRETS ",\"locked\":[{\"local\":\"gw.blue\",\"remote\":\"Alice\"}]}"));
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "two");
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.blue", "alice"), "");
	/* What makes no sense changes nothing. */
	assert_false(replace(creds, "{\"secrets\":[]}"));
	assert_false(replace(creds, "{\"secrets\":[{\"kind\":\"psk\"}],\"locked\":[]}"));
	assert_false(replace(creds,
			     "{\"secrets\":[{\"kind\":\"psk\",\"local\":\"a\",\"remote\":\"b\","
			     "\"secret\":\"6f6\"}],\"locked\":[]}"));
	assert_false(replace(creds,
			     "{\"secrets\":[{\"kind\":\"x\",\"local\":\"a\",\"remote\":\"b\","
			     "\"secret\":\"6f\"}],\"locked\":[]}"));
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "two");
	assert_true(replace(creds, "{\"secrets\":[],\"locked\":[]}"));
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "");
	kaido_creds_destroy(creds);
}

static certificate_t *certificate_itself(certificate_t *certificate)
{
	return certificate;
}

static void certificate_kept(certificate_t *certificate)
{
}

/* Else the failures of one name would be counted for another. */
static void a_user_is_the_one_of_the_eap_identity(void **state)
{
	struct kaido_creds *creds = kaido_creds_create();

	assert_true(replace(creds, SECRETS ",\"locked\":[]}"));
	login = auth_cfg_create();
	login->add(login, AUTH_RULE_EAP_IDENTITY, identification_create_from_string("bob"));
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "");
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.acme", "b.acme"), "one");
	login->add(login, AUTH_RULE_EAP_IDENTITY, identification_create_from_string("alice"));
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "two");
	login->destroy(login);
	login = NULL;
	kaido_creds_destroy(creds);
}

/* Whoever answers could guess the password from what it is given. */
static void the_gateway_logs_in_where_the_peer_has_a_certificate(void **state)
{
	static certificate_t certificate; /* never looked into, but its references are counted */
	struct kaido_creds *creds = kaido_creds_create();

	certificate.get_ref = certificate_itself;
	certificate.destroy = certificate_kept;
	assert_true(replace(creds, SECRETS ",\"locked\":[]}"));
	login = auth_cfg_create();
	initiator = true;
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "");
	assert_string_equal(secret_of(creds, SHARED_IKE, "gw.acme", "b.acme"), "one");
	proven = auth_cfg_create();
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "");
	proven->add(proven, AUTH_RULE_SUBJECT_CERT, certificate.get_ref(&certificate));
	assert_string_equal(secret_of(creds, SHARED_EAP, "gw.acme", "alice"), "two");
	proven->destroy(proven);
	proven = NULL;
	initiator = false;
	login->destroy(login);
	login = NULL;
	kaido_creds_destroy(creds);
}

int main(void)
{
	static bus_t bus = { .get_sa = current, .log = say_nothing };
	static daemon_t daemon = { .bus = &bus };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spis_in_use_are_not_taken),
		cmocka_unit_test(sas_have_names_of_their_own),
		cmocka_unit_test(an_sa_that_moves_keeps_its_handle),
		cmocka_unit_test(partners_are_inbound_and_of_the_tunnel),
		cmocka_unit_test(replaces_one_of_its_tunnel_and_direction),
		cmocka_unit_test(what_was_not_answered_is_sent_again_in_its_order),
		cmocka_unit_test(a_request_is_one_line),
		cmocka_unit_test(lines_come_whole),
		cmocka_unit_test(traps_are_of_their_tunnel),
		cmocka_unit_test(secrets_need_both_identities),
		cmocka_unit_test(a_user_is_the_one_of_the_eap_identity),
		cmocka_unit_test(the_gateway_logs_in_where_the_peer_has_a_certificate),
	};
	int failed;

	library_init(NULL, "kaido-test");
	charon = &daemon;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	charon = NULL;
	library_deinit();
	return failed;
}
