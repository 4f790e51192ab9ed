/* SPDX-License-Identifier: MIT */
/*
 * The store: it chooses the shard, makes room for new items, and calls the
 * functions of the shard under its lock.
 *
 * Making room before an item is stored, instead of afterwards, keeps the memory
 * in use below max_bytes at almost all times. The one exception is described at
 * km_store_put.
 */
#include "store/store.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/status.h"
#include "store/store_internal.h"

/* Values up to this length are copied under the lock of their shard. A longer
 * one is referenced first, so that the lock is not held during the copy. */
#define COPY_LOCKED_BYTES_MAX 4096u
#define BYTES_PER_SHARD_MIN (1u << 20)
#define SHARD_BITS_MAX 6u
#define RESIZE_STEP_BYTES (256u << 10) /* by which the bound sinks at a time */
#define RESIZE_STEP_ROUNDS 64u         /* of an eviction, with a lock each */

/* Returns how many bits of the hash choose the shard: as many as leave each
 * shard at least BYTES_PER_SHARD_MIN. */
static unsigned shard_bits(uint64_t max_bytes)
{
    unsigned bits = 0;
    while (bits < SHARD_BITS_MAX &&
           (max_bytes >> (bits + 1)) >= BYTES_PER_SHARD_MIN) {
        bits++;
    }
    return bits;
}

/* Returns the size of a store with its shards behind it. */
static size_t store_bytes(unsigned shard_count)
{
    return sizeof(struct km_store) + _Alignof(struct km_shard) +
           shard_count * sizeof(struct km_shard);
}

/* Returns the first cache line behind the store. */
static struct km_shard *shards_behind(struct km_store *store)
{
    uintptr_t at = (uintptr_t)(store + 1) + _Alignof(struct km_shard) - 1;
    return (struct km_shard *)(at &
                               ~(uintptr_t)(_Alignof(struct km_shard) - 1));
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
    store->shards = shards_behind(store);
    for (unsigned i = 0; i < store->shard_count; i++) {
        if (!km_shard_init(&store->shards[i], options, store->account)) {
            shards_fini(store, i);
            return false;
        }
    }
    return true;
}

kama_status km_store_new(const struct km_store_options *options,
                         struct km_store **ret_store)
{
    unsigned bits = shard_bits(options->max_bytes);
    size_t bytes = store_bytes(1u << bits);
    struct km_store *store = km_mem_zalloc(options->mem, 1, bytes);
    if (store == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    store->shard_bits = bits;
    store->shard_count = 1u << bits;
    store->seed = options->seed;
    atomic_init(&store->max_bytes, options->max_bytes);
    store->base_bytes = km_account_block_bytes(bytes) +
                        km_account_block_bytes(sizeof *store->account);
    store->account = km_account_new(options->mem, options->clock,
                                    options->max_bytes, store->base_bytes);
    if (store->account == NULL) {
        goto fail_account;
    }
    store->account->etag_key = options->etag_key;
    if (!shards_init(store, options)) {
        goto fail_shards;
    }
    *ret_store = store;
    return KAMA_OK;

fail_shards:
    km_account_discharge(store->account, store->base_bytes);
fail_account:
    km_mem_free(options->mem, store);
    return KAMA_ERR_NO_MEMORY;
}

void km_store_free(struct km_store *store)
{
    if (store == NULL) {
        return;
    }
    shards_fini(store, store->shard_count);
    struct km_account *account = store->account;
    kama_allocator mem = account->mem;
    size_t base_bytes = store->base_bytes;
    km_mem_free(&mem, store);
    km_account_discharge(account, base_bytes);
}

uint64_t km_store_hash(const struct km_store *store, kama_bytes key)
{
    return km_hash(key, store->seed);
}

kama_value *km_store_item_new(struct km_store *store,
                              const struct km_item_spec *spec)
{
    return km_item_new(store->account, spec);
}

/* Turns the result of a lookup into a status, and takes a reference of a
 * value. */
static kama_status found(kama_value *item, kama_value **ret_value)
{
    if (item == NULL) {
        return KAMA_WOULD_LOAD;
    }
    if ((item->flags & KM_ITEM_NEGATIVE) != 0) {
        return KAMA_MISS;
    }
    *ret_value = kama_value_ref(item);
    return KAMA_OK;
}

kama_status km_store_get(struct km_store *store, uint64_t hash, kama_bytes key,
                         kama_value **ret_value)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_list gone;
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    kama_status st =
        found(km_shard_get_locked(shard, hash, key, &gone), ret_value);
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return st;
}

/* Copies a value without holding the lock of its shard. */
static kama_status copy_slow(struct km_store *store, uint64_t hash,
                             kama_bytes key, void *buf, size_t cap,
                             size_t *ret_len)
{
    kama_value *value;
    kama_status st = km_store_get(store, hash, key, &value);
    if (st != KAMA_OK) {
        return st;
    }
    st = km_item_copy(value, buf, cap, ret_len);
    kama_value_unref(value);
    return st;
}

