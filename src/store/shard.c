/* SPDX-License-Identifier: MIT */
/*
 * A shard: lookups, mutations and bounded housekeeping, all under its lock.
 *
 * An item is in the index and in a queue, or in neither. An item that leaves is
 * put into the caller's list with the link that it had in its queue, so that
 * leaving needs no memory.
 */
#include "store/shard.h"

#include "store/store.h"

#define SWEEP_EVERY 4u             /* mutations per step of the sweep */
#define RECLAIM_PER_STEP 16u       /* cleared items per step */
#define RECLAIM_CHUNKS_PER_STEP 2u /* chunks of detached indexes per step */
#define EVICT_PER_STEP 32u         /* items while the lock is held once */

bool km_shard_init(struct km_shard *shard,
                   const struct km_store_options *options,
                   struct km_account *account)
{
    memset(shard, 0, sizeof *shard);
    if (!km_mutex_init(&shard->lock, KM_RANK_STORE)) {
        return false;
    }
    shard->account = account;
    shard->slot_seed = options->slot_seed;
    km_index_init(&shard->index, account, options->seed);
    km_policy_init(&shard->policy, options->policy, account);
    km_list_init(&shard->cleared);
    return true;
}

void km_shard_fini(struct km_shard *shard)
{
    KM_ASSERT(shard->fill_count == 0);
    km_policy_drain(&shard->policy, &shard->cleared);
    km_shard_drop_list(&shard->cleared);
    km_index_fini(&shard->index);
    km_index_free_detached(&shard->detached, shard->account, UINT32_MAX);
    km_policy_fini(&shard->policy);
    km_mutex_fini(&shard->lock);
}

void km_shard_drop_list(struct km_list *list)
{
    struct km_list *link;
    while ((link = km_list_pop_front(list)) != NULL) {
        km_item_drop(km_item_of(link));
    }
}

/* Computes the hash of an item that is in the index; items do not store it. */
static uint64_t item_hash(const struct km_shard *shard, const kama_value *item)
{
    return km_hash(km_item_key_bytes(item), shard->index.seed);
}

/* Returns the bytes of key and value. */
static uint64_t payload(const kama_value *item)
{
    return (uint64_t)item->key_len + item->value_len;
}

/* Counts an item that enters the index. */
static void count_in(struct km_shard *shard, const kama_value *item)
{
    shard->counts.payload_bytes += payload(item);
    shard->counts.negative += (item->flags & KM_ITEM_NEGATIVE) != 0;
    shard->expiring += (item->flags & KM_ITEM_EXPIRES) != 0;
}

/* Counts an item that leaves the index. */
static void count_out(struct km_shard *shard, const kama_value *item)
{
    KM_ASSERT(shard->counts.payload_bytes >= payload(item));
    shard->counts.payload_bytes -= payload(item);
    shard->counts.negative -= (item->flags & KM_ITEM_NEGATIVE) != 0;
    shard->expiring -= (item->flags & KM_ITEM_EXPIRES) != 0;
}

/* Takes an item out of the index and the counts. The caller has taken it out of
 * its queue already. */
static void unlink_item(struct km_shard *shard, kama_value *item, uint64_t hash,
                        uint64_t *slot, struct km_list *gone)
{
    km_index_remove(&shard->index, hash, slot);
    count_out(shard, item);
    km_list_push_back(gone, &item->link);
}

/* Takes an item out of its queue, the index and the counts. */
static void take_out(struct km_shard *shard, uint64_t hash, uint64_t *slot,
                     struct km_list *gone)
{
    kama_value *item = km_slot_item(*slot);
    km_policy_remove(&shard->policy, item);
    unlink_item(shard, item, hash, slot, gone);
}

void km_shard_expire_locked(struct km_shard *shard, uint64_t hash,
                            uint64_t *slot, struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    take_out(shard, hash, slot, gone);
    shard->counts.expirations++;
}

kama_value *km_shard_peek_locked(struct km_shard *shard, uint64_t hash,
                                 kama_bytes key, struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    kama_value *item = km_shard_find_locked(shard, hash, key, gone);
    return item != NULL && (item->flags & KM_ITEM_NEGATIVE) == 0 ? item : NULL;
}

bool km_shard_is_hidden_locked(const struct km_shard *shard, kama_bytes key)
{
    KM_ASSERT_HELD(&shard->lock);
    return shard->hidden != NULL &&
           km_slot_map_has(shard->hidden, km_slot_of(shard->slot_seed, key));
}

