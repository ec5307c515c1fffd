/* SPDX-License-Identifier: BSD-3-Clause */
/* IPsec-MB's kernels and keys, for aead_ipsec_mb.c and the vector tests. */
#ifndef KAIDO_AEAD_IPSEC_MB_H
#define KAIDO_AEAD_IPSEC_MB_H

#include <intel-ipsec-mb.h>

#include "aead_internal.h"

/*
 * IPsec-MB 1.3's schedule is 1008 bytes long, so that salt and variant share a cache line with the
 * lowest powers of H, which every packet needs.
 */
struct ipsec_mb_key {
	/* Round keys and powers of H; their layout depends on the kernels. */
	_Alignas(KEY_ARENA_ALIGN) struct gcm_key_data schedule;
	uint32_t salt;   /* as its bytes stand in the nonce */
	uint8_t variant; /* enum aead_variant */
};
static_assert(sizeof(struct ipsec_mb_key) % KEY_ARENA_ALIGN == 0, "whole cache lines");

/* A message in pieces. */
struct ipsec_mb_pieces {
	aes_gcm_init_t begin[AEAD_VARIANTS];
	aes_gcm_enc_dec_update_t update[AEAD_VARIANTS];
	aes_gcm_enc_dec_finalize_t end[AEAD_VARIANTS];
};

/* The direct, one-shot calls: IPsec-MB's fastest for packets of up to 2 KiB. */
struct ipsec_mb_kernels {
	aes_gcm_enc_dec_t encrypt[AEAD_VARIANTS];
	aes_gcm_enc_dec_t decrypt[AEAD_VARIANTS];
	aes_gcm_pre_t key_expand[AEAD_VARIANTS];
	struct ipsec_mb_pieces encrypt_pieces;
	struct ipsec_mb_pieces decrypt_pieces;
};

/*
 * A manager set up for one instruction set; the caller frees it with free_mb_mgr(). `flags` are
 * IPsec-MB's own (IMB_FLAG_...), 0 for all that the CPU has. `name` is static: "avx2", for one.
 * Errors: -ENOTSUP, -EBADMSG (the library's own self-test failed), -ENOMEM.
 */
int ipsec_mb_manager_create(enum aead_isa isa, uint64_t flags, IMB_MGR **out, const char **name);

/* As aead_ipsec_mb_open(), with flags. */
int ipsec_mb_open_flags(struct aead_engine *engine, enum aead_isa isa, uint64_t flags);

#endif /* KAIDO_AEAD_IPSEC_MB_H */
