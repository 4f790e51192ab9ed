/* SPDX-License-Identifier: MIT */
#include "group/keep.h"

#include "group/group_internal.h"
#include "store/store_keep.h"

bool km_group_keep(kama_group *group, km_ns until)
{
    return km_store_keep(group->store, until);
}
