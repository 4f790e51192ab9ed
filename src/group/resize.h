/* SPDX-License-Identifier: MIT */
/*
 * Changing the bound of a group's memory, for callers that must not stay in one
 * call for long, as an event loop must not:
 *
 *     status = km_group_resize_begin(group, 8 << 20);
 *     while (status == KAMA_OK && km_group_resize_step(group)) {
 *         let others run;
 *     }
 *
 * kama_group_resize is this loop. A caller that stops before the last step leaves
 * a bound in force between the old and the new one; the steps of any later resize
 * go on from there.
 *
 * Threads: any thread, also several at a time; the bound that was begun last is the
 * one towards which all steps go. Cost of a step: about 256 KiB are evicted.
 * Errors: KAMA_ERR_INVALID with a sentence that names the bound and its minimum.
 * Ownership: nothing is kept.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* Checks the new bound, and makes it the one that is shown and wanted. */
KAMA_NODISCARD kama_status km_group_resize_begin(kama_group *group,
                                                 uint64_t max_bytes);

/* Makes one step towards it. Returns whether there is more to do. */
bool km_group_resize_step(kama_group *group);
