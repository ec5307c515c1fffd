/* SPDX-License-Identifier: BSD-3-Clause */
/* What may stand at a place of a command; names come from kaidod, silently nothing without it. */
#include "kaidoctl.h"

#include <stdio.h>
#include <string.h>

#include "rpc_client.h"

static const struct {
	const char *command;
	const char *options; /* separated by spaces */
} options[] = {
	{ "apply", "--dry-run --prune --confirm-within --yes" },
	{ "show", "--count --since --follow" },
	{ "delete", "--yes" },
	{ "sa", "--yes" },
	{ "disconnect", "--all" },
	{ "watch", "--count --interval" },
	{ "events", "--count" },
	{ "graph", "-o --period --format --timezone" },
	{ "trace", "--packets --every --follow" },
};

static void candidate_add(json_t *list, const char *typed, const char *candidate)
{
	if (strncmp(candidate, typed, strlen(typed)) == 0)
		json_array_append_new(list, json_string(candidate));
}

static void candidates_add(json_t *list, const char *typed, const char *const *candidates)
{
	for (; *candidates != NULL; candidates++)
		candidate_add(list, typed, *candidates);
}

/* Words separated by spaces, each behind `before`. */
static void spaced_add(json_t *list, const char *typed, const char *before, const char *words)
{
	char word[64];
	size_t len;

	for (; *words != '\0'; words += len + (words[len] == ' ')) {
		len = strcspn(words, " ");
		snprintf(word, sizeof(word), "%s%.*s", before, (int)len, words);
		candidate_add(list, typed, word);
	}
}

static void options_add(json_t *list, const char *typed, const char *command)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strcmp(options[i].command, command) == 0)
			spaced_add(list, typed, "", options[i].options);
	candidate_add(list, typed, "--json");
	candidate_add(list, typed, "--help");
}

static json_t *quiet_call(struct ctl *ctl, const char *method, json_t *params)
{
	struct rpc_failure failure;
	json_t *result;

	if (ctl->client == NULL && rpc_client_open(ctl->socket, &ctl->client) < 0) {
		json_decref(params);
		return NULL;
	}
	result = rpc_client_call(ctl->client, method, params, &failure);
	if (result == NULL)
		rpc_failure_clear(&failure);
	return result;
}

/* Names in a list of a result, each behind `before`. */
static void names_add(json_t *list, const char *typed, const json_t *rows, const char *before)
{
	const char *name;
	char text[80];
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		name = json_string_value(json_object_get(row, "name"));
		if (name == NULL)
			continue;
		snprintf(text, sizeof(text), "%s%s", before, name);
		candidate_add(list, typed, text);
	}
}

/* TENANT, or once its slash is typed TENANT/NAME with names of `list_of`. */
static void tenants_add(struct ctl *ctl, json_t *list, const char *typed, const char *method,
			const char *list_of, bool slash)
{
	char tenant[32], name[32], before[40];
	json_t *result;

	if (method != NULL && strchr(typed, '/') != NULL) {
		snprintf(before, sizeof(before), "%.*s", (int)(strchr(typed, '/') - typed), typed);
		if (!ctl_split_name(before, tenant, name))
			return;
		snprintf(before, sizeof(before), "%s/", tenant);
		result = quiet_call(ctl, method, json_pack("{s:s}", "tenant", tenant));
		names_add(list, typed, json_object_get(result, list_of), before);
	} else {
		result = quiet_call(ctl, "tenant.list", NULL);
		names_add(list, typed, json_object_get(result, "tenants"), "");
		if (slash && json_array_size(list) == 1) {
			snprintf(before, sizeof(before), "%s/",
				 json_string_value(json_array_get(list, 0)));
			json_array_set_new(list, 0, json_string(before));
		}
	}
	json_decref(result);
}

/* TENANT/NAME of remote access. */
static void access_add(struct ctl *ctl, json_t *list, const char *typed)
{
	char tenant[32], name[32], before[40];
	const json_t *config, *found;
	json_t *result;

	if (strchr(typed, '/') == NULL) {
		tenants_add(ctl, list, typed, NULL, NULL, true);
		return;
	}
	snprintf(before, sizeof(before), "%.*s", (int)(strchr(typed, '/') - typed), typed);
	if (!ctl_split_name(before, tenant, name))
		return;
	snprintf(before, sizeof(before), "%s/", tenant);
	result = quiet_call(ctl, "config.get", json_pack("{s:s}", "tenant", tenant));
	config = json_object_get(result, "config");
	found = json_array_get(json_object_get(config, "tenants"), 0);
	names_add(list, typed, json_object_get(found, "remote-access"), before);
	json_decref(result);
}

