/* SPDX-License-Identifier: MIT */
/*
 * The memory of a group: a map from keys to values within a bound of bytes.
 *
 *     struct km_item_spec spec = {.key = key, .value = value};
 *     uint64_t hash = km_store_hash(store, key);
 *     kama_value *item = km_store_item_new(store, &spec);
 *     status = km_store_put(store, hash, item);
 *     if (km_store_get(store, hash, key, &item) == KAMA_OK) {
 *         use(kama_value_bytes(item));
 *         kama_value_unref(item);
 *     }
 *
 * The store is divided into shards by the high bits of the hash. A call takes
 * the lock of one shard at a time, and never two; a hit that copies a small value
 * takes none (store_hit.h):
 *
 *     hash   | shard |      tag      |       bucket |      one account of bytes
 *                |                                          |    |    |
 *     shards   [ 0 ] [ 1 ] [ 2 ] ... [ 15 ]  <--------------+----+----+
 *
 * An entry is a record in the log of its shard (log.h), and a large value is a block of
 * pages that the record names. A kama_value that goes in or comes out is an object of
 * its own: it holds a copy of a small value, and shares the block of a large one.
 *
 * The bound is common to all shards, and covers everything: the index, the segments
 * with their holes, blocks, the ghosts, and the values that callers hold (store_room.c).
 *
 * A store whose keys may belong to other nodes is told by which adoption a change
 * was decided, and refuses it if that is an old one (store_hide.h). In any other
 * store the number is 0.
 *
 * Cost: a hit is one line of the index and one record. There are no pauses: growth,
 * expiry and the memory that a clear leaves are dealt with in bounded steps by later
 * calls.
 * Threads: any thread; new and free belong to the owner.
 * Errors: KAMA_ERR_NO_MEMORY; then nothing has changed, except that other entries
 * may have been evicted.
 * Ownership: an item that is handed in is taken, also after an error. An item
 * that is handed out is a reference of the caller's.
 */
#pragma once

#include "store/condition.h"
#include "store/departed.h"
#include "store/fill.h"
#include "store/item.h"
#include "store/usage.h"

struct km_store;
struct km_policy_ops;

struct km_store_options {
    const kama_allocator *mem;    /* copied */
    const struct km_clock *clock; /* copied */
    const struct km_policy_ops *policy;
    uint64_t max_bytes; /* at least KM_GROUP_BYTES_MIN */
    uint64_t seed;      /* of the hash */
    uint64_t slot_seed; /* of the slots of keys (slot_map.h); 0: it has none */
    uint64_t etag_key;  /* of the etags (km_item_etag), which clients see: the
                         * seed must not follow from it */
    enum km_huge_pages huge_pages;
    _Atomic km_ns *keep_at; /* of the store (store_keep.h), borrowed; NULL: the
                             * store has its own */
    bool keeps_floors;      /* the group is synchronized (floors.h) */
};

/* Makes an empty store. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_store_new(const struct km_store_options *options,
                                        struct km_store **ret_store);

/* Frees the store and drops its items; values that are still referenced live
 * on. No fill may be pending. NULL does nothing. */
void km_store_free(struct km_store *store);

/* Returns the hash of key, which the calls below take beside the key. */
uint64_t km_store_hash(const struct km_store *store, kama_bytes key);

/* Makes an item for this store, and makes room for it before. While copies that are
 * under way hold all memory, it waits for them. Returns NULL without memory. */
kama_value *km_store_item_new(struct km_store *store,
                              const struct km_item_spec *spec);

/* Does the same without waiting: it exceeds the bound if not enough can be evicted. */
kama_value *km_store_item_now(struct km_store *store,
                              const struct km_item_spec *spec);

/* Returns KAMA_ERR_OVERLOADED with a sentence if callers would hold more than three
 * quarters of max_bytes with `bytes` more, and KAMA_OK otherwise. The last quarter is
 * for values that are on their way into the store. */
KAMA_NODISCARD kama_status km_store_may_hold(const struct km_store *store,
                                             uint64_t bytes);

/* The result of a look. It fits into a register. */
struct km_found {
    kama_status status;
    enum km_miss why; /* if the status is KAMA_WOULD_LOAD */
};

/* Looks key up and counts a hit. The status is KAMA_OK with a reference, KAMA_MISS
 * for a negative entry, and KAMA_WOULD_LOAD if there is no entry. Errors:
 * KAMA_ERR_OVERLOADED (km_store_may_hold), KAMA_ERR_NO_MEMORY. */
struct km_found km_store_get_why(struct km_store *store, uint64_t hash,
                                 kama_bytes key, kama_value **ret_value);

/* Does the same for a caller to whom the reason is all one. */
static inline kama_status km_store_get(struct km_store *store, uint64_t hash,
                                       kama_bytes key, kama_value **ret_value)
{
    return km_store_get_why(store, hash, key, ret_value).status;
}

/* Returns why there is no entry of a key with this hash, if there is none. */
enum km_miss km_store_why(struct km_store *store, uint64_t hash);

/* Asks for the line of the index that a look at this hash will need, without waiting
 * for it; and, when that is there, for the record. So many looks wait for memory at the
 * same time:
 *
 *     for each key: km_store_prefetch_line(store, hash[i]);
 *     for each key: km_store_prefetch_record(store, hash[i]);
 *     for each key: km_store_get(...)
 */
void km_store_prefetch_line(const struct km_store *store, uint64_t hash);
void km_store_prefetch_record(const struct km_store *store, uint64_t hash);

/* Looks key up as km_store_get_why does, and copies the value into buf. *ret_len is
 * its length. Errors: KAMA_ERR_TOO_SMALL if the value has more than cap bytes;
 * *ret_len is written then too. buf may be written although no value is returned. */
