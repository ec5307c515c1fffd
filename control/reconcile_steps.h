/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of reconcile: reconcile.c, reconcile_dump.c, reconcile_lease.c. */
#ifndef KAIDO_CONTROL_RECONCILE_STEPS_H
#define KAIDO_CONTROL_RECONCILE_STEPS_H

#include "reconcile.h"

/* `tenant` and `tunnel` may be NULL. */
void reconcile_event(struct reconcile *reconcile, const char *kind, const char *tenant,
		     const char *tunnel, const char *text);
void reconcile_retry_in(struct reconcile *reconcile, unsigned int seconds);
/* What was under way has ended: look again where that was asked for, else tell. */
void reconcile_work_ends(struct reconcile *reconcile);
/* Takes the plan. `now` NULL: all was looked at. */
int reconcile_push(struct reconcile *reconcile, struct plan *plan, const struct model *now,
		   const struct model *next, reconcile_done done, void *context);

/* reconcile_dump.c */
void reconcile_dump(struct reconcile *reconcile);

/* reconcile_event.c */
void reconcile_events_due(int fd, short what, void *context);

/* reconcile_life.c */
/* What is left of an SA's life, into its record; as life_install() and life_repeat(). */
int reconcile_life_grant(struct reconcile *reconcile, const struct plan *plan,
			 struct plan_object *object, bool writable);

/* reconcile_lease.c */
/* Leases and lives for what is to be set; an SA without any number or time left is left out. */
int reconcile_leases_grant(struct reconcile *reconcile, struct plan *plan);
/* SAs that the dataplane has and keeps: their lives, and outbound their leases, go on. */
int reconcile_leases_adopt(struct reconcile *reconcile, const struct plan *plan);
/* What the plan would have installed is not there. */
void reconcile_leases_take_back(struct reconcile *reconcile, const struct plan *plan);
/* What the plan deleted is gone. */
void reconcile_leases_follow(struct reconcile *reconcile, const struct plan *plan);
uint64_t reconcile_clock_ns(void);
void reconcile_second_passed(int fd, short what, void *context);

#endif /* KAIDO_CONTROL_RECONCILE_STEPS_H */
