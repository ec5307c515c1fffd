/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The traffic selectors of tunnels: one list replaces another by one store, and the old one is kept
 * until its transaction is over, then freed after a grace period. Whether a tunnel heeds them is its
 * own flag (apply_tunnel.c); they are taken away with it.
 */
#include "apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include "reclaim.h"
#include "selector.h"
#include "tables.h"

static const uint8_t zero[sizeof(struct abi_selector)];

static bool ports_any(uint16_t first, uint16_t last)
{
	return first == 0 && last == UINT16_MAX;
}

static bool ports_opaque(uint16_t first, uint16_t last)
{
	return first == UINT16_MAX && last == 0;
}

/* An address fills its first bytes; the rest is zero. */
static bool address_tail_zero(const uint8_t addr[16], uint8_t family)
{
	return family != ABI_IPV4 || memcmp(addr + 4, zero, 12) == 0;
}

static int check_range(const uint8_t first[16], const uint8_t last[16], uint8_t family,
		       const char *what, struct answer *answer)
{
	if (!address_tail_zero(first, family) || !address_tail_zero(last, family))
		return refuse(answer, -EINVAL, "a selector's %s address is malformed", what);
	if (memcmp(first, last, 16) > 0)
		return refuse(answer, -EINVAL, "a selector's %s addresses end before they begin",
			      what);
	return 0;
}

static int check_ports(uint16_t first, uint16_t last, uint8_t protocol, const char *what,
		       struct answer *answer)
{
	if (ports_any(first, last) || ports_opaque(first, last))
		return 0;
	if (first > last)
		return refuse(answer, -EINVAL, "a selector's %s ports end before they begin", what);
	if (selector_ports(protocol) == SELECTOR_PORTS_NONE)
		return refuse(answer, -EINVAL,
			      "a selector's %s ports: protocol %u has none (0 is any protocol)",
			      what, protocol);
	return 0;
}

static int check_selector(const struct abi_selector *s, struct answer *answer)
{
	int error;

	if (s->family != ABI_IPV4 && s->family != ABI_IPV6)
		return refuse(answer, -EINVAL, "a selector's family is neither 4 nor 6");
	if (memcmp(s->reserved, zero, sizeof(s->reserved)) != 0)
		return refuse(answer, -EINVAL, "a reserved field of a selector is not zero");
	error = check_range(s->local_first, s->local_last, s->family, "local", answer);
	if (error == 0)
		error = check_range(s->remote_first, s->remote_last, s->family, "remote", answer);
	if (error == 0)
		error = check_ports(s->local_port_first, s->local_port_last, s->protocol, "local",
				    answer);
	if (error == 0)
		error = check_ports(s->remote_port_first, s->remote_port_last, s->protocol,
				    "remote", answer);
	return error;
}

int check_selectors(const struct gateway *gw, const void *record, struct answer *answer)
{
	const struct abi_selectors *r = record;
	int error;

	if (r->tunnel == 0 || r->tunnel >= gw->size.max_tunnels)
		return refuse(answer, -EINVAL, "tunnel id %u is not within 1 and %u", r->tunnel,
			      gw->size.max_tunnels - 1);
	if (r->count > ABI_SELECTORS_MAX)
		return refuse(answer, -EINVAL, "%u traffic selectors are more than %u", r->count,
			      ABI_SELECTORS_MAX);
	for (uint32_t i = 0; i < ABI_SELECTORS_MAX; i++) {
		if (i >= r->count && memcmp(&r->selector[i], zero, sizeof(zero)) != 0)
			return refuse(answer, -EINVAL, "a selector behind the last is not zero");
		error = i < r->count ? check_selector(&r->selector[i], answer) : 0;
		if (error != 0)
			return error;
	}
	return 0;
}

/* ---- between a message and the walks ---- */

static unsigned __int128 address_wide(enum ip_family family, const uint8_t *bytes)
{
	struct ip_addr a = ip_load(family, bytes);

	return (unsigned __int128)a.hi << 64 | a.lo;
}

static void address_narrow(enum ip_family family, unsigned __int128 wide, uint8_t *bytes)
{
	ip_store(family, (struct ip_addr){ (uint64_t)(wide >> 64), (uint64_t)wide }, bytes);
}

static void side_compile(struct selector *s, enum selector_side side, const uint8_t *first,
			 const uint8_t *last, uint16_t port_first, uint16_t port_last)
{
	s->first[side] = address_wide(s->family, first);
	s->span[side] = address_wide(s->family, last) - s->first[side];
	s->port_first[side] = port_first;
	s->port_span[side] = (uint32_t)(port_last - port_first);
	if (ports_any(port_first, port_last)) {
		s->port_span[side] = SELECTOR_NONE;
	} else if (ports_opaque(port_first, port_last)) {
		s->port_first[side] = SELECTOR_HIDDEN;
		s->port_span[side] = 0;
	}
}

