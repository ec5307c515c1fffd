/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "model.h"
#include "store.h"

#define PRUNE_EVERY_S 60
#define DAY_S         86400
#define NS            1000000000ll

struct journal_entry {
	STAILQ_ENTRY(journal_entry) link;
	int64_t time;
	char tenant[ABI_NAME_LEN]; /* empty: none */
	char tunnel[ABI_NAME_LEN];
	char *document;
};

int journal_open(struct journal *journal, struct store *store, unsigned int days, unsigned int rows)
{
	int ret;

	memset(journal, 0, sizeof(*journal));
	STAILQ_INIT(&journal->waiting);
	journal->store = store;
	journal->days = days;
	journal->rows = rows;
	ret = store_get_number(store, "events-boot", 0, &journal->boot);
	return ret < 0 ? ret : store_get_number(store, "events-read", 0, &journal->read);
}

static void entry_drop_first(struct journal *journal)
{
	struct journal_entry *entry = STAILQ_FIRST(&journal->waiting);

	STAILQ_REMOVE_HEAD(&journal->waiting, link);
	journal->n_waiting--;
	free(entry->document);
	free(entry);
}

void journal_close(struct journal *journal)
{
	if (journal->store == NULL)
		return;
	while (!STAILQ_EMPTY(&journal->waiting))
		entry_drop_first(journal);
	journal->store = NULL;
}

static void name_copy(char name[ABI_NAME_LEN], const json_t *event, const char *member)
{
	const char *text = json_string_value(json_object_get(event, member));

	if (text != NULL && strlen(text) < ABI_NAME_LEN)
		memcpy(name, text, strlen(text) + 1);
}

void journal_add(struct journal *journal, const json_t *event)
{
	struct journal_entry *entry = calloc(1, sizeof(*entry));
	char *document = json_dumps(event, JSON_COMPACT);

	if (entry == NULL || document == NULL) {
		free(document);
		free(entry);
		journal->lost++;
		return;
	}
	entry->time = (int64_t)(json_number_value(json_object_get(event, "time")) * 1e9);
	name_copy(entry->tenant, event, "tenant");
	name_copy(entry->tunnel, event, "tunnel");
	entry->document = document;
	STAILQ_INSERT_TAIL(&journal->waiting, entry, link);
	if (journal->n_waiting++ < JOURNAL_WAITING)
		return;
	entry_drop_first(journal);
	journal->lost++;
}

uint64_t journal_read(const struct journal *journal, uint64_t boot)
{
	return journal->boot == boot ? journal->read : 0;
}

void journal_read_to(struct journal *journal, uint64_t boot, uint64_t number)
{
	journal->moved |= journal->boot != boot || journal->read != number;
	journal->boot = boot;
	journal->read = number;
}

/* -- writing -- */

static int waiting_write(struct journal *journal)
{
	const struct journal_entry *entry;
	int ret = 0;

	STAILQ_FOREACH (entry, &journal->waiting, link) {
		struct store_event event = { .time = entry->time,
					     .tenant = entry->tenant,
					     .tunnel = entry->tunnel,
					     .document = entry->document };

		ret = store_event_add(journal->store, &event);
		if (ret < 0)
			return ret;
	}
	/* Each tenant is looked at once where its entries stand together, as they mostly do. */
	STAILQ_FOREACH (entry, &journal->waiting, link) {
		const struct journal_entry *next = STAILQ_NEXT(entry, link);

		if (next != NULL && strcmp(next->tenant, entry->tenant) == 0)
			continue;
		ret = store_event_trim(journal->store, entry->tenant, journal->rows);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_write(struct journal *journal)
{
	int ret;

	if (!journal->moved)
		return 0;
	ret = store_set_number(journal->store, "events-boot", journal->boot);
	return ret < 0 ? ret : store_set_number(journal->store, "events-read", journal->read);
}

static int prune(struct journal *journal, int64_t now)
{
	if (now < journal->pruned + PRUNE_EVERY_S && now >= journal->pruned)
		return 0;
	journal->pruned = now;
	return store_event_prune(journal->store, (now - (int64_t)journal->days * DAY_S) * NS,
				 JOURNAL_ALL);
}

static int flush(struct journal *journal)
{
	int ret = store_begin(journal->store);

	if (ret == 0)
		ret = waiting_write(journal);
	if (ret == 0)
		ret = read_write(journal);
	if (ret == 0)
		ret = prune(journal, time(NULL));
	if (ret == 0)
		ret = store_commit(journal->store);
	if (ret < 0)
		store_abort(journal->store);
	return ret;
}

int journal_flush(struct journal *journal)
{
	int64_t now = time(NULL);
	int ret;

	if (journal->n_waiting == 0 && !journal->moved && now >= journal->pruned &&
	    now < journal->pruned + PRUNE_EVERY_S)
		return 0;
	ret = flush(journal);
	if (ret < 0) {
		if (!journal->trouble)
			log_error("events can't be written, they are in the system log only: %s",
				  store_error(journal->store));
		journal->trouble = true;
		return ret;
	}
	if (journal->trouble)
		log_info("events can be written again; %llu were not kept",
			 (unsigned long long)journal->lost);
	journal->trouble = journal->moved = false;
	journal->lost = 0;
	while (!STAILQ_EMPTY(&journal->waiting))
		entry_drop_first(journal);
	return 0;
}

/* -- erasing -- */

struct owner {
	char tenant[ABI_NAME_LEN];
	char tunnel[ABI_NAME_LEN]; /* empty: the whole tenant */
};

struct gone {
	const struct model *model;
	struct owner *owners;
	size_t n;
	bool failed;
};

static void owner_take(void *context, const char *tenant, const char *tunnel)
{
	struct gone *gone = context;
	const struct tenant *found = tenant == NULL ? NULL : model_tenant(gone->model, tenant);
	bool whole = found == NULL;
	struct owner *bigger;

	if (tenant == NULL || tunnel == NULL || tenant[0] == '\0' ||
	    (!whole && (tunnel[0] == '\0' || tenant_tunnel(found, tunnel) != NULL ||
			tenant_remote_access(found, tunnel) != NULL)))
		return;
	bigger = reallocarray(gone->owners, gone->n + 1, sizeof(*bigger));
	if (bigger == NULL) {
		gone->failed = true;
		return;
	}
	gone->owners = bigger;
	memset(&bigger[gone->n], 0, sizeof(*bigger));
	snprintf(bigger[gone->n].tenant, ABI_NAME_LEN, "%s", tenant);
	snprintf(bigger[gone->n].tunnel, ABI_NAME_LEN, "%s", whole ? "" : tunnel);
	gone->n++;
}

int journal_erase(struct journal *journal, const struct model *model)
{
	struct gone gone = { .model = model };
	int ret = journal_flush(journal);

	if (ret == 0)
		ret = store_event_owners(journal->store, owner_take, &gone);
	if (ret == 0 && gone.failed)
		ret = -ENOMEM;
	if (ret == 0 && gone.n > 0) {
		ret = store_begin(journal->store);
		for (size_t i = 0; i < gone.n && ret == 0; i++)
			ret = store_event_erase(
				journal->store, gone.owners[i].tenant,
				gone.owners[i].tunnel[0] == '\0' ? NULL : gone.owners[i].tunnel);
		if (ret == 0)
			ret = store_commit(journal->store);
		if (ret < 0)
			store_abort(journal->store);
	}
	free(gone.owners);
	return ret;
}
