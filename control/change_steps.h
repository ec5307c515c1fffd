/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of a change: change.c, change_store.c, change_back.c. */
#ifndef KAIDO_CONTROL_CHANGE_STEPS_H
#define KAIDO_CONTROL_CHANGE_STEPS_H

#include "change.h"

extern const char *const change_id_names[ID_KINDS]; /* in the store */

void change_free(struct change *change);
const struct rpc_caller *change_caller(const struct change *change);
const char *change_method(const struct change *change);
/* Each answers the request and ends the change. `data` is taken. */
void change_reply(struct change *change, bool applied);
__attribute__((format(printf, 4, 5))) void change_fail(struct change *change, int code,
						       json_t *data, const char *format, ...);
void change_fail_unwritable(struct change *change);

/* change_store.c */
bool change_differs(const struct model *a, const struct model *b);
void change_store(struct change *change);  /* and all that follows */
void change_waited(struct change *change); /* all was looked at, for this change */

/* change_back.c */
int change_back_restore(struct daemon *daemon);
void change_confirm_missed(int fd, short what, void *context);

#endif /* KAIDO_CONTROL_CHANGE_STEPS_H */
