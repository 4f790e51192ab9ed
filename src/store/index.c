/* SPDX-License-Identifier: MIT */
/*
 * Linear hashing over cache lines.
 *
 * A round begins with 2^L buckets and splits them one after the other, from
 * bucket 0 on, until there are 2^(L + 1). With mask_low = 2^L - 1 and 2^L + p
 * buckets, the first p buckets have been split:
 *
 *     bucket    0 .. p-1        p .. 2^L-1        2^L .. 2^L+p-1
 *               split           not split yet     the other halves of 0 .. p-1
 *     chosen by L+1 bits        L bits            L+1 bits
 *
 * Chains have no holes, because a removal fills its slot from the end of the
 * chain. So a chain of m entries has ceil(m / 10) lines, and splitting it never
 * needs more overflow lines than it gives back.
 */
#include "store/index.h"

#include "base/bytes.h"
#include "base/hash.h"

#define OVERFLOW_BYTES (KM_OVERFLOW_LINES * sizeof(struct km_line))
#define CHUNK_SHARE 4u /* a chunk has this part of a segment */
/* The index grows above the first number of entries per bucket, on average, and
 * shrinks below the second one. */
#define LOAD_GROW 6u
#define LOAD_SHRINK 4u

_Static_assert(sizeof(struct km_line) == 64, "one cache line");

/* The contents of a slot. */
struct slot {
    km_ref ref;
    uint64_t tag;
    unsigned freq;
};

/* -- slots ----------------------------------------------------------------- */

static struct slot slot_get(const struct km_line *line, unsigned i)
{
    uint64_t tags =
        i < 8
            ? atomic_load_explicit(&line->tags, memory_order_relaxed) >> (8 * i)
            : atomic_load_explicit(&line->tags_more, memory_order_relaxed) >>
                  (8 * (i - 8));
    return (struct slot){.ref = km_line_ref(line, i),
                         .tag = tags & 0xff,
                         .freq = km_line_freq(line, i)};
}

/* Writes a slot of a line whose change has begun. */
static void slot_set(struct km_line *line, unsigned i, struct slot slot)
{
    if (i < 8) {
        uint64_t tags = atomic_load_explicit(&line->tags, memory_order_relaxed);
        tags = (tags & ~(UINT64_C(0xff) << (8 * i))) | slot.tag << (8 * i);
        atomic_store_explicit(&line->tags, tags, KM_WORD_WRITE);
    } else {
        uint32_t tags =
            atomic_load_explicit(&line->tags_more, memory_order_relaxed);
        unsigned shift = 8 * (i - 8);
        tags = (tags & ~(0xffu << shift)) | (uint32_t)slot.tag << shift;
        atomic_store_explicit(&line->tags_more, tags, KM_WORD_WRITE);
    }
    km_line_set_freq(line, i, slot.freq);
    atomic_store_explicit(&line->refs[i], slot.ref, KM_WORD_WRITE);
}

/* Returns how many slots of a line are in use. */
static unsigned line_count(const struct km_line *line)
{
    unsigned n = 0;
    while (n < KM_LINE_SLOTS && km_line_ref(line, n) != 0) {
        n++;
    }
    return n;
}

static void set_next(struct km_line *line, uint32_t next)
{
    km_line_begin(line);
    atomic_store_explicit(&line->next, next, KM_WORD_WRITE);
    km_line_end(line);
}

/* Makes a line empty. Its seq goes on from whatever it was, so that a reader that
 * had begun before finds out. */
static void line_reset(struct km_line *line)
{
    uint32_t seq = atomic_load_explicit(&line->seq, memory_order_relaxed);
    atomic_store_explicit(&line->seq, seq | 1u, memory_order_relaxed);
    KM_FENCE_RELEASE();
    atomic_store_explicit(&line->next, 0, KM_WORD_WRITE);
    atomic_store_explicit(&line->tags, 0, KM_WORD_WRITE);
    atomic_store_explicit(&line->tags_more, 0, KM_WORD_WRITE);
    atomic_store_explicit(&line->freqs, 0, memory_order_relaxed);
    for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
        atomic_store_explicit(&line->refs[i], 0, KM_WORD_WRITE);
    }
    km_line_end(line);
}

/* -- chunks ---------------------------------------------------------------- */

static uint64_t shape_of(const struct km_index *index)
{
    return atomic_load_explicit(&index->shape, memory_order_relaxed);
}

static uint32_t bucket_count(const struct km_index *index)
{
    return (uint32_t)shape_of(index);
}