bool km_shard_conceal_locked(struct km_shard *shard, uint64_t hash,
                             uint64_t *slot, struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    if (!km_shard_is_hidden_locked(shard,
                                   km_item_key_bytes(km_slot_item(*slot)))) {
        return false;
    }
    take_out(shard, hash, slot, gone);
    return true;
}

/* Puts item in the place of the one that slot holds. */
static void swap(struct km_shard *shard, uint64_t hash, uint64_t *slot,
                 kama_value *item, struct km_list *gone)
{
    kama_value *old = km_slot_item(*slot);
    *slot = km_index_tag(hash) << 48 | (uint64_t)(uintptr_t)item;
    shard->policy.ops->replace(&shard->policy, old, item);
    count_out(shard, old);
    count_in(shard, item);
    km_list_push_back(gone, &old->link);
}

void km_shard_swap_locked(struct km_shard *shard, uint64_t hash,
                          kama_value *old, kama_value *item,
                          struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    uint64_t *slot = km_index_find(&shard->index, hash, km_item_key_bytes(old));
    KM_ASSERT(slot != NULL && km_slot_item(*slot) == old);
    swap(shard, hash, slot, item, gone);
}

kama_status km_shard_put_locked(struct km_shard *shard, uint64_t hash,
                                kama_value *item, struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    uint64_t *slot =
        km_index_find(&shard->index, hash, km_item_key_bytes(item));
    if (slot == NULL) {
        kama_status st = km_index_add(&shard->index, hash, item);
        if (st != KAMA_OK) {
            return st;
        }
        shard->policy.ops->add(&shard->policy, item, hash);
        count_in(shard, item);
    } else {
        swap(shard, hash, slot, item, gone);
    }
    return KAMA_OK;
}

bool km_shard_del_locked(struct km_shard *shard, uint64_t hash, kama_bytes key,
                         struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    uint64_t *slot = km_index_find(&shard->index, hash, key);
    if (slot == NULL) {
        return false;
    }
    if (shard->hidden != NULL &&
        km_shard_conceal_locked(shard, hash, slot, gone)) {
        return false;
    }
    const kama_value *item = km_slot_item(*slot);
    bool live = !km_item_expired(item) && (item->flags & KM_ITEM_NEGATIVE) == 0;
    take_out(shard, hash, slot, gone);
    return live;
}

void km_shard_clear_locked(struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    km_index_detach(&shard->index, &shard->detached);
    km_policy_drain(&shard->policy, &shard->cleared);
    shard->counts.payload_bytes = 0;
    shard->counts.negative = 0;
    shard->expiring = 0;
}

/* Frees some of the memory that a clear has left. Returns the bytes of the
 * items that were appended to gone. */
static uint64_t reclaim(struct km_shard *shard, struct km_list *gone)
{
    uint64_t bytes = 0;
    km_index_free_detached(&shard->detached, shard->account,
                           RECLAIM_CHUNKS_PER_STEP);
    for (unsigned n = 0; n < RECLAIM_PER_STEP; n++) {
        struct km_list *link = km_list_pop_front(&shard->cleared);
        if (link == NULL) {
            break;
        }
        bytes += km_item_block_bytes(km_item_of(link));
        km_list_push_back(gone, link);
    }
    return bytes;
}

/* Evicts the next victim of the policy. Returns its bytes, or 0 if there is
 * none. */
static uint64_t evict_one(struct km_shard *shard, struct km_list *gone)
{
    kama_value *item = shard->policy.ops->victim(&shard->policy);
    if (item == NULL) {
        return 0;
    }
    uint64_t hash = item_hash(shard, item);
    uint64_t *slot =
        km_index_find(&shard->index, hash, km_item_key_bytes(item));
    KM_ASSERT(slot != NULL && km_slot_item(*slot) == item);
    if (km_item_expired(item)) {
        shard->counts.expirations++;
    } else {
        shard->policy.ops->evicted(&shard->policy, item, hash);
        shard->counts.evictions++;
    }
    unlink_item(shard, item, hash, slot, gone);
    return km_item_block_bytes(item);
}

uint64_t km_shard_evict_locked(struct km_shard *shard, uint64_t bytes,
                               struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    uint64_t done = reclaim(shard, gone);
    for (unsigned n = 0; n < EVICT_PER_STEP && done < bytes; n++) {
        uint64_t got = evict_one(shard, gone);
        if (got == 0) {
            break;
        }
        done += got;
    }
    return done;
}

