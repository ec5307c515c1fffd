/* SPDX-License-Identifier: BSD-3-Clause */
/* Ids given out: one counter a kind, going round, so that an id is not used again soon. */
#ifndef KAIDO_CONTROL_IDS_H
#define KAIDO_CONTROL_IDS_H

#include <stdint.h>

#include "model.h"

enum id_kind { ID_TENANT, ID_ATTACHMENT, ID_TUNNEL, ID_SA, ID_KINDS };

struct ids {
	uint32_t last[ID_KINDS];
	uint32_t capacity[ID_KINDS]; /* ids 1 .. capacity - 1 */
	uint8_t *used[ID_KINDS];     /* bits */
	uint32_t size[ID_KINDS];     /* bytes of them */
};

void ids_close(struct ids *ids);
/* Nothing is in use any more, or all that the model has is. -ENOMEM. */
void ids_clear(struct ids *ids);
int ids_mark(struct ids *ids, const struct model *model);
/* The next free one behind the last given out; 0: there is none, or no memory. */
uint32_t ids_take(struct ids *ids, enum id_kind kind);
void ids_free(struct ids *ids, enum id_kind kind, uint32_t id);

#endif /* KAIDO_CONTROL_IDS_H */
