/* SPDX-License-Identifier: MIT */
/* The store moves its bound (km_store_resize); this checks what a group can be
 * promised, and yields between the steps. */
#include "group/resize.h"

#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"

#include <inttypes.h>
#include <sched.h>

kama_status km_group_resize_begin(kama_group *group, uint64_t max_bytes)
{
    uint64_t value = group->config.max_value_bytes;
    if (max_bytes < KM_GROUP_BYTES_MIN) {
        return km_fail(
            KAMA_ERR_INVALID,
            "group %.*s: max_bytes: %" PRIu64 " is less than the minimum of %u",
            KM_GROUP_SHOWN(group->name), max_bytes, KM_GROUP_BYTES_MIN);
    }
    if (max_bytes > KM_GROUP_BYTES_MAX) {
        return km_fail(
            KAMA_ERR_INVALID,
            "group %.*s: max_bytes: %" PRIu64 " is more than the maximum of "
            "%" PRIu64,
            KM_GROUP_SHOWN(group->name), max_bytes, KM_GROUP_BYTES_MAX);
    }
    if (max_bytes / KM_GROUP_VALUES_MIN < value) {
        return km_fail(KAMA_ERR_INVALID,
                       "group %.*s: max_bytes: %" PRIu64
                       " is less than %d times max_value_bytes, which is "
                       "%" PRIu64 "; at least %" PRIu64,
                       KM_GROUP_SHOWN(group->name), max_bytes,
                       KM_GROUP_VALUES_MIN, value, value * KM_GROUP_VALUES_MIN);
    }
    km_store_resize(group->store, max_bytes);
    return KAMA_OK;
}

bool km_group_resize_step(kama_group *group)
{
    return km_store_resize_step(group->store);
}

kama_status kama_group_resize(kama_group *group, uint64_t max_bytes)
{
    kama_status st = km_group_resize_begin(group, max_bytes);
    while (st == KAMA_OK && km_group_resize_step(group)) {
        (void)sched_yield();
    }
    return st;
}
