/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding an extended sequence number again after a gap: RFC 4303 appendix A3. When about 2^32
 * packets or more were lost, the high half that the window suggests is too small, and every packet's integrity check fails.
 *
 * So after ESN_FAILURES failures in a row of an SA the next packet is tried with the ESN_TRIES high
 * halves that follow, too. Decryption destroys what it fails on: a copy is made before. What is found
 * belongs to that packet; the window moves as always, when the packet is committed. Who floods an SA
 * with forged packets costs it ESN_TRIES more decryptions in ESN_FAILURES at most, and none while authentic ones come
 * in between.
 */
#ifndef KAIDO_ESN_RECOVERY_H
#define KAIDO_ESN_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#define ESN_FAILURES 32
#define ESN_TRIES    4
#define ESN_COPY_MAX 9216 /* bytes of ciphertext; a larger packet is not tried */

struct aead_op;
struct packet;
struct worker;

/* Of a worker: the one packet of its burst that will be tried. */
struct esn_recovery {
	const struct packet *saved; /* NULL: none */
	uint64_t tries;             /* in all */
	uint8_t copy[ESN_COPY_MAX];
};

/* Before decryption, of an SA whose replay.failed has reached ESN_FAILURES. */
void esn_recovery_save(struct worker *w, const struct packet *p, const struct aead_op *op);
/* The check of p, of an SA with ESN, failed. True: not with a later high half; p->sequence has it. */
bool esn_recovery_try(struct worker *w, struct packet *p, struct aead_op *op);

#endif /* KAIDO_ESN_RECOVERY_H */
