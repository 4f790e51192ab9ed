/* SPDX-License-Identifier: MIT */
/* The end of a process whose programmer was wrong. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void km_assert_fail(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
