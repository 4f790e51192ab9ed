/* SPDX-License-Identifier: MIT */
/*
 * The index of one shard: it finds the record of a key by the key's hash.
 *
 *     struct km_place place = km_index_find(&index, hash, key);
 *     if (place.ref != 0) {
 *         km_index_remove(&index, hash, &place);
 *     }
 *
 * The index consists of lines, each of which is a cache line with ten slots:
 *
 *   line   | seq | next | ten tags | ten frequencies | ten refs |      64 bytes
 *
 * A tag is 8 bits of the hash, a ref is the place of the record in the log, and a
 * frequency says how often the entry was used lately, from 0 to 3. A bucket is a line
 * and, rarely, overflow lines behind `next`. Both kinds are kept in chunks.
 *
 * Threads without the lock may read a line. Whoever changes one makes `seq` odd
 * first and even afterwards (words.h), so that a reader finds out. Frequencies are
 * an exception: a hit without a lock writes them, and it may come late. Such a write may
 * be lost, or reach another entry of the line, which costs no more than one wrong guess;
 * but the addresses of a line never become anything else.
 *
 * The table grows and shrinks by linear hashing, one bucket per insertion or
 * removal, so that there is no pause at any size. A bucket is chosen by the low
 * bits of the hash, so that it holds one interval of the hashes with their bits
 * reversed. A walk in the order of the reversed hashes (km_index_visit)
 * therefore meets every entry, even if the table grows or shrinks in between.
 *
 * A line that has left the table may still be read. So the shape of the table has a
 * generation, which changes before such memory is used for something else, and before
 * a clear makes all lines invalid at once; a reader compares it, too.
 *
 * Cost: a lookup touches one line and one record; about 11 bytes per entry. Threads:
 * the lock of the shard, and readers as above. Errors: KAMA_ERR_NO_MEMORY from
 * km_index_reserve. If the table cannot grow, that is no error, but chains become longer.
 * Ownership: the chunks are charged to the account of the store.
 */
#pragma once

#include "store/log.h"

#define KM_LINE_SLOTS 10u
#define KM_BUCKETS_MIN 64u    /* a chunk has at least so many lines */
#define KM_OVERFLOW_LINES 64u /* in a chunk */
#define KM_FREQ_MAX 3u

struct km_line {
    _Atomic uint32_t seq;
    _Atomic uint32_t next; /* 1 + the number of an overflow line; 0: none */
    _Atomic uint64_t tags; /* of slots 0 to 7 */
    _Atomic uint32_t tags_more;
    _Atomic uint32_t freqs; /* 2 bits for each slot */
    _Atomic uint32_t
        refs[KM_LINE_SLOTS]; /* 0: free, and so are all behind it */
};

/* The slot of an entry. It is valid until the index changes. */
struct km_place {
    struct km_line *line;
    unsigned slot;
    km_ref ref; /* 0: there is no such entry */
};

struct km_index {
    struct km_chunks lines;    /* the chunks of the buckets */
    struct km_chunks overflow; /* the chunks of the overflow lines */
    _Atomic uint64_t shape;    /* see km_index_bucket */
    unsigned chunk_bits;       /* of the number of a line in its chunk */
    uint32_t chunk_mask;       /* so many ones */
    uint32_t line_chunks; /* that there are; some may be behind the buckets */
    uint32_t overflow_chunks; /* likewise */
    uint32_t overflow_made; /* overflow lines that were used since the clear */
    uint32_t overflow_free; /* 1 + the first free one of them; linked by next */
    uint64_t entry_count;
    struct km_account *account;
    const struct km_log *log;
    uint64_t seed; /* of the hashes */
};

/* Makes an empty index, which takes no memory yet. Its chunks are a share of the
 * segments of the log. */
void km_index_init(struct km_index *index, struct km_account *account,
                   const struct km_log *log, uint64_t seed);

/* Frees the lines. */
void km_index_fini(struct km_index *index);

/* Sees to it that the next entry with this hash can be added. Errors:
 * KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_index_reserve(struct km_index *index,
                                            uint64_t hash);

/* Adds the record at ref, whose key is not in the index. A place was reserved, and the
 * index has not changed since. */
