/* SPDX-License-Identifier: MIT */
/*
 * The index of one shard: hash -> item, in lines of one cache line each.
 *
 *   line: | slot | slot | slot | slot | slot | slot | slot | next |  64 B
 *   slot: 16 bits of the hash (tag), 48 bits of the item's address; 0: free
 *
 * A bucket is a line and, rarely, overflow lines behind `next`. Buckets are
 * kept in chunks of 64. The table grows and shrinks by linear hashing, one
 * bucket per insertion: there is no pause at any size. A bucket is named by
 * low bits of the hash, so it holds one interval of the bit-reversed hash: a
 * walk in that order (km_index_visit) survives growth and shrinking.
 *
 * A lookup costs one line and one item.
 * Thread-safety: the lock of the shard. Errors: no memory; a failed growth is
 * none, chains are longer then.
 * Ownership: items are the shard's; the index never frees one.
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
    struct km_line **chunks; /* of dir */
    uint32_t mask_low;       /* buckets of the last full round, - 1 */
    uint32_t bucket_count;   /* 0: nothing allocated */
    uint64_t entry_count;
    struct km_line *free_lines;
    struct km_index_dir *dir;
    struct km_account *account;
    uint64_t seed;
};

/* Empty, without memory. seed is that of the hashes. */
void km_index_init(struct km_index *index, struct km_account *account,
                   uint64_t seed);

/* Frees the lines. */
void km_index_fini(struct km_index *index);

/* Adds item, whose key is not in the index. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_index_add(struct km_index *index, uint64_t hash,
                                        kama_value *item);

/* Takes the item of slot out. */
void km_index_remove(struct km_index *index, uint64_t hash, uint64_t *slot);

/* The line of bucket `b`. */
static inline struct km_line *km_index_line(const struct km_index *index,
                                            uint32_t b)
{
    return &index->chunks[b / KM_CHUNK_LINES][b % KM_CHUNK_LINES];
}

/* The bucket of a hash. */
static inline uint32_t km_index_bucket(const struct km_index *index,
                                       uint64_t hash)
{
    uint32_t b = (uint32_t)hash & (index->mask_low * 2 + 1);
    return b < index->bucket_count ? b : b & index->mask_low;
}

/* The bits of a hash that a slot keeps. */
static inline uint64_t km_index_tag(uint64_t hash)
{
    return (hash >> 40) & 0xffff;
}

/* The item of a slot in use. */
static inline kama_value *km_slot_item(uint64_t slot)
{
    return (kama_value *)(uintptr_t)(slot & KM_SLOT_ADDRESS);
}

/* The slots of line whose tag is that of the hash, as a set of bits. */
static inline uint32_t km_line_match(const struct km_line *line, uint64_t tag)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
        found |= (uint32_t)((line->slots[i] >> 48) == tag) << i;
    }
    return found;
}

/* The slot of key, or NULL. Valid until the index changes. */
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
                break; /* free, and so are those behind it */
            }
            const char *item = (const char *)km_slot_item(*slot);
            __builtin_prefetch(item + 64); /* of the value; the key is first */
            __builtin_prefetch(item + 128);
            if (km_item_has_key(km_slot_item(*slot), key)) {
                return slot;
            }
        }
        line = line->next;
    } while (KM_UNLIKELY(line != NULL));
    return NULL;
}

/* Called per item of a bucket. */
typedef void (*km_index_visit_fn)(void *arg, kama_value *item);

/* Visits the bucket that holds the bit-reversed hash `rev`; returns the
 * number of the low hash bits that name the bucket: it covers the interval of
 * 2^(64 - bits) reversed hashes around rev. fn must not change the index. */
unsigned km_index_visit(const struct km_index *index, uint64_t rev,
                        km_index_visit_fn fn, void *arg);

/* h with its bits in reverse order. */
static inline uint64_t km_index_reverse(uint64_t h)
{
    h = ((h >> 1) & 0x5555555555555555u) | ((h & 0x5555555555555555u) << 1);
    h = ((h >> 2) & 0x3333333333333333u) | ((h & 0x3333333333333333u) << 2);
    h = ((h >> 4) & 0x0f0f0f0f0f0f0f0fu) | ((h & 0x0f0f0f0f0f0f0f0fu) << 4);
    return __builtin_bswap64(h);
}

/* Memory of indexes that were emptied at once, waiting to be freed. */
struct km_index_detached {
    struct km_index_dir *dirs;
};

/* Empties the index, O(1): its lines go to detached. */
void km_index_detach(struct km_index *index,
                     struct km_index_detached *detached);

/* Frees up to n chunks of detached. */
void km_index_free_detached(struct km_index_detached *detached,
                            struct km_account *account, unsigned n);

/* Walks every invariant: each item is found by its hash, chains have no
 * holes, counts agree. Asserts. O(n). */
void km_index_check(const struct km_index *index);
