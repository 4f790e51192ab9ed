/* SPDX-License-Identifier: MIT */
/*
 * LIRS (Jiang and Zhang, SIGMETRICS 2002), counting bytes.
 *
 * A hot key has a short time between its uses. The stack has all hot keys, and
 * every other key that was used since the hot key that was not used for the
 * longest time, which is its oldest. A cold key that is used while it is in the
 * stack becomes hot, in the place of that oldest one. Cold keys have one part
 * in a hundred of the cache. Those that have left it stay in the stack as
 * ghosts, up to twice the capacity.
 */
#include "base/mem.h"
#include "queue.h"
#include "trace.h"

#define COLD_PARTS 100u /* one of them is for cold keys */
#define GHOST_CAPACITIES 2u

enum state { NONE, HOT, COLD, GHOST };

struct lirs {
    struct hr_queue stack;
    struct hr_queue cold; /* those that are in the cache */
    struct hr_queue ghosts;
    uint8_t *states;
    bool *is_in_stack;
    uint64_t capacity;
    uint64_t hot_bytes;
    uint64_t hot_bytes_max;
};

static void init(void *cache, const struct hr_shape *shape,
                 const void *settings)
{
    struct lirs *lirs = cache;
    (void)settings;
    hr_queue_init(&lirs->stack, shape);
    hr_queue_init(&lirs->cold, shape);
    hr_queue_init(&lirs->ghosts, shape);
    lirs->states = hr_array(shape->keys, sizeof(uint8_t));
    lirs->is_in_stack = hr_array(shape->keys, sizeof(bool));
    lirs->capacity = shape->capacity;
    uint64_t cold = shape->capacity / COLD_PARTS;
    lirs->hot_bytes_max = shape->capacity - (cold > 0 ? cold : 1);
}

static void fini(void *cache)
{
    struct lirs *lirs = cache;
    hr_queue_fini(&lirs->stack);
    hr_queue_fini(&lirs->cold);
    hr_queue_fini(&lirs->ghosts);
    km_mem_free(km_mem_default(), lirs->states);
    km_mem_free(km_mem_default(), lirs->is_in_stack);
}

static void stack_remove(struct lirs *lirs, uint32_t key)
{
    hr_queue_remove(&lirs->stack, key);
    lirs->is_in_stack[key] = false;
}

static void stack_renew(struct lirs *lirs, uint32_t key)
{
    if (lirs->is_in_stack[key]) {
        hr_queue_remove(&lirs->stack, key);
    }
    hr_queue_push(&lirs->stack, key);
    lirs->is_in_stack[key] = true;
}

/* Takes keys that are not hot from the old end of the stack. */
static void prune(struct lirs *lirs)
{
    while (!hr_queue_is_empty(&lirs->stack)) {
        uint32_t key = hr_queue_oldest(&lirs->stack);
        if (lirs->states[key] == HOT) {
            break;
        }
        stack_remove(lirs, key);
        if (lirs->states[key] == GHOST) {
            hr_queue_remove(&lirs->ghosts, key);
            lirs->states[key] = NONE;
        }
    }
}

/* Makes the oldest hot keys cold, until the hot ones have their share. */
static void demote(struct lirs *lirs, uint64_t hot_bytes_max)
{
    while (lirs->hot_bytes > hot_bytes_max) {
        uint32_t key = hr_queue_oldest(&lirs->stack);
        stack_remove(lirs, key);
        lirs->states[key] = COLD;
        lirs->hot_bytes -= lirs->stack.sizes[key];
        hr_queue_push(&lirs->cold, key);
        prune(lirs);
    }
}

static void make_hot(struct lirs *lirs, uint32_t key)
{
    stack_renew(lirs, key);
    lirs->states[key] = HOT;
    lirs->hot_bytes += lirs->stack.sizes[key];
    prune(lirs);
    demote(lirs, lirs->hot_bytes_max);
}

static void make_cold(struct lirs *lirs, uint32_t key)
{
    stack_renew(lirs, key);
    lirs->states[key] = COLD;
    hr_queue_push(&lirs->cold, key);
}

static void forget_ghosts(struct lirs *lirs)
{
    while (lirs->ghosts.bytes > GHOST_CAPACITIES * lirs->capacity) {
        uint32_t key = hr_queue_pop(&lirs->ghosts);
        lirs->states[key] = NONE;
        stack_remove(lirs, key);
        prune(lirs);
    }
}

static void evict(struct lirs *lirs)
{
    if (hr_queue_is_empty(&lirs->cold)) {
        demote(lirs, lirs->hot_bytes - 1);
    }
    uint32_t key = hr_queue_pop(&lirs->cold);
    lirs->states[key] = NONE;
    if (lirs->is_in_stack[key]) {
        lirs->states[key] = GHOST;
        hr_queue_push(&lirs->ghosts, key);
        forget_ghosts(lirs);
    }
}

static void hit(struct lirs *lirs, uint32_t key)
{
    if (lirs->states[key] == HOT) {
        stack_renew(lirs, key);
        prune(lirs);
    } else if (lirs->is_in_stack[key]) {
        hr_queue_remove(&lirs->cold, key);
        make_hot(lirs, key);
    } else {
        stack_renew(lirs, key);
        hr_queue_renew(&lirs->cold, key);
    }
}

static bool get(void *cache, uint32_t key)
{
    struct lirs *lirs = cache;
    uint32_t size = lirs->stack.sizes[key];
    if (lirs->states[key] == HOT || lirs->states[key] == COLD) {
        hit(lirs, key);
        return true;
    }
    if (lirs->states[key] == GHOST) {
        hr_queue_remove(&lirs->ghosts, key);
        lirs->states[key] = NONE;
    }
    while (lirs->hot_bytes + lirs->cold.bytes + size > lirs->capacity) {
        evict(lirs);
    }
    if (lirs->is_in_stack[key] ||
        lirs->hot_bytes + size <= lirs->hot_bytes_max) {
        make_hot(lirs, key);
    } else {
        make_cold(lirs, key);
    }
    return false;
}

const struct hr_policy hr_policy_lirs = {
    .name = "lirs",
    .about = "the longest time between two uses leaves",
    .bytes = sizeof(struct lirs),
    .init = init,
    .get = get,
    .fini = fini,
};