void km_index_add(struct km_index *index, uint64_t hash, unsigned freq,
                  km_ref ref);

/* Takes an entry out. Every place is invalid then, because an entry of the same
 * bucket may move into the free slot. */
void km_index_remove(struct km_index *index, uint64_t hash,
                     const struct km_place *place);

/* Takes all entries out, in O(1); km_index_trim frees the lines. */
void km_index_clear(struct km_index *index);

/* Frees at most n chunks that no bucket uses. Returns whether there are more. */
bool km_index_trim(struct km_index *index, unsigned n);

/* Returns how many bytes are charged for the lines and their tables. */
uint64_t km_index_bytes(const struct km_index *index);

/* Returns the slot of key. */
struct km_place km_index_find(const struct km_index *index, uint64_t hash,
                              kama_bytes key);

/* Returns the slot of the record at ref, whose key has this hash. */
struct km_place km_index_find_ref(const struct km_index *index, uint64_t hash,
                                  km_ref ref);

/* Returns the hash of the key of a record. */
uint64_t km_index_hash(const struct km_index *index, const km_word *record);

/* -- lines ----------------------------------------------------------------- */

/* Begins a change of a line. */
static inline void km_line_begin(struct km_line *line)
{
    uint32_t seq = atomic_load_explicit(&line->seq, memory_order_relaxed);
    atomic_store_explicit(&line->seq, seq + 1, memory_order_relaxed);
    KM_FENCE_RELEASE();
}

/* Ends a change of a line. */
static inline void km_line_end(struct km_line *line)
{
    uint32_t seq = atomic_load_explicit(&line->seq, memory_order_relaxed);
    atomic_store_explicit(&line->seq, seq + 1, memory_order_release);
}

static inline km_ref km_line_ref(const struct km_line *line, unsigned slot)
{
    return atomic_load_explicit(&line->refs[slot], KM_WORD_READ);
}

static inline unsigned km_line_freq(const struct km_line *line, unsigned slot)
{
    return atomic_load_explicit(&line->freqs, memory_order_relaxed) >>
               (2 * slot) &
           3u;
}

/* Sets a frequency. Readers without the lock may do the same. */
static inline void km_line_set_freq(struct km_line *line, unsigned slot,
                                    unsigned freq)
{
    uint32_t freqs = atomic_load_explicit(&line->freqs, memory_order_relaxed);
    freqs = (freqs & ~(3u << (2 * slot))) | freq << (2 * slot);
    atomic_store_explicit(&line->freqs, freqs, memory_order_relaxed);
}

/* Raises a frequency, up to 3. It writes nothing if that is reached. */
static inline void km_line_touch(struct km_line *line, unsigned slot)
{
    unsigned freq = km_line_freq(line, slot);
    if (freq < KM_FREQ_MAX) {
        km_line_set_freq(line, slot, freq + 1);
    }
}

/* Returns the bits of a hash that a slot keeps, which are never 0. They are not among
 * those that choose the shard or the bucket, so that they tell the entries of a
 * bucket apart. */
static inline uint64_t km_index_tag(uint64_t hash)
{
    uint64_t tag = (hash >> 40) & 0xff;
    return tag + (tag == 0);
}

#ifdef KM_WORD_VECTORS
/* Returns the slots of a line that have this tag, as a set of bits; see
 * km_match_slot. The tags are the first ten bytes of a vector. */
static inline uint64_t km_line_match(const struct km_line *line, uint64_t tag)
{
    __m128i tags = (__m128i)km_vector_get((const uint8_t *)&line->tags);
    __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag));
    return (unsigned)_mm_movemask_epi8(equal) & ((1u << KM_LINE_SLOTS) - 1);
}

/* Returns the slot that the lowest bit of a match stands for. */
static inline unsigned km_match_slot(uint64_t match)
{
    return (unsigned)__builtin_ctzll(match);
}
#else
/* Returns the lanes of 8 bits in which two words agree, as their highest bits. Rarely
 * a lane above one that agrees is named, too. */
static inline uint64_t km_lanes_equal(uint64_t a, uint64_t b)
{
    uint64_t x = a ^ b;
    return (x - UINT64_C(0x0101010101010101)) & ~x &
           UINT64_C(0x8080808080808080);
}

