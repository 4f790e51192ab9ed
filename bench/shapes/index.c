/* SPDX-License-Identifier: MIT */
#include "index.h"

#include "base/assert.h"
#include "region.h"

#define LINES_MAX ((size_t)1 << 24)
#define BUCKETS_FIRST 64u
/* Entries per bucket beyond which a bucket is added. */
#define NARROW_LOAD 6u
#define WIDE_LOAD 5u
#define CHAIN_MAX 256u

/* The contents of a slot. */
struct slot {
    uint64_t ref;
    uint64_t tag;
    unsigned freq; /* of narrow lines */
};

void shape_index_init(struct shape_index *index, enum shape_lines kind)
{
    *index = (struct shape_index){
        .lines = shape_map(LINES_MAX * sizeof *index->lines),
        .overflow = shape_map(LINES_MAX * sizeof *index->lines),
        .bucket_count = BUCKETS_FIRST,
        .kind = kind};
}

void shape_index_fini(struct shape_index *index)
{
    shape_unmap(index->lines, LINES_MAX * sizeof *index->lines);
    shape_unmap(index->overflow, LINES_MAX * sizeof *index->lines);
}

uint64_t shape_index_bytes(const struct shape_index *index)
{
    return (index->bucket_count + UINT64_C(1) * index->overflow_made) *
           sizeof *index->lines;
}

/* -- slots ------------------------------------------------------------------- */

static unsigned slot_count(const struct shape_index *index)
{
    return index->kind == SHAPE_NARROW ? SHAPE_NARROW_SLOTS : SHAPE_WIDE_SLOTS;
}

static uint64_t narrow_tag(const union shape_line *line, unsigned slot)
{
    return (slot < 8 ? line->narrow.tags >> slot * 8
                     : (uint64_t)line->narrow.tags_more >> (slot - 8) * 8) &
           0xff;
}

static struct slot slot_get(const struct shape_index *index,
                            const union shape_line *line, unsigned slot)
{
    struct slot s = {.ref = shape_slot_ref(index, line, slot)};
    if (index->kind == SHAPE_NARROW) {
        s.tag = narrow_tag(line, slot);
        s.freq = line->narrow.freqs >> 2 * slot & 3;
    } else {
        s.tag = line->wide.slots[slot] >> 48;
    }
    return s;
}

static void narrow_put(union shape_line *line, unsigned slot,
                       const struct slot *s)
{
    struct shape_place place = {.line = line, .slot = slot};
    line->narrow.refs[slot] = (uint32_t)s->ref;
    shape_place_set_freq(&place, s->freq);
    if (slot < 8) {
        line->narrow.tags &= ~(UINT64_C(0xff) << slot * 8);
        line->narrow.tags |= s->tag << slot * 8;
    } else {
        unsigned shift = (slot - 8) * 8;
        unsigned more = line->narrow.tags_more & ~(0xffu << shift);
        line->narrow.tags_more = (uint16_t)(more | (unsigned)s->tag << shift);
    }
}

static void slot_put(struct shape_index *index, union shape_line *line,
                     unsigned slot, const struct slot *s)
{
    if (index->kind == SHAPE_NARROW) {
        narrow_put(line, slot, s);
    } else {
        line->wide.slots[slot] = s->tag << 48 | s->ref;
    }
}

/* -- chains ------------------------------------------------------------------ */

static void set_next(struct shape_index *index, union shape_line *line,
                     uint32_t next)
{
    if (index->kind == SHAPE_NARROW) {
        line->narrow.next = next;
    } else {
        line->wide.next = next;
    }
}

static union shape_line *behind(const struct shape_index *index,
                                const union shape_line *line)
{
    uint64_t next = shape_line_next(index, line);
    return next == 0 ? NULL : &index->overflow[next - 1];
}

/* Puts an empty line behind the last one of a chain. */
static union shape_line *lengthen(struct shape_index *index,
                                  union shape_line *last)
{
    uint32_t number = index->overflow_free;
    if (number == 0) {
        number = ++index->overflow_made;
        KM_ASSERT(number < LINES_MAX);
    } else {
        index->overflow_free =
            (uint32_t)shape_line_next(index, &index->overflow[number - 1]);
    }
    union shape_line *line = &index->overflow[number - 1];
    memset(line, 0, sizeof *line);
    set_next(index, last, number);
    return line;
}

