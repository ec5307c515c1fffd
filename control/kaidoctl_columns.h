/* SPDX-License-Identifier: BSD-3-Clause */
/* Columns of the tables that `show` prints, by the names of docs/rpc.md. */
#ifndef KAIDO_CONTROL_KAIDOCTL_COLUMNS_H
#define KAIDO_CONTROL_KAIDOCTL_COLUMNS_H

#include "table.h"

extern const struct table_column show_tenant_columns[];
extern const struct table_column show_tunnel_columns[];
extern const struct table_column show_remote_access_columns[];
extern const struct table_column show_sa_columns[];
extern const struct table_column show_ike_columns[];
extern const struct table_column show_attachment_columns[];
extern const struct table_column show_route_columns[];
extern const struct table_column show_neighbour_columns[];
extern const struct table_column show_port_columns[];
extern const struct table_column show_worker_columns[];
extern const struct table_column show_worker_stage_columns[];
extern const struct table_column show_worker_burst_columns[];
extern const struct table_column show_tenant_counter_columns[];
extern const struct table_column show_tunnel_counter_columns[];
extern const struct table_column show_drop_columns[];
extern const struct table_column show_audit_columns[];

#endif /* KAIDO_CONTROL_KAIDOCTL_COLUMNS_H */
