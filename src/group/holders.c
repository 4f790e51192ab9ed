/* SPDX-License-Identifier: MIT */
#include "group/holders.h"

#include "group/adopt.h"
#include "group/group_internal.h"
#include "group/sync_apply.h"
#include "store/store_hide.h"

const struct km_strategy *km_group_strategy(const kama_group *group)
{
    return &group->config.strategy;
}

uint32_t km_group_slot(const kama_group *group, kama_bytes key)
{
    return km_owner_slot(group->owner_seed, key);
}

bool km_group_holds(const kama_group *group, kama_bytes key)
{
    const struct km_group_sync *sync = &group->sync;
    const struct km_strategy *strategy = &group->config.strategy;
    return strategy->kind == KM_STRATEGY_BROADCAST || sync->ops == NULL ||
           sync->ops->holds == NULL ||
           sync->ops->holds(sync->arg, strategy, km_group_slot(group, key));
}

bool km_group_begins(const kama_group *group, enum km_mutation_kind kind,
                     kama_bytes key)
{
    bool has_value = kind == KM_MUTATION_SET || kind == KM_MUTATION_EXPIRE;
    bool keeps_own = group->config.strategy.kind == KM_STRATEGY_INVALIDATE &&
                     kind == KM_MUTATION_SET;
    return !has_value || keeps_own || km_group_holds(group, key);
}

bool km_group_keeps_fills(const kama_group *group, kama_bytes key)
{
    return !km_group_forgets(group) || km_group_holds(group, key);
}

bool km_group_forgets(const kama_group *group)
{
    return km_group_is_synced(group) &&
           group->config.strategy.kind == KM_STRATEGY_SHARD;
}

bool km_group_forget_slots(kama_group *group,
                           const struct km_forgetting *forgetting,
                           struct km_group_sweep *sweep)
{
    return km_store_forget_slots(group->store, forgetting, &sweep->cursor);
}
