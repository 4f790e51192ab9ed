/* SPDX-License-Identifier: MIT */
/*
 * An item: one allocation with a header, the key and the value. Applications
 * hold it as a kama_value.
 *
 *   0         8      24     28          32        34      35      36
 *   | account | link | refs | value_len | key_len | state | flags |
 *   | [expires_at, 8 bytes] [version, 8 bytes] [etag_key, 8 bytes] key value
 *
 * The account, the lengths, the flags and the bytes behind them never change.
 * `link` and `state` belong to the shard that holds the item. `refs` counts the
 * references, of which the store has one.
 *
 *     struct km_item_spec spec = {.key = key, .value = value};
 *     kama_value *item = km_item_new(account, &spec);
 *     status = km_store_put(store, hash, item);       takes the reference
 *
 * An item that is in no store counts as pinned while it lives:
 *
 *     new --km_item_pin--> pinned --km_item_unpin--> in a store
 *      |                                               ^     |
 *      +------------------km_store_put-----------------+     | km_item_drop
 *                                                            v
 *            freed, or pinned until the last reference is given back
 *
 * Cost: one allocation per item and 36 bytes of header. Threads: any thread may
 * read the immutable part through a reference. Errors: NULL without memory.
 * Ownership: by counted references (kama_value_ref, kama_value_unref).
 */
#pragma once

#include "base/assert.h"
#include "base/container.h"
#include "base/list.h"
#include "store/account.h"

/* The flags of an item, which never change. */
enum {
    KM_ITEM_EXPIRES = 1u << 0,   /* it has an expires_at */
    KM_ITEM_VERSIONED = 1u << 1, /* it has a version */
    KM_ITEM_NEGATIVE = 1u << 2,  /* it says that the key does not exist */
    KM_ITEM_FOREIGN = 1u << 3    /* it has the etag_key of another node */
};

#define KM_ITEM_FREQ_MAX 3u

struct kama_value {
    struct km_account *account;
    struct km_list link;
    _Atomic uint32_t refs;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t state; /* frequency in bits 0-1, queue in bits 2-3 */
    uint8_t flags;
    uint8_t data[];
};

/* The contents of a new item. Key and value are copied. */
struct km_item_spec {
    kama_bytes key;
    kama_bytes value;
    km_ns expires_at;  /* 0 if it never expires */
    uint64_t version;  /* 0 if it has none */
    uint64_t etag_key; /* of the node that has answered with the value; 0: the
                        * account's */
    bool negative;
};

/* Makes an item with one reference, which is charged to account and not pinned.
 * Returns NULL without memory. The lengths must be within the limits. */
kama_value *km_item_new(struct km_account *account,
                        const struct km_item_spec *spec);

/* Counts an item that is in no store as pinned. */
void km_item_pin(kama_value *item);
/* Stops counting an item as pinned, because a store takes it. */
void km_item_unpin(kama_value *item);

/* Copies the value of an item into buf, if it has room. *ret_len is the length of
 * the value in both cases. Errors: KAMA_ERR_TOO_SMALL, without a sentence. */
KAMA_NODISCARD kama_status km_item_copy(const kama_value *item, void *buf,
                                        size_t cap, size_t *ret_len);

/* Gives back the reference of a store, or that of the caller which made the
 * item and has not pinned it. If there are other references, the item is pinned
 * from now on. */
void km_item_drop(kama_value *item);

/* Returns the size of the optional fields before the key. */
static inline size_t km_item_extra(uint8_t flags)
{
    return ((flags & KM_ITEM_EXPIRES) != 0 ? 8u : 0u) +
           ((flags & KM_ITEM_VERSIONED) != 0 ? 8u : 0u) +
           ((flags & KM_ITEM_FOREIGN) != 0 ? 8u : 0u);
}

/* Returns where the key begins. */
static inline const uint8_t *km_item_key(const kama_value *item)
{
    return item->data + km_item_extra(item->flags);
}

/* Returns a view of the key. */
static inline kama_bytes km_item_key_bytes(const kama_value *item)
{
    return kama_bytes_make(km_item_key(item), item->key_len);
}

/* Returns a view of the value. */
static inline kama_bytes km_item_value_bytes(const kama_value *item)
{
    return kama_bytes_make(km_item_key(item) + item->key_len, item->value_len);
}

/* Returns whether the item is stored under `key`. */
static inline bool km_item_has_key(const kama_value *item, kama_bytes key)
{
    return item->key_len == key.len &&
           memcmp(km_item_key(item), key.data, key.len) == 0;
}

/* Returns how many bytes malloc takes for the item. */
static inline size_t km_item_block_bytes(const kama_value *item)
{
    size_t n = offsetof(struct kama_value, data) + km_item_extra(item->flags) +
               item->key_len + item->value_len;
    return km_account_block_bytes(n < sizeof *item ? sizeof *item : n);
}

/* Returns the time at which the item expires, or 0 if it never does. */
static inline km_ns km_item_expires_at(const kama_value *item)
{
    km_ns at = 0;
    if ((item->flags & KM_ITEM_EXPIRES) != 0) {
        memcpy(&at, item->data, sizeof at);
    }
    return at;
}

/* Returns the key of the hash that is the item's etag if it has no version. */
uint64_t km_item_etag_key(const kama_value *item);
/* Returns the etag of the item at a node with that key: its version, or the hash
 * of its value; never 0. */
uint64_t km_item_etag(const kama_value *item, uint64_t etag_key);

/* Does what km_item_expired does, for an item that can expire. */
bool km_item_expired_slow(const kama_value *item);

/* Returns whether the item has expired. The clock is only read for an item that
 * can expire, and the exact clock only if the coarse one is too close to
 * tell. */
static inline bool km_item_expired(const kama_value *item)
{
    return (item->flags & KM_ITEM_EXPIRES) != 0 && km_item_expired_slow(item);
}

/* Returns the frequency: how many hits the item has had lately, from 0 to 3. */
static inline unsigned km_item_freq(const kama_value *item)
{
    return item->state & 3u;
}

/* Sets the frequency, from 0 to 3. */
static inline void km_item_set_freq(kama_value *item, unsigned freq)
{
    item->state = (uint8_t)((item->state & ~3u) | freq);
}

/* Returns the number of the policy's queue that the item is in. */
static inline unsigned km_item_queue(const kama_value *item)
{
    return (item->state >> 2) & 3u;
}

/* Sets the number of the queue, from 0 to 3. */
static inline void km_item_set_queue(kama_value *item, unsigned queue)
{
    item->state = (uint8_t)((item->state & ~12u) | (queue << 2));
}

/* Returns the item of a link in a queue. */
static inline kama_value *km_item_of(struct km_list *link)
{
    return KM_CONTAINER_OF(link, kama_value, link);
}

/* Returns the number of references, that of the store included. */
static inline uint32_t km_item_refs(const kama_value *item)
{
    return atomic_load_explicit(&item->refs, memory_order_acquire);
}
