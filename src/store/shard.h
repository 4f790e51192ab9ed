/* SPDX-License-Identifier: MIT */
/*
 * One shard of a store: a lock, a log of records, an index, the policy, and the fills
 * that are pending.
 *
 *     struct km_gone gone;
 *     km_shard_lock(shard, &gone);
 *     struct km_place place = km_shard_find_locked(shard, hash, key);
 *     km_shard_unlock(shard, &gone);
 *
 * An entry is a record of the log and a slot of the index. Whatever the reason is for
 * which a record leaves, it goes through one function, which is `forget` in shard.c:
 *
 *     delete, expire, evict, hide --> take_out --> bury --+
 *     replaced by a record elsewhere ------------> bury --+--> forget
 *     replaced by a record in its place ------------------+
 *
 * A clear forgets all records at once (forget_all), and their segments are dropped some
 * at a time.
 *
 * Blocks of entries that leave are kept in `gone` until the lock is released, because
 * freeing memory under the lock would make other threads wait.
 *
 * A clear or an invalidation changes the epoch of the store (store_epoch.h); a shard
 * adopts it when its lock is taken for the next time. Until then, a hit without the lock
 * sees two different epochs and takes the lock.
 *
 * Housekeeping is done in bounded steps by whoever takes the lock to change something
 * or because of a miss (shard_keep.c).
 *
 * Cost: a lookup is one line of the index and one record. Threads: functions
 * whose name ends in _locked need the lock. Nothing here takes a second lock of a
 * shard. Errors: KAMA_ERR_NO_MEMORY; nothing has changed then.
 * Ownership: the shard has a reference to each block of its records.
 */
#pragma once

#include "base/sync.h"
#include "store/departed.h"
#include "store/fill.h"
#include "store/floors.h"
#include "store/policy.h"
#include "store/slot_map.h"

#define KM_SHARD_FILL_CHAINS 16u
#define KM_GONE_MAX 16u
#define KM_GONE_BYTES_MAX (2u << 20)

struct km_store_options;

/* The open epoch of a shard in which hits need the lock; no store has it. It is odd, as
 * no epoch of a shard is. */
#define KM_SHUT UINT64_MAX

/* Blocks whose references are given back when the lock has been released. */
struct km_gone {
    struct km_block *blocks[KM_GONE_MAX];
    unsigned count;
    uint64_t bytes; /* that are free then */
};

/* Returns whether so many blocks have left that the lock should be released. */
static inline bool km_gone_is_full(const struct km_gone *gone)
{
    return gone->count == KM_GONE_MAX || gone->bytes >= KM_GONE_BYTES_MAX;
}

/* Gives the references back. */
void km_gone_free(struct km_gone *gone);

/* Why an entry leaves. */
enum km_forget {
    KM_FORGET_CAPACITY, /* it had to make room */
    KM_FORGET_EXPIRED,
    KM_FORGET_DELETED,
    KM_FORGET_REPLACED, /* by another value of its key */
    KM_FORGET_CLEARED,
    KM_FORGET_MOVED, /* another node owns its slot (store_hide.h) */
    KM_FORGET_REASONS
};

/* The counters of a shard, which are written under its lock. */
struct km_shard_counts {
    uint64_t payload_bytes; /* keys and values of the entries */
    uint64_t negative;      /* entries that say that a key does not exist */
    uint64_t forgotten[KM_FORGET_REASONS]; /* entries that have left */
};

struct km_shard {
    /* -- a hit without the lock reads these ------------------------------- */
    _Atomic uint64_t open_epoch; /* epoch, if hits need no lock (KM_SHUT) */
    struct km_index index;
    struct km_log log;
    /* -- the rest needs the lock ------------------------------------------ */
    struct km_mutex lock;
    uint64_t epoch; /* of the store, when the shard was last emptied */
    const struct km_slot_map *hidden; /* slots whose entries do not count any
                                       * more; NULL: none (store_hide.h) */
    bool is_locked_for_hits;          /* hits need the lock, whatever else is */
    struct km_gone *gone;             /* of the thread that holds the lock */
    const _Atomic uint64_t *store_epoch;
    struct km_shard_counts counts;
    struct km_account *account;
    struct km_floors *floors; /* of the store; NULL: it has none */
    uint64_t
        newest_hlc;    /* of the stamps that were stored since the last clear */
    uint64_t expiring; /* entries that can expire */
    km_ns expires_next; /* no segment need be looked at before, in passing */
    km_ns keep_at;      /* a thread that keeps house has nothing to do before */
    _Atomic km_ns *store_keep_at; /* the earliest of all shards */
    struct km_policy policy;
    struct km_departed departed; /* keys that have left lately */
    struct km_fill *fills[KM_SHARD_FILL_CHAINS]; /* chosen by the hash */
    uint32_t fill_count;
    uint64_t adoption;  /* by which it was decided who owns the keys */
    uint64_t slot_seed; /* of km_slot_of */
} __attribute__((aligned(64)));