static void named_add(struct ctl *ctl, json_t *list, const char *typed, const char *kind)
{
	json_t *result;

	if (strcmp(kind, "remote-access") == 0 || strcmp(kind, "user") == 0) {
		access_add(ctl, list, typed);
	} else if (strcmp(kind, "tunnel") == 0) {
		tenants_add(ctl, list, typed, "tunnel.list", "tunnels", true);
	} else if (strcmp(kind, "attachment") == 0) {
		tenants_add(ctl, list, typed, "attachment.list", "attachments", true);
	} else if (strcmp(kind, "underlay") == 0) {
		result = quiet_call(ctl, "config.get", NULL);
		names_add(list, typed,
			  json_object_get(json_object_get(result, "config"), "underlay"), "");
		json_decref(result);
	} else {
		tenants_add(ctl, list, typed, NULL, NULL, false);
	}
}

static const struct {
	const char *kind;
	const char *members; /* separated by spaces */
} kind_members[] = {
	{ "tenant", "label= service= service-code= lockout.failures= lockout.seconds=" },
	{ "attachment", "port= vlan= mtu= addresses=" },
	{ "tunnel",
	  "label= local= remote= encapsulation= local-port= remote-port= mtu= networks= dscp= dscp-in= "
	  "df= ttl= flow-label= mss-clamp= pad-to= dummy-ms= keepalive= follow= lifetime= selectors= "
	  "local-networks= ike.psk-file= ike.certificate-file= ike.key-file= ike.ca-file= ike.crl-file= "
	  "ike.eap= ike.user= ike.password-file= "
	  "ike.local-id= ike.remote-id= ike.start= ike.proposals= ike.esp-proposals= ike.rekey= ike.dpd= "
	  "ike.mobike= ike.encapsulation= ike.peer= ike.per-cpu=" },
	{ "remote-access",
	  "label= local= local-id= auth= certificate-file= key-file= ca-file= crl-file= pool= dns= "
	  "networks= multiple-logins= mtu= dscp= dscp-in= df= ttl= "
	  "flow-label= mss-clamp= pad-to= dummy-ms= keepalive= follow= lifetime= proposals= "
	  "esp-proposals= rekey= dpd= mobike= encapsulation=" },
	{ "user", "password-file= groups=" },
	{ "route", "tunnel= via= blackhole=true" },
	{ "underlay", "port= vlan= mtu= netdev= addresses=" },
};

static const struct {
	const char *member;
	const char *values;
} member_values[] = {
	{ "service", "wan remote-access ztna document-exchange managed-database" },
	{ "encapsulation", "esp udp" },
	{ "dscp", "copy" },
	{ "dscp-in", "preserve copy" },
	{ "df", "copy set clear" },
	{ "flow-label", "sa inner zero" },
	{ "mss-clamp", "true false" },
	{ "follow", "true false" },
	{ "esn", "true false" },
	{ "direction", "in out" },
	{ "auth", "eap-mschapv2 eap-tls certificate psk" },
	{ "ike.eap", "mschapv2 tls" },
	{ "ike.start", "respond start trap" },
	{ "ike.mobike", "true false" },
	{ "ike.per-cpu", "true false" },
	{ "ike.encapsulation", "auto udp" },
	{ "mobike", "true false" },
	{ "multiple-logins", "true false" },
};

/* bash cuts a word at its '=': `member`, "=" and `typed` are three then. */
static void values_add(json_t *list, const char *typed, const char *member)
{
	size_t i;

	for (i = 0; i < sizeof(member_values) / sizeof(member_values[0]); i++)
		if (strcmp(member_values[i].member, member) == 0)
			spaced_add(list, typed, "", member_values[i].values);
}

/* Members of what is set, or once the '=' is typed what one may be. */
static void members_add(json_t *list, const char *typed, const char *members)
{
	const char *equals = strchr(typed, '=');
	char before[32];
	size_t i;

	if (equals == NULL)
		spaced_add(list, typed, "", members);
	for (i = 0; equals != NULL && i < sizeof(member_values) / sizeof(member_values[0]); i++) {
		snprintf(before, sizeof(before), "%s=", member_values[i].member);
		if (strncmp(before, typed, (size_t)(equals - typed) + 1) == 0)
			spaced_add(list, typed, before, member_values[i].values);
	}
}

static void kind_members_add(json_t *list, const char *typed, const char *kind)
{
	size_t i;

	for (i = 0; i < sizeof(kind_members) / sizeof(kind_members[0]); i++)
		if (strcmp(kind_members[i].kind, kind) == 0)
			members_add(list, typed, kind_members[i].members);
}