kama_status km_store_copy(struct km_store *store, uint64_t hash, kama_bytes key,
                          void *buf, size_t cap, size_t *ret_len)
{
    struct km_shard *shard = km_store_shard(store, hash);
    km_mutex_lock(&shard->lock);
    uint64_t *slot = km_index_find(&shard->index, hash, key);
    kama_value *item = slot != NULL ? km_slot_item(*slot) : NULL;
    if (KM_LIKELY(item != NULL && shard->hidden == NULL &&
                  (item->flags & KM_ITEM_NEGATIVE) == 0 &&
                  item->value_len <= COPY_LOCKED_BYTES_MAX &&
                  item->value_len <= cap && buf != NULL &&
                  !km_item_expired(item))) {
        km_shard_hit_locked(shard, item);
        kama_bytes bytes = km_item_value_bytes(item);
        memcpy(buf, bytes.data, bytes.len);
        *ret_len = bytes.len;
        km_mutex_unlock(&shard->lock);
        return KAMA_OK;
    }
    km_mutex_unlock(&shard->lock);
    return item == NULL ? KAMA_WOULD_LOAD
                        : copy_slow(store, hash, key, buf, cap, ret_len);
}

/* Returns whether a shard has at least three quarters of the average. */
static bool has_its_part(const struct km_store *store,
                         const struct km_shard *shard)
{
    uint64_t used = km_account_used(store->account);
    uint64_t pinned = km_account_pinned(store->account);
    uint64_t items = used > pinned ? used - pinned : 0;
    return km_shard_bytes_locked(shard) >= items / store->shard_count / 4 * 3;
}

/* Which shards an eviction may take from. A shard that was just emptied, or
 * that has few keys, keeps its items as long as other shards have more. */
enum evict_choice { EVICT_FROM_LARGE, EVICT_FROM_ANY };

/* Evicts items of about `bytes` from shard, if the choice permits it. Returns
 * the bytes of the items. */
static uint64_t evict_from(struct km_store *store, struct km_shard *shard,
                           uint64_t bytes, enum evict_choice choice)
{
    struct km_list gone;
    uint64_t done = 0;
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    if (choice == EVICT_FROM_ANY || has_its_part(store, shard)) {
        done = km_shard_evict_locked(shard, bytes, &gone);
    }
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return done;
}

/* Evicts from the next shard after the hand: in a first round from a shard that
 * has its part, and in a second round from any. Returns the bytes of the items,
 * or 0 if all shards are empty. */
static uint64_t evict_elsewhere(struct km_store *store, uint64_t bytes)
{
    for (unsigned i = 0; i < store->shard_count * 2; i++) {
        unsigned hand = atomic_fetch_add_explicit(&store->evict_hand, 1,
                                                  memory_order_relaxed);
        uint64_t done = evict_from(
            store, &store->shards[hand % store->shard_count], bytes,
            i < store->shard_count ? EVICT_FROM_LARGE : EVICT_FROM_ANY);
        if (done > 0) {
            return done;
        }
    }
    return 0;
}

/* Returns whether so many bytes would fit if everything were evicted. Pinned
 * values cannot be. */
static bool could_fit(const struct km_store *store, uint64_t bytes)
{
    return km_account_pinned(store->account) + bytes + store->base_bytes <=
           km_account_max(store->account);
}

bool km_store_make_room(struct km_store *store, uint64_t hash,
                        uint64_t more_bytes)
{
    struct km_account *account = store->account;
    uint64_t used = km_account_used(account);
    if (KM_LIKELY(used <= km_account_max(account))) {
        return true;
    }
    if (!could_fit(store, more_bytes)) {
        return false;
    }
    while (used > km_account_max(account)) {
        uint64_t excess = used - km_account_max(account);
        if (evict_from(store, km_store_shard(store, hash), excess,
                       EVICT_FROM_LARGE) == 0 &&
            evict_elsewhere(store, excess) == 0) {
            return km_account_used(account) <= km_account_max(account);
        }
        used = km_account_used(account);
    }
    return true;
}

/* Returns KAMA_OK if the condition is fulfilled, or the status of the put. */
static kama_status check_condition_locked(
    struct km_shard *shard, uint64_t hash, kama_bytes key,
    const struct km_put_condition *condition, struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    if (condition->kind == KM_PUT_ALWAYS) {
        return KAMA_OK;
    }
    const kama_value *old = km_shard_peek_locked(shard, hash, key, gone);
    if (condition->kind == KM_PUT_IF_ABSENT) {
        return old == NULL ? KAMA_OK : KAMA_ERR_EXISTS;
    }
    if (old == NULL) {
        return KAMA_MISS;
    }
    return condition->kind == KM_PUT_IF_PRESENT ||
                   kama_value_etag(old) == condition->etag
               ? KAMA_OK
               : KAMA_ERR_EXISTS;
}

