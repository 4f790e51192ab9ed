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

_Static_assert(KM_KEY_BYTES_MAX <= UINT16_MAX, "key_len has 16 bits");
_Static_assert(KM_VALUE_BYTES_LOCAL_MAX <= UINT32_MAX, "value_len has 32");

static uint8_t spec_flags(const struct km_item_spec *spec)
{
    return (uint8_t)((spec->expires_at != 0 ? KM_ITEM_EXPIRES : 0u) |
                     (spec->version != 0 ? KM_ITEM_VERSIONED : 0u) |
                     (spec->negative ? KM_ITEM_NEGATIVE : 0u) |
                     (km_version_is_set(spec->stamp) ? KM_ITEM_EXPLICIT : 0u) |
                     (spec->etag_key != 0 ? KM_ITEM_FOREIGN : 0u));
}

/* Writes the optional fields and the key. */
static void fill_head(kama_value *item, const struct km_item_spec *spec)
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
    if (km_version_is_set(spec->stamp)) {
        memcpy(p, &spec->stamp, sizeof spec->stamp);
        p += sizeof spec->stamp;
    }
    if (spec->etag_key != 0) {
        memcpy(p, &spec->etag_key, 8);
        p += 8;
    }
    if (spec->key.len > 0) {
        memcpy(p, spec->key.data, spec->key.len);
    }
}

/* Returns the size of the allocation. It is at least that of the structure, which
 * ends with padding behind the header. */
static size_t item_bytes(uint8_t flags, size_t key_len, size_t inline_len)
{
    size_t n = offsetof(struct kama_value, data) + km_item_extra(flags) +
               key_len + inline_len;
    return n < sizeof(struct kama_value) ? sizeof(struct kama_value) : n;
}

/* Writes a new item, whose memory is charged and counts as held. */
static void init(kama_value *item, struct km_account *account,
                 const struct km_item_spec *spec, struct km_block *block,
                 uint32_t value_len)
{
    item->account = account;
    item->block = block;
    atomic_init(&item->refs, 1);
    item->value_len = value_len;
    item->key_len = (uint16_t)spec->key.len;
    item->flags = spec_flags(spec);
    fill_head(item, spec);
    if (block != NULL) {
        km_block_hold(block);
    }
}

kama_value *km_item_make(struct km_account *account,
                         const struct km_item_spec *spec,
                         struct km_block *block, uint32_t value_len)
{
    size_t n = item_bytes(spec_flags(spec), spec->key.len,
                          block != NULL ? 0 : value_len);
    kama_value *item = km_mem_alloc(&account->mem, n);
    if (item != NULL) {
        km_account_charge_value(account, km_account_block_bytes(n));
        init(item, account, spec, block, value_len);
        km_account_hold(account, (int64_t)km_item_charge(item));
    }
    return item;
}

uint64_t km_item_new_charge(const struct km_account *account,
                            const struct km_item_spec *spec)
{
    bool is_block = spec->value.len > account->inline_max;
    return km_account_block_bytes(item_bytes(spec_flags(spec), spec->key.len,
                                             is_block ? 0 : spec->value.len)) +
           (is_block ? km_block_charge(account, spec->value.len) : 0);
}

/* Makes an item with a small value. Its charge are the bytes that were reserved, so
 * that the number that all threads share is not written again. */
static kama_value *new_small(struct km_account *account,
                             const struct km_item_spec *spec, uint64_t reserved)
{
    kama_value *item =
        km_mem_alloc(&account->mem, item_bytes(spec_flags(spec), spec->key.len,
                                               spec->value.len));
    if (item == NULL) {
        km_account_hold(account, -(int64_t)reserved);
        km_account_discharge(account, reserved);
        return NULL;
    }
    init(item, account, spec, NULL, (uint32_t)spec->value.len);
    KM_ASSERT(km_item_charge(item) == reserved);
    if (spec->value.len > 0) {
        memcpy(km_item_value_at(item), spec->value.data, spec->value.len);
    }
    return item;
}

/* The bytes that were reserved are given back when those that are needed are charged,
 * and before the value is copied, which may take a while. */
