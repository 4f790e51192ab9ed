/* SPDX-License-Identifier: MIT */
/*
 * One shard of a store: a lock, an index, the queues of the policy, the fills
 * that are pending, and what a clear left behind.
 *
 * Thread-safety: the functions marked _locked want the lock; the others take
 * it. Nothing here takes a second lock. Items that leave are given back in a
 * list (km_shard_drop_list) after the lock was left, where that is possible.
 * Errors: KAMA_ERR_NO_MEMORY, nothing has changed then.
 */
#pragma once

#include "base/sync.h"
#include "store/fill.h"
#include "store/index.h"
#include "store/policy.h"

#define KM_SHARD_FILL_CHAINS 16u

/* Counters of a shard, written under its lock. */
struct km_shard_counts {
    uint64_t hits;
    uint64_t negative_hits;
    uint64_t evictions;
    uint64_t expirations;
    uint64_t payload_bytes; /* keys and values of the entries */
    uint64_t negative;      /* entries that say "does not exist" */
};

struct km_shard {
    struct km_mutex lock;
    struct km_index index;
    struct km_shard_counts counts;
    struct km_policy policy;
    struct km_account *account;
    struct km_fill *fills[KM_SHARD_FILL_CHAINS];
    uint32_t fill_count;
    uint32_t sweep_wait;    /* additions until the next step of the sweep */
    uint64_t expiring;      /* entries that can expire */
    uint64_t sweep_rev;     /* where the sweep goes on, bit-reversed hash */
    struct km_list cleared; /* cleared items, not in the index */
    struct km_index_detached detached;
} __attribute__((aligned(64)));

/* false: no resources. */
bool km_shard_init(struct km_shard *shard, const struct km_policy_ops *ops,
                   struct km_account *account, uint64_t seed);

/* Drops every item. */
void km_shard_fini(struct km_shard *shard);

/* Takes the expired item of slot out, to gone. */
void km_shard_expire_locked(struct km_shard *shard, uint64_t hash,
                            uint64_t *slot, struct km_list *gone);

/* Takes every expired item out of the bucket that holds the bit-reversed hash
 * rev, to gone. Returns the bits of the bucket, as km_index_visit does. */
unsigned km_shard_expire_bucket_locked(struct km_shard *shard, uint64_t rev,
                                       struct km_list *gone);

/* Counts a hit of item. */
static inline void km_shard_hit_locked(struct km_shard *shard, kama_value *item)
{
    KM_ASSERT_HELD(&shard->lock);
    bool negative = (item->flags & KM_ITEM_NEGATIVE) != 0;
    km_policy_hit(&shard->policy, item);
    shard->counts.hits += !negative;
    shard->counts.negative_hits += negative;
}

/* The live item of key; NULL when there is none. One that has expired is taken
 * out and appended to gone. */
static inline kama_value *km_shard_find_locked(struct km_shard *shard,
                                               uint64_t hash, kama_bytes key,
                                               struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    uint64_t *slot = km_index_find(&shard->index, hash, key);
    if (slot == NULL) {
        return NULL;
    }
    kama_value *item = km_slot_item(*slot);
    if (KM_UNLIKELY(km_item_expired(item))) {
        km_shard_expire_locked(shard, hash, slot, gone);
        return NULL;
    }
    return item;
}

/* As km_shard_find_locked; the item is counted as hit. */
static inline kama_value *km_shard_get_locked(struct km_shard *shard,
                                              uint64_t hash, kama_bytes key,
                                              struct km_list *gone)
{
    kama_value *item = km_shard_find_locked(shard, hash, key, gone);
    if (item != NULL) {
        km_shard_hit_locked(shard, item);
    }
    return item;
}

/* As km_shard_find_locked; the item is used, but not counted as hit. */
static inline kama_value *km_shard_use_locked(struct km_shard *shard,
                                              uint64_t hash, kama_bytes key,
                                              struct km_list *gone)
{
    kama_value *item = km_shard_find_locked(shard, hash, key, gone);
    if (item != NULL) {
        km_policy_hit(&shard->policy, item);
    }
    return item;
}

/* One of the two. */
typedef kama_value *(*km_shard_look_fn)(struct km_shard *shard, uint64_t hash,
                                        kama_bytes key, struct km_list *gone);

/* Puts item under its key; the shard has the caller's reference then. What it
 * replaces goes to gone. */
KAMA_NODISCARD kama_status km_shard_put_locked(struct km_shard *shard,
                                               uint64_t hash, kama_value *item,
                                               struct km_list *gone);

/* The live value of key, not counted as a hit; NULL when there is none, or only a
 * negative entry. One that has expired is taken out, to gone. */
kama_value *km_shard_peek_locked(struct km_shard *shard, uint64_t hash,
                                 kama_bytes key, struct km_list *gone);

/* Puts item at the place of old, which is in the index under the same key and
 * goes to gone. */
void km_shard_swap_locked(struct km_shard *shard, uint64_t hash,
                          kama_value *old, kama_value *item,
                          struct km_list *gone);

/* Takes the item of key out, to gone. true: it was there, not expired and not
 * negative. */
bool km_shard_del_locked(struct km_shard *shard, uint64_t hash, kama_bytes key,
                         struct km_list *gone);

/* Empties the shard, O(1): items and index wait for km_shard_reclaim_locked. */
void km_shard_clear_locked(struct km_shard *shard);

/* Evicts (or takes of what a clear left) items of at least `bytes` in all, to
 * gone, but a bounded number. Returns their bytes; 0: there is nothing. */
uint64_t km_shard_evict_locked(struct km_shard *shard, uint64_t bytes,
                               struct km_list *gone);

/* The bytes of items that an eviction could give back. */
static inline uint64_t km_shard_bytes_locked(const struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    return km_list_empty(&shard->cleared) ? km_policy_bytes(&shard->policy)
                                          : UINT64_MAX / 64;
}

/* A bounded step of housekeeping: expired entries, and what a clear left. */
void km_shard_step_locked(struct km_shard *shard, struct km_list *gone);

/* Registers a fill. */
void km_shard_fill_add_locked(struct km_shard *shard, struct km_fill *fill);
/* Takes a registered fill out. */
void km_shard_fill_remove_locked(struct km_shard *shard, struct km_fill *fill);

/* Marks the fills of key overtaken. */
void km_shard_overtake_locked(struct km_shard *shard, uint64_t hash,
                              kama_bytes key);
/* Marks every fill overtaken. */
void km_shard_overtake_all_locked(struct km_shard *shard);

/* Gives back the shard's reference of every item in list. No lock. */
void km_shard_drop_list(struct km_list *list);

/* Walks every invariant. Takes the lock. Asserts. O(n). */
void km_shard_check(struct km_shard *shard);
