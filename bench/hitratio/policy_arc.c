/* SPDX-License-Identifier: MIT */
/*
 * ARC (Megiddo and Modha, FAST 2003), counting bytes.
 *
 *     ghosts B1 <- T1: used once  |  T2: used again -> ghosts B2
 *
 * A ghost of B1 that comes back raises the bytes that T1 shall have, and one of
 * B2 lowers them.
 */
#include "base/mem.h"
#include "queue.h"
#include "trace.h"

enum place { NOWHERE, T1, T2, B1, B2, PLACES };

struct arc {
    struct hr_queue queues[PLACES];
    uint8_t *places; /* of each key */
    uint64_t capacity;
    uint64_t target; /* the bytes that T1 shall have */
};

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct arc *arc = cache;
    (void)settings;
    for (unsigned place = T1; place < PLACES; place++) {
        hr_queue_init(&arc->queues[place], shape);
    }
    arc->places = hr_array(shape->keys, sizeof(uint8_t));
    arc->capacity = shape->capacity;
}

static void fini(void *cache)
{
    struct arc *arc = cache;
    for (unsigned place = T1; place < PLACES; place++) {
        hr_queue_fini(&arc->queues[place]);
    }
    km_mem_free(km_mem_default(), arc->places);
}

static uint64_t bytes(const struct arc *arc, enum place place)
{
    return arc->queues[place].bytes;
}

/* Takes a key out of its queue and puts it into another one. */
static void move(struct arc *arc, uint32_t key, enum place to)
{
    if (arc->places[key] != NOWHERE) {
        hr_queue_remove(&arc->queues[arc->places[key]], key);
    }
    if (to != NOWHERE) {
        hr_queue_push(&arc->queues[to], key);
    }
    arc->places[key] = (uint8_t)to;
}

/* Moves the oldest key of a queue. */
static void move_oldest(struct arc *arc, enum place from, enum place to)
{
    move(arc, hr_queue_oldest(&arc->queues[from]), to);
}

/* Makes ghosts until a key fits. */
static void replace(struct arc *arc, uint32_t key)
{
    uint32_t size = arc->queues[T1].sizes[key];
    while (bytes(arc, T1) + bytes(arc, T2) + size > arc->capacity) {
        bool is_over = bytes(arc, T1) > arc->target ||
                       (arc->places[key] == B2 && bytes(arc, T1) > 0 &&
                        bytes(arc, T1) == arc->target);
        if (is_over || hr_queue_is_empty(&arc->queues[T2])) {
            move_oldest(arc, T1, B1);
        } else {
            move_oldest(arc, T2, B2);
        }
    }
}

/* Returns by how much a ghost moves the target: by more if the other list of
 * ghosts is larger. */
static uint64_t step(const struct arc *arc, enum place from, enum place other,
                     uint32_t key)
{
    uint64_t ratio = bytes(arc, other) / bytes(arc, from);
    return (ratio > 1 ? ratio : 1) * arc->queues[from].sizes[key];
}

static void adapt(struct arc *arc, uint32_t key)
{
    if (arc->places[key] == B1) {
        uint64_t target = arc->target + step(arc, B1, B2, key);
        arc->target = target < arc->capacity ? target : arc->capacity;
    } else {
        uint64_t down = step(arc, B2, B1, key);
        arc->target = arc->target > down ? arc->target - down : 0;
    }
}

/* Forgets the oldest ghosts, so that a new key keeps the lists in bounds: T1
 * and B1 together have at most the capacity, and all four at most twice it. */
static void forget(struct arc *arc, uint32_t key)
{
    uint32_t size = arc->queues[T1].sizes[key];
    while (bytes(arc, T1) + bytes(arc, B1) + size > arc->capacity &&
           bytes(arc, T1) + bytes(arc, B1) > 0) {
        bool has_ghosts = !hr_queue_is_empty(&arc->queues[B1]);
        move_oldest(arc, has_ghosts ? B1 : T1, NOWHERE);
    }
    while (bytes(arc, T1) + bytes(arc, B1) + bytes(arc, T2) + bytes(arc, B2) +
                   size >
               2 * arc->capacity &&
           !hr_queue_is_empty(&arc->queues[B2])) {
        move_oldest(arc, B2, NOWHERE);
    }
}

static bool get(void *cache, uint32_t key)
{
    struct arc *arc = cache;
    enum place place = (enum place)arc->places[key];
    if (place == T1 || place == T2) {
        move(arc, key, T2);
        return true;
    }
    if (place == NOWHERE) {
        forget(arc, key);
    } else {
        adapt(arc, key);
    }
    replace(arc, key);
    move(arc, key, place == NOWHERE ? T1 : T2);
    return false;
}

const struct hr_policy hr_policy_arc = {
    .name = "arc",
    .about = "recency and frequency, weighed by their ghosts",
    .bytes = sizeof(struct arc),
    .init = init,
    .get = get,
    .fini = fini,
};
