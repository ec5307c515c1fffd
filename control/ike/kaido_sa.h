/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SAs that charon has installed. kaidod knows one by its handle, a number that is never used twice by
 * one charon; charon names one by SPI, destination (with its port: peers behind one NAT may choose
 * the same SPI) and interface id, which is kaido's id of the tunnel. No keys here.
 */
#ifndef KAIDO_SA_H
#define KAIDO_SA_H

#include <jansson.h>

#include <daemon.h>

/* What charon has to be told of an SA: a copy, whose hosts belong to the holder. */
struct kaido_sa_name {
	uint32_t spi; /* network byte order */
	host_t *dst;
	bool inbound;
};

struct kaido_sas *kaido_sas_create(void);
void kaido_sas_destroy(struct kaido_sas *sas);

/* The handle; 0 if there is an SA of that name already. */
uint64_t kaido_sa_add(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, uint32_t reqid,
		      bool inbound);
/* The handle of the one that was removed, and its direction if inbound is not NULL. 0: none of that name. */
uint64_t kaido_sa_remove(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, bool *inbound);
/* It has other ends now. inbound tells its direction. */
uint64_t kaido_sa_move(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, host_t *dst, uint32_t reqid,
		       bool *inbound);
/* Of the one with that handle; name->dst is the caller's to destroy. */
bool kaido_sa_name(struct kaido_sas *sas, uint64_t handle, struct kaido_sa_name *name);

/* Inbound SAs that may be of the same CHILD_SA as this one, at most so many: those of its reqid. Their hosts are the
 * caller's to destroy. */
size_t kaido_sa_partners(struct kaido_sas *sas, uint64_t handle, struct kaido_sa_name *names,
			 size_t room);

/* Is there another one of its reqid, tunnel and direction? */
bool kaido_sa_replaces(struct kaido_sas *sas, uint64_t handle);

/* What it carried, as kaidod tells it; idle: seconds since the last packet. */
void kaido_sa_used(struct kaido_sas *sas, uint64_t handle, uint64_t packets, uint64_t bytes,
		   uint64_t idle);
bool kaido_sa_usage(struct kaido_sas *sas, kernel_ipsec_sa_id_t *id, uint64_t *packets,
		    uint64_t *bytes, time_t *used);
/* When an SA of that reqid and direction was last used, in monotonic time; 0: never, as far as known. */
time_t kaido_sas_last_use(struct kaido_sas *sas, uint32_t reqid, bool inbound);

/* kaidod has it. */
void kaido_sa_confirm(struct kaido_sas *sas, uint64_t handle);
/* Does charon have it, and had kaidod? */
bool kaido_sa_is_confirmed(struct kaido_sas *sas, uint64_t handle);
/* All handles, a JSON array. */
json_t *kaido_sa_handles(struct kaido_sas *sas);
/* Forgets all of them. */
void kaido_sas_flush(struct kaido_sas *sas);

#endif