uint64_t km_index_hash(const struct km_index *index, const km_word *record)
{
    return km_hash(km_record_key(record), index->seed);
}

static uint64_t hash_at(const struct km_index *index, km_ref ref)
{
    return km_index_hash(index, km_log_at(index->log, ref));
}

/* Returns the first line of the bucket of a hash. */
static struct km_line *line_of(const struct km_index *index, uint64_t hash)
{
    return km_index_line(index, km_index_bucket(shape_of(index), hash));
}

static uint32_t mask_low(const struct km_index *index)
{
    return km_index_mask_low(bucket_count(index));
}

static uint32_t chunk_lines(const struct km_index *index)
{
    return 1u << index->chunk_bits;
}

static void set_bucket_count(struct km_index *index, uint32_t count)
{
    uint64_t generation = shape_of(index) >> 32;
    atomic_store_explicit(&index->shape, generation << 32 | count,
                          memory_order_release);
}

/* Makes every reader that has begun give up, before memory that it may read is used
 * for something else. */
static void next_generation(struct km_index *index)
{
    uint64_t shape = shape_of(index) + (UINT64_C(1) << 32);
    atomic_store_explicit(&index->shape, shape, memory_order_relaxed);
    KM_FENCE_RELEASE();
}

uint64_t km_index_bytes(const struct km_index *index)
{
    const struct km_pages *pages = &index->account->pages;
    size_t line_bytes = chunk_lines(index) * sizeof(struct km_line);
    size_t overflow_bytes = KM_OVERFLOW_LINES * sizeof(struct km_line);
    return (uint64_t)index->line_chunks * km_pages_bytes(pages, line_bytes) +
           (uint64_t)index->overflow_chunks *
               km_pages_bytes(pages, overflow_bytes) +
           km_chunks_bytes(&index->lines) + km_chunks_bytes(&index->overflow);
}

/* Adds a chunk behind *count others. Its lines are reset when they are first used.
 * Returns false without memory. */
static bool add_chunk(struct km_index *index, struct km_chunks *chunks,
                      uint32_t lines, uint32_t *count)
{
    struct km_pages *pages = &index->account->pages;
    struct km_line *chunk = km_chunks_get(chunks, *count);
    size_t bytes = lines * sizeof *chunk;
    if (chunk != NULL) {
        km_pages_wake(pages, bytes);
    } else if (km_chunks_reserve(chunks, *count)) {
        chunk = km_pages_alloc(pages, bytes);
    }
    if (chunk == NULL) {
        return false;
    }
    KM_FENCE_RELEASE();
    for (unsigned i = 0; i < lines; i++) {
        atomic_store_explicit(&chunk[i].seq, 0, memory_order_relaxed);
    }
    km_chunks_set(chunks, (*count)++, chunk);
    return true;
}

/* Gives the memory of the last of *count chunks back. If hits take no lock, its
 * addresses rest and stay in the table: a reader may be there, and may even count the
 * use of an entry. */
static void drop_chunk(struct km_index *index, struct km_chunks *chunks,
                       uint32_t lines, uint32_t *count)
{
    struct km_pages *pages = &index->account->pages;
    size_t bytes = lines * sizeof(struct km_line);
    void *chunk = km_chunks_get(chunks, --*count);
    next_generation(index);
    if (pages->is_own) {
        km_pages_rest(pages, chunk, bytes);
    } else {
        km_chunks_set(chunks, *count, NULL);
        km_pages_free(pages, chunk, bytes);
    }
}

/* Returns the number + 1 of an empty overflow line, or 0 without memory. */
static uint32_t overflow_take(struct km_index *index)
{
    uint32_t next = index->overflow_free;
    if (next != 0) {
        struct km_line *line = km_index_overflow_line(index, next - 1);
        index->overflow_free =
            atomic_load_explicit(&line->next, memory_order_relaxed);
        line_reset(line);
        return next;
    }
    if (index->overflow_made == index->overflow_chunks * KM_OVERFLOW_LINES &&
        !add_chunk(index, &index->overflow, KM_OVERFLOW_LINES,
                   &index->overflow_chunks)) {
        return 0;
    }
    line_reset(km_index_overflow_line(index, index->overflow_made));
    return ++index->overflow_made;
}

static void overflow_release(struct km_index *index, uint32_t next)
{
    struct km_line *line = km_index_overflow_line(index, next - 1);
    line_reset(line);
    set_next(line, index->overflow_free);
    index->overflow_free = next;
}