/* Returns the slots of a line that may have this tag, as a set of bits; see
 * km_match_slot. */
static inline uint64_t km_line_match(const struct km_line *line, uint64_t tag)
{
    uint64_t all = tag * UINT64_C(0x0101010101010101);
    uint64_t first = atomic_load_explicit(&line->tags, KM_WORD_READ);
    uint64_t more = atomic_load_explicit(&line->tags_more, KM_WORD_READ);
    return km_lanes_equal(first, all) >> 7 |
           (km_lanes_equal(more, all) & 0x8080) >> 6;
}

/* Returns the slot that the lowest bit of a match stands for. */
static inline unsigned km_match_slot(uint64_t match)
{
    unsigned bit = (unsigned)__builtin_ctzll(match);
    return (bit >> 3) + (bit & 1u) * 8;
}
#endif

/* Returns 2^L - 1, if there are from 2^L to 2^(L + 1) - 1 buckets. */
static inline uint32_t km_index_mask_low(uint32_t bucket_count)
{
    return UINT32_MAX >> 1 >> __builtin_clz(bucket_count | 1);
}

/* Returns the bucket of a hash: that of its L + 1 low bits or, if this bucket
 * is not there yet in the present round, that of its L low bits. The shape of an
 * index is the number of its buckets and, in the upper half, its generation. */
static inline uint32_t km_index_bucket(uint64_t shape, uint64_t hash)
{
    uint32_t mask_low = km_index_mask_low((uint32_t)shape);
    uint32_t b = (uint32_t)hash & (mask_low * 2 + 1);
    return b < (uint32_t)shape ? b : b & mask_low;
}

/* Returns whether an index of that shape has no buckets. Its lines may still have
 * the entries from before a clear. */
static inline bool km_index_is_empty(uint64_t shape)
{
    return (uint32_t)shape == 0;
}

/* Returns the first line of bucket b, or NULL if there is none. */
static inline struct km_line *km_index_line(const struct km_index *index,
                                            uint32_t b)
{
    struct km_line *chunk =
        km_chunks_get(&index->lines, b >> index->chunk_bits);
    return chunk == NULL ? NULL : chunk + (b & index->chunk_mask);
}

/* Returns an overflow line, or NULL if there is none of that number. */
static inline struct km_line *km_index_overflow_line(
    const struct km_index *index, uint32_t number)
{
    struct km_line *chunk =
        km_chunks_get(&index->overflow, number / KM_OVERFLOW_LINES);
    return chunk == NULL ? NULL : chunk + number % KM_OVERFLOW_LINES;
}

/* Returns the line behind one, or NULL. */
static inline struct km_line *km_index_next(const struct km_index *index,
                                            const struct km_line *line)
{
    uint32_t next = atomic_load_explicit(&line->next, KM_WORD_READ);
    return next == 0 ? NULL : km_index_overflow_line(index, next - 1);
}

/* Reverses the bits of a hash. */
static inline uint64_t km_index_reverse(uint64_t x)
{
    x = __builtin_bswap64(x);
    x = (x >> 4 & 0x0f0f0f0f0f0f0f0f) | (x & 0x0f0f0f0f0f0f0f0f) << 4;
    x = (x >> 2 & 0x3333333333333333) | (x & 0x3333333333333333) << 2;
    return (x >> 1 & 0x5555555555555555) | (x & 0x5555555555555555) << 1;
}

/* Receives one entry of a bucket. It must not change the index. */
typedef void (*km_index_visit_fn)(void *arg, km_ref ref);

/* Visits the entries of the bucket that holds the bit-reversed hash `rev`.
 * Returns how many low bits of the hash choose the bucket: it covers the
 * interval of 2^(64 - bits) reversed hashes in which rev lies. Returns 0 for an
 * empty index. */
unsigned km_index_visit(const struct km_index *index, uint64_t rev,
                        km_index_visit_fn fn, void *arg);

/* Asserts that every entry is in its bucket, that chains have no holes, and that no
 * line is lost. For tests: O(entries). */
void km_index_check(const struct km_index *index);
