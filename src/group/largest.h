/* SPDX-License-Identifier: MIT */
/*
 * The largest entries of a group, found by a scan that other threads do not notice.
 *
 *     struct km_largest largest;
 *     status = km_largest_init(&largest, mem, 20);
 *     while (status == KAMA_OK && km_largest_step(&largest, group, &status)) {
 *         let others run;
 *     }
 *     ... largest.entries[0..largest.count), the largest first ...
 *     km_largest_fini(&largest);
 *
 * Each step is one call of kama_scan, and the entries that are among the largest so
 * far are kept in their order, with copies of their keys:
 *
 *     entries    | 90 tom | 41 ann | 7 eve |        limit 3
 *     50 bob     | 90 tom | 50 bob | 41 ann |       eve is dropped
 *
 * Sizes are lengths of values. An entry that is there from the first step to the
 * last, with the same size, is found. One that changes meanwhile may be shown with
 * any of its sizes, once.
 *
 * Cost: that of a scan, and for each entry that is kept O(limit); of M entries in
 * random order about limit * ln(M / limit) are. Memory: limit keys. Threads: one,
 * while others use the group. Errors: KAMA_ERR_NO_MEMORY, and those of kama_scan.
 * Ownership: the entries belong to the structure.
 */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

struct km_largest {
    const kama_allocator *mem; /* borrowed */
    kama_entry **entries;      /* owned, with their keys behind them */
    size_t limit;
    size_t count;
    uint64_t cursor; /* of the scan */
    kama_status status;
};

/* Prepares to find `limit` entries, at least 1. After an error, fini does
 * nothing. */
KAMA_NODISCARD kama_status km_largest_init(struct km_largest *l,
                                           const kama_allocator *mem,
                                           size_t limit);

/* Frees the entries. */
void km_largest_fini(struct km_largest *l);

/* Keeps a copy of an entry if it is among the largest. Errors:
 * KAMA_ERR_NO_MEMORY; then nothing has changed. */
KAMA_NODISCARD kama_status km_largest_offer(struct km_largest *l,
                                            const kama_entry *entry);

/* Looks at the next entries of the group. Returns whether there are more; if not,
 * *ret_status says whether the scan has come to its end. */
bool km_largest_step(struct km_largest *l, kama_group *group,
                     kama_status *ret_status);
