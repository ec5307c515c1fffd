/* SPDX-License-Identifier: BSD-3-Clause */
/* Between totals.c and totals_file.c. */
#ifndef KAIDO_CONTROL_TOTALS_FILE_H
#define KAIDO_CONTROL_TOTALS_FILE_H

#include "totals.h"

struct totals_tenant *totals_tenant_put(struct totals *totals, uint32_t id);
struct totals_tunnel *totals_tunnel_put(struct totals *totals, uint32_t id);
void totals_clear(struct totals *totals);

#endif /* KAIDO_CONTROL_TOTALS_FILE_H */
