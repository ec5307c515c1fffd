/* SPDX-License-Identifier: GPL-2.0-or-later */
/* charon's kernel_ipsec_t, which asks kaido rather than a kernel. */
#ifndef KAIDO_IPSEC_H
#define KAIDO_IPSEC_H

#include <daemon.h>

/* Of the struct kaido that lib->get(KAIDO_OBJECT) has. */
kernel_ipsec_t *kaido_ipsec_create(void);

#endif
