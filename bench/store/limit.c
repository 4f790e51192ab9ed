/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include "base/assert.h"

#include <stdatomic.h>
#include <string.h>
#include <xxhash.h>

#define SLOTS 7u
#define POINTER_MASK UINT64_C(0xffffffffffff)
#define SEED 1
/* The bytes that malloc adds to a block, and the multiple to which it rounds. */
#define MALLOC_HEADER 8u
#define MALLOC_ALIGN 16u

struct bench_limit_line {
    uint64_t slots[SLOTS];
    _Atomic uint64_t sequence;
} __attribute__((aligned(64)));

/* The value lies behind the key. Its words are atomic because sequence-checked
 * readers may copy them while they are written. */
struct item {
    uint32_t key_len;
    uint32_t value_len;
    uint8_t key[BENCH_KEY_BYTES];
    _Atomic uint64_t words[];
};

static size_t word_count(size_t bytes)
{
    return (bytes + 7) / 8;
}

void bench_limit_init(struct bench_limit *limit,
                      const struct bench_limit_shape *shape)
{
    size_t bytes = sizeof(struct item) + word_count(shape->value_bytes) * 8;
    *limit = (struct bench_limit){.shape = *shape, .line_count = 1};
    limit->item_bytes = (bytes + MALLOC_HEADER + MALLOC_ALIGN - 1) /
                        MALLOC_ALIGN * MALLOC_ALIGN;
    while (limit->line_count * 4 < shape->items) {
        limit->line_count *= 2;
    }
    limit->lines =
        bench_pages_map(limit->line_count * sizeof *limit->lines, shape->pages);
    limit->items = bench_pages_map(
        limit->item_bytes * (shape->items + UINT64_C(1)), shape->pages);
}

void bench_limit_fini(struct bench_limit *limit)
{
    bench_pages_unmap(limit->lines, limit->line_count * sizeof *limit->lines);
    bench_pages_unmap(limit->items,
                      limit->item_bytes * (limit->shape.items + UINT64_C(1)));
    *limit = (struct bench_limit){0};
}

static uint64_t hash_of(const uint8_t *key)
{
    return XXH3_64bits_withSeed(key, BENCH_KEY_BYTES, SEED);
}

static void link_item(struct bench_limit *limit, const struct item *item)
{
    uint64_t hash = hash_of(item->key);
    for (uint64_t at = hash;; at++) {
        struct bench_limit_line *line =
            &limit->lines[at & (limit->line_count - 1)];
        for (unsigned i = 0; i < SLOTS; i++) {
            if (line->slots[i] == 0) {
                line->slots[i] = hash >> 48 << 48 | (uint64_t)(uintptr_t)item;
                return;
            }
        }
    }
}

void bench_limit_add(struct bench_limit *limit, const uint8_t *key,
                     const uint8_t *value)
{
    KM_ASSERT(limit->items_used < limit->shape.items);
    struct item *item = (void *)(limit->items + MALLOC_ALIGN +
                                 limit->items_used * limit->item_bytes);
    limit->items_used++;
    item->key_len = BENCH_KEY_BYTES;
    item->value_len = (uint32_t)limit->shape.value_bytes;
    memcpy(item->key, key, BENCH_KEY_BYTES);
    memcpy((void *)item->words, value, limit->shape.value_bytes);
    link_item(limit, item);
}

/* Which slots of the line have the tag: one bit each. */
static inline uint32_t match(const struct bench_limit_line *line, uint64_t tag)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        found |= (uint32_t)(line->slots[i] >> 48 == tag) << i;
    }
    return found;
}

/* Returns the item of the line that has the key, or NULL. */
static inline struct item *find_in(const struct bench_limit_line *line,
                                   uint64_t tag, const uint8_t *key)
{
    for (uint32_t found = match(line, tag); found != 0; found &= found - 1) {
        uint64_t slot = line->slots[__builtin_ctz(found)];
        struct item *item = (void *)(uintptr_t)(slot & POINTER_MASK);
        if (item != NULL && item->key_len == BENCH_KEY_BYTES &&
            memcmp(item->key, key, BENCH_KEY_BYTES) == 0) {
            return item;
        }
    }
    return NULL;
}

