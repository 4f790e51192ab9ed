/* SPDX-License-Identifier: MIT */
/*
 * S3-FIFO as KamaCache 0.1 had it: MAIN is filled before the first eviction,
 * ghosts are remembered for as many evictions as MAIN has keys, and the table
 * of ghosts has its own errors. It is kept to compare with.
 *
 * A ghost is 16 bits of the hash and a stamp of 16 bits. Windows below 256 are
 * remembered for 256 evictions, because a stamp lasts at least one.
 */
#include "base/mem.h"
#include "queue.h"
#include "random.h"
#include "trace.h"

#define SMALL_PARTS 10u
#define PROMOTE_FREQ 2u
#define FREQ_MAX 3u
#define STEPS 256
#define LINE_SLOTS 16u
#define STAMPS 256u
#define WINDOW_MIN 64u

enum place { NOWHERE, SMALL, MAIN, PLACES };

struct table {
    uint32_t *slots; /* stamp << 16 | hash bits; 0 if the slot is free */
    uint64_t lines;
};

struct s3fifo {
    struct hr_queue queues[PLACES];
    uint8_t *places;
    uint8_t *freqs;
    uint64_t capacity;
    bool has_evicted;
    struct table now;
    struct table before; /* the table of a smaller window */
    uint64_t window;
    uint64_t until_tick;
    uint16_t stamp;
    uint16_t before_stamp;
};

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct s3fifo *s3 = cache;
    (void)settings;
    for (unsigned place = SMALL; place < PLACES; place++) {
        hr_queue_init(&s3->queues[place], shape);
    }
    s3->places = hr_array(shape->keys, sizeof(uint8_t));
    s3->freqs = hr_array(shape->keys, sizeof(uint8_t));
    s3->capacity = shape->capacity;
    s3->stamp = 1;
}

static void fini(void *cache)
{
    struct s3fifo *s3 = cache;
    for (unsigned place = SMALL; place < PLACES; place++) {
        hr_queue_fini(&s3->queues[place]);
    }
    km_mem_free(km_mem_default(), s3->places);
    km_mem_free(km_mem_default(), s3->freqs);
    km_mem_free(km_mem_default(), s3->now.slots);
    km_mem_free(km_mem_default(), s3->before.slots);
}

/* -- ghosts --------------------------------------------------------------- */

static uint32_t *line_of(const struct table *table, uint64_t hash)
{
    return &table->slots[(((hash & 0xffffffffu) * table->lines) >> 32) *
                         LINE_SLOTS];
}

static uint32_t fingerprint(uint64_t hash)
{
    return (uint32_t)(hash >> 36) & 0xffffu;
}

static uint16_t age(const struct s3fifo *s3, uint32_t slot)
{
    return (uint16_t)(s3->stamp - (slot >> 16));
}

static void ghosts_resize(struct s3fifo *s3, uint64_t window)
{
    km_mem_free(km_mem_default(), s3->before.slots);
    s3->before = s3->now;
    s3->before_stamp = s3->stamp;
    s3->window = window < WINDOW_MIN ? WINDOW_MIN : window;
    s3->now.lines = s3->window / LINE_SLOTS * 5 / 4 + 1;
    s3->now.slots = hr_array(s3->now.lines * LINE_SLOTS, sizeof(uint32_t));
}

static void ghosts_tick(struct s3fifo *s3, uint64_t window)
{
    s3->until_tick = window / STAMPS;
    s3->stamp = (uint16_t)(s3->stamp + 1u);
    s3->stamp += s3->stamp == 0;
    if (s3->before.slots != NULL &&
        (uint16_t)(s3->stamp - s3->before_stamp) > STAMPS) {
        km_mem_free(km_mem_default(), s3->before.slots);
        s3->before = (struct table){0};
    }
}

static void ghosts_add(struct s3fifo *s3, uint64_t hash, uint64_t window)
{
    if (window > s3->window || s3->now.slots == NULL) {
        ghosts_resize(s3, window * 3 / 2);
    }
    if (s3->until_tick == 0) {
        ghosts_tick(s3, window < s3->window ? window : s3->window);
    } else {
        s3->until_tick--;
    }
    uint32_t *line = line_of(&s3->now, hash);
    unsigned oldest = 0;
    for (unsigned i = 0; i < LINE_SLOTS && line[oldest] != 0; i++) {
        if (line[i] == 0 || age(s3, line[i]) > age(s3, line[oldest])) {
            oldest = i;
        }
    }
    line[oldest] = (uint32_t)s3->stamp << 16 | fingerprint(hash);
}