/*
 * When many threads bring large items at once, these items are charged before
 * any of them is stored, and they may exceed max_bytes together:
 *
 *     thread 1                 thread 2                  used (of 100)
 *     makes an item of 60                                60
 *                              makes an item of 60       120
 *     no room, nothing to      no room, nothing to       120
 *     evict                    evict
 *
 * Refusing both would be wrong, because each of them fits alone. So an item
 * that could fit is stored all the same, and its thread makes room afterwards,
 * when there is something that can be evicted. An item with a condition is always
 * stored like that: an eviction before it might take just the value that the
 * condition wants to see, or be for nothing.
 */
kama_status km_store_put_if(struct km_store *store, uint64_t adoption,
                            uint64_t hash, kama_value *item,
                            const struct km_put_condition *condition)
{
    struct km_shard *shard = km_store_shard(store, hash);
    uint64_t bytes = km_item_block_bytes(item);
    bool fits = condition->kind == KM_PUT_ALWAYS &&
                km_store_make_room(store, hash, bytes);
    struct km_list gone;
    if (!fits && !could_fit(store, bytes)) {
        km_item_drop(item);
        return km_fail(KAMA_ERR_NO_MEMORY,
                       "max_bytes: values that are referenced fill the group");
    }
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    kama_status st =
        adoption >= shard->adoption
            ? check_condition_locked(shard, hash, km_item_key_bytes(item),
                                     condition, &gone)
            : KAMA_ERR_TRY_AGAIN;
    if (st == KAMA_OK) {
        st = km_shard_put_locked(shard, hash, item, &gone);
    }
    if (st == KAMA_OK) {
        km_shard_overtake_locked(shard, hash, km_item_key_bytes(item));
        km_shard_step_locked(shard, &gone);
    }
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    if (st != KAMA_OK) {
        km_item_drop(item);
    } else if (!fits) {
        (void)km_store_make_room(store, hash, 0);
    }
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
    struct km_list gone;
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    if (adoption >= shard->adoption) {
        st = km_shard_del_locked(shard, hash, key, &gone) ? KAMA_OK : KAMA_MISS;
        km_shard_overtake_locked(shard, hash, key);
        km_shard_step_locked(shard, &gone);
    }
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return st;
}

void km_store_clear(struct km_store *store)
{
    for (unsigned i = 0; i < store->shard_count; i++) {
        struct km_shard *shard = &store->shards[i];
        km_mutex_lock(&shard->lock);
        km_shard_clear_locked(shard);
        km_shard_overtake_all_locked(shard);
        km_mutex_unlock(&shard->lock);
    }
}

static kama_status fill_begin(struct km_store *store, struct km_fill *fill,
                              uint64_t hash, kama_bytes key,
                              km_shard_look_fn look, kama_value **ret_value)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_list gone;
    km_list_init(&gone);
    fill->key = key;
    fill->hash = hash;
    fill->pending = false;
    atomic_init(&fill->overtaken, false);
    km_mutex_lock(&shard->lock);
    kama_status st = fill->adoption >= shard->adoption
                         ? found(look(shard, hash, key, &gone), ret_value)
                         : KAMA_ERR_TRY_AGAIN;
    if (st == KAMA_WOULD_LOAD) {
        km_shard_fill_add_locked(shard, fill);
    }
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return st;
}

kama_status km_store_fill_begin(struct km_store *store, struct km_fill *fill,
                                uint64_t hash, kama_bytes key,
                                kama_value **ret_value)
{
    return fill_begin(store, fill, hash, key, km_shard_get_locked, ret_value);
}

kama_status km_store_fill_begin_again(struct km_store *store,
                                      struct km_fill *fill, uint64_t hash,
                                      kama_bytes key, kama_value **ret_value)
{
    return fill_begin(store, fill, hash, key, km_shard_use_locked, ret_value);
}

bool km_store_fill_commit(struct km_store *store, struct km_fill *fill,
                          kama_value *item)
{
    struct km_shard *shard = km_store_shard(store, fill->hash);
    struct km_list gone;
    bool kept = false;
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    KM_ASSERT(fill->pending && fill->purpose == KM_FILL_TO_KEEP);
    km_shard_fill_remove_locked(shard, fill);
    if (!km_fill_overtaken(fill) &&
        km_shard_put_locked(shard, fill->hash, item, &gone) == KAMA_OK) {
        kept = true;
        (void)kama_value_ref(item);
        km_item_unpin(item);
        km_shard_step_locked(shard, &gone);
    }
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return kept;
}

