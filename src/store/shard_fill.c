/* SPDX-License-Identifier: MIT */
/*
 * The fills of a shard that are pending, and the adoptions by which it was decided who
 * owns the keys (fill.h, store_hide.h).
 */
#include "base/hash.h"
#include "store/shard.h"

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
    fill->store_epoch = shard->store_epoch;
    fill->epoch = shard->epoch;
    if (shard->floors != NULL) { /* R8: first the token, then what it needs */
        fill->floor = km_floors_get(shard->floors, fill->hash);
    }
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
        km_shard_open_locked(shard);
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

void km_shard_check_fills_locked(struct km_shard *shard)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < KM_SHARD_FILL_CHAINS; i++) {
        for (struct km_fill *f = shard->fills[i]; f != NULL; f = f->next) {
            KM_ASSERT(f->pending);
            KM_ASSERT(f->adoption >= shard->adoption || km_fill_overtaken(f) ||
                      f->purpose == KM_FILL_TO_KEEP);
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
