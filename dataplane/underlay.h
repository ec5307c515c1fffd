/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The underlay: VRF 0, the provider's side, on which tunnels end. Its addresses, routes and
 * neighbours are those of the host stack, mirrored (host_mirror.h), or permanent ones set by the
 * control plane. Each outbound SA carries the adjacency of its next hop; this file keeps it right.
 *
 * Owner and only caller: the main lcore.
 */
#ifndef KAIDO_UNDERLAY_H
#define KAIDO_UNDERLAY_H

#include <stdint.h>

struct abi_attachment;
struct gateway;

/* Fill in adjacency and MTUs of one outbound SA from where it sends now and VRF 0. */
void underlay_resolve_sa(struct gateway *gw, uint32_t sa_id);
/*
 * As that, for its template `n`, which is about to become the active one. Returns the adjacency that
 * the SA held before, 0: none; the caller gives it to underlay_release() once the template is active.
 */
uint32_t underlay_resolve_template(struct gateway *gw, uint32_t sa_id, uint8_t n);
/* Gives a reference back after a grace period; 0 is allowed. */
void underlay_release(struct gateway *gw, uint32_t adjacency);
/* The SA goes: gives back what underlay_resolve_sa() holds for it (after a grace period). */
void underlay_release_sa(struct gateway *gw, uint32_t sa_id);
/* Something in VRF 0 changed: have all outbound SAs resolved again soon (once per main loop). */
void underlay_changed(struct gateway *gw);
/* From the main loop: does what underlay_changed() asked for. */
void underlay_poll(struct gateway *gw);

/* Before anything else here: opens the netlink mirror. Negative errno, logged. */
int underlay_start(struct gateway *gw);

/* Start or stop mirroring the host's device of an underlay attachment. */
int underlay_watch(struct gateway *gw, const struct abi_attachment *attachment);
void underlay_unwatch(struct gateway *gw, uint32_t attachment);

#endif /* KAIDO_UNDERLAY_H */
