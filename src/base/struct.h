/* SPDX-License-Identifier: MIT */
/*
 * Public structs that may grow in a later version of the library.
 *
 * The first member of such a struct is its size as a uint32_t, which the
 * program was compiled with. When program and library are of different ages,
 * the sizes differ:
 *
 *     an older program     |size| a | b |               c becomes our default
 *     this library         |size| a | b | c |
 *     a newer program      |size| a | b | c | d |       d must be zero
 *
 * A newer program may only use members that this library does not know if it
 * leaves them at zero; otherwise it would ask for something that is not done.
 *
 *     kama_group_options own = defaults;
 *     status = km_struct_read(&own, sizeof own, options, "group options");
 *
 * Cost: a copy. Threads: any; pure functions apart from the thread's last
 * error.
 * Ownership: pointers inside a struct are copied as they are.
 */
#pragma once

#include <kamacache/kamacache.h>

/* Initialises a program's struct of to_size bytes: it gets the beginning of the
 * defaults, zeros behind them, and its size in front. */
void km_struct_init(void *to, size_t to_size, const void *defaults,
                    size_t defaults_size);

/* Copies a program's struct of any age into `to`, one of ours of size bytes
 * that already holds the defaults. `what` names the struct in error sentences,
 * in the plural. Errors: KAMA_ERR_INVALID if from is NULL, was not initialised,
 * or uses a member that this version does not know. */
KAMA_NODISCARD kama_status km_struct_read(void *to, size_t size,
                                          const void *from, const char *what);