void km_index_init(struct km_index *index, struct km_account *account,
                   const struct km_log *log, uint64_t seed)
{
    memset(index, 0, sizeof *index);
    km_chunks_init(&index->lines, account);
    km_chunks_init(&index->overflow, account);
    index->account = account;
    index->log = log;
    index->seed = seed;
    uint32_t lines =
        log->segment_bytes / CHUNK_SHARE / (uint32_t)sizeof(struct km_line);
    lines = lines > KM_BUCKETS_MIN ? lines : KM_BUCKETS_MIN;
    index->chunk_bits = (unsigned)__builtin_ctz(lines);
    index->chunk_mask = lines - 1;
}

void km_index_clear(struct km_index *index)
{
    next_generation(index);
    set_bucket_count(index, 0);
    index->entry_count = 0;
    index->overflow_made = 0;
    index->overflow_free = 0;
}

bool km_index_trim(struct km_index *index, unsigned n)
{
    uint32_t lines =
        (bucket_count(index) + chunk_lines(index) - 1) >> index->chunk_bits;
    uint32_t overflow =
        (index->overflow_made + KM_OVERFLOW_LINES - 1) / KM_OVERFLOW_LINES;
    for (; n > 0; n--) {
        if (index->line_chunks > lines) {
            drop_chunk(index, &index->lines, chunk_lines(index),
                       &index->line_chunks);
        } else if (index->overflow_chunks > overflow) {
            drop_chunk(index, &index->overflow, KM_OVERFLOW_LINES,
                       &index->overflow_chunks);
        } else {
            return false;
        }
    }
    return index->line_chunks > lines || index->overflow_chunks > overflow;
}

void km_index_fini(struct km_index *index)
{
    km_index_clear(index);
    while (km_index_trim(index, UINT32_MAX)) {
    }
    km_chunks_fini(&index->lines);
    km_chunks_fini(&index->overflow);
}

/* -- chains ---------------------------------------------------------------- */

/* Puts a slot at the end of a chain. Returns false without memory for a line. */
static bool chain_add(struct km_index *index, struct km_line *line,
                      struct slot slot)
{
    for (;;) {
        unsigned n = line_count(line);
        if (n < KM_LINE_SLOTS) {
            km_line_begin(line);
            slot_set(line, n, slot);
            km_line_end(line);
            return true;
        }
        struct km_line *next = km_index_next(index, line);
        if (next == NULL) {
            uint32_t number = overflow_take(index);
            if (number == 0) {
                return false;
            }
            set_next(line, number);
            next = km_index_overflow_line(index, number - 1);
        }
        line = next;
    }
}

/* The slots of one line, while its place is filled anew. */
struct line_copy {
    struct slot slots[KM_LINE_SLOTS];
    unsigned count;
    uint32_t next;
};

/* Takes the slots of a line out of it. */
static struct line_copy line_empty(struct km_line *line)
{
    struct line_copy copy = {
        .count = line_count(line),
        .next = atomic_load_explicit(&line->next, memory_order_relaxed)};
    for (unsigned i = 0; i < copy.count; i++) {
        copy.slots[i] = slot_get(line, i);
    }
    line_reset(line);
    return copy;
}

/* Puts every slot of a chain into the bucket `to` or, if that is NULL, into the one that
 * it belongs to now, and gives the overflow lines of the chain back. */
static void chain_spread(struct km_index *index, struct km_line *line,
                         struct km_line *to)
{
    struct line_copy copy = line_empty(line);
    for (;;) {
        for (unsigned i = 0; i < copy.count; i++) {
            struct slot slot = copy.slots[i];
            KM_ASSERT(chain_add(
                index,
                to != NULL ? to : line_of(index, hash_at(index, slot.ref)),
                slot));
        }
        if (copy.next == 0) {
            return;
        }
        uint32_t gone = copy.next;
        copy = line_empty(km_index_overflow_line(index, gone - 1));
        overflow_release(index, gone);
    }
}

/* The records of the bucket that is split next will be read for their hashes. */
static void prefetch_bucket(const struct km_index *index, uint32_t b)
{
    const struct km_line *line = km_index_line(index, b);
    for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
        km_ref ref = km_line_ref(line, i);
        if (ref != 0) {
            __builtin_prefetch(km_log_at(index->log, ref));
        }
    }
}

/* Splits the next bucket of the round. Without memory for a chunk, the index
 * stays as it is. */
