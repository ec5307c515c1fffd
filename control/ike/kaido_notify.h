/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kaidod says, handed to charon. All of it is done by the thread of kaido_talk.c. */
#ifndef KAIDO_NOTIFY_H
#define KAIDO_NOTIFY_H

#include "kaido_rpc.h"

/* Their context is a struct kaido. */
const struct kaido_rpc_calls *kaido_notify_calls(void);

#endif
