/* SPDX-License-Identifier: MIT */
/*
 * One shard of a store: a lock, an index, the queues of the policy, the fills
 * that are pending, and the items that a clear has left behind.
 *
 *     struct km_list gone;
 *     km_list_init(&gone);
 *     km_mutex_lock(&shard->lock);
 *     kama_value *item = km_shard_get_locked(shard, hash, key, &gone);
 *     km_mutex_unlock(&shard->lock);
 *     km_shard_drop_list(&gone);
 *
 * An item of a shard is in one of three places:
 *
 *     index and a queue --clear--> cleared --reclaim--> gone
 *            |                                            ^
 *            +---- deleted, replaced, expired, evicted ---+
 *
 * Items that leave are appended to the list `gone` of the caller, who gives
 * back the shard's references after it has released the lock. Freeing memory
 * under the lock would make other threads wait.
 *
 * Housekeeping is done in bounded steps by mutations: every fourth one looks
 * for expired items in one bucket, and each one frees some of the cleared
 * items.
 *
 * Cost: a lookup is one line of the index and one item. Threads: functions
 * whose name ends in _locked need the lock, and the others take it. Nothing
 * here takes a second lock. Errors: KAMA_ERR_NO_MEMORY; nothing has changed
 * then.
 * Ownership: the shard has one reference to each of its items.
 */
#pragma once

#include "base/sync.h"
#include "store/fill.h"
#include "store/index.h"
#include "store/policy.h"
#include "store/slot_map.h"

#define KM_SHARD_FILL_CHAINS 16u

struct km_store_options;

/* The counters of a shard, which are written under its lock. */
struct km_shard_counts {
    uint64_t payload_bytes; /* keys and values of the entries */
    uint64_t negative;      /* entries that say that a key does not exist */
    uint64_t hits;
    uint64_t negative_hits;
    uint64_t evictions;
    uint64_t expirations;
};

struct km_shard {
    struct km_mutex lock; /* protects everything below */
    struct km_index index;
    const struct km_slot_map *hidden; /* slots whose entries do not count any
                                       * more; NULL: none (store_hide.h) */
    struct km_shard_counts counts;
    struct km_account *account;
    uint32_t fill_count;
    uint32_t sweep_wait; /* mutations until the next step of the sweep */
    uint64_t expiring;   /* entries that can expire */
    struct km_policy policy;
    struct km_fill *fills[KM_SHARD_FILL_CHAINS]; /* chosen by the hash */
    uint64_t sweep_rev;     /* the reversed hash at which the sweep goes on */
    struct km_list cleared; /* items that a clear has left, not in the index */
    struct km_index_detached detached; /* indexes that a clear has left */
    uint64_t adoption;  /* by which it was decided who owns the keys */
    uint64_t slot_seed; /* of km_slot_of */
} __attribute__((aligned(64)));

/* Makes an empty shard. Returns false if the system has no resources. */
bool km_shard_init(struct km_shard *shard,
                   const struct km_store_options *options,
                   struct km_account *account);

/* Drops every item and frees the index. No fill may be pending. */
void km_shard_fini(struct km_shard *shard);

/* Takes the expired item of a slot out and appends it to gone. */
void km_shard_expire_locked(struct km_shard *shard, uint64_t hash,
                            uint64_t *slot, struct km_list *gone);

/* Takes the item of a slot of the index out, and appends it to gone, if the slot
 * of its key is hidden. Returns whether it was. */
bool km_shard_conceal_locked(struct km_shard *shard, uint64_t hash,
                             uint64_t *slot, struct km_list *gone);

/* Begins an adoption, hides the entries of the lost slots, and overtakes their
 * fills and all fills that only serve. lost may be NULL. */
void km_shard_hide_locked(struct km_shard *shard, uint64_t adoption,
                          const struct km_slot_map *lost);

/* Takes every expired or hidden item out of the bucket that holds the
 * bit-reversed hash rev, and appends them to gone. Returns the bits of the
 * bucket, as km_index_visit does. */
