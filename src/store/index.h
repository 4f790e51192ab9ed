/* SPDX-License-Identifier: MIT */
/*
 * The index of one shard: it finds the item of a key by the key's hash.
 *
 *     uint64_t *slot = km_index_find(&index, hash, key);
 *     if (slot != NULL) {
 *         kama_value *item = km_slot_item(*slot);
 *         km_index_remove(&index, hash, slot);
 *     }
 *
 * The index consists of lines, each of which is a cache line with seven slots:
 *
 *   line    | slot | slot | slot | slot | slot | slot | slot | next |  64 bytes
 *   slot    | 16 bits of the hash (the tag) | 48 bits of the item's address |
 *           0 if it is free
 *
 * A bucket is a line and, rarely, overflow lines behind `next`. The lines of
 * the buckets are kept in chunks of 64, and a directory points to the chunks:
 *
 *   dir  -->  chunk 0 [ bucket 0 .. 63 ]     bucket 5 --next--> overflow line
 *        -->  chunk 1 [ bucket 64 .. 127 ]
 *
 * The table grows and shrinks by linear hashing, one bucket per insertion or
 * removal, so that there is no pause at any size. A bucket is chosen by the low
 * bits of the hash, so that it holds one interval of the hashes with their bits
 * reversed. A walk in the order of the reversed hashes (km_index_visit)
 * therefore meets every item, even if the table grows or shrinks in between.
 *
 * Cost: a lookup touches one line and one item; the tag keeps it from touching
 * other items. Threads: the lock of the shard.
 * Errors: KAMA_ERR_NO_MEMORY from km_index_add. If the table cannot grow, that
 * is no error, but chains become longer.
 * Ownership: items belong to the shard; the index never frees one. Its memory
 * is charged to the account of the store.
 */
#pragma once

#include "store/item.h"

#define KM_LINE_SLOTS 7
#define KM_CHUNK_LINES 64u
#define KM_SLOT_ADDRESS (((uint64_t)1 << 48) - 1)

struct km_line {
    uint64_t slots[KM_LINE_SLOTS];
    struct km_line *next;
};

struct km_index_dir;

struct km_index {
    struct km_line **chunks; /* the chunks of dir */
    uint32_t mask_low;     /* the buckets at the beginning of the round, - 1 */
    uint32_t bucket_count; /* 0 if nothing is allocated */
    uint64_t entry_count;
    struct km_line *free_lines; /* overflow lines that no bucket uses */
    struct km_index_dir *dir;
    struct km_account *account;
    uint64_t seed; /* of the hashes */
};

/* Makes an empty index, which takes no memory yet. */
void km_index_init(struct km_index *index, struct km_account *account,
                   uint64_t seed);

/* Frees the lines. The items are not touched. */
void km_index_fini(struct km_index *index);

/* Adds item, whose key is not in the index. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_index_add(struct km_index *index, uint64_t hash,
                                        kama_value *item);

/* Takes the item of a slot out. Every other pointer to a slot is invalid then,
 * because an item of the same bucket may move into the free slot. */
void km_index_remove(struct km_index *index, uint64_t hash, uint64_t *slot);

/* Returns the first line of bucket `b`. */
static inline struct km_line *km_index_line(const struct km_index *index,
                                            uint32_t b)
{
    return &index->chunks[b / KM_CHUNK_LINES][b % KM_CHUNK_LINES];
}

/* Returns the bucket of a hash: that of its L + 1 low bits or, if this bucket
 * is not there yet in the present round, that of its L low bits. */
static inline uint32_t km_index_bucket(const struct km_index *index,
                                       uint64_t hash)
{
    uint32_t b = (uint32_t)hash & (index->mask_low * 2 + 1);
    return b < index->bucket_count ? b : b & index->mask_low;
}

/* Returns the bits of a hash that a slot keeps. They are not among those that
 * choose the shard or the bucket, so that they tell the items of a bucket
 * apart. */
static inline uint64_t km_index_tag(uint64_t hash)
{
    return (hash >> 40) & 0xffff;
}

/* Returns the item of a slot that is in use. */
static inline kama_value *km_slot_item(uint64_t slot)
{
    return (kama_value *)(uintptr_t)(slot & KM_SLOT_ADDRESS);
}

/* Returns the slots of a line that have this tag, as a set of bits. The loop
 * has no branches, so that the compiler makes vector instructions of it. */
static inline uint32_t km_line_match(const struct km_line *line, uint64_t tag)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
        found |= (uint32_t)((line->slots[i] >> 48) == tag) << i;
    }
    return found;
}

/* Returns the slot of key, or NULL. It is valid until the index changes. */
static inline uint64_t *km_index_find(const struct km_index *index,
                                      uint64_t hash, kama_bytes key)
{
    if (KM_UNLIKELY(index->bucket_count == 0)) {
        return NULL;
    }
    uint64_t tag = km_index_tag(hash);
    struct km_line *line = km_index_line(index, km_index_bucket(index, hash));
    do {
        for (uint32_t m = km_line_match(line, tag); m != 0; m &= m - 1) {
            uint64_t *slot = &line->slots[__builtin_ctz(m)];
            if (KM_UNLIKELY(*slot == 0)) {
                break; /* it is free, and so are all slots behind it */
            }
            const char *item = (const char *)km_slot_item(*slot);
            /* The comparison reads the key; the value comes behind it. */
            __builtin_prefetch(item + 64);
            __builtin_prefetch(item + 128);
            if (km_item_has_key(km_slot_item(*slot), key)) {
                return slot;
            }
        }
        line = line->next;
    } while (KM_UNLIKELY(line != NULL));
    return NULL;
}

/* Receives one item of a bucket. It must not change the index. */
typedef void (*km_index_visit_fn)(void *arg, kama_value *item);

/* Visits the items of the bucket that holds the bit-reversed hash `rev`.
 * Returns how many low bits of the hash choose the bucket: it covers the
 * interval of 2^(64 - bits) reversed hashes in which rev lies. Returns 0 for an
 * empty index. */
unsigned km_index_visit(const struct km_index *index, uint64_t rev,
                        km_index_visit_fn fn, void *arg);

/* Returns h with its bits in reverse order. */
static inline uint64_t km_index_reverse(uint64_t h)
{
    h = ((h >> 1) & 0x5555555555555555u) | ((h & 0x5555555555555555u) << 1);
    h = ((h >> 2) & 0x3333333333333333u) | ((h & 0x3333333333333333u) << 2);
    h = ((h >> 4) & 0x0f0f0f0f0f0f0f0fu) | ((h & 0x0f0f0f0f0f0f0f0fu) << 4);
    return __builtin_bswap64(h);
}

/* The memory of indexes that were emptied at once. It is freed in small steps,
 * because a large index has many chunks. */
struct km_index_detached {
    struct km_index_dir *dirs;
};

/* Empties the index in O(1). Its lines go to detached. */
void km_index_detach(struct km_index *index,
                     struct km_index_detached *detached);

/* Frees up to n chunks of detached. */
void km_index_free_detached(struct km_index_detached *detached,
                            struct km_account *account, unsigned n);

/* Asserts every invariant: each item is found by its hash, chains have no
 * holes, all lines are accounted for, and the counts agree. For tests:
 * O(items). */
void km_index_check(const struct km_index *index);
