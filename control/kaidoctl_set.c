/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `set`, `delete`, `sa`. A set reads the object as it is, changes the members given, and sends the
 * whole back; an SA in it says "key: set", which keeps the key that the gateway has.
 */
#include "kaidoctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_file.h"
#include "yaml_config.h"

/* What the words after `set` or `delete` name. */
struct target {
	const char *kind;
	char tenant[32];
	char name[32];
	const char *prefix; /* of a route */
	const char *user;   /* of remote access */
	int words;          /* that it took */
};

static const char *const kinds[] = { "tenant", "attachment", "tunnel",   "remote-access",
				     "user",   "route",      "underlay", NULL };

const char *const *set_kinds(void)
{
	return kinds;
}

static bool kind_is(const struct target *target, const char *kind)
{
	return strcmp(target->kind, kind) == 0;
}

/* Is it named TENANT/NAME? */
static bool kind_in_tenant(const struct target *target)
{
	return kind_is(target, "attachment") || kind_is(target, "tunnel") ||
	       kind_is(target, "remote-access") || kind_is(target, "user");
}

/* CTL_OK, or a mistake was reported. */
static int target_parse(struct target *target, const char *command, int argc, char **argv)
{
	size_t i;

	if (argc < 3)
		return command_usage(command, "name a KIND and what of it", NULL);
	for (i = 0; kinds[i] != NULL && strcmp(kinds[i], argv[1]) != 0; i++)
		;
	if (kinds[i] == NULL)
		return command_usage(command, "there is no kind", argv[1]);
	target->kind = kinds[i];
	target->words = 3;
	if (!ctl_split_name(argv[2], target->tenant, target->name))
		return command_usage(command, "this is no name:", argv[2]);
	if (kind_in_tenant(target)) {
		if (target->name[0] == '\0')
			return command_usage(command, "give TENANT/NAME, not", argv[2]);
		if (!kind_is(target, "user"))
			return CTL_OK;
		if (argc < 4)
			return command_usage(command, "give the USER's name, too", NULL);
		target->user = argv[3];
		target->words = 4;
		return CTL_OK;
	}
	if (target->name[0] != '\0')
		return command_usage(command, "give one name, not", argv[2]);
	if (kind_is(target, "route")) {
		if (argc < 4)
			return command_usage(command, "give the PREFIX of the route", NULL);
		target->prefix = argv[3];
		target->words = 4;
	}
	return CTL_OK;
}

/* The one of `list` with that name, the caller's; NULL: none. */
static json_t *named_find(const json_t *list, const char *name)
{
	const char *its;
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		its = json_string_value(json_object_get(item, "name"));
		if (its != NULL && strcmp(its, name) == 0)
			return json_incref(item);
	}
	return NULL;
}

/* The one that is meant, of what its tenant has; NULL: none. */
static json_t *tenant_find(const struct target *target, const json_t *tenant)
{
	const char *list = kind_is(target, "tunnel")       ? "tunnels"
			   : kind_is(target, "attachment") ? "attachments"
							   : "remote-access";
	json_t *found = named_find(json_object_get(tenant, list), target->name), *user;

	if (target->user == NULL)
		return found;
	user = named_find(json_object_get(found, "users"), target->user);
	json_decref(found);
	return user;
}

static const char *target_name(const struct target *target)
{
	if (target->user != NULL)
		return target->user;
	return target->name[0] != '\0' ? target->name : target->tenant;
}

/* The object as it is configured, or a new one of that name. */
static int object_get(struct ctl *ctl, const struct target *target, json_t **object)
{
	const json_t *config, *tenants, *holder;
	json_t *result, *params = json_object();
	bool in_tenant = kind_in_tenant(target);
	json_t *tenant = NULL;
	int rc;

	if (in_tenant)
		json_object_set_new(params, "tenant", json_string(target->tenant));
	rc = ctl_call(ctl, "config.get", params, &result);
	if (rc != CTL_OK)
		return rc;
	config = json_object_get(result, "config");
	tenants = json_object_get(config, "tenants");
	if (in_tenant) {
		tenant = named_find(tenants, target->tenant);
		*object = tenant_find(target, tenant);
	} else {
		holder = kind_is(target, "tenant") ? tenants : json_object_get(config, "underlay");
		*object = named_find(holder, target->tenant);
	}
	if (*object == NULL)
		*object = json_pack("{s:s}", "name", target_name(target));
	json_decref(tenant);
	json_decref(result);
	return CTL_OK;
}

