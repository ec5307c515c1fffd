/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/queue.h>

#include <collections/hashtable.h>
#include <threading/mutex.h>

#include "kaido_sa.h"

/* SAs of one reqid, and when they were used; there as long as one of them is. */
struct use {
	uint32_t reqid;
	LIST_HEAD(, sa) sas;
	time_t at[2]; /* outbound, inbound; monotonic */
};

struct sa {
	uint64_t handle;
	uint32_t spi;
	uint32_t if_id;
	host_t *dst;
	bool inbound;
	bool confirmed;
	uint64_t packets;
	uint64_t bytes;
	time_t used;
	struct use *use;
	LIST_ENTRY(sa) use_entry;
};

struct kaido_sas {
	mutex_t *lock;
	uint64_t last; /* handle */
	hashtable_t *by_name;
	hashtable_t *by_handle;
	hashtable_t *uses;
};

static u_int name_hash(const void *key)
{
	const struct sa *sa = key;

	return chunk_hash_inc(
		sa->dst->get_address(sa->dst),
		chunk_hash_inc(chunk_from_thing(sa->if_id), chunk_hash(chunk_from_thing(sa->spi))));
}

static bool name_equals(const void *a, const void *b)
{
	const struct sa *x = a, *y = b;

	return x->spi == y->spi && x->if_id == y->if_id && x->dst->equals(x->dst, y->dst);
}

static u_int handle_hash(const void *key)
{
	const struct sa *sa = key;

	return chunk_hash(chunk_from_thing(sa->handle));
}

static bool handle_equals(const void *a, const void *b)
{
	return ((const struct sa *)a)->handle == ((const struct sa *)b)->handle;
}

static u_int use_hash(const void *key)
{
	return chunk_hash(chunk_from_thing(((const struct use *)key)->reqid));
}

static bool use_equals(const void *a, const void *b)
{
	return ((const struct use *)a)->reqid == ((const struct use *)b)->reqid;
}

struct kaido_sas *kaido_sas_create(void)
{
	struct kaido_sas *sas = calloc(1, sizeof(*sas));

	if (!sas)
		return NULL;
	sas->lock = mutex_create(MUTEX_TYPE_DEFAULT);
	sas->by_name = hashtable_create(name_hash, name_equals, 64);
	sas->by_handle = hashtable_create(handle_hash, handle_equals, 64);
	sas->uses = hashtable_create(use_hash, use_equals, 64);
	return sas;
}

void kaido_sas_destroy(struct kaido_sas *sas)
{
	if (!sas)
		return;
	kaido_sas_flush(sas);
	sas->by_name->destroy(sas->by_name);
	sas->by_handle->destroy(sas->by_handle);
	sas->uses->destroy(sas->uses);
	sas->lock->destroy(sas->lock);
	free(sas);
}

/* That of a reqid, a fresh one if there is none. */
static struct use *use_get(struct kaido_sas *sas, uint32_t reqid)
{
	struct use key = { .reqid = reqid }, *use = sas->uses->get(sas->uses, &key);

	if (use)
		return use;
	use = calloc(1, sizeof(*use));
	if (!use)
		return NULL;
	use->reqid = reqid;
	sas->uses->put(sas->uses, use, use);
	return use;
}

static bool use_enter(struct kaido_sas *sas, struct sa *sa, uint32_t reqid)
{
	sa->use = use_get(sas, reqid);
	if (!sa->use)
		return false;
	LIST_INSERT_HEAD(&sa->use->sas, sa, use_entry);
	return true;
}

static void use_leave(struct kaido_sas *sas, struct sa *sa)
{
	struct use *use = sa->use;

	LIST_REMOVE(sa, use_entry);
	if (!LIST_EMPTY(&use->sas))
		return;
	sas->uses->remove(sas->uses, use);
	free(use);
}

/* Without memory it stays where it was. */
static void use_change(struct kaido_sas *sas, struct sa *sa, uint32_t reqid)
{
	struct use *use = use_get(sas, reqid);

	if (!use || use == sa->use)
		return;
	use_leave(sas, sa);
	LIST_INSERT_HEAD(&use->sas, sa, use_entry);
	sa->use = use;
}

static struct sa *sa_find(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id)
{
	struct sa key = { .spi = id->spi, .if_id = id->if_id, .dst = id->dst };

	return sas->by_name->get(sas->by_name, &key);
}

static struct sa *sa_of(struct kaido_sas *sas, uint64_t handle)
{
	struct sa key = { .handle = handle };

	return sas->by_handle->get(sas->by_handle, &key);
}

static void sa_free(struct kaido_sas *sas, struct sa *sa)
{
	use_leave(sas, sa);
	sa->dst->destroy(sa->dst);
	free(sa);
}

uint64_t kaido_sa_add(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, uint32_t reqid, bool inbound)
{
	struct sa *sa = calloc(1, sizeof(*sa));
	uint64_t handle = 0;

	if (!sa)
		return 0;
	sa->spi = id->spi;
	sa->if_id = id->if_id;
	sa->inbound = inbound;
	sas->lock->lock(sas->lock);
	if (!sa_find(sas, id) && use_enter(sas, sa, reqid)) {
		sa->dst = id->dst->clone(id->dst);
		handle = sa->handle = ++sas->last;
		sas->by_name->put(sas->by_name, sa, sa);
		sas->by_handle->put(sas->by_handle, sa, sa);
	}
	sas->lock->unlock(sas->lock);
	if (!handle)
		free(sa);
	return handle;
}

