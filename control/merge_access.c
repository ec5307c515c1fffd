/* SPDX-License-Identifier: BSD-3-Clause */
/* Differences of remote access: of an entry itself, and one line for each of its users. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "merge_steps.h"

static json_t *without_users(const struct remote_access *access)
{
	json_t *json = config_render_remote_access(access, CONFIG_COMPARED);

	json_object_del(json, "users");
	return json;
}

static bool groups_equal(const struct user *a, const struct user *b)
{
	if (a->n_groups != b->n_groups)
		return false;
	for (size_t i = 0; i < a->n_groups; i++) {
		if (strcmp(a->groups[i], b->groups[i]) != 0)
			return false;
	}
	return true;
}

static bool user_merge(struct merge *merge, const char *access, const struct user *now,
		       const struct user *next)
{
	char name[ABI_NAME_LEN + IKE_ID_MAX + 1], detail[32];
	bool spelling, password, groups;

	snprintf(name, sizeof(name), "%s %s", access, now == NULL ? next->name : now->name);
	if (now == NULL || next == NULL) {
		merge_change(merge, now == NULL ? "add" : "delete", "user", name, NULL);
		return false;
	}
	spelling = strcmp(now->name, next->name) != 0;
	password = !secret_equal(&now->password, &next->password);
	groups = !groups_equal(now, next);
	if (!spelling && !password && !groups)
		return true;
	snprintf(detail, sizeof(detail), "%s%s%s", spelling ? ", name" : "",
		 password ? ", password" : "", groups ? ", groups" : "");
	merge_change(merge, "change", "user", name, detail + 2);
	return false;
}

/* Both lists are by name. */
static bool users_merge(struct merge *merge, const struct remote_access *now,
			const struct remote_access *next)
{
	size_t n_now = now == NULL ? 0 : now->n_users, i = 0, k = 0;
	bool equal = true;

	while (i < n_now || k < next->n_users) {
		int order = i == n_now ? 1
			    : k == next->n_users
				    ? -1
				    : strcasecmp(now->users[i].name, next->users[k].name);

		equal &= user_merge(merge, next->name, order <= 0 ? &now->users[i] : NULL,
				    order >= 0 ? &next->users[k] : NULL);
		i += order <= 0;
		k += order >= 0;
	}
	return equal;
}

/* *next becomes `now` where they are the same. Returns whether they are. */
static bool access_merge(struct merge *merge, struct remote_access *now,
			 struct remote_access **next)
{
	bool equal;

	if (now == *next)
		return true;
	if (now == NULL) {
		(*next)->id = merge_id_take(merge, ID_TUNNEL);
		merge_change(merge, "add", "remote-access", (*next)->name, NULL);
		users_merge(merge, NULL, *next);
		return false;
	}
	equal = merge_compare(merge, "remote-access", now->name, without_users(now),
			      without_users(*next));
	equal &= users_merge(merge, now, *next);
	if (equal) {
		remote_access_release(*next);
		*next = remote_access_hold(now);
		return true;
	}
	(*next)->id = now->id;
	return false;
}

bool merge_remote_access(struct merge *merge, const struct tenant *now, struct tenant *next)
{
	bool equal = true;

	for (size_t i = 0; now != NULL && i < now->n_remote_access; i++) {
		if (tenant_remote_access(next, now->remote_access[i]->name) != NULL)
			continue;
		merge_change(merge, "delete", "remote-access", now->remote_access[i]->name, NULL);
		equal = false;
	}
	for (size_t i = 0; i < next->n_remote_access; i++)
		equal &= access_merge(
			merge,
			now == NULL ? NULL
				    : tenant_remote_access(now, next->remote_access[i]->name),
			&next->remote_access[i]);
	return equal;
}
