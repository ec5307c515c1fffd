/* SPDX-License-Identifier: BSD-3-Clause */
/* What cmocka.h wants included before it. */
#ifndef KAIDO_TEST_H
#define KAIDO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif /* KAIDO_TEST_H */
