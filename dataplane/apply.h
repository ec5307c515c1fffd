/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only writer of the tables: carries one record of a southbound message out. What it did can be
 * undone as long as its transaction is open.
 *
 * Owner and only caller: the main lcore (southbound.c).
 */
#ifndef KAIDO_APPLY_H
#define KAIDO_APPLY_H

#include <stddef.h>
#include <stdint.h>

struct abi_selectors;
struct gateway;
struct apply;

/* The gateway's tables, counters and arrays of objects are there, and outlive it. */
int apply_create(struct gateway *gw, struct apply **out);
/* Frees all keys and windows; no worker runs any more. */
void apply_destroy(struct apply *a);

/* Bytes of one record of a message type; 0: not a type that changes anything. */
size_t apply_record_size(uint16_t type);
/* Range and reserved-byte checks that need no state; text: a sentence for the operator. */
int apply_check(const struct apply *a, uint16_t type, const void *record, char *text, size_t size);

/*
 * Changes the tables. On an error nothing of this record stays, and the caller ends the transaction
 * with apply_rollback(), which undoes the records before it in reverse. apply_commit() lets go of
 * what was kept for undoing. Keys in the record are not kept. A new outbound SA sends, and a deleted one
 * ceases to, when its transaction is committed.
 */
int apply_record(struct apply *a, uint16_t type, const void *record, char *text, size_t size);
void apply_commit(struct apply *a);
void apply_rollback(struct apply *a);

/* The traffic selectors of a tunnel, as they were set. */
void selectors_record(const struct gateway *gw, uint32_t tunnel, struct abi_selectors *record);

#endif /* KAIDO_APPLY_H */
