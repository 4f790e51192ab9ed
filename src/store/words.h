/* SPDX-License-Identifier: MIT */
/*
 * Words that one thread may overwrite while others read them. A reader copies
 * words and then checks a sequence number; if that has changed, it throws the copy
 * away (a seqlock: Boehm, "Can seqlocks get along with programming language memory
 * models?", MSPC 2012).
 *
 *     writer (holds a lock)               reader (holds none)
 *     seq = odd                           s = seq        (acquire)
 *     KM_FENCE_RELEASE()                  copies words
 *     writes words                        KM_FENCE_ACQUIRE()
 *     seq = even         (release)        keeps the copy if seq is still s
 *
 * If a reader has seen a word of the writer, the two fences make it see the odd
 * number, too. Whoever writes to words that were used for something else before, and
 * that a late reader may still read, needs a release fence as well, because it may be
 * another thread than the one that has made the number odd. ThreadSanitizer does not
 * know fences; for it, each word is read with acquire and written with release, which
 * orders the same things.
 *
 * A run of bytes in words begins at a word; its last word is filled up with zeros.
 * Cost: one load or store for each word. Threads: as above. Errors: none.
 * Ownership: plain data.
 */
#pragma once

#include "base/assert.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef _Atomic uint64_t km_word;

#ifdef __SANITIZE_THREAD__
#define KM_WORD_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KM_WORD_TSAN 1
#endif
#endif

#ifdef KM_WORD_TSAN
#define KM_WORD_READ memory_order_acquire
#define KM_WORD_WRITE memory_order_release
#define KM_FENCE_ACQUIRE() ((void)0)
#define KM_FENCE_RELEASE() ((void)0)
#else
#define KM_WORD_READ memory_order_relaxed
#define KM_WORD_WRITE memory_order_relaxed
#define KM_FENCE_ACQUIRE() atomic_thread_fence(memory_order_acquire)
#define KM_FENCE_RELEASE() atomic_thread_fence(memory_order_release)
#endif

static inline uint64_t km_word_get(const km_word *word)
{
    return atomic_load_explicit(word, KM_WORD_READ);
}

static inline void km_word_set(km_word *word, uint64_t value)
{
    atomic_store_explicit(word, value, KM_WORD_WRITE);
}

/* Returns the last n bytes (fewer than 8) of a run as a word, zeros behind them. */
static inline uint64_t km_bytes_tail(const uint8_t *p, size_t n)
{
    uint64_t word = 0;
    size_t at = 0;
    if ((n & 4) != 0) {
        memcpy(&word, p, 4);
        at = 4;
    }
    if ((n & 2) != 0) {
        uint16_t two;
        memcpy(&two, p + at, 2);
        word |= (uint64_t)two << (8 * at);
        at += 2;
    }
    if ((n & 1) != 0) {
        word |= (uint64_t)p[at] << (8 * at);
    }
    return word;
}

/* Writes the first n bytes (fewer than 8) of a word. */
static inline void km_bytes_put_tail(uint8_t *p, uint64_t word, size_t n)
{
    if ((n & 4) != 0) {
        memcpy(p, &word, 4);
        p += 4;
        word >>= 32;
    }
    if ((n & 2) != 0) {
        memcpy(p, &word, 2);
        p += 2;
        word >>= 16;
    }
    if ((n & 1) != 0) {
        *p = (uint8_t)word;
    }
}

#if defined(__SSE2__) && !defined(KM_WORD_TSAN)
#define KM_WORD_VECTORS 1
/* Sixteen or eight bytes at any address. They are read as volatile, because no
 * compiler has atomic accesses of that kind in one instruction; a torn one is thrown
 * away by the check of the sequence, as with words. */
typedef long long km_vector
    __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t km_eight __attribute__((aligned(1), may_alias));

static KM_ALWAYS_INLINE km_vector km_vector_get(const uint8_t *p)
{
    return *(const volatile km_vector *)p;
}

/* Copies n bytes, from 16 to 32 of them: the two vectors may overlap. */
static KM_ALWAYS_INLINE void km_vectors_copy_2(uint8_t *to, const uint8_t *from,
                                               size_t n)
{
    km_vector first = km_vector_get(from);
    km_vector last = km_vector_get(from + n - 16);
    *(km_vector *)to = first;
    *(km_vector *)(to + n - 16) = last;
}

/* Copies 64 bytes. */
static KM_ALWAYS_INLINE void km_vectors_copy_64(uint8_t *to,
                                                const uint8_t *from)
{
    km_vectors_copy_2(to, from, 32);
    km_vectors_copy_2(to + 32, from + 32, 32);
}