static void grow(struct km_index *index)
{
    uint32_t count = bucket_count(index);
    if (count == index->line_chunks * chunk_lines(index) &&
        !add_chunk(index, &index->lines, chunk_lines(index),
                   &index->line_chunks)) {
        return;
    }
    uint32_t b = count - mask_low(index) - 1;
    prefetch_bucket(index, b);
    line_reset(km_index_line(index, count));
    set_bucket_count(index, count + 1);
    chain_spread(index, km_index_line(index, b), NULL);
}

/* Sees to it that at least as many overflow lines are free as chain has lines,
 * so that joining two buckets cannot fail halfway. */
static bool lines_reserve(struct km_index *index, const struct km_line *chain)
{
    uint32_t held = 0;
    for (; chain != NULL; chain = km_index_next(index, chain)) {
        uint32_t next = overflow_take(index);
        if (next == 0) {
            break;
        }
        set_next(km_index_overflow_line(index, next - 1), held);
        held = next;
    }
    while (held != 0) {
        uint32_t next = held;
        held =
            atomic_load_explicit(&km_index_overflow_line(index, next - 1)->next,
                                 memory_order_relaxed);
        overflow_release(index, next);
    }
    return chain == NULL;
}

/* Joins the last bucket with the one it was split from. No record is read. */
static void shrink(struct km_index *index)
{
    uint32_t count = bucket_count(index) - 1;
    struct km_line *last = km_index_line(index, count);
    if (!lines_reserve(index, last)) {
        return;
    }
    set_bucket_count(index, count);
    chain_spread(index, last, km_index_line(index, count & mask_low(index)));
    (void)km_index_trim(index, 1);
}

/* Makes the first buckets of an empty index. */
static bool first_buckets(struct km_index *index)
{
    if (bucket_count(index) != 0) {
        return true;
    }
    if (index->line_chunks == 0 &&
        !add_chunk(index, &index->lines, chunk_lines(index),
                   &index->line_chunks)) {
        return false;
    }
    for (uint32_t b = 0; b < KM_BUCKETS_MIN; b++) {
        line_reset(km_index_line(index, b));
    }
    set_bucket_count(index, KM_BUCKETS_MIN);
    return true;
}

/* -- entries --------------------------------------------------------------- */

/* A chain needs another line if its last one is full. That line may be any overflow
 * line that is free. */
kama_status km_index_reserve(struct km_index *index, uint64_t hash)
{
    if (!first_buckets(index)) {
        return KAMA_ERR_NO_MEMORY;
    }
    const struct km_line *line = line_of(index, hash);
    const struct km_line *next;
    while ((next = km_index_next(index, line)) != NULL) {
        line = next;
    }
    if (km_line_ref(line, KM_LINE_SLOTS - 1) == 0 ||
        index->overflow_free != 0) {
        return KAMA_OK;
    }
    uint32_t number = overflow_take(index);
    if (number == 0) {
        return KAMA_ERR_NO_MEMORY;
    }
    overflow_release(index, number);
    return KAMA_OK;
}

void km_index_add(struct km_index *index, uint64_t hash, unsigned freq,
                  km_ref ref)
{
    struct slot slot = {.ref = ref, .tag = km_index_tag(hash), .freq = freq};
    struct km_line *line = line_of(index, hash);
    KM_ASSERT(chain_add(index, line, slot));
    index->entry_count++;
    if (index->entry_count > (uint64_t)bucket_count(index) * LOAD_GROW) {
        grow(index);
    }
}

/* Returns the last line of a chain. *ret_before is the line before it, or NULL. */
static struct km_line *chain_last(const struct km_index *index,
                                  struct km_line *line,
                                  struct km_line **ret_before)
{
    *ret_before = NULL;
    for (;;) {
        struct km_line *next = km_index_next(index, line);
        if (next == NULL) {
            return line;
        }
        *ret_before = line;
        line = next;
    }
}

/* The slot is filled by the last one of the chain. A line that becomes empty is given
 * back. */
void km_index_remove(struct km_index *index, uint64_t hash,
                     const struct km_place *place)
{
    struct km_line *before;
    struct km_line *first = line_of(index, hash);
    struct km_line *last = chain_last(index, first, &before);
    unsigned i = line_count(last) - 1;
    struct slot moved = slot_get(last, i);
    KM_ASSERT(km_line_ref(place->line, place->slot) == place->ref);
    if (place->line != last) {
        km_line_begin(place->line);
        slot_set(place->line, place->slot, moved);
        km_line_end(place->line);
    }
    km_line_begin(last);
    if (place->line == last) {
        slot_set(last, place->slot, moved);
    }
    slot_set(last, i, (struct slot){0});
    km_line_end(last);
    if (i == 0 && before != NULL) {
        uint32_t next =
            atomic_load_explicit(&before->next, memory_order_relaxed);
        set_next(before, 0);
        overflow_release(index, next);
    }
    index->entry_count--;
    if (bucket_count(index) > KM_BUCKETS_MIN &&
        index->entry_count < (uint64_t)bucket_count(index) * LOAD_SHRINK) {
        shrink(index);
    }
}