uint64_t kaido_sa_remove(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, bool *inbound)
{
	uint64_t handle = 0;
	struct sa *sa;

	sas->lock->lock(sas->lock);
	sa = sa_find(sas, id);
	if (sa) {
		handle = sa->handle;
		if (inbound)
			*inbound = sa->inbound;
		sas->by_name->remove(sas->by_name, sa);
		sas->by_handle->remove(sas->by_handle, sa);
		sa_free(sas, sa);
	}
	sas->lock->unlock(sas->lock);
	return handle;
}

uint64_t kaido_sa_move(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, host_t *dst, uint32_t reqid,
		       bool *inbound)
{
	uint64_t handle = 0;
	struct sa *sa;

	sas->lock->lock(sas->lock);
	sa = sa_find(sas, id);
	if (sa && reqid)
		use_change(sas, sa, reqid);
	if (sa) {
		sas->by_name->remove(sas->by_name, sa);
		sa->dst->destroy(sa->dst);
		sa->dst = dst->clone(dst);
		sas->by_name->put(sas->by_name, sa, sa);
		handle = sa->handle;
		*inbound = sa->inbound;
	}
	sas->lock->unlock(sas->lock);
	return handle;
}

static void name_fill(struct kaido_sa_name *name, const struct sa *sa)
{
	name->spi = sa->spi;
	name->dst = sa->dst->clone(sa->dst);
	name->inbound = sa->inbound;
}

bool kaido_sa_name(struct kaido_sas *sas, uint64_t handle, struct kaido_sa_name *name)
{
	struct sa *sa;

	sas->lock->lock(sas->lock);
	sa = sa_of(sas, handle);
	if (sa)
		name_fill(name, sa);
	sas->lock->unlock(sas->lock);
	return sa;
}

size_t kaido_sa_partners(struct kaido_sas *sas, uint64_t handle, struct kaido_sa_name *names,
			 size_t room)
{
	struct sa *sa, *other;
	size_t n = 0;

	sas->lock->lock(sas->lock);
	sa = sa_of(sas, handle);
	if (sa) {
		LIST_FOREACH (other, &sa->use->sas, use_entry) {
			if (other->inbound && other->if_id == sa->if_id && n < room)
				name_fill(&names[n++], other);
		}
	}
	sas->lock->unlock(sas->lock);
	return n;
}

bool kaido_sa_replaces(struct kaido_sas *sas, uint64_t handle)
{
	struct sa *sa, *other;
	bool replaces = false;

	sas->lock->lock(sas->lock);
	sa = sa_of(sas, handle);
	if (sa) {
		LIST_FOREACH (other, &sa->use->sas, use_entry)
			replaces |= other != sa && other->inbound == sa->inbound &&
				    other->if_id == sa->if_id;
	}
	sas->lock->unlock(sas->lock);
	return replaces;
}

void kaido_sa_used(struct kaido_sas *sas, uint64_t handle, uint64_t packets, uint64_t bytes,
		   uint64_t idle)
{
	time_t now = time_monotonic(NULL);
	struct sa *sa;

	sas->lock->lock(sas->lock);
	sa = sa_of(sas, handle);
	if (sa) {
		sa->packets = packets;
		sa->bytes = bytes;
		if (packets && (uint64_t)now > idle) {
			sa->used = now - (time_t)idle;
			if (sa->used > sa->use->at[sa->inbound])
				sa->use->at[sa->inbound] = sa->used;
		}
	}
	sas->lock->unlock(sas->lock);
}

bool kaido_sa_usage(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, uint64_t *packets,
		    uint64_t *bytes, time_t *used)
{
	struct sa *sa;

	sas->lock->lock(sas->lock);
	sa = sa_find(sas, id);
	if (sa) {
		*packets = sa->packets;
		*bytes = sa->bytes;
		*used = sa->used;
	}
	sas->lock->unlock(sas->lock);
	return sa;
}

time_t kaido_sas_last_use(struct kaido_sas *sas, uint32_t reqid, bool inbound)
{
	struct use key = { .reqid = reqid }, *use;
	time_t at;

	sas->lock->lock(sas->lock);
	use = sas->uses->get(sas->uses, &key);
	at = use ? use->at[inbound] : 0;
	sas->lock->unlock(sas->lock);
	return at;
}

void kaido_sa_confirm(struct kaido_sas *sas, uint64_t handle)
{
	struct sa *sa;

	sas->lock->lock(sas->lock);
	sa = sa_of(sas, handle);
	if (sa)
		sa->confirmed = true;
	sas->lock->unlock(sas->lock);
}

bool kaido_sa_is_confirmed(struct kaido_sas *sas, uint64_t handle)
{
	bool confirmed;
	struct sa *sa;

	sas->lock->lock(sas->lock);
	sa = sa_of(sas, handle);
	confirmed = sa && sa->confirmed;
	sas->lock->unlock(sas->lock);
	return confirmed;
}

json_t *kaido_sa_handles(struct kaido_sas *sas)
{
	json_t *handles = json_array();
	enumerator_t *enumerator;
	struct sa *sa;

	sas->lock->lock(sas->lock);
	enumerator = sas->by_handle->create_enumerator(sas->by_handle);
	while (enumerator->enumerate(enumerator, NULL, &sa))
		json_array_append_new(handles, json_integer((json_int_t)sa->handle));
	enumerator->destroy(enumerator);
	sas->lock->unlock(sas->lock);
	return handles;
}

void kaido_sas_flush(struct kaido_sas *sas)
{
	enumerator_t *enumerator;
	struct sa *sa;

	sas->lock->lock(sas->lock);
	enumerator = sas->by_handle->create_enumerator(sas->by_handle);
	while (enumerator->enumerate(enumerator, NULL, &sa)) {
		sas->by_handle->remove_at(sas->by_handle, enumerator);
		sas->by_name->remove(sas->by_name, sa);
		sa_free(sas, sa);
	}
	enumerator->destroy(enumerator);
	sas->lock->unlock(sas->lock);
}
