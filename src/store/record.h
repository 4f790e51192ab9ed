/* SPDX-License-Identifier: MIT */
/*
 * A record: one entry as it lies in a segment of the log. It begins at a multiple of
 * 8 and is a run of words (words.h):
 *
 *     | header | [links] [block] [expires_at] [version] [stamp] | key, value | zeros |
 *
 *     header   bits  0-12   length of the key; 0 for a gap
 *                   13-27   length of the value, if it is in the record
 *                   28-34   flags
 *                   35-37   free; kept for soft epochs, by which an entry outlives an
 *                           invalidation for a while
 *                   38-39   free
 *                   40-63   pages of the block; words of a gap
 *
 * The optional fields are words, and the flags say which ones there are. The stamp is
 * two words, the version of an explicit entry (base/version.h); an entry without one is
 * filled: a load or a plain put has stored it, and only a group that is synchronized has
 * others. A gap is a
 * hole that the log has made in moving records; it has only a header.
 *
 * Whoever holds the lock of the shard may read a record with plain loads. A hit
 * without a lock reads words, and finds out afterwards whether it has read a record
 * at all (store_hit.c); so the sizes that it computes from a header are bounded.
 *
 * Cost: 8 bytes, and 3.5 for the zeros on average. Threads: as above. Errors: none.
 * Ownership: plain data.
 */
#pragma once

#include "store/item.h"
#include "store/words.h"

/* The place of a record in the log of its shard; 0 is no place. */
typedef uint32_t km_ref;

#define KM_RECORD_DEAD (UINT64_C(1) << 28)
#define KM_RECORD_NEGATIVE (UINT64_C(1) << 29)
#define KM_RECORD_LINKS (UINT64_C(1) << 30)
#define KM_RECORD_BLOCK (UINT64_C(1) << 31)
#define KM_RECORD_EXPIRES (UINT64_C(1) << 32)
#define KM_RECORD_VERSION (UINT64_C(1) << 33)
#define KM_RECORD_EXPLICIT (UINT64_C(1) << 34) /* it has a stamp */
#define KM_RECORD_FIELDS                                                       \
    (KM_RECORD_LINKS | KM_RECORD_BLOCK | KM_RECORD_EXPIRES |                   \
     KM_RECORD_VERSION | KM_RECORD_EXPLICIT)

#define KM_RECORD_INLINE_MAX 16384u

static inline unsigned km_record_key_len(uint64_t header)
{
    return (unsigned)header & 0x1fffu;
}

/* Returns the length of the value that is in the record. */
static inline unsigned km_record_inline_len(uint64_t header)
{
    return (unsigned)(header >> 13) & 0x7fffu;
}

static inline uint64_t km_record_pages(uint64_t header)
{
    return header >> 40;
}

/* Returns the header of a gap of so many bytes. */
static inline uint64_t km_record_gap(uint32_t bytes)
{
    return KM_RECORD_DEAD | (uint64_t)(bytes / 8) << 40;
}

/* The flags of the optional fields are neighbours, in the order of the fields. Returns
 * how many words those that are set in a header have: one for each of four flags, and two
 * for the fifth, which the second mask adds to the sum of the third and the fourth. A
 * popcount would be a call on many machines. */
static inline unsigned km_record_field_words(uint64_t header)
{
    unsigned five = (unsigned)(header >> 30) & 31u;
    five = (five & 5u) + ((five >> 1) & 13u);
    return (five & 3u) + (five >> 2);
}

/* Returns how many words are before a field, which is named by its flag. */
static inline unsigned km_record_field_word(uint64_t header, uint64_t flag)
{
    return 1 + km_record_field_words(header & (flag - KM_RECORD_LINKS));
}

/* Returns how many words are before the key. Most records have no optional field, or
 * only a stamp. */
static inline unsigned km_record_key_word(uint64_t header)
{
    uint64_t fields = header & KM_RECORD_FIELDS;
    if (KM_LIKELY(fields == 0)) {
        return 1;
    }
    return fields == KM_RECORD_EXPLICIT ? 3 : 1 + km_record_field_words(header);
}