static void words_add(struct ctl *ctl, json_t *list, int n, char **words)
{
	static const char *const trace[] = { "start", "read", "stop", NULL };
	static const char *const sa[] = { "add", "delete", NULL };
	static const char *const directions[] = { "in", "out", NULL };
	static const char *const shells[] = { "bash", NULL };
	const char *command = words[0], *typed = words[n - 1];
	bool is_sa = strcmp(command, "sa") == 0;
	size_t i;

	if (strcmp(command, "show") == 0 && n == 2)
		for (i = 0; show_topic(i) != NULL; i++)
			candidate_add(list, typed, show_topic(i));
	else if (strcmp(command, "show") == 0 && n == 3)
		named_add(ctl, list, typed, strchr(typed, '/') != NULL ? "tunnel" : "tenant");
	else if ((strcmp(command, "set") == 0 || strcmp(command, "delete") == 0) && n == 2)
		candidates_add(list, typed, set_kinds());
	else if ((strcmp(command, "set") == 0 || strcmp(command, "delete") == 0) && n == 3)
		named_add(ctl, list, typed, words[1]);
	else if (strcmp(command, "set") == 0 && n > 3)
		kind_members_add(list, typed, words[1]);
	else if (is_sa && n == 2)
		candidates_add(list, typed, sa);
	else if (is_sa && n == 3)
		named_add(ctl, list, typed, "tunnel");
	else if (is_sa && n > 3 && strcmp(words[1], "add") == 0)
		members_add(list, typed, "direction= spi= key-file= esn= window= lifetime=");
	else if (is_sa && n > 3)
		candidates_add(list, typed, directions);
	else if (strcmp(command, "graph") == 0 || (strcmp(command, "disconnect") == 0 && n == 2))
		named_add(ctl, list, typed, strchr(typed, '/') != NULL ? "tunnel" : "tenant");
	else if ((strcmp(command, "watch") == 0 || strcmp(command, "drops") == 0) && n == 2)
		named_add(ctl, list, typed, "tenant");
	else if (strcmp(command, "trace") == 0 && n == 2)
		candidates_add(list, typed, trace);
	else if (strcmp(command, "trace") == 0 && n == 3 && strcmp(words[1], "start") == 0)
		named_add(ctl, list, typed, "tenant");
	else if (strcmp(command, "completion") == 0 && n == 2)
		candidates_add(list, typed, shells);
}

json_t *completions(struct ctl *ctl, int n, char **words)
{
	static const char *const periods[] = { "10m", "1h", "1d", "7d", "30d", "13M", NULL };
	static const char *const formats[] = { "png", "svg", NULL };
	const struct command *command;
	json_t *list = json_array();
	const char *typed = words[n - 1];

	if (n == 1 || (n == 2 && strcmp(words[0], "help") == 0)) {
		for (command = ctl_commands; command->name != NULL; command++)
			if (command->summary != NULL)
				candidate_add(list, typed, command->name);
	} else if (strcmp(words[n - 2], "--period") == 0) {
		candidates_add(list, typed, periods);
	} else if (strcmp(words[n - 2], "--format") == 0) {
		candidates_add(list, typed, formats);
	} else if (n > 3 && strcmp(typed, "=") == 0) {
		values_add(list, "", words[n - 2]);
	} else if (n > 4 && strcmp(words[n - 2], "=") == 0) {
		values_add(list, typed, words[n - 3]);
	} else if (typed[0] == '-') {
		options_add(list, typed, words[0]);
	} else {
		words_add(ctl, list, n, words);
	}
	return list;
}

/* kaidoctl complete WORD... : the words after kaidoctl's own name, the last one half typed. */
int command_complete(struct ctl *ctl, int argc, char **argv)
{
	json_t *list, *item;
	size_t i;

	if (argc < 2)
		return command_usage("complete", "give at least one WORD", NULL);
	list = completions(ctl, argc - 1, argv + 1);
	json_array_foreach (list, i, item)
		printf("%s\n", json_string_value(item));
	json_decref(list);
	return CTL_OK;
}

int command_completion(struct ctl *ctl, int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "bash") != 0)
		return command_usage("completion", "it is for: bash", NULL);
	printf("# bash completion of kaidoctl\n"
	       "_kaidoctl()\n"
	       "{\n"
	       "	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "	local IFS=$'\\n'\n"
	       "	COMPREPLY=()\n"
	       "	if [ \"${COMP_WORDS[1]}\" = apply ] && [[ $word != -* ]]; then\n"
	       "		compopt -o filenames\n"
	       "		COMPREPLY=($(compgen -f -- \"$word\"))\n"
	       "		return\n"
	       "	fi\n"
	       "	case $before in\n"
	       "	-o | -f)\n"
	       "		compopt -o filenames\n"
	       "		COMPREPLY=($(compgen -f -- \"$word\"))\n"
	       "		return ;;\n"
	       "	esac\n"
	       "	COMPREPLY=($(\"${COMP_WORDS[0]}\" complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
	       "2>/dev/null))\n"
	       "	[[ ${COMPREPLY[0]} == */ || ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
	       "}\n"
	       "complete -F _kaidoctl kaidoctl\n");
	return CTL_OK;
}