unsigned km_shard_clean_bucket_locked(struct km_shard *shard, uint64_t rev,
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

/* Returns the live item of key; it may be a negative entry. Returns NULL if there
 * is none. An item that has expired or is hidden is taken out and appended to
 * gone. */
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
    if (KM_UNLIKELY(shard->hidden != NULL) &&
        km_shard_conceal_locked(shard, hash, slot, gone)) {
        return NULL;
    }
    if (KM_UNLIKELY(km_item_expired(item))) {
        km_shard_expire_locked(shard, hash, slot, gone);
        return NULL;
    }
    return item;
}

/* As km_shard_find_locked; the item is counted as a hit. */
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

/* As km_shard_find_locked; the policy learns that the item is used, but it is not
 * counted as a hit. */
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

/* One of the two above. */
typedef kama_value *(*km_shard_look_fn)(struct km_shard *shard, uint64_t hash,
                                        kama_bytes key, struct km_list *gone);

/* Puts item under its key, and takes the caller's reference. The item that it
 * replaces is appended to gone. Errors: KAMA_ERR_NO_MEMORY; the reference is
 * still the caller's then. */
KAMA_NODISCARD kama_status km_shard_put_locked(struct km_shard *shard,
                                               uint64_t hash, kama_value *item,
                                               struct km_list *gone);

/* Returns whether the slot of a key is hidden. */
bool km_shard_is_hidden_locked(const struct km_shard *shard, kama_bytes key);

/* Returns the live value of key without counting a hit. Returns NULL if there
 * is none, or only a negative entry. An item that has expired is taken out and
 * appended to gone. */
kama_value *km_shard_peek_locked(struct km_shard *shard, uint64_t hash,
                                 kama_bytes key, struct km_list *gone);

/* Puts item in the place of old, which is in the index under the same key and
 * is appended to gone. */
void km_shard_swap_locked(struct km_shard *shard, uint64_t hash,
                          kama_value *old, kama_value *item,
                          struct km_list *gone);

/* Takes the item of key out and appends it to gone. Returns whether there was a
 * live value, that is an item which had not expired and was not negative. */
bool km_shard_del_locked(struct km_shard *shard, uint64_t hash, kama_bytes key,
                         struct km_list *gone);

/* Empties the shard in O(1). Its items and its index are freed by later
 * steps. */
void km_shard_clear_locked(struct km_shard *shard);

/* Appends items of at least `bytes` in all to gone: first some that a clear has
 * left, then victims of the policy. Their number is bounded, so that the lock
 * is not held for long. Returns their bytes; 0 means that the shard is
 * empty. */
uint64_t km_shard_evict_locked(struct km_shard *shard, uint64_t bytes,
                               struct km_list *gone);

/* Returns how many bytes an eviction could give back. Cleared items are not
 * counted one by one, so a shard that has some claims a very large number and
 * is reclaimed first. */
static inline uint64_t km_shard_bytes_locked(const struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    return km_list_empty(&shard->cleared) ? km_policy_bytes(&shard->policy)
                                          : UINT64_MAX / 64;
}

/* Does a bounded step of housekeeping: it takes out some expired items, and
 * some that a clear has left. */
void km_shard_step_locked(struct km_shard *shard, struct km_list *gone);

/* Gives back the ghosts and, in bounded steps, the index of a shard that has no
 * entries. Returns whether there is more to give back. */
bool km_shard_give_back_locked(struct km_shard *shard);

/* Registers a fill, which is pending from now on. */
void km_shard_fill_add_locked(struct km_shard *shard, struct km_fill *fill);
/* Takes a pending fill out. */
void km_shard_fill_remove_locked(struct km_shard *shard, struct km_fill *fill);

/* Marks the fills of key overtaken. */
void km_shard_overtake_locked(struct km_shard *shard, uint64_t hash,
                              kama_bytes key);
/* Marks every fill overtaken. */
void km_shard_overtake_all_locked(struct km_shard *shard);

/* Gives back the shard's reference of every item in list. The lock must not be
 * held, because this may free memory. */
void km_shard_drop_list(struct km_list *list);

/* Asserts every invariant of the shard, under its lock: index and queues hold
 * the same items, the counters are their sums, each fill is in its chain. For
 * tests: O(items). */
void km_shard_check(struct km_shard *shard);
