/* SPDX-License-Identifier: BSD-3-Clause */
/* How a tunnel makes its outer headers, what it sends by itself, and how long its SAs may serve. */
#include "config_parse.h"

#include <string.h>

#define MSS_LEAST      88 /* what the least IPv4 MTU leaves, less the options of TCP */
#define PAD_MOST       9216
#define DUMMY_MOST     65535 /* ms */
#define KEEPALIVE_MOST 3600  /* s */
#define TTL_DEFAULT    64
#define LIMIT_MOST     (1ll << 62)

static bool is_absent(const json_t *json, const char *member)
{
	const json_t *value = json_object_get(json, member);

	return value == NULL || json_is_null(value);
}

static void dscp_parse(struct config_reader *reader, const json_t *json,
		       struct tunnel_policy *policy)
{
	const json_t *value = json_object_get(json, "dscp");
	const char *text = json_string_value(value);
	int64_t number;

	if (is_absent(json, "dscp") || (text != NULL && strcmp(text, "copy") == 0))
		return;
	if (value_integer(value, &number) && number >= 0 && number <= 63)
		policy->dscp = (uint8_t)(ABI_DSCP_SET | number);
	else
		reader_error_of(reader, "dscp",
				"must be copy (the inner one), or a number from 0 to 63 such as 46 "
				"for EF");
}

static void mss_parse(struct config_reader *reader, const json_t *json,
		      struct tunnel_policy *policy)
{
	const json_t *value = json_object_get(json, "mss-clamp");
	int64_t number;

	if (is_absent(json, "mss-clamp") || json_is_true(value))
		return;
	if (json_is_false(value))
		policy->flags |= ABI_TUNNEL_MSS_OFF;
	else if (value_integer(value, &number) && number >= MSS_LEAST && number <= MTU_MOST)
		policy->mss = (uint16_t)number;
	else
		reader_error_of(reader, "mss-clamp",
				"must be true (to what the MTU allows), false, or the largest MSS, "
				"%d to %d",
				MSS_LEAST, MTU_MOST);
}

static uint8_t choice_parse(struct config_reader *reader, const json_t *json, const char *member,
			    const char *const *choices)
{
	int choice = is_absent(json, member) ? 0 : field_choice(reader, json, member, choices, 0);

	return choice < 0 ? 0 : (uint8_t)choice;
}

void config_parse_policy(struct config_reader *reader, const json_t *json, bool udp, bool follow,
			 struct tunnel_policy *policy)
{
	static const char *const dscp_in[] = { "preserve", "copy", NULL };
	static const char *const df[] = {
		[ABI_DF_COPY] = "copy", [ABI_DF_SET] = "set", [ABI_DF_CLEAR] = "clear", NULL
	};
	static const char *const labels[] = { [ABI_FLOW_LABEL_SA] = "sa",
					      [ABI_FLOW_LABEL_INNER] = "inner",
					      [ABI_FLOW_LABEL_ZERO] = "zero",
					      NULL };
	dscp_parse(reader, json, policy);
	if (choice_parse(reader, json, "dscp-in", dscp_in) == 1)
		policy->flags |= ABI_TUNNEL_DSCP_IN;
	policy->df = choice_parse(reader, json, "df", df);
	policy->flow_label = choice_parse(reader, json, "flow-label", labels);
	policy->ttl = (uint8_t)field_integer(reader, json, "ttl", 1, 255, TTL_DEFAULT);
	if (policy->ttl == TTL_DEFAULT)
		policy->ttl = 0;
	mss_parse(reader, json, policy);
	policy->pad_to = (uint16_t)field_integer(reader, json, "pad-to", 0, PAD_MOST, 0);
	policy->dummy_ms = (uint16_t)field_integer(reader, json, "dummy-ms", 0, DUMMY_MOST, 0);
	policy->keepalive =
		(uint16_t)field_integer(reader, json, "keepalive", 0, KEEPALIVE_MOST, 0);
	if (policy->keepalive != 0 && !udp)
		reader_error_of(reader, "keepalive",
				"keeps a NAT's entry for ESP in UDP: remove it or set "
				"encapsulation: udp");
	if (field_bool(reader, json, "follow", follow))
		policy->flags |= ABI_TUNNEL_FOLLOW;
}

/* -- lifetimes -- */

static void limits_parse(struct config_reader *reader, const json_t *json, const char *member,
			 struct abi_lifetime *limits)
{
	static const char *const names[] = { "bytes", "packets", "seconds", NULL };
	const json_t *object = json_object_get(json, member);
	uint64_t *values[] = { &limits->bytes, &limits->packets, &limits->seconds };
	size_t mark;

	if (is_absent(json, member))
		return;
	mark = reader_enter(reader, member);
	if (fields_check(reader, object, names, NULL)) {
		for (size_t i = 0; i < 3; i++)
			*values[i] =
				(uint64_t)field_integer(reader, object, names[i], 1, LIMIT_MOST, 0);
	}
	reader_leave(reader, mark);
}

static void order_check(struct config_reader *reader, const char *member, uint64_t soft,
			uint64_t hard)
{
	size_t mark;

	if (soft == 0 || hard == 0 || soft < hard)
		return;
	mark = reader_enter(reader, "soft");
	reader_error_of(reader, member,
			"must be below the hard one, %llu: it is what tells in time that a "
			"successor is wanted",
			(unsigned long long)hard);
	reader_leave(reader, mark);
}

bool config_parse_lifetime(struct config_reader *reader, const json_t *json,
			   struct lifetime *lifetime)
{
	static const char *const names[] = { "soft", "hard", NULL };
	const json_t *object = json_object_get(json, "lifetime");
	size_t mark;

	if (is_absent(json, "lifetime"))
		return false;
	mark = reader_enter(reader, "lifetime");
	if (fields_check(reader, object, names, NULL)) {
		limits_parse(reader, object, "soft", &lifetime->soft);
		limits_parse(reader, object, "hard", &lifetime->hard);
		order_check(reader, "bytes", lifetime->soft.bytes, lifetime->hard.bytes);
		order_check(reader, "packets", lifetime->soft.packets, lifetime->hard.packets);
		order_check(reader, "seconds", lifetime->soft.seconds, lifetime->hard.seconds);
	}
	reader_leave(reader, mark);
	return true;
}
