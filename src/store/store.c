/* SPDX-License-Identifier: MIT */
/* The calls of the store: each finds the shard, takes its lock if it must, and pays its
 * debt to the bound afterwards. */
#include "base/hash.h"
#include "base/mem.h"
#include "store/rules.h"
#include "store/store_epoch.h"
#include "store/store_internal.h"

#define STATS_KEEP_NS (200 * UINT64_C(1000)) /* of housekeeping in one call */
#define BYTES_PER_SHARD_MIN (1u << 20)
#define SHARD_BITS_MAX 4u
/* Above that there are more shards, because the refs of one reach 32 GiB. */
#define BYTES_PER_SHARD_MAX (UINT64_C(16) << 30)
#define SHARD_BITS_LARGE_MAX 10u
#define SEGMENTS_PER_SHARD 64u
#define SEGMENT_BYTES_MIN (8u << 10)
#define SEGMENT_BYTES_MAX (512u << 10)
#define RECORDS_PER_SEGMENT 8u /* of the longest values that are in the log */

#ifdef KAMA_BREAKABLE
unsigned km_store_broken;
#endif

/* -- making ---------------------------------------------------------------- */

/* Returns how many bits of the hash choose the shard: as many as leave each
 * shard at least BYTES_PER_SHARD_MIN, and more if one could not reach its part. */
static unsigned shard_bits(uint64_t max_bytes)
{
    unsigned bits = 0;
    while (bits < SHARD_BITS_MAX &&
           (max_bytes >> (bits + 1)) >= BYTES_PER_SHARD_MIN) {
        bits++;
    }
    while (bits < SHARD_BITS_LARGE_MAX &&
           (max_bytes >> bits) > BYTES_PER_SHARD_MAX) {
        bits++;
    }
    return bits;
}

/* Returns the size of a segment, a power of two. */
static uint32_t segment_bytes(uint64_t max_bytes, unsigned bits)
{
    uint64_t most = (max_bytes >> bits) / SEGMENTS_PER_SHARD;
    uint32_t bytes = SEGMENT_BYTES_MIN;
    while (bytes < SEGMENT_BYTES_MAX && (uint64_t)bytes * 2 <= most) {
        bytes *= 2;
    }
    return bytes;
}

static void shards_fini(struct km_store *store, unsigned count)
{
    while (count > 0) {
        km_shard_fini(&store->shards[--count]);
    }
}

static bool shards_init(struct km_store *store,
                        const struct km_store_options *options)
{
    uint32_t bytes = segment_bytes(options->max_bytes, store->shard_bits);
    uint32_t most = bytes / RECORDS_PER_SEGMENT;
    store->account->inline_max =
        most < KM_RECORD_INLINE_MAX ? most : KM_RECORD_INLINE_MAX;
    store->shards = (struct km_shard *)(store + 1);
    for (unsigned i = 0; i < store->shard_count; i++) {
        if (!km_shard_init(&store->shards[i], options, store->account,
                           &store->epoch, bytes,
                           options->max_bytes / store->shard_count)) {
            shards_fini(store, i);
            return false;
        }
        store->shards[i].store_keep_at = store->keep_at;
        store->shards[i].floors = store->floors;
    }
    return true;
}

static enum km_pages_huge huge_pages(const struct km_store_options *options)
{
    if (options->huge_pages == KM_HUGE_PAGES_ON) {
        return KM_PAGES_HUGE_AT_ONCE;
    }
    return options->huge_pages == KM_HUGE_PAGES_AUTO &&
                   options->max_bytes >= KM_HUGE_BYTES_MIN
               ? KM_PAGES_HUGE_IF_FULL
               : KM_PAGES_SMALL;
}