/* Makes an empty shard. Returns false if the system has no resources. */
bool km_shard_init(struct km_shard *shard,
                   const struct km_store_options *options,
                   struct km_account *account, const _Atomic uint64_t *epoch,
                   uint32_t segment_bytes, uint64_t budget);

/* Frees everything. No fill may be pending. */
void km_shard_fini(struct km_shard *shard);

/* Takes the lock, and brings the shard to the epoch of the store. */
void km_shard_lock(struct km_shard *shard, struct km_gone *gone);

/* Brings the shard to the epoch of the store: empties it if that is a new one, after it
 * has waited for the end of an invalidation. Returns whether it was emptied. */
bool km_shard_catch_up_locked(struct km_shard *shard);

/* Lets hits without the lock in or not, after `hidden` was changed. */
void km_shard_open_locked(struct km_shard *shard);

/* Releases the lock, and then the blocks of the entries that have left. */
void km_shard_unlock(struct km_shard *shard, struct km_gone *gone);

/* -- entries (shard.c) ----------------------------------------------------- */

/* Returns the live entry of key; it may be a negative one. An entry that has expired
 * or is hidden is taken out. */
struct km_place km_shard_find_locked(struct km_shard *shard, uint64_t hash,
                                     kama_bytes key);

/* Returns the record of an entry. */
static inline km_word *km_shard_record(const struct km_shard *shard,
                                       const struct km_place *place)
{
    return km_log_at(&shard->log, place->ref);
}

/* Returns whether an entry says that its key does not exist. */
static inline bool km_shard_is_negative(const struct km_shard *shard,
                                        const struct km_place *place)
{
    return (km_record_header(km_shard_record(shard, place)) &
            KM_RECORD_NEGATIVE) != 0;
}

/* A put in two steps: after the first one, nothing that the second one does can fail.
 *
 *     struct km_shard_put put = {.hash = hash, .item = item, .stamp = stamp};
 *     if (km_shard_put_reserve_locked(shard, &put) == KAMA_OK) {
 *         put.stamp = the version that the mutation gets now;
 *         km_shard_put_commit_locked(shard, &put);        or km_shard_put_cancel_locked
 *     }
 *
 * The shard must not change in between. */
struct km_shard_put {
    uint64_t hash;
    const kama_value *item; /* borrowed */
    struct km_version
        stamp; /* of an explicit entry; whether it is set tells which
                              * kind of entry it will be */
    /* ---- the members below belong to the shard ---- */
    uint64_t header;
    struct km_place place; /* of the entry that is there, or 0 */
    km_ref ref;            /* of the record: that of the place, or a new one */
    unsigned freq;
};

/* Finds out where a copy of the item goes, and takes the memory for it. Errors:
 * KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status
km_shard_put_reserve_locked(struct km_shard *shard, struct km_shard_put *put);
/* Does the same for a caller that has looked for the key: put->place is that of the entry
 * that is there, or its ref is 0. */
KAMA_NODISCARD kama_status km_shard_put_reserve_at_locked(
    struct km_shard *shard, struct km_shard_put *put);
/* Stores the copy, with put->stamp, in the place of the entry that is there. */
void km_shard_put_commit_locked(struct km_shard *shard,
                                struct km_shard_put *put);
/* Gives the memory back. */
void km_shard_put_cancel_locked(struct km_shard *shard,
                                const struct km_shard_put *put);

/* Puts a copy of item under its key, with its stamp. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_shard_put_locked(struct km_shard *shard,
                                               uint64_t hash,
                                               const kama_value *item);

/* Takes the entry of key out. Returns whether there was a live value, that is an
 * entry which had not expired and was not negative. */
bool km_shard_del_locked(struct km_shard *shard, uint64_t hash, kama_bytes key);

/* Takes the entry at a place out of the index and the log, counts it, and notes why
 * its key has left, unless the policy has a ghost of it. */
