/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gateway without EAL, ports and workers, for tests of the control side: real tables, counters,
 * keys, neighbours and underlay; two ports "lan" and "wan" that exist by name only.
 */
#ifndef KAIDO_TEST_GATEWAY_FIXTURE_H
#define KAIDO_TEST_GATEWAY_FIXTURE_H

#include <stdint.h>

#include "abi/message.h"
#include "gateway.h"

#define FIXTURE_TENANTS     16
#define FIXTURE_ATTACHMENTS 32
#define FIXTURE_TUNNELS     32
#define FIXTURE_SAS         128

struct fixture {
	struct gateway gw;
	struct port port[2];
};

/* Small capacities, unless `size` says otherwise. Fails the test by itself. */
struct fixture *fixture_create(const struct tables_size *size, uint32_t readers);
/* Whatever uses the gateway (apply, southbound) is gone already. */
void fixture_destroy(struct fixture *f);

/*
 * Everything that can be seen of the gateway, as text to compare: dumps, all routes, SPIs, VLANs,
 * table entries and counters of live objects. Adjacencies appear as the neighbours they are.
 */
struct digest {
	char *text;
	size_t size;
	size_t room;
};
struct digest digest_take(struct gateway *gw);
void digest_free(struct digest *d);
void assert_digest_equal(const struct digest *a, const struct digest *b);

/* Records. Addresses as text, with /len where there is one. */
struct abi_address make_address(const char *text);
struct abi_tenant make_tenant(uint32_t id);
/* v4 and v6 may be NULL. */
struct abi_attachment make_attachment(uint32_t id, uint32_t tenant, const char *port, uint16_t vlan,
				      const char *v4, const char *v6);
struct abi_tunnel make_tunnel(uint32_t id, uint32_t tenant, const char *local, const char *remote);
struct abi_sa make_sa_in(uint32_t id, uint32_t tunnel, uint32_t spi);
struct abi_sa make_sa_out(uint32_t id, uint32_t tunnel, uint32_t spi);
struct abi_route make_route_tunnel(uint32_t tenant, const char *prefix, uint32_t tunnel);
struct abi_route make_route_gateway(uint32_t tenant, const char *prefix, uint32_t attachment,
				    const char *via);
struct abi_route make_route_blackhole(uint32_t tenant, const char *prefix);
struct abi_neighbour make_neighbour(uint32_t attachment, const char *address, uint8_t mac_last);

#endif /* KAIDO_TEST_GATEWAY_FIXTURE_H */
