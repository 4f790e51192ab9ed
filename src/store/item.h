/* SPDX-License-Identifier: MIT */
/*
 * An item: one allocation with header, key and value. It is what a user holds
 * as kama_value.
 *
 *   0        8                24     28          32      34      35   36
 *   | account | queue links    | refs | value_len | keylen | state | flags |
 *   | [expires_at 8] [version 8] key value
 *
 * account, lengths, flags and bytes never change. link and state belong to the
 * lock of the shard that holds the item. refs counts the store as one.
 *
 * Thread-safety: any thread reads the immutable part through a reference.
 * Ownership: counted. An item that is in no store counts as pinned while it
 * lives (km_item_pin); the one in a store is the store's (km_item_drop).
 */
#pragma once

#include "base/assert.h"
#include "base/container.h"
#include "base/list.h"
#include "store/account.h"

/* Immutable properties. */
enum {
    KM_ITEM_EXPIRES = 1u << 0,
    KM_ITEM_VERSIONED = 1u << 1,
    KM_ITEM_NEGATIVE = 1u << 2 /* known not to exist; no value */
};

#define KM_ITEM_FREQ_MAX 3u

struct kama_value {
    struct km_account *account;
    struct km_list link;
    _Atomic uint32_t refs;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t state; /* freq in bits 0-1, queue in bits 2-3: the shard's */
    uint8_t flags;
    uint8_t data[];
};

/* What an item is made of. */
struct km_item_spec {
    kama_bytes key;
    kama_bytes value;
    km_ns expires_at; /* 0: never */
    uint64_t version; /* 0: none */
    bool negative;
};

/* A new item with one reference, charged to account and not pinned; NULL
 * without memory. Lengths are within the limits. */
kama_value *km_item_new(struct km_account *account,
                        const struct km_item_spec *spec);

/* Counts an item that is in no store as pinned. */
void km_item_pin(kama_value *item);
/* Before a store takes a pinned item. */
void km_item_unpin(kama_value *item);

/* Gives back the reference of a store (or of who made it, before pinning).
 * When others still hold the item it is pinned from now on. */
void km_item_drop(kama_value *item);

/* The bytes of the optional fields before the key. */
static inline size_t km_item_extra(uint8_t flags)
{
    return ((flags & KM_ITEM_EXPIRES) != 0 ? 8u : 0u) +
           ((flags & KM_ITEM_VERSIONED) != 0 ? 8u : 0u);
}

/* Where the key begins. */
static inline const uint8_t *km_item_key(const kama_value *item)
{
    return item->data + km_item_extra(item->flags);
}

/* The key, borrowed. */
static inline kama_bytes km_item_key_bytes(const kama_value *item)
{
    return kama_bytes_make(km_item_key(item), item->key_len);
}

/* The value, borrowed. */
static inline kama_bytes km_item_value_bytes(const kama_value *item)
{
    return kama_bytes_make(km_item_key(item) + item->key_len, item->value_len);
}

/* Is key its key? */
static inline bool km_item_has_key(const kama_value *item, kama_bytes key)
{
    return item->key_len == key.len &&
           memcmp(km_item_key(item), key.data, key.len) == 0;
}

/* The block that malloc takes for the item. */
static inline size_t km_item_block_bytes(const kama_value *item)
{
    size_t n = offsetof(struct kama_value, data) + km_item_extra(item->flags) +
               item->key_len + item->value_len;
    return km_account_block_bytes(n < sizeof *item ? sizeof *item : n);
}

/* 0: never. */
static inline km_ns km_item_expires_at(const kama_value *item)
{
    km_ns at = 0;
    if ((item->flags & KM_ITEM_EXPIRES) != 0) {
        memcpy(&at, item->data, sizeof at);
    }
    return at;
}

/* The half of km_item_expired for items that can expire. */
bool km_item_expired_slow(const kama_value *item);

/* Has it expired? Reads the clock only for an item that can; the exact one
 * only when the coarse one is too close to tell. */
static inline bool km_item_expired(const kama_value *item)
{
    return (item->flags & KM_ITEM_EXPIRES) != 0 && km_item_expired_slow(item);
}

/* Hits that count, 0..3. */
static inline unsigned km_item_freq(const kama_value *item)
{
    return item->state & 3u;
}

/* freq 0..3. */
static inline void km_item_set_freq(kama_value *item, unsigned freq)
{
    item->state = (uint8_t)((item->state & ~3u) | freq);
}

/* The queue that it hangs in, as the policy numbers them. */
static inline unsigned km_item_queue(const kama_value *item)
{
    return (item->state >> 2) & 3u;
}

/* queue 0..3. */
static inline void km_item_set_queue(kama_value *item, unsigned queue)
{
    item->state = (uint8_t)((item->state & ~12u) | (queue << 2));
}

/* The item of a queue link. */
static inline kama_value *km_item_of(struct km_list *link)
{
    return KM_CONTAINER_OF(link, kama_value, link);
}

/* How many hold the item, the store included. */
static inline uint32_t km_item_refs(const kama_value *item)
{
    return atomic_load_explicit(&item->refs, memory_order_acquire);
}
