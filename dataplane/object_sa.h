/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of an SA, as it was set, in the parts that are kept of it. */
#ifndef KAIDO_OBJECT_SA_H
#define KAIDO_OBJECT_SA_H

#include "gateway.h"

/* Without key and salt; `sequence` is the first one. */
struct abi_sa object_sa_record(const struct gateway *gw, uint32_t id);
/* All but what workers read, and but what links it to others. */
void object_sa_store(struct gateway *gw, const struct abi_sa *r);
void object_sa_clear(struct gateway *gw, uint32_t id);
/* Writes only what differs, so that a life that is not used stays so. */
void object_life_store(struct object_life *life, const struct object_life *from);

#endif /* KAIDO_OBJECT_SA_H */
