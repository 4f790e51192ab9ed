/* SPDX-License-Identifier: MIT */
/* The store counts the gets that it can answer, as hits or as misses that it
 * remembers. The gets that it cannot answer are counted here, and in get_op.c. */
#include "group/look_up.h"

#include "base/status.h"
#include "group/checks.h"
#include "group/get_count.h"
#include "group/group_internal.h"
#include "group/trace.h"

kama_status km_group_look_up(kama_group *group, kama_bytes key,
                             const struct km_call_limits *limits,
                             struct km_missed *ret_missed,
                             kama_value **ret_value)
{
    kama_status st = km_group_check_key(key);
    return st != KAMA_OK
               ? st
               : km_group_look_up_hashed(group, key,
                                         km_store_hash(group->store, key),
                                         limits, ret_missed, ret_value);
}

kama_status km_group_look_up_hashed(kama_group *group, kama_bytes key,
                                    uint64_t hash,
                                    const struct km_call_limits *limits,
                                    struct km_missed *ret_missed,
                                    kama_value **ret_value)
{
    struct km_found found =
        km_store_get_why(group->store, hash, key, ret_value);
    km_hot_keys_note(&group->hot, hash, key);
    if (found.status != KAMA_WOULD_LOAD) {
        km_trace_memory(group, found.status, key);
        return found.status;
    }
    if (!km_group_looks_further(group, limits)) {
        km_trace_get(group, KM_GET_ABSENT, key);
        return km_group_absent(group, found.why);
    }
    *ret_missed = (struct km_missed){.hash = hash, .why = found.why};
    return KAMA_DEFERRED;
}

bool km_group_looks_further(const kama_group *group,
                            const struct km_call_limits *limits)
{
    return (limits->flags & KAMA_NO_LOAD) == 0 &&
           (group->config.loader != NULL || km_group_is_clustered(group));
}

kama_status km_group_absent(kama_group *group, enum km_miss why)
{
    km_get_count_miss(group, why);
    km_group_count(group, KM_GROUP_GETS_ABSENT);
    return group->config.loader == NULL && !km_group_is_clustered(group)
               ? KAMA_MISS
               : KAMA_WOULD_LOAD;
}