/* The items that a look at one bucket has found, and that are to leave. A bucket
 * rarely has more than two lines; if it does, the look is repeated. */
#define FOUND_MAX (KM_LINE_SLOTS * 2)

struct found {
    const struct km_shard *shard;
    kama_value *items[FOUND_MAX];
    unsigned count;
};

/* Collects an expired or hidden item of a bucket. */
static void find_dead(void *arg, kama_value *item)
{
    struct found *found = arg;
    if (found->count < FOUND_MAX &&
        (km_item_expired(item) ||
         km_shard_is_hidden_locked(found->shard, km_item_key_bytes(item)))) {
        found->items[found->count++] = item;
    }
}

unsigned km_shard_clean_bucket_locked(struct km_shard *shard, uint64_t rev,
                                      struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    struct found found = {.shard = shard};
    unsigned bits;
    do {
        found.count = 0;
        bits = km_index_visit(&shard->index, rev, find_dead, &found);
        for (unsigned i = 0; i < found.count; i++) {
            uint64_t hash = item_hash(shard, found.items[i]);
            uint64_t *slot = km_index_find(&shard->index, hash,
                                           km_item_key_bytes(found.items[i]));
            if (!km_shard_conceal_locked(shard, hash, slot, gone)) {
                km_shard_expire_locked(shard, hash, slot, gone);
            }
        }
    } while (found.count == FOUND_MAX);
    return bits;
}

/* Takes the expired items out of the next bucket, and moves the sweep to the
 * interval of reversed hashes behind it. */
static void sweep_bucket(struct km_shard *shard, struct km_list *gone)
{
    unsigned bits = km_shard_clean_bucket_locked(shard, shard->sweep_rev, gone);
    uint64_t size = bits == 0 ? 0 : (uint64_t)1 << (64 - bits);
    shard->sweep_rev = (shard->sweep_rev | (size - 1)) + 1;
}

void km_shard_step_locked(struct km_shard *shard, struct km_list *gone)
{
    KM_ASSERT_HELD(&shard->lock);
    if (shard->detached.dirs != NULL || !km_list_empty(&shard->cleared)) {
        (void)reclaim(shard, gone);
    }
    if (shard->expiring == 0) {
        return;
    }
    if (shard->sweep_wait > 0) {
        shard->sweep_wait--;
        return;
    }
    shard->sweep_wait = SWEEP_EVERY - 1;
    sweep_bucket(shard, gone);
}

bool km_shard_give_back_locked(struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    if (shard->index.entry_count == 0) {
        km_index_detach(&shard->index, &shard->detached);
        km_ghost_fini(&shard->policy.ghost);
    }
    km_index_free_detached(&shard->detached, shard->account,
                           RECLAIM_CHUNKS_PER_STEP);
    return shard->detached.dirs != NULL;
}

/* Returns the chain of the fills with this hash. It uses bits that choose
 * neither the shard nor, in small tables, the bucket. */
static struct km_fill **fill_chain(struct km_shard *shard, uint64_t hash)
{
    return &shard->fills[(hash >> 20) % KM_SHARD_FILL_CHAINS];
}

void km_shard_fill_add_locked(struct km_shard *shard, struct km_fill *fill)
{
    KM_ASSERT_HELD(&shard->lock);
    struct km_fill **chain = fill_chain(shard, fill->hash);
    fill->next = *chain;
    *chain = fill;
    fill->pending = true;
    shard->fill_count++;
}