/* Copies n bytes, at least 16. The last piece overlaps the one before it, so that
 * sizes need no loop of their own. */
static KM_ALWAYS_INLINE void km_vectors_copy(uint8_t *to, const uint8_t *from,
                                             size_t n)
{
    if (n > 64) {
        size_t at = 0;
        do {
            km_vectors_copy_64(to + at, from + at);
            at += 64;
        } while (at + 64 < n);
        km_vectors_copy_64(to + n - 64, from + n - 64);
        return;
    }
    if (n > 32) {
        km_vectors_copy_2(to, from, 32);
        km_vectors_copy_2(to + n - 32, from + n - 32, 32);
        return;
    }
    km_vectors_copy_2(to, from, n);
}

/* Returns whether n bytes, at least 8, are equal. */
static KM_ALWAYS_INLINE bool km_vectors_equal(const uint8_t *a,
                                              const uint8_t *b, size_t n)
{
    if (n < 16) {
        uint64_t differ =
            (*(const volatile km_eight *)a ^ *(const km_eight *)b) |
            (*(const volatile km_eight *)(a + n - 8) ^
             *(const km_eight *)(b + n - 8));
        return differ == 0;
    }
    km_vector differ =
        km_vector_get(a + n - 16) ^ *(const km_vector *)(b + n - 16);
    for (size_t at = 0; at + 16 < n; at += 16) {
        differ |= km_vector_get(a + at) ^ *(const km_vector *)(b + at);
    }
    return (differ[0] | differ[1]) == 0;
}
#endif

/* Returns whether the n bytes from `words` on are those at p. */
static KM_ALWAYS_INLINE bool km_words_equal(const km_word *words, const void *p,
                                            size_t n)
{
#ifdef KM_WORD_VECTORS
    if (n >= 8) {
        return km_vectors_equal((const uint8_t *)words, p, n);
    }
#endif
    const uint8_t *at = p;
    uint64_t differ = 0;
    for (; n >= 8; n -= 8, at += 8, words++) {
        uint64_t word;
        memcpy(&word, at, 8);
        differ |= word ^ km_word_get(words);
    }
    if (n > 0) {
        uint64_t mask = (UINT64_C(1) << (8 * n)) - 1;
        differ |= (km_word_get(words) & mask) ^ km_bytes_tail(at, n);
    }
    return differ == 0;
}

/* Copies n bytes, which begin `skip` bytes (fewer than 8) behind words, to p. */
static KM_ALWAYS_INLINE void km_words_copy(void *p, const km_word *words,
                                           size_t skip, size_t n)
{
#ifdef KM_WORD_VECTORS
    if (n >= 16) {
        km_vectors_copy(p, (const uint8_t *)words + skip, n);
        return;
    }
#endif
    uint8_t *at = p;
    unsigned shift = (unsigned)skip * 8;
    if (shift == 0) {
        for (; n >= 8; n -= 8, at += 8, words++) {
            uint64_t word = km_word_get(words);
            memcpy(at, &word, 8);
        }
        if (n > 0) {
            km_bytes_put_tail(at, km_word_get(words), n);
        }
        return;
    }
    uint64_t low = n > 0 ? km_word_get(words) >> shift : 0;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t next = km_word_get(++words);
        uint64_t word = low | next << (64 - shift);
        memcpy(at, &word, 8);
        low = next >> shift;
    }
    if (n > 8 - skip) {
        low |= km_word_get(words + 1) << (64 - shift);
    }
    km_bytes_put_tail(at, low, n);
}

/* Writes n bytes from `skip` bytes (fewer than 8) behind words on. The bytes before
 * them in the first word stay, and those behind them in it must be zero. */
static inline void km_words_write(km_word *words, size_t skip, const void *p,
                                  size_t n)
{
    const uint8_t *at = p;
    if (skip != 0 && n > 0) {
        size_t first = n < 8 - skip ? n : 8 - skip;
        km_word_set(words, km_word_get(words) | km_bytes_tail(at, first)
                                                    << (8 * skip));
        words++;
        at += first;
        n -= first;
    }
    for (; n >= 8; n -= 8, at += 8, words++) {
        uint64_t word;
        memcpy(&word, at, 8);
        km_word_set(words, word);
    }
    if (n > 0) {
        km_word_set(words, km_bytes_tail(at, n));
    }
}

/* Copies n bytes from one run to another, which may overlap it if `to` is the lower
 * one. */
static inline void km_words_move(km_word *to, const km_word *from, size_t n)
{
    for (size_t i = 0; i < (n + 7) / 8; i++) {
        km_word_set(&to[i], km_word_get(&from[i]));
    }
}
