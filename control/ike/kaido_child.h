/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens to an SA, told to charon. charon looks SAs up by SPI and address alone, and outbound SPIs are the
 * peers' choice: two of them behind one NAT may have the same. So of an outbound SA charon is told the inbound one of
 * the same CHILD_SA, whose SPI is this gateway's own.
 */
#ifndef KAIDO_CHILD_H
#define KAIDO_CHILD_H

#include "kaido.h"

/* soft: charon negotiates others in the place of its CHILD_SA's; hard: it deletes them. */
void kaido_child_expire(struct kaido *kaido, uint64_t handle, bool hard);
/* The peer is elsewhere now; remote is taken. */
void kaido_child_mapping(struct kaido *kaido, uint64_t handle, host_t *remote);

#endif