/* Returns where the last byte of the value ends in a record that has a key. */
static inline uint32_t km_record_end(uint64_t header)
{
    return km_record_key_word(header) * 8 + km_record_key_len(header) +
           km_record_inline_len(header);
}

/* Returns the size of the record. */
static inline uint32_t km_record_bytes(uint64_t header)
{
    return km_record_key_len(header) == 0 ? (uint32_t)(header >> 40) * 8
                                          : (km_record_end(header) + 7) & ~7u;
}

/* Returns the size of the record and of its block. */
static inline uint64_t km_record_weight(uint64_t header)
{
    uint64_t pages =
        (header & KM_RECORD_BLOCK) != 0 ? km_record_pages(header) : 0;
    return km_record_bytes(header) + pages * KM_PAGE_BYTES;
}

/* -- under the lock --------------------------------------------------------- */

static inline uint64_t km_record_header(const km_word *record)
{
    return atomic_load_explicit(&record[0], memory_order_relaxed);
}

static inline uint64_t km_record_word(const km_word *record, unsigned i)
{
    return atomic_load_explicit(&record[i], memory_order_relaxed);
}

static inline kama_bytes km_record_key(const km_word *record)
{
    uint64_t header = km_record_header(record);
    return kama_bytes_make(
        (const uint8_t *)(record + km_record_key_word(header)),
        km_record_key_len(header));
}

/* Returns an optional field of one word, which is named by its flag, or 0. */
static inline uint64_t km_record_field(const km_word *record, uint64_t flag)
{
    uint64_t header = km_record_header(record);
    return (header & flag) == 0
               ? 0
               : km_record_word(record, km_record_field_word(header, flag));
}

static inline struct km_block *km_record_block(const km_word *record)
{
    return (struct km_block *)(uintptr_t)km_record_field(record,
                                                         KM_RECORD_BLOCK);
}

static inline kama_bytes km_record_value(const km_word *record)
{
    const struct km_block *block = km_record_block(record);
    if (block != NULL) {
        return kama_bytes_make(block->bytes, block->len);
    }
    kama_bytes key = km_record_key(record);
    return kama_bytes_make((const uint8_t *)key.data + key.len,
                           km_record_inline_len(km_record_header(record)));
}

/* Returns the time at which the entry expires, or 0. */
static inline km_ns km_record_expires_at(const km_word *record)
{
    return km_record_field(record, KM_RECORD_EXPIRES);
}

/* Returns the loader's version of the entry, or 0. */
static inline uint64_t km_record_version(const km_word *record)
{
    return km_record_field(record, KM_RECORD_VERSION);
}

/* Returns the stamp of an explicit entry, or no version. */
static inline struct km_version km_record_stamp(const km_word *record)
{
    uint64_t header = km_record_header(record);
    struct km_version stamp = {0, 0};
    if ((header & KM_RECORD_EXPLICIT) != 0) {
        unsigned i = km_record_field_word(header, KM_RECORD_EXPLICIT);
        stamp.hlc = km_record_word(record, i);
        stamp.origin = km_record_word(record, i + 1);
    }
    return stamp;
}

/* Returns the etag of the value of a record (km_item_etag). */
uint64_t km_record_etag(const km_word *record, uint64_t etag_key);

/* Returns the header of the record for an item, with or without links. */
uint64_t km_record_header_of(const kama_value *item, bool links);

/* Writes the record of an item, of which it takes a reference to the block. The stamp
 * is that of the item. The words may be those of another record that a hit without the
 * lock still reads. */
void km_record_write(km_word *record, uint64_t header, const kama_value *item);

/* Writes the stamp of a record whose header says that it is explicit. */
void km_record_set_stamp(km_word *record, struct km_version stamp);

/* Returns an item with the contents of a record, and with its key if keyed. NULL
 * without memory. */
kama_value *km_record_item(struct km_account *account, const km_word *record,
                           bool keyed);

/* Returns an item with the key and the contents of a record, but one that expires at
 * another time. A large value is not copied: the item shares its block. NULL without
 * memory. */
kama_value *km_record_item_until(struct km_account *account,
                                 const km_word *record, km_ns expires_at);
