/* SPDX-License-Identifier: MIT */
/*
 * Housekeeping of a group by a thread of its node (store/store_keep.h).
 *
 *     while (keep_at < now() && km_group_keep(group, now() + KM_NS_PER_MS)) {
 *         let others run;
 *     }
 *
 * keep_at is a number that the node lends to the group (km_group_env), so that a group
 * which has nothing to do is not touched.
 *
 * Threads: any thread, one at a time. Cost: one load if there is nothing to do.
 * Errors: none. Ownership: nothing is kept.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* Gives back memory of entries that were cleared or have expired, until there is
 * nothing to do, or until a time. Returns whether there is more to do at once. */
bool km_group_keep(kama_group *group, km_ns until);