struct km_found km_store_copy_why(struct km_store *store, uint64_t hash,
                                  kama_bytes key, void *buf, size_t cap,
                                  size_t *ret_len);

/* Does the same for a caller to whom the reason is all one. */
static inline kama_status km_store_copy(struct km_store *store, uint64_t hash,
                                        kama_bytes key, void *buf, size_t cap,
                                        size_t *ret_len)
{
    return km_store_copy_why(store, hash, key, buf, cap, ret_len).status;
}

/* Stores an item, whose only reference is taken, and overtakes the fills of its
 * key. Errors: KAMA_ERR_TRY_AGAIN, without a sentence, if the store has seen a
 * newer adoption; KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_store_put(struct km_store *store,
                                        uint64_t adoption, uint64_t hash,
                                        kama_value *item);

/* As km_store_put, if the condition is fulfilled. It returns KAMA_MISS if the
 * condition wants a value and the key has none, and KAMA_ERR_EXISTS, without a
 * sentence, if the key has a value that the condition does not permit. Then
 * nothing has changed: the fills of the key are not overtaken, and nothing was
 * evicted for the put. */
KAMA_NODISCARD kama_status
km_store_put_if(struct km_store *store, uint64_t adoption, uint64_t hash,
                kama_value *item, const struct km_put_condition *condition);

/* Removes key and overtakes its fills. Returns KAMA_OK if there was a live value,
 * and KAMA_MISS otherwise. Errors: KAMA_ERR_TRY_AGAIN as km_store_put. */
KAMA_NODISCARD kama_status km_store_del(struct km_store *store,
                                        uint64_t adoption, uint64_t hash,
                                        kama_bytes key);

/* Removes all entries and overtakes all fills. O(shards): the memory is freed
 * by later calls. */
void km_store_clear(struct km_store *store);

/* -- fills (fill.h) ------------------------------------------------------- */

/* Looks key up once more, as km_store_get does, and registers the fill under
 * the same lock if there is no entry: after KAMA_WOULD_LOAD the fill is
 * pending. key is borrowed until commit or cancel. Errors: KAMA_ERR_TRY_AGAIN,
 * without a sentence, if the store has seen a newer adoption than
 * fill->adoption. */
kama_status km_store_fill_begin(struct km_store *store, struct km_fill *fill,
                                uint64_t hash, kama_bytes key,
                                kama_value **ret_value);

/* Begins a fill as km_store_fill_begin does, for a get that was counted as a miss
 * before: an entry that it finds counts as used, but not as a hit. */
kama_status km_store_fill_begin_again(struct km_store *store,
                                      struct km_fill *fill, uint64_t hash,
                                      kama_bytes key, kama_value **ret_value);

/* Ends a fill to keep. The store keeps a copy of item, unless the fill was overtaken,
 * or callers hold more than half of max_bytes. Returns whether it was kept. */
bool km_store_fill_commit(struct km_store *store, struct km_fill *fill,
                          kama_value *item);

/* Ends a fill without a result. Does nothing if it is not pending. */
void km_store_fill_cancel(struct km_store *store, struct km_fill *fill);

/* -- other memory of the group --------------------------------------------- */

/* Counts n bytes as used that the owner of the store has taken elsewhere, as if the
 * store had taken them: it evicts for them by and by. */
void km_store_charge(struct km_store *store, size_t n);
/* Gives such bytes back. All must be given back before km_store_free. */
void km_store_discharge(struct km_store *store, size_t n);

/* -- a new bound ------------------------------------------------------------ */

/* Returns the bound that the store was told last. */
uint64_t km_store_max_bytes(const struct km_store *store);

/* Tells the store a new bound. km_store_max_bytes and the statistics show it at
 * once; it is in force when km_store_resize_step has returned false:
 *
 *     km_store_resize(store, max_bytes);
 *     while (km_store_resize_step(store)) {
 *         let others run;
 *     }
 *
 * max_bytes: at least KM_GROUP_BYTES_MIN. Values that are referenced can make it
 * impossible to keep to a smaller bound; they count as they do before. The number of
 * shards and the size of segments stay. */
void km_store_resize(struct km_store *store, uint64_t max_bytes);

/* Makes one bounded step towards the bound that the store was told last. It
 * evicts about 256 KiB if the bound sinks, and holds the lock of one shard at a
 * time. Returns whether there is more to do. Several threads may make steps. */
bool km_store_resize_step(struct km_store *store);

/* -- figures --------------------------------------------------------------- */

struct km_store_stats {
    uint64_t hits;
    uint64_t negative_hits;
    uint64_t evictions;   /* entries that had to make room */
    uint64_t expirations; /* entries whose time was over */
    uint64_t deleted;     /* entries that km_store_del has removed */
    uint64_t replaced;    /* entries in whose place another value was put */
    uint64_t cleared;     /* entries that were there at a clear */
    uint64_t moved;       /* entries that were hidden, and met afterwards */
    uint64_t entries;     /* entries with a value */
    uint64_t negative_entries; /* entries that say that a key does not exist */
    uint64_t payload_bytes;    /* keys and values of both kinds */
    uint64_t used_bytes;
    uint64_t pinned_bytes; /* values that callers hold */
    uint64_t max_bytes;
    struct km_usage usage; /* of the used bytes */
};

/* Sums the counters of the shards, each of which is read under its lock. The
 * sum is not that of one moment. */
void km_store_stats_get(struct km_store *store, struct km_store_stats *ret);

/* Asserts the invariants of every shard and of the account. No other thread may
 * change an entry meanwhile, because the shards are summed one after the other.
 * For tests: O(items). */
void km_store_check(struct km_store *store);