struct km_place km_index_find(const struct km_index *index, uint64_t hash,
                              kama_bytes key)
{
    uint64_t tag = km_index_tag(hash);
    struct km_line *line =
        bucket_count(index) == 0 ? NULL : line_of(index, hash);
    for (; line != NULL; line = km_index_next(index, line)) {
        for (uint64_t m = km_line_match(line, tag); m != 0; m &= m - 1) {
            unsigned slot = km_match_slot(m);
            km_ref ref = km_line_ref(line, slot);
            if (ref == 0) {
                continue; /* only a neighbour of the tag was found */
            }
            kama_bytes own = km_record_key(km_log_at(index->log, ref));
            if (km_bytes_eq(own, key)) {
                return (struct km_place){line, slot, ref};
            }
        }
    }
    return (struct km_place){NULL, 0, 0};
}

struct km_place km_index_find_ref(const struct km_index *index, uint64_t hash,
                                  km_ref ref)
{
    uint64_t tag = km_index_tag(hash);
    struct km_line *line = line_of(index, hash);
    for (; line != NULL; line = km_index_next(index, line)) {
        for (uint64_t m = km_line_match(line, tag); m != 0; m &= m - 1) {
            unsigned slot = km_match_slot(m);
            if (km_line_ref(line, slot) == ref) {
                return (struct km_place){line, slot, ref};
            }
        }
    }
    return (struct km_place){NULL, 0, 0};
}

/* Returns how many bits of the hash choose bucket b: one more if it was split
 * in this round, or if it is the other half of a bucket that was. */
static unsigned bucket_bits(const struct km_index *index, uint32_t b)
{
    uint32_t low = mask_low(index);
    bool split = b > low || b + low + 1 < bucket_count(index);
    return (unsigned)__builtin_popcount(low) + (split ? 1 : 0);
}

unsigned km_index_visit(const struct km_index *index, uint64_t rev,
                        km_index_visit_fn fn, void *arg)
{
    if (bucket_count(index) == 0) {
        return 0;
    }
    uint32_t b = km_index_bucket(shape_of(index), km_index_reverse(rev));
    const struct km_line *line = km_index_line(index, b);
    for (; line != NULL; line = km_index_next(index, line)) {
        for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
            km_ref ref = km_line_ref(line, i);
            if (ref == 0) {
                break;
            }
            fn(arg, ref);
        }
    }
    return bucket_bits(index, b);
}

/* -- check ----------------------------------------------------------------- */

/* Asserts that every slot of the chain belongs to bucket b. Returns how many
 * slots are in use. */
static uint64_t check_chain(const struct km_index *index, uint32_t b,
                            uint32_t *overflow)
{
    uint64_t count = 0;
    const struct km_line *line = km_index_line(index, b);
    while (line != NULL) {
        unsigned n = line_count(line);
        const struct km_line *next = km_index_next(index, line);
        KM_ASSERT(n == KM_LINE_SLOTS || next == NULL);
        KM_ASSERT((line->seq & 1u) == 0);
        for (unsigned i = 0; i < KM_LINE_SLOTS; i++) {
            struct slot slot = slot_get(line, i);
            KM_ASSERT((slot.ref != 0) == (i < n));
            KM_ASSERT((slot.tag != 0) == (i < n));
            if (i < n) {
                uint64_t hash = hash_at(index, slot.ref);
                KM_ASSERT(km_index_bucket(shape_of(index), hash) == b);
                KM_ASSERT(slot.tag == km_index_tag(hash));
            }
        }
        count += n;
        *overflow += next != NULL;
        line = next;
    }
    return count;
}

void km_index_check(const struct km_index *index)
{
    uint64_t count = 0;
    uint32_t overflow = 0;
    for (uint32_t b = 0; b < bucket_count(index); b++) {
        count += check_chain(index, b, &overflow);
    }
    KM_ASSERT(count == index->entry_count);
    for (uint32_t n = index->overflow_free; n != 0; overflow++) {
        n = atomic_load_explicit(&km_index_overflow_line(index, n - 1)->next,
                                 memory_order_relaxed);
    }
    KM_ASSERT(overflow == index->overflow_made);
}
