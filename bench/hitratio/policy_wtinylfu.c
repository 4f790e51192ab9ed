/* SPDX-License-Identifier: MIT */
/*
 * W-TinyLFU (Einziger et al., 2017), counting bytes.
 *
 *     new --> WINDOW (LRU) --> PROBATION (LRU) <--> PROTECTED (LRU, 80 %)
 *
 * When there is no room, the key that leaves the window competes with the
 * oldest one on probation, and the less frequent of the two leaves. The window
 * has one part in a hundred. The climbing variant moves its limit every ten
 * capacities of requests, in the direction that made hits more frequent
 * (Einziger et al., 2018).
 */
#include "base/mem.h"
#include "queue.h"
#include "sketch.h"
#include "trace.h"

#include <math.h>

#define WINDOW_SHARE 0.01
#define WINDOW_SHARE_MAX 0.8
#define PROTECTED_SHARE 0.8
#define STEP_SHARE 0.0625
#define STEP_DECAY 0.98
#define RESTART_CHANGE 0.05
#define SAMPLE_FACTOR 10u

enum place { NOWHERE, WINDOW, PROBATION, PROTECTED, PLACES };

struct wtinylfu {
    struct hr_queue queues[PLACES];
    uint8_t *places;
    struct hr_sketch sketch;
    uint64_t capacity;
    double window_max;
    bool climbs;
    uint64_t hits; /* since the window was last changed */
    uint64_t requests;
    double hit_ratio; /* of the time before that */
    double step;
};

struct settings {
    bool climbs;
};

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct wtinylfu *w = cache;
    uint64_t bytes = 0;
    for (unsigned place = WINDOW; place < PLACES; place++) {
        hr_queue_init(&w->queues[place], shape);
    }
    for (uint32_t key = 0; key < shape->keys; key++) {
        bytes += shape->sizes[key];
    }
    w->places = hr_array(shape->keys, sizeof(uint8_t));
    w->capacity = shape->capacity;
    w->window_max = fmax(1, (double)w->capacity * WINDOW_SHARE);
    w->climbs = ((const struct settings *)settings)->climbs;
    w->step = -STEP_SHARE * (double)w->capacity;
    hr_sketch_init(&w->sketch,
                   bytes > 0 ? w->capacity * shape->keys / bytes : w->capacity);
}

static void fini(void *cache)
{
    struct wtinylfu *w = cache;
    for (unsigned place = WINDOW; place < PLACES; place++) {
        hr_queue_fini(&w->queues[place]);
    }
    km_mem_free(km_mem_default(), w->places);
    hr_sketch_fini(&w->sketch);
}

static void move(struct wtinylfu *w, uint32_t key, enum place to)
{
    if (w->places[key] != NOWHERE) {
        hr_queue_remove(&w->queues[w->places[key]], key);
    }
    if (to != NOWHERE) {
        hr_queue_push(&w->queues[to], key);
    }
    w->places[key] = (uint8_t)to;
}

static uint64_t bytes_in(const struct wtinylfu *w)
{
    return w->queues[WINDOW].bytes + w->queues[PROBATION].bytes +
           w->queues[PROTECTED].bytes;
}

static void trim_protected(struct wtinylfu *w)
{
    double max = ((double)w->capacity - w->window_max) * PROTECTED_SHARE;
    while ((double)w->queues[PROTECTED].bytes > floor(max)) {
        move(w, hr_queue_oldest(&w->queues[PROTECTED]), PROBATION);
    }
}

static void hit(struct wtinylfu *w, uint32_t key)
{
    if (w->places[key] == WINDOW) {
        move(w, key, WINDOW);
        return;
    }
    move(w, key, PROTECTED);
    trim_protected(w);
}

/* Returns the key that the candidate competes with. */
static uint32_t find_victim(const struct wtinylfu *w)
{
    static const enum place order[] = {PROBATION, PROTECTED, WINDOW};
    unsigned i = 0;
    while (hr_queue_is_empty(&w->queues[order[i]])) {
        i++;
    }
    return hr_queue_oldest(&w->queues[order[i]]);
}

/* Lets the candidate and victims compete until there is room. */
static void compete(struct wtinylfu *w, uint32_t candidate)
{
    while (bytes_in(w) > w->capacity) {
        uint32_t victim = find_victim(w);
        if (w->places[candidate] == PROBATION &&
            hr_sketch_frequency(&w->sketch, candidate) <=
                hr_sketch_frequency(&w->sketch, victim)) {
            victim = candidate;
        }
        move(w, victim, NOWHERE);
    }
}

static void add(struct wtinylfu *w, uint32_t key)
{
    uint32_t candidate = key;
    move(w, key, WINDOW);
    while ((double)w->queues[WINDOW].bytes > floor(w->window_max)) {
        candidate = hr_queue_oldest(&w->queues[WINDOW]);
        move(w, candidate, PROBATION);
        compete(w, candidate);
    }
    compete(w, candidate);
}

/* Moves the limit of the window by the step, which is turned around if the last
 * one made the hits less frequent. */
static void climb(struct wtinylfu *w)
{
    double hit_ratio = (double)w->hits / (double)w->requests;
    double change = hit_ratio - w->hit_ratio;
    double amount = change >= 0 ? w->step : -w->step;
    double limit = (double)w->capacity * WINDOW_SHARE_MAX;
    w->step = fabs(change) >= RESTART_CHANGE
                  ? copysign(STEP_SHARE * (double)w->capacity, amount)
                  : STEP_DECAY * amount;
    w->window_max = fmin(fmax(w->window_max + amount, 1), limit);
    w->hit_ratio = hit_ratio;
    w->hits = 0;
    w->requests = 0;
    trim_protected(w);
}

static bool get(void *cache, uint32_t key)
{
    struct wtinylfu *w = cache;
    bool is_hit = w->places[key] != NOWHERE;
    hr_sketch_count(&w->sketch, key);
    if (is_hit) {
        hit(w, key);
    } else {
        add(w, key);
    }
    w->requests++;
    w->hits += is_hit;
    uint64_t count = w->queues[WINDOW].count + w->queues[PROBATION].count +
                     w->queues[PROTECTED].count;
    if (w->climbs && w->requests >= SAMPLE_FACTOR * count) {
        climb(w);
    }
    return is_hit;
}

static const struct settings fixed = {.climbs = false};
static const struct settings climbing = {.climbs = true};

const struct hr_policy hr_policy_wtinylfu = {
    .name = "wtinylfu",
    .about = "a sketch of frequencies admits; window of 1 %",
    .bytes = sizeof(struct wtinylfu),
    .settings = &fixed,
    .init = init,
    .get = get,
    .fini = fini,
};

const struct hr_policy hr_policy_wtinylfu_climb = {
    .name = "wtinylfu-climb",
    .about = "the same with a window that adapts",
    .bytes = sizeof(struct wtinylfu),
    .settings = &climbing,
    .init = init,
    .get = get,
    .fini = fini,
};
