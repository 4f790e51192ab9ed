/* SPDX-License-Identifier: MIT */
/*
 * S3-FIFO as its authors simulate it (Yang et al., "FIFO queues are all you
 * need for cache eviction", SOSP 2023), counting bytes.
 *
 *     new --> SMALL (10 %) --hit twice--> MAIN (90 %) --+  one more round per
 *               |                          ^   |   ^    |  hit, up to 3
 *               v others                   |   v   +----+
 *             GHOSTS (90 %) ---comes back--+  leaves
 *
 * The variant with prefill puts keys into MAIN while the cache has room and
 * SMALL has its share. The variant with TinyLFU lets a key into MAIN only if a
 * sketch has counted it more often than the oldest key of MAIN.
 */
#include "base/mem.h"
#include "queue.h"
#include "sketch.h"
#include "trace.h"

#define SMALL_SHARE 0.10
#define GHOST_SHARE 0.90
#define PROMOTE_FREQ 2u
#define FREQ_MAX 3u

enum place { NOWHERE, SMALL, MAIN, GHOST, PLACES };

struct settings {
    bool prefills;
    bool has_sketch;
};

struct s3fifo {
    struct hr_queue queues[PLACES];
    uint8_t *places;
    uint8_t *freqs;
    uint64_t capacity;
    uint64_t main_max;
    uint64_t small_max;
    uint64_t ghost_max;
    bool has_evicted;
    struct settings settings;
    struct hr_sketch sketch;
};

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct s3fifo *s3 = cache;
    for (unsigned place = SMALL; place < PLACES; place++) {
        hr_queue_init(&s3->queues[place], shape);
    }
    s3->places = hr_array(shape->keys, sizeof(uint8_t));
    s3->freqs = hr_array(shape->keys, sizeof(uint8_t));
    s3->capacity = shape->capacity;
    s3->small_max = (uint64_t)((double)shape->capacity * SMALL_SHARE);
    s3->main_max = shape->capacity - s3->small_max;
    s3->ghost_max = (uint64_t)((double)shape->capacity * GHOST_SHARE);
    s3->settings = *(const struct settings *)settings;
    if (s3->settings.has_sketch) {
        hr_sketch_init(&s3->sketch, shape->keys < shape->capacity
                                        ? shape->keys
                                        : shape->capacity);
    }
}

static void fini(void *cache)
{
    struct s3fifo *s3 = cache;
    for (unsigned place = SMALL; place < PLACES; place++) {
        hr_queue_fini(&s3->queues[place]);
    }
    km_mem_free(km_mem_default(), s3->places);
    km_mem_free(km_mem_default(), s3->freqs);
    hr_sketch_fini(&s3->sketch);
}

static void move(struct s3fifo *s3, uint32_t key, enum place to)
{
    if (s3->places[key] != NOWHERE) {
        hr_queue_remove(&s3->queues[s3->places[key]], key);
    }
    if (to != NOWHERE) {
        hr_queue_push(&s3->queues[to], key);
    }
    s3->places[key] = (uint8_t)to;
}

/* Returns whether a key may enter MAIN, which only a sketch ever refuses. */
static bool is_admitted(const struct s3fifo *s3, uint32_t key)
{
    const struct hr_queue *main_queue = &s3->queues[MAIN];
    if (!s3->settings.has_sketch || main_queue->bytes < s3->main_max ||
        hr_queue_is_empty(main_queue)) {
        return true;
    }
    return hr_sketch_frequency(&s3->sketch, key) >=
           hr_sketch_frequency(&s3->sketch, hr_queue_oldest(main_queue));
}

static void add_ghost(struct s3fifo *s3, uint32_t key)
{
    uint32_t size = s3->queues[GHOST].sizes[key];
    move(s3, key, NOWHERE);
    if (size > s3->ghost_max) {
        return;
    }
    while (s3->queues[GHOST].bytes + size > s3->ghost_max) {
        move(s3, hr_queue_oldest(&s3->queues[GHOST]), NOWHERE);
    }
    move(s3, key, GHOST);
}

/* Lets one key of SMALL leave. Those that were hit twice move to MAIN. */
static void evict_small(struct s3fifo *s3)
{
    while (!hr_queue_is_empty(&s3->queues[SMALL])) {
        uint32_t key = hr_queue_oldest(&s3->queues[SMALL]);
        if (s3->freqs[key] < PROMOTE_FREQ || !is_admitted(s3, key)) {
            add_ghost(s3, key);
            return;
        }
        s3->freqs[key] = 0;
        move(s3, key, MAIN);
    }
}

/* Lets one key of MAIN leave. Those that were hit pay one hit for a round. */
static void evict_main(struct s3fifo *s3)
{
    uint32_t key = hr_queue_oldest(&s3->queues[MAIN]);
    while (s3->freqs[key] > 0) {
        s3->freqs[key]--;
        move(s3, key, MAIN);
        key = hr_queue_oldest(&s3->queues[MAIN]);
    }
    move(s3, key, NOWHERE);
}

static void evict(struct s3fifo *s3)
{
    s3->has_evicted = true;
    if (s3->queues[MAIN].bytes > s3->main_max ||
        hr_queue_is_empty(&s3->queues[SMALL])) {
        evict_main(s3);
    } else {
        evict_small(s3);
    }
}

static bool is_prefilling(const struct s3fifo *s3)
{
    return s3->settings.prefills && !s3->has_evicted &&
           s3->queues[SMALL].bytes >= s3->small_max;
}

/* A ghost is taken before room is made, so that its own eviction cannot lose
 * it. */
static void add(struct s3fifo *s3, uint32_t key)
{
    bool is_ghost = s3->places[key] == GHOST;
    uint32_t size = s3->queues[SMALL].sizes[key];
    move(s3, key, NOWHERE);
    while (s3->queues[SMALL].bytes + s3->queues[MAIN].bytes + size >
           s3->capacity) {
        evict(s3);
    }
    bool to_main = (is_ghost && is_admitted(s3, key)) || is_prefilling(s3);
    move(s3, key, to_main ? MAIN : SMALL);
    s3->freqs[key] = 0;
}

static bool get(void *cache, uint32_t key)
{
    struct s3fifo *s3 = cache;
    if (s3->settings.has_sketch) {
        hr_sketch_count(&s3->sketch, key);
    }
    if (s3->places[key] == SMALL || s3->places[key] == MAIN) {
        s3->freqs[key] += s3->freqs[key] < FREQ_MAX;
        return true;
    }
    add(s3, key);
    return false;
}

static const struct settings published = {0};
static const struct settings prefill = {.prefills = true};
static const struct settings tinylfu = {.prefills = true, .has_sketch = true};

const struct hr_policy hr_policy_s3fifo = {
    .name = "s3fifo",
    .about = "S3-FIFO as published",
    .bytes = sizeof(struct s3fifo),
    .settings = &published,
    .init = init,
    .get = get,
    .fini = fini,
};

const struct hr_policy hr_policy_s3fifo_prefill = {
    .name = "s3fifo-prefill",
    .about = "the same, and MAIN is filled before the first eviction",
    .bytes = sizeof(struct s3fifo),
    .settings = &prefill,
    .init = init,
    .get = get,
    .fini = fini,
};

const struct hr_policy hr_policy_s3fifo_tinylfu = {
    .name = "s3fifo-tinylfu",
    .about = "s3fifo-prefill with a sketch that admits to MAIN",
    .bytes = sizeof(struct s3fifo),
    .settings = &tinylfu,
    .init = init,
    .get = get,
    .fini = fini,
};
