/* SPDX-License-Identifier: BSD-3-Clause */
#include "tunnel_share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define GROUP 64 /* tunnels */

/* Does not change once two shares have it. */
struct group {
	unsigned int references;
	struct tunnel *tunnels[GROUP]; /* NULL: none */
};

struct tunnel_share {
	uint32_t n;
	struct group *groups[]; /* NULL: one without tunnels */
};

static void group_release(struct group *group)
{
	if (group == NULL || --group->references > 0)
		return;
	for (unsigned int i = 0; i < GROUP; i++)
		tunnel_release(group->tunnels[i]);
	free(group);
}

/* The group, for this share alone. NULL: no memory. */
static struct group *group_own(struct tunnel_share *share, uint32_t index)
{
	struct group *group = share->groups[index], *own;

	if (group != NULL && group->references == 1)
		return group;
	own = calloc(1, sizeof(*own));
	if (own == NULL)
		return NULL;
	own->references = 1;
	for (unsigned int i = 0; group != NULL && i < GROUP; i++) {
		if (group->tunnels[i] != NULL)
			own->tunnels[i] = tunnel_hold(group->tunnels[i]);
	}
	group_release(group);
	share->groups[index] = own;
	return own;
}

struct tunnel_share *tunnel_share_create(const struct tunnel_share *like, uint32_t places)
{
	uint32_t n = places / GROUP + 1, had = like == NULL ? 0 : like->n;
	struct tunnel_share *share;

	if (n < had)
		n = had;
	share = calloc(1, sizeof(*share) + n * sizeof(struct group *));
	if (share == NULL)
		return NULL;
	share->n = n;
	for (uint32_t i = 0; i < had; i++) {
		share->groups[i] = like->groups[i];
		if (share->groups[i] != NULL)
			share->groups[i]->references++;
	}
	return share;
}

void tunnel_share_destroy(struct tunnel_share *share)
{
	for (uint32_t i = 0; share != NULL && i < share->n; i++)
		group_release(share->groups[i]);
	free(share);
}

int tunnel_share_put(struct tunnel_share *share, uint32_t place, struct tunnel *tunnel)
{
	struct group *group = group_own(share, place / GROUP);

	if (group == NULL) {
		tunnel_release(tunnel);
		return -ENOMEM;
	}
	tunnel_release(group->tunnels[place % GROUP]);
	group->tunnels[place % GROUP] = tunnel;
	return 0;
}
