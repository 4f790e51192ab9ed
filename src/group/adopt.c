/* SPDX-License-Identifier: MIT */
/* All of an adoption happens in the store: the loads of a group have fills there,
 * and a load whose fill was overtaken is not joined any more. */
#include "group/adopt.h"

#include "group/group_internal.h"
#include "group/sync_apply.h"
#include "store/store_hide.h"

void km_group_adopt(kama_group *group, uint64_t adoption,
                    const struct km_slot_map *lost)
{
    if (km_group_is_clustered(group)) {
        km_store_hide(group->store, adoption, lost);
    }
}

bool km_group_sweep(kama_group *group, struct km_group_sweep *sweep)
{
    return km_store_sweep(group->store, &sweep->cursor);
}

/* R6 needs the clock of the node. */
void km_group_forget(kama_group *group)
{
    const struct km_group_sync *sync = &group->sync;
    if (km_group_is_synced(group)) {
        sync->ops->invalidate(sync->arg, group->sync_number);
    } else {
        km_store_clear(group->store);
    }
}
