/* SPDX-License-Identifier: MIT */
/*
 * Eviction policies: who leaves when a shard must give memory back. One state
 * per shard; items hang in its queues by their link, and their state byte says
 * in which.
 *
 * A policy knows nothing of the index, of references or of time.
 * Thread-safety: the lock of the shard. Errors: none.
 */
#pragma once

#include "store/ghost.h"
#include "store/item.h"

#define KM_POLICY_QUEUES 2

struct km_policy_queue {
    struct km_list list; /* the oldest first */
    uint64_t bytes;
    uint64_t count;
};

struct km_policy {
    const struct km_policy_ops *ops;
    struct km_policy_queue queues[KM_POLICY_QUEUES];
    struct km_ghost ghost;
    bool has_evicted;
};

struct km_policy_ops {
    const char *name;
    /* item, which has just been put into the index, enters a queue. */
    void (*add)(struct km_policy *policy, kama_value *item, uint64_t hash);
    /* item was hit. NULL: a hit raises item's frequency, nothing more. */
    void (*hit)(struct km_policy *policy, kama_value *item);
    /* item takes the place of old, which leaves. */
    void (*replace)(struct km_policy *policy, kama_value *old,
                    kama_value *item);
    /* Takes the item that leaves next out of its queue; NULL: no items. */
    kama_value *(*victim)(struct km_policy *policy);
    /* The victim was evicted (and not taken because it had expired). */
    void (*evicted)(struct km_policy *policy, const kama_value *item,
                    uint64_t hash);
};

extern const struct km_policy_ops km_policy_s3fifo;
extern const struct km_policy_ops km_policy_lru;

/* The policy of that name, or NULL. */
const struct km_policy_ops *km_policy_find(const char *name);

/* Empty queues. ops is borrowed and static. */
void km_policy_init(struct km_policy *policy, const struct km_policy_ops *ops,
                    struct km_account *account);

/* The queues must be empty. */
void km_policy_fini(struct km_policy *policy);

/* Takes item out of its queue. */
void km_policy_remove(struct km_policy *policy, kama_value *item);

/* Moves every item to the end of list, O(1). */
void km_policy_drain(struct km_policy *policy, struct km_list *list);

/* Appends item to queue q, as the youngest. */
void km_policy_push(struct km_policy *policy, unsigned q, kama_value *item);

/* Takes the oldest item out of queue q; NULL when empty. */
kama_value *km_policy_pop(struct km_policy *policy, unsigned q);

/* Puts item at the place of old in its queue, with old's state. */
void km_policy_swap(struct km_policy *policy, kama_value *old,
                    kama_value *item);

static inline uint64_t km_policy_bytes(const struct km_policy *policy)
{
    return policy->queues[0].bytes + policy->queues[1].bytes;
}

/* Raises the frequency of an item, up to 3. */
static inline void km_policy_touch(kama_value *item)
{
    unsigned freq = km_item_freq(item);
    if (freq < KM_ITEM_FREQ_MAX) {
        km_item_set_freq(item, freq + 1);
    }
}

static inline void km_policy_hit(struct km_policy *policy, kama_value *item)
{
    if (KM_LIKELY(policy->ops->hit == NULL)) {
        km_policy_touch(item);
    } else {
        policy->ops->hit(policy, item);
    }
}

/* Walks both queues: links, queue numbers, counts and bytes. Asserts. */
void km_policy_check(const struct km_policy *policy);
