/* SPDX-License-Identifier: MIT */
/*
 * The scan.
 *
 * Every entry has a position that never changes: the number of its shard, and
 * then the other bits of its hash in reverse order. A bucket of the index holds
 * one interval of positions, whatever the size of the table. So the cursor is
 * the position at which the scan goes on. Growing cuts intervals in two and
 * shrinking joins two, but neither moves an entry from one side of the cursor
 * to the other:
 *
 *     positions   0 |-- bucket --|-- bucket --|-- bucket --| 2^64
 *                                ^ cursor
 *     after a split |--..--|--..--|--..--|--..--|--..--|--..--|
 *
 * The scan takes the expired and the hidden entries that it meets out of the store, so that a
 * client that has listed all keys finds none of them in the counters.
 */
#include "store/store_scan.h"

#include "base/hash.h"
#include "store/store_internal.h"

#define BUCKETS_PER_CALL 2048u
#define CLEANED_PER_CALL 128u /* entries that have expired or are hidden */
#define COLLECT_MAX 64u       /* entries of one bucket, in one step */

/* Returns the position of an entry with this hash. */
static uint64_t position(const struct km_store *store, uint64_t hash)
{
    unsigned bits = store->shard_bits;
    uint64_t shard = bits == 0 ? 0 : hash >> (64 - bits) << (64 - bits);
    return shard | km_index_reverse(hash) >> bits;
}

uint64_t km_store_position(const struct km_store *store, const kama_value *item)
{
    return position(store, km_hash(km_item_key_bytes(item), store->seed));
}

/* Collects the entries of one bucket from the position `from` on: as many of
 * the lowest positions as there is room for, in their order. */
struct collect {
    const struct km_store *store;
    const struct km_shard *shard;
    uint64_t from;
    km_ref refs[COLLECT_MAX];
    uint64_t at[COLLECT_MAX]; /* their positions */
    size_t room;
    size_t count;
    bool full;        /* the bucket has more entries */
    uint64_t cleaned; /* entries that were taken out of it */
};

/* Inserts an entry in its place, and drops the last one if there is no room. */
static void collect_entry(void *arg, km_ref ref)
{
    struct collect *c = arg;
    const km_word *record = km_log_at(&c->shard->log, ref);
    uint64_t at = position(c->store, km_index_hash(&c->shard->index, record));
    if (at < c->from || (km_record_header(record) & KM_RECORD_NEGATIVE) != 0 ||
        km_shard_has_expired(c->shard, record)) {
        return;
    }
    size_t i = c->count;
    while (i > 0 && c->at[i - 1] > at) {
        i--;
    }
    if (i == c->room) {
        c->full = true;
        return;
    }
    if (c->count == c->room) {
        c->full = true;
        c->count--;
    }
    memmove(&c->refs[i + 1], &c->refs[i], (c->count - i) * sizeof c->refs[0]);
    memmove(&c->at[i + 1], &c->at[i], (c->count - i) * sizeof c->at[0]);
    c->refs[i] = ref;
    c->at[i] = at;
    c->count++;
}

/* Makes items of the entries that were collected. Without memory, the last ones are
 * left to the next call. */
static void make_items(struct collect *c, kama_value **ret_items)
{
    for (size_t i = 0; i < c->count; i++) {
        ret_items[i] = km_record_item(
            c->shard->account, km_log_at(&c->shard->log, c->refs[i]), true);
        if (ret_items[i] == NULL) {
            c->full = true;
            c->count = i;
        }
    }
}

/* Collects the entries of one bucket. Returns the position behind the entries
 * that were collected, or behind the whole bucket if none is left. */
static uint64_t scan_bucket(struct km_store *store, struct km_shard *shard,
                            struct collect *c, kama_value **ret_items)
{
    unsigned shift = store->shard_bits;
    if (shard->expiring > 0 || shard->hidden != NULL) {
        uint64_t before = shard->index.entry_count;
        (void)km_shard_clean_bucket_locked(shard, c->from << shift);
        c->cleaned += before - shard->index.entry_count;
    }
    unsigned bits =
        km_index_visit(&shard->index, c->from << shift, collect_entry, c);
    make_items(c, ret_items);
    if (c->full && c->count > 0) {
        return c->at[c->count - 1] + 1;
    }
    if (c->full) { /* 0 would say that this is the end */
        return c->from > 0 ? c->from : 1;
    }
    uint64_t size = bits + shift == 0 ? 0 : (uint64_t)1 << (64 - bits - shift);
    return (c->from | (size - 1)) + 1;
}

size_t km_store_scan(struct km_store *store, uint64_t *cursor,
                     kama_value **ret_items, size_t n)
{
    size_t done = 0;
    uint64_t at = *cursor;
    uint64_t cleaned = 0;
    bool out_of_memory = false;
    for (unsigned i = 0;
         i < BUCKETS_PER_CALL && done < n && cleaned < CLEANED_PER_CALL; i++) {
        unsigned shift = store->shard_bits;
        uint64_t s = shift == 0 ? 0 : at >> (64 - shift);
        struct km_shard *shard = &store->shards[s];
        struct collect c = {
            .store = store,
            .shard = shard,
            .from = at,
            .room = n - done < COLLECT_MAX - 1 ? n - done : COLLECT_MAX - 1};
        struct km_gone gone;
        km_shard_lock(shard, &gone);
        at = scan_bucket(store, shard, &c, ret_items + done);
        if (i == 0) {
            km_shard_step_locked(shard, 0);
        }
        km_shard_unlock(shard, &gone);
        done += c.count;
        cleaned += c.cleaned;
        out_of_memory = c.full && c.count == 0;
        if (at == 0 || out_of_memory) {
            break;
        }
    }
    *cursor = at;
    return out_of_memory && done == 0 ? KM_SCAN_NO_MEMORY : done;
}
