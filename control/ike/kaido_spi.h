/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SPIs of inbound SAs: random ones from KAIDO_SPI_MIN to KAIDO_SPI_MAX, which is charon's own default
 * range, never one in use: by this charon, or by kaidod for anything else (manual SAs, SAs of a charon
 * before this one). SPIs are in network byte order, as charon has them.
 */
#ifndef KAIDO_SPI_H
#define KAIDO_SPI_H

#include <stddef.h>
#include <stdint.h>

#define KAIDO_SPI_MIN UINT32_C(0xc0000000)
#define KAIDO_SPI_MAX UINT32_C(0xcfffffff)

struct kaido_spis *kaido_spis_create(void);
void kaido_spis_destroy(struct kaido_spis *spis);

/* 0: there is none, or no randomness. */
uint32_t kaido_spi_take(struct kaido_spis *spis);
void kaido_spi_release(struct kaido_spis *spis, uint32_t spi);

/* Those that others use, in the place of those that were told before. */
void kaido_spis_of_others(struct kaido_spis *spis, const uint32_t *list, size_t n);

#endif