void km_shard_take_out_locked(struct km_shard *shard, uint64_t hash,
                              const struct km_place *place, enum km_forget why);
/* Does the same with the entry of a record. */
void km_shard_take_out_ref_locked(struct km_shard *shard, km_ref ref,
                                  enum km_forget why);

/* Asks for the memory that km_shard_why_locked will need, before the look that may be
 * a miss. */
void km_shard_expect_miss_locked(const struct km_shard *shard, uint64_t hash);

/* Returns whether the time of a record is over. */
bool km_shard_has_expired(const struct km_shard *shard, const km_word *record);

/* Returns why there is no entry of a key with this hash, as far as it is remembered. */
enum km_miss km_shard_why_locked(const struct km_shard *shard, uint64_t hash);

/* Gives the block of a record back, if it has one, when the lock is released. */
void km_shard_drop_block_locked(struct km_shard *shard, const km_word *record);

/* Returns whether the slot of a key is hidden. */
bool km_shard_is_hidden_locked(const struct km_shard *shard, kama_bytes key);

/* Takes every expired or hidden entry out of the bucket that holds the
 * bit-reversed hash rev. Returns the bits of the bucket, as km_index_visit does. */
unsigned km_shard_clean_bucket_locked(struct km_shard *shard, uint64_t rev);

/* -- housekeeping (shard_keep.c) ------------------------------------------- */

/* Which entries an eviction may spare. */
enum km_evict_mode {
    KM_EVICT_BY_POLICY,
    KM_EVICT_AT_ONCE /* the next one leaves, however often it was used */
};

/* The task of an eviction. */
struct km_eviction {
    uint64_t bytes; /* that are missing */
    unsigned steps; /* that it may take, about */
    enum km_evict_mode mode;
    uint64_t
        newcomer; /* the hash of a key that was just stored, and stays as long as
                        * there are others; 0: none */
};

/* Makes room: segments that a clear has left are freed first, then expired entries
 * leave, then victims of the policy. Returns the steps that it took; 0 means that the
 * shard is empty. */
unsigned km_shard_evict_locked(struct km_shard *shard,
                               const struct km_eviction *eviction);

/* Returns how many bytes an eviction could give back. */
uint64_t km_shard_bytes_locked(const struct km_shard *shard);

/* Does a bounded step of housekeeping: it frees some of the memory of a clear, takes
 * out expired entries of a segment, and slides records together. `bytes` is the size of
 * the caller's change. */
void km_shard_step_locked(struct km_shard *shard, uint64_t bytes);

/* Does a bounded step for a thread that keeps house (store_keep.h), in less than 100
 * microseconds. Expired entries are looked for when the first one of a segment has been
 * there for `patience`. Returns whether there may be more to do at once; if not,
 * keep_at says when there will be. */
bool km_shard_keep_locked(struct km_shard *shard, km_ns patience);

/* Lowers the time at which a store has something to do. */
static inline void km_keep_by(_Atomic km_ns *keep_at, km_ns at)
{
    km_ns now = atomic_load_explicit(keep_at, memory_order_relaxed);
    while (at < now &&
           !atomic_compare_exchange_weak_explicit(
               keep_at, &now, at, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* Notes that such a step will have something to do at a time; 0: at once. */
void km_shard_keep_by_locked(struct km_shard *shard, km_ns at);

/* -- fills (shard_fill.c) -------------------------------------------------- */

/* Registers a fill, which is pending from now on. */
void km_shard_fill_add_locked(struct km_shard *shard, struct km_fill *fill);
/* Takes a pending fill out. */
void km_shard_fill_remove_locked(struct km_shard *shard, struct km_fill *fill);

/* Marks the fills of key overtaken. */
void km_shard_overtake_locked(struct km_shard *shard, uint64_t hash,
                              kama_bytes key);
/* Marks every fill overtaken. */
void km_shard_overtake_all_locked(struct km_shard *shard);

/* Begins an adoption, hides the entries of the lost slots, and overtakes their
 * fills and all fills that only serve. lost may be NULL. */
void km_shard_hide_locked(struct km_shard *shard, uint64_t adoption,
                          const struct km_slot_map *lost);

/* Asserts that every fill is pending, is in the chain of its hash, and is
 * counted. */
void km_shard_check_fills_locked(struct km_shard *shard);

/* Asserts every invariant of the shard: index and log hold the same entries, the
 * counters are their sums, each fill is in its chain. For tests: O(entries). */
void km_shard_check(struct km_shard *shard);
