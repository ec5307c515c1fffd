/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SPI -> inbound SA. An SPI alone names the SA of a unicast packet (RFC 4301 section 4.1), so it is
 * unique in the gateway. Open addressing over cache lines of eight (SPI, index) pairs, at most half
 * full: a look-up touches one line as a rule.
 *
 * Pairs never move and are written whole, so that readers need no lock, and a deletion neither a
 * second table nor a grace period. What the index leads to does need one before it is freed.
 *
 * Threads: changes by the main lcore alone; look-ups lock-free by any thread.
 */
#ifndef KAIDO_SAD_H
#define KAIDO_SAD_H

#include <stdint.h>

struct sad;

/* Room for `max` SAs, 1 to 2^30. NULL: no memory. Memory is taken as it is used. */
struct sad *sad_create(uint32_t max);
/* NULL is allowed. */
void sad_destroy(struct sad *sad);

/* `spi` in network byte order, not 0; `index` not 0. -EINVAL, -EEXIST, -ENOSPC, -ENOENT. */
int sad_add(struct sad *sad, uint32_t spi, uint32_t index);
int sad_delete(struct sad *sad, uint32_t spi);

/*
 * SAs are found once they are added, and may not have all that their packets need before a transaction
 * is over. So then it is said which are complete: those up to `generation` (sa.h). Who keeps packets
 * until their SA comes (early.h) looks again when that has changed.
 */
void sad_announce(struct sad *sad, uint32_t generation);
uint32_t sad_announced(const struct sad *sad);

/* 0: unknown. */
uint32_t sad_lookup(const struct sad *sad, uint32_t spi);
void sad_prefetch(const struct sad *sad, uint32_t spi);
/* index[i] of spi[i], 0 where unknown; n <= 64. */
void sad_lookup_burst(const struct sad *sad, const uint32_t *spi, uint32_t *index, uint32_t n);

#endif /* KAIDO_SAD_H */