static void file_report(void *context, const char *pointer, int fatal, const char *text)
{
	fprintf(stderr, "kaidoctl: %s%s\n", fatal ? "" : "warning: ", text);
}

/* Members from the command line or a file. *object is the caller's. */
static int object_build(struct ctl *ctl, const struct target *target, int argc, char **argv,
			json_t **object, struct yaml_config **file)
{
	int i, rc;

	*object = NULL;
	*file = NULL;
	if (argc > target->words && strcmp(argv[target->words], "-f") == 0) {
		if (argc != target->words + 2)
			return command_usage("set", "give -f FILE and nothing after it", NULL);
		*file = config_read(argv[target->words + 1]);
		if (*file == NULL)
			return CTL_FAILED;
		*object = json_incref(yaml_config_json(*file));
		return CTL_OK;
	}
	if (argc == target->words)
		return command_usage("set", "give at least one MEMBER=VALUE", NULL);
	if (kind_is(target, "route"))
		*object = json_pack("{s:s}", "prefix", target->prefix);
	else if ((rc = object_get(ctl, target, object)) != CTL_OK)
		return rc;
	for (i = target->words; i < argc; i++)
		if (!member_assign(*object, argv[i])) {
			json_decref(*object);
			*object = NULL;
			return CTL_FAILED;
		}
	if (key_file_resolve(*object, ".", file_report, NULL) == 0)
		return CTL_OK;
	json_decref(*object);
	*object = NULL;
	return CTL_FAILED;
}

/* A file may leave the name out; it may not give another one. */
static int name_settle(const struct target *target, json_t *object)
{
	const char *member = target->prefix != NULL ? "prefix" : "name";
	const char *name = target->prefix != NULL ? target->prefix : target_name(target);
	const char *given = json_string_value(json_object_get(object, member));

	if (given != NULL && strcmp(given, name) != 0) {
		fprintf(stderr,
			"kaidoctl: '%s' can't become '%s'; delete the one and set the "
			"other\n",
			name, given);
		return CTL_FAILED;
	}
	return json_object_set_new(object, member, json_string(name)) < 0 ? CTL_FAILED : CTL_OK;
}

static json_t *target_params(const struct target *target)
{
	bool top = kind_is(target, "tenant") || kind_is(target, "underlay");

	if (target->user != NULL)
		return json_pack("{s:s, s:s}", "tenant", target->tenant, "remote-access",
				 target->name);
	return top ? json_object() : json_pack("{s:s}", "tenant", target->tenant);
}

static int changes_show(const struct ctl *ctl, json_t *result)
{
	int rc = CTL_OK;

	if (ctl->json)
		rc = ctl_print_json(result);
	else
		changes_print(json_object_get(result, "changes"), true);
	json_decref(result);
	return rc;
}

int command_set(struct ctl *ctl, int argc, char **argv)
{
	struct target target = { 0 };
	struct yaml_config *file = NULL;
	json_t *object, *params, *result;
	struct ctl_source source;
	char method[32], at[32];
	int rc;

	rc = target_parse(&target, "set", argc, argv);
	if (rc != CTL_OK)
		return rc;
	rc = object_build(ctl, &target, argc, argv, &object, &file);
	if (rc != CTL_OK)
		return rc;
	if (!json_is_object(object)) {
		fprintf(stderr, "kaidoctl: the file has to hold the members of one %s\n",
			target.kind);
		rc = CTL_FAILED;
		goto out;
	}
	rc = name_settle(&target, object);
	if (rc != CTL_OK)
		goto out;
	snprintf(at, sizeof(at), "/%s", target.kind);
	source.file = strcmp(argv[argc - 1], "-") == 0 ? "stdin" : argv[argc - 1];
	source.at = at;
	source.config = file;
	params = target_params(&target);
	json_object_set(params, target.kind, object);
	snprintf(method, sizeof(method), "%s.set", target.kind);
	rc = ctl_call_from(ctl, method, params, &result, file != NULL ? &source : NULL);
	if (rc == CTL_OK)
		rc = changes_show(ctl, result);
out:
	json_decref(object);
	yaml_config_free(file);
	return rc;
}

