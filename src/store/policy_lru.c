/* SPDX-License-Identifier: MIT */
/*
 * Least recently used: there is one queue, and a hit makes its item the
 * youngest. A scan of many keys that are used once displaces everything, and
 * each hit writes to four places of memory; s3fifo has neither fault.
 */
#include "store/policy.h"

static void add(struct km_policy *policy, kama_value *item, uint64_t hash)
{
    (void)hash;
    km_policy_push(policy, 0, item);
}

static void hit(struct km_policy *policy, kama_value *item)
{
    struct km_list *list = &policy->queues[0].list;
    km_list_remove(&item->link);
    km_list_push_back(list, &item->link);
}

static void replace(struct km_policy *policy, kama_value *old, kama_value *item)
{
    km_policy_swap(policy, old, item);
    hit(policy, item);
}

static kama_value *victim(struct km_policy *policy)
{
    return km_policy_pop(policy, 0);
}

static void evicted(struct km_policy *policy, const kama_value *item,
                    uint64_t hash)
{
    (void)policy;
    (void)item;
    (void)hash;
}

const struct km_policy_ops km_policy_lru = {
    .name = "lru",
    .add = add,
    .hit = hit,
    .replace = replace,
    .victim = victim,
    .evicted = evicted,
};