/* An item whose line was full when it came is in one of the next lines. */
static inline struct item *find(const struct bench_limit *limit,
                                const uint8_t *key,
                                struct bench_limit_line **ret_line)
{
    uint64_t hash = hash_of(key);
    for (uint64_t at = hash;; at++) {
        struct bench_limit_line *line =
            &limit->lines[at & (limit->line_count - 1)];
        struct item *item = find_in(line, hash >> 48, key);
        if (item != NULL) {
            *ret_line = line;
            return item;
        }
    }
}

static inline size_t get(const struct bench_limit *limit, const uint8_t *key,
                         uint8_t *out)
{
    struct bench_limit_line *line;
    const struct item *item = find(limit, key, &line);
    memcpy(out, (const void *)item->words, item->value_len);
    return item->value_len;
}

uint64_t bench_limit_gets(void *arg, const struct bench_turn *turn)
{
    const struct bench_limit_side *side = arg;
    size_t middle = side->limit->shape.value_bytes / 2;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, turn->from + i);
        sum += get(side->limit, key, turn->out) + turn->out[middle];
    }
    return sum;
}

uint64_t bench_limit_dependent_gets(void *arg, const struct bench_turn *turn)
{
    const struct bench_limit_side *side = arg;
    size_t middle = side->limit->shape.value_bytes / 2;
    uint64_t sum = 0;
    uint32_t at = turn->from;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, at);
        sum += get(side->limit, key, turn->out);
        at += 1 + (turn->out[middle] & 1);
    }
    return sum + at;
}

/* -- sequence-checked ---------------------------------------------------------- */

/*
 * The orders of the words do what two fences would do, which ThreadSanitizer does
 * not know: a reader looks at the sequence again only after it has loaded every
 * word, and a writer stores a word only after the sequence has become odd.
 */

static inline void copy_out(struct item *item, uint8_t *out)
{
    size_t words = word_count(item->value_len);
    for (size_t i = 0; i < words; i++) {
        uint64_t word =
            atomic_load_explicit(&item->words[i], memory_order_acquire);
        memcpy(out + i * 8, &word, sizeof word);
    }
}

/* The index does not change, so only the value has to be checked. */
static inline size_t checked_get(const struct bench_limit *limit,
                                 const uint8_t *key, uint8_t *out)
{
    struct bench_limit_line *line;
    struct item *item = find(limit, key, &line);
    for (;;) {
        uint64_t before =
            atomic_load_explicit(&line->sequence, memory_order_acquire);
        copy_out(item, out);
        uint64_t after =
            atomic_load_explicit(&line->sequence, memory_order_relaxed);
        if (before == after && before % 2 == 0) {
            return item->value_len;
        }
    }
}

static inline void checked_set(const struct bench_limit *limit,
                               const uint8_t *key, const uint8_t *value)
{
    struct bench_limit_line *line;
    struct item *item = find(limit, key, &line);
    uint64_t even;
    do {
        even = atomic_load_explicit(&line->sequence, memory_order_relaxed) &
               ~UINT64_C(1);
    } while (!atomic_compare_exchange_weak_explicit(
        &line->sequence, &even, even + 1, memory_order_acquire,
        memory_order_relaxed));
    for (size_t i = 0; i < word_count(item->value_len); i++) {
        uint64_t word;
        memcpy(&word, value + i * 8, sizeof word);
        atomic_store_explicit(&item->words[i], word, memory_order_release);
    }
    atomic_store_explicit(&line->sequence, even + 2, memory_order_release);
}

uint64_t bench_limit_mixed(void *arg, const struct bench_turn *turn)
{
    const struct bench_limit_side *side = arg;
    size_t middle = side->limit->shape.value_bytes / 2;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint8_t *key = bench_lookups_at(side->lookups, turn->from + i);
        if (i % BENCH_WRITE_EVERY == 0) {
            checked_set(side->limit, key, turn->out);
        } else {
            sum += checked_get(side->limit, key, turn->out) + turn->out[middle];
        }
    }
    return sum;
}