static bool table_take(const struct s3fifo *s3, const struct table *table,
                       uint64_t hash)
{
    if (table->slots == NULL) {
        return false;
    }
    uint32_t *line = line_of(table, hash);
    for (unsigned i = 0; i < LINE_SLOTS; i++) {
        if (line[i] != 0 && (line[i] & 0xffffu) == fingerprint(hash) &&
            age(s3, line[i]) <= STAMPS) {
            line[i] = 0;
            return true;
        }
    }
    return false;
}

static bool ghosts_take(const struct s3fifo *s3, uint64_t hash)
{
    return table_take(s3, &s3->now, hash) || table_take(s3, &s3->before, hash);
}

/* -- queues --------------------------------------------------------------- */

static void push(struct s3fifo *s3, uint32_t key, enum place place)
{
    hr_queue_push(&s3->queues[place], key);
    s3->places[key] = (uint8_t)place;
}

static bool small_is_full(const struct s3fifo *s3)
{
    uint64_t bytes = s3->queues[SMALL].bytes + s3->queues[MAIN].bytes;
    return s3->queues[SMALL].bytes * SMALL_PARTS >= bytes;
}

/* Takes a key of MAIN without hits. Returns false if MAIN is empty. */
static bool take_main(struct s3fifo *s3, uint32_t *ret_key)
{
    if (hr_queue_is_empty(&s3->queues[MAIN])) {
        return false;
    }
    uint32_t key = hr_queue_pop(&s3->queues[MAIN]);
    for (int steps = STEPS; s3->freqs[key] > 0 && steps > 0; steps--) {
        s3->freqs[key]--;
        push(s3, key, MAIN);
        key = hr_queue_pop(&s3->queues[MAIN]);
    }
    *ret_key = key;
    return true;
}

/* Takes a key of SMALL that was not hit twice. Returns false if moving the
 * others has brought SMALL down to its share. */
static bool take_small(struct s3fifo *s3, uint32_t *ret_key)
{
    for (int steps = STEPS; steps > 0 && small_is_full(s3); steps--) {
        if (hr_queue_is_empty(&s3->queues[SMALL])) {
            return false;
        }
        uint32_t key = hr_queue_pop(&s3->queues[SMALL]);
        if (s3->freqs[key] < PROMOTE_FREQ) {
            *ret_key = key;
            return true;
        }
        s3->freqs[key] = 0;
        push(s3, key, MAIN);
    }
    return false;
}

static void evict(struct s3fifo *s3)
{
    uint32_t key;
    if (!take_small(s3, &key) && !take_main(s3, &key)) {
        key = hr_queue_pop(&s3->queues[SMALL]);
    }
    s3->has_evicted = true;
    if (s3->places[key] == SMALL) {
        uint64_t window = s3->queues[MAIN].count;
        ghosts_add(s3, hr_hash(key), window > 0 ? window : 1);
    }
    s3->places[key] = NOWHERE;
}

static bool get(void *cache, uint32_t key)
{
    struct s3fifo *s3 = cache;
    uint32_t size = s3->queues[SMALL].sizes[key];
    if (s3->places[key] != NOWHERE) {
        s3->freqs[key] += s3->freqs[key] < FREQ_MAX;
        return true;
    }
    while (s3->queues[SMALL].bytes + s3->queues[MAIN].bytes + size >
           s3->capacity) {
        evict(s3);
    }
    bool to_main =
        s3->has_evicted ? ghosts_take(s3, hr_hash(key)) : small_is_full(s3);
    s3->freqs[key] = 0;
    push(s3, key, to_main ? MAIN : SMALL);
    return false;
}

const struct hr_policy hr_policy_s3fifo_0_1 = {
    .name = "s3fifo-0.1",
    .about = "S3-FIFO as KamaCache 0.1 had it",
    .bytes = sizeof(struct s3fifo),
    .init = init,
    .get = get,
    .fini = fini,
};
