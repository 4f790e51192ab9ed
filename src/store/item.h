/* SPDX-License-Identifier: MIT */
/*
 * An item: a value outside of the store, which applications hold as a kama_value.
 * The store makes one from a record when a caller wants a reference, and copies one
 * into a record when it is put.
 *
 *   | account | block | refs | value_len | key_len | flags |
 *   | [expires_at, 8 bytes] [version, 8 bytes] [stamp, 16 bytes] |
 *   | [etag_key, 8 bytes] key, value |
 *
 * A value that is longer than inline_max of the account is not behind the header but
 * in a block (store/block.h), which the item shares with the record. An item that
 * the store has made from a record has no key, unless it is one of a scan.
 *
 *     struct km_item_spec spec = {.key = key, .value = value};
 *     kama_value *item = km_item_new(account, &spec);
 *     status = km_store_put(store, adoption, hash, item);    takes the reference
 *
 * Items count as held while they live, because no eviction can free them.
 *
 * Cost: one allocation per item. Threads: any thread may read an item through a
 * reference. Errors: NULL without memory.
 * Ownership: by counted references (kama_value_ref, kama_value_unref).
 */
#pragma once

#include "base/assert.h"
#include "base/version.h"
#include "store/block.h"

#include <string.h>

/* The flags of an item. */
enum {
    KM_ITEM_EXPIRES = 1u << 0,   /* it has an expires_at */
    KM_ITEM_VERSIONED = 1u << 1, /* it has a version */
    KM_ITEM_NEGATIVE = 1u << 2,  /* it says that the key does not exist */
    KM_ITEM_FOREIGN = 1u << 3,   /* it has the etag_key of another node */
    KM_ITEM_EXPLICIT = 1u << 4   /* it has a stamp */
};

struct kama_value {
    struct km_account *account;
    struct km_block *block; /* NULL if the value is behind the key */
    _Atomic uint32_t refs;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t flags;
    uint8_t data[];
};

/* The contents of a new item. Key and value are copied. */
struct km_item_spec {
    kama_bytes key;
    kama_bytes value;
    km_ns expires_at;        /* 0 if it never expires */
    uint64_t version;        /* of the loader; 0 if it has none */
    struct km_version stamp; /* of an explicit entry; not set: it is filled */
    uint64_t etag_key; /* of the node that has answered with the value; 0: the
                        * account's */
    bool negative;
};

/* Returns how many bytes are charged for a new item and its block. */
uint64_t km_item_new_charge(const struct km_account *account,
                            const struct km_item_spec *spec);

/* Makes an item with one reference. `reserved` bytes, which are km_item_new_charge, were
 * charged for it before and count as held; both end after an error. Returns NULL without
 * memory. The lengths must be within the limits. */
kama_value *km_item_new(struct km_account *account,
                        const struct km_item_spec *spec, uint64_t reserved);

/* Makes an item whose value is in a block, and takes a reference of the block, or
 * whose value the caller writes, if block is NULL: value_len bytes at
 * km_item_value_at. spec->value is not used. Returns NULL without memory. */
kama_value *km_item_make(struct km_account *account,
                         const struct km_item_spec *spec,
                         struct km_block *block, uint32_t value_len);

/* Returns how many bytes are charged for an item without its block. */
size_t km_item_charge(const kama_value *item);

/* Returns how many bytes count as held because of an item and its block. */
uint64_t km_item_held(const kama_value *item);

/* Copies a value into buf, if it has room. *ret_len is the length of the value in both
 * cases. Errors: KAMA_ERR_TOO_SMALL, without a sentence. */
KAMA_NODISCARD kama_status km_value_copy(kama_bytes value, void *buf,
                                         size_t cap, size_t *ret_len);

/* Returns the size of the optional fields before the key. */
static inline size_t km_item_extra(uint8_t flags)
{
    return ((flags & KM_ITEM_EXPIRES) != 0 ? 8u : 0u) +
           ((flags & KM_ITEM_VERSIONED) != 0 ? 8u : 0u) +
           ((flags & KM_ITEM_EXPLICIT) != 0 ? 16u : 0u) +
           ((flags & KM_ITEM_FOREIGN) != 0 ? 8u : 0u);
}

/* Returns a view of the key. */
static inline kama_bytes km_item_key_bytes(const kama_value *item)
{
    return kama_bytes_make(item->data + km_item_extra(item->flags),
                           item->key_len);
}

/* Returns where the value of an item without a block begins. */
static inline uint8_t *km_item_value_at(kama_value *item)
{
    return item->data + km_item_extra(item->flags) + item->key_len;
}

/* Returns a view of the value. */
static inline kama_bytes km_item_value_bytes(const kama_value *item)
{
    const uint8_t *at = item->data + km_item_extra(item->flags) + item->key_len;
    return kama_bytes_make(item->block != NULL ? item->block->bytes : at,
                           item->value_len);
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

/* Returns the version of an explicit entry from which the item was made, or no
 * version. */
struct km_version km_item_stamp(const kama_value *item);

/* Returns the etag of a value: its version, or the hash of its bytes; never 0. */
uint64_t km_etag(uint64_t version, kama_bytes value, uint64_t etag_key);
/* Returns the etag of an explicit value, which is a hash of its stamp, and the same on
 * every node; never 0. */
uint64_t km_etag_of_stamp(struct km_version stamp);
/* Returns the key of the hash that is the item's etag if it has no version. */
uint64_t km_item_etag_key(const kama_value *item);
/* Returns the etag of the item at a node with that key. */
uint64_t km_item_etag(const kama_value *item, uint64_t etag_key);

/* Returns whether the time `at`, which is not 0, has come. The exact clock is only
 * read if the coarse one is too close to tell. */
bool km_has_expired(const struct km_clock *clock, km_ns at);
