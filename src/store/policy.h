/* SPDX-License-Identifier: MIT */
/*
 * Eviction policies: they choose which item leaves when a shard must give
 * memory back.
 *
 * Each shard has one km_policy with two queues. The items of the shard are
 * linked in the queues, and the state byte of an item says in which one:
 *
 *     queue 0    oldest <-> item <-> item <-> youngest
 *     queue 1    oldest <-> item <-> youngest
 *
 *     policy->ops->add(policy, item, hash);            an item was added
 *     km_policy_hit(policy, item);                     it was used
 *     kama_value *item = policy->ops->victim(policy);  memory is needed
 *     policy->ops->evicted(policy, item, hash);
 *
 * A policy knows nothing of the index, of references or of time. To add one,
 * write a file policy_NAME.c with a table of functions and add that to the list
 * in policy.c.
 *
 * Cost: O(1) per call, for victim amortised. Threads: the lock of the shard.
 * Errors: none. Ownership: the shard owns the items; a policy only links them.
 */
#pragma once

#include "store/ghost.h"
#include "store/item.h"

#define KM_POLICY_QUEUES 2

struct km_policy_queue {
    struct km_list list; /* the oldest item first */
    uint64_t bytes;      /* the blocks of its items */
    uint64_t count;
};

struct km_policy {
    const struct km_policy_ops *ops;
    struct km_policy_queue queues[KM_POLICY_QUEUES];
    struct km_ghost ghost;
    bool has_evicted; /* since the shard was made */
};

struct km_policy_ops {
    const char *name; /* as group options spell it */

    /* Puts an item, which was just added to the index, into a queue. */
    void (*add)(struct km_policy *policy, kama_value *item, uint64_t hash);

    /* Notes that an item was used. NULL means that a hit raises the frequency
     * of the item and does nothing more. */
    void (*hit)(struct km_policy *policy, kama_value *item);

    /* Puts item in the place of old, which leaves its queue. */
    void (*replace)(struct km_policy *policy, kama_value *old,
                    kama_value *item);

    /* Takes the item that shall leave next out of its queue and returns it.
     * Returns NULL if there are no items. */
    kama_value *(*victim)(struct km_policy *policy);

    /* Notes that a victim was evicted. It is not called for a victim that had
     * expired, because losing that was no decision of the policy. */
    void (*evicted)(struct km_policy *policy, const kama_value *item,
                    uint64_t hash);
};

extern const struct km_policy_ops km_policy_s3fifo;
extern const struct km_policy_ops km_policy_lru;

/* Returns the policy of that name, or NULL. */
const struct km_policy_ops *km_policy_find(const char *name);

/* Makes empty queues. ops is borrowed, and static. */
void km_policy_init(struct km_policy *policy, const struct km_policy_ops *ops,
                    struct km_account *account);

/* Frees the ghosts. The queues must be empty. */
void km_policy_fini(struct km_policy *policy);

/* Takes item out of its queue. */
void km_policy_remove(struct km_policy *policy, kama_value *item);

/* Moves the items of all queues to the end of list, in O(1). */
void km_policy_drain(struct km_policy *policy, struct km_list *list);

/* Appends item to queue q, as the youngest. */
void km_policy_push(struct km_policy *policy, unsigned q, kama_value *item);

/* Takes the oldest item out of queue q. Returns NULL if the queue is empty. */
kama_value *km_policy_pop(struct km_policy *policy, unsigned q);

/* Puts item in the place of old in its queue, with the state of old. */
void km_policy_swap(struct km_policy *policy, kama_value *old,
                    kama_value *item);

/* Returns the bytes of the items in all queues. */
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

/* Notes that an item was used. */
static inline void km_policy_hit(struct km_policy *policy, kama_value *item)
{
    if (KM_LIKELY(policy->ops->hit == NULL)) {
        km_policy_touch(item);
    } else {
        policy->ops->hit(policy, item);
    }
}

/* Asserts that links, queue numbers, counts and bytes of both queues agree. For
 * tests: O(items). */
void km_policy_check(const struct km_policy *policy);
