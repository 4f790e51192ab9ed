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

#define BUCKETS_PER_CALL 4096u

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
    uint64_t from;
    kama_value **items;
    size_t room;
    size_t count;
    bool full; /* the bucket has more entries */
};

/* Inserts an item in its place, and drops the last one if there is no room. */
static void collect_item(void *arg, kama_value *item)
{
    struct collect *c = arg;
    uint64_t at = km_store_position(c->store, item);
    if (at < c->from || (item->flags & KM_ITEM_NEGATIVE) != 0 ||
        km_item_expired(item)) {
        return;
    }
    size_t i = c->count;
    while (i > 0 && km_store_position(c->store, c->items[i - 1]) > at) {
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
    memmove(&c->items[i + 1], &c->items[i],
            (c->count - i) * sizeof(kama_value *));
    c->items[i] = item;
    c->count++;
}

/* Collects the entries of one bucket. Returns the position behind the entries
 * that were collected, or behind the whole bucket if none is left. */
static uint64_t scan_bucket(const struct km_store *store,
                            struct km_shard *shard, struct collect *c,
                            struct km_list *gone)
{
    unsigned shift = store->shard_bits;
    if (shard->expiring > 0 || shard->hidden != NULL) {
        (void)km_shard_clean_bucket_locked(shard, c->from << shift, gone);
    }
    unsigned bits =
        km_index_visit(&shard->index, c->from << shift, collect_item, c);
    for (size_t i = 0; i < c->count; i++) {
        (void)kama_value_ref(c->items[i]);
    }
    if (c->full) {
        return km_store_position(store, c->items[c->count - 1]) + 1;
    }
    uint64_t size = bits + shift == 0 ? 0 : (uint64_t)1 << (64 - bits - shift);
    return (c->from | (size - 1)) + 1;
}

size_t km_store_scan(struct km_store *store, uint64_t *cursor,
                     kama_value **ret_items, size_t n)
{
    size_t done = 0;
    uint64_t at = *cursor;
    for (unsigned i = 0; i < BUCKETS_PER_CALL && done < n; i++) {
        unsigned shift = store->shard_bits;
        uint64_t s = shift == 0 ? 0 : at >> (64 - shift);
        struct km_shard *shard = &store->shards[s];
        struct collect c = {.store = store,
                            .from = at,
                            .items = ret_items + done,
                            .room = n - done};
        struct km_list gone;
        km_list_init(&gone);
        km_mutex_lock(&shard->lock);
        at = scan_bucket(store, shard, &c, &gone);
        km_mutex_unlock(&shard->lock);
        km_shard_drop_list(&gone);
        done += c.count;
        if (at == 0) {
            break;
        }
    }
    *cursor = at;
    return done;
}