kama_status km_store_new(const struct km_store_options *options,
                         struct km_store **ret_store)
{
    unsigned bits = shard_bits(options->max_bytes);
    size_t bytes = sizeof(struct km_store) + (sizeof(struct km_shard) << bits);
    void *block;
    struct km_store *store = km_mem_zalloc_aligned(
        options->mem, bytes, _Alignof(struct km_store), &block);
    if (store == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    store->block = block;
    store->shard_bits = bits;
    store->shard_count = 1u << bits;
    store->seed = options->seed;
    atomic_init(&store->max_bytes, options->max_bytes);
    store->keep_at =
        options->keep_at != NULL ? options->keep_at : &store->own_keep_at;
    atomic_init(store->keep_at, KM_NS_NEVER);
    store->base_bytes =
        km_account_block_bytes(bytes + _Alignof(struct km_store)) +
        km_account_block_bytes(sizeof *store->account);
    store->account = km_account_new(options->mem, options->clock,
                                    options->max_bytes, store->base_bytes);
    if (store->account == NULL) {
        goto fail_account;
    }
    store->account->etag_key = options->etag_key;
    km_pages_want_huge(&store->account->pages, huge_pages(options));
    if (options->keeps_floors) {
        store->floors = km_floors_new(store->account, options->max_bytes);
        if (store->floors == NULL) {
            goto fail_floors;
        }
    }
    if (!shards_init(store, options)) {
        goto fail_shards;
    }
    *ret_store = store;
    return KAMA_OK;

fail_shards:
    km_floors_free(store->floors);
fail_floors:
    km_account_discharge(store->account, store->base_bytes);
fail_account:
    km_mem_free(options->mem, block);
    return KAMA_ERR_NO_MEMORY;
}

void km_store_free(struct km_store *store)
{
    if (store == NULL) {
        return;
    }
    KM_ASSERT(atomic_load(&store->guest_bytes) == 0);
    shards_fini(store, store->shard_count);
    km_floors_free(store->floors);
    struct km_account *account = store->account;
    kama_allocator mem = account->mem;
    size_t base_bytes = store->base_bytes;
    km_pages_trim(&account->pages, true);
    km_pages_trim(&account->blocks, true);
    km_account_settle(account);
    km_mem_free(&mem, store->block);
    km_account_discharge(account, base_bytes);
}

void km_store_charge(struct km_store *store, size_t n)
{
    atomic_fetch_add_explicit(&store->guest_bytes, n, memory_order_relaxed);
    km_account_charge(store->account, n);
}

void km_store_discharge(struct km_store *store, size_t n)
{
    atomic_fetch_sub_explicit(&store->guest_bytes, n, memory_order_relaxed);
    km_account_discharge(store->account, n);
}

uint64_t km_store_hash(const struct km_store *store, kama_bytes key)
{
    return km_hash(key, store->seed);
}

kama_value *km_store_item_new(struct km_store *store,
                              const struct km_item_spec *spec)
{
    uint64_t n = km_item_new_charge(store->account, spec);
    km_store_reserve(store, spec->key, n);
    return km_item_new(store->account, spec, n);
}

kama_value *km_store_item_now(struct km_store *store,
                              const struct km_item_spec *spec)
{
    uint64_t n = km_item_new_charge(store->account, spec);
    km_account_charge(store->account, n);
    km_account_hold(store->account, (int64_t)n);
    uint64_t hash = km_store_hash(store, spec->key);
    km_store_settle(store, hash, hash);
    return km_item_new(store->account, spec, n);
}

/* -- mutations ------------------------------------------------------------- */

kama_status km_store_check_locked(const struct km_shard *shard,
                                  const struct km_place *place,
                                  const struct km_put_condition *condition)
{
    KM_ASSERT_HELD(&shard->lock);
    if (condition->kind == KM_PUT_ALWAYS) {
        return KAMA_OK;
    }
    bool has_value = place->ref != 0 && !km_shard_is_negative(shard, place);
    if (condition->kind == KM_PUT_IF_ABSENT) {
        return has_value ? KAMA_ERR_EXISTS : KAMA_OK;
    }
    if (!has_value) {
        return KAMA_MISS;
    }
    if (condition->kind == KM_PUT_IF_PRESENT) {
        return KAMA_OK;
    }
    const km_word *record = km_shard_record(shard, place);
    uint64_t etag = km_record_etag(record, shard->account->etag_key);
    return etag == condition->etag ? KAMA_OK : KAMA_ERR_EXISTS;
}

/* Puts item under its key. An entry of the key that is there already is replaced. */
static kama_status put_locked(struct km_shard *shard, uint64_t hash,
                              const kama_value *item)
{
    uint64_t before = shard->index.entry_count;
    kama_status st = km_shard_put_locked(shard, hash, item);
    bool replaced = st == KAMA_OK && shard->index.entry_count == before;
    shard->counts.forgotten[KM_FORGET_REPLACED] += replaced;
    return st;
}

/* Room is made before the put, too, so that the newcomer rarely pays for itself. With a
 * condition it is made afterwards only: an eviction before might take just the value
 * that the condition wants to see, or be for nothing. */
kama_status km_store_put_if(struct km_store *store, uint64_t adoption,
                            uint64_t hash, kama_value *item,
                            const struct km_put_condition *condition)
{
    struct km_shard *shard = km_store_shard(store, hash);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    struct km_gone gone;
    if (condition->kind == KM_PUT_ALWAYS) {
        km_store_settle(store, hash, hash);
    }
    km_shard_lock(shard, &gone);
    if (adoption >= shard->adoption) {
        st = KAMA_OK;
    }
    if (st == KAMA_OK && condition->kind != KM_PUT_ALWAYS) {
        struct km_place place =
            km_shard_find_locked(shard, hash, km_item_key_bytes(item));
        st = km_store_check_locked(shard, &place, condition);
    }
    if (st == KAMA_OK) {
        st = put_locked(shard, hash, item);
    }
    if (st == KAMA_OK) {
        km_shard_overtake_locked(shard, hash, km_item_key_bytes(item));
        km_shard_step_locked(shard, item->key_len + item->value_len);
    }
    km_shard_unlock(shard, &gone);
    kama_value_unref(item);
    km_store_settle(store, hash, hash);
    return st;
}

kama_status km_store_put(struct km_store *store, uint64_t adoption,
                         uint64_t hash, kama_value *item)
{
    const struct km_put_condition always = {.kind = KM_PUT_ALWAYS};
    return km_store_put_if(store, adoption, hash, item, &always);
}

kama_status km_store_del(struct km_store *store, uint64_t adoption,
                         uint64_t hash, kama_bytes key)
{
    struct km_shard *shard = km_store_shard(store, hash);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    if (adoption >= shard->adoption) {
        uint64_t before = shard->counts.payload_bytes;
        st = km_shard_del_locked(shard, hash, key) ? KAMA_OK : KAMA_MISS;
        km_shard_overtake_locked(shard, hash, key);
        km_shard_step_locked(shard, before - shard->counts.payload_bytes);
    }
    km_shard_unlock(shard, &gone);
    return st;
}

/* Each shard is emptied when its lock is taken; hits without a lock see the new epoch
 * and take the lock (store_hit.c). */
void km_store_clear(struct km_store *store)
{
    km_store_invalidate(store, 0);
    for (unsigned i = 0; i < store->shard_count; i++) {
        struct km_gone gone;
        km_shard_lock(&store->shards[i], &gone);
        km_shard_unlock(&store->shards[i], &gone);
    }
}

/* -- fills ----------------------------------------------------------------- */

static kama_status fill_begin(struct km_store *store, struct km_fill *fill,
                              uint64_t hash, kama_bytes key, enum km_look look,
                              kama_value **ret_value)
{
    struct km_shard *shard = km_store_shard(store, hash);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    struct km_gone gone;
    fill->key = key;
    fill->hash = hash;
    fill->pending = false;
    fill->floor = 0;
    atomic_init(&fill->overtaken, false);
    km_shard_lock(shard, &gone);
    if (fill->adoption >= shard->adoption) {
        st = km_store_look_locked(store, shard, hash, key, look, ret_value);
    }
    if (st == KAMA_WOULD_LOAD) {
        km_shard_fill_add_locked(shard, fill);
    }
    km_shard_unlock(shard, &gone);
    return st;
}

kama_status km_store_fill_begin(struct km_store *store, struct km_fill *fill,
                                uint64_t hash, kama_bytes key,
                                kama_value **ret_value)
{
    return fill_begin(store, fill, hash, key, KM_LOOK_HITS, ret_value);
}

kama_status km_store_fill_begin_again(struct km_store *store,
                                      struct km_fill *fill, uint64_t hash,
                                      kama_bytes key, kama_value **ret_value)
{
    return fill_begin(store, fill, hash, key, KM_LOOK_USES, ret_value);
}

/* R7, R8: returns whether the store may keep a loaded value, that is if no mutation and no
 * invalidation came since the fill began. An entry that has expired is forgotten first,
 * and then it is absent. A version that another node has answered with loses against one
 * that is not older. */
static bool may_keep_locked(struct km_shard *shard, const struct km_fill *fill,
                            const kama_value *item)
{
    if (km_fill_overtaken(fill) && KM_STORE_KEEPS(KM_STORE_TOKEN)) {
        return false;
    }
    struct km_place place = km_shard_find_locked(shard, fill->hash, fill->key);
    struct km_version stamp = km_item_stamp(item);
    return place.ref == 0 || !km_version_is_set(stamp) ||
           km_version_compare(km_record_stamp(km_shard_record(shard, &place)),
                              stamp) < 0;
}

bool km_store_fill_commit(struct km_store *store, struct km_fill *fill,
                          kama_value *item)
{
    struct km_shard *shard = km_store_shard(store, fill->hash);
    struct km_account *account = store->account;
    uint64_t others_max = km_account_max(account) / 2;
    bool has_room =
        km_account_holds_at_most(account, others_max + km_item_held(item));
    bool kept = false;
    struct km_gone gone;
    km_store_settle(store, fill->hash, fill->hash);
    km_shard_lock(shard, &gone);
    KM_ASSERT(fill->pending && fill->purpose == KM_FILL_TO_KEEP);
    km_shard_fill_remove_locked(shard, fill);
    if (has_room && may_keep_locked(shard, fill, item) &&
        put_locked(shard, fill->hash, item) == KAMA_OK) {
        kept = true;
        km_shard_step_locked(shard, item->key_len + item->value_len);
    }
    km_shard_unlock(shard, &gone);
    km_store_settle(store, fill->hash, fill->hash);
    return kept;
}

void km_store_fill_cancel(struct km_store *store, struct km_fill *fill)
{
    struct km_shard *shard = km_store_shard(store, fill->hash);
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    if (fill->pending) {
        km_shard_fill_remove_locked(shard, fill);
    }
    km_shard_unlock(shard, &gone);
}

/* -- figures --------------------------------------------------------------- */

static void sum_cells(struct km_store *store, struct km_store_stats *ret)
{
    for (unsigned i = 0; i < 2 * KM_THREAD_CELLS; i++) {
        struct km_store_cell *cell = &store->cells[i];
        ret->hits += atomic_load_explicit(&cell->hits, memory_order_relaxed);
        ret->negative_hits +=
            atomic_load_explicit(&cell->negative_hits, memory_order_relaxed);
    }
}

static void sum_forgotten(const struct km_shard_counts *counts,
                          struct km_store_stats *ret)
{
    ret->evictions += counts->forgotten[KM_FORGET_CAPACITY];
    ret->expirations += counts->forgotten[KM_FORGET_EXPIRED];
    ret->deleted += counts->forgotten[KM_FORGET_DELETED];
    ret->replaced += counts->forgotten[KM_FORGET_REPLACED];
    ret->cleared += counts->forgotten[KM_FORGET_CLEARED];
    ret->moved += counts->forgotten[KM_FORGET_MOVED];
}

/* Each shard does a step, until that has taken some time; so the figures of a group that
 * nobody else calls become true within a few calls. */
void km_store_stats_get(struct km_store *store, struct km_store_stats *ret)
{
    const struct km_clock *clock = &store->account->clock;
    km_ns until = km_clock_mono(clock) + STATS_KEEP_NS;
    memset(ret, 0, sizeof *ret);
    sum_cells(store, ret);
    for (unsigned i = 0; i < store->shard_count; i++) {
        struct km_shard *shard = &store->shards[i];
        struct km_gone gone;
        km_shard_lock(shard, &gone);
        if (km_clock_mono(clock) < until &&
            km_shard_keep_locked(shard, KM_NS_PER_S)) {
            km_keep_by(store->keep_at, 0);
        }
        sum_forgotten(&shard->counts, ret);
        ret->payload_bytes += shard->counts.payload_bytes;
        ret->entries += shard->index.entry_count - shard->counts.negative;
        ret->negative_entries += shard->counts.negative;
        km_usage_add_shard_locked(&ret->usage, shard);
        km_shard_unlock(shard, &gone);
    }
    km_usage_add_common(&ret->usage, store);
    ret->used_bytes = km_account_used(store->account);
    ret->pinned_bytes = ret->usage.held;
    ret->max_bytes = km_store_max_bytes(store);
}

void km_store_check(struct km_store *store)
{
    struct km_usage usage = {0};
    for (unsigned i = 0; i < store->shard_count; i++) {
        struct km_shard *shard = &store->shards[i];
        struct km_gone gone;
        km_shard_check(shard);
        km_shard_lock(shard, &gone);
        km_usage_add_shard_locked(&usage, shard);
        km_shard_unlock(shard, &gone);
    }
    km_usage_add_common(&usage, store);
    KM_ASSERT(km_usage_sum(&usage) == km_account_used(store->account));
}
