/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is connected by IKE, and how he is disconnected. */
#include "kaidoctl.h"
#include "kaidoctl_columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Members that a column can name: who the peer is, and where. */
static void row_fill(json_t *ike)
{
	const char *user = json_string_value(json_object_get(ike, "user"));
	const json_t *child, *spi;
	json_t *spis = json_array();
	size_t i;

	if (user == NULL)
		user = json_string_value(json_object_get(ike, "remote_id"));
	if (user != NULL)
		json_object_set_new(ike, "who", json_string(user));
	json_array_foreach (json_object_get(ike, "children"), i, child) {
		spi = json_object_get(child, "spi_in");
		if (spi != NULL)
			json_array_append_new(spis,
					      json_sprintf("0x%llx", json_integer_value(spi)));
	}
	json_object_set_new(ike, "spis", spis);
}

int ike_print(const json_t *result)
{
	json_t *list = json_object_get(result, "ike"), *down = json_object_get(result, "down"),
	       *ike;
	const json_t *plugin = json_object_get(result, "strongswan");
	size_t i;

	if (!json_is_true(json_object_get(plugin, "connected")))
		printf("kaido's plugin in strongSwan is not connected, nothing new is negotiated: "
		       "see `kaidoctl show status` and `kaidoctl show events`.\n");
	json_array_foreach (list, i, ike)
		row_fill(ike);
	if (json_array_size(list) > 0)
		table_write(stdout, show_ike_columns, list);
	else
		printf("Nobody is connected.\n");
	json_array_foreach (down, i, ike)
		printf("%s/%s is down.\n", json_string_value(json_object_get(ike, "tenant")),
		       json_string_value(json_object_get(ike, "name")));
	return CTL_OK;
}

/* NAME, user=NAME, id=NUMBER or --all. */
static bool whom_take(json_t *params, const char *word)
{
	char *end;
	long long id;

	if (strcmp(word, "--all") == 0) {
		json_object_set_new(params, "all", json_true());
		return true;
	}
	if (strncmp(word, "user=", 5) == 0) {
		json_object_set_new(params, "user", json_string(word + 5));
		return word[5] != '\0';
	}
	if (strncmp(word, "id=", 3) == 0) {
		id = strtoll(word + 3, &end, 10);
		json_object_set_new(params, "id", json_integer(id));
		return word[3] != '\0' && *end == '\0';
	}
	json_object_set_new(params, "name", json_string(word));
	return word[0] != '\0' && strchr(word, '=') == NULL;
}

int command_disconnect(struct ctl *ctl, int argc, char **argv)
{
	char tenant[32], name[32] = "";
	json_t *params, *result;
	int rc;

	if (argc < 2 || argc > 3 || !ctl_split_name(argv[1], tenant, name))
		return command_usage("disconnect", "name a tenant, and whom", NULL);
	if ((name[0] != '\0') == (argc == 3))
		return command_usage("disconnect", "say whom, once", NULL);
	params = json_pack("{s:s}", "tenant", tenant);
	if (!whom_take(params, argc == 3 ? argv[2] : name)) {
		json_decref(params);
		return command_usage("disconnect", "this names nobody:", argv[2]);
	}
	rc = ctl_call(ctl, "ike.disconnect", params, &result);
	if (rc != CTL_OK)
		return rc;
	if (ctl->json)
		rc = ctl_print_json(result);
	else
		printf("%lld disconnected.\n",
		       (long long)json_integer_value(json_object_get(result, "closed")));
	json_decref(result);
	return rc;
}
