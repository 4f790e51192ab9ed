/* SPDX-License-Identifier: MIT */
/*
 * An assertion for threads of a test. One of cmocka would end the process without a
 * word, because it knows the first thread only.
 *
 *     REQUIRE(value != NULL);
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)