/* Takes --yes out of the words. */
static bool yes_take(int *argc, char **argv)
{
	bool yes = false;
	int i, n = 0;

	for (i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "--yes") == 0 || strcmp(argv[i], "-y") == 0)
			yes = true;
		else
			argv[n++] = argv[i];
	}
	*argc = n;
	return yes;
}

static int delete_call(struct ctl *ctl, const char *method, json_t *params, bool yes,
		       const char *what)
{
	char question[192];
	json_t *result;
	int rc;

	snprintf(question, sizeof(question), "Delete %s?", what);
	if (!yes && !ctl_ask(question)) {
		fprintf(stderr, "Nothing was changed.\n");
		json_decref(params);
		return CTL_FAILED;
	}
	rc = ctl_call(ctl, method, params, &result);
	return rc == CTL_OK ? changes_show(ctl, result) : rc;
}

int command_delete(struct ctl *ctl, int argc, char **argv)
{
	struct target target = { 0 };
	bool yes = yes_take(&argc, argv);
	char method[32], what[160];
	json_t *params;
	int rc;

	rc = target_parse(&target, "delete", argc, argv);
	if (rc != CTL_OK)
		return rc;
	if (argc != target.words)
		return command_usage("delete", "too many words from here:", argv[target.words]);
	params = target_params(&target);
	if (target.prefix != NULL)
		json_object_set_new(params, "prefix", json_string(target.prefix));
	else
		json_object_set_new(params, "name", json_string(target_name(&target)));
	snprintf(method, sizeof(method), "%s.delete", target.kind);
	snprintf(what, sizeof(what), "%s %s %.60s", target.kind, argv[2],
		 target.words == 4 ? argv[3] : "");
	return delete_call(ctl, method, params, yes, what);
}

static int sa_add(struct ctl *ctl, const char *tenant, const char *tunnel, int argc, char **argv)
{
	json_t *sa = json_object(), *result;
	int i, rc;

	for (i = 3; i < argc; i++)
		if (!member_assign(sa, argv[i])) {
			json_decref(sa);
			return CTL_FAILED;
		}
	if (json_object_get(sa, "key-file") == NULL) {
		json_decref(sa);
		return command_usage("sa", "give key-file=FILE", NULL);
	}
	if (key_file_resolve(sa, ".", file_report, NULL) > 0) {
		json_decref(sa);
		return CTL_FAILED;
	}
	rc = ctl_call(ctl, "sa.add",
		      json_pack("{s:s, s:s, s:o}", "tenant", tenant, "tunnel", tunnel, "sa", sa),
		      &result);
	return rc == CTL_OK ? changes_show(ctl, result) : rc;
}

int command_sa(struct ctl *ctl, int argc, char **argv)
{
	bool yes = yes_take(&argc, argv);
	char tenant[32], tunnel[32], what[128], *end;
	unsigned long spi;

	if (argc < 3 || !ctl_split_name(argv[2], tenant, tunnel) || tunnel[0] == '\0')
		return command_usage("sa", "give add or delete, and TENANT/TUNNEL", NULL);
	if (strcmp(argv[1], "add") == 0)
		return sa_add(ctl, tenant, tunnel, argc, argv);
	if (strcmp(argv[1], "delete") != 0)
		return command_usage("sa", "there is no", argv[1]);
	if (argc != 5 || (strcmp(argv[3], "in") != 0 && strcmp(argv[3], "out") != 0))
		return command_usage("sa", "give TENANT/TUNNEL in|out SPI", NULL);
	spi = strtoul(argv[4], &end, 0);
	if (*end != '\0' || end == argv[4] || spi > 0xffffffff)
		return command_usage("sa", "this is no SPI:", argv[4]);
	snprintf(what, sizeof(what), "the SA %s 0x%lx of %s", argv[3], spi, argv[2]);
	return delete_call(ctl, "sa.delete",
			   json_pack("{s:s, s:s, s:s, s:I}", "tenant", tenant, "tunnel", tunnel,
				     "direction", argv[3], "spi", (json_int_t)spi),
			   yes, what);
}
