/* SPDX-License-Identifier: MIT */
#include "store/record.h"

#include "base/limits.h"

_Static_assert(KM_KEY_BYTES_MAX < 1u << 13, "the key's length has 13 bits");
_Static_assert(KM_RECORD_INLINE_MAX < 1u << 15, "the value's has 15");

uint64_t km_record_header_of(const kama_value *item, bool links)
{
    uint64_t header = item->key_len;
    if (item->block != NULL) {
        uint64_t charge = km_block_charge(item->account, item->value_len);
        header |= KM_RECORD_BLOCK | (charge + KM_PAGE_BYTES - 1) / KM_PAGE_BYTES
                                        << 40;
    } else {
        header |= (uint64_t)item->value_len << 13;
    }
    if (links) {
        header |= KM_RECORD_LINKS;
    }
    if ((item->flags & KM_ITEM_NEGATIVE) != 0) {
        header |= KM_RECORD_NEGATIVE;
    }
    if ((item->flags & KM_ITEM_EXPIRES) != 0) {
        header |= KM_RECORD_EXPIRES;
    }
    if ((item->flags & KM_ITEM_VERSIONED) != 0) {
        header |= KM_RECORD_VERSION;
    }
    if ((item->flags & KM_ITEM_EXPLICIT) != 0) {
        header |= KM_RECORD_EXPLICIT;
    }
    return header;
}

void km_record_write(km_word *record, uint64_t header, const kama_value *item)
{
    unsigned i = 1;
    KM_FENCE_RELEASE();
    km_word_set(&record[0], header);
    if ((header & KM_RECORD_LINKS) != 0) {
        km_word_set(&record[i++], 0);
    }
    if (item->block != NULL) {
        km_block_ref(item->block);
        km_word_set(&record[i++], (uint64_t)(uintptr_t)item->block);
    }
    if ((header & KM_RECORD_EXPIRES) != 0) {
        km_word_set(&record[i++], km_item_expires_at(item));
    }
    if ((header & KM_RECORD_VERSION) != 0) {
        km_word_set(&record[i++], kama_value_version(item));
    }
    if ((header & KM_RECORD_EXPLICIT) != 0) {
        km_record_set_stamp(record, km_item_stamp(item));
        i += 2;
    }
    kama_bytes key = km_item_key_bytes(item);
    km_words_write(&record[i], 0, key.data, key.len);
    if (item->block == NULL) {
        km_words_write(&record[i + key.len / 8], key.len % 8,
                       km_item_value_bytes(item).data, item->value_len);
    }
}

void km_record_set_stamp(km_word *record, struct km_version stamp)
{
    unsigned i =
        km_record_field_word(km_record_header(record), KM_RECORD_EXPLICIT);
    km_word_set(&record[i], stamp.hlc);
    km_word_set(&record[i + 1], stamp.origin);
}

uint64_t km_record_etag(const km_word *record, uint64_t etag_key)
{
    struct km_version stamp = km_record_stamp(record);
    return km_version_is_set(stamp)
               ? km_etag_of_stamp(stamp)
               : km_etag(km_record_version(record), km_record_value(record),
                         etag_key);
}

/* Makes an item of a record, with this key and this time at which it expires. */
static kama_value *item_of(struct km_account *account, const km_word *record,
                           kama_bytes key, km_ns expires_at)
{
    const struct km_item_spec spec = {.key = key,
                                      .expires_at = expires_at,
                                      .version = km_record_version(record),
                                      .stamp = km_record_stamp(record)};
    struct km_block *block = km_record_block(record);
    kama_bytes value = km_record_value(record);
    kama_value *item = km_item_make(account, &spec, block, (uint32_t)value.len);
    if (item != NULL && block == NULL && value.len > 0) {
        memcpy(km_item_value_at(item), value.data, value.len);
    }
    return item;
}

kama_value *km_record_item(struct km_account *account, const km_word *record,
                           bool keyed)
{
    kama_bytes none = kama_bytes_make(NULL, 0);
    return item_of(account, record, keyed ? km_record_key(record) : none,
                   km_record_expires_at(record));
}

kama_value *km_record_item_until(struct km_account *account,
                                 const km_word *record, km_ns expires_at)
{
    return item_of(account, record, km_record_key(record), expires_at);
}
