/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <collections/hashtable.h>
#include <threading/mutex.h>

#include "kaido_ike.h"

/* Reasons are constant text. */
struct note {
	uint32_t id;
	bool up;
	bool failed; /* and that was told */
	bool guess_told;
	const char *certificate; /* why the peer's was rejected */
	const char *ending;
};

struct kaido_ikes {
	mutex_t *lock;
	hashtable_t *notes;
};

static u_int note_hash(const void *key)
{
	return chunk_hash(chunk_from_thing(((const struct note *)key)->id));
}

static bool note_equals(const void *a, const void *b)
{
	return ((const struct note *)a)->id == ((const struct note *)b)->id;
}

struct kaido_ikes *kaido_ikes_create(void)
{
	struct kaido_ikes *ikes = calloc(1, sizeof(*ikes));

	if (!ikes)
		return NULL;
	ikes->lock = mutex_create(MUTEX_TYPE_DEFAULT);
	ikes->notes = hashtable_create(note_hash, note_equals, 64);
	return ikes;
}

void kaido_ikes_destroy(struct kaido_ikes *ikes)
{
	enumerator_t *enumerator;
	struct note *note;

	if (!ikes)
		return;
	enumerator = ikes->notes->create_enumerator(ikes->notes);
	while (enumerator->enumerate(enumerator, NULL, &note))
		free(note);
	enumerator->destroy(enumerator);
	ikes->notes->destroy(ikes->notes);
	ikes->lock->destroy(ikes->lock);
	free(ikes);
}

/* The note of an IKE SA, a fresh one if there is none, and the lock. Without memory: NULL, and the lock too. */
static struct note *note_lock(struct kaido_ikes *ikes, ike_sa_t *ike_sa)
{
	struct note key = { .id = ike_sa->get_unique_id(ike_sa) }, *note;

	ikes->lock->lock(ikes->lock);
	note = ikes->notes->get(ikes->notes, &key);
	if (note)
		return note;
	note = calloc(1, sizeof(*note));
	if (!note)
		return NULL;
	note->id = key.id;
	ikes->notes->put(ikes->notes, note, note);
	return note;
}

static void note_unlock(struct kaido_ikes *ikes)
{
	ikes->lock->unlock(ikes->lock);
}

void kaido_ike_up(struct kaido_ikes *ikes, ike_sa_t *ike_sa)
{
	struct note *note = note_lock(ikes, ike_sa);

	if (note)
		note->up = true;
	note_unlock(ikes);
}

void kaido_ike_ending(struct kaido_ikes *ikes, ike_sa_t *ike_sa, const char *reason)
{
	struct note *note = note_lock(ikes, ike_sa);

	if (note && !note->ending)
		note->ending = reason;
	note_unlock(ikes);
}

const char *kaido_ike_down(struct kaido_ikes *ikes, ike_sa_t *ike_sa)
{
	struct note *note = note_lock(ikes, ike_sa);
	const char *reason = NULL;

	if (note && note->up) {
		reason = note->ending ? note->ending : "local";
		note->up = false;
	}
	note_unlock(ikes);
	return reason;
}

bool kaido_ike_first_failure(struct kaido_ikes *ikes, ike_sa_t *ike_sa)
{
	struct note *note = note_lock(ikes, ike_sa);
	bool first = true;

	if (note && !note->up) {
		first = !note->failed;
		note->failed = true;
	}
	note_unlock(ikes);
	return first;
}

void kaido_ike_certificate(struct kaido_ikes *ikes, ike_sa_t *ike_sa, const char *reason)
{
	struct note *note = note_lock(ikes, ike_sa);

	if (note && !note->certificate)
		note->certificate = reason;
	note_unlock(ikes);
}

const char *kaido_ike_certificate_of(struct kaido_ikes *ikes, ike_sa_t *ike_sa)
{
	struct note *note = note_lock(ikes, ike_sa);
	const char *reason = note ? note->certificate : NULL;

	note_unlock(ikes);
	return reason;
}

void kaido_ike_guess(struct kaido_ikes *ikes, ike_sa_t *ike_sa, bool told)
{
	struct note *note = note_lock(ikes, ike_sa);

	if (note)
		note->guess_told = told;
	note_unlock(ikes);
}

bool kaido_ike_guess_is_told(struct kaido_ikes *ikes, ike_sa_t *ike_sa)
{
	struct note *note = note_lock(ikes, ike_sa);
	bool told = note && note->guess_told;

	note_unlock(ikes);
	return told;
}

void kaido_ike_forget(struct kaido_ikes *ikes, ike_sa_t *ike_sa)
{
	struct note key = { .id = ike_sa->get_unique_id(ike_sa) }, *note;

	ikes->lock->lock(ikes->lock);
	note = ikes->notes->remove(ikes->notes, &key);
	ikes->lock->unlock(ikes->lock);
	free(note);
}
