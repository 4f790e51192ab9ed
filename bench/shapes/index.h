/* SPDX-License-Identifier: MIT */
/*
 * The index of a shape: lines of 64 bytes, each of which is one cache line.
 *
 *   narrow   | sequence | next | ten tags of 8 bits | frequencies | ten refs of 32 |
 *   wide     | seven slots of 16 bits of tag and 48 bits of address | next |
 *
 * A bucket is a line and, rarely, overflow lines behind `next`. The table grows by
 * linear hashing, one bucket per insertion. It does not shrink.
 *
 *     uint64_t hash = shape_index_hash(key);
 *     struct shape_place place = shape_index_find(&index, hash, key);
 *     if (place.ref != 0) {
 *         const uint8_t *key = shape_index_key(&index, place.ref);
 *     }
 *
 * The index finds the key of an entry by arithmetic: it is at
 * base + (ref << shift) + key_offset. Refs are never 0.
 *
 * Threads: one at a time. Errors: running out of address space fails an assertion.
 */
#pragma once

#include "store/keys.h"

#include <string.h>
#include <xxhash.h>

enum shape_lines { SHAPE_NARROW, SHAPE_WIDE };

#define SHAPE_NARROW_SLOTS 10u
#define SHAPE_WIDE_SLOTS 7u
#define SHAPE_WIDE_MASK UINT64_C(0xffffffffffff)

union shape_line {
    struct {
        uint32_t sequence; /* has its place, although no other thread reads */
        uint32_t next;     /* 1 + the number of an overflow line; 0: none */
        uint64_t tags;     /* of the slots 0 to 7 */
        uint16_t tags_more;
        uint16_t unused;
        uint32_t freqs; /* two bits for each slot */
        uint32_t refs[SHAPE_NARROW_SLOTS];
    } narrow;
    struct {
        uint64_t slots[SHAPE_WIDE_SLOTS];
        uint64_t next;
    } wide;
} __attribute__((aligned(64)));

struct shape_index {
    union shape_line *lines; /* of the buckets */
    union shape_line *overflow;
    uint32_t bucket_count;
    uint32_t overflow_made;
    uint32_t overflow_free; /* 1 + the first free overflow line */
    uint64_t entry_count;
    enum shape_lines kind;
    /* Where keys are; the shape sets it. */
    const uint8_t *base;
    unsigned shift;
    unsigned key_offset;
};

/* The slot of an entry, until the next one is added. */
struct shape_place {
    union shape_line *line;
    unsigned slot;
    uint64_t ref; /* 0: there is no such entry */
};

void shape_index_init(struct shape_index *index, enum shape_lines kind);
void shape_index_fini(struct shape_index *index);

/* Returns the bytes of the lines. */
uint64_t shape_index_bytes(const struct shape_index *index);

/* Adds an entry whose key is not there, with the frequency 0. */
void shape_index_add(struct shape_index *index, uint64_t hash, uint64_t ref);
/* Takes an entry out. */
void shape_index_remove(struct shape_index *index,
                        const struct shape_place *place);
/* Says that the entry is elsewhere now. */
void shape_index_move(struct shape_index *index,
                      const struct shape_place *place, uint64_t ref);
/* Returns the place of the entry with that ref, which is there. */
struct shape_place shape_index_find_ref(const struct shape_index *index,
                                        uint64_t ref);

static inline uint64_t shape_index_hash(const uint8_t *key)
{
    return XXH3_64bits_withSeed(key, BENCH_KEY_BYTES, 1);
}

static inline const uint8_t *shape_index_key(const struct shape_index *index,
                                             uint64_t ref)
{
    return index->base + (ref << index->shift) + index->key_offset;
}

static inline union shape_line *shape_index_line(
    const struct shape_index *index, uint64_t hash)
{
    uint32_t low = UINT32_MAX >> 1 >> __builtin_clz(index->bucket_count);
    uint32_t bucket = (uint32_t)hash & (low * 2 + 1);
    return &index->lines[bucket < index->bucket_count ? bucket : bucket & low];
}

/* Returns the number of the overflow line behind this one, plus 1, or 0. */
static inline uint64_t shape_line_next(const struct shape_index *index,
                                       const union shape_line *line)
{
    return index->kind == SHAPE_NARROW ? line->narrow.next : line->wide.next;
}

/* -- tags -------------------------------------------------------------------- */

static inline uint64_t shape_tag(enum shape_lines kind, uint64_t hash)
{
    uint64_t tag = kind == SHAPE_NARROW ? hash >> 40 & 0xff : hash >> 48;
    return tag + (tag == 0);
}

/* Returns the slots of eight lanes that agree with the tag, as their highest bits.
 * Rarely a lane above one that agrees is named, too. */
static inline uint64_t shape_lanes(uint64_t lanes, uint64_t tag)
{
    uint64_t x = lanes ^ tag * UINT64_C(0x0101010101010101);
    return (x - UINT64_C(0x0101010101010101)) & ~x &
           UINT64_C(0x8080808080808080);
}

/* Returns the slots that may have the key, as the bits 0, 8, ... for the slots 0 to
 * 7, and the bits 1 and 9 for the slots 8 and 9. */
static inline uint64_t shape_match(const struct shape_index *index,
                                   const union shape_line *line, uint64_t tag)
{
    uint64_t found = 0;
    if (index->kind == SHAPE_NARROW) {
        return shape_lanes(line->narrow.tags, tag) >> 7 |
               (shape_lanes(line->narrow.tags_more, tag) & 0x8080) >> 6;
    }
    for (unsigned i = 0; i < SHAPE_WIDE_SLOTS; i++) {
        found |= (uint64_t)(line->wide.slots[i] >> 48 == tag) << i * 8;
    }
    return found;
}

static inline uint64_t shape_slot_ref(const struct shape_index *index,
                                      const union shape_line *line,
                                      unsigned slot)
{
    return index->kind == SHAPE_NARROW
               ? line->narrow.refs[slot]
               : line->wide.slots[slot] & SHAPE_WIDE_MASK;
}

/* -- looks ------------------------------------------------------------------- */

static inline struct shape_place shape_index_find(
    const struct shape_index *index, uint64_t hash, const uint8_t *key)
{
    union shape_line *line = shape_index_line(index, hash);
    uint64_t tag = shape_tag(index->kind, hash);
    for (;;) {
        uint64_t found = shape_match(index, line, tag);
        for (; found != 0; found &= found - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(found);
            unsigned slot = (bit >> 3) + (bit & 1) * 8;
            uint64_t ref = shape_slot_ref(index, line, slot);
            if (ref != 0 && memcmp(shape_index_key(index, ref), key,
                                   BENCH_KEY_BYTES) == 0) {
                return (struct shape_place){line, slot, ref};
            }
        }
        uint64_t next = shape_line_next(index, line);
        if (next == 0) {
            return (struct shape_place){0};
        }
        line = &index->overflow[next - 1];
    }
}

/* -- frequencies of narrow lines ---------------------------------------------- */

static inline unsigned shape_place_freq(const struct shape_place *place)
{
    return place->line->narrow.freqs >> 2 * place->slot & 3;
}

static inline void shape_place_set_freq(const struct shape_place *place,
                                        unsigned freq)
{
    uint32_t *freqs = &place->line->narrow.freqs;
    *freqs = (*freqs & ~(UINT32_C(3) << 2 * place->slot)) |
             (uint32_t)freq << 2 * place->slot;
}

/* Notes a hit. It writes nothing if one was noted before. */
static inline void shape_place_touch(const struct shape_place *place)
{
    if (shape_place_freq(place) == 0) {
        shape_place_set_freq(place, 1);
    }
}
