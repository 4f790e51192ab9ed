/* SPDX-License-Identifier: MIT */
/*
 * Making, counting and freeing items, and the public functions on a value.
 *
 * The optional fields are read with memcpy, because they need not be aligned.
 */
#include "store/item.h"

#include "base/hash.h"
#include "base/limits.h"

#include <stddef.h>

/* How far the coarse clock may be behind the exact one. */
#define COARSE_BEHIND_NS (10 * KM_NS_PER_MS)

_Static_assert(offsetof(struct kama_value, data) == 36, "a header of 36 B");
_Static_assert(KM_KEY_BYTES_MAX <= UINT16_MAX, "key_len has 16 bits");
_Static_assert(KM_VALUE_BYTES_LOCAL_MAX <= UINT32_MAX, "value_len has 32");

static uint8_t spec_flags(const struct km_item_spec *spec)
{
    return (uint8_t)((spec->expires_at != 0 ? KM_ITEM_EXPIRES : 0u) |
                     (spec->version != 0 ? KM_ITEM_VERSIONED : 0u) |
                     (spec->negative ? KM_ITEM_NEGATIVE : 0u) |
                     (spec->etag_key != 0 ? KM_ITEM_FOREIGN : 0u));
}

/* Writes the optional fields, the key and the value. */
static void fill_data(kama_value *item, const struct km_item_spec *spec)
{
    uint8_t *p = item->data;
    if (spec->expires_at != 0) {
        memcpy(p, &spec->expires_at, 8);
        p += 8;
    }
    if (spec->version != 0) {
        memcpy(p, &spec->version, 8);
        p += 8;
    }
    if (spec->etag_key != 0) {
        memcpy(p, &spec->etag_key, 8);
        p += 8;
    }
    memcpy(p, spec->key.data, spec->key.len);
    if (spec->value.len > 0) {
        memcpy(p + spec->key.len, spec->value.data, spec->value.len);
    }
}

/* An allocation has at least the size of the structure, which ends with padding
 * behind the header. */
kama_value *km_item_new(struct km_account *account,
                        const struct km_item_spec *spec)
{
    KM_ASSERT(spec->key.len <= KM_KEY_BYTES_MAX);
    KM_ASSERT(spec->value.len <= KM_VALUE_BYTES_LOCAL_MAX);
    uint8_t flags = spec_flags(spec);
    size_t n = offsetof(struct kama_value, data) + km_item_extra(flags) +
               spec->key.len + spec->value.len;
    kama_value *item =
        km_mem_alloc(&account->mem, n < sizeof *item ? sizeof *item : n);
    if (item == NULL) {
        return NULL;
    }
    item->account = account;
    km_list_init(&item->link);
    atomic_init(&item->refs, 1);
    item->value_len = (uint32_t)spec->value.len;
    item->key_len = (uint16_t)spec->key.len;
    item->state = 0;
    item->flags = flags;
    fill_data(item, spec);
    km_account_charge(account, km_item_block_bytes(item));
    return item;
}

void km_item_pin(kama_value *item)
{
    km_account_pin(item->account, (int64_t)km_item_block_bytes(item));
}

void km_item_unpin(kama_value *item)
{
    km_account_pin(item->account, -(int64_t)km_item_block_bytes(item));
}

kama_status km_item_copy(const kama_value *item, void *buf, size_t cap,
                         size_t *ret_len)
{
    kama_bytes bytes = kama_value_bytes(item);
    *ret_len = bytes.len;
    if (bytes.len > cap) {
        return KAMA_ERR_TOO_SMALL;
    }
    if (bytes.len > 0) {
        memcpy(buf, bytes.data, bytes.len);
    }
    return KAMA_OK;
}

/* Frees the memory and gives its bytes back. The account may end with them, so
 * that it is not used afterwards. */
static void item_free(kama_value *item)
{
    struct km_account *account = item->account;
    size_t n = km_item_block_bytes(item);
    km_mem_free(&account->mem, item);
    km_account_discharge(account, n);
}

/* An item that has left the index can only be referenced again through a
 * reference that exists. So if the store's reference is the only one, it stays
 * the only one, and the item can be freed without an atomic subtraction. */
void km_item_drop(kama_value *item)
{
    if (km_item_refs(item) == 1) {
        item_free(item);
        return;
    }
    km_item_pin(item);
    kama_value_unref(item);
}

/* The coarse clock is at most COARSE_BEHIND_NS late. If even that would not
 * make the item expired, the exact clock need not be read. */
bool km_item_expired_slow(const kama_value *item)
{
    const struct km_clock *clock = &item->account->clock;
    km_ns at = km_item_expires_at(item);
    km_ns coarse = km_clock_coarse(clock);
    if (coarse >= at) {
        return true;
    }
    return at - coarse <= COARSE_BEHIND_NS && km_clock_mono(clock) >= at;
}

kama_bytes kama_value_bytes(const kama_value *value)
{
    return km_item_value_bytes(value);
}

uint64_t kama_value_version(const kama_value *value)
{
    uint64_t version = 0;
    if ((value->flags & KM_ITEM_VERSIONED) != 0) {
        memcpy(&version,
               value->data + km_item_extra(value->flags & KM_ITEM_EXPIRES),
               sizeof version);
    }
    return version;
}

uint64_t km_item_etag_key(const kama_value *item)
{
    uint64_t key = item->account->etag_key;
    if ((item->flags & KM_ITEM_FOREIGN) != 0) {
        memcpy(&key, km_item_key(item) - sizeof key, sizeof key);
    }
    return key;
}

uint64_t km_item_etag(const kama_value *item, uint64_t etag_key)
{
    uint64_t etag = kama_value_version(item);
    if (etag == 0) {
        etag = km_hash(km_item_value_bytes(item), etag_key);
    }
    return etag != 0 ? etag : 1;
}

uint64_t kama_value_etag(const kama_value *value)
{
    return km_item_etag(value, km_item_etag_key(value));
}

int64_t kama_value_ttl_ms(const kama_value *value)
{
    km_ns at = km_item_expires_at(value);
    if (at == 0) {
        return KAMA_TTL_FOREVER;
    }
    km_ns now = km_clock_mono(&value->account->clock);
    return now >= at ? 0
                     : (int64_t)((at - now + KM_NS_PER_MS - 1) / KM_NS_PER_MS);
}

kama_value *kama_value_ref(kama_value *value)
{
    atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
    return value;
}

/* The release orders the caller's reads of the value before the thread that
 * frees it. */
void kama_value_unref(kama_value *value)
{
    if (value == NULL) {
        return;
    }
    uint32_t before =
        atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel);
    KM_ASSERT(before > 0);
    if (before == 1) {
        km_item_unpin(value);
        item_free(value);
    }
}