void km_store_fill_cancel(struct km_store *store, struct km_fill *fill)
{
    struct km_shard *shard = km_store_shard(store, fill->hash);
    km_mutex_lock(&shard->lock);
    if (fill->pending) {
        km_shard_fill_remove_locked(shard, fill);
    }
    km_mutex_unlock(&shard->lock);
}

/* -- a new bound ---------------------------------------------------------- */

uint64_t km_store_max_bytes(const struct km_store *store)
{
    return atomic_load_explicit(&store->max_bytes, memory_order_relaxed);
}

void km_store_resize(struct km_store *store, uint64_t max_bytes)
{
    atomic_store_explicit(&store->max_bytes, max_bytes, memory_order_relaxed);
}

/* Moves the bound towards the one that is wanted: up at once, down by a step
 * below what is in use. A bound that another thread moves is left to it. Returns
 * whether the wanted bound is in force. */
static bool move_bound(struct km_store *store)
{
    struct km_account *account = store->account;
    uint64_t wanted = km_store_max_bytes(store);
    uint64_t now = km_account_max(account);
    uint64_t used = km_account_used(account);
    uint64_t from = used < now ? used : now;
    uint64_t next = now > wanted && from > wanted + RESIZE_STEP_BYTES
                        ? from - RESIZE_STEP_BYTES
                        : wanted;
    return atomic_compare_exchange_strong_explicit(&account->max_bytes, &now,
                                                   next, memory_order_relaxed,
                                                   memory_order_relaxed) &&
           next == wanted;
}

/* Returns whether the index of entries that are gone takes most of the memory. It
 * would leave no room for larger entries, and it shrinks only as a whole. */
static bool index_is_too_large(struct km_store *store)
{
    uint64_t items = km_account_pinned(store->account) + store->base_bytes;
    for (unsigned i = 0; i < store->shard_count; i++) {
        km_mutex_lock(&store->shards[i].lock);
        items += km_policy_bytes(&store->shards[i].policy);
        km_mutex_unlock(&store->shards[i].lock);
    }
    uint64_t used = km_account_used(store->account);
    return used > km_account_max(store->account) / 2 && items < used / 2;
}

/* Gives the memory of empty shards back. Returns whether some of it is left. */
static bool give_back(struct km_store *store)
{
    bool more = false;
    for (unsigned i = 0; i < store->shard_count; i++) {
        struct km_shard *shard = &store->shards[i];
        km_mutex_lock(&shard->lock);
        more |= km_shard_give_back_locked(shard);
        km_mutex_unlock(&shard->lock);
    }
    return more;
}

/*
 * The bound sinks in steps, because whoever stores a value makes room until
 * everything fits: with the whole difference at once, one set of another thread
 * would have to evict it all.
 */
bool km_store_resize_step(struct km_store *store)
{
    struct km_account *account = store->account;
    bool in_force = move_bound(store);
    bool empties = in_force && index_is_too_large(store);
    for (unsigned i = 0; i < RESIZE_STEP_ROUNDS; i++) {
        uint64_t used = km_account_used(account);
        uint64_t max = km_account_max(account);
        if (used <= max && !empties) {
            return !in_force;
        }
        uint64_t excess =
            used > max ? used - max : RESIZE_STEP_BYTES / RESIZE_STEP_ROUNDS;
        if (evict_elsewhere(store, excess) == 0) {
            return give_back(store) || !in_force;
        }
    }
    if (empties) {
        (void)give_back(store); /* of shards that are empty at this moment */
    }
    return true;
}

void km_store_stats_get(struct km_store *store, struct km_store_stats *ret)
{
    memset(ret, 0, sizeof *ret);
    for (unsigned i = 0; i < store->shard_count; i++) {
        struct km_shard *shard = &store->shards[i];
        km_mutex_lock(&shard->lock);
        ret->hits += shard->counts.hits;
        ret->negative_hits += shard->counts.negative_hits;
        ret->evictions += shard->counts.evictions;
        ret->expirations += shard->counts.expirations;
        ret->payload_bytes += shard->counts.payload_bytes;
        ret->entries += shard->index.entry_count - shard->counts.negative;
        ret->negative_entries += shard->counts.negative;
        km_mutex_unlock(&shard->lock);
    }
    ret->used_bytes = km_account_used(store->account);
    ret->pinned_bytes = km_account_pinned(store->account);
    ret->max_bytes = km_store_max_bytes(store);
}

void km_store_check(struct km_store *store)
{
    uint64_t items = 0;
    for (unsigned i = 0; i < store->shard_count; i++) {
        km_shard_check(&store->shards[i]);
        km_mutex_lock(&store->shards[i].lock);
        items += km_policy_bytes(&store->shards[i].policy);
        km_mutex_unlock(&store->shards[i].lock);
    }
    KM_ASSERT(items + store->base_bytes <= km_account_used(store->account));
    KM_ASSERT(km_account_pinned(store->account) <=
              km_account_used(store->account));
}