static void selector_compile(struct selector *s, const struct abi_selector *r)
{
	enum selector_ports ports = selector_ports(r->protocol);

	s->family = r->family == ABI_IPV4 ? IP_V4 : IP_V6;
	s->protocol = r->protocol;
	s->source_only = ports == SELECTOR_PORTS_ICMP || ports == SELECTOR_PORTS_MOBILITY;
	side_compile(s, SELECTOR_LOCAL, r->local_first, r->local_last, r->local_port_first,
		     r->local_port_last);
	side_compile(s, SELECTOR_REMOTE, r->remote_first, r->remote_last, r->remote_port_first,
		     r->remote_port_last);
}

static void side_record(const struct selector *s, enum selector_side side, uint8_t *first,
			uint8_t *last, uint16_t *port_first, uint16_t *port_last)
{
	address_narrow(s->family, s->first[side], first);
	address_narrow(s->family, s->first[side] + s->span[side], last);
	*port_first = (uint16_t)s->port_first[side];
	*port_last = (uint16_t)(s->port_first[side] + s->port_span[side]);
	if (s->port_span[side] == SELECTOR_NONE) {
		*port_last = UINT16_MAX;
	} else if (s->port_first[side] == SELECTOR_HIDDEN) {
		*port_first = UINT16_MAX;
		*port_last = 0;
	}
}

void selectors_record(const struct gateway *gw, uint32_t tunnel, struct abi_selectors *r)
{
	const struct selectors *list = gw->tables->selectors[tunnel];

	*r = (struct abi_selectors){ .tunnel = tunnel, .count = list != NULL ? list->n : 0 };
	for (uint32_t i = 0; i < r->count; i++) {
		const struct selector *s = &list->v[i];
		struct abi_selector *to = &r->selector[i];

		to->family = s->family == IP_V4 ? ABI_IPV4 : ABI_IPV6;
		to->protocol = s->protocol;
		side_record(s, SELECTOR_LOCAL, to->local_first, to->local_last,
			    &to->local_port_first, &to->local_port_last);
		side_record(s, SELECTOR_REMOTE, to->remote_first, to->remote_last,
			    &to->remote_port_first, &to->remote_port_last);
	}
}

/* ---- changes ---- */

static void selectors_free(void *unused, uint64_t list, uint64_t unused2)
{
	free((void *)(uintptr_t)list);
}

static void selectors_release(struct apply *a, const struct selectors *list)
{
	if (list != NULL)
		reclaim_defer(a->gw->tables->reclaim, selectors_free, NULL, (uintptr_t)list, 0);
}

/* Returns those that were there. */
static const struct selectors *selectors_publish(struct apply *a, uint32_t tunnel,
						 const struct selectors *list)
{
	const struct selectors **slot = &a->gw->tables->selectors[tunnel];
	const struct selectors *before = *slot;

	__atomic_store_n(slot, list, __ATOMIC_RELEASE);
	return before;
}

int selectors_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_selectors *r = record;
	struct selectors *list = NULL;

	if (a->gw->tunnel[r->tunnel].record.id == 0)
		return refuse(answer, -ENOENT, "selectors: there is no tunnel %u", r->tunnel);
	if (r->count != 0) {
		list = malloc(sizeof(*list) + r->count * sizeof(list->v[0]));
		if (list == NULL)
			return refuse(answer, -ENOMEM, "no memory for the selectors of tunnel %u",
				      r->tunnel);
		list->n = r->count;
		for (uint32_t i = 0; i < r->count; i++)
			selector_compile(&list->v[i], &r->selector[i]);
	}
	undo->id = r->tunnel;
	undo->did = DID_CHANGE;
	undo->selectors = selectors_publish(a, r->tunnel, list);
	return 0;
}

void selectors_undo(struct apply *a, struct undo *undo)
{
	selectors_release(a, selectors_publish(a, undo->id, undo->selectors));
}

void selectors_commit(struct apply *a, struct undo *undo)
{
	selectors_release(a, undo->selectors);
}

void selectors_take(struct apply *a, struct undo *undo)
{
	undo->selectors = selectors_publish(a, undo->id, NULL);
}

void selectors_destroy_all(struct apply *a)
{
	for (uint32_t id = 1; id < a->gw->size.max_tunnels; id++) {
		free((void *)(uintptr_t)a->gw->tables->selectors[id]);
		a->gw->tables->selectors[id] = NULL;
	}
}