static kama_value *new_large(struct km_account *account,
                             const struct km_item_spec *spec, uint64_t reserved)
{
    kama_value *item = NULL;
    struct km_block *block = km_block_new(account, (uint32_t)spec->value.len);
    if (block != NULL) {
        item = km_item_make(account, spec, block, (uint32_t)spec->value.len);
    }
    km_account_hold(account, -(int64_t)reserved);
    km_account_discharge(account, reserved);
    if (block != NULL) {
        memcpy(block->bytes, spec->value.data, spec->value.len);
        km_block_unref(block);
    }
    return item;
}

kama_value *km_item_new(struct km_account *account,
                        const struct km_item_spec *spec, uint64_t reserved)
{
    KM_ASSERT(spec->key.len <= KM_KEY_BYTES_MAX);
    KM_ASSERT(spec->value.len <= KM_VALUE_BYTES_LOCAL_MAX);
    return spec->value.len > account->inline_max
               ? new_large(account, spec, reserved)
               : new_small(account, spec, reserved);
}

size_t km_item_charge(const kama_value *item)
{
    return km_account_block_bytes(item_bytes(
        item->flags, item->key_len, item->block != NULL ? 0 : item->value_len));
}

uint64_t km_item_held(const kama_value *item)
{
    return km_item_charge(item) +
           (item->block != NULL
                ? km_block_charge(item->account, item->value_len)
                : 0);
}

kama_status km_value_copy(kama_bytes value, void *buf, size_t cap,
                          size_t *ret_len)
{
    *ret_len = value.len;
    if (value.len > cap) {
        return KAMA_ERR_TOO_SMALL;
    }
    if (value.len > 0) {
        memcpy(buf, value.data, value.len);
    }
    return KAMA_OK;
}

/* The coarse clock is at most COARSE_BEHIND_NS late. If even that would not
 * make the item expired, the exact clock need not be read. */
bool km_has_expired(const struct km_clock *clock, km_ns at)
{
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

uint64_t km_etag(uint64_t version, kama_bytes value, uint64_t etag_key)
{
    uint64_t etag = version != 0 ? version : km_hash(value, etag_key);
    return etag != 0 ? etag : 1;
}

uint64_t km_etag_of_stamp(struct km_version stamp)
{
    uint8_t bytes[KM_VERSION_BYTES];
    km_version_write(stamp, bytes);
    return km_etag(0, KAMA_BYTES(bytes, sizeof bytes), 0);
}

struct km_version km_item_stamp(const kama_value *item)
{
    struct km_version stamp = {0, 0};
    if ((item->flags & KM_ITEM_EXPLICIT) != 0) {
        uint8_t before = item->flags & (KM_ITEM_EXPIRES | KM_ITEM_VERSIONED);
        memcpy(&stamp, item->data + km_item_extra(before), sizeof stamp);
    }
    return stamp;
}

uint64_t km_item_etag_key(const kama_value *item)
{
    uint64_t key = item->account->etag_key;
    if ((item->flags & KM_ITEM_FOREIGN) != 0) {
        memcpy(&key, item->data + km_item_extra(item->flags) - sizeof key,
               sizeof key);
    }
    return key;
}

uint64_t km_item_etag(const kama_value *item, uint64_t etag_key)
{
    return (item->flags & KM_ITEM_EXPLICIT) != 0
               ? km_etag_of_stamp(km_item_stamp(item))
               : km_etag(kama_value_version(item), km_item_value_bytes(item),
                         etag_key);
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

/* Frees an item. The account may end with its bytes, so that it is not used
 * afterwards. */
static void item_free(kama_value *item)
{
    struct km_account *account = item->account;
    struct km_block *block = item->block;
    size_t charge = km_item_charge(item);
    km_account_hold(account, -(int64_t)charge);
    if (block != NULL) {
        km_block_let_go(block);
    }
    km_mem_free(&account->mem, item);
    km_account_discharge(account, charge);
}

/* The release orders the caller's reads of the value before the thread that
 * frees it. Whoever has the only reference needs no locked instruction, because nobody
 * else can take another one. */
void kama_value_unref(kama_value *value)
{
    if (value == NULL) {
        return;
    }
    if (atomic_load_explicit(&value->refs, memory_order_acquire) == 1) {
        item_free(value);
        return;
    }
    uint32_t before =
        atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel);
    KM_ASSERT(before > 0);
    if (before == 1) {
        item_free(value);
    }
}