/* Frees the overflow lines behind a line. */
static void shorten(struct shape_index *index, union shape_line *line)
{
    uint32_t number = (uint32_t)shape_line_next(index, line);
    while (number != 0) {
        union shape_line *free_line = &index->overflow[number - 1];
        uint32_t next = (uint32_t)shape_line_next(index, free_line);
        set_next(index, free_line, index->overflow_free);
        index->overflow_free = number;
        number = next;
    }
    set_next(index, line, 0);
}

static void put(struct shape_index *index, uint64_t hash, const struct slot *s)
{
    union shape_line *line = shape_index_line(index, hash);
    for (;;) {
        for (unsigned i = 0; i < slot_count(index); i++) {
            if (shape_slot_ref(index, line, i) == 0) {
                slot_put(index, line, i, s);
                return;
            }
        }
        union shape_line *next = behind(index, line);
        line = next != NULL ? next : lengthen(index, line);
    }
}

/* -- growth ------------------------------------------------------------------ */

/* Takes all entries of a bucket out. Returns how many there were. */
static unsigned empty(struct shape_index *index, union shape_line *first,
                      struct slot *ret_slots)
{
    unsigned n = 0;
    for (union shape_line *line = first; line != NULL;
         line = behind(index, line)) {
        for (unsigned i = 0; i < slot_count(index); i++) {
            struct slot s = slot_get(index, line, i);
            KM_ASSERT(n < CHAIN_MAX);
            if (s.ref != 0) {
                ret_slots[n++] = s;
            }
        }
    }
    shorten(index, first);
    memset(first, 0, sizeof *first);
    return n;
}

/* Adds a bucket, and deals the entries of the one that it comes from. */
static void grow(struct shape_index *index)
{
    struct slot slots[CHAIN_MAX];
    uint32_t low = UINT32_MAX >> 1 >> __builtin_clz(index->bucket_count);
    union shape_line *from = &index->lines[index->bucket_count & low];
    unsigned n = empty(index, from, slots);
    index->bucket_count++;
    KM_ASSERT(index->bucket_count < LINES_MAX);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *key = shape_index_key(index, slots[i].ref);
        put(index, shape_index_hash(key), &slots[i]);
    }
}

/* -- entries ----------------------------------------------------------------- */

void shape_index_add(struct shape_index *index, uint64_t hash, uint64_t ref)
{
    struct slot s = {.ref = ref, .tag = shape_tag(index->kind, hash)};
    unsigned load = index->kind == SHAPE_NARROW ? NARROW_LOAD : WIDE_LOAD;
    put(index, hash, &s);
    index->entry_count++;
    if (index->entry_count > UINT64_C(1) * index->bucket_count * load) {
        grow(index);
    }
}

void shape_index_remove(struct shape_index *index,
                        const struct shape_place *place)
{
    const struct slot none = {0};
    slot_put(index, place->line, place->slot, &none);
    index->entry_count--;
}

void shape_index_move(struct shape_index *index,
                      const struct shape_place *place, uint64_t ref)
{
    struct slot s = slot_get(index, place->line, place->slot);
    s.ref = ref;
    slot_put(index, place->line, place->slot, &s);
}

/* Returns the slot of a line that has the ref, or slot_count. */
static unsigned slot_of(const struct shape_index *index,
                        const union shape_line *line, uint64_t ref)
{
    unsigned i = 0;
    while (i < slot_count(index) && shape_slot_ref(index, line, i) != ref) {
        i++;
    }
    return i;
}

struct shape_place shape_index_find_ref(const struct shape_index *index,
                                        uint64_t ref)
{
    uint64_t hash = shape_index_hash(shape_index_key(index, ref));
    union shape_line *line = shape_index_line(index, hash);
    unsigned slot = slot_of(index, line, ref);
    while (slot == slot_count(index)) {
        line = behind(index, line);
        KM_ASSERT(line != NULL);
        slot = slot_of(index, line, ref);
    }
    return (struct shape_place){line, slot, ref};
}
