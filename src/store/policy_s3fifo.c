/* SPDX-License-Identifier: MIT */
/*
 * S3-FIFO (Yang et al., SOSP 2023), on bytes. New items enter a small queue
 * that gets a tenth of the memory; who was hit more than once there moves to
 * the main queue, the others leave and their hash is remembered as a ghost. A
 * key that comes back while it is a ghost enters the main queue at once. The
 * main queue gives an item one more round per hit, up to three.
 * A hit writes two bits, and nothing once they are full.
 *
 * Until the first eviction the small queue takes no more than its share, so
 * that a cache that was just filled keeps what it has.
 */
#include "store/policy.h"

enum { SMALL = 0, MAIN = 1 };

#define SMALL_SHARE 10u  /* one part in */
#define PROMOTE_FREQ 2u  /* hits in the small queue */
#define VICTIM_STEPS 256 /* then the next of the main queue leaves anyway */

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

/* The next of the small queue that does not deserve more; NULL when the small
 * queue came down to its share (or is empty) by promotions alone. */
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
