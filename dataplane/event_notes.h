/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main lcore's way through what the workers noted (event.h). What has to be done when something
 * happened stands here, one case per kind.
 */
#ifndef KAIDO_EVENT_NOTES_H
#define KAIDO_EVENT_NOTES_H

#include "event.h"

/* Takes the notes out of all workers' rings. */
void event_notes_drain(struct gateway *gw);

#endif /* KAIDO_EVENT_NOTES_H */