void km_shard_fill_remove_locked(struct km_shard *shard, struct km_fill *fill)
{
    KM_ASSERT_HELD(&shard->lock);
    struct km_fill **at = fill_chain(shard, fill->hash);
    while (*at != fill) {
        KM_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = fill->next;
    fill->pending = false;
    shard->fill_count--;
}

/* Marks a fill. The release makes the mark visible to a loader that looks at it
 * without the lock. */
static void overtake(struct km_fill *fill)
{
    atomic_store_explicit(&fill->overtaken, true, memory_order_release);
}

void km_shard_overtake_locked(struct km_shard *shard, uint64_t hash,
                              kama_bytes key)
{
    KM_ASSERT_HELD(&shard->lock);
    if (shard->fill_count == 0) {
        return;
    }
    struct km_fill *fill = *fill_chain(shard, hash);
    for (; fill != NULL; fill = fill->next) {
        if (fill->hash == hash && fill->key.len == key.len &&
            memcmp(fill->key.data, key.data, key.len) == 0) {
            overtake(fill);
        }
    }
}

void km_shard_overtake_all_locked(struct km_shard *shard)
{
    KM_ASSERT_HELD(&shard->lock);
    for (unsigned i = 0; i < KM_SHARD_FILL_CHAINS; i++) {
        for (struct km_fill *f = shard->fills[i]; f != NULL; f = f->next) {
            overtake(f);
        }
    }
}

void km_shard_hide_locked(struct km_shard *shard, uint64_t adoption,
                          const struct km_slot_map *lost)
{
    KM_ASSERT_HELD(&shard->lock);
    KM_ASSERT(adoption > shard->adoption);
    shard->adoption = adoption;
    if (lost != NULL) {
        shard->hidden = lost;
    }
    for (unsigned i = 0; i < KM_SHARD_FILL_CHAINS; i++) {
        for (struct km_fill *f = shard->fills[i]; f != NULL; f = f->next) {
            if (f->purpose == KM_FILL_TO_SERVE ||
                km_shard_is_hidden_locked(shard, f->key)) {
                overtake(f);
            }
        }
    }
}

/* The sums over all items, for the check. */
struct check_sums {
    uint64_t payload;
    uint64_t negative;
    uint64_t expiring;
};

static void check_visit(void *arg, kama_value *item)
{
    struct check_sums *sums = arg;
    sums->payload += payload(item);
    sums->negative += (item->flags & KM_ITEM_NEGATIVE) != 0;
    sums->expiring += (item->flags & KM_ITEM_EXPIRES) != 0;
    KM_ASSERT(km_item_refs(item) >= 1);
    KM_ASSERT(item->link.next != &item->link);
}

/* Asserts that every fill is pending, is in the chain of its hash, and is
 * counted. */
static void check_fills(struct km_shard *shard)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < KM_SHARD_FILL_CHAINS; i++) {
        for (struct km_fill *f = shard->fills[i]; f != NULL; f = f->next) {
            KM_ASSERT(f->pending);
            KM_ASSERT(f->adoption >= shard->adoption || km_fill_overtaken(f) ||
                      f->purpose == KM_FILL_TO_KEEP);
            KM_ASSERT(km_fill_overtaken(f) ||
                      !km_shard_is_hidden_locked(shard, f->key));
            KM_ASSERT(
                f->adoption == shard->adoption ||
                (f->adoption < shard->adoption &&
                 (km_fill_overtaken(f) || f->purpose == KM_FILL_TO_KEEP)));
            KM_ASSERT(km_fill_overtaken(f) ||
                      !km_shard_is_hidden_locked(shard, f->key));
            KM_ASSERT(fill_chain(shard, f->hash) == &shard->fills[i]);
            KM_ASSERT(km_hash(f->key, shard->index.seed) == f->hash);
            count++;
        }
    }
    KM_ASSERT(count == shard->fill_count);
}

/* Items that a clear has left are in no queue, but the shard still has its
 * reference of each. */
static void check_cleared(struct km_shard *shard)
{
    struct km_list *link;
    struct km_list *tmp;
    KM_LIST_FOREACH(link, tmp, &shard->cleared) {
        KM_ASSERT(link->next->prev == link && link->prev->next == link);
        KM_ASSERT(km_item_refs(km_item_of(link)) >= 1);
    }
}

/* Asserts that the counters are the sums over all items of the index. */
static void check_items(struct km_shard *shard)
{
    struct check_sums sums = {0, 0, 0};
    uint64_t rev = 0;
    do {
        unsigned bits = km_index_visit(&shard->index, rev, check_visit, &sums);
        rev += bits == 0 ? 0 : (uint64_t)1 << (64 - bits);
    } while (rev != 0);
    KM_ASSERT(sums.payload == shard->counts.payload_bytes);
    KM_ASSERT(sums.negative == shard->counts.negative);
    KM_ASSERT(sums.expiring == shard->expiring);
}

void km_shard_check(struct km_shard *shard)
{
    km_mutex_lock(&shard->lock);
    km_index_check(&shard->index);
    km_policy_check(&shard->policy);
    KM_ASSERT(shard->policy.queues[0].count + shard->policy.queues[1].count ==
              shard->index.entry_count);
    check_items(shard);
    check_fills(shard);
    check_cleared(shard);
    km_mutex_unlock(&shard->lock);
}
