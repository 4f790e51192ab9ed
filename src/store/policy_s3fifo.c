/* SPDX-License-Identifier: MIT */
/*
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP
 * 2023), counting bytes instead of items.
 *
 *                        hit twice or more
 *     new --> SMALL (10 %) -----------------> MAIN (90 %) --+  one more round
 *                |                             ^   |   ^    |  per hit, up to 3
 *                | others leave                |   |   +----+
 *                v                             |   v
 *             ghosts ------ key comes back ----+  leaves
 *
 * Most keys are used once and leave through the small queue without disturbing
 * the main queue. A hit writes two bits of the item, and nothing once they are
 * full.
 *
 * Until the first eviction, the small queue takes no more than its share and
 * further items enter the main queue, so that a cache which was just filled
 * keeps its items.
 */
#include "store/policy.h"

enum { SMALL = 0, MAIN = 1 };

#define SMALL_SHARE 10u /* the small queue gets one part in ten */
#define PROMOTE_FREQ 2u /* hits that move an item to the main queue */
#define VICTIM_STEPS                                                           \
    256 /* bounds the search; then the next item leaves anyway */

/* Returns whether the small queue has at least its share of the bytes. */
static bool small_is_full(const struct km_policy *policy)
{
    return policy->queues[SMALL].bytes * SMALL_SHARE >= km_policy_bytes(policy);
}

static void add(struct km_policy *policy, kama_value *item, uint64_t hash)
{
    bool to_main = policy->has_evicted ? km_ghost_take(&policy->ghost, hash)
                                       : small_is_full(policy);
    km_policy_push(policy, to_main ? MAIN : SMALL, item);
}

static void replace(struct km_policy *policy, kama_value *old, kama_value *item)
{
    km_policy_swap(policy, old, item);
    km_policy_touch(item);
}

/* Takes the next item of the main queue that has no hits left. Items with hits
 * pay one and begin another round, up to the given number of steps. */
static kama_value *from_main(struct km_policy *policy, int steps)
{
    kama_value *item = km_policy_pop(policy, MAIN);
    while (item != NULL && km_item_freq(item) > 0 && steps-- > 0) {
        km_item_set_freq(item, km_item_freq(item) - 1);
        km_policy_push(policy, MAIN, item);
        item = km_policy_pop(policy, MAIN);
    }
    return item;
}

/* Takes the next item of the small queue that was not hit often enough; the
 * others move to the main queue. Returns NULL if the small queue has come down
 * to its share by these moves alone, or is empty. */
static kama_value *from_small(struct km_policy *policy)
{
    for (int steps = VICTIM_STEPS; steps > 0; steps--) {
        kama_value *item = km_policy_pop(policy, SMALL);
        if (item == NULL || km_item_freq(item) < PROMOTE_FREQ) {
            return item;
        }
        km_item_set_freq(item, 0);
        km_policy_push(policy, MAIN, item);
        if (!small_is_full(policy)) {
            return NULL;
        }
    }
    return NULL;
}

static kama_value *victim(struct km_policy *policy)
{
    kama_value *item = NULL;
    if (small_is_full(policy)) {
        item = from_small(policy);
    }
    if (item == NULL) {
        item = from_main(policy, VICTIM_STEPS);
    }
    return item != NULL ? item : km_policy_pop(policy, SMALL);
}

static void evicted(struct km_policy *policy, const kama_value *item,
                    uint64_t hash)
{
    policy->has_evicted = true;
    if (km_item_queue(item) == SMALL) {
        uint64_t window = policy->queues[MAIN].count;
        km_ghost_add(&policy->ghost, hash, window > 0 ? window : 1);
    }
}

const struct km_policy_ops km_policy_s3fifo = {
    .name = "s3fifo",
    .add = add,
    .hit = NULL,
    .replace = replace,
    .victim = victim,
    .evicted = evicted,
};
