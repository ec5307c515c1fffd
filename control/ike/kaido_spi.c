/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/random.h>

#include <library.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

#include "kaido_spi.h"

/* Each is tried with a random number; the range has 2^28 of them. */
#define TRIES 64

struct kaido_spis {
	mutex_t *lock;
	hashtable_t *ours; /* the key is the SPI itself, so is the value */
	hashtable_t *others;
};

static hashtable_t *spi_table(void)
{
	return hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 64);
}

struct kaido_spis *kaido_spis_create(void)
{
	struct kaido_spis *spis = calloc(1, sizeof(*spis));

	if (!spis)
		return NULL;
	spis->lock = mutex_create(MUTEX_TYPE_DEFAULT);
	spis->ours = spi_table();
	spis->others = spi_table();
	return spis;
}

void kaido_spis_destroy(struct kaido_spis *spis)
{
	if (!spis)
		return;
	spis->ours->destroy(spis->ours);
	spis->others->destroy(spis->others);
	spis->lock->destroy(spis->lock);
	free(spis);
}

static void *spi_key(uint32_t spi)
{
	return (void *)(uintptr_t)spi;
}

uint32_t kaido_spi_take(struct kaido_spis *spis)
{
	uint32_t random, spi = 0;
	int try;

	spis->lock->lock(spis->lock);
	for (try = 0; try < TRIES; try++) {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			break;
		random = htonl(KAIDO_SPI_MIN | (random & (KAIDO_SPI_MAX - KAIDO_SPI_MIN)));
		if (spis->ours->get(spis->ours, spi_key(random)) ||
		    spis->others->get(spis->others, spi_key(random)))
			continue;
		spis->ours->put(spis->ours, spi_key(random), spi_key(random));
		spi = random;
		break;
	}
	spis->lock->unlock(spis->lock);
	return spi;
}

void kaido_spi_release(struct kaido_spis *spis, uint32_t spi)
{
	spis->lock->lock(spis->lock);
	spis->ours->remove(spis->ours, spi_key(spi));
	spis->lock->unlock(spis->lock);
}

void kaido_spis_of_others(struct kaido_spis *spis, const uint32_t *list, size_t n)
{
	hashtable_t *fresh = spi_table(), *old;
	size_t i;

	for (i = 0; i < n; i++)
		fresh->put(fresh, spi_key(list[i]), spi_key(list[i]));
	spis->lock->lock(spis->lock);
	old = spis->others;
	spis->others = fresh;
	spis->lock->unlock(spis->lock);
	old->destroy(old);
}
